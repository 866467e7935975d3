"""What one source says: settings, notes and problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

from ..errors import Problem
from ..params.document import Document
from ..params.run import parameters
from ..params.setting import Note, Origin, Setting


@dataclass(slots=True)
class Reading:
    """What one source says. Problems are collected, so that all of them can be shown together."""

    settings: list[Setting] = field(default_factory=list[Setting])
    notes: list[Note] = field(default_factory=list[Note])
    problems: list[Problem] = field(default_factory=list[Problem])
    doubts: list[tuple[str, Problem]] = field(default_factory=list[tuple[str, Problem]])
    """Problems with the value at a path; any later setting of it settles them."""
    programs: list[str] = field(default_factory=list[str])
    """The programs that scripts start (main.py): they have habits that no argument names."""
    documents: list[Document] = field(default_factory=list[Document])
    """Files that declare things of their own and set no parameter."""
    implied: list[Setting] = field(default_factory=list[Setting])
    """What naming a source says of the run, where nobody writes it: that it is DeepSpeed's file."""

    def add(self, other: Reading) -> None:
        """Takes in what a stronger source says."""
        written = {setting.path for setting in other.settings}
        self.doubts = [doubt for doubt in self.doubts if doubt[0] not in written]
        self.settings += other.settings
        self.notes += other.notes
        self.problems += other.problems
        self.doubts += other.doubts
        self.programs += other.programs
        self.documents += other.documents
        self.implied += other.implied

    def all_problems(self) -> Iterator[Problem]:
        """The problems, and the doubts that nothing settled."""
        yield from self.problems
        yield from (problem for _, problem in self.doubts)


def alternatives(path: str) -> tuple[Any, ...]:
    """The types that a parameter may have: (int, NoneType) for int | None."""
    annotation = parameters()[path].annotation
    union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if union else (annotation,)


def typed(path: str, text: str) -> object:
    """Text as the parameter's type has it, where that is more than reading '8' as 8.

    'none' and 'null' mean None where that is allowed; a list is 'a,b' or JSON, a mapping is JSON.
    """
    for kind in alternatives(path) if path in parameters() else ():
        origin = get_origin(kind)
        if kind is NoneType and text.lower() in ("none", "null"):
            return None
        if origin in (tuple, dict) and text[:1] in ("[", "{"):
            try:
                return cast(object, json.loads(text))
            except json.JSONDecodeError:
                return text
        if origin is tuple:
            return [word for word in text.split(",") if word]
    return text


FILES = (
    "model.path", "model.config", "model.tokenizer", "model.cache", "data.train", "data.validation",
    "data.test", "method.checkpoint", "record.output", "record.resume", "generate.config",
    "launch.deepspeed", "accelerate.command.config_file",
)  # fmt: skip
"""Parameters that name files and folders."""

LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes; no file system takes more."""


def is_too_long(setting: Setting) -> bool:
    """Whether a setting names a file that no system could have."""
    if setting.path not in FILES or not isinstance(setting.value, str):
        return False
    names = setting.value.encode("utf-8", "replace").split(b"/")
    longest = max(map(len, names))
    return longest > LONGEST_NAME or len(setting.value) > LONGEST_PATH


def too_long(setting: Setting) -> Problem:
    """What a user is told of it."""
    text = str(setting.value)
    return Problem(
        what=f"{setting.path} = {text[:40]!r}... has {len(text):,} characters",
        where=Origin(setting.origin.file, setting.origin.line).in_language("en"),
        why=f"no name of a file is longer than {LONGEST_NAME} bytes",
        fix="give the path of a file or folder, or owner/name on the hub",
    )
