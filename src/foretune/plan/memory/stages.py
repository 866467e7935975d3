"""The stages of a pipeline: what of the model each has, and what waits in it when it is fullest.

A stage sends forward until its first gradient comes back, and takes forward and backward passes in
turn from there on (1F1B, arXiv:2104.04473). In between the inputs of all micro batches that are
under way wait in it. Where it holds several runs of blocks (interleaved), the last run has its
first gradient before the others have one. Read in torch 2.13, distributed/pipelining/schedules.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ...params.arch.shape import Shape
from ..counts import all_parameters, blocks, embedding
from ..setup import Parallel, Setup
from .buffers import head_parameters

RUNS = 2
"""Runs of blocks that an interleaved stage holds; more are rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a pipeline when it is fullest; the whole model where there is none."""

    blocks: float
    embedding: bool
    head: bool
    waiting: float
    """Micro batches whose activations wait in all of its blocks."""
    summed: float = 1.0
    """Share of its blocks that have a gradient then."""


WHOLE = 1
"""Stages of a model that is not cut."""


def stages(shape: Shape, setup: Setup) -> tuple[Stage, ...]:
    """The stages that can be the fullest: the first two, and the last with the loss."""
    return _stages(shape.layers, setup.accumulation, setup.parallel)


@cache
def _stages(layers: int, accumulation: int, parallel: Parallel) -> tuple[Stage, ...]:
    count = parallel.pipeline
    if count == WHOLE:
        return (Stage(blocks=layers, embedding=True, head=True, waiting=1),)
    found: list[Stage] = []
    for index in sorted({0, 1, count - 1}):
        ends = index in (0, count - 1)  # they have the embedding or the loss, and no block over
        each = layers // count if ends else -(-layers // count)
        waiting, summed = _under_way(index, accumulation, parallel)
        found.append(
            Stage(
                blocks=each,
                embedding=index == 0,
                head=index == count - 1,
                waiting=waiting,
                summed=summed,
            )
        )
    return tuple(found)


def _under_way(index: int, accumulation: int, parallel: Parallel) -> tuple[float, float]:
    """Micro batches under way in a stage, and the share of its blocks that have a gradient."""
    count = parallel.pipeline
    if not parallel.interleaved:
        return max(min(count - index, accumulation - 1), 1), 1.0
    ahead = (RUNS - 1) * count + 2 * (count - 1 - index) + 1
    waiting = min(ahead / RUNS, accumulation - 1 / RUNS)
    return waiting, 1 / RUNS if accumulation <= count else 1.0


@cache
def part_of_model(shape: Shape, stage: Stage) -> float:
    """The share of all parameters that a stage has."""
    if stage.embedding and stage.head:
        return 1.0
    count = blocks(shape) / max(shape.layers, 1) * stage.blocks
    count += embedding(shape) if stage.embedding else 0
    count += head_parameters(shape) if stage.head else 0
    return min(count / all_parameters(shape), 1.0)
