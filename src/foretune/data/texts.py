"""What is odd in the texts of rows, whatever becomes of them: rows that repeat others, answers that
repeat their question, control tokens spelt out. Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ..facts import Seen, Texts
from ..params.data import Data
from .rows import Row, Rows

FIRST = 5
"""Lines that are kept of each kind of row."""


class Oddities:
    """What is odd in rows, counted while they go by."""

    def __init__(self, names_one: Callable[[str], bool] | None = None, *, plain: bool = True):
        """``names_one``: whether a text names a control token (`control_tokens`), where the rows
        are to be looked through for them; ``plain``: whether the names are read as letters.
        """
        self.names_one, self.plain = names_one, plain
        self._said: set[int] = set()
        self._found = {name: _Lines() for name in _KINDS}

    def add(self, row: Row) -> None:
        """Counts a row."""
        found = self._found
        whole = hash((row.system, row.history, row.prompt, row.response))
        found["repeated"].add(row.line, whole in self._said)
        self._said.add(whole)
        found["echoed"].add(row.line, row.prompt.strip() == row.response.strip())
        found["trailing"].add(row.line, row.response != row.response.rstrip())
        if self.names_one is None:
            return
        if self.plain:
            found["spelt_out"].add(row.line, self.names_one(row.response))
        else:
            found["commands"].add(row.line, any(map(self.names_one, _texts(row))))

    def texts(self, out_of_turn: Iterable[int]) -> Texts:
        """What was counted."""
        counted = {name: lines.seen for name, lines in self._found.items()}
        return Texts(**counted, out_of_turn=seen(out_of_turn))


_KINDS = ("repeated", "echoed", "trailing", "commands", "spelt_out")


class _Lines:
    def __init__(self) -> None:
        self.count, self.first = 0, list[int]()

    def add(self, line: int, is_one: bool) -> None:
        self.count += is_one
        if is_one and len(self.first) < FIRST:
            self.first.append(line)

    @property
    def seen(self) -> Seen:
        return Seen(self.count, tuple(self.first))


def texts_of(rows: Rows, oddities: Oddities | None = None) -> Texts:
    """What shows in all rows; without a tokenizer where none is in ``oddities``."""
    found = oddities or Oddities()
    for row in rows:
        found.add(row)
    return found.texts(rows.out_of_turn)


def oddities_of(tokenizer: Any, data: Data, *, always_plain: bool) -> Oddities:
    """To count with a tokenizer; ``always_plain``: its family reads the names of control tokens as
    letters whatever ``data.reading`` says.
    """
    plain = data.read_as != "published" or always_plain
    return Oddities(control_tokens(tokenizer), plain=plain)


def control_tokens(tokenizer: Any) -> Callable[[str], bool]:
    """Whether a text names a control token of the tokenizer."""
    added: Iterable[Any] = tokenizer.added_tokens_decoder.values()
    names = {one.content for one in added if one.special} | set(tokenizer.all_special_tokens)
    found = re.compile("|".join(re.escape(name) for name in sorted(names) if len(name) > 2) or "$^")

    def names_one(text: str) -> bool:
        if not found.search(text):
            return False
        as_tokens, as_letters = (
            tokenizer.encode(text, add_special_tokens=False, split_special_tokens=plain)
            for plain in (False, True)
        )
        return as_tokens != as_letters

    return names_one


def seen(lines: Iterable[int]) -> Seen:
    """So many rows, and the lines of the first."""
    lines = list(lines)
    return Seen(len(lines), tuple(lines[:FIRST]))


def _texts(row: Row) -> list[str]:
    return [row.system, row.prompt, row.response, *(text for pair in row.history for text in pair)]
