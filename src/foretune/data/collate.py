"""Examples to batches.

Training: padding on the right, and nothing but ids and labels: the model makes mask and positions
itself, as under the official code. Every mask of these families is causal from the answer on and a
pad has no label, so how far a batch is padded changes no loss; it costs time and memory only. An
encoder sees what comes after, so an encoder-decoder is told what is padding, and what its decoder
reads.

Generation: padding on the tokenizer's side (the left, but for an encoder-decoder), by the
tokenizer, which adds the mask and the positions that its model wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..params.data import Data
from .encoded import UNTRAINED, family_of
from .padding import is_encoder_decoder, padded_labels, padded_length, pads_when_prepared


@dataclass(frozen=True, slots=True)
class TrainingCollator:
    """Pads ids and labels on the right: {"input_ids", "labels"}, both int64 [batch, length]; of an
    encoder-decoder {"attention_mask"} of the ids and {"decoder_input_ids"} beside the labels.
    """

    pad: int
    label_pad: int
    length: int | None
    """Tokens that every input is padded to; None: those of the longest of the batch."""
    label_length: int | None
    """The same for the labels."""
    start: int | None
    """Token that a decoder starts from; None where one model reads and writes."""

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [example["input_ids"] for example in examples]
        labels = [example["labels"] for example in examples]
        batch = {
            "input_ids": padded(ids, self.pad, self.length),
            "labels": padded(labels, self.label_pad, self.label_length),
        }
        if self.start is not None:
            written = batch["labels"].shape[1]
            read = [[self.start, *row][:written] for row in labels]
            batch["attention_mask"] = padded([[1] * len(row) for row in ids], 0, self.length)
            batch["decoder_input_ids"] = padded(read, self.pad, written)
        return batch


def padded(rows: Sequence[list[int]], fill: int, length: int | None) -> torch.Tensor:
    """int64 [rows, length], filled up on the right; to the longest row where there is no length."""
    length = length or max(map(len, rows))
    return torch.tensor([row + [fill] * (length - len(row)) for row in rows])


@dataclass(frozen=True, slots=True)
class PromptCollator:
    """Pads prompts, and references on the left: what ``tokenizer.pad`` gives, and "labels"."""

    tokenizer: Any
    label_pad: int
    blocks: bool
    """The examples say how long they are, in "padded_to" (a trainer that takes away columns it
    does not know must be told not to: ``remove_unused_columns=False``)."""
    side: str | None = "left"
    """Where prompts are padded: answers go on at their right end. None: on the tokenizer's side."""

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [example["input_ids"] for example in examples]
        labels = [example["labels"] for example in examples]
        lengths = [example["padded_to"] for example in examples] if self.blocks else map(len, ids)
        batch = self.tokenizer.pad(
            {"input_ids": ids},
            padding="max_length",
            max_length=max(lengths),
            padding_side=self.side,
            return_tensors="pt",
        )
        longest = max(map(len, labels))
        batch["labels"] = torch.tensor(
            [[self.label_pad] * (longest - len(row)) + row for row in labels]
        )
        return dict(batch)


def training_collator(tokenizer: Any, data: Data) -> TrainingCollator:
    """For examples with prompt and answer (``teacher_forced``)."""
    family = family_of(tokenizer)
    return TrainingCollator(
        pad=tokenizer.pad_token_id,
        label_pad=_label_pad(tokenizer, data),
        length=padded_length(family, data),
        label_length=padded_labels(family, data),
        start=tokenizer.bos_token_id if is_encoder_decoder(family) else None,
    )


def prompt_collator(tokenizer: Any, data: Data) -> PromptCollator:
    """For examples to generate from."""
    family = family_of(tokenizer)
    blocks, side = pads_when_prepared(family, data), None if is_encoder_decoder(family) else "left"
    return PromptCollator(tokenizer, _label_pad(tokenizer, data), blocks, side)


def _label_pad(tokenizer: Any, data: Data) -> int:
    return UNTRAINED if data.ignore_pad_in_loss else tokenizer.pad_token_id
