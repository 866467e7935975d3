"""Whether a run fits its device, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..params.declare import Words
from .devices import Device
from .memory.peak import Memory

Verdict = Literal["fits", "may not fit", "does not fit"]

UNDER, OVER = 0.05, 0.05
"""How far measured runs lay above and below their forecast (docs/forecast.md: the rows of 2024 on
of grade A; all are within this)."""
UNPROVEN = 0.15
"""The same where no published run stands behind a method: an assumption."""

SAID = {
    "fits": Words("fits", "放得下"),
    "may not fit": Words("may not fit", "可能放不下"),
    "does not fit": Words("does not fit", "放不下"),
}
EXIT_CODES: dict[Verdict, int] = {"fits": 0, "does not fit": 1, "may not fit": 2}
"""What `foretune plan --device` ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A forecast of memory beside the device that it is for; bytes."""

    limit: float
    """What a process can have of the device."""
    low: float
    """What tensors and context take at least: the allocator gives back what it cannot use."""
    high: float
    """What nvidia-smi would show at most."""

    @property
    def verdict(self) -> Verdict:
        if self.low > self.limit:
            return "does not fit"
        return "fits" if self.high <= self.limit else "may not fit"


def fit(memory: Memory, device: Device, *, rows: int = 1) -> Fit:
    """Whether a forecast fits; ``rows`` is how many published runs stand behind its method."""
    under, over = (UNDER, OVER) if rows else (UNPROVEN, UNPROVEN)
    return Fit(
        limit=device.usable,
        low=memory.allocated * (1 - over) + memory.context,
        high=memory.reserved * (1 + under) + memory.context,
    )
