"""What a run comes to, as amounts that can be compared: each one a formula and its numbers.

``explain`` and ``diff`` plan twice and say which amounts differ. An amount whose parts are not
known (no data file, no model config) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..params.arch import Family
from ..params.arch.llama3 import ModelArgs
from ..params.arch.shape import Shape
from ..params.declare import Words
from .counts import (
    checkpoints,
    gate_and_value_width,
    llama_ffn_width,
    lora_scale,
    model_parameters,
    parameters_of_adapters,
    parameters_of_part,
    parameters_of_prefix,
    parameters_of_projected_prefix,
    projection_width,
    trained_examples,
)
from .forecast import Forecast
from .formula import Formula
from .memory import BYTES, adam_bytes, gradient_bytes, kv_cache_bytes, weight_bytes
from .parameters import lora_parameters, targeted
from .part import part_of, trained_weights
from .steps import (
    batches_per_epoch,
    passes,
    steps_per_epoch,
    total_batch,
    total_steps,
    warmup_steps,
)

CHAT_TOKENS = 2048
"""Length of the chat whose key-value cache is shown."""

WHOLE_CHAT = Words(f"a chat of {CHAT_TOKENS:,} tokens", f"{CHAT_TOKENS:,} 个词元的对话")
ANSWERS = Words("the answers of one batch", "一个批次的回答")
TOGETHER = Words("of all processes together, which share them", "由各进程分摊，此为合计")
SET_ASIDE = Words("set aside by Meta's code before it runs", "Meta 的代码在运行前预留")
INNER = Words("Width inside the feed-forward block", "前馈层内部的宽度")
TRAINED = Words("Parameters that train", "参与训练的参数")


@dataclass(frozen=True, slots=True)
class Amount:
    """One number that a run comes to."""

    formula: Formula[..., float]
    arguments: tuple[Any, ...]
    of: Words | None = None
    """What it is of, where the formula's own words leave that open."""
    called: Words | None = None
    """What it is called, where several formulas come to the same thing."""

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

    def shown_in(self, language: str) -> str:
        """The value in its unit."""
        return self.formula.shown(self.value, language)

    def text_in(self, language: str) -> str:
        """The formula with the numbers in it, and what it comes to."""
        return f"{self.formula.working(*self.arguments)} = {self.shown_in(language)}"

    def label(self, language: str) -> str:
        """What the number is."""
        words = (self.called or self.formula.words).in_language(language).rstrip(".。")
        of = self.of.in_language(language) if self.of else ""
        return f"{words}{'（{}）' if language == 'zh' else ' ({})'}".format(of) if of else words


def amounts(forecast: Forecast, family: Family | None = None) -> dict[str, Amount]:
    """Every amount that is known of a run, the most telling first; ``family`` is the model as its
    own file declares it, for what only that file decides.
    """
    found: dict[str, Amount] = {}
    for name, amount in (
        *_of_steps(forecast),
        *_of_model(forecast),
        *_of_training(forecast),
        *_of_generation(forecast, family),
    ):
        found[name] = amount
    return found


Named = Iterator[tuple[str, Amount]]


def _named(formula: Formula[..., float], *arguments: Any) -> tuple[str, Amount]:
    return formula.name, Amount(formula, arguments)


def _of_steps(forecast: Forecast) -> Named:
    run, made = forecast.run, forecast.steps
    if (run.launch.predict or run.launch.evaluate) and not run.launch.train:
        return
    devices = made.devices if made else forecast.facts.devices
    yield _named(total_batch, run.batch.micro, run.batch.accumulation, devices)
    steps = made.steps if made else run.schedule.max_steps
    if made is not None and run.schedule.max_steps is None:
        yield _named(total_steps, run.schedule.epochs, made.steps_per_epoch)
    if steps is not None:
        batch = (run.batch.micro, run.batch.accumulation, devices)
        yield _named(trained_examples, steps, *batch)
        yield _named(warmup_steps, run.schedule.warmup, steps)
    if made is not None:
        yield _named(passes, made.steps, made.steps_per_epoch)
        yield _named(batches_per_epoch, made.examples, made.micro, devices, run.batch.drop_last)
        per_epoch = (made.batches_per_epoch, made.accumulation, made.transformers)
        yield _named(steps_per_epoch, *per_epoch)
    if steps is not None and run.record.save_strategy == "steps" and run.record.save_steps > 0:
        every, limit = run.record.save_steps, run.record.save_total_limit
        yield _named(checkpoints, steps, every if every >= 1 else every * steps, limit)


