"""GPUs by name: what they hold, how fast they are, and what they cannot do.

The figures stand in devices.json, each with its source. Rates are TFLOP/s of dense products on
tensor cores that accumulate in float32; memory in GB (1e9 bytes), bandwidths in GB/s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..errors import refuse
from ..files import own_folder
from ..text import Said, sentence_list

DRIVER_LEAVES = 0.985
"""Share of the memory that the driver leaves: torch's messages name 22.19 GiB on an A10G (24 GiB,
22.5 without its error correction), 23.64 on an RTX 4090, 79.15 on an A100 80GB."""

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
    watts: float | None = None
    """Power limit on the data sheet."""
    in_band_ecc: bool = False
    """True where error correction takes a part of the memory itself (GDDR6 of data centres)."""

    operation_us: float | None = None
    """Microseconds that an operation of torch takes to start, with its part of the backward pass,
    where nothing is computed meanwhile: measured, on a CPU."""
    traffic: tuple[tuple[float, float], ...] = ()
    """Bytes of a tensor, and GB/s at which one of that size is read and written anew: measured, on
    a CPU, whose caches decide it."""

    @property
    def is_cpu(self) -> bool:
        """Whether it is a processor that `foretune calibrate` has measured."""
        return self.operation_us is not None

    @property
    def usable(self) -> float:
        """Bytes that a process can have: torch's "total capacity". Data sheets write GB for GiB;
        error correction in the same chips takes a sixteenth, and the driver keeps a little.
        """
        return self.memory_gb * 2**30 * (15 / 16 if self.in_band_ecc else 1) * DRIVER_LEAVES

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


def device_called(name: str) -> Device:
    """The device of a name that is known here, or of a file that describes one as devices.json
    does: one mapping, or a list of which the first counts.

    Raises:
        UserError: where no device is known under the name, or the file does not describe one.
    """
    if name.lower() == "cpu":
        return measured_cpu() or _not_measured()
    path = Path(name).expanduser()
    if path.suffix != ".json" and not path.is_file():
        return device_named(name)
    return _described(path, name)


def cpu_file() -> Path:
    """Where `foretune calibrate` keeps what it measured of this machine's CPU."""
    return own_folder("config") / "cpu.json"


def measured_cpu() -> Device | None:
    """This machine's CPU, where `foretune calibrate` has measured it."""
    return _described(cpu_file(), str(cpu_file())) if cpu_file().is_file() else None


def _not_measured() -> Device:
    raise refuse(
        what=Said("this machine's CPU was not measured yet", "尚未测量本机的 CPU"),
        where="--device cpu",
        why=Said("no data sheet says how fast it trains", "没有规格书说明它训练有多快"),
        fix=Said(
            "run `foretune calibrate` first; it takes seconds",
            "先运行 `foretune calibrate`，只需几秒",
        ),
    )


def _described(path: Path, name: str) -> Device:
    """The device that a file describes."""
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        return _device(content[0] if isinstance(content, list) and content else content)
    except (OSError, ValueError, TypeError, KeyError) as failure:
        raise refuse(
            what=f"{name} describes no device",
            where="--device",
            why=str(failure),
            fix="give it the keys of a row of devices.json; memory_gb, bandwidth_gbs and bf16 or "
            "fp32 at least",
        ) from None


def _device(content: Any) -> Device:
    """A device of a file, which may leave out what is not known. Raises ValueError for the rest."""
    if not isinstance(content, dict):
        raise ValueError("it is no mapping of keys to values")
    row = cast(dict[str, Any], content)
    known = {one.name for one in fields(Device)}
    numbers = {"memory_gb", "bandwidth_gbs", "watts", *RATES}
    wrong = [key for key in row if key not in known]
    wrong += [
        key
        for key, value in row.items()
        if key in numbers and value is not None and not _is_positive(value)
    ]
    if wrong:
        raise ValueError(f"{sentence_list(wrong)} cannot be used")
    lacking = [key for key in ("memory_gb", "bandwidth_gbs") if row.get(key) is None]
    if not any(row.get(key) for key in RATES[:4]):
        lacking.append("bf16")
    if lacking:
        raise ValueError(f"{sentence_list(lacking)} is missing")
    made: dict[str, Any] = {**dict.fromkeys(known), "name": "the device", "source": "", **row}
    made["traffic"] = tuple((size, rate) for size, rate in made["traffic"] or ())
    made["in_band_ecc"] = bool(made["in_band_ecc"])
    return Device(**made)


RATES = ("fp32", "tf32", "fp16", "bf16", "fp8", "link_gbs", "pcie_gbs")
"""What may be left out of a device."""


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _words(name: str) -> list[str]:
    """The parts of a name: letters with digits, memory sizes; makers' names left out."""
    words = re.findall(r"[a-z0-9.]+", name.lower().replace(" gb", "gb"))
    return [word for word in words if word not in ("nvidia", "geforce", "tesla", "gpu", "gb")]


def _fit(asked: Sequence[str], words: Sequence[str]) -> bool:
    return all(word in words or f"rtx{word}" in words for word in asked)
