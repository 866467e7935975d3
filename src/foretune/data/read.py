"""From the user's file, or a hub data set, to rows with honest counts. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..facts import DataFacts
from ..params.data import Data
from .hub import hub_records
from .records import records_of
from .rows import Record, Rows, RowStream, rows_of
from .stream import Advance, streamed
from .texts import Oddities

Split = Literal["train", "evaluate", "predict"]

_HUB_PARTS = {"train": "train", "evaluate": "validation", "predict": "test"}


def read_rows(file: str, data: Data, *, limit: int | None = None) -> Rows:
    """The rows of a .json, .jsonl or .csv file; at most ``limit`` of them are read.

    Raises:
        UserError: with everything in the file that cannot be used (see :func:`rows.rows_of`).
    """
    return rows_of(file, records_of(file), data, limit=limit)


def limit_of(data: Data, split: Split) -> int | None:
    """The most rows that are read for one use of the data."""
    return {
        "train": data.max_train_rows,
        "evaluate": data.max_eval_rows,
        "predict": data.max_predict_rows,
    }[split]


def read_split(file: str | None, data: Data, split: Split) -> Rows:
    """The rows for one use of the data, within its limit; from ``data.dataset`` without a file."""
    if file is not None:
        return read_rows(file, data, limit=limit_of(data, split))
    name, records = _of_hub(data, split)
    return rows_of(name, records, data, limit=limit_of(data, split))


def open_split(
    file: str | None, data: Data, split: Split, advance: Advance = lambda count: None
) -> RowStream:
    """The same rows one after the other, without all of them in memory; ``advance`` is told of
    every piece of the file that was read.
    """
    name, records = _of_hub(data, split) if file is None else (file, streamed(file, advance))
    return RowStream(name, records, data, limit=limit_of(data, split))


def _of_hub(data: Data, split: Split) -> tuple[str, Iterator[Record]]:
    part = _HUB_PARTS[split]
    return f"{data.dataset}[{part}]", hub_records(data, part)


def count_rows(file: str | None, data: Data, *, split: Split = "train") -> DataFacts:
    """What is known of a file without a tokenizer. Rows that are too long count as examples."""
    rows, odd = open_split(file, data, split), Oddities()
    for row in rows:
        odd.add(row)
    return DataFacts(
        file=rows.file,
        rows=rows.read,
        bad=rows.bad,
        empty=rows.empty,
        examples=rows.usable,
        texts=odd.texts(rows.out_of_turn),
    )
