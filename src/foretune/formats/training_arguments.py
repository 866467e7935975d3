"""transformers' TrainingArguments: its names for our parameters, and its values where they differ.

Read in transformers 5.17.0 to 5.23.0; the names that are gone are in ``removed_arguments``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Union, cast, get_args, get_origin

from ..errors import Problem, UserError
from ..params.run import Run, parameters
from ..params.setting import Note, Origin, Setting
from ..params.trainer import Trainer
from ..text import Said
from .argument_text import Kind, Values, boolean, mapping, number
from .removed_arguments import REMOVED

KEYS: dict[str, str] = {
    "output_dir": "record.output",
    "do_train": "launch.train",
    "do_eval": "launch.evaluate",
    "do_predict": "launch.predict",
    "per_device_train_batch_size": "batch.micro",
    "per_device_eval_batch_size": "batch.eval",
    "gradient_accumulation_steps": "batch.accumulation",
    "dataloader_drop_last": "batch.drop_last",
    "train_sampling_strategy": "batch.order",
    "auto_find_batch_size": "batch.auto_find",
    "activation_checkpointing": "batch.gradient_checkpointing",
    "activation_checkpointing_kwargs": "batch.gradient_checkpointing_kwargs",
    "gradient_checkpointing": "batch.gradient_checkpointing",
    "gradient_checkpointing_kwargs": "batch.gradient_checkpointing_kwargs",
    "num_train_epochs": "schedule.epochs",
    "max_steps": "schedule.max_steps",
    "lr_scheduler_type": "schedule.name",
    "lr_scheduler_kwargs": "schedule.arguments",
    "warmup_steps": "schedule.warmup",
    "optim": "optim.name",
    "optim_args": "optim.arguments",
    "optim_target_modules": "optim.target_modules",
    "learning_rate": "optim.learning_rate",
    "weight_decay": "optim.weight_decay",
    "adam_beta1": "optim.beta1",
    "adam_beta2": "optim.beta2",
    "adam_epsilon": "optim.epsilon",
    "max_grad_norm": "optim.max_grad_norm",
    "label_smoothing_factor": "optim.label_smoothing",
    "fp16": "precision.mixed",
    "bf16": "precision.mixed",
    "fp16_full_eval": "precision.full_eval",
    "bf16_full_eval": "precision.full_eval",
    "tf32": "precision.tf32",
    "predict_with_generate": "generate.enabled",
    "generation_max_length": "generate.max_length",
    "generation_num_beams": "generate.num_beams",
    "generation_config": "generate.config",
    "resume_from_checkpoint": "record.resume",
    "logging_strategy": "record.log_strategy",
    "logging_steps": "record.log_steps",
    "logging_first_step": "record.log_first_step",
    "save_strategy": "record.save_strategy",
    "save_steps": "record.save_steps",
    "save_total_limit": "record.save_total_limit",
    "save_only_model": "record.save_only_model",
    "eval_strategy": "record.eval_strategy",
    "eval_steps": "record.eval_steps",
    "eval_delay": "record.eval_delay",
    "eval_on_start": "record.eval_on_start",
    "load_best_model_at_end": "record.load_best",
    "metric_for_best_model": "record.best_metric",
    "greater_is_better": "record.greater_is_better",
    "report_to": "record.report_to",
    "run_name": "record.run_name",
    "include_num_input_tokens_seen": "record.num_input_tokens",
    "log_level": "record.log_level",
    "disable_tqdm": "record.disable_tqdm",
    "use_cpu": "launch.use_cpu",
    "seed": "launch.seed",
    "data_seed": "launch.data_seed",
    "full_determinism": "launch.full_determinism",
    "dataloader_num_workers": "launch.workers",
    "ddp_backend": "launch.ddp_backend",
    "ddp_timeout": "launch.ddp_timeout",
    "ddp_find_unused_parameters": "launch.ddp_find_unused_parameters",
    "ddp_bucket_cap_mb": "launch.ddp_bucket_cap_mb",
    "ddp_broadcast_buffers": "launch.ddp_broadcast_buffers",
    "ddp_static_graph": "launch.ddp_static_graph",
    "deepspeed": "launch.deepspeed",
    "fsdp": "launch.fsdp",
    "fsdp_config": "launch.fsdp_config",
    **{name: f"trainer.{name}" for name in Trainer.model_fields},
}
"""Every field of Seq2SeqTrainingArguments and the parameter behind it."""

NEWER = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}
"""Name up to 5.22 -> the name since 5.23.0, where both still work; both are in KEYS."""

TWINS = {
    "fp16": "bf16",
    "bf16": "fp16",
    "fp16_full_eval": "bf16_full_eval",
    "bf16_full_eval": "fp16_full_eval",
}
"""Two booleans that make one choice here."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name whose values are not those of the parameter behind it."""

    kind: Kind
    read: Callable[[object], Values]
    write: Callable[[Run], object]


