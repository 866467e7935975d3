"""Tokens that go through the model with the padding of their batches, from how many rows have how
many tokens. Which rows share a batch is left to chance, so it is an expectation with an interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

Lengths = Sequence[tuple[int, int]]
"""Tokens of a row, and how many rows have so many; the shortest first."""

SURE = 1.96
MEGA_BATCHES = 50
"""Steps that group_by_length sorts together (transformers 5.23, get_length_grouped_indices)."""


@dataclass(frozen=True, slots=True)
class Padded:
    """Tokens of one pass over the data, padding included."""

    tokens: float
    within: float = 0.0
    """Half of the 95 % interval, as a share; 0 where it is exact."""


def longest_of(lengths: Lengths, drawn: int) -> tuple[float, float]:
    """Expected length of the longest of so many rows, drawn without putting back, and its variance.

    The chance that none of ``drawn`` out of N rows is longer than l is C(n, drawn) / C(N, drawn),
    n being the rows that are not.
    """
    below = list(accumulate(count for _, count in lengths))
    chances = [_chance(n, below[-1], drawn) for n in below]
    own = [now - before for before, now in zip([0.0, *chances], chances, strict=False)]
    mean = sum(length * chance for (length, _), chance in zip(lengths, own, strict=True))
    square = sum(length**2 * chance for (length, _), chance in zip(lengths, own, strict=True))
    return mean, max(square - mean**2, 0.0)


def _chance(among: int, rows: int, drawn: int) -> float:
    if among < drawn:
        return 0.0
    return math.exp(_choices(among, drawn) - _choices(rows, drawn))


def _choices(rows: int, drawn: int) -> float:
    """The logarithm of the ways to choose."""
    return math.lgamma(rows + 1) - math.lgamma(drawn + 1) - math.lgamma(rows - drawn + 1)


def padded_epoch(lengths: Lengths, *, micro: int, order: str, accumulation: int = 1) -> Padded:
    """Tokens of one pass over all rows in micro batches, each padded to its longest row."""
    rows = sum(count for _, count in lengths)
    whole, rest = divmod(rows, micro)
    if order == "group_by_length":
        return _grouped(lengths, rows, micro, micro * accumulation)
    tokens = spread = 0.0
    for batches, size in ((whole, micro), (1 if rest else 0, rest)):
        if batches:
            mean, variance = longest_of(lengths, size)
            tokens += batches * size * mean
            spread += batches * size**2 * variance
    return Padded(tokens, SURE * math.sqrt(spread) / tokens)


def _grouped(lengths: Lengths, rows: int, micro: int, step: int) -> Padded:
    """Rows sorted within runs of steps: the longest of each batch is a quantile of all rows."""
    together = step * max(min(rows // (step * 4), MEGA_BATCHES), 1)
    places = range(0, min(together, rows), micro)
    below = list(accumulate(count for _, count in lengths))

    def at(place: int) -> int:
        wanted = (1 - (place + 0.5) / min(together, rows)) * rows
        return next(length for (length, _), n in zip(lengths, below, strict=True) if n >= wanted)

    run = sum(at(place) * min(micro, min(together, rows) - place) for place in places)
    tokens = run * rows / min(together, rows)
    return Padded(tokens, 0.05)
