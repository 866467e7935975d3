"""LLaMA-Factory's YAML: its names for our parameters, to move a run over.

Read in hiyouga/LLaMA-Factory, src/llamafactory/hparams (model_args, data_args, finetuning_args,
generating_args, training_args; early 2026), model/adapter.py and data/processor/supervised.py.
Beside its own names it takes every TrainingArguments of transformers. What its names without a
counterpart do is in ``llama_factory_names``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import Problem, UserError, refuse
from ..params.run import Run, parameters
from ..params.setting import Note, Origin, Setting, derived
from ..text import Said, nearest, sentence_list
from . import training_arguments
from .argument_text import boolean
from .command import trainers_arguments
from .json_text import plain, read_json
from .llama_factory_names import UNREAD
from .reading import Reading
from .yaml_text import read_yaml

KEYS: dict[str, str] = {
    "model_name_or_path": "model.path",
    "adapter_name_or_path": "method.checkpoint",
    "cache_dir": "model.cache",
    "model_revision": "model.revision",
    "train_from_scratch": "model.fresh",
    "flash_attn": "model.attention",
    "quantization_bit": "precision.quantize",
    "disable_gradient_checkpointing": "batch.gradient_checkpointing",
    "use_reentrant_gc": "batch.gradient_checkpointing_kwargs",
    "pure_bf16": "precision.dtype",
    "cutoff_len": "data.max_length",
    "mask_history": "data.trained_answers",
    "max_samples": "data.max_train_rows",
    "preprocessing_num_workers": "data.workers",
    "ignore_pad_token_for_loss": "data.ignore_pad_in_loss",
    "eval_num_beams": "generate.num_beams",
    "num_beams": "generate.num_beams",
    "do_sample": "generate.do_sample",
    "temperature": "generate.temperature",
    "top_p": "generate.top_p",
    "top_k": "generate.top_k",
    "finetuning_type": "method.name",
    "lora_rank": "method.lora.rank",
    "lora_alpha": "method.lora.alpha",
    "lora_dropout": "method.lora.dropout",
    "lora_target": "method.lora.targets",
    "freeze_trainable_layers": "method.freeze.layers",
    "freeze_trainable_modules": "method.freeze.modules",
    "freeze_extra_modules": "method.freeze.extra",
    "additional_target": "peft.modules_to_save",
    "use_rslora": "peft.use_rslora",
    "use_dora": "peft.use_dora",
    "pissa_init": "peft.init_lora_weights",
    "disable_shuffling": "batch.order",
}
"""Every name of its own that a concept of ours stands behind."""

DATA = ("dataset", "eval_dataset", "dataset_dir")
INFO = "dataset_info.json"
ATTENTION = {"disabled": "eager", "sdpa": "sdpa", "fa2": "flash_attention_2"}
METHODS = ("lora", "freeze", "full")
STAGE = "sft"
CUTOFF, PISSA_ITERATIONS = 2048, 16
"""What it takes where nothing is written."""

Values = Mapping[str, Any]


def read_factory(text: str, file: str) -> Reading:
    """The settings of its file, each with its line; what it does by itself; and what of it has no
    counterpart here.

    Raises:
        UserError: where it is no YAML, or no mapping of names to values.
    """
    if text.lstrip().startswith("{"):
        values: Any = read_json(text, file)
        lines: dict[str, int] = {}
    else:
        values, keys = read_yaml(text, file)
        lines = {path[0]: line for path, line in keys if len(path) == 1}
    if not isinstance(values, dict):
        raise refuse(
            what="this holds no names",
            where=file,
            why="a file of LLaMA-Factory is a list of `name: value`",
            fix="see its examples, or give the arguments as flags",
        )
    written = {str(key): value for key, value in cast(dict[Any, Any], values).items()}
    reading = Reading(implied=list(_by_itself(written)))
    theirs: list[tuple[str, object, Origin]] = []
    for key, value in written.items():
        origin = Origin(file, lines.get(key), key)
        if value is None:
            continue
        if key in KEYS:
            reading.settings += _settings(key, value, written, origin, reading)
        elif key in training_arguments.KEYS or key in training_arguments.REMOVED:
            theirs.append((key, value, origin))
        elif key == "stage":
            reading.problems += _other_stage(value, origin)
        elif key in UNREAD:
            what = Said(f"{key} has no counterpart", f"{key} 在这里没有对应项")
            reading.notes.append(Note(what, str(origin), UNREAD[key]))
        elif key not in DATA:
            reading.problems.append(_unknown(key, origin))
    _add_arguments(reading, theirs)
    reading.add(_data(written, file, lines))
    return reading


def _add_arguments(reading: Reading, theirs: list[tuple[str, object, Origin]]) -> None:
    try:
        settings, notes = training_arguments.read_all(theirs)
    except UserError as error:
        reading.problems += error.problems
        return
    reading.settings += settings
    reading.notes += notes


def _by_itself(written: Values) -> Iterator[Setting]:
    """What it does where nobody asks: weaker than anything that is written."""
    reason = derived(
        Said("LLaMA-Factory does so where nothing is written", "没有写时 LLaMA-Factory 如此")
    )
    yield Setting("method.name", "lora", reason)
    yield Setting("data.max_length", CUTOFF, reason)
    yield Setting("data.trained_answers", "every", reason)
    yield Setting("batch.gradient_checkpointing", True, reason)
    yield Setting("generate.do_sample", True, reason)
    yield Setting("generate.temperature", 0.95, reason)
    yield Setting("generate.top_p", 0.7, reason)
    if written.get("finetuning_type", "lora") == "lora":
        yield Setting("method.lora.targets", ["all-linear"], reason)
        rank = written.get("lora_rank", 8)
        if isinstance(rank, int):
            twice = derived(
                Said(
                    "LLaMA-Factory takes twice the rank where nothing is written",
                    "没有写时 LLaMA-Factory 取秩的两倍",
                )
            )
            yield Setting("method.lora.alpha", float(2 * rank), twice)


def _settings(
    key: str, value: Any, written: Values, origin: Origin, reading: Reading
) -> Iterator[Setting]:
    """What one of its own names stands for."""
    path = KEYS[key]
    meaning: object = value
    if key == "finetuning_type" and value not in METHODS:
        reading.problems.append(_other_method(value, origin))
        return
    if key == "flash_attn":
        meaning = ATTENTION.get(str(value), value)
        if str(value) == "auto":
            return
    elif key == "pure_bf16":
        if boolean(value) is not True:
            return
        meaning = "bfloat16"
    elif key == "disable_shuffling":
        if boolean(value) is not True:
            return
        meaning = "sequential"
    elif key == "pissa_init":
        if boolean(value) is not True:
            return
        count = written.get("pissa_iter", PISSA_ITERATIONS)
        meaning = "pissa" if count == -1 else f"pissa_niter_{count}"
    elif key == "use_reentrant_gc":
        meaning = {"use_reentrant": boolean(value)}
    elif key == "disable_gradient_checkpointing":
        meaning = _not(value)
    elif key == "mask_history":
        meaning = {True: "last", False: "every"}.get(cast(Any, boolean(value)), value)
    elif key in ("freeze_trainable_modules", "freeze_extra_modules"):
        meaning = _names(value)
        if meaning == ["all"]:  # every module of a block is what is taken where no name is written
            return
    elif key in ("lora_target", "additional_target"):
        meaning = _names(value)
        if meaning == ["all"]:
            meaning = ["all-linear"]
    elif key == "adapter_name_or_path":
        names = _names(value)
        if len(names) > 1:
            reading.problems.append(_several_adapters(names, origin))
            return
        meaning = names[0] if names else None
    elif key in ("temperature", "top_p", "lora_alpha", "lora_dropout") and isinstance(value, int):
        meaning = float(value)
    yield Setting(path, meaning, origin, text=isinstance(meaning, str))


def _not(value: object) -> object:
    found = boolean(value)
    return not found if isinstance(found, bool) else value


def _names(value: object) -> list[str]:
    """'a, b' or a list of names."""
    if isinstance(value, list):
        return [str(one) for one in cast(list[object], value)]
    return [part.strip() for part in str(value).split(",") if part.strip()]


def _data(written: Values, file: str, lines: Mapping[str, int]) -> Reading:
    """The files and columns behind the names of datasets, where dataset_info.json is here."""
    reading = Reading()
    for key, path in (("dataset", "data.train"), ("eval_dataset", "data.validation")):
        names = _names(written.get(key) or "")
        origin = Origin(file, lines.get(key), key)
        if not names:
            continue
        entry, place = _entry(names[0], written, file) if len(names) == 1 else (None, None)
        if entry is None or place is None:
            instead = f"--set {path}=FILE"
            what = Said(
                f"{key} {sentence_list(names)} is not read: give {instead}",
                f"没有读取 {key} {sentence_list(names, language='zh')}：请给出 {instead}",
            )
            why = Said(
                f"it names entries of {INFO}, which is not here, or are several",
                f"它写的是 {INFO} 中的条目，而该文件不在这里，或写了不止一个",
            )
            reading.notes.append(Note(what, str(origin), why))
            continue
        reading.settings.append(Setting(path, str(place.parent / str(entry["file_name"])), origin))
        if key == "dataset":
            reading.add(_columns(entry, origin, str(place)))
    return reading


def _entry(name: str, written: Values, file: str) -> tuple[Values | None, Path | None]:
    """The entry of a dataset in dataset_info.json, looked for beside the file and here."""
    folder = Path(str(written.get("dataset_dir") or "data"))
    for place in (Path(file).parent / folder / INFO, folder / INFO):
        try:
            if place.is_file():
                known = _mapping(read_json(place.read_text("utf-8-sig"), str(place)))
                found = _mapping(known.get(name))
                if "file_name" in found:
                    return found, place
        except (OSError, ValueError):
            continue
    return None, None


def _mapping(value: object) -> dict[str, Any]:
    """The value where it is one; an empty one elsewhere."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _columns(entry: Values, origin: Origin, info: str) -> Reading:
    """The columns of an entry: one conversation, or a question and an answer."""
    named, reading = _mapping(entry.get("columns")), Reading()
    if entry.get("formatting", "alpaca") == "sharegpt":
        settings = {"data.messages_column": named.get("messages", "conversations")}
    else:
        settings = {
            "data.prompt_column": named.get("prompt", "instruction"),
            "data.response_column": named.get("response", "output"),
            "data.history_column": named.get("history"),
        }
        if query := named.get("query", "input"):
            what = Said(f"the column {query!r} is not read", f"没有读取列 {query!r}")
            why = Said(
                "LLaMA-Factory joins it to the prompt, with a line end between",
                "LLaMA-Factory 把它接在提示之后，中间换行",
            )
            reading.notes.append(Note(what, info, why))
    reading.settings += [
        Setting(path, str(value), origin) for path, value in settings.items() if value
    ]
    return reading