def _one_of_two(path: str, word: str) -> Spelling:
    """fp16 and bf16: two booleans there, one choice here."""

    def read(value: object) -> Values:
        asked = boolean(value)
        return {path: {True: word, False: "no"}[asked] if isinstance(asked, bool) else asked}

    return Spelling("boolean", read, lambda run: run.get(path) == word)


def _unset_when(unset: Callable[[float], bool], path: str, written: int | None) -> Spelling:
    """A number there that means 'not set', None here."""

    def read(value: object) -> Values:
        return {path: None if unset(number(value)) else value}

    def write(run: Run) -> object:
        value = run.get(path)
        return written if value is None else value

    return Spelling("scalar", read, write)


def _read_trackers(value: object) -> Values:
    words = [value] if isinstance(value, str) else value
    return {"record.report_to": () if words in (["none"], ("none",)) else words}


def _read_tokens_seen(value: object) -> Values:
    asked = boolean(value)
    words = {True: "all", False: "no"}
    return {"record.num_input_tokens": words[asked] if isinstance(asked, bool) else value}


def _read_fsdp(value: object) -> Values:
    if isinstance(value, list):
        value = " ".join(map(str, cast(list[object], value)))
    if isinstance(boolean(value), bool):
        return {"launch.fsdp": "full_shard" if boolean(value) else None}
    return {"launch.fsdp": value or None}


GONE_OPTIMIZERS = {"adamw_hf": "adamw_torch", "adamw_apex_fused": "adamw_torch_fused"}
"""Values of ``optim`` that transformers 5 no longer has -> torch's AdamW in their place."""

WHY_TORCH = Said(
    "transformers has no optimizer of that name any more; torch's differs at most in where epsilon "
    "and weight decay enter",
    "transformers 已没有这个名称的优化器；torch 的同类优化器至多在 epsilon 和权重衰减的位置上不同",
)

SPELLINGS: dict[str, Spelling] = {
    "fp16": _one_of_two("precision.mixed", "fp16"),
    "bf16": _one_of_two("precision.mixed", "bf16"),
    "fp16_full_eval": _one_of_two("precision.full_eval", "fp16"),
    "bf16_full_eval": _one_of_two("precision.full_eval", "bf16"),
    "max_steps": _unset_when(lambda steps: steps < 0, "schedule.max_steps", -1),
    "eval_steps": _unset_when(lambda steps: steps == 0, "record.eval_steps", None),
    "save_total_limit": _unset_when(lambda limit: limit <= 0, "record.save_total_limit", None),
    "report_to": Spelling("list", _read_trackers, lambda run: list(run.record.report_to) or "none"),
    "include_num_input_tokens_seen": Spelling(
        "boolean", _read_tokens_seen, lambda run: run.record.num_input_tokens
    ),
    "debug": Spelling(
        "list",
        lambda value: {"trainer.debug": value.split() if isinstance(value, str) else value},
        lambda run: " ".join(run.trainer.debug),
    ),
    "fsdp": Spelling("boolean", _read_fsdp, lambda run: run.launch.fsdp),
    "optim": Spelling(
        "scalar",
        lambda value: {"optim.name": GONE_OPTIMIZERS.get(str(value), value)},
        lambda run: run.optim.name,
    ),
}


def read(name: str, value: object, origin: Origin, text: bool = False) -> list[Setting]:
    """The settings that one argument stands for; none where it has no effect any more.

    ``name`` is one of KEYS or REMOVED. A value that means nothing here is handed on as it is, so
    that it is refused as it was written.
    """
    if value is None and (name in REMOVED or parameters()[KEYS[name]].default is not None):
        return []  # as if it were not there: what a dump of all arguments holds
    if name in REMOVED:
        values = REMOVED[name].read(value)
    elif name in SPELLINGS:
        values = SPELLINGS[name].read(value)
    else:
        values = {KEYS[name]: mapping(value) if kind_of(name) == "mapping" else value}
    return [Setting(path, meaning, origin, text) for path, meaning in values.items()]


