"""The answer to a task: the Pareto front, the one to take, the smallest change that makes the run
fit, and what is nearest where nothing does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...params.run import Run
from ..devices import Device, devices
from ..memory.peak import Memory
from ..step_time import StepTime
from .candidate import Candidate, Outcome
from .choice import Choice, choice_of
from .front import front
from .offer import Offer
from .search import Found, Group, Search, Task, held, measured, place_of, step_of, timed
from .space import SPREAD_FROM, Space

Goal = Literal["time", "cost", "memory"]
NEAR = 0.02
"""Share by which two candidates may differ and still count as equally good: far less than the
forecast's own interval.
"""
WEIGHTS = {
    "micro": 1, "total": 6, "padding": 1, "checkpointing": 1, "mixed": 3, "sharding": 3,
    "offload": 3, "gpus": 1, "quantize": 5, "method": 9, "tensor": 9, "pipeline": 9, "context": 9,
}  # fmt: skip
"""How large a change is: least where the run computes the same numbers as before, most where
another thing is trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Candidates that fail for one reason."""

    group: Group
    count: int
    fitting: int
    """Others of the group that fit."""
    least: Outcome
    """The one of them that needs least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What would have to be there, or given up, where nothing fits."""

    least: Outcome
    """The candidate that needs least of all."""
    device: Device | None
    """The smallest GPU known that holds it, in the same number."""
    gpus: int | None
    """The fewest GPUs of the kind offered on which something fits."""
    length: int | None
    """The longest rows, by halving, with which it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a search found."""

    task: Task
    goal: Goal
    offers: Sequence[Offer]
    space: Space
    """Of the first offer."""
    written: Outcome
    """The run as it is written, on the first offer."""
    seen: int
    evaluated: int
    fitting: int
    seconds: float
    """That the search took."""
    front: Sequence[Outcome]
    """Candidates that no other one beats in time, memory and cost, and that can be run."""
    beyond: Sequence[Outcome]
    """Those that would be on the front, did a trainer here share out matrices, blocks and rows."""
    chosen: Outcome | None
    edit: Outcome | None
    """The smallest change to the run that makes it fit; None where it fits, or nothing does."""
    failures: Sequence[Failure]
    """Those of which nothing fits first."""
    undivided: Sequence[int]
    """Numbers of groups of GPUs that cannot share out the total batch."""
    nearest: Nearest | None

    @property
    def pruned(self) -> int:
        return self.seen - self.evaluated

    def candidate(self, outcome: Outcome) -> Candidate:
        """An outcome with the settings that lead to it."""
        return self._search(outcome).candidate(outcome)

    def memory(self, outcome: Outcome) -> Memory:
        """What an outcome holds, part by part."""
        at = self._search(outcome).place(outcome.choice)._replace(setup=outcome.setup)
        return held(self.task, outcome.offer, at)

    def step(self, outcome: Outcome) -> StepTime:
        """The time of an outcome's step, with its interval."""
        return step_of(self.task, outcome, self._search(outcome).place(outcome.choice), {})

    @property
    def free(self) -> frozenset[str]:
        """The dimensions that were gone through."""
        spaces = [replace(self.space, offer=one) for one in self.offers]
        return frozenset(name for space in spaces for name in space.free)

    def _search(self, outcome: Outcome) -> Search:
        space = replace(self.space, offer=outcome.offer)
        return Search(task=self.task, space=space, found=Found())

    def run_of(self, outcome: Outcome) -> Run:
        """The written run with the settings of an outcome on top."""
        return self.task.run_of(self.candidate(outcome))


def answer(
    task: Task,
    offers: Sequence[Offer],
    *,
    goal: Goal = "time",
    keep: frozenset[str] = frozenset(),
    free_batch: bool = False,
) -> Answer:
    """Goes through the settings of a run on every offer.

    Args:
        goal: what the chosen candidate is best in.
        keep: dimensions that stay as they are written.
        free_batch: let the rows of an optimizer step be any number.
    """
    clock = time.perf_counter()
    spaces = [space_of(task, offer, keep, free_batch) for offer in offers]
    found = Found()
    for space in spaces:
        Search(task=task, space=space, found=found).go()
    own = as_written(task, spaces[0])
    can_run = within([one for one in found.outcomes if one.choice.runnable])
    best = fronts(can_run, spaces[0].written)
    every = front(found.outcomes, three)
    chosen = choose(best, goal, spaces[0].written, asked=task.written.launch.train)
    failures = _failures(found)
    return Answer(
        task=task, goal=goal, offers=offers, space=spaces[0], written=own,
        seen=found.seen, evaluated=found.evaluated, fitting=len(found.outcomes),
        front=best, beyond=[one for one in every if not one.choice.runnable],
        chosen=chosen, edit=_edit(can_run, own), failures=failures,
        undivided=sorted(found.undivided),
        nearest=None if chosen else _nearest(task, spaces[0], failures),
        seconds=time.perf_counter() - clock,
    )  # fmt: skip


