"""What is odd in the texts of rows, whatever becomes of them: rows that repeat others, answers that
repeat their question, control tokens spelt out. Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..facts import Seen, Texts
from ..params.data import Data
from .rows import Row, Rows

FIRST = 5
"""Lines that are kept of each kind of row."""


def texts_of(rows: Rows) -> Texts:
    """What shows without a tokenizer."""
    said: set[int] = set()
    repeated: list[int] = []
    for row in rows:
        whole = hash((row.system, row.history, row.prompt, row.response))
        if whole in said:
            repeated.append(row.line)
        said.add(whole)
    return Texts(
        repeated=seen(repeated),
        echoed=seen(row.line for row in rows if row.prompt.strip() == row.response.strip()),
        trailing=seen(row.line for row in rows if row.response != row.response.rstrip()),
        out_of_turn=seen(rows.out_of_turn),
    )


def with_control_tokens(
    texts: Texts, rows: Rows, tokenizer: Any, data: Data, *, always_plain: bool
) -> Texts:
    """With the rows that name control tokens, and what becomes of the names.

    Args:
        always_plain: whether the family reads them as letters whatever ``data.reading`` says.
    """
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

    if data.read_as == "published" and not always_plain:
        lines = [row.line for row in rows if any(map(names_one, _texts(row)))]
        return replace(texts, commands=seen(lines))
    return replace(texts, spelt_out=seen(row.line for row in rows if names_one(row.response)))


def seen(lines: Iterable[int]) -> Seen:
    """So many rows, and the lines of the first."""
    lines = list(lines)
    return Seen(len(lines), tuple(lines[:FIRST]))


def _texts(row: Row) -> list[str]:
    return [row.system, row.prompt, row.response, *(text for pair in row.history for text in pair)]
