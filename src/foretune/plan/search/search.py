"""Goes through a space: what can be ruled out is not computed, what fits is kept.

In the micro batch, all else the same, tensors only take more; so the first micro batch that does
not fit rules out all larger ones. That holds as long as the accumulation stays on one side of what
memory tells apart: gradients lie beside the activations from the second micro batch of a step on,
and what a pipeline holds grows with every micro batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ...facts import Facts
from ...params.arch.shape import Shape
from ...params.resolve import resolve
from ...params.run import Run
from ...params.setting import Origin
from ..calibration import Calibration, Measured, Stack, calibration
from ..evidence import MEMORY_ROWS, method_of
from ..forecast import memory_of
from ..memory.peak import Memory
from ..of_run import setup_of
from ..row_length import usual_length
from ..setup import Checkpointing, Parallel, Setup
from ..step_time import StepTime, step_time
from ..verdict import fit
from ..version import installed
from .candidate import Candidate, Outcome
from .choice import Choice, settings_of
from .offer import Offer
from .space import Space

BY_SEARCH = Origin("plan --fit")
"""Where the settings of a candidate come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A run that is to be fitted to some GPUs."""

    written: Run
    """As its files say it."""
    shape: Shape
    facts: Facts
    stored_bits: int = 0
    """Bits in which the model's folder holds its weights packed; 0 for full ones."""
    family: str | None = None
    """Of the model, as params/arch names it."""
    known: tuple[Measured, ...] = ()
    """Measured steps, from which a forecast of time is calibrated."""
    rows_seen: int | None = None
    """Rows that the run goes through in all, every epoch counted; None where that is not known."""

    def resolved(self, run: Run) -> Run:
        return resolve(run, self.shape, device="cuda", complete=False)

    def setup(self, run: Run, gpus: int) -> Setup:
        """The setup of a resolved run."""
        facts = replace(self.facts, devices=gpus)
        return setup_of(run, self.shape, facts, stored_bits=self.stored_bits)

    def run_of(self, candidate: Candidate) -> Run:
        """The written run with the settings of a candidate on top."""
        return self.written.set(candidate.settings, BY_SEARCH)


class Place(NamedTuple):
    """What is common to candidates of which only the batch, the spread over GPUs and checkpointing
    differ.
    """

    setup: Setup
    run: Run
    """Resolved."""
    rows: int
    """Published runs that stand behind the memory of its method."""
    calibration: Calibration | None

    def at(self, **changed: Any) -> Place:
        """With other parts of the setup."""
        return self._replace(setup=replace(self.setup, **changed))


class Group(NamedTuple):
    """What candidates have in common that fail for one reason."""

    offer: str
    gpus: int
    method: str
    quantize: int | None
    sharding: str
    offload: str
    spread: bool
    """Whether matrices, blocks or rows are shared out as well."""


@dataclass(slots=True)
class Tally:
    """What became of the candidates of a group."""

    fitting: int = 0
    failing: int = 0
    least: Outcome | None = None
    """Of those that fail, the one that needs least."""

    def fails(self, count: int, example: Outcome) -> None:
        self.failing += count
        if self.least is None or example.used < self.least.used:
            self.least = example


@dataclass(slots=True)
class Found:
    """What going through a space came to."""

    seen: int = 0
    evaluated: int = 0
    """Those whose memory, and time where they fit, were computed."""
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    """Those that fit, perhaps."""
    groups: dict[Group, Tally] = field(default_factory=dict[Group, Tally])
    undivided: set[int] = field(default_factory=set[int])
    """Numbers of groups of GPUs that cannot share out the total batch."""

    @property
    def pruned(self) -> int:
        return self.seen - self.evaluated


