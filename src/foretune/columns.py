"""Text in the columns of a terminal, where a Chinese character takes two."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator

NARROWEST, USUAL, WIDEST = 40, 100, 110
NO_LINE_STARTS_WITH = "，。；：！？、）》”,.;:!?)]%"
NO_LINE_ENDS_WITH = "（《“("
PIECE = re.compile(r"\s+|[!-\u2e7f]+|.")
"""A blank, a word of letters, or one Chinese character."""


def columns(text: str) -> int:
    """The columns that a text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def padded(text: str, width: int) -> str:
    """The text with blanks up to ``width`` columns."""
    return text + " " * (width - columns(text))


def terminal_width() -> int:
    """The columns to write in: those of the terminal, within what reads well."""
    told = os.environ.get("COLUMNS", "")
    wide = int(told) if told.isdecimal() else USUAL
    if not told.isdecimal() and sys.__stdout__ is not None:
        with contextlib.suppress(OSError, ValueError):  # a file or a pipe is no terminal
            wide = os.get_terminal_size(sys.__stdout__.fileno()).columns
    return max(NARROWEST, min(WIDEST, wide))


def wrapped(text: str, width: int, indent: str = "", then: str | None = None) -> Iterator[str]:
    """The lines of a paragraph, none wider than ``width`` if its words allow; ``then`` stands in
    front of all but the first.
    """
    line, room = indent, width
    empty = True
    for piece in _unbroken(text):
        if piece.isspace():
            line += "" if empty else " "
            continue
        if not empty and columns(line + piece) > room:
            yield line.rstrip()
            line = indent if then is None else then
        line += piece
        empty = False
    yield line.rstrip()


def _unbroken(text: str) -> Iterator[str]:
    """The pieces of a text between which a line may end."""
    held = ""
    for piece in PIECE.findall(text):
        if piece[0] in NO_LINE_STARTS_WITH or held[-1:] in tuple(NO_LINE_ENDS_WITH):
            held += piece
            continue
        if held:
            yield held
        held = piece
    if held:
        yield held
