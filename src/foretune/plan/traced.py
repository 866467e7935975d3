"""Memory as a traced step has it, in the words of the formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..facts import Trace
from .memory.peak import Memory, Parts

MOMENTS = {
    "loss": ("forward, inputs", "forward, loss", "backward, loss"),
    "last block": (" last block", " second to last block", " middle blocks"),
    "first block": (" first block", " second block"),
    "embedding": ("backward, inputs",),
    "optimizer": ("optimizer",),
}
"""Moment of the formulas -> ends of the names of the places that it stands for; the fullest of
them counts."""


def memory_of(trace: Trace, told: Memory | None) -> Memory:
    """Memory of one device. What a step does not show (loading, evaluating, saving, what CUDA takes
    for itself) is as the formulas tell it, where they do.
    """
    held = parts_of(trace.between)
    rest = Parts(weights=held.weights)
    found = {
        moment: max(
            (parts_of(parts) for place, parts in trace.moments.items() if place.endswith(ends)),
            key=lambda parts: parts.total,
            default=held,
        )
        for moment, ends in MOMENTS.items()
    }
    told = told or Memory(
        moments=found, load=rest, evaluate=held, save=held, fragmentation=0.0, context=0.0
    )
    return replace(
        told, moments=found, load=rest, fragmentation=max(trace.reserved - trace.allocated, 0.0)
    )


def parts_of(parts: Mapping[str, float]) -> Parts:
    """The parts by the names of the formulas; what the allocator rounds up is temporary."""
    known = dict(parts)
    rounding = known.pop("rounding", 0.0)
    return Parts(**known | {"temporary": known.get("temporary", 0.0) + rounding})
