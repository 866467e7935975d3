"""The learning rate of every step, by transformers' own schedules.

Read in transformers 5.17 and 5.23 (optimization.py); a test holds each of them against the
installed one. The rate of a step is the one that its optimizer step is made with, which is also
what the training log shows since transformers 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..params.run import Run

FOLLOWS_THE_LOSS = ("reduce_lr_on_plateau", "greedy")
"""Schedules whose rate hangs on what the run measures: it cannot be told before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule over all steps of a run."""

    name: str
    rate: float
    """The highest."""
    warmup: int
    steps: int
    arguments: Mapping[str, Any]

    def at(self, step: int) -> float:
        """The rate of a step, the first of which is 1."""
        return self.rate * self.share(step - 1)

    def share(self, done: int) -> float:
        """The rate after so many steps, as a share of the highest."""
        if self.name == "constant":
            return 1.0
        if self.name == "cosine_warmup_with_min_lr":
            return _cosine_from_the_first_step(self, done)
        if self.name == "warmup_stable_decay":
            return _warmup_stable_decay(self, done)
        if done < self.warmup:
            return done / max(1, self.warmup)
        return FALLS[self.name](self, done)

    def number(self, name: str, default: float) -> float:
        """A further argument of the schedule."""
        found = self.arguments.get(name)
        return default if found is None else float(found)

    @property
    def lowest(self) -> float:
        """The rate at which the cosine ends, as a share, where one is asked for."""
        lowest = self.arguments.get("min_lr")
        return self.number("min_lr_rate", 0.0) if lowest is None else float(lowest) / self.rate

    def progress(self, done: int) -> float:
        """How far the steps after the warm-up are gone."""
        return (done - self.warmup) / max(1, self.steps - self.warmup)


def schedule_of(run: Run, steps: int, warmup: int) -> Schedule | None:
    """The schedule of a run of so many steps; None where it follows what the run measures."""
    if run.schedule.name in FOLLOWS_THE_LOSS or not run.optim.learning_rate:
        return None
    arguments: dict[str, Any] = run.schedule.arguments or {}
    return Schedule(
        name=run.schedule.name,
        rate=run.optim.learning_rate,
        warmup=warmup,
        steps=steps,
        arguments=arguments,
    )


def _linear(it: Schedule, done: int) -> float:
    return max(0.0, (it.steps - done) / max(1, it.steps - it.warmup))


def _cosine(it: Schedule, done: int) -> float:
    waves = it.number("num_cycles", 0.5)
    share = 0.5 * (1 + math.cos(math.pi * waves * 2 * it.progress(done)))
    return max(0.0, share * (1 - it.lowest) + it.lowest)


def _restarts(it: Schedule, done: int) -> float:
    progress = it.progress(done)
    if progress >= 1:
        return 0.0
    return max(0.0, 0.5 * (1 + math.cos(math.pi * (it.number("num_cycles", 1) * progress % 1.0))))


def _polynomial(it: Schedule, done: int) -> float:
    end = it.number("lr_end", 1e-7)
    if done > it.steps:
        return end / it.rate
    left = 1 - (done - it.warmup) / max(it.steps - it.warmup, 1)
    return ((it.rate - end) * left ** it.number("power", 1.0) + end) / it.rate


def _inverse_root(it: Schedule, done: int) -> float:
    scale = it.number("timescale", it.warmup or 10_000)
    return 1 / math.sqrt((done + scale - it.warmup) / scale)


def _flat(it: Schedule, done: int) -> float:
    return 1.0


FALLS: dict[str, Callable[[Schedule, int], float]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_min_lr": _cosine,
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
    "constant_with_warmup": _flat,
    "inverse_sqrt": _inverse_root,
}
"""What follows the warm-up."""


def _cosine_from_the_first_step(it: Schedule, done: int) -> float:
    """Unlike the others it is not zero in the first step."""
    if done < it.warmup:
        start = it.arguments.get("warmup_lr_rate")
        if start is None:
            return (done + 1) / max(1, it.warmup)
        return float(start) + (1 - float(start)) * done / max(1, it.warmup - 1)
    progress = (done - it.warmup + 1) / max(1, it.steps - it.warmup)
    share = 0.5 * (1 + math.cos(math.pi * it.number("num_cycles", 0.5) * 2 * progress))
    return max(0.0, share * (1 - it.lowest) + it.lowest)


def _warmup_stable_decay(it: Schedule, done: int) -> float:
    decay = int(it.number("num_decay_steps", 0))
    stable = int(it.number("num_stable_steps", it.steps - it.warmup - decay))
    lowest = it.number("min_lr_ratio", 0.0)
    if done < it.warmup:
        gone = done / max(1, it.warmup)
        rises = {
            "cosine": 0.5 * (1 - math.cos(math.pi * gone)),
            "1-sqrt": 1 - math.sqrt(1 - gone),
        }
        share = rises.get(str(it.arguments.get("warmup_type")), gone)
    elif done < it.warmup + stable:
        return 1.0
    elif done < it.warmup + stable + decay:
        gone = (done - it.warmup - stable) / max(1, decay)
        waves = it.number("num_cycles", 0.5)
        falls = {"linear": 1 - gone, "1-sqrt": 1 - math.sqrt(gone)}
        cosine = 0.5 * (1 + math.cos(math.pi * waves * 2 * gone))
        share = falls.get(str(it.arguments.get("decay_type")), cosine)
    else:
        return lowest
    return max(0.0, share * (1 - lowest) + lowest)
