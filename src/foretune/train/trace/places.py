"""Names for where a program is: in which block of its model, counted from the nearer end."""

from __future__ import annotations

FIRST = "first block"
SECOND = "second block"
MIDDLE = "middle blocks"
SECOND_TO_LAST = "second to last block"
LAST = "last block"
INPUTS = "inputs"
"""Before the blocks."""
LOSS = "loss"
"""Behind them."""
OPTIMIZER = "optimizer"

FEWEST = 5
"""Blocks that have one of each name; those in the middle are alike."""


def place_of(index: int, count: int) -> str:
    """The name of one block of so many."""
    ends = {count - 1: LAST, 0: FIRST, count - 2: SECOND_TO_LAST, 1: SECOND}
    return ends.get(index, MIDDLE)
