"""From what a few blocks took to what all of them take.

The events of a traced step go through the model of the allocator. At every place of the program
(each block forward and backward, the loss, the optimizer) the most that was in use is kept, with
what it was. Each of these moments grows by the same with every block more, so two traces tell it
for any number of blocks; which of them is the peak may then be another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .allocator import Allocator
from .record import Given, Record, Taken

Parts = dict[str, float]


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
    allocator, found = Allocator(), Replayed(flops=record.flops.get(last, 0))
    now: Parts = {}
    most: dict[str, int] = {}
    for event in record.events:
        if isinstance(event, Given):
            size = allocator.give(event.key)
            now[part[event.key]] = now.get(part[event.key], 0) - size
            continue
        size = allocator.take(event.key, event.size)
        now[part[event.key]] = now.get(part[event.key], 0) + size
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
    return f"{direction}, {event.place}"


def parts_of(record: Record, last: int) -> dict[int, str]:
    """Storage -> what it is: by when it came, and when it went."""
    gone: dict[int, int] = {}
    ends: dict[int, int] = {}
    for at, event in enumerate(record.events):
        if isinstance(event, Given):
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


def extended(few: Replayed, more: Replayed, counts: tuple[int, int], layers: int) -> Replayed:
    """What ``layers`` blocks take, from what two numbers of blocks took."""
    blocks = (layers - counts[0]) / (counts[1] - counts[0])

    def on(one: Parts, other: Parts) -> Parts:
        names = one.keys() | other.keys()
        return {
            name: one.get(name, 0) + blocks * (other.get(name, 0) - one.get(name, 0))
            for name in sorted(names)
        }

    return Replayed(
        moments={
            name: on(few.moments[name], more.moments[name])
            for name in few.moments
            if name in more.moments
        },
        between=on(few.between, more.between),
        reserved=few.reserved + blocks * (more.reserved - few.reserved),
        flops=few.flops + blocks * (more.flops - few.flops),
    )
