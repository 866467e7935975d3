"""What was found in one source: settings, notes and problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import Problem
from ..params.setting import Note, Setting


@dataclass(slots=True)
class Reading:
    """What one source says. Problems are collected, so that all of them can be shown together."""

    settings: list[Setting] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    doubts: list[tuple[str, Problem]] = field(default_factory=list)
    """Problems with the value of one parameter, by its path: any later setting of it settles them."""

    def add(self, other: Reading) -> None:
        """Takes in what a stronger source says."""
        written = {setting.path for setting in other.settings}
        self.doubts = [doubt for doubt in self.doubts if doubt[0] not in written]
        self.settings += other.settings
        self.notes += other.notes
        self.problems += other.problems
        self.doubts += other.doubts

    def all_problems(self) -> Iterator[Problem]:
        """The problems, and the doubts that nothing settled."""
        yield from self.problems
        yield from (problem for _, problem in self.doubts)