def read_all(
    arguments: Iterable[tuple[str, object, Origin]], text: bool = False
) -> tuple[list[Setting], list[Note]]:
    """The settings and notes of a whole source, given as (name, value, origin).

    Of fp16 and bf16, a false one says nothing where the other is true.

    Raises:
        UserError: where both are true.
    """
    arguments = list(arguments)
    asked = {name for name, value, _ in arguments if boolean(value) is True}
    problems = [
        Problem(
            what=f"{name} and {TWINS[name]} are both asked for",
            where=str(origin),
            why="a run computes in one half precision or the other; transformers refuses both",
            fix=f"leave one of them out: {TWINS[name]} where the hardware has it",
        )
        for name, value, origin in arguments
        if name.startswith("fp16") and boolean(value) is True and TWINS.get(name) in asked
    ]
    if problems:
        raise UserError(problems)
    settings: list[Setting] = []
    notes: list[Note] = []
    for name, value, origin in arguments:
        if TWINS.get(name) in asked and boolean(value) is False:
            continue
        settings += read(name, value, origin, text)
        found = note(name, value, origin)
        notes += [found] if found else []
    return settings, notes


def note(name: str, value: object, origin: Origin) -> Note | None:
    """What became of an argument that transformers 5 no longer takes as it stands, or None."""
    if name in REMOVED and value is not None:
        read_as = ", ".join(
            path if meaning == value else f"{path} = {meaning!r}"
            for path, meaning in REMOVED[name].read(value).items()
        )
        what = (
            Said(f"{name} is read as {read_as}", f"{name} 读作 {read_as}")
            if read_as
            else Said(f"{name} has no effect", f"{name} 不起作用")
        )
        kind = "renamed" if read_as else "no effect"
        return Note(what, str(origin), _why_removed(name, value, bool(read_as)), kind, name)
    if name == "optim" and str(value) in GONE_OPTIMIZERS:
        now = f"optim.name = {GONE_OPTIMIZERS[str(value)]!r}"
        what = Said(f"optim {value} is read as {now}", f"optim {value} 读作 {now}")
        return Note(what, str(origin), WHY_TORCH)
    return None


def _why_removed(name: str, value: object, read: bool) -> Said:
    """What became of the name; of a value that asks for nothing, that too."""
    removed = REMOVED[name]
    if read or not removed.read(True if removed.kind == "boolean" else "0.5"):
        return removed.why
    return Said(
        f"{value} is what holds without it; besides, {removed.why}",
        f"{value} 与不写它相同；另外，{removed.why.zh}",
    )


def write(run: Run, known: Container[str] = KEYS) -> dict[str, object]:
    """Keyword arguments for Seq2SeqTrainingArguments: what was written or differs from the default.

    ``known`` holds the fields of the installed class; where it lacks the newer of two names, the
    older is used. ``parallelism_config`` is a mapping here and an object of accelerate there: the
    caller builds it.

    Raises:
        UserError: naming every argument that is asked for and that the installed class lacks.
    """
    arguments: dict[str, object] = {}
    problems: list[Problem] = []
    default = Run()
    for name, path in KEYS.items():
        value = value_of(name, run)
        if not run.written(path) and value == value_of(name, default):
            continue
        if NEWER.get(name, "") in known or (name in NEWER.values() and name not in known):
            continue
        if name in known:
            arguments[name] = value
        else:
            problems.append(_lacking(name, path, run))
    if problems:
        raise UserError(problems)
    return arguments


def value_of(name: str, run: Run) -> object:
    """What an argument is for a run, in transformers' own form."""
    if name in SPELLINGS:
        return SPELLINGS[name].write(run)
    value = run.get(KEYS[name])
    return list(cast(tuple[object, ...], value)) if isinstance(value, tuple) else value


def _lacking(name: str, path: str, run: Run) -> Problem:
    return Problem(
        what=f"{path} = {run.get(path)!r} cannot be passed on",
        where=str(run.origin(path)),
        why=f"the transformers that is installed has no {name}",
        fix=f"leave it out, or install a transformers that has {name}",
    )


@cache
def kind_of(name: str) -> Kind:
    """How a flag of that name is written on a command line."""
    if name in REMOVED:
        return REMOVED[name].kind
    if name in SPELLINGS:
        return SPELLINGS[name].kind
    annotation = parameters()[KEYS[name]].annotation
    union = get_origin(annotation) in (Union, types.UnionType)
    taken = set(get_args(annotation) if union else (annotation,)) - {types.NoneType}
    origins = {get_origin(one) for one in taken}
    if bool in taken:
        return "boolean"
    if dict in origins:
        return "mapping"
    return "list" if origins == {tuple} else "scalar"


def negated(flag: str) -> str | None:
    """The boolean that a flag turns off, or None: 'no_x' -> 'x' where x is on by default."""
    name = flag.removeprefix("no_")
    if name != flag and name in KEYS and parameters()[KEYS[name]].default is True:
        return name
    return None
