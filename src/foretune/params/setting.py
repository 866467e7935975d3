"""Where a value came from, and the values as they were written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ..text import Said, in_language, place

SECRET = re.compile(r"(?<!DISABLE_IMPLICIT_)(TOKEN|KEY|SECRET|PASSWORD)$")


def is_secret(variable: str) -> bool:
    """Whether the value of an environment variable is nobody else's business."""
    return SECRET.search(variable) is not None


@dataclass(frozen=True, slots=True)
class Origin:
    """The place where a value was written, in the writer's own spelling; or the reason why it has
    the value it has.
    """

    file: str = ""
    line: int | None = None
    spelling: str = ""
    """What stood there: '--max_steps', 'PRE_SEQ_LEN=128', 'batch.micro'."""
    reason: str = ""
    """For a value that nobody wrote: what it was taken from."""

    @property
    def written(self) -> bool:
        return bool(self.file)

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        """'train.sh:14 (--max_steps 3000)', or the reason."""
        if not self.written:
            return in_language(self.reason or DEFAULT.reason, language)
        where = place(self.file, self.line)
        return f"{where} ({self.spelling})" if self.spelling else where


COMMAND_LINE = "command line"
DEFAULT = Origin(reason=Said("default", "默认值"))


def derived(reason: Said) -> Origin:
    """The origin of a value that was taken from another one."""
    return Origin(reason=reason)


class Auto(Enum):
    """The value of a setting that leaves it to another source: DeepSpeed's and accelerate's
    "auto".
    """

    AUTO = "auto"


AUTO = Auto.AUTO


@dataclass(frozen=True, slots=True)
class Setting:
    """One value for one parameter, as a source wrote it."""

    path: str
    """Dotted path of the parameter: 'batch.micro'."""
    value: object
    origin: Origin
    text: bool = False
    """True where the source knows only text (a command-line flag): '8' then means 8."""


Kind = Literal["", "renamed", "no effect", "twice", "unknown", "taken for", "absent", "turned off"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader of a run should know: what was translated, mended, or has no effect, and
    why.
    """

    what: Said
    where: str
    why: Said
    kind: Kind = ""
    """What is said, where ``check`` tells it as a finding; of what a file was taken for, it says
    nothing."""
    name: str = ""
    """The argument or key that it is about."""

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        """All of it, in one line."""
        what, why = (in_language(text, language) for text in (self.what, self.why))
        return (
            f"{what}（{self.where}）：{why}"
            if language == "zh"
            else f"{what} ({self.where}): {why}"
        )
