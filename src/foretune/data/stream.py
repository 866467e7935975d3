"""Records of a file as they are read: the same as :func:`records.records_of` gives, with a piece of
the file in memory at a time. Knows no torch.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ..errors import Problem
from .records import csv_records, is_row, line_record, records_of, refuse_text_of
from .rows import Record

PIECE = 1 << 20
"""Bytes that are read at once."""
HEAD = 1 << 22
"""Bytes in which the kind of a file shows."""
FAR = 1 << 22
"""Characters behind a place that JSON cannot go on from: it is broken there, and not cut off."""

CUT_OFF = ("", ".", "e", "E")
"""What follows a number that may be cut off: nothing yet, or its own next part."""

Advance = Callable[[int], object]
"""Told of so many bytes that were read."""


def streamed(file: str, advance: Advance = lambda count: None) -> Iterator[Record | Problem]:
    """The records of ``file``. A file of one object that holds the rows, and a broken one, are read
    whole.

    Raises:
        UserError: as :func:`records.records_of`.
    """
    path = Path(file).expanduser()
    read = {".csv": _csv, ".json": _json, ".jsonl": _json}.get(path.suffix.lower())
    if read is None or not path.is_file():
        return records_of(file)
    return read(file, path, advance)


def _json(file: str, path: Path, advance: Advance) -> Iterator[Record | Problem]:
    with path.open("rb") as source:
        first = source.read(HEAD).removeprefix(codecs.BOM_UTF8)
        lines = [line for line in first.split(b"\n")[:-1] if line.strip()][:2]
        opens_list = first.lstrip().startswith(b"[")
        try:
            rows = any(is_row(line.decode()) for line in lines)
        except UnicodeDecodeError:
            rows = False
        source.seek(0)
        if opens_list:
            yield from _array(file, source, advance)
        elif rows:
            yield from _lines(file, source, advance)
        else:
            yield from records_of(file)
            advance(path.stat().st_size)


def _lines(file: str, source: BinaryIO, advance: Advance) -> Iterator[Record | Problem]:
    for line, raw in enumerate(source, start=1):
        advance(len(raw))
        try:
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8").rstrip("\n")
        except UnicodeDecodeError:
            raise refuse_text_of(file) from None
        if text and not text.isspace():
            yield line_record(file, line, text)


class _Text:
    """The part of a text that was read and not yet used up."""

    def __init__(self, source: BinaryIO, advance: Advance) -> None:
        self.source, self.advance = source, advance
        self.decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self.text, self.line, self.ended = "", 1, False

    def read(self) -> None:
        """Another piece, as long as what is there already, so that a long row is soon whole."""
        raw = self.source.read(max(PIECE, len(self.text)))
        self.ended = not raw
        self.text += self.decode(raw, self.ended)
        self.advance(len(raw))

    def use(self, count: int) -> None:
        self.line += self.text.count("\n", 0, count)
        self.text = self.text[count:]

    def next(self) -> str:
        """The next character that is no blank, which stays; "" at the end."""
        while True:
            bare = self.text.lstrip(" \t\n\r")
            self.use(len(self.text) - len(bare))
            if bare or self.ended:
                return bare[:1]
            self.read()

    def value(self) -> object:
        """The JSON value that begins here. Raises ValueError where it is broken."""
        decoder, at = json.JSONDecoder(), 0
        while True:
            try:
                value, end = decoder.raw_decode(self.text, at)
                if self.ended or self.text[end : end + 1] not in CUT_OFF:
                    self.use(end)
                    return value
            except json.JSONDecodeError as broken:
                if self.ended or broken.pos + FAR < len(self.text):
                    raise
            self.read()


def _array(file: str, source: BinaryIO, advance: Advance) -> Iterator[Record | Problem]:
    text, given = _Text(source, advance), 0
    try:
        text.next()
        text.use(1)  # the bracket that opens
        while text.next() != "]":
            line = text.line
            value = text.value()
            yield line, value
            given += 1
            if text.next() == ",":
                text.use(1)
                text.next()
            elif text.next() != "]":
                raise ValueError("no comma")
        text.use(1)
        if text.next():
            raise ValueError("more after the end")
    except ValueError:  # what is wrong, and where, the reader of whole files says
        yield from islice(records_of(file), given, None)


def _csv(file: str, path: Path, advance: Advance) -> Iterator[Record | Problem]:
    with (
        path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as source,
    ):
        before = 0

        def lines() -> Iterator[str]:
            nonlocal before
            for line in source:
                yield line
                now = raw.tell()
                advance(now - before)
                before = now

        try:
            first = next((line for line in source if line.strip()), None)
            if first is None:
                yield from records_of(file)
                return
            source.seek(0)
            yield from csv_records(file, lines())
        except UnicodeDecodeError:
            raise refuse_text_of(file) from None
