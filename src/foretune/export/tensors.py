"""Tensors that are read when they are written: what a file will hold is known before, and only the
part of it that is being written is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Later:
    """A tensor to come."""

    header: Tensor
    """Its shape and number type, on the meta device."""
    read: Callable[[], Tensor]

    def then(self, change: Callable[[Tensor], Tensor]) -> Later:
        """What ``change`` makes of it."""
        return Later(change(self.header), lambda: change(self.read()))

    def to(self, dtype: torch.dtype | None) -> Later:
        """In another number type, where it is a floating one."""
        if dtype is None or self.header.dtype == dtype or not self.header.is_floating_point():
            return self
        return self.then(lambda tensor: tensor.to(dtype))

    @property
    def nbytes(self) -> int:
        return self.header.nbytes


Tensors = Mapping[str, Later]


def here(tensor: Tensor) -> Later:
    """A tensor that is there already."""
    return Later(tensor.detach().to("meta"), tensor.detach)


def joined(parts: Sequence[Later], join: Callable[[list[Tensor]], Tensor]) -> Later:
    """What ``join`` makes of several."""
    return Later(
        join([part.header for part in parts]), lambda: join([part.read() for part in parts])
    )


def rows(whole: Later, *counts: int) -> list[Later]:
    """The rows of ``whole``, cut into so many each. [sum(counts), ...] -> [count, ...] of each."""
    starts = [sum(counts[:i]) for i in range(len(counts))]
    return [
        whole.then(lambda tensor, start=start, count=count: tensor[start : start + count])
        for start, count in zip(starts, counts, strict=True)
    ]


def stacked(*parts: Later) -> Later:
    """The rows of several, one after the other."""
    return joined(parts, torch.cat)
