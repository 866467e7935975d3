"""The one training loop: transformers' Seq2SeqTrainer, thinly dressed.

What is added: the tuning method decides what a checkpoint holds; a checkpoint is complete or
absent; trained tokens are counted, so that the forecast can be held against them; Ctrl-C ends the
run at the next step, with a checkpoint.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalLoopOutput, rotate_checkpoints

from ..data.encoded import UNTRAINED
from ..tune import Method
from .interrupt import StopAtNextStep
from .output import TRAINER_STATE, checkpoint_name

UNFINISHED = ".unfinished"
"""Folder inside the output folder in which a checkpoint is written before it gets its name."""


class MethodTrainer(Seq2SeqTrainer):
    """Seq2SeqTrainer that saves and loads what the method trains."""

    def __init__(
        self,
        *,
        method: Method,
        args: Seq2SeqTrainingArguments,
        replaces: Sequence[Path] = (),
        **kwargs: Any,
    ) -> None:
        """``replaces``: checkpoints of an earlier run, deleted once this run has one of its own."""
        smoothing = args.label_smoothing_factor
        args.label_smoothing_factor = 0.0  # transformers would smooth without the one-step shift
        self.shift = 0 if kwargs["model"].config.is_encoder_decoder else 1
        """Places between a token and the logits that foretell it."""
        super().__init__(
            args=args,
            compute_loss_func=smoothed_loss(smoothing, self.shift) if smoothing else None,
            **kwargs,
        )
        self.method = method
        self.replaces = list(replaces)
        self.trained_tokens: torch.Tensor | int = 0
        """Counted where the batches are: as a number it would make the device wait at every step.
        """
        self.padded_tokens = 0
        """Input tokens that went through the model, padding included."""
        self.generation: Callable[[], dict[str, float]] | None = None
        """What to measure beside the loss when the model is evaluated: the scores of generated
        text.
        """
        self._writes_aside = False
        self._eval_loss = torch.zeros(2, dtype=torch.float64)
        """Of the evaluation that is going on: the sum of losses, and the tokens they are of."""
        self.interrupt = StopAtNextStep()
        self.add_callback(self.interrupt)
        self.add_callback(IntervalsAsWritten())

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The micro batches of one step, as always; the tokens with a loss among them are
        counted.
        """
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.padded_tokens += sum(int(batch["input_ids"].numel()) for batch in batches)
        if num_items is not None and batches:
            self.trained_tokens += torch.as_tensor(num_items).flatten()[0].long()
        return batches, num_items

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """The loss on the validation rows, its perplexity, and the scores of what is generated for
        them.
        """
        metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix, **gen_kwargs)
        more = {f"{metric_key_prefix}_perplexity": perplexity(metrics[f"{metric_key_prefix}_loss"])}
        if self.generation is not None:
            scores = self.generation()
            more |= {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(more)
        return metrics | more

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As always, but the loss is the mean over trained tokens: transformers' mean over the
        means of batches depends on how rows fall into batches, and exp of it is no perplexity.
        """
        self._eval_loss = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        total, num_tokens = self._eval_loss.tolist()
        if output.metrics is not None and num_tokens:
            output.metrics[f"{metric_key_prefix}_loss"] = total / num_tokens
        return output

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Any, Any, Any]:
        """The loss of a batch, label smoothing left out. Rows that only fill up the last batch of
        several processes do not count.
        """
        inputs = self._prepare_inputs(inputs)  # pyright: ignore[reportAssignmentType]
        labels_BL = inputs.pop("labels")
        with torch.no_grad(), self.compute_loss_context_manager():
            logits_BLV = model(**inputs)["logits"]
        losses_BL = token_losses(logits_BLV, labels_BL, self.shift)
        trained_BL = labels_BL[:, self.shift :].ne(UNTRAINED)
        rows_B2 = torch.stack((losses_BL.sum(1), trained_BL.sum(1)), dim=1)
        counted_B2 = cast(torch.Tensor, self.accelerator.gather_for_metrics(rows_B2))
        self._eval_loss += counted_B2.double().sum(0).cpu()
        return losses_BL.sum() / trained_BL.sum(), None, None

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None
    ) -> None:
        """What the method trains, with the tokenizer and the arguments."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self.method.save(self.accelerator.unwrap_model(self.model), folder)
        if self.processing_class is not None:
            self.processing_class.save_pretrained(str(folder))  # pyright: ignore[reportAttributeAccessIssue]
        torch.save(self.args, folder / "training_args.bin")

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Only what the method saved is read; the frozen base is there already."""
        self.method.load(model or self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        """As in a checkpoint that is gone on from."""
        assert self.state.best_model_checkpoint is not None, "the trainer asks for it only then"
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _get_output_dir(self, trial: Any) -> str:
        """The output folder; while a checkpoint is being written, the folder aside."""
        output = super()._get_output_dir(trial)
        return str(Path(output) / UNFINISHED) if self._writes_aside else output

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """A checkpoint that is complete or absent: written aside, then renamed."""
        output = Path(self._get_output_dir(trial))
        shutil.rmtree(output / UNFINISHED, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._writes_aside = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._writes_aside = False
        name = checkpoint_name(self.state.global_step)
        if self.state.best_model_checkpoint == str(output / UNFINISHED / name):
            self.state.best_model_checkpoint = str(output / name)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._put_in_place(output, name)
        self.accelerator.wait_for_everyone()

    def _put_in_place(self, output: Path, name: str) -> None:
        aside, place = output / UNFINISHED / name, output / name
        self.state.save_to_json(str(aside / TRAINER_STATE))  # the best one's place is known now
        for old in (place, *self.replaces):
            shutil.rmtree(old, ignore_errors=True)
        self.replaces = []
        aside.rename(place)
        aside.parent.rmdir()
        rotate_checkpoints(
            output_dir=str(output),
            save_total_limit=self.args.save_total_limit,
            best_model_checkpoint=self.state.best_model_checkpoint,
        )


class IntervalsAsWritten(TrainerCallback):
    """A run that goes on logs, evaluates and saves as often as it says itself; transformers would
    take these intervals from the checkpoint.
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        state.compute_steps(args, state.max_steps)


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that is too large for a number."""
    return math.exp(loss) if loss < 700 else math.inf


def smoothed_loss(smoothing: float, shift: int) -> Callable[..., torch.Tensor]:
    """Label smoothing (arXiv:1512.00567) over the loss of every token.

    The trainer's own smoother knows by class name which models shift their labels, and these are
    not among them.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        total = token_losses(outputs["logits"], labels, shift, smoothing).sum()
        return total / (
            labels[:, shift:].ne(UNTRAINED).sum()
            if num_items_in_batch is None
            else num_items_in_batch
        )

    return loss


def token_losses(
    logits_BLV: torch.Tensor, labels_BL: torch.Tensor, shift: int, smoothing: float = 0.0
) -> torch.Tensor:
    """The loss [B, L - shift] of every token that has a label, 0 for the others.

    ``shift``: 1 where the logits at a place foretell the next label (a causal model), 0 where they
    foretell the one that stands there (a decoder, whose input is shifted).
    """
    losses = F.cross_entropy(
        logits_BLV[:, : logits_BLV.shape[1] - shift].flatten(0, 1).float(),
        labels_BL[:, shift:].flatten(),
        label_smoothing=smoothing,
        ignore_index=UNTRAINED,
        reduction="none",
    )
    return losses.view(len(labels_BL), -1)
