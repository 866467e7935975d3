"""Training steps of a run on the traced device, in the order in which the trainer takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import Seq2SeqTrainer

from ...params.run import Run
from ..arguments import arguments_of
from ..trainer import smoothed_loss
from .device import DEVICE, Casts
from .model import Planned, build, move, places
from .record import Record, Recorder

STEPS = 2
"""Steps that are traced: the first makes the optimizer's states, the second is as all that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One step, as far as the run does not say it itself."""

    micro: int
    length: int
    """Tokens of a row; of the answer, where an encoder reads the prompt."""
    source: int
    """Tokens that an encoder reads."""
    accumulation: int


def trace(run: Run, plan: Planned, layers: int, asked: Asked, casts: Casts) -> Record:
    """Runs ``STEPS`` optimizer steps with so many blocks, and tells what they take."""
    model: Any = build(plan, layers, run)
    config = model.config
    recorder = Recorder(casts, getattr(config, "vocab_size", None) or config.padded_vocab_size)
    with FakeTensorMode(allow_non_fake_inputs=True), recorder:
        move(model)
        if run.batch.gradient_checkpointing:
            model.gradient_checkpointing_enable(run.batch.gradient_checkpointing_kwargs)
        model.train()
        _mark(model, recorder)
        optimizer = optimizer_of(run, model)
        for number in range(STEPS):
            recorder.step = number
            _step(run, model, optimizer, asked, recorder)
    return recorder.record


def optimizer_of(run: Run, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that the trainer would make. Raises UserError where it is not installed."""
    arguments = arguments_of(run.set({"precision.mixed": "no"}), use_cpu=True)
    kind, options = Seq2SeqTrainer.get_optimizer_cls_and_kwargs(arguments, model)  # type: ignore[arg-type]
    trained = [one for one in model.parameters() if one.requires_grad]
    groups = (
        {"params": [one for one in trained if one.dim() > 1]},
        {"params": [one for one in trained if one.dim() <= 1], "weight_decay": 0.0},
    )
    return kind([group for group in groups if group["params"]], **options)


def _step(
    run: Run, model: Any, optimizer: torch.optim.Optimizer, asked: Asked, recorder: Recorder
) -> None:
    trained = [one for one in model.parameters() if one.requires_grad]
    loss_of = _loss(run, model)
    for _ in range(min(asked.accumulation, 2)):  # a third micro batch is as the second
        recorder.stage, recorder.place = "forward", "inputs"
        loss = loss_of(_batch(model, asked))
        recorder.stage, recorder.place = "backward", "loss"
        loss.backward()
        recorder.casts.kept.clear()
        del loss
        recorder.gradients_are(trained)
    recorder.stage, recorder.place = "optimizer", "optimizer"
    if run.optim.max_grad_norm:
        torch.nn.utils.clip_grad_norm_(trained, run.optim.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _loss(run: Run, model: Any) -> Callable[[dict[str, Tensor]], Tensor]:
    """The loss of a batch, with autocast around it as accelerate puts it there."""
    mixed = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(run.precision.mixed)
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


def _batch(model: Any, asked: Asked) -> dict[str, Tensor]:
    """What the collator hands to the model."""

    def ids(length: int) -> Tensor:
        return torch.empty(asked.micro, length, dtype=torch.long, device=DEVICE)

    if not model.config.is_encoder_decoder:
        return {"input_ids": ids(asked.length), "labels": ids(asked.length)}
    batch = {"input_ids": ids(asked.source), "attention_mask": ids(asked.source)}
    return {**batch, "labels": ids(asked.length), "decoder_input_ids": ids(asked.length)}


def _mark(model: nn.Module, recorder: Recorder) -> None:
    """The recorder is told which block computes, forward and backward."""
    last = [place for _, place in places(model)][-1:]
    for block, place in places(model):
        block.register_forward_pre_hook(_enters(recorder, place), with_kwargs=True)
        block.register_forward_hook(_leaves(recorder, place, "loss" if [place] == last else place))


def _enters(recorder: Recorder, place: str) -> Callable[..., None]:
    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.place = place
        hidden = args[0] if args else next(iter(kwargs.values()))
        if recorder.stage == "forward" and isinstance(hidden, Tensor) and hidden.requires_grad:
            hidden.register_hook(_comes_to(recorder, "inputs" if "first" in place else place))

    return before
