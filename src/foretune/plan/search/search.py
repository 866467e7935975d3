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
from ..evidence import MEMORY_ROWS, method_of
from ..memory.peak import Memory, memory
from ..of_run import setup_of, usual_length
from ..setup import Checkpointing, Parallel, Setup
from ..step_time import step_time
from ..verdict import fit
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
    factor: float = 1.0
    """By which a measured step of this stack differed from its forecast."""
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
    usual: int
    """Tokens of a row of a usual batch."""
    answers: int
    """Length up to which evaluation generates; 0 where it does not."""
    eval_batch: int
    """Rows that it generates for at once."""
    rows: int
    """Published runs that stand behind the memory of its method."""

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
            self.places[key] = place_of(self.task, run, base.gpus)
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
                self.found.outcomes.append(self._timed(one, at.usual, times))
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

    def _timed(self, one: Outcome, usual: int, accumulation: int) -> Outcome:
        if accumulation != one.choice.accumulation:
            setup = replace(one.setup, accumulation=accumulation)
            choice = one.choice._replace(accumulation=accumulation)
            one = one._replace(setup=setup, choice=choice)
        return one._replace(seconds=seconds_of(self.task, one.setup, usual, one.offer))


def place_of(task: Task, run: Run, gpus: int) -> Place:
    """Where a resolved run stands."""
    setup = task.setup(run, gpus)
    answers = run.generate.enabled and (run.launch.predict or run.evaluates)
    prefix = setup.adapter.prefix if setup.adapter is not None else 0
    return Place(
        setup=setup,
        usual=usual_length(run, task.facts) or setup.length,
        answers=(run.generate.max_length or 0) + prefix if answers else 0,
        eval_batch=run.batch.eval * (run.generate.num_beams or 1) if answers else 0,
        rows=MEMORY_ROWS[method_of(run)],
    )


def held(task: Task, offer: Offer, at: Place) -> Memory:
    """What one GPU of an offer holds, part by part."""
    return memory(task.shape, at.setup, offer.device, answers=at.answers, eval_batch=at.eval_batch)


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


def seconds_of(task: Task, setup: Setup, usual: int, offer: Offer) -> float:
    """Seconds of one optimizer step at rows of a usual length."""
    step = setup if usual == setup.length else replace(setup, length=usual)
    return step_time(task.shape, step, offer.hardware).seconds * task.factor


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