@dataclass(slots=True, kw_only=True)
class Search:
    """One pass through the space of one offer."""

    task: Task
    space: Space
    found: Found
    places: dict[tuple[object, ...], Place] = field(default_factory=dict[tuple[object, ...], Place])
    lengths: Lengths = field(default_factory=dict[tuple[object, ...], "int | None"])
    least_only: bool = False
    """True where only the smallest micro batches are of interest."""

    def go(self) -> Found:
        for base in self.space.bases():
            batches = self.space.batches(base)
            if not batches:
                self.found.undivided.add(base.data)
                continue
            place = self.place(base)
            group = self.found.groups.setdefault(self._group(base), Tally())
            self.found.seen += len(batches)
            for chain in chains(base.pipeline, batches):
                self._chain(base, place, chain[:1] if self.least_only else chain, group)
        return self.found

    def candidate(self, outcome: Outcome) -> Candidate:
        """An outcome with the settings that lead to it."""
        space = self.space
        settings = settings_of(outcome.choice, self.task.written, space.written, space.offer)
        return Candidate(setup=outcome.setup, settings=settings)

    def place(self, base: Choice) -> Place:
        """Where a place in the space leads."""
        key = (*base[1:6], base.padding, base.gpus > 1)
        if key not in self.places:
            plain = base._replace(checkpointing=self.space.written.checkpointing)
            settings = settings_of(plain, self.task.written, self.space.written, self.space.offer)
            run = self.task.resolved(self.task.written.set(settings, BY_SEARCH))
            self.places[key] = place_of(self.task, run, self.space.offer, base.gpus)
        found = self.places[key]
        checkpointing: Checkpointing = "full" if base.checkpointing else "none"
        return found.at(checkpointing=checkpointing, parallel=_spread(found.setup, base))

    def _group(self, base: Choice) -> Group:
        return Group(
            offer=str(self.space.offer),
            gpus=base.gpus,
            method=base.method,
            quantize=base.quantize,
            sharding=base.sharding,
            offload=base.offload,
            spread=not base.runnable,
        )

    def _chain(self, base: Choice, at: Place, chain: Chain, tally: Tally) -> None:
        """Finds the first micro batch that does not fit by halving, and times all before it."""
        known: dict[int, Outcome] = {}
        low, high = 0, len(chain)
        while low < high:
            middle = (low + high) // 2
            known[middle] = self._held(base, at, *chain[middle])
            if known[middle].verdict == "does not fit":
                high = middle
            else:
                low = middle + 1
        for number, (micro, rounds) in enumerate(chain[:low]):
            one = known.get(number) or self._held(base, at, micro, rounds)
            for times in rounds:
                self.found.outcomes.append(self._timed(one, at, times))
            self.found.evaluated += len(rounds)
            tally.fitting += len(rounds)
        self.found.evaluated += sum(len(chain[number][1]) for number in known if number >= low)
        if low < len(chain):
            tally.fails(sum(len(rounds) for _, rounds in chain[low:]), known[low])

    def _held(self, base: Choice, at: Place, micro: int, rounds: Sequence[int]) -> Outcome:
        """What a candidate holds; its time is not known yet."""
        at = at.at(micro=micro, accumulation=rounds[0])
        choice = base._replace(micro=micro, accumulation=rounds[0])
        return measured(self.task, choice, self.space.offer, at)

    def _timed(self, one: Outcome, at: Place, accumulation: int) -> Outcome:
        if accumulation != one.choice.accumulation:
            setup = replace(one.setup, accumulation=accumulation)
            choice = one.choice._replace(accumulation=accumulation)
            one = one._replace(setup=setup, choice=choice)
        return timed(self.task, one, at, self.lengths)


def place_of(task: Task, run: Run, offer: Offer, gpus: int) -> Place:
    """Where a resolved run stands."""
    found = None
    if task.family is not None and task.known:
        stack = Stack(
            device=offer.device.name,
            family=task.family,
            method=method_of(run),
            torch=installed("torch"),
            transformers=task.facts.transformers,
        )
        found = calibration(stack, task.known)
    rows = MEMORY_ROWS[method_of(run)]
    return Place(setup=task.setup(run, gpus), run=run, rows=rows, calibration=found)


def held(task: Task, offer: Offer, at: Place) -> Memory:
    """What one GPU of an offer holds, part by part."""
    return memory_of(at.run, task.shape, at.setup, task.facts, offer.device)


def measured(task: Task, choice: Choice, offer: Offer, at: Place) -> Outcome:
    """What a setup comes to on one GPU of an offer."""
    need = held(task, offer, at)
    return Outcome(
        choice=choice,
        offer=offer,
        setup=at.setup,
        used=need.used,
        fit=fit(need, offer.device, rows=at.rows),
        seconds=math.inf,
    )


Lengths = dict[tuple[object, ...], int | None]
"""Tokens of a row of a usual batch, by what they hang on."""


def usual_of(task: Task, setup: Setup, at: Place, lengths: Lengths) -> Setup:
    """A setup at the length of its usual batch, whose padding hangs on the rows that share it."""
    run, batch = at.run, (setup.micro, setup.accumulation)
    key = (run.data.pad_to_max_length, run.batch.order, *batch)
    if key not in lengths:
        micro, accumulation = batch
        changed = run.batch.model_copy(update={"micro": micro, "accumulation": accumulation})
        lengths[key] = usual_length(run.model_copy(update={"batch": changed}), task.facts)
    length = lengths[key]
    return setup if length is None else replace(setup, length=length)


def step_of(task: Task, one: Outcome, at: Place, lengths: Lengths) -> StepTime:
    """The time of an outcome's step, with its interval."""
    usual = usual_of(task, one.setup, at, lengths)
    found = step_time(task.shape, usual, one.offer.hardware)
    return found if at.calibration is None else at.calibration.of(found)


def timed(task: Task, one: Outcome, at: Place, lengths: Lengths) -> Outcome:
    """An outcome with the time of its step."""
    return one._replace(seconds=step_of(task, one, at, lengths).seconds)


def _spread(setup: Setup, base: Choice) -> Parallel:
    return replace(
        setup.parallel,
        data=base.data,
        tensor=base.tensor,
        pipeline=base.pipeline,
        context=base.context,
    )


def memory_class(accumulation: int, pipeline: int) -> int:
    """What memory tells apart of accumulations."""
    return min(accumulation, 2) if pipeline == 1 else accumulation


Chain = Sequence[tuple[int, Sequence[int]]]
"""Micro batches from the smallest, each with the accumulations that go with it; all of one class
of memory.
"""


def chains(pipeline: int, batches: Sequence[tuple[int, int]]) -> Iterator[Chain]:
    """Batches in chains of rising memory."""
    rows: dict[int, dict[int, list[int]]] = {}
    for micro, accumulation in batches:
        row = rows.setdefault(memory_class(accumulation, pipeline), {})
        row.setdefault(micro, []).append(accumulation)
    for row in rows.values():
        yield sorted(row.items())
