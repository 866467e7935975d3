"""Examples to batches.

Training: padding on the right, and nothing but ids and labels: the model makes mask and positions
itself, as under the official code. Every mask of these families is causal from the answer on and a
pad has no label, so how far a batch is padded changes no loss; it costs time and memory only.

Generation: padding on the left, by the tokenizer, which adds the mask and the positions that its
model wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..params.data import Data
from .encoded import UNTRAINED, family_of
from .prepare import padded_length, pads_when_prepared


@dataclass(frozen=True, slots=True)
class TrainingCollator:
    """Pads ids and labels on the right: {"input_ids", "labels"}, both int64 [batch, length]."""

    pad: int
    label_pad: int
    length: int | None
    """Tokens that every example is padded to; None: those of the longest of the batch."""

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [example["input_ids"] for example in examples]
        labels = [example["labels"] for example in examples]
        length = self.length or max(map(len, ids))
        return {
            "input_ids": torch.tensor([row + [self.pad] * (length - len(row)) for row in ids]),
            "labels": torch.tensor(
                [row + [self.label_pad] * (length - len(row)) for row in labels]
            ),
        }


@dataclass(frozen=True, slots=True)
class PromptCollator:
    """Pads prompts and references on the left: what ``tokenizer.pad`` gives, and "labels"."""

    tokenizer: Any
    label_pad: int
    blocks: bool
    """The examples say how long they are, in "padded_to" (a trainer that takes away columns it
    does not know must be told not to: ``remove_unused_columns=False``)."""

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [example["input_ids"] for example in examples]
        labels = [example["labels"] for example in examples]
        lengths = [example["padded_to"] for example in examples] if self.blocks else map(len, ids)
        batch = self.tokenizer.pad(
            {"input_ids": ids}, padding="max_length", max_length=max(lengths), return_tensors="pt"
        )
        longest = max(map(len, labels))
        batch["labels"] = torch.tensor(
            [[self.label_pad] * (longest - len(row)) + row for row in labels]
        )
        return dict(batch)


def training_collator(tokenizer: Any, data: Data) -> TrainingCollator:
    """For examples with prompt and answer (``teacher_forced``)."""
    return TrainingCollator(
        pad=tokenizer.pad_token_id,
        label_pad=_label_pad(tokenizer, data),
        length=padded_length(family_of(tokenizer), data),
    )


def prompt_collator(tokenizer: Any, data: Data) -> PromptCollator:
    """For examples to generate from."""
    blocks = pads_when_prepared(family_of(tokenizer), data)
    return PromptCollator(tokenizer, _label_pad(tokenizer, data), blocks)


def _label_pad(tokenizer: Any, data: Data) -> int:
    return UNTRAINED if data.ignore_pad_in_loss else tokenizer.pad_token_id
