"""GPUs by name: what they hold, how fast they are, and what they cannot do.

The figures stand in devices.json, each with its source. Rates are TFLOP/s of dense products on
tensor cores that accumulate in float32; memory in GB (1e9 bytes), bandwidths in GB/s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import refuse
from ..text import sentence_list

AMPERE = (8, 0)
"""The first compute capability with bfloat16, TF32 and FlashAttention 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator."""

    name: str
    compute_capability: str | None
    """As CUDA counts it ('8.9'); None where it is no NVIDIA GPU."""
    memory_gb: float
    bandwidth_gbs: float
    fp32: float | None
    tf32: float | None
    fp16: float | None
    bf16: float | None
    fp8: float | None
    link_gbs: float | None
    """NVLink to its neighbours, one direction; None where there is none."""
    pcie_gbs: float | None
    source: str
    notes: str | None

    @property
    def generation(self) -> tuple[int, int] | None:
        """The compute capability as numbers, to compare."""
        if self.compute_capability is None:
            return None
        major, _, minor = self.compute_capability.partition(".")
        return int(major), int(minor)

    @property
    def has_bf16(self) -> bool:
        """Whether it computes in bfloat16 with its tensor cores."""
        return self.bf16 is not None

    @property
    def has_tf32(self) -> bool:
        return self.tf32 is not None

    @property
    def has_flash_attention(self) -> bool:
        """Whether FlashAttention 2 runs on it (NVIDIA since Ampere)."""
        return self.generation is not None and self.generation >= AMPERE


@cache
def devices() -> tuple[Device, ...]:
    """Every GPU that is known here."""
    rows = json.loads(Path(__file__).with_name("devices.json").read_text("utf-8"))
    return tuple(Device(**row) for row in rows)


def device_named(name: str) -> Device:
    """The GPU that somebody calls so: 'RTX 4090', '4090', 'a100 80gb', 'h100'.

    Of several that fit, the first of the list counts. Raises UserError where none fits.
    """
    asked = _words(name)
    known = {device: _words(device.name) for device in devices()}
    fits = [device for device, words in known.items() if asked and _fit(asked, words)]
    if not fits:  # '2080ti' for 'RTX 2080 Ti'
        fits = [one for one, words in known.items() if asked and "".join(asked) in "".join(words)]
    if fits:
        return fits[0]
    raise refuse(
        what=f"no GPU is known under the name {name!r}",
        where="--device",
        why="what a run needs is held against the data sheet of its GPU",
        fix=f"take one of {sentence_list([one.name for one in devices()], most=40)}",
    )


def _words(name: str) -> list[str]:
    """The parts of a name: letters with digits, memory sizes; makers' names left out."""
    words = re.findall(r"[a-z0-9.]+", name.lower().replace(" gb", "gb"))
    return [word for word in words if word not in ("nvidia", "geforce", "tesla", "gpu", "gb")]


def _fit(asked: Sequence[str], words: Sequence[str]) -> bool:
    return all(word in words or f"rtx{word}" in words for word in asked)
