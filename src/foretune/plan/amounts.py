"""What a run comes to, as amounts that can be compared: each one a formula and its numbers.

``explain`` plans a run twice, with a parameter's value and with another, and says which amounts
differ. An amount whose parts are not known (no data file, no model config) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..params.declare import Words
from .forecast import Forecast
from .formula import Formula
from .memory import BYTES, adam_bytes, gradient_bytes, kv_cache_bytes, logit_bytes, weight_bytes
from .steps import batches_per_epoch, steps_per_epoch, total_batch, warmup_steps

CHAT_TOKENS = 2048
"""Length of the chat whose key-value cache is shown."""


@dataclass(frozen=True, slots=True)
class Amount:
    """One number that a run comes to."""

    formula: Formula[..., float]
    arguments: tuple[Any, ...]
    of: Words | None = None
    """What it is of, where the formula's own words leave that open."""

    @property
    def value(self) -> float:
        return self.formula(*self.arguments)

    @property
    def shown(self) -> str:
        return self.formula.shown(self.value)

    @property
    def text(self) -> str:
        """The formula with the numbers in it."""
        return self.formula.text(*self.arguments)


def amounts(forecast: Forecast) -> dict[str, Amount]:
    """Every amount that is known of a run, by the name of its formula."""
    found = [*_of_steps(forecast), *_of_memory(forecast)]
    return {amount.formula.name: amount for amount in found}


def _of_steps(forecast: Forecast) -> Iterator[Amount]:
    run, made = forecast.run, forecast.steps
    devices = made.devices if made else forecast.facts.devices
    yield Amount(total_batch, (run.batch.micro, run.batch.accumulation, devices))
    if made is not None:
        yield Amount(batches_per_epoch, (made.examples, made.micro, devices, run.batch.drop_last))
        per_epoch = (made.batches_per_epoch, made.accumulation, made.transformers)
        yield Amount(steps_per_epoch, per_epoch)
        yield Amount(warmup_steps, (run.schedule.warmup, made.steps))


def _of_memory(forecast: Forecast) -> Iterator[Amount]:
    run, shape = forecast.run, forecast.shape
    if shape is None or forecast.total is None or forecast.trainable is None:
        return
    yield Amount(weight_bytes, (forecast.total, held_bytes(forecast)))
    if run.launch.train:
        yield Amount(gradient_bytes, (forecast.trainable,))
        yield Amount(adam_bytes, (forecast.trainable,))
        length = run.data.max_source_length + run.data.max_target_length
        yield Amount(logit_bytes, (run.batch.micro, length, shape.vocab))
    chat = Words(f"a chat of {CHAT_TOKENS:,} tokens", f"{CHAT_TOKENS:,} 个词元的对话")
    yield Amount(kv_cache_bytes, (shape, 1, CHAT_TOKENS, BYTES["float16"]), chat)


def held_bytes(forecast: Forecast) -> float:
    """Bytes of one weight, as the run holds it, over the whole model."""
    run, shape = forecast.run, forecast.shape
    each = BYTES.get(run.precision.dtype, BYTES["float32"])
    if shape is None or run.precision.quantize is None:
        return each
    packed = sum(linear.num_parameters for linear in shape.quantised_linears)
    share = packed / shape.num_parameters
    return each + share * (run.precision.quantize / 8 - each)
