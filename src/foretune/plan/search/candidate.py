"""One candidate of a search: what it is, and what it would need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..setup import Setup
from ..verdict import Fit, Verdict
from .choice import Choice
from .offer import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A setup, and the settings of a run that lead to it: ``setup_of`` of a written run with these
    on top, resolved, is this setup.
    """

    setup: Setup
    settings: Mapping[str, Any]
    """Values by dotted path; those that the run has already are left out."""


class Outcome(NamedTuple):
    """What a candidate comes to."""

    choice: Choice
    offer: Offer
    setup: Setup
    used: float
    """Bytes that nvidia-smi would show on the fullest GPU."""
    fit: Fit
    """The same beside what the GPU has."""
    seconds: float
    """Of one optimizer step, at rows of a usual length."""

    @property
    def verdict(self) -> Verdict:
        return self.fit.verdict

    @property
    def per_row(self) -> float:
        """Seconds for one row of the data."""
        return self.seconds / self.choice.total

    @property
    def gpu_seconds(self) -> float:
        """Of all GPUs together, for one row."""
        return self.per_row * self.choice.gpus

    @property
    def cost(self) -> float:
        """Money for one row; GPU seconds where nobody said what a GPU costs."""
        price = self.offer.price
        return self.gpu_seconds * (1.0 if price is None else price / 3600)

    @property
    def three(self) -> tuple[float, float, float]:
        """What candidates are compared by: time, memory, cost."""
        return self.per_row, self.used, self.cost
