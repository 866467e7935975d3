"""Files read piece by piece give what they give when they are read whole, broken ones too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foretune.data import stream
from foretune.data.read import count_rows, read_split
from foretune.data.records import records_of
from foretune.data.stream import streamed
from foretune.errors import UserError

from .conftest import data_of

ROWS = [{"prompt": f"问 {n} [\n]", "response": "答" * n + ' "\\ }'} for n in range(40)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
FILES: dict[str, Any] = {
    "lines.jsonl": LINES,
    "windows.jsonl": LINES.replace("\n", "\r\n"),
    "blank lines.json": "\n\n" + LINES.replace("\n", "\n \n") + "\n",
    "no last newline.jsonl": LINES.rstrip(),
    "marked.jsonl": b"\xef\xbb\xbf" + LINES.encode(),
    "one row.json": json.dumps(ROWS[0]),
    "bad line.jsonl": LINES + '{"prompt": \n' + LINES,
    "list.json": json.dumps(ROWS),
    "indented.json": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "marked list.json": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "numbers.json": "[1, 23, 456, 7.5e3, true, null]",
    "empty list.json": " [ ] ",
    "comma at the end.json": json.dumps(ROWS)[:-1] + ",]",
    "no comma.json": json.dumps(ROWS).replace("}, {", "} {"),
    "cut off.json": json.dumps(ROWS)[:-30],
    "more behind.json": json.dumps(ROWS) + " x",
    "broken inside.json": json.dumps(ROWS).replace('"response": "', '"response": ', 5),
    "inside data.json": json.dumps({"version": 1, "data": ROWS}, indent=1),
    "no data.json": json.dumps({"rows": ROWS}),
    "nothing.json": "",
    "blank.csv": "\n\n",
    "table.csv": 'prompt,response\na,"b\nc"\n"d ""x""",e\n',
    "uneven.csv": "prompt,response\na,b,c\nd,e\n",
    "open quote.csv": 'prompt,response\na,"b\nc,d\n',
    "latin.jsonl": LINES.encode() + b"\xff\n",
    "latin list.json": json.dumps(ROWS)[:-1].encode() + b', {"prompt": "\xff"}]',
    "latin.csv": b"prompt,response\na,\xff\n",
    "list.txt": "[]",
}


def all_of(records: Any, file: str) -> list[Any]:
    found: list[Any] = []
    try:
        found += records(file)
    except UserError as refusal:
        found.append(refusal.problems)
    return found


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_every_kind_of_file_gives_the_same_records_piece_by_piece(write, monkeypatch, piece):
    monkeypatch.setattr(stream, "PIECE", piece)
    monkeypatch.setattr(stream, "HEAD", 1 << 12)
    seen = 0
    for name, content in FILES.items():
        file = write(name, content)
        pieces, whole = all_of(streamed, file), all_of(records_of, file)
        if name.startswith("latin"):  # what stands before the byte that is no text has been given
            pieces = pieces[-1:]
        assert pieces == whole, name
        seen += 1
    assert seen == len(FILES) >= 28
    assert all_of(streamed, "no such file.json") == all_of(records_of, "no such file.json")


def test_a_long_file_is_never_in_memory_as_a_whole(write, monkeypatch):
    file = write("list.json", json.dumps(ROWS * 50))
    monkeypatch.setattr(stream, "records_of", None)  # which reads all of it
    monkeypatch.setattr(stream, "PIECE", 64)
    longest, told = 0, 0
    plain = stream._Text.read

    def watched(text):
        nonlocal longest
        plain(text)
        longest = max(longest, len(text.text))

    def advance(count: int) -> None:
        nonlocal told
        told += count

    monkeypatch.setattr(stream._Text, "read", watched)
    assert len(list(streamed(file, advance))) == 2000
    assert longest < 1000
    assert told == len(json.dumps(ROWS * 50))


def test_counting_rows_says_what_reading_them_says(write):
    rows = [*ROWS, {"prompt": "a", "response": ""}, {"prompt": "a"}, {"prompt": 1, "response": "b"}]
    file, data = write("rows.jsonl", rows), data_of(bad_rows="skip")
    whole, counted = read_split(file, data, "train"), count_rows(file, data)
    assert (counted.rows, counted.bad, counted.empty) == (whole.read, whole.bad, whole.empty)
    assert (counted.rows, counted.bad, counted.examples) == (43, 2, len(whole))
    with pytest.raises(UserError) as streaming:
        count_rows(file, data_of())
    with pytest.raises(UserError) as reading:
        read_split(file, data_of(), "train")
    assert streaming.value.problems == reading.value.problems
