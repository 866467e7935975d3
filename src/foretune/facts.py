"""What was measured of a run's data and surroundings, as a plain record.

The heavy half measures (it has the tokenizer and the libraries) and hands these records to the
light half, which takes them as arguments and never goes and gets them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What the length limits do to the rows of one file, with the rows to look at first."""

    prompts_cut: int = 0
    """Rows whose prompt (with its history) is longer than the source limit."""
    questions_cut: int = 0
    """Rows among them whose newest question lost its end."""
    answers_cut: int = 0
    """Rows whose answer is longer than the target limit."""
    dropped: int = 0
    """Rows left out because the over-long policy says so."""
    lines: tuple[int, ...] = ()
    """Line numbers of the first damaged rows."""

    @property
    def rows(self) -> int:
        return self.prompts_cut + self.answers_cut


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """One data file after preparation: rows and tokens."""

    file: str
    rows: int
    """Rows in the file."""
    bad: int = 0
    """Rows that cannot be read and were skipped because that was asked for."""
    empty: int = 0
    """Rows without a prompt or without a response; the official code drops them without a word."""
    examples: int
    """Rows that the trainer sees."""
    damage: Damage = field(default_factory=Damage)
    tokens: int | None = None
    """Tokens of all examples, padding left out. None where only rows were counted."""
    padded_tokens: int | None = None
    """Tokens of all examples at the official constant length."""
    trained_tokens: int | None = None
    """Tokens that have a label, and so a loss."""
    longest: int | None = None
    """Tokens of the longest example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of a run beside what its files say."""

    transformers: str
    """The version whose arithmetic the forecast follows."""
    devices: int = 1
    """Data-parallel processes."""
    train: DataFacts | None = None
    validation: DataFacts | None = None
    test: DataFacts | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
