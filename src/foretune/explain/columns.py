"""Text in the columns of a terminal, where a Chinese character takes two."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterator

NARROWEST, WIDEST = 40, 110
NO_LINE_STARTS_WITH = "，。；：！？、）》”,.;:!?)]%"
NO_LINE_ENDS_WITH = "（《“("
PIECE = re.compile(r"\s+|[^\s\u2e80-\uffff]+|[\u2e80-\uffff]")


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
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((100, 40)).columns))


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
