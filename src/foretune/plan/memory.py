"""What a run holds in memory, part by part, in bytes."""

from __future__ import annotations

from ..params.arch.shape import Shape
from .formula import formula

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Of one number."""


@formula("bytes")
def weight_bytes(parameters: int, bytes_each: float) -> float:
    """The weights of the model as they are held.

    模型权重占用的空间。
    """
    return parameters * bytes_each


@formula("bytes")
def gradient_bytes(trainable: int, bytes_each: int = 4) -> int:
    """A gradient for every trained parameter.

    每个可训练参数一个梯度。
    """
    return trainable * bytes_each


@formula("bytes")
def adam_bytes(trainable: int, bytes_each: int = 4) -> int:
    """The two moments that Adam keeps of every trained parameter.

    Adam 为每个可训练参数保存的两个动量。
    """
    return 2 * trainable * bytes_each


@formula("bytes")
def kv_cache_bytes(shape: Shape, batch: int, length: int, bytes_each: int) -> int:
    """Keys and values kept while generating.

    生成时保存的键和值。
    """
    return 2 * shape.layers * batch * length * shape.kv_heads * shape.head_dim * bytes_each


@formula("bytes")
def logit_bytes(batch: int, length: int, vocab: int, bytes_each: int = 4) -> int:
    """The scores of every vocabulary entry at every position, in float32 for the loss.

    每个位置上所有词表项的分数，计算损失时为 float32。
    """
    return batch * length * vocab * bytes_each