def _other_stage(value: object, origin: Origin) -> Iterator[Problem]:
    if value != STAGE:
        yield Problem(
            what=f"stage is {value!r}",
            where=str(origin),
            why="supervised fine-tuning (sft) is what is read, planned and run here",
            fix="stay with LLaMA-Factory for this stage, or set stage to sft",
        )


def _other_method(value: object, origin: Origin) -> Problem:
    return Problem(
        what=f"finetuning_type is {value!r}",
        where=str(origin),
        why=f"of LLaMA-Factory's methods {sentence_list(METHODS)} are known here; oft rotates the "
        "weights",
        fix="write lora, freeze or full",
    )


def _several_adapters(names: list[str], origin: Origin) -> Problem:
    return Problem(
        what=f"{len(names)} adapters are named: {sentence_list(names)}",
        where=str(origin),
        why="LLaMA-Factory merges all but the last into the model first",
        fix="merge them (foretune export), and name the merged model and the last adapter",
    )


def _unknown(key: str, origin: Origin) -> Problem:
    known = [*KEYS, *UNREAD, *DATA, "stage", *training_arguments.KEYS, *training_arguments.REMOVED]
    like = nearest(key, known)
    return Problem(
        what=f"LLaMA-Factory has no argument {key!r}",
        where=str(origin),
        why="it refuses a name that it does not know",
        fix=f"write {like!r}" if like else "leave it out",
    )


