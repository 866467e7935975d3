"""What a training step comes to, as amounts: the memory of one device, part by part, the tokens and
the operations of the step, and what is written of it to disk.

The figures are those of ``foretune plan`` for the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..params.arch.shape import Shape
from ..params.declare import Words
from .amounts import PLAIN_ADAM, Amount, shared_out
from .counts import all_parameters
from .disk import Disk, disk_bytes
from .flops import of_head
from .forecast import Forecast
from .formula import formula
from .memory.activations import kept_by_blocks, loss_bytes
from .memory.part_names import PARTS
from .memory.peak import Memory, Parts
from .memory.states import (
    adam_bytes,
    bytes_of_model,
    gradient_bytes,
    master_bytes,
    trained,
    weight_bytes,
)
from .products import products
from .setup import Setup

NO_PART = 0.0005
"""Share of a sum below which a part of it is not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Amount):
    """An amount that is told part by part, in the unit of the whole."""

    parts: tuple[tuple[Words, float], ...]
    sign: Literal["+", "max"] = "+"
    """What is made of the parts: their sum, or the largest."""

    def text_in(self, language: str) -> str:
        """'weights 3.661 + activations 0.053 = 3.714 GiB'; parts that do not count left out."""
        shown = self.shown_in(language)
        figure = shown.split()[0]
        scale = self.value / float(figure) if self.value else 1.0
        decimals = len(figure.partition(".")[2])
        told = [
            f"{words.in_language(language)} {part / scale:,.{decimals}f}"
            for words, part in self.parts
            if part > self.value * NO_PART
        ]
        if len(told) == 1:
            return f"{told[0]} {shown.split()[-1]}"
        whole = " + ".join(told) if self.sign == "+" else f"max({', '.join(told)})"
        return f"{whole} = {shown}"


@formula("bytes")
def step_bytes(parts: Parts) -> float:
    """Peak memory of a step on one device.

    一步在单个设备上的显存峰值。
    """
    return (
        parts.weights
        + parts.gradients
        + parts.optimizer
        + parts.master
        + parts.activations
        + parts.logits
        + parts.cache
        + parts.communication
        + parts.temporary
    )


@formula("bytes")
def run_bytes(step: float, loading: float, evaluation: float, saving: float) -> float:
    """Peak memory of the whole run on one device.

    整个运行在单个设备上的显存峰值。
    """
    return max(step, loading, evaluation, saving)


@formula("bytes")
def activation_bytes(layers: int, of_a_block: float, around: float) -> float:
    """Activations that one micro batch keeps for its backward pass, on one device.

    一个微批次为反向传播保留的激活值（单个设备）。
    """
    return layers * of_a_block + around


@formula("tokens")
def step_tokens(micro: int, length: int, accumulation: int, devices: int) -> int:
    """Tokens of one optimizer step, over all devices, with padding.

    一个优化器步的词元数（所有设备合计，含填充）。
    """
    return micro * length * accumulation * devices


@formula("FLOP")
def step_flops(forward: float, backward: float) -> float:
    """Operations of one optimizer step, over all devices.

    一个优化器步的运算量（所有设备合计）。
    """
    return forward + backward


@formula("bytes")
def written_bytes(disk: Disk) -> float:
    """One checkpoint on disk.

    一个检查点在磁盘上的大小。
    """
    return disk.weights + disk.optimizer + disk.other


def step_amounts(forecast: Forecast) -> dict[str, Amount]:
    """Every amount of the training step of a run whose model is known, the most telling first;
    nothing of one that does not train.
    """
    shape, setup, held = forecast.shape, forecast.setup, forecast.memory
    if shape is None or setup is None or held is None or not forecast.run.launch.train:
        return {}
    found: dict[str, Amount] = {}
    for one in (
        *_of_memory(shape, setup, held),
        *_of_work(forecast, shape),
        *_of_states(forecast, shape, setup),
        *_of_disk(forecast),
    ):
        found[one.formula.name] = one
    return found


PHASES = {
    "step": Words("step", "训练步"),
    "load": Words("loading", "加载"),
    "evaluate": Words("evaluation", "评估"),
    "save": Words("saving", "保存"),
}
FULLEST = {
    "loss": Words("at the loss", "计算损失时"),
    "last block": Words("backward, last block", "末块反向时"),
    "first block": Words("backward, first block", "首块反向时"),
    "embedding": Words("backward, embedding", "词嵌入反向时"),
    "optimizer": Words("in the optimizer", "优化器更新时"),
}


def _of_memory(shape: Shape, setup: Setup, held: Memory) -> Iterator[Amount]:
    at = held.step
    parts = tuple((PARTS[name], getattr(at, name)) for name in PARTS if hasattr(at, name))
    yield Sum(step_bytes, (at,), FULLEST[held.moment], parts=parts)
    phases = tuple(held.phases[name].total for name in PHASES)
    parts = tuple(zip(PHASES.values(), phases, strict=True))
    yield Sum(run_bytes, phases, parts=parts, sign="max")
    begun = held.moments["loss"]
    each, _ = kept_by_blocks(shape, setup)
    around = begun.activations - shape.layers * each
    yield Amount(activation_bytes, (shape.layers, round(each), round(around)))
    scores = setup.tokens * (shape.vocab or 0)
    if scores:
        told = (round(setup.tokens), shape.vocab, round(begun.logits / scores, 2))
        yield Amount(loss_bytes, told)


def _of_work(forecast: Forecast, shape: Shape) -> Iterator[Amount]:
    usual = forecast.usual
    assert usual is not None
    if not shape.encoder_decoder:  # which reads a source as well
        batch = (usual.micro, usual.length, usual.accumulation, usual.parallel.data)
        yield Amount(step_tokens, batch)
    made = products(shape, usual, of_head(shape))
    passes = (made.forward, made.whole - made.forward)
    called = (FORWARD, BACKWARD if usual.checkpointing == "none" else RECOMPUTED)
    yield Sum(step_flops, passes, parts=tuple(zip(called, passes, strict=True)))


FORWARD = Words("forward", "前向")
BACKWARD = Words("backward", "反向")
RECOMPUTED = Words("backward and recomputation", "反向与重算")


def _of_states(forecast: Forecast, shape: Shape, setup: Setup) -> Iterator[Amount]:
    """Weights and states of the whole model, in the types that this run holds them in."""
    numbers, count = setup.precision, trained(shape, setup)
    whole = all_parameters(shape)
    beside = 2 if numbers.master else 4  # what trains beside frozen weights, or among them
    wider = 0 if setup.part is None else count * (beside - numbers.weights)
    each = (bytes_of_model(shape, setup) + wider) / whole
    yield Amount(weight_bytes, (whole, each), shared_out(forecast, 3))
    each = numbers.gradients if setup.full else beside
    yield Amount(gradient_bytes, (count, each), shared_out(forecast, 2))
    if forecast.run.optim.name in PLAIN_ADAM:
        each = numbers.moments if setup.full else 4
        yield Amount(adam_bytes, (count, each), shared_out(forecast, 1))
    if numbers.master:
        yield Amount(master_bytes, (count,), shared_out(forecast, 1))


FILES = (Words("weights", "权重"), Words("optimizer", "优化器"), Words("the rest", "其余"))


def _of_disk(forecast: Forecast) -> Iterator[Amount]:
    disk = forecast.disk
    if disk is None:
        return
    sizes = (disk.weights, disk.optimizer, disk.other)
    yield Sum(written_bytes, (disk,), parts=tuple(zip(FILES, sizes, strict=True)))
    if disk.kept:
        yield Amount(disk_bytes, (round(disk.checkpoint), disk.kept))
