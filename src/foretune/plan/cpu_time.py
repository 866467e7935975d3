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
from .counts import all_parameters
from .devices import Device
from .flops import of_blocks, of_head
from .formula import formula
from .setup import Setup
from .step_time import StepTime, product_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedOnCpu:
    """Numbers fitted to steps of small models that were timed on one CPU (docs/log.md)."""

    products: float = 0.89
    """Of the time of the products at the measured rate."""
    attention: float = 1.86
    """The same of attention's."""
    hidden: float = 4.6
    """Times that a hidden state is read and written in a block, forward, in float32."""
    ffn: float = 1.15
    """Times that what runs inside the feed-forward block is."""
    scores: float = 1.1
    """Times that the scores of the vocabulary are."""
    maps: float = 0.45
    """Times that the map of attention is where it is written out."""
    optimizer: float = 0.41
    operations: float = 146.0
    """Operations of a block, forward and backward, that take time to start."""
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
    rounds, layers, tokens = setup.accumulation, shape.layers, setup.tokens
    tera = device.fp32 or device.bf16 or 0.1
    passes, again = (3 if setup.full else 2), setup.checkpointing != "none"
    inside, head = of_blocks(shape) * (passes + again), of_head(shape) * passes
    prefix = setup.adapter.prefix if setup.adapter is not None else 0
    seen, width = setup.length + prefix, shape.heads * shape.head_dim
    both = 2 + again  # forward and back, and once more

    def moved(elements: float, times: float) -> float:
        return moving_seconds(elements * 4, times, rate_of(device, elements * 4))

    between = layers * both * moved(tokens * shape.hidden, fitted.hidden)
    between += layers * both * moved(tokens * shape.ffn, fitted.ffn)
    between += moved(tokens * (shape.vocab or 0), fitted.scores * passes)
    if setup.kernels.attention == "eager":
        between += layers * both * moved(tokens * seen * shape.heads, fitted.maps)
    scored = 2 * tokens * seen * width * layers * (7 + 2 * again)
    trained = all_parameters(shape) if setup.full else 0
    operations = layers * both * fitted.operations
    return StepTime(
        products=rounds * product_seconds(2 * tokens * (inside + head), tera, 1 / fitted.products),
        attention=rounds * product_seconds(scored, tera, 1 / fitted.attention),
        traffic=rounds * between,
        starting=rounds * starting_seconds(operations, device.operation_us or 10.0),
        communication=0.0,
        waiting=0.0,
        optimizer=moving_seconds(trained * 4, 8 * fitted.optimizer, rate_of(device, 1 << 24)),
        interval=fitted.interval,
        basis=BASIS,
    )
