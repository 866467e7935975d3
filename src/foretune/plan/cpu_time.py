"""How long a step takes on a CPU that `foretune calibrate` has measured.

Unlike a GPU, a CPU does one operation after the other, and none starts while another runs: to the
time of the matrix products and of what is read and written between them comes that of starting
each operation. Tensors that fit its caches are moved several times faster than others, and large
ones are slower still, since their memory is mapped anew each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..params.arch.shape import Shape
from ..text import Said
from .devices import Device
from .flops import of_blocks, of_head
from .formula import formula
from .memory.states import trained
from .part import head_trains, passed, trained_linears
from .setup import Setup
from .step_time import StepTime, product_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedOnCpu:
    """Numbers fitted to steps of small models that were timed on one CPU, whose rates were measured
    before and after each (docs/log.md).
    """

    products: float = 0.99
    """Of the time of the products at the measured rate."""
    attention: float = 1.2
    """The same of attention's."""
    hidden: float = 159.0
    """Times that a hidden state is read and written in a block of two norms, in one direction, in
    float32; a tensor of a usual size is in the caches, and counts so much faster."""
    ffn: float = 4.9
    """Times that what runs inside the feed-forward block is."""
    scores: float = 8.6
    """Times that the scores of the vocabulary are."""
    maps: float = 15.8
    """Times that the map of attention is, where it is written out."""
    dropped: float = 147.0
    """Times that a hidden state is more, where a part of it is zeroed at random."""
    dropped_maps: float = 16.0
    """The same of the map of attention, which is then written out."""
    weights: float = 0.54
    """Times that the weights are, each time that they are multiplied with."""
    optimizer: float = 7.1
    operations: float = 91.5
    """Operations of a block in one direction that take time to start."""
    adapters: float = 37.0
    """Operations more with LoRA."""
    a_step: float = 193.0
    """Operations around the micro batches."""
    interval: float = 0.25


FITTED = FittedOnCpu()
BASIS = Said("measured rates of this CPU", "本机 CPU 的实测速率")


@formula("seconds")
def moving_seconds(size: float, times: float, gbs: float) -> float:
    """A tensor that is read and written so many times, at the rate for its size.

    以该大小对应的速率，把一个张量读写若干次的时间。
    """
    return size * times * 2 / (gbs * 1e9)


@formula("seconds")
def starting_seconds(operations: float, microseconds: float) -> float:
    """What operations take to start.

    启动若干次运算所用的时间。
    """
    return operations * microseconds * 1e-6


def rate_of(device: Device, size: float) -> float:
    """GB/s for a tensor of so many bytes, between the measured sizes on a line of logarithms."""
    known = device.traffic or ((1.0, device.bandwidth_gbs),)
    below = [point for point in known if point[0] <= size] or [known[0]]
    above = [point for point in known if point[0] > size] or [known[-1]]
    (small, slow), (large, fast) = below[-1], above[0]
    if small >= large:
        return slow
    part = math.log(max(size, small) / small) / math.log(large / small)
    return math.exp(math.log(slow) * (1 - part) + math.log(fast) * part)


def cpu_step_time(
    shape: Shape, setup: Setup, device: Device, fitted: FittedOnCpu = FITTED
) -> StepTime:
    """Seconds of one optimizer step on one measured CPU, in float32."""
    rounds, tokens = setup.accumulation, setup.tokens
    again = setup.checkpointing != "none"
    passes = 3 if setup.full else 2
    multiplied = of_blocks(shape) * (passes + again) + of_head(shape) * passes
    back = 1.0
    if setup.part is not None:
        back = passed(shape, setup.part, checkpointing=bool(again))
        multiplied = of_blocks(shape) * (1 + back * (1 + again)) + of_head(shape) * 2
        multiplied += trained_linears(shape, setup.part)
        multiplied += of_head(shape) * head_trains(shape, setup.part)
    seen = setup.length + _prefix(setup)
    scored = 2 * tokens * seen * shape.heads * shape.head_dim * shape.layers
    scored *= 2 + (5 + 2 * again) * back
    tera = device.fp32 or device.bf16 or 0.1
    moved = _between(shape, setup, device, fitted) + _moved(device, multiplied, fitted.weights, BIG)
    stepped = trained(shape, setup) if setup.adapter is None else 0
    starting = starting_seconds(
        rounds * shape.layers * (2 + again) * _operations(setup, fitted) + fitted.a_step,
        device.operation_us or 10.0,
    )
    return StepTime(
        products=rounds * product_seconds(2 * tokens * multiplied, tera, 1 / fitted.products),
        attention=rounds * product_seconds(scored, tera, 1 / fitted.attention),
        traffic=rounds * moved,
        starting=starting,
        communication=0.0,
        waiting=0.0,
        optimizer=_moved(device, stepped, fitted.optimizer, BIG),
        interval=fitted.interval,
        basis=BASIS,
    )


BIG = 1 << 24
"""Bytes of a tensor that no cache holds."""


def _prefix(setup: Setup) -> int:
    return setup.adapter.prefix if setup.adapter is not None else 0


def _norms(shape: Shape) -> int:
    """Norms of the hidden state in a block."""
    return sum(
        one.shape == (shape.hidden,) and one.name.endswith(".weight") and "{i}" in one.name
        for one in shape.weights
        if one.kind == "norm"
    )


def _operations(setup: Setup, fitted: FittedOnCpu) -> float:
    """Operations of a block in one direction."""
    adapted = setup.adapter is not None and setup.adapter.rank > 0
    return fitted.operations + (fitted.adapters if adapted else 0)


def _moved(device: Device, elements: float, times: float, size: float | None = None) -> float:
    """Seconds in which a float32 tensor is moved, at the rate for its own size or for ``size``."""
    held = elements * 4
    return moving_seconds(held, times, rate_of(device, size or held)) if elements else 0.0


def _between(shape: Shape, setup: Setup, device: Device, fitted: FittedOnCpu) -> float:
    """Seconds of what lies between the products, for one micro batch."""
    tokens, directions = setup.tokens, 2 + (setup.checkpointing != "none")
    map_ = tokens * (setup.length + _prefix(setup)) * shape.heads
    dropped = shape.dropout or setup.kernels.dropout
    shares = shape.kv_heads < shape.heads  # which takes no other kernel here, unlike on a GPU
    written = shape.capped or (setup.kernels.attention == "eager" and not shares)
    inside = (
        _moved(device, tokens * shape.hidden, fitted.hidden * _norms(shape) / 2)
        + _moved(device, tokens * shape.hidden, fitted.dropped * dropped)
        + _moved(device, tokens * shape.ffn, fitted.ffn)
        + _moved(device, map_, fitted.maps * written + fitted.dropped_maps * dropped)
    )
    scores = _moved(device, tokens * (shape.vocab or 0), fitted.scores * (3 if setup.full else 2))
    return shape.layers * directions * inside + scores
