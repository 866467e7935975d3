"""JSON with the line of every key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import UserError, refuse
from ..text import place

Path = tuple[str, ...]
TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}\[\]]')
HINTS = {
    "“": "write straight quotes",
    "”": "write straight quotes",
    "'": "write double quotes",
    ",": "take out the comma in front of the bracket",
    "}": "take out the comma in front of the bracket",
    "]": "take out the comma in front of the bracket",
    "/": "take the comment out; JSON has none",
    "#": "take the comment out; JSON has none",
    "T": "write true",
    "F": "write false",
    "N": "write null",
}


def read_json(text: str, file: str) -> Any:
    """The value that JSON text spells. Raises UserError with the place where it is broken."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise broken(error, file) from None


def broken(error: json.JSONDecodeError, file: str) -> UserError:
    """What a user is told of JSON that cannot be read."""
    found = error.doc[error.pos : error.pos + 1]
    message = f"{error.msg[:1].lower()}{error.msg[1:]}"
    return refuse(
        what=f"this is no JSON: {message}, found {found or 'the end'!r}",
        where=f"{place(file, error.lineno)}, column {error.colno}",
        why="nothing behind the broken place can be read",
        fix=HINTS.get(found, "mend the file there, or take it anew from where it came from"),
    )


def key_lines(text: str) -> Iterator[tuple[Path, int]]:
    """Every key of readable JSON text, as a path, and its line; a list is the key '[]'."""
    path: list[str] = []
    opened: list[str] = []
    key = ""
    line, counted = 1, 0
    for token in TOKEN.finditer(text):
        if token[2]:
            line += text.count("\n", counted, token.start())
            counted, key = token.start(), json.loads(token[1])
            yield (*path[1:], key), line
        elif token[0] in "{[":
            path.append("[]" if opened[-1:] == ["["] else key)
            opened.append(token[0])
        elif token[0] in "}]":
            path.pop()
            opened.pop()
