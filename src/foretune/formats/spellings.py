"""Under which names others know a parameter."""

from __future__ import annotations

from functools import cache

from . import programs, training_arguments
from .removed_arguments import REMOVED


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Dotted path -> the names that the authors' programs and TrainingArguments have for it."""
    names: dict[str, list[str]] = {}
    for table in (programs.PATHS, training_arguments.KEYS):
        for name, path in table.items():
            names.setdefault(path, []).append(name)
    return {path: tuple(dict.fromkeys(known)) for path, known in names.items()}


def removed(name: str) -> str | None:
    """Why transformers 5 no longer has an argument; None where it has it, or never had."""
    return REMOVED[name].why if name in REMOVED else None
