"""Records of a .json, .jsonl or .csv file, each with the line it starts on.

Where one record is broken and the next can still be found, a Problem takes its place; where it
cannot, UserError ends the reading. Knows no torch.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import Problem, UserError, refuse
from ..text import counted, nearest, place, sentence_list
from .rows import Record

_BLANK = re.compile(r"[ \t\n\r]*")
_JSON = json.JSONDecoder()


def records_of(file: str) -> Iterator[Record | Problem]:
    """The records of a file, read by its extension.

    A .json or .jsonl file holds one array, or one object per line, or ``{"data": [...]}``; which
    of them is seen from its content.

    Raises:
        UserError: for a file that is missing, empty, not UTF-8, or of another kind.
    """
    kinds = {".json": _json_records, ".jsonl": _json_records, ".csv": _csv_text}
    path = Path(file).expanduser()
    read = kinds.get(path.suffix.lower())
    if read is None:
        raise refuse(
            what=f"{path.name} is of a kind that is not read: {path.suffix or 'no extension'}",
            where=file,
            why="the extension says how a file is read",
            fix=f"give a file of one of the kinds {sentence_list(kinds)}",
        )
    text = _text_of(path, file)
    if not text.strip():
        raise refuse(
            what="this file is empty",
            where=file,
            why="there is nothing to read in it",
            fix="give a file that has rows",
        )
    return read(file, text)


def _text_of(path: Path, file: str) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(_missing(path, file)) from None
    except OSError as error:
        raise refuse(
            what=f"{path.name} cannot be read: {error.strerror}",
            where=file,
            why="the operating system refuses it",
            fix="give a file, and the right to read it",
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(file, raw, error.start)) from None


def refuse_text_of(file: str) -> UserError:
    """What is wrong with a file that is no text."""
    try:
        _text_of(Path(file).expanduser(), file)
    except UserError as refusal:
        return refusal
    raise AssertionError("it is text")


def _missing(path: Path, file: str) -> Problem:
    folder = path.parent
    there = [other.name for other in folder.iterdir()] if folder.is_dir() else []
    like = nearest(path.name, there)
    return Problem(
        what=f"there is no file {path.name}",
        where=file,
        why=f"the folder {folder} holds {sentence_list(sorted(there)) or 'nothing'}"
        if folder.is_dir()
        else f"there is no folder {folder}",
        fix=f"write {folder / like}" if like else "give the path of a file that is there",
    )


def _not_utf8(file: str, raw: bytes, at: int) -> Problem:
    line = raw.count(b"\n", 0, at) + 1
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "gb18030"
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        encoding = "ITS-ENCODING"
    name = Path(file).name
    return Problem(
        what=f"byte 0x{raw[at]:02x} at position {at:,} is not UTF-8",
        where=place(file, line),
        why="text is read as UTF-8, with or without a byte order mark"
        + ("" if encoding.isupper() else f"; this file can be read as {encoding}"),
        fix=f"convert it: iconv -f {encoding} -t utf-8 {name} > utf8-{name}",
    )


# JSON


def _json_records(file: str, text: str) -> Iterator[Record | Problem]:
    start = _skip(text, 0)
    if text[start] == "[":
        end = yield from _array(file, text, start)
        if _skip(text, end) != len(text):
            raise _broken(file, text, "text after the end of the array", _skip(text, end))
    elif any(map(is_row, _first_lines(text, 2))):
        yield from _lines(file, text)
    else:
        yield from _container(file, text, start)


def _first_lines(text: str, count: int) -> list[str]:
    lines = (line[0] for line in re.finditer(r"[^\n]*\S[^\n]*", text))
    return list(islice(lines, count))


def is_row(line: str) -> bool:
    """Whether a line is a JSON object by itself, other than ``{"data": [...]}``."""
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and not isinstance(value.get("data"), list)


def _lines(file: str, text: str) -> Iterator[Record | Problem]:
    for line, source in enumerate(text.split("\n"), start=1):
        if source and not source.isspace():
            yield line_record(file, line, source)


def line_record(file: str, line: int, source: str) -> Record | Problem:
    """The record that stands on a line by itself, or what is wrong with the line."""
    try:
        return line, json.loads(source)
    except json.JSONDecodeError as error:
        message = f"{error.msg}, at column {error.colno}"
        return _not_json(file, line, message, source[max(error.pos - 20, 0) : error.pos + 5])


def _array(file: str, text: str, start: int) -> Generator[Record, None, int]:
    """The elements of the array that opens at ``start``; returns the position after it."""
    line, counted_to = 1, 0
    position = _skip(text, start + 1)
    while not text.startswith("]", position):
        value, end = _value(file, text, position)
        line += text.count("\n", counted_to, position)
        counted_to = position
        yield line, value
        position = _skip(text, end)
        if text.startswith(",", position):
            position = _skip(text, position + 1)
        elif not text.startswith("]", position):
            raise _broken(file, text, "no comma and no end of the array", position)
    return position + 1


def _container(file: str, text: str, start: int) -> Iterator[Record]:
    """The array under "data" in the one object that the file is."""
    keys: list[str] = []
    position = _skip(text, start + 1) if text.startswith("{", start) else start
    while not text.startswith("}", position):
        key, end = _value(file, text, position)
        position = _skip(text, end)
        if not text.startswith(":", position):
            raise _broken(file, text, "no colon after a key", position)
        position = _skip(text, position + 1)
        keys.append(str(key))
        if key == "data" and text.startswith("[", position):
            end = yield from _array(file, text, position)
        else:
            _, end = _value(file, text, position)
        position = _skip(text, end)
        if text.startswith(",", position):
            position = _skip(text, position + 1)
        elif not text.startswith("}", position):
            raise _broken(file, text, "no comma and no end of the object", position)
    if "data" not in keys:
        raise refuse(
            what=f"the file is one object, with the keys {sentence_list(keys)}",
            where=file,
            why="rows are an array, or one object per line, or the array under 'data'",
            fix='write [{...}, {...}], or one {...} per line, or {"data": [{...}, {...}]}',
        )


def _value(file: str, text: str, position: int) -> tuple[Any, int]:
    try:
        return _JSON.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise _broken(file, text, error.msg, error.pos) from None


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    assert blank is not None, "a run of no characters matches as well"
    return blank.end()


def _broken(file: str, text: str, message: str, position: int) -> UserError:
    line = text.count("\n", 0, position) + 1
    near = text[max(position - 20, 0) : position + 5].replace("\n", "\\n")
    return UserError(_not_json(file, line, message, near))


def _not_json(file: str, line: int, message: str, near: str) -> Problem:
    return Problem(
        what=f"broken JSON: {message[:1].lower()}{message[1:]}",
        where=place(file, line),
        why=f"it stands near: {near}",
        fix="mend the JSON there: double quotes, \\n for a new line, no comma after the last",
    )


# CSV


def _csv_text(file: str, text: str) -> Iterator[Record | Problem]:
    return csv_records(file, io.StringIO(text, newline=""))


def csv_records(file: str, lines: Iterable[str]) -> Iterator[Record | Problem]:
    """The records of the lines of a CSV file, the names of the columns in the first."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is 131,072 characters
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1  # a quoted field may go over several lines
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(
                what=f"broken CSV: {error}",
                where=place(file, line),
                why="a quote that is not closed, or stands inside a field, moves all that follows",
                fix='put the field in quotes, and write a quote inside it as ""',
            )
            continue
        if not values:
            continue
        if header is None:
            header = values
        elif len(values) != len(header):
            yield Problem(
                what=f"{counted(len(values), 'field')} where the header has {len(header):,}",
                where=place(file, line),
                why="which column each field belongs to is then a guess",
                fix="put fields that hold commas or new lines in quotes",
            )
        else:
            yield line, dict(zip(header, values, strict=True))
