"""Products with packed weights, which are unpacked piece by piece on the way.

Letters: N output rows, K input columns, M rows of the activations (all leading dimensions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# How many weights are unpacked at a time: on a CPU what stays in its second-level cache, on an
# accelerator enough to keep it busy (32 MiB in half precision).
_CHUNK_CPU = 2**18
_CHUNK_ACCELERATOR = 2**24


def chunks_of(count: int, size: int, device: torch.device, together: int = 2) -> list[slice]:
    """Slices over ``count`` rows (or columns) of ``size`` weights each, so many of them together
    (two, as a byte holds two columns).
    """
    limit = _CHUNK_CPU if device.type == "cpu" else _CHUNK_ACCELERATOR
    step = max(together, limit // size // together * together)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


class Scheme(Protocol):
    """How packed weights are read, ``together`` columns at least."""

    @property
    def bits(self) -> int: ...

    @property
    def together(self) -> int: ...

    def unit(self, *scales: Tensor) -> Tensor:
        """The scales as ``unpack`` wants them."""
        ...

    def unit_of(self, unit: Tensor, columns: slice) -> Tensor:
        """Those of some columns."""
        ...

    def unpack(self, out: Tensor, packed: Tensor, unit: Tensor) -> Tensor:
        """Writes the weights into ``out``, each rounded once to its dtype."""
        ...


@dataclass(frozen=True)
class Whole:
    """Whole numbers with one scale for each row."""

    bits: int
    together: int = 2

    def unit(self, *scales: Tensor) -> Tensor:
        """What one step of the bytes that ``unpack`` reads is worth, in float32 or wider."""
        scale = scales[0].to(torch.promote_types(scales[0].dtype, torch.float32))
        return scale / 16 if self.bits == 4 else scale

    def unit_of(self, unit: Tensor, columns: slice) -> Tensor:
        return unit

    def unpack(self, out: Tensor, packed: Tensor, unit: Tensor) -> Tensor:
        if self.bits == 4:
            # Both columns of a byte as the two bytes of a 16-bit word (the low byte lies first),
            # each sixteen times its value: a third of the time of writing every second column.
            words = packed.to(torch.int16)
            odd = words << 12
            packed = words.bitwise_and_(0xF0).bitwise_or_(odd).view(torch.int8)
        return out.copy_(packed).mul_(unit[:, None])


class PackedProduct(torch.autograd.Function):
    """x [M, K] times the packed weight's transpose; only packed tensors wait for the backward."""

    @staticmethod
    def forward(ctx: Any, x_MK: Tensor, scheme: Scheme, *held: Tensor) -> Tensor:
        ctx.save_for_backward(*held)
        ctx.scheme = scheme
        weight, *scales = held
        N, K = weight.shape[0], x_MK.shape[1]
        unit = scheme.unit(*scales)
        chunks = chunks_of(N, K, x_MK.device)
        scratch = x_MK.new_empty(chunks[0].stop, K)
        out_MN = x_MK.new_empty(x_MK.shape[0], N)
        for rows in chunks:
            part = scratch[: rows.stop - rows.start]
            scheme.unpack(part, weight[rows], unit[rows])
            torch.mm(x_MK, part.t(), out=out_MN[:, rows])
        return out_MN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MN: Tensor) -> tuple[Tensor | None, ...]:
        none = (None,) * (len(ctx.needs_input_grad) - 1)
        if not ctx.needs_input_grad[0]:
            return None, *none
        scheme: Scheme = ctx.scheme
        weight, *scales = ctx.saved_tensors
        per_byte = 8 // scheme.bits
        N, K = weight.shape[0], weight.shape[1] * per_byte
        unit = scheme.unit(*scales)
        # By columns, so that each sum over the rows is one product, as exact as an unpacked one.
        chunks = chunks_of(K, N, grad_MN.device, scheme.together)
        scratch = grad_MN.new_empty(N, chunks[0].stop)
        grad_MK = grad_MN.new_empty(grad_MN.shape[0], K)
        for columns in chunks:
            part = scratch[:, : columns.stop - columns.start]
            held = weight[:, columns.start // per_byte : columns.stop // per_byte]
            scheme.unpack(part, held, scheme.unit_of(unit, columns))
            torch.mm(grad_MN, part, out=grad_MK[:, columns])
        return grad_MK, *none


def unpacked(scheme: Scheme, dtype: torch.dtype, weight: Tensor, *scales: Tensor) -> Tensor:
    """All of a packed weight in ``dtype``."""
    rows, columns = weight.shape[0], weight.shape[1] * 8 // scheme.bits
    unit = scheme.unit(*scales)
    out = weight.new_empty(rows, columns, dtype=dtype)
    for chunk in chunks_of(rows, columns, weight.device):
        scheme.unpack(out[chunk], weight[chunk], unit[chunk])
    return out