def within(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that fit if the forecast is right; those that fit if it is too high, where there are no
    others.
    """
    return [one for one in outcomes if one.used <= one.fit.limit] or list(outcomes)


def space_of(task: Task, offer: Offer, keep: frozenset[str], free_batch: bool) -> Space:
    run = task.resolved(task.written)
    setup = task.setup(run, run.launch.all_processes)
    written = choice_of(run, setup)
    train = task.facts.train
    return Space(
        run=run,
        shape=task.shape,
        length=setup.length,
        written=written,
        offer=offer,
        held=keep,
        total=None if free_batch else written.total,
        rows=train.examples if train is not None else None,
        packed=bool(task.stored_bits) and not run.precision.dequantize,
    )


def as_written(task: Task, space: Space) -> Outcome:
    """The run without a change, on these GPUs."""
    at = place_of(task, space.run, space.offer, space.written.gpus)
    return timed(task, measured(task, space.written, space.offer, at), at, {})


def amount(one: Outcome, goal: Goal) -> float:
    """What a goal makes small."""
    return {"time": one.per_row, "cost": one.cost, "memory": one.used}[goal]


def three(one: Outcome) -> tuple[float, float, float]:
    return one.three


def fronts(can_run: Sequence[Outcome], written: Choice) -> list[Outcome]:
    """The Pareto front of each method, that of the run's own first: what trains another thing is no
    match for it by time, memory and cost alone.
    """
    methods = dict.fromkeys([written.method, *(one.choice.method for one in can_run)])
    return [
        one
        for method in methods
        for one in front((one for one in can_run if one.choice.method == method), three)
    ]


def choose(
    best: Sequence[Outcome], goal: Goal, written: Choice, *, asked: bool = True
) -> Outcome | None:
    """The one to take of those that fit surely, where there are any: one that trains what the run
    trains, and offloads nothing, for main memory is not known here, where there are such. Of all
    that are as good as the best of these, the one with the smallest change.

    ``asked`` is false where nobody said how to train, only what model: the method then counts less
    than that nothing is offloaded.
    """
    left = [one for one in best if one.verdict == "fits"] or list(best)
    own = [one for one in left if one.choice.method == written.method]
    left = own if own and asked else left
    left = [one for one in left if one.choice.offload in ("none", written.offload)] or left
    left = [one for one in left if one.choice.method == written.method] or left
    if not left:
        return None
    least = min(amount(one, goal) for one in left)
    near = [one for one in left if amount(one, goal) <= least * (1 + NEAR)]
    if goal == "memory":
        return min(near, key=lambda one: (one.per_row, change(one.choice, written)))
    return min(near, key=lambda one: (change(one.choice, written), one.used))


def change(choice: Choice, written: Choice) -> int:
    """How far a place is from the one that is written."""
    return sum(
        weight
        for name, weight in WEIGHTS.items()
        if getattr(choice, name) != getattr(written, name)
    )


def _edit(can_run: Sequence[Outcome], own: Outcome) -> Outcome | None:
    """The smallest change; of several the fastest."""
    if own.verdict == "fits" and own.choice.gpus <= own.offer.count:
        return None
    sure = [one for one in can_run if one.verdict == "fits"] or can_run
    return min(sure, key=lambda one: (change(one.choice, own.choice), one.per_row), default=None)


def _failures(found: Found) -> list[Failure]:
    """Groups that fail, those of which nothing fits first, then by what they need at least."""
    failed = [
        Failure(group=group, count=tally.failing, fitting=tally.fitting, least=tally.least)
        for group, tally in found.groups.items()
        if tally.least is not None
    ]
    return sorted(failed, key=lambda one: (one.fitting > 0, one.least.used))


MOST_MACHINES = 64
SHORTEST = 32
"""Tokens of a row below which it is not worth asking."""


def _nearest(task: Task, space: Space, failures: Sequence[Failure]) -> Nearest | None:
    if not failures:
        return None
    least = min((one.least for one in failures), key=lambda one: one.used)
    sizes = sorted(devices(), key=lambda one: one.memory_gb)
    holds = [one for one in sizes if one.fp16 and one.usable >= least.fit.high]
    return Nearest(
        least=least,
        device=holds[0] if holds else None,
        gpus=_more_gpus(task, space),
        length=_shorter(task, least),
    )


def _more_gpus(task: Task, space: Space) -> int | None:
    """The fewest GPUs of the same kind on which the smallest micro batches fit: twice as many, and
    so on."""
    offer = space.offer
    while offer.count < SPREAD_FROM * MOST_MACHINES and "gpus" not in space.held:
        grown = offer.gpus < 8
        offer = replace(
            offer,
            gpus=min(offer.gpus * 2, 8) if grown else offer.gpus,
            nodes=offer.nodes if grown else offer.nodes * 2,
        )
        wider = replace(space, offer=offer, held=space.held | {"parallel"}, total=None)
        found = Search(task=task, space=wider, found=Found(), least_only=True).go()
        sure = [one for one in found.outcomes if one.verdict == "fits"]
        if sure:
            return min(one.choice.gpus for one in sure)
    return None


def _shorter(task: Task, least: Outcome) -> int | None:
    """The longest rows, by halving, with which the least candidate fits."""
    run = task.resolved(task.written)
    at = place_of(task, run, least.offer, least.choice.gpus)._replace(setup=least.setup)
    while at.setup.length >= SHORTEST:
        at = at.at(length=at.setup.length // 2)
        if measured(task, least.choice, least.offer, at).verdict == "fits":
            return at.setup.length
    return None
