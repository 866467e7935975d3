"""JSON with the line of every key, also as it comes out of a web page or a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from ..errors import UserError, refuse
from ..params.setting import Note
from ..text import Said, place

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
    except (RecursionError, ValueError):  # a number of thousands of digits is a ValueError
        raise refuse(
            what="this JSON is nested too deep, or holds a number that is too long",
            where=file,
            why="no file that a program reads looks so",
            fix="name the file that is meant",
        ) from None


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


ODD_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|[\u00a0\u2002\u2003\u2009\u3000]')
BARE_KEY = re.compile(r'\s*"[^"\n]+"\s*:')
CLASS_IN_FRONT = re.compile(r"\s*(?:(?:Model|Generate) config )?[A-Za-z_]\w*\s+(?=\{\s*(\"|\}))")
"""A printed config: 'ChatGLMConfig {', and in a log 'Model config ChatGLMConfig {'."""


def is_bare(text: str) -> bool:
    """Whether it is JSON that was copied without its outer brackets, or printed with the name of a
    class in front.
    """
    return bool(BARE_KEY.match(text) or CLASS_IN_FRONT.match(text))


def mended(text: str, file: str) -> tuple[str, list[Note]]:
    """The text as it was before a web page or a log had it, every line where it is; and notes of
    what was put right.
    """
    notes: list[Note] = []
    plain = ODD_BLANKS.sub(lambda found: found[1] or " ", text)
    if plain != text:
        what = Said(
            "blanks that JSON does not know are read as blanks", "JSON 不认识的空白当作空格读取"
        )
        why = Said(
            "they come from a web page; other programs cannot read a file that has them",
            "它们来自网页，别的程序读不了这样的文件",
        )
        notes.append(Note(what, file, why))
    if named := CLASS_IN_FRONT.match(plain):
        front = repr(named[0].strip())
        what = Said(f"{front} in front of the bracket is left out", f"去掉了括号前的 {front}")
        why = Said("transformers prints a config so", "transformers 打印配置时会带上它")
        notes.append(Note(what, file, why))
        plain = "\n" * named[0].count("\n") + plain[named.end() :]
    if BARE_KEY.match(plain):  # copied without its first line, or without its first and last
        inner = plain.rstrip().rstrip(",")
        closed = inner.endswith("}") and inner.count("}") > inner.count("{")
        plain = f"{{{inner}" + ("" if closed else "}")
        what = Said("the outer brackets are missing", "缺少最外层的括号")
        notes.append(Note(what, file, Said("read as if they were there", "按有括号读取")))
    return plain, notes


def plain(value: object) -> object:
    """A value as JSON has it: tuples as lists, 3.0 as 3."""
    if isinstance(value, tuple | list):
        return [plain(one) for one in cast(tuple[object, ...], value)]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(cast(float, value)) if whole else value
