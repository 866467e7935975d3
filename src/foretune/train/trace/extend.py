"""From the events of a few blocks to those of all: the blocks in the middle are all alike.

Of five traced blocks the third is written out as often as there are blocks more. Its copies stand
behind it in the forward pass and before it in the backward pass. What a copy frees of its
neighbour's is what the traced block frees of its own: the storages of two blocks correspond by the
order in which they came. Between the passes (weights, gradients, states of the optimizer) what
happens to a storage of the third block happens to those of its copies right behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from .places import MIDDLE, SECOND, SECOND_TO_LAST
from .record import Event, Given, Record, Taken


@dataclass(slots=True)
class Copies:
    """The copies of the middle block of one stack."""

    stack: str
    """In front of the names of its places."""
    count: int
    owner: dict[int, str] = field(default_factory=dict)
    """Storage -> the place that it came at."""
    like: dict[int, int] = field(default_factory=dict)
    """Storage of a neighbour -> that of the middle block which corresponds to it."""

    def has(self, key: int) -> bool:
        """Whether a storage is the middle block's."""
        return self.owner.get(key) == self.stack + MIDDLE

    def key(self, key: int, copy: int) -> int:
        """The storage of a copy: 0 is the middle block itself."""
        return key if copy == 0 else -(key * (self.count + 1) + copy)

    def of(self, event: Event, copy: int) -> Event:
        """What happens in a copy where this happens in the middle block."""
        place = self.owner.get(event.key, "").removeprefix(self.stack)
        if place == SECOND:
            return self._at(event, self.key(self.like[event.key], copy - 1)) if copy else event
        if place == SECOND_TO_LAST:
            if copy == self.count:
                return event
            return self._at(event, self.key(self.like[event.key], copy + 1))
        return self._at(event, self.key(event.key, copy)) if place == MIDDLE else event

    def behind(self, event: Event) -> Event:
        """What the block behind the last copy does to the middle block, it does to that copy."""
        if isinstance(event, Given) and self.has(event.key):
            return self._at(event, self.key(event.key, self.count))
        return event

    @staticmethod
    def _at(event: Event, key: int) -> Event:
        return replace(event, key=key)


def extend(record: Record, stacks: Sequence[str], more: int) -> Record | None:
    """The record of a model with so many blocks more in each stack; None where the blocks in its
    middle are not alike.
    """
    for stack in stacks:
        copies = Copies(stack, more)
        if not _correspond(record.events, copies):
            return None
        events = list(_written_out(record.events, copies))
        own = [key for key in record.gradients if copies.has(key)]
        gradients = {copies.key(key, copy) for key in own for copy in range(1, more + 1)}
        flops = {
            (step, place): counted * (more + 1 if place == stack + MIDDLE else 1)
            for (step, place), counted in record.flops.items()
        }
        record = Record(events, record.gradients | gradients, flops)
    return record


def stacks_of(record: Record) -> list[str]:
    """What stands in front of the names of places: nothing, or the stack where there are two."""
    found = {event.place for event in record.events if isinstance(event, Taken)}
    return sorted(place.removesuffix(MIDDLE) for place in found if place.endswith(MIDDLE))


def _correspond(events: Sequence[Event], copies: Copies) -> bool:
    """Finds which storages correspond; whether all do."""
    came: dict[str, list[Taken]] = {SECOND: [], MIDDLE: [], SECOND_TO_LAST: []}
    for event in events:
        if isinstance(event, Taken):
            copies.owner[event.key] = event.place
            place = event.place.removeprefix(copies.stack)
            if place in came and event.place.startswith(copies.stack):
                came[place].append(event)
    sizes = {name: [(one.size, one.stage) for one in taken] for name, taken in came.items()}
    if not sizes[SECOND] == sizes[MIDDLE] == sizes[SECOND_TO_LAST]:
        return False
    for neighbour in (SECOND, SECOND_TO_LAST):
        pairs = zip(came[neighbour], came[MIDDLE], strict=True)
        copies.like |= {one.key: middle.key for one, middle in pairs}
    return True


def _written_out(events: Sequence[Event], copies: Copies) -> Iterator[Event]:
    every = range(1, copies.count + 1)
    for (at, passes), group in groupby(events, lambda event: (event.at, event.passes)):
        run = list(group)
        if not passes:
            for event in run:
                yield event
                if copies.has(event.key):
                    yield from (copies.of(event, copy) for copy in every)
        elif at == copies.stack + MIDDLE:
            order = [*every] if passes == "forward" else [*reversed(every)]
            clones = [copies.of(event, copy) for copy in order for event in run]
            own = [copies.of(event, 0) for event in run]
            yield from [*own, *clones] if passes == "forward" else [*clones, *own]
        elif at == copies.stack + SECOND_TO_LAST:
            yield from (copies.behind(event) for event in run)
        else:
            for event in run:
                yield event
                if isinstance(event, Given) and copies.has(event.key):
                    yield from (copies.of(event, copy) for copy in every)
