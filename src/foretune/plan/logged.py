"""The numbers of a log or a trainer's state, worked out backwards: how many devices there were,
which way of counting gives the steps, and what may have trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..params.arch import Family, families, read_architecture
from ..params.arch.tunable import Prefixed
from ..params.training_log import TrainingLog
from .parameters import Explanation, explanations
from .steps import Steps, steps

BEFORE, SINCE = "4.51.3", "4.52.4"
"""Releases of transformers on both sides of the change in how steps are counted."""


def devices(log: TrainingLog) -> int | None:
    """Devices that the total batch makes of the other two numbers; None where one is missing or
    they do not divide.
    """
    if not (log.total_batch and log.micro and log.accumulation):
        return None
    number, rest = divmod(log.total_batch, log.micro * log.accumulation)
    return number if rest == 0 and number else None


@dataclass(frozen=True, slots=True)
class Counting:
    """The steps of a log's run by one way of counting."""

    transformers: str
    drop_last: bool
    made: Steps
    """What the logged epochs come to."""

    def gives(self, logged: int) -> bool:
        """Whether it gives exactly the number that was logged."""
        return self.made.steps == logged

    def begins(self, logged: int) -> bool:
        """Whether so many steps would begin the logged number of epochs, and not fill them."""
        whole = self.made.epochs * self.made.steps_per_epoch
        return whole - self.made.steps_per_epoch < logged < whole


def countings(log: TrainingLog) -> Iterator[Counting]:
    """The steps by every way of counting; none where a number is missing."""
    number = devices(log)
    if not (number and log.num_examples and log.num_epochs and log.micro and log.accumulation):
        return
    for transformers in (BEFORE, SINCE):
        for drop_last in (False, True):
            made = steps(
                examples=log.num_examples,
                micro=log.micro,
                accumulation=log.accumulation,
                devices=number,
                epochs=log.num_epochs,
                max_steps=None,
                warmup=0,
                drop_last=drop_last,
                transformers=transformers,
            )
            if made.batches_per_epoch:
                yield Counting(transformers, drop_last, made)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on which a setting gives a number of trainable parameters."""

    model: str
    parameters: int
    explanation: Explanation


LONGEST_PREFIX, LARGEST_RANK = 2048, 1024
"""What nobody goes beyond: larger ones are chance hits."""


def published() -> Iterator[tuple[str, Family]]:
    """The published model of every family that is known here, by its name; of families that are the
    same size only the first.
    """
    seen: set[int] = set()
    for family in families():
        read, _ = read_architecture(family.published, family=family)
        if family.published and read is not None and read.shape.num_parameters not in seen:
            seen.add(read.shape.num_parameters)
            yield str(family.published.get("_name_or_path", family.__name__)), read


def candidates(trainable: int, models: Iterable[tuple[str, Family]]) -> Iterator[Candidate]:
    """What could have made a number of trainable parameters, on each of these models. A prefix is
    looked for where the published code has one.
    """
    for name, family in models:
        for found in explanations(family.shape, trainable):
            prefix = found.method.startswith("P-Tuning")
            size = re.search(r"\d+", found.setting)
            most = LONGEST_PREFIX if prefix else LARGEST_RANK
            likely = size is None or int(size[0]) <= most
            if likely and (isinstance(family, Prefixed) or not prefix):
                yield Candidate(name, family.shape.num_parameters, found)
