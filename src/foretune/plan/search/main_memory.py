"""What offloading takes of a machine's main memory."""

from __future__ import annotations

from ...params.arch.shape import Shape
from ..counts import all_parameters
from ..formula import formula
from ..memory.states import trained
from .candidate import Outcome


@formula("bytes")
def main_memory_bytes(trainable: int, moved: int, bytes_each: int, machines: int) -> float:
    """Main memory of one machine for what is offloaded: a float32 copy, two moments and a gradient
    of every weight that trains, and the weights themselves where they are moved too.

    卸载所需的每台机器内存：每个训练权重的 float32 副本、两个动量和一个梯度，以及一并移出的权重。
    """
    return (trainable * 16 + moved * bytes_each) / machines


def main_memory(shape: Shape, one: Outcome) -> float:
    """Bytes of each machine's main memory that an outcome needs for what it offloads; 0 where it
    offloads nothing.
    """
    away = one.choice.offload
    if away == "none":
        return 0.0
    moved = all_parameters(shape) if away == "all" else 0
    machines = one.offer.spread(one.choice.gpus)[1]
    return main_memory_bytes(
        trained(shape, one.setup), moved, one.setup.precision.compute, machines
    )
