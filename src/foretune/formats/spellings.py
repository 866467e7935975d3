"""Under which names others know a parameter."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..params.declare import Words
from ..params.run import parameters
from ..text import Said
from .removed_arguments import REMOVED

MERGED = ("programs", "spellings")
"""Modules here whose tables are put together from others."""


@cache
def tables() -> dict[str, Mapping[str, str]]:
    """The tables of every format that has names of its own for parameters: {module: {name: path}}.

    A format is here by having KEYS or PATHS, from its names to dotted paths.
    """
    found: dict[str, Mapping[str, str]] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name in MERGED:
            continue
        names = vars(importlib.import_module(f"{__package__}.{module.name}"))
        table = names.get("PATHS", names.get("KEYS"))
        if isinstance(table, Mapping):
            paths = cast(Mapping[str, Any], table)
            known = {name: path for name, path in paths.items() if path in parameters()}
            if known:
                found[module.name] = known
    return found


def about(module: str) -> Words:
    """What a table is: the first sentence of its module."""
    text = importlib.import_module(f"{__package__}.{module}").__doc__ or module
    first = " ".join(text.split("\n\n")[0].split())
    return Words(first, first)


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Dotted path -> the names that other programs and formats have for it."""
    names: dict[str, list[str]] = {}
    for table in tables().values():
        for name, path in table.items():
            names.setdefault(path, []).append(name)
    return {path: tuple(dict.fromkeys(known)) for path, known in names.items()}


def removed(name: str) -> Said | None:
    """Why transformers 5 no longer has an argument; None where it has it, or never had."""
    return REMOVED[name].why if name in REMOVED else None
