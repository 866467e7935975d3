"""The training programs whose own arguments are known, each in a file of its own.

A program is known by its name. Of any other, and of a command line without one, every name of every
table is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol

from ..params.setting import Note, Origin, Setting
from . import baichuan2, official
from .argument_text import Kind


class Table(Protocol):
    """The file of a program."""

    PROGRAM: str
    NAMES: frozenset[str]

    def kind_of(self, name: str) -> Kind: ...
    def negated(self, flag: str) -> str | None: ...
    def read(
        self, name: str, value: object, origin: Origin, text: bool = False
    ) -> list[Setting]: ...
    def note(self, name: str, origin: Origin) -> Note | None: ...
    def implied(
        self, settings: Sequence[Setting], programs: Iterable[str]
    ) -> Iterator[Setting]: ...


TABLES: tuple[Table, ...] = (official, baichuan2)
PROGRAMS = tuple(table.PROGRAM for table in TABLES)
PATHS: dict[str, str] = {**baichuan2.PATHS, **official.PATHS}
"""Every argument with an effect, and the parameter behind it; a name means the same in all."""


@cache
def names(program: str = "") -> frozenset[str]:
    """What a program takes beside TrainingArguments; LoRA's usual names are read for all."""
    tables = [table for table in TABLES if program in (table.PROGRAM, "")] or TABLES
    return frozenset(official.LORA).union(*(table.NAMES for table in tables))


def table_of(name: str) -> Table | None:
    """The first table that has an argument."""
    return next((table for table in TABLES if name in table.NAMES), None)


def programs_with(name: str) -> list[str]:
    """The programs that have an argument."""
    return [table.PROGRAM for table in TABLES if name in table.NAMES]


def negated(flag: str, program: str = "") -> str | None:
    """The boolean that a flag turns off (no_ignore_pad_token_for_loss); None for any other flag."""
    found = (table.negated(flag) for table in TABLES)
    return next((name for name in found if name and name in names(program)), None)


def implied(settings: Sequence[Setting], programs: Sequence[str]) -> Iterator[Setting]:
    """What written settings imply, and what the programs do whatever their arguments say."""
    for table in TABLES:
        yield from table.implied(settings, programs)
