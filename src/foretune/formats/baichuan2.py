"""The arguments of Baichuan2's fine-tune/fine-tune.py (2023-09); its others are TrainingArguments.

Its rows are conversations under one column, its limit is one for prompt and answers together, and
it trains whatever its flags say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..params.run import parameters
from ..params.setting import Note, Origin, Setting, derived
from ..text import Said
from .argument_text import Kind, boolean
from .reading import typed

PROGRAM: str = "fine-tune.py"

PATHS: Mapping[str, str] = {
    "model_name_or_path": "model.path",
    "data_path": "data.train",
    "cache_dir": "model.cache",
    "model_max_length": "data.max_length",
    "use_lora": "method.name",
}
NAMES: frozenset[str] = frozenset(PATHS)

CONVERSATIONS = "conversations"
"""Where a row of its file has its messages."""

ALWAYS: Mapping[str, object] = {
    "launch.train": True,
    "optim.name": "adamw_torch",
    "data.max_length": 512,
}
LORA: Mapping[str, object] = {
    "method.lora.targets": ["W_pack"],
    "method.lora.rank": 1,
    "method.lora.alpha": 32.0,
    "method.lora.dropout": 0.1,
}


def kind_of(name: str) -> Kind:
    """How a flag of that name is written on a command line."""
    return "boolean" if name == "use_lora" else "scalar"


def negated(flag: str) -> str | None:
    """The boolean that a flag turns off: none of its own is on by default."""
    return None


def read(name: str, value: object, origin: Origin, text: bool = False) -> list[Setting]:
    """The settings that one argument stands for."""
    path = PATHS[name]
    if name == "use_lora":
        asked = boolean(value)
        method = {True: "lora", False: "full"}[asked] if isinstance(asked, bool) else value
        return [Setting(path, method, origin, text)]
    if value is None and parameters()[path].default is not None:
        return []
    if text and isinstance(value, str):
        value = typed(path, value)
    return [Setting(path, value, origin, text)]


def note(name: str, origin: Origin) -> Note | None:
    """What a reader should know of an argument: nothing, each has its effect."""
    return None


def implied(settings: Sequence[Setting], programs: Iterable[str]) -> Iterator[Setting]:
    """What written settings imply, and what fine-tune.py does whatever its arguments say.

    Nobody wrote these, so they are weaker than anything that is written.
    """
    ours = PROGRAM in programs
    reason = derived(Said(f"{PROGRAM} of Baichuan2 has it so", f"Baichuan2 的 {PROGRAM} 如此"))
    written = {setting.path for setting in settings}
    by_path = [setting.origin for setting in settings if _is_data_path(setting)]
    if (ours or by_path) and not written & {"data.prompt_column", "data.response_column"}:
        told = reason
        if not ours:
            spelling = by_path[-1].spelling
            told = derived(Said(f"{spelling} is written", f"写了 {spelling}"))
        yield Setting("data.messages_column", CONVERSATIONS, told)
    if not ours:
        return
    yield from (Setting(path, value, reason) for path, value in ALWAYS.items())
    methods = [setting.value for setting in settings if setting.path == "method.name"]
    if methods[-1:] == ["lora"]:
        yield from (Setting(path, value, reason) for path, value in LORA.items())


def _is_data_path(setting: Setting) -> bool:
    """Whether a file of rows was written as --data_path, which other programs have too."""
    spelling = setting.origin.spelling or ""
    return setting.path == "data.train" and re.match(r"-*data[_-]path\b", spelling) is not None
