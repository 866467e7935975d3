"""Encoded examples in memory: two flat arrays instead of a hundred thousand lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np


class Ragged:
    """Rows of integers of different lengths, one after another in one array."""

    def __init__(self, values: np.ndarray, ends: np.ndarray) -> None:
        self.values = values
        """int32 [sum of the lengths]"""
        self.ends = ends
        """int64 [rows], the position after each row"""

    @classmethod
    def of(cls, rows: Sequence[list[int]]) -> Ragged:
        lengths = [len(row) for row in rows]
        values = np.fromiter(chain.from_iterable(rows), np.int32, count=sum(lengths))
        return cls(values, np.cumsum(lengths, dtype=np.int64))

    @classmethod
    def joined(cls, parts: Iterable[Ragged]) -> Ragged:
        parts = list(parts)
        lengths = [part.lengths for part in parts] or [np.zeros(0, np.int64)]
        values = [part.values for part in parts] or [np.zeros(0, np.int32)]
        return cls(np.concatenate(values), np.cumsum(np.concatenate(lengths)))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ends, prepend=0)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> np.ndarray:
        start = self.ends[index - 1] if index else 0
        return self.values[start : self.ends[index]]


class Examples:
    """A map-style dataset (for torch's DataLoader) of dicts of lists of ints.

    Each has "input_ids" and "labels", not padded; of equal length for training, but for an
    encoder-decoder, whose labels are a text of their own. Examples to generate from have
    "padded_to" as well where the official code pads by blocks: its batches are that long at least,
    and since its limit on generation counts the padding, so do the new tokens that it allows.
    """

    def __init__(self, input_ids: Ragged, labels: Ragged, padded_to: np.ndarray | None) -> None:
        assert len(input_ids) == len(labels), "an example has both"
        self.input_ids = input_ids
        self.labels = labels
        self.padded_to = padded_to

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, list[int] | int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        index %= len(self)
        example: dict[str, list[int] | int] = {
            "input_ids": self.input_ids[index].tolist(),
            "labels": self.labels[index].tolist(),
        }
        if self.padded_to is not None:
            example["padded_to"] = int(self.padded_to[index])
        return example


BLOCK = 1000
"""Rows that the official code tokenizes, and pads, together (the batch size of datasets' map)."""


def block_lengths(lengths: np.ndarray, workers: int | None) -> np.ndarray:
    """For each example the longest of its block: what ``main.py`` pads an evaluation row to.

    Each of its workers takes one run of rows and cuts that into blocks. Blocks are counted over
    the usable rows; empty rows among them would move the official borders by as many.

    Args:
        lengths: int [examples].
        workers: its ``preprocessing_num_workers``.
    """
    shares = np.array_split(lengths, min(workers or 1, max(len(lengths), 1)))
    blocks = [share[at : at + BLOCK] for share in shares for at in range(0, len(share), BLOCK)]
    longest = [np.full_like(block, block.max()) for block in blocks]
    return np.concatenate(longest) if longest else lengths
