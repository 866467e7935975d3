"""From a written run to a resolved one: the values that nobody wrote, each with the reason for it.

Pure: the same run, sizes and device give the same result, and nothing is read from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from ..errors import Problem, UserError
from ..text import Said
from .arch.shape import Shape
from .run import Run
from .setting import Setting, derived

Device = Literal["cpu", "cuda"]
Rule = Callable[[Run, Shape | None, Device], Iterator[Setting]]


def resolve(
    run: Run, shape: Shape | None = None, *, device: Device = "cpu", complete: bool = True
) -> Run:
    """The run with every value that follows from others filled in. Resolving twice changes nothing.

    Raises:
        UserError: where ``complete`` is asked for, with everything that keeps the run from being
            run: what it lacks, and what is `impossible`.
    """
    for rule in RULES:
        run = run.add(rule(run, shape, device))
    problems = [*missing(run), *impossible(run, shape)] if complete else []
    if problems:
        raise UserError(problems)
    return run


def _taken(path: str, value: object, reason: Said) -> Setting:
    return Setting(path, value, derived(reason))


def _method(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    if run.method.name is None:
        if run.method.prefix.length is not None:
            yield _taken("method.name", "ptuning", _written("method.prefix.length"))
        else:
            reason = Said(
                "no pre_seq_len and no LoRA is written", "没有写 pre_seq_len，也没有写 LoRA"
            )
            yield _taken("method.name", "full", reason)


def _written(path: str) -> Said:
    return Said(f"{path} is written", f"写了 {path}")


def _same(path: str) -> Said:
    return Said(path, f"同 {path}")


def _model(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    if run.model.tokenizer is None and run.model.path is not None:
        yield _taken("model.tokenizer", run.model.path, _same("model.path"))
    if run.model.config is None and run.model.path is not None:
        yield _taken("model.config", run.model.path, _same("model.path"))


def _lora_targets(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    if run.method.name == "lora" and run.method.lora.targets is None and shape is not None:
        targets = list(shape.default_lora_targets)
        reason = Said("the linears this family is tuned on", "该模型族微调时常用的线性层")
        yield _taken("method.lora.targets", targets, reason)


def _rows(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    data = run.data
    if data.trained_answers is None:
        whole = data.messages_column is not None
        one = Said("a row has one response", "每行只有一个回答")
        reason = _written("data.messages_column") if whole else one
        yield _taken("data.trained_answers", data.answers, reason)
    if data.reading is None:
        official = data.protocol == "official"
        text = Said("what users write is text", "用户写的都是文字")
        theirs = Said("data.protocol is official", "data.protocol 为 official")
        reason = theirs if official else text
        yield _taken("data.reading", data.read_as, reason)


def _lengths(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    data = run.data
    if data.max_eval_target_length is None:
        length = data.max_target_length
        yield _taken("data.max_eval_target_length", length, _same("data.max_target_length"))
    if run.generate.max_length is None:
        total = data.max_source_length + data.max_target_length + 1
        both = "data.max_source_length + data.max_target_length + 1"
        reason = Said(f"{both}, as main.py of the authors does", f"{both}，与官方 main.py 相同")
        if shape is not None and shape.encoder_decoder:
            total = data.max_target_length + 1
            reason = Said(
                "data.max_target_length and the token that a decoder starts from",
                "data.max_target_length 加上解码器的起始词元",
            )
        yield _taken("generate.max_length", total, reason)
    if run.generate.num_beams is None:
        reason = Said("no beam search is written", "没有写束搜索")
        yield _taken("generate.num_beams", 1, reason)


def _dtype(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    """What the frozen weights are held in. The trained ones are float32 whatever this says."""
    if run.precision.dtype != "auto":
        return
    half = {"fp16": "float16", "bf16": "bfloat16"}.get(run.precision.full_eval)
    if half is not None and not run.launch.train:
        reason = Said(
            "precision.full_eval, and nothing trains", "写了 precision.full_eval，且不训练"
        )
        yield _taken("precision.dtype", half, reason)
        return
    if device == "cpu":
        reason = Said("a CPU multiplies half precision far slower", "CPU 计算半精度慢得多")
        yield _taken("precision.dtype", "float32", reason)
    elif run.method.name == "full":
        reason = Said(
            "all weights train, and their updates are small", "全部权重都要训练，而每次更新量很小"
        )
        yield _taken("precision.dtype", "float32", reason)
    elif run.method.name == "freeze" and run.precision.mixed == "no" and run.launch.train:
        reason = Said(
            "without autocast frozen weights have the type of those that train",
            "没有自动混合精度时，冻结的权重与参与训练的同类型",
        )
        yield _taken("precision.dtype", "float32", reason)
    elif run.precision.mixed == "bf16":
        reason = Said("precision.mixed is bf16", "precision.mixed 为 bf16")
        yield _taken("precision.dtype", "bfloat16", reason)
    else:
        reason = Said(
            "a frozen base, as main.py of the authors does", "基座冻结，与官方 main.py 相同"
        )
        yield _taken("precision.dtype", "float16", reason)


def _launch(run: Run, shape: Shape | None, device: Device) -> Iterator[Setting]:
    if run.launch.processes is None:
        reason = Said("no launcher asks for more", "启动器没有要求更多")
        yield _taken("launch.processes", 1, reason)


RULES: tuple[Rule, ...] = (_method, _model, _lora_targets, _rows, _lengths, _dtype, _launch)


def missing(run: Run) -> Iterator[Problem]:
    """What a resolved run lacks, for what it is asked to do."""
    if run.method.name == "ptuning" and run.method.prefix.length is None:
        yield Problem(
            what="method.name is 'ptuning' and no prefix length is given",
            where=str(run.origin("method.name")),
            why="P-Tuning v2 trains that many prefix positions in every layer; there is no default",
            fix="write pre_seq_len, for example --pre_seq_len 128 (method.prefix.length)",
        )
    wanted = {
        "model.path": ("--model_name_or_path", True),
        "record.output": ("--output_dir", True),
        "data.prompt_column": ("--prompt_column", True),
        "data.response_column": ("--response_column", True),
        "data.train": ("--train_file", run.launch.train),
        "data.validation": ("--validation_file", run.evaluates),
        "data.test": ("--test_file", run.launch.predict),
    }
    if not (run.launch.train or run.launch.evaluate or run.launch.predict):
        return
    if run.data.messages_column is not None:
        del wanted["data.prompt_column"], wanted["data.response_column"]
    for path, (flag, needed) in wanted.items():
        from_hub = path.startswith("data.") and run.data.dataset is not None
        if needed and run.get(path) is None and not (from_hub and not path.endswith("column")):
            yield Problem(
                what=f"{path} is not given",
                where=_asked_by(run, path),
                why="the run cannot start without it",
                fix=f"give {flag}, or --set {path}=...",
            )


def impossible(run: Run, shape: Shape | None) -> Iterator[Problem]:
    """What no run of a resolved one can be, whatever is added to it."""
    if run.model.fresh and run.launch.train and run.method.name != "full":
        yield Problem(
            what=f"method.name is {run.method.name!r}, and model.fresh starts from random weights",
            where=f"{run.origin('model.fresh')}, {run.origin('method.name')}",
            why="the random weights would stay frozen, and what trains beside them learns little",
            fix="set method.name to 'full', or leave model.fresh out",
        )
    if shape is not None and shape.encoder_decoder and run.method.name == "ptuning":
        yield Problem(
            what="P-Tuning v2 is not available for a model of an encoder and a decoder",
            where=str(run.origin("method.prefix.length")),
            why="no prefix enters its attention",
            fix="use LoRA: --set method.name=lora, or train every weight: --set method.name=full",
        )


def _asked_by(run: Run, path: str) -> str:
    asks = {"data.train": "train", "data.validation": "evaluate", "data.test": "predict"}
    verbs = [asks[path]] if path in asks else ["train", "evaluate", "predict"]
    origins = [run.origin(f"launch.{verb}") for verb in verbs if getattr(run.launch, verb)]
    if path == "data.validation" and run.evaluates_on_the_way:
        origins.append(run.origin("record.eval_strategy"))
    return ", ".join(str(origin) for origin in origins)
