"""What a user is told when something he gave cannot be used.

Every message has four parts: what (with the value), where (file:line, in the user's own spelling),
why, and how to mend it. Problems are collected and raised together, so that a second attempt does
not meet the second mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in the four parts that every message has."""

    what: str
    where: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  why:   {self.why}\n  fix:   {self.fix}"


class UserError(Exception):
    """Raised for what a user can mend; the command line prints its problems and no traceback."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refuse(*, what: str, where: str, why: str, fix: str) -> UserError:
    """The error for a single problem: ``raise refuse(what=..., where=..., why=..., fix=...)``."""
    return UserError(Problem(what, where, why, fix))