def paths() -> set[str]:
    """The parameters behind its names; each is one of ours."""
    return set(KEYS.values()) & parameters().keys()


SEVERAL_NAMES = ("num_beams",)
"""Names that another of KEYS says, too."""


def write(run: Run, default: Run) -> dict[str, object]:
    """The names and values of its file for a run: what was written, and what differs from what it
    does by itself. Its data are entries of dataset_info.json, which is a file of its own.

    Raises:
        UserError: for a method that it does not have.
    """
    method = run.method.name or "full"
    if method not in METHODS:
        raise refuse(
            what=f"method.name is {method!r}",
            where=str(run.origin("method.name")),
            why=f"LLaMA-Factory tunes by {sentence_list(METHODS)} and other methods, and has no "
            "P-Tuning v2",
            fix="set method.name to lora, or stay here for it",
        )
    found: dict[str, object] = {"stage": STAGE, "finetuning_type": method}
    for name, path in KEYS.items():
        value = run.get(path)
        if name not in (*SEVERAL_NAMES, *found) and (
            run.written(path) or value != default.get(path)
        ):
            found[name] = _spelled(name, value)
    if method == "lora" and run.method.lora.alpha != 2 * run.method.lora.rank:
        found["lora_alpha"] = run.method.lora.alpha
    taken = {*KEYS.values(), "launch.train"}
    found |= {"do_train": run.launch.train} if run.launch.train else {}
    found |= trainers_arguments(run, default, taken)
    return {name: plain(value) for name, value in found.items() if value is not None}


def _spelled(name: str, value: Any) -> object:
    """A value of ours as it has it; None where it cannot say it, or need not."""
    if name == "flash_attn":
        return {kernel: word for word, kernel in ATTENTION.items()}.get(str(value))
    if name == "pure_bf16":
        return True if value == "bfloat16" else None
    if name == "disable_shuffling":
        return True if value == "sequential" else None
    if name == "disable_gradient_checkpointing":
        return not value
    if name == "use_reentrant_gc":
        return _mapping(value).get("use_reentrant")
    if name == "mask_history":
        return {"last": True, "every": False}.get(str(value))
    if name == "pissa_init":
        return True if str(value) == f"pissa_niter_{PISSA_ITERATIONS}" else None
    if name in ("freeze_trainable_modules", "freeze_extra_modules") and value is not None:
        return ",".join(value)
    if name in ("lora_target", "additional_target") and value is not None:
        return "all" if tuple(value) == ("all-linear",) else ",".join(value)
    return value