def _of_model(forecast: Forecast) -> Named:
    shape = forecast.shape
    if shape is None or forecast.total is None:
        return
    yield _named(model_parameters, shape)
    held = (forecast.total, held_bytes(forecast))
    yield weight_bytes.name, Amount(weight_bytes, held, shared_out(forecast, 3))
    if not shape.encoder_decoder:  # whose cache has a part for the source as well
        chat = kv_cache_bytes, (shape, 1, CHAT_TOKENS, BYTES["float16"])
        yield kv_cache_bytes.name, Amount(*chat, WHOLE_CHAT)


def _of_training(forecast: Forecast) -> Named:
    run, shape = forecast.run, forecast.shape
    if shape is None or forecast.trainable is None or not run.launch.train:
        return
    yield "trainable_parameters", _trainable(forecast, shape)
    if run.method.name == "lora":
        yield _named(lora_scale, run.method.lora.alpha, run.method.lora.rank)
    trained = (forecast.trainable,)
    yield gradient_bytes.name, Amount(gradient_bytes, trained, shared_out(forecast, 2))
    if run.optim.name in PLAIN_ADAM:
        yield adam_bytes.name, Amount(adam_bytes, trained, shared_out(forecast, 1))


def shared_out(forecast: Forecast, least: int) -> Words | None:
    """Whose the bytes are, where a ZeRO stage of at least ``least``, or FSDP, shares them out."""
    run = forecast.run
    stage = run.deepspeed.zero_optimization.stage
    return TOGETHER if run.launch.fsdp or (isinstance(stage, int) and stage >= least) else None


PLAIN_ADAM = {"adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused"}
"""The optimizers that keep two float32 moments of every parameter."""


def _trainable(forecast: Forecast, shape: Shape) -> Amount:
    method = forecast.run.method
    if method.name == "ptuning":
        prefix = (
            parameters_of_projected_prefix if method.prefix.projection else parameters_of_prefix
        )
        return Amount(prefix, (method.prefix.length, shape), called=TRAINED)
    if method.name == "lora":
        targets = method.lora.targets or shape.default_lora_targets
        widths = lora_parameters(targeted(shape, targets), 1)
        return Amount(parameters_of_adapters, (method.lora.rank, widths), called=TRAINED)
    if method.name == "freeze":
        mine = trained_weights(shape, part_of(method.freeze))
        inside = sum(one.num_parameters for one in mine if "{i}" in one.name)
        outside = sum(one.num_parameters for one in mine) - inside
        return Amount(parameters_of_part, (inside, outside), called=TRAINED)
    return Amount(model_parameters, (shape,), called=TRAINED)


def _of_generation(forecast: Forecast, family: Family | None) -> Named:
    run, shape, length = forecast.run, forecast.shape, forecast.run.generate.max_length
    if shape is None:
        return
    answers = run.generate.enabled and (run.launch.predict or run.evaluates)
    if answers and length is not None and not shape.encoder_decoder:
        rows = run.batch.eval * (run.generate.num_beams or 1)
        prefix = (run.method.prefix.length or 0) if run.method.name == "ptuning" else 0
        batch = (shape, rows, prefix + length, BYTES["float16"])
        yield "eval_cache_bytes", Amount(kv_cache_bytes, batch, ANSWERS)
    if not shape.encoder_decoder:
        yield _named(projection_width, shape)
    if isinstance(family, ModelArgs):
        written = (family.dim, family.multiple_of, family.ffn_dim_multiplier)
        yield llama_ffn_width.name, Amount(llama_ffn_width, written, called=INNER)
        cache = (shape, family.max_batch_size, family.max_seq_len, BYTES["bfloat16"])
        yield "meta_cache_bytes", Amount(kv_cache_bytes, cache, SET_ASIDE)
    if shape.gated:
        yield _named(gate_and_value_width, shape)


def held_bytes(forecast: Forecast) -> float:
    """Bytes of one weight, as the run holds it, over the whole model."""
    run, shape = forecast.run, forecast.shape
    each = BYTES.get(run.precision.dtype, BYTES["float32"])
    bits = run.precision.quantize or (0 if run.precision.dequantize else forecast.stored_bits)
    if shape is None or not bits or not shape.num_parameters:
        return each
    packed = sum(linear.num_parameters for linear in shape.quantised_linears)
    share = packed / shape.num_parameters
    return each + share * (bits / 8 - each)
