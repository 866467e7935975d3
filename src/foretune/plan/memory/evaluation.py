"""What a pass over validation rows holds beside the weights: nothing waits for a backward pass, but
all scores of a batch are there at once.

Read in transformers 5.23 (ForCausalLMLoss) and train/trainer.py, which computes the loss of every
token from them in float32.
"""

from __future__ import annotations

from ...params.arch.shape import Shape
from ..formula import formula
from ..setup import Setup

SCORES = 8
"""Bytes of every score in float32: itself and its logarithm."""


@formula("bytes")
def eval_score_bytes(rows: int, length: int, vocab: int, bytes_each: int) -> int:
    """Scores of every vocabulary entry at every position of a validation batch, as the model gives
    them and in float32 for the loss.

    一个验证批次中每个位置上所有词表项的分数：模型给出的，以及计算损失所用的 float32。
    """
    return rows * length * vocab * (bytes_each + SCORES)


@formula("bytes")
def passing_bytes(rows: int, length: int, width: int, bytes_each: int) -> int:
    """Tensors inside one block while a batch goes through it.

    一个批次经过一个块时块内的张量。
    """
    return rows * length * width * bytes_each


def loss_pass(shape: Shape, setup: Setup, rows: int, length: int) -> dict[str, float]:
    """Parts of memory that a batch of so many validation rows takes while its loss is computed."""
    compute = setup.precision.compute
    split = setup.parallel.tensor
    wide = 3 * shape.ffn // split + 3 * shape.hidden
    return {
        "logits": eval_score_bytes(rows, length, (shape.vocab or 0) // split, compute),
        "activations": passing_bytes(rows, length, wide, compute),
    }
