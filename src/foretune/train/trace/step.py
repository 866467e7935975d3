"""Training steps of a run on the traced device, in the order in which the trainer takes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AttentionMaskInterface, Seq2SeqTrainer
from transformers.masking_utils import causal_mask_function, sdpa_mask

from ...models.prefix import PrefixEncoder
from ...params.run import Run
from ...plan.of_run import mixed_of
from ...tune.prefix_attention import NAME
from ..arguments import arguments_of
from ..trainer import smoothed_loss
from . import Step
from .device import DEVICE, Casts
from .extend import extend, stacks_of
from .model import Sizes, move, places
from .places import FIRST, INPUTS, LOSS, OPTIMIZER
from .record import Grows, Record, Recorder

STEPS = 2
"""Steps that are traced: the first makes the optimizer's states, all others are as the second."""


def trace_all(
    run: Run,
    make: Callable[[int], nn.Module],
    sizes: Sizes,
    asked: Step,
    casts: Casts,
    *,
    say: Callable[[str], None],
) -> tuple[Record, Sizes]:
    """The record of all blocks, from ``sizes.traced`` of them where those in the middle are alike;
    and how many it came from.
    """
    if sizes.traced < sizes.layers:
        say(f"{sizes.traced} of {sizes.layers} blocks")
        few = trace(run, make, sizes, asked, casts)
        whole = extend(few, stacks_of(few), (sizes.layers - sizes.traced) // sizes.period)
        if whole is not None:
            return whole, sizes
    say(f"{sizes.layers} blocks")
    sizes = replace(sizes, traced=sizes.layers)
    return trace(run, make, sizes, asked, casts), sizes


def trace(
    run: Run, make: Callable[[int], nn.Module], sizes: Sizes, asked: Step, casts: Casts
) -> Record:
    """Runs ``STEPS`` optimizer steps with so many blocks, and tells what they take. ``make`` builds
    the model with a number of blocks, on torch's meta device.
    """
    one_text_a_row()
    model: Any = make(sizes.traced)
    config = model.config
    vocab = getattr(config, "vocab_size", None) or config.padded_vocab_size
    recorder = Recorder(casts, vocab, _prefix(model, sizes))
    with FakeTensorMode(allow_non_fake_inputs=True), recorder:
        located = list(places(model, sizes.period))
        move(model, located, lambda place: setattr(recorder, "place", place))
        if run.batch.gradient_checkpointing:
            model.gradient_checkpointing_enable(run.batch.gradient_checkpointing_kwargs)
        model.train()
        _mark(located, recorder)
        optimizer = optimizer_of(run, model)
        for number in range(STEPS):
            recorder.step = number
            _step(run, model, optimizer, asked, recorder)
        return recorder.stopped()


def _prefix(model: nn.Module, sizes: Sizes) -> Grows | None:
    found = (one for one in model.modules() if isinstance(one, PrefixEncoder))
    encoder = next(found, None)
    return None if encoder is None else Grows(encoder.layout, sizes.layers / sizes.traced)


def one_text_a_row() -> None:
    """Tells transformers' masks that a row is one text. They look for packed texts at positions
    that start again; where positions have no values they take all rows for packed, and make a mask
    that the real step does not have.
    """

    def mask(**asked: Any) -> Tensor | None:
        plain = asked.get("mask_function") is causal_mask_function
        if asked.get("attention_mask") is None and not plain:
            asked["allow_is_causal_skip"] = True
        return sdpa_mask(**asked)

    for name in ("sdpa", NAME):
        AttentionMaskInterface.register(name, mask)


def optimizer_of(run: Run, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that the trainer would make. Raises UserError where it is not installed."""
    arguments = arguments_of(run.set({"precision.mixed": "no"}), use_cpu=True)
    kind, options = Seq2SeqTrainer.get_optimizer_cls_and_kwargs(arguments, model)  # type: ignore[arg-type]
    if "foreach" in signature(kind).parameters and not options.get("fused"):
        options["foreach"] = True  # as torch chooses on an accelerator
    trained = [one for one in model.parameters() if one.requires_grad]
    groups = (
        {"params": [one for one in trained if one.dim() > 1]},
        {"params": [one for one in trained if one.dim() <= 1], "weight_decay": 0.0},
    )
    return kind([group for group in groups if group["params"]], **options)


def _step(
    run: Run, model: Any, optimizer: torch.optim.Optimizer, asked: Step, recorder: Recorder
) -> None:
    trained = [one for one in model.parameters() if one.requires_grad]
    loss_of = _loss(run, model)
    for _ in range(min(asked.accumulation, 2)):  # a third micro batch is as the second
        recorder.stage, recorder.place = "forward", INPUTS
        loss = loss_of(_batch(model, asked))
        recorder.stage, recorder.place = "backward", LOSS
        loss.backward()
        recorder.casts.kept.clear()
        del loss
        recorder.gradients_are(trained)
    recorder.stage, recorder.place = "optimizer", OPTIMIZER
    if run.optim.max_grad_norm:
        torch.nn.utils.clip_grad_norm_(trained, run.optim.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _loss(run: Run, model: Any) -> Callable[[dict[str, Tensor]], Tensor]:
    """The loss of a batch, with autocast around it as accelerate puts it there."""
    mixed = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(mixed_of(run))
    forward = model if mixed is None else convert_outputs_to_fp32(model.__call__)
    smoothing = run.optim.label_smoothing
    own = smoothed_loss(smoothing, 0 if model.config.is_encoder_decoder else 1)

    def loss(batch: dict[str, Tensor]) -> Tensor:
        labels = batch["labels"]
        if smoothing:
            del batch["labels"]
        with torch.autocast(DEVICE, dtype=mixed) if mixed is not None else nullcontext():
            outputs = forward(**batch)
        found = own(outputs, labels) if smoothing else outputs["loss"]
        return found.float() / run.batch.accumulation

    return loss


def _batch(model: Any, asked: Step) -> dict[str, Tensor]:
    """What the collator hands to the model."""

    def ids(length: int) -> Tensor:
        return torch.empty(asked.micro, length, dtype=torch.long, device=DEVICE)

    if not model.config.is_encoder_decoder:
        return {"input_ids": ids(asked.length), "labels": ids(asked.length)}
    batch = {"input_ids": ids(asked.source), "attention_mask": ids(asked.source)}
    return {**batch, "labels": ids(asked.length), "decoder_input_ids": ids(asked.length)}


def _mark(located: list[tuple[nn.Module, str]], recorder: Recorder) -> None:
    """The recorder is told which block computes: forward when it is entered, backward when the
    gradient of what it has put out is there.
    """
    for number, (block, place) in enumerate(located):
        block.register_forward_pre_hook(_entering(recorder, place), with_kwargs=True)
        behind = LOSS if number == len(located) - 1 else place
        block.register_forward_hook(_leaving(recorder, place, behind))


def _entering(recorder: Recorder, place: str) -> Callable[..., None]:
    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.place = place
        if place.endswith(FIRST):
            hidden = args[0] if args else kwargs.get("hidden_states")
            _when_its_gradient_comes(hidden, recorder, INPUTS)

    return enter


def _leaving(recorder: Recorder, place: str, behind: str) -> Callable[..., None]:
    def leave(module: nn.Module, args: Any, output: Any) -> None:
        recorder.place = behind
        hidden = output[0] if isinstance(output, tuple) else output
        _when_its_gradient_comes(hidden, recorder, place)

    return leave


def _when_its_gradient_comes(hidden: Any, recorder: Recorder, place: str) -> None:
    def moved(gradient: Tensor) -> None:
        recorder.place = place

    if recorder.stage == "forward" and isinstance(hidden, Tensor) and hidden.requires_grad:
        hidden.register_hook(moved)
