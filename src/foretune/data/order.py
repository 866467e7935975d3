"""In which order the trainer goes through the examples, as far as its seed says; and so the tokens
that go through the model exactly, padding included.

Read in transformers 5.23 (``Trainer._get_train_sampler``) and accelerate 1.15
(``SeedableRandomSampler``): each epoch is a permutation drawn with the seed plus its number.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..plan.steps import Steps


def order_of(examples: int, order: str, seed: int, epoch: int) -> np.ndarray | None:
    """The examples of an epoch in the order of one process; None where chance alone says it."""
    if order == "sequential":
        return np.arange(examples)
    if order == "random":
        drawn = torch.Generator().manual_seed(seed + epoch)
        return torch.randperm(examples, generator=drawn).numpy()
    return None


def padded_tokens(
    lengths: np.ndarray,
    made: Steps,
    *,
    order: str,
    seed: int,
    drop_last: bool,
    constant: int | None,
) -> int | None:
    """Input tokens of all micro batches of a run on one device, padding included; None where the
    order is not known.

    Args:
        lengths: int [examples], padding left out.
        constant: tokens that every example is padded to; None: the longest of its batch.
    """
    if made.devices != 1:
        return None
    left, total = made.steps, 0
    for epoch in range(made.epochs):
        places = order_of(len(lengths), order, seed, epoch)
        if places is None:
            return None
        sizes = list(_batches(lengths[places], made.micro, drop_last, constant))
        steps = min(left, made.steps_per_epoch)
        total += sum(sizes[: steps * made.accumulation])
        left -= steps
    return total


def _batches(
    lengths: np.ndarray, micro: int, drop_last: bool, constant: int | None
) -> Iterator[int]:
    for at in range(0, len(lengths), micro):
        batch = lengths[at : at + micro]
        if len(batch) == micro or not drop_last:
            yield len(batch) * (constant or int(batch.max()))
