"""PEFT's adapter_config.json, and LoraConfig and PrefixTuningConfig as programs call them.

Read in PEFT 0.21.2. A key that no concept of ours has is the parameter of its own name in ``peft``.
PEFT itself warns of keys that it does not know and leaves them out; here they are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from ..errors import Problem, refuse
from ..params.run import Run, parameters
from ..params.setting import Origin, Setting, derived
from ..text import Said, nearest, sentence_list
from .documents import read_keys
from .json_text import plain
from .reading import Reading

CLASSES = {"LoraConfig": "LORA", "PrefixTuningConfig": "PREFIX_TUNING"}
METHODS = {"LORA": "lora", "PREFIX_TUNING": "ptuning"}
"""Kinds of adapter that are known here, and the method that each is."""

LORA: dict[str, str] = {
    "r": "method.lora.rank",
    "lora_alpha": "method.lora.alpha",
    "lora_dropout": "method.lora.dropout",
    "target_modules": "method.lora.targets",
}
PREFIX: dict[str, str] = {
    "num_virtual_tokens": "method.prefix.length",
    "prefix_projection": "method.prefix.projection",
}
BASE: dict[str, str] = {
    "peft_type": "method.name",
    "base_model_name_or_path": "model.path",
    "revision": "model.revision",
}
KEYS: dict[str, str] = {**BASE, **LORA, **PREFIX}
"""Every key that a concept of ours stands behind."""

OF_A_PREFIX = frozenset({
    *PREFIX, "init_weights", "encoder_hidden_size", "token_dim", "num_transformer_submodules",
    "num_attention_heads", "num_layers",
})  # fmt: skip
"""Keys of PrefixTuningConfig that LoraConfig has not."""

OF_BOTH = frozenset({
    *BASE, "task_type", "auto_mapping", "peft_version", "inference_mode", "modules_to_save",
})  # fmt: skip

ALPHA = derived(Said("the default of PEFT's LoraConfig", "PEFT 的 LoraConfig 默认值"))
PEFT_ALPHA = 8.0
"""What PEFT takes for a lora_alpha that is not written."""


@cache
def names() -> dict[str, str]:
    """Every key that is known, and the parameter behind it."""
    own = [path for path in parameters() if path.startswith("peft.")]
    others = {path.removeprefix("peft."): path for path in own}
    del others["target_pattern"]  # a spelling of target_modules
    return {**others, **KEYS}


def read_adapter(text: str, file: str) -> Reading:
    """The settings of an adapter_config.json, each with its line.

    Raises:
        UserError: where it is no JSON.
    """
    values, lines, notes = read_keys(text, file)
    reading = read_values(values, file, lines)
    reading.notes = [*notes, *reading.notes]
    return reading


def read_values(values: Mapping[str, Any], file: str, lines: Mapping[str, int]) -> Reading:
    """The settings that the keys of an adapter stand for."""
    kind = _kind(values.get("peft_type"))
    reading = Reading()
    if kind not in METHODS:
        origin = Origin(file, lines.get("peft_type"), "peft_type")
        reading.problems.append(_unknown_kind(kind, origin))
        return reading
    for key, value in values.items():
        origin = Origin(file, lines.get(key), key)
        if problem := _misplaced(key, kind, origin):
            reading.problems.append(problem)
        elif value is not None and value != "":
            reading.settings += _settings(key, value, origin)
    if "peft_type" not in values:
        reason = derived(Said("a LoraConfig", "这是 LoraConfig"))
        reading.implied.append(Setting("method.name", METHODS[kind], reason))
    if kind == "LORA" and values.get("lora_alpha") is None:
        reading.implied.append(Setting("method.lora.alpha", PEFT_ALPHA, ALPHA))
    return reading


def _kind(value: object) -> str:
    """'LORA', which a program may have printed as 'PeftType.LORA'."""
    return "LORA" if value in (None, "") else str(value).rpartition(".")[2]


def _settings(key: str, value: Any, origin: Origin) -> Iterator[Setting]:
    if key == "peft_type":
        yield Setting("method.name", METHODS[_kind(value)], origin)
    elif key == "target_modules" and isinstance(value, str):
        if value == "all-linear":
            yield Setting("method.lora.targets", [value], origin)
        else:
            yield Setting("peft.target_pattern", value, origin)
    else:
        yield Setting(names()[key], _hashable(value), origin)


def _hashable(value: Any) -> Any:
    """Lists inside of lists as tuples, as the parameters have them."""
    if isinstance(value, list):
        items = cast(list[Any], value)
        return [tuple(cast(list[Any], one)) if isinstance(one, list) else one for one in items]
    return value


def _misplaced(key: str, kind: str, origin: Origin) -> Problem | None:
    """What is wrong with a key that the adapter's class does not have."""
    is_prefix = kind == "PREFIX_TUNING"
    if key in names() and (key in OF_BOTH or (key in OF_A_PREFIX) == is_prefix):
        return None
    if key in names():
        return Problem(
            what=f"{key} is no key of an adapter of the kind {kind}",
            where=str(origin),
            why="PEFT would warn and leave it out",
            fix="take it out, or correct peft_type",
        )
    like = nearest(key, names())
    return Problem(
        what=f"there is no key {key!r}",
        where=str(origin),
        why="PEFT 0.21 would warn and leave it out: the adapter would not be what the file says",
        fix=f"write {like!r}" if like else "take it out",
    )


def _unknown_kind(kind: str, origin: Origin) -> Problem:
    return Problem(
        what=f"peft_type {kind!r} is not known here",
        where=str(origin),
        why=f"read are adapters of the kinds {sentence_list(METHODS)}",
        fix="explain it with PEFT's own documentation; its base model can be read as it is",
    )


def write(run: Run) -> dict[str, object]:
    """The adapter_config.json of a run: what PEFT's class of its method takes. The method's own
    keys are always there, the others where they are written or differ from their default.

    Raises:
        UserError: for a method that PEFT has no adapter for.
    """
    kinds = {method: kind for kind, method in METHODS.items()}
    method = run.method.name or ("ptuning" if run.method.prefix.length else "full")
    if method not in kinds:
        raise refuse(
            what=f"method.name is {method!r}, and there is no adapter of it",
            where=str(run.origin("method.name")),
            why=f"PEFT writes adapters of {sentence_list(kinds)}",
            fix="set method.name to lora",
        )
    kind, default = kinds[method], Run()
    written: dict[str, object] = {"peft_type": kind}
    own = PREFIX if kind == "PREFIX_TUNING" else LORA
    for key, path in names().items():
        if key == "peft_type" or not (key in OF_BOTH or (key in OF_A_PREFIX) == (own is PREFIX)):
            continue
        value = run.get(path)
        if key == "target_modules" and value is None:
            value = run.peft.target_pattern
        if key in own or run.written(path) or value != default.get(path):
            written[key] = plain(value)
    if written.get("target_modules") == ["all-linear"]:
        written["target_modules"] = "all-linear"
    return written
