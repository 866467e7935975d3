"""The GPUs that a run may use: ``1x4090``, ``8xH100``, ``2x8xH100`` (so many machines first).

A memory size behind a name that is known with another one (``1xV100-16GB``, ``1xRTX 4070 8GB``)
replaces the data sheet's, for the same chip is sold, rented and shared out with several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...errors import UserError, refuse
from ..devices import Device, device_called
from ..step_time import GPUS_A_NODE, Hardware

WRITTEN = re.compile(r"\s*(?:(\d+)\s*[x×*]\s*)?(?:(\d+)\s*[x×*]\s*)?(.+?)\s*", re.IGNORECASE)
SIZE = re.compile(r"[\s:-]*\b(\d+)\s*(?:g|gb|gib)$", re.IGNORECASE)
MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """So many GPUs of one kind in each of so many machines."""

    device: Device
    gpus: int
    """Of one machine."""
    nodes: int = 1
    network_gbs: float | None = None
    """GB/s of one GPU's share of the network; None for that of its generation."""
    price: float | None = None
    """Of one GPU for an hour; None where nobody said."""

    @property
    def count(self) -> int:
        """All GPUs together."""
        return self.gpus * self.nodes

    @property
    def hardware(self) -> Hardware:
        """What step times are computed with."""
        apart = self.gpus if self.nodes > 1 else max(self.gpus, GPUS_A_NODE)
        return Hardware(device=self.device, network_gbs=self.network_gbs, gpus_a_node=apart)

    def spread(self, count: int) -> tuple[int, int]:
        """(GPUs a machine, machines) of so many of these GPUs."""
        return (count, 1) if count <= self.gpus else (self.gpus, count // self.gpus)

    def counts(self) -> Iterator[int]:
        """Numbers of GPUs that a run may take of these: powers of two in a machine, then whole
        machines, and all of them.
        """
        found = {2**power for power in range(self.gpus.bit_length())} | {self.gpus}
        found |= {self.gpus * 2**power for power in range(self.nodes.bit_length())} | {self.count}
        yield from sorted(one for one in found if one <= self.count)

    def __str__(self) -> str:
        machines = f"{self.nodes:,} x " if self.nodes > 1 else ""
        return f"{machines}{self.gpus} x {self.device.name}"


def offers(text: str, *, network_gbs: float | None = None, price: str | None = None) -> list[Offer]:
    """The offers of ``--gpus``, with commas between; ``price`` has one price for all of them or one
    for each.

    Raises:
        UserError: where it names no GPUs, or prices that do not fit them.
    """
    named = [part for part in text.split(",") if part.strip()]
    if not named:
        raise _unreadable(text, "it names no GPU")
    prices = [_price(one) for one in price.split(",")] if price else [None]
    if len(prices) not in (1, len(named)):
        raise refuse(
            what=f"--price has {len(prices)} prices for {len(named)} kinds of GPU",
            where="--price",
            why="it takes one price for all of them, or one for each",
            fix="write as many prices as --gpus has parts, with commas between",
        )
    prices = prices * len(named) if len(prices) == 1 else prices
    return [
        replace(_offer(part), network_gbs=network_gbs, price=own)
        for part, own in zip(named, prices, strict=True)
    ]


def _offer(part: str) -> Offer:
    found = WRITTEN.fullmatch(part)
    assert found is not None, "a part is not blank"
    first, second, name = found.groups()
    nodes, gpus = (int(first), int(second)) if second else (1, int(first or 1))
    if not (0 < nodes * gpus <= MOST):
        raise _unreadable(part, f"it comes to {nodes * gpus:,} GPUs")
    if second is None and gpus > GPUS_A_NODE:
        if gpus % GPUS_A_NODE:
            raise _unreadable(part, f"machines of {GPUS_A_NODE} GPUs do not add up to {gpus:,}")
        nodes, gpus = gpus // GPUS_A_NODE, GPUS_A_NODE
    return Offer(device=_device(name), gpus=gpus, nodes=nodes)


def _device(name: str) -> Device:
    """A known device or a file that describes one; with the memory that stands behind its name."""
    try:
        return device_called(SIZE.sub(r" \1gb", name))
    except UserError:
        size = SIZE.search(name)
        if size is None:
            raise
    device, memory = device_called(name[: size.start()]), int(size[1])
    stated = re.sub(r"\d+GB", f"{memory}GB", device.name)
    if stated == device.name:
        stated = f"{device.name} {memory}GB"
    return replace(device, name=stated, memory_gb=memory)


def _price(text: str) -> float:
    try:
        value = float(text.strip().lstrip("$¥€"))
        if value > 0:
            return value
    except ValueError:
        pass
    raise refuse(
        what=f"--price {text.strip()} is no price",
        where="--price",
        why="it is what one GPU costs in an hour",
        fix="write a number, such as --price 2.5",
    )


def _unreadable(part: str, why: str) -> UserError:
    return refuse(
        what=f"--gpus {part.strip()} cannot be used",
        where="--gpus",
        why=why,
        fix="write COUNTxNAME or MACHINESxCOUNTxNAME: 1x4090, 8xH100, 2x8xH100",
    )
