"""What is held through the whole run: weights, their gradients, what the optimizer keeps."""

from __future__ import annotations

import math
from functools import cache

from ...params.arch.shape import Shape
from ..counts import all_parameters
from ..formula import formula
from ..part import parameters_of, trained_weights
from ..setup import Adapter, Packing, Setup

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
def packed_adam_bytes(trainable: int, block: int = 256) -> float:
    """The two moments in 8 bits, with a float32 scale for every block of them.

    8 位存放的两个动量，每块各有一个 float32 缩放系数。
    """
    return 2 * trainable * (1 + 4 / block)


@formula("bytes")
def unpacked_bytes(largest: int) -> int:
    """The two moments and the weight of one tensor in float32, while torchao's 8-bit AdamW steps
    it (torchao/optim/adam.py; bitsandbytes unpacks inside its kernel).

    torchao 的 8 位 AdamW 更新一个张量时，其两个动量与权重的 float32 副本。
    """
    return 3 * largest * 4


@cache
def largest_tensor(shape: Shape) -> int:
    """Elements of the largest tensor of the model."""
    return max(math.prod(one.shape) for one in shape.weights)


@formula("bytes")
def momentum_bytes(trainable: int, bytes_each: int = 4) -> int:
    """The one moment that SGD with momentum or Lion keeps of every trained parameter.

    带动量的 SGD 或 Lion 为每个可训练参数保存的一个动量。
    """
    return trainable * bytes_each


@formula("bytes")
def factored_bytes(rows: int, columns: int, bytes_each: int = 4) -> int:
    """What Adafactor keeps of a matrix: a number for every row and for every column.

    Adafactor 为一个矩阵保存的内容：每行、每列各一个数。
    """
    return (rows + columns) * bytes_each


@formula("bytes")
def master_bytes(trainable: int) -> int:
    """A float32 copy of the trained 16-bit weights, which the optimizer steps.

    优化器更新所用的、可训练 16 位权重的 float32 副本。
    """
    return trainable * 4


@formula("bytes")
def kv_cache_bytes(shape: Shape, batch: int, length: int, bytes_each: int) -> int:
    """Keys and values kept while generating.

    生成时保存的键和值。
    """
    return 2 * shape.layers * batch * length * shape.kv_heads * shape.head_dim * bytes_each


def trained(shape: Shape, setup: Setup) -> int:
    """Parameters that train."""
    if setup.part is not None:
        return parameters_of(shape, setup.part)
    return all_parameters(shape) if setup.adapter is None else _of_adapter(shape, setup.adapter)


@cache
def _of_adapter(shape: Shape, adapter: Adapter) -> int:
    adapted = adapter.adapted(shape)
    lora = sum((one.inputs + one.outputs) * one.copies for one in adapted)
    lengths = sum(one.outputs * one.copies for one in adapted) if adapter.dora else 0
    prefix = shape.prefix_weights(adapter.prefix, projection=adapter.projection)
    counted = sum(one.num_parameters for one in prefix) if adapter.prefix else 0
    return lora * adapter.rank + lengths + counted


def bytes_of_model(shape: Shape, setup: Setup) -> float:
    """All weights of the model as they are loaded, the packed linears packed, adapters apart."""
    each = setup.precision.weights
    total = all_parameters(shape)
    if setup.packing is None:
        return weight_bytes(total, each)
    packed = packed_parameters(shape, setup.packing)
    return weight_bytes(total - packed, each) + weight_bytes(packed, setup.packing.bytes_each)


@cache
def packed_parameters(shape: Shape, packing: Packing) -> int:
    """Parameters in the linears that are packed."""
    named = packing.names
    return sum(one.num_parameters for one in shape.linears if not named or one.name.endswith(named))


def optimizer_bytes(shape: Shape, setup: Setup, count: int) -> float:
    """What the optimizer keeps of ``count`` trained parameters, a master copy apart."""
    each = setup.precision.moments
    name = setup.optimizer
    if "8bit" in name:
        return packed_adam_bytes(count)
    if name.startswith("adafactor"):
        share = count / trained(shape, setup) if setup.adapter is None else 0.0
        own = shape.weights if setup.part is None else trained_weights(shape, setup.part)
        return share * sum(_factored(one.shape, one.copies, each) for one in own)
    if name == "sgd":
        return 0
    if name in ("sgd momentum", "lion"):
        return momentum_bytes(count, each)
    return adam_bytes(count, each)


def _factored(shape: tuple[int, ...], copies: int, each: int) -> float:
    if len(shape) < 2:
        return math.prod(shape) * copies * each
    return factored_bytes(shape[0], shape[1], each) * copies
