"""The 4-bit weights that Baichuan2-7B-Chat-4bits and Baichuan2-13B-Chat-4bits are published in.

NF4 of QLoRA (arXiv:2305.14314, appendix E), as bitsandbytes 0.41 holds it: 64 weights of a row
share a scale, their largest magnitude; a weight is one of 16 levels times it. The scales are held
in few bits themselves, 256 of them together: a byte picks one of 256 values, times a scale of the
second order, plus the mean of all::

    scale = table[byte] * second[number of the scale // 256] + mean      weight = level * scale

A byte holds two columns, the even one in its high four bits. The five linears of every layer are
held so, the embedding, the norms and the head are not.

On disk is one pickle, pytorch_model.bin, with for each linear ``X.weight.data`` (uint8 [N * K / 2,
1]) and ``X.weight.quant_state``, a list: the bytes of the scales, the shape, the number type, 64,
[mean, [second, table, 256, ...]], "nf4", the levels. Sources: quantizer.py and modeling_baichuan.py
of those repositories, issue 367 of baichuan-inc/Baichuan2, where such a list is printed, and
functional.py of bitsandbytes 0.41. It is read with ``weights_only``, without bitsandbytes.

Letters: N output rows, K input columns, G groups of 64 columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import refuse
from .quantized import PackedLinear, packed_bits

GROUP = 64
GROUPS_TOGETHER = 256

# What bitsandbytes has in its kernels; the paper prints the same.
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip

DATA, STATE = ".weight.data", ".weight.quant_state"
HELD = ("weight", "scale_bytes", "scale_table", "scale_second", "scale_mean")


@cache
def _pairs(device: torch.device) -> Tensor:
    """Both levels of each byte, two float32 as one number of 64 bits: [256]. Such numbers are
    looked up in a seventh of the time that rows of two take.
    """
    levels = torch.tensor(LEVELS, device=device)
    byte = torch.arange(256, device=device)
    pairs = torch.stack((levels[byte >> 4], levels[byte & 15]), dim=1)
    return pairs.view(torch.int64).flatten()


@dataclass(frozen=True)
class NF4:
    """How these weights are read."""

    bits: int = 4
    together: int = GROUP

    def unit(self, *scales: Tensor) -> Tensor:
        """The scales [N, G] in float32."""
        bytes_NG, table, second, mean = scales
        of_each = second.float().repeat_interleave(GROUPS_TOGETHER)[: bytes_NG.numel()]
        return table.float()[bytes_NG.int()] * of_each.view(bytes_NG.shape) + mean.float()

    def unit_of(self, unit: Tensor, columns: slice) -> Tensor:
        return unit[:, columns.start // GROUP : columns.stop // GROUP]

    def unpack(self, out: Tensor, packed: Tensor, unit: Tensor) -> Tensor:
        pairs = torch.index_select(_pairs(packed.device), 0, packed.flatten().int())
        levels = pairs.view(torch.float32).view(*unit.shape, GROUP)
        torch.mul(levels, unit[..., None], out=out.unflatten(1, (-1, GROUP)))
        return out


class NF4Linear(PackedLinear):
    """``nn.Linear`` with such a frozen weight, unpacked piece by piece in each product."""

    scale_bytes: Tensor
    scale_table: Tensor
    scale_second: Tensor
    scale_mean: Tensor

    def _make_room(self, dtype: torch.dtype, device: torch.device | str | None) -> None:
        rows, columns = self.out_features, self.in_features
        if columns % GROUP:
            raise refuse(
                what=f"a linear layer with {columns} input columns",
                where="the model's configuration",
                why=f"its 4-bit weights share a scale by {GROUP} columns of a row",
                fix="load full weights",
            )
        self.scheme = NF4()
        groups = columns // GROUP
        held = torch.zeros(rows, columns // 2, dtype=torch.uint8, device=device)
        self.weight = nn.Parameter(held, requires_grad=False)
        second = -(-rows * groups // GROUPS_TOGETHER)
        for name, shape, kind in (
            ("scale_bytes", (rows, groups), torch.uint8),
            ("scale_table", (256,), torch.float32),
            ("scale_second", (second,), torch.float32),
            ("scale_mean", (), torch.float32),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=kind, device=device))

    def scales(self) -> tuple[Tensor, ...]:
        return self.scale_bytes, self.scale_table, self.scale_second, self.scale_mean


def tensors_by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is in such a pickle, under the names that NF4Linear has; another pickle as it is.

    Raises UnpicklingError where a quant_state is not as this module's docstring says.
    """
    if not any(key.endswith(STATE) for key in found):
        return dict(found)
    named: dict[str, Any] = {}
    for key, value in found.items():
        if key.endswith(DATA):
            name = key.removesuffix(DATA)
            state = found.get(name + STATE)
            try:
                held = _held(value, state)
            except (TypeError, ValueError, IndexError, RuntimeError) as error:
                raise UnpicklingError(f"{name}{STATE} is not readable: {error}") from error
            named |= {f"{name}.{part}": tensor for part, tensor in zip(HELD, held, strict=True)}
        elif not key.endswith(STATE):
            named[key] = value
    return named


def _held(data: Tensor, state: Any) -> tuple[Tensor, ...]:
    """The tensors of one linear, in the order of HELD."""
    if not isinstance(state, list) or len(state) not in (6, 7):
        raise TypeError(f"a list of 7 is expected, here is {_kind(state)}")
    scale_bytes, shape, _, group, nested, kind = state[:6]
    if kind != "nf4" or group != GROUP:
        raise ValueError(f"quantised as {kind!r} by {group}, and only 'nf4' by {GROUP} is known")
    if not isinstance(nested, list) or len(nested) != 2 or not isinstance(nested[1], list):
        raise ValueError("the scales are not held in 8 bits, as the published weights have them")
    mean, (second, table, *rest) = nested
    if rest and isinstance(rest[0], int) and rest[0] != GROUPS_TOGETHER:
        raise ValueError(f"{rest[0]} scales share one, and {GROUPS_TOGETHER} are expected")
    tensors = (data, scale_bytes, table, second, mean)
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise TypeError("it holds something else than tensors")
    rows, columns = shape
    weight = data.view(rows, columns // 2)
    return weight, scale_bytes.view(rows, columns // GROUP), table, second, mean.view(())


def refuse_nf4(config: Any, name: str) -> None:
    """Raises UserError for a model in this form, where its files cannot be read here."""
    if packed_bits(config) and not getattr(config, "quantization_bit", 0):
        raise refuse(
            what=f"{name} holds 4-bit weights of bitsandbytes in a pickle of their own form",
            where=name,
            why="they are read here from a folder, straight to one device; transformers, which "
            "ZeRO-3, FSDP, device_map and a name on the hub need, cannot read them",
            fix="download it (hf download OWNER/NAME --local-dir FOLDER) and load the folder, or "
            "take the full weights",
        )


def _kind(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"{type(value).__name__}"
