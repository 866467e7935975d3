"""What a record comes to: its events go through the model of the allocator. At every place of the
program (a block forward or backward, the loss, the optimizer) the most that was in use is kept,
with what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .allocator import Allocator
from .record import Record, Taken

Parts = dict[str, float]
ROUNDING = "rounding"
"""What the allocator gives with a tensor beyond its bytes, and counts as allocated."""


@dataclass(slots=True)
class Replayed:
    """What one trace took, in bytes."""

    moments: dict[str, Parts] = field(default_factory=dict)
    """Place -> the parts at its most."""
    between: Parts = field(default_factory=dict)
    """What is held between the steps."""
    reserved: float = 0
    flops: float = 0


def replay(record: Record, last: int) -> Replayed:
    """Plays the events of a record; the moments are those of step ``last``."""
    part = parts_of(record, last)
    allocator, found = Allocator(), Replayed()
    found.flops = sum(flops for (step, _), flops in record.flops.items() if step == last)
    asked: dict[int, int] = {}
    now: Parts = dict.fromkeys((*part.values(), ROUNDING), 0)
    most: dict[str, int] = {}
    for event in record.events:
        if not isinstance(event, Taken):
            size = asked.pop(event.key, 0)
            now[part[event.key]] -= size
            now[ROUNDING] -= allocator.give(event.key) - size
            continue
        asked[event.key] = event.size
        now[part[event.key]] += event.size
        now[ROUNDING] += allocator.take(event.key, event.size) - event.size
        if event.step == last and event.stage != "load":
            place = moment(event)
            if allocator.active > most.get(place, 0):
                most[place] = allocator.active
                found.moments[place] = dict(now)
    found.between = {name: size for name, size in now.items() if size}
    found.reserved = allocator.reserved
    return found


def moment(event: Taken) -> str:
    """The name of the moment that an event belongs to."""
    if event.stage == "optimizer":
        return "optimizer"
    direction = "forward" if event.stage == "forward" else "backward"
    return f"{direction}, {event.at}"


def parts_of(record: Record, last: int) -> dict[int, str]:
    """Storage -> what it is: by when it came, and when it went."""
    gone: dict[int, int] = {}
    ends: dict[int, int] = {}
    for at, event in enumerate(record.events):
        if not isinstance(event, Taken):
            gone[event.key] = at
        elif event.stage == "backward":
            ends.setdefault(event.step, at)
    return {
        event.key: _part(event, record, gone.get(event.key), ends)
        for event in record.events
        if isinstance(event, Taken)
    }


def _part(event: Taken, record: Record, gone: int | None, backward: Mapping[int, int]) -> str:
    if event.stage == "load":
        return "weights"
    if event.key in record.gradients:
        return "gradients"
    if event.scores:
        return "logits"
    if event.stage == "optimizer":
        return "optimizer" if gone is None else "temporary"
    if event.stage == "recompute":
        return "activations"
    kept = gone is None or gone > backward.get(event.step, 0)
    return "activations" if event.stage == "forward" and kept else "temporary"
