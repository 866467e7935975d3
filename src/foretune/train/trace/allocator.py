"""A model of the allocator that torch keeps for CUDA: which bytes it takes for tensors of so many.

Read in torch 2.13, c10/cuda/CUDACachingAllocator.cpp, with its default settings. Sizes only: one
stream, no limit, nothing given back to the device.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import count

MIB = 2**20
GRAIN = 512
"""Bytes that every block is rounded up to."""
SMALL = MIB
"""Most bytes of a block of the small pool."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
"""Taken for a block of the large pool that is smaller than half of it."""
ROUND_LARGE = 2 * MIB
"""What larger segments are rounded up to."""


def rounded(size: int) -> int:
    """Bytes that a tensor of ``size`` bytes takes of a segment."""
    return -(-max(size, 1) // GRAIN) * GRAIN if size else 0


def segment_size(size: int) -> int:
    """Bytes taken from the device for a rounded block that fits nowhere."""
    if size <= SMALL:
        return SMALL_SEGMENT
    if size < LARGE_SEGMENT // 2:
        return LARGE_SEGMENT
    return -(-size // ROUND_LARGE) * ROUND_LARGE


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment, between its neighbours there."""

    place: int
    """Segments and their pieces in the order of their addresses."""
    size: int
    small: bool
    free: bool = False
    before: Block | None = None
    after: Block | None = None


class Allocator:
    """Gives and takes blocks as torch does: the smallest free one that is large enough, split where
    enough is left, and joined with its free neighbours when it comes back.
    """

    def __init__(self) -> None:
        self.active = 0
        """Bytes in blocks that are in use."""
        self.reserved = 0
        """Bytes taken from the device."""
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._at: dict[int, Block] = {}
        self._used: dict[int, Block] = {}
        self._segments = count()

    def take(self, key: int, size: int) -> int:
        """A block for a tensor of ``size`` bytes, under ``key``; the bytes that it takes."""
        wanted = rounded(size)
        if not wanted:
            return 0
        small = wanted <= SMALL
        block = self._fitting(wanted, small) or self._new_segment(wanted, small)
        self._split(block, wanted)
        block.free = False
        self._used[key] = block
        self.active += block.size
        return block.size

    def give(self, key: int) -> int:
        """The block of ``key`` comes back; the bytes that it took."""
        block = self._used.pop(key, None)
        if block is None:
            return 0
        size = block.size
        self.active -= size
        for other in (block.before, block.after):
            if other is not None and other.free:
                block = self._joined(block, other)
        self._put(block)
        return size

    def _fitting(self, wanted: int, small: bool) -> Block | None:
        pool = self._free[small]
        place = bisect_left(pool, (wanted, -1))
        if place == len(pool):
            return None
        return self._at.pop(pool.pop(place)[1])

    def _new_segment(self, wanted: int, small: bool) -> Block:
        size = segment_size(wanted)
        self.reserved += size
        return Block(next(self._segments) << 48, size, small)

    def _split(self, block: Block, wanted: int) -> None:
        left = block.size - wanted
        if left < GRAIN if block.small else left <= SMALL:
            return
        rest = Block(block.place + wanted, left, block.small, True, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, wanted
        self._put(rest)

    def _joined(self, block: Block, other: Block) -> Block:
        pool = self._free[other.small]
        del pool[bisect_left(pool, (other.size, other.place))]
        del self._at[other.place]
        first, second = (other, block) if other is block.before else (block, other)
        first.size += second.size
        first.after = second.after
        if second.after is not None:
            second.after.before = first
        return first

    def _put(self, block: Block) -> None:
        block.free = True
        self._at[block.place] = block
        insort(self._free[block.small], (block.size, block.place))
