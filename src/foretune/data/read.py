"""From the user's file, or a hub data set, to rows with honest counts. Knows no torch."""

from __future__ import annotations

from typing import Literal

from ..facts import DataFacts
from ..params.data import Data
from .hub import hub_records
from .records import records_of
from .rows import Rows, rows_of
from .texts import texts_of

Split = Literal["train", "evaluate", "predict"]

_HUB_PARTS = {"train": "train", "evaluate": "validation", "predict": "test"}


def read_rows(file: str, data: Data, *, limit: int | None = None) -> Rows:
    """The rows of a .json, .jsonl or .csv file; at most ``limit`` of them are read.

    Raises:
        UserError: with everything in the file that cannot be used (see :func:`rows.rows_of`).
    """
    return rows_of(file, records_of(file), data, limit=limit)


def read_split(file: str | None, data: Data, split: Split) -> Rows:
    """The rows for one use of the data, within its limit; from ``data.dataset`` without a file."""
    limit = {
        "train": data.max_train_rows,
        "evaluate": data.max_eval_rows,
        "predict": data.max_predict_rows,
    }[split]
    if file is not None:
        return read_rows(file, data, limit=limit)
    part = _HUB_PARTS[split]
    return rows_of(f"{data.dataset}[{part}]", hub_records(data, part), data, limit=limit)


def count_rows(file: str | None, data: Data, *, split: Split = "train") -> DataFacts:
    """What is known of a file without a tokenizer. Rows that are too long count as examples."""
    rows = read_split(file, data, split)
    return DataFacts(
        file=rows.file,
        rows=rows.read,
        bad=rows.bad,
        empty=rows.empty,
        examples=len(rows),
        texts=texts_of(rows),
    )
