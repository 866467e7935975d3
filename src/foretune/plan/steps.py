"""How many optimizer steps a run makes, by the trainer's own arithmetic.

Read in transformers 4.30.2, 4.51.3, 4.52.4 and 5.23.0 (``Trainer._inner_training_loop``, later
``set_initial_training_values``). Before 4.52 the micro batches left over at the end of an epoch,
too few for a whole accumulation, made no step; since then they make one more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .formula import formula
from .version import release

COUNTS_THE_LAST_PARTIAL_ACCUMULATION = (4, 52)
"""The first release in which an epoch's last partial accumulation is a step."""


@formula("batches")
def batches_per_epoch(examples: int, micro: int, devices: int, drop_last: bool) -> int:
    """Micro batches that one device sees in an epoch.

    每个设备在一轮中处理的微批次数。
    """
    return examples // (micro * devices) if drop_last else math.ceil(examples / (micro * devices))


@formula("batches")
def rebalanced_batches(
    examples: int, micro: int, accumulation: int, devices: int, drop_last: bool
) -> int:
    """Micro batches of an epoch where examples are spread evenly over whole optimizer steps
    (batch_rebalance): a last step that is not full has as many as the others.

    样本按整个优化器步均衡分配（batch_rebalance）时一轮的微批次数：最后不满的一步也有同样多的微批次。
    """
    return accumulation * (
        examples // (micro * accumulation * devices)
        if drop_last
        else math.ceil(examples / (micro * accumulation * devices))
    )


@formula("steps")
def steps_per_epoch(batches: int, accumulation: int, transformers: str) -> int:
    """Optimizer steps in an epoch of so many micro batches.

    一轮中的优化器步数。
    """
    return max(
        batches // accumulation
        if release(transformers) < COUNTS_THE_LAST_PARTIAL_ACCUMULATION
        else math.ceil(batches / accumulation),
        1,
    )


@formula("steps")
def total_steps(epochs: float, per_epoch: int) -> int:
    """Optimizer steps of the whole run.

    整个训练的优化器步数。
    """
    return math.ceil(epochs * per_epoch)


@formula("passes over the data")
def passes(steps: int, per_epoch: int) -> float:
    """How often the data is gone through.

    数据一共过几遍。
    """
    return steps / per_epoch


@formula("steps")
def warmup_steps(warmup: float, steps: int) -> int:
    """Steps until the learning rate is whole; a value below 1 is a share of all steps.

    学习率升到设定值所用的步数；小于 1 的值表示占总步数的比例。
    """
    return int(warmup) if warmup >= 1 else math.ceil(steps * warmup)


@formula("examples")
def total_batch(micro: int, accumulation: int, devices: int) -> int:
    """Examples in one optimizer step, over all devices.

    所有设备合计、每个优化器步的样本数。
    """
    return micro * accumulation * devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of a run, exact for one version of transformers."""

    transformers: str
    examples: int
    micro: int
    devices: int
    accumulation: int
    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    """Passes over the data that are begun."""
    steps: int
    warmup: int

    @property
    def total_batch(self) -> int:
        """Examples in one optimizer step, over all devices."""
        return total_batch(self.micro, self.accumulation, self.devices)

    @property
    def passes(self) -> float:
        """Passes over the data, the last one in part."""
        return passes(self.steps, self.steps_per_epoch)


def steps(
    *,
    examples: int,
    micro: int,
    accumulation: int,
    devices: int,
    epochs: float,
    max_steps: int | None,
    warmup: float,
    drop_last: bool,
    transformers: str,
    rebalanced: bool = False,
) -> Steps:
    """The steps of a run over ``examples`` rows.

    ``max_steps``, where it is given, decides and ``epochs`` does not count. ``rebalanced``: the
    examples come in the order "batch_rebalance"; the other orders change nothing.
    """
    batches = batches_per_epoch(examples, micro, devices, drop_last)
    if rebalanced:
        batches = rebalanced_batches(examples, micro, accumulation, devices, drop_last)
    per_epoch = steps_per_epoch(batches, accumulation, transformers)
    total = max_steps if max_steps is not None else total_steps(epochs, per_epoch)
    return Steps(
        transformers=transformers,
        examples=examples,
        micro=micro,
        devices=devices,
        accumulation=accumulation,
        batches_per_epoch=batches,
        steps_per_epoch=per_epoch,
        epochs=math.ceil(total / per_epoch) if max_steps is not None else math.ceil(epochs),
        steps=total,
        warmup=warmup_steps(warmup, total),
    )
