"""The candidates that no other one beats in everything: the Pareto front."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
Three = tuple[float, float, float]


def front(of: Iterable[T], amounts: Callable[[T], Three]) -> list[T]:
    """Those of which no other has less or the same of all three amounts, by the first amount. Of
    several with the same amounts the first one given stands for all.
    """
    found: list[T] = []
    seconds: list[float] = []  # of those found: the second amount rises ...
    thirds: list[float] = []  # ... and the third falls; whatever lies above this line is beaten
    for one in sorted(of, key=amounts):
        _, second, third = amounts(one)
        place = bisect_right(seconds, second)
        if place and thirds[place - 1] <= third:
            continue
        found.append(one)
        start = end = bisect_left(seconds, second)
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[start:end] = [second]
        thirds[start:end] = [third]
    return found
