"""What a model and a run count up to: parameters, widths, examples, checkpoints."""

from __future__ import annotations

import math
from functools import cache

from ..params.arch.llama3 import ffn_hidden_dim
from ..params.arch.shape import Shape
from .formula import formula

llama_ffn_width = formula("elements")(ffn_hidden_dim)


@cache
def all_parameters(shape: Shape) -> int:
    """Parameters of the model, added up once."""
    return shape.num_parameters


@formula("parameters")
def model_parameters(shape: Shape) -> int:
    """Parameters of the model, tied ones once.

    模型的参数量，绑定的参数只计一次。
    """
    return embedding(shape) + blocks(shape) + last_norm(shape) + output_layer(shape)


def embedding(shape: Shape) -> int:
    """Parameters of the embedding."""
    return _of_kind(shape, "embedding")


@cache
def blocks(shape: Shape) -> int:
    """Parameters of all blocks together: whatever there are as many copies of as layers."""
    return sum(one.num_parameters for one in shape.weights if "{i}" in one.name)


@cache
def unreached(shape: Shape) -> float:
    """Parameters of the experts that a token does not go through."""
    if not shape.experts:
        return 0.0
    routed = sum(one.num_parameters for one in shape.linears if ".experts." in one.name)
    return routed * (1 - shape.experts_used / shape.experts)


def last_norm(shape: Shape) -> int:
    """Parameters of the norm after the last block, and of whatever else there is once."""
    return shape.num_parameters - embedding(shape) - blocks(shape) - output_layer(shape)


def output_layer(shape: Shape) -> int:
    """Parameters of the output layer; none where it is the embedding."""
    return _of_kind(shape, "head")


@cache
def _of_kind(shape: Shape, kind: str) -> int:
    return sum(one.num_parameters for one in shape.weights if one.kind == kind)


@formula("parameters")
def parameters_of_prefix(length: int, shape: Shape) -> int:
    """Trained parameters of a P-Tuning v2 prefix: a key and a value for every layer and position.

    P-Tuning v2 前缀的可训练参数：每一层、每个位置各有一个键和一个值。
    """
    return length * 2 * shape.layers * shape.kv_heads * shape.head_dim


@formula("parameters")
def parameters_of_projected_prefix(length: int, shape: Shape) -> int:
    """Trained parameters of a P-Tuning v2 prefix that a two-layer network makes.

    由两层网络生成前缀的 P-Tuning v2 的可训练参数。
    """
    return (
        length * shape.prefix_inputs
        + (shape.prefix_inputs + 1) * shape.hidden
        + (shape.hidden + 1) * shape.prefix_width
    )


@formula("parameters")
def parameters_of_adapters(rank: int, inputs_and_outputs: int) -> int:
    """Trained parameters of LoRA: the rank times the inputs and outputs of every adapted linear.

    LoRA 的可训练参数：秩乘以所有加适配器的线性层的输入与输出宽度之和。
    """
    return rank * inputs_and_outputs


@formula("parameters")
def parameters_of_part(in_blocks: int, outside: int) -> int:
    """Trained parameters where a part of the model trains: in its blocks, and outside of them.

    只训练模型的一部分时的可训练参数：块内的，加上块以外的。
    """
    return in_blocks + outside


@formula("times")
def lora_scale(alpha: float, rank: int) -> float:
    """What the update of LoRA is multiplied by.

    LoRA 的更新所乘的系数。
    """
    return alpha / rank


@formula("elements")
def projection_width(shape: Shape) -> int:
    """Width of queries, keys and values of one position together.

    一个位置的查询、键、值合计的宽度。
    """
    return (shape.heads + 2 * shape.kv_heads) * shape.head_dim


@formula("elements")
def gate_and_value_width(shape: Shape) -> int:
    """Width that the first product of the feed-forward block puts out: the gate and the value.

    前馈层第一次相乘输出的宽度：门控与数值各一份。
    """
    return 2 * shape.ffn


@formula("examples")
def trained_examples(steps: int, micro: int, accumulation: int, devices: int) -> int:
    """Examples in all optimizer steps together.

    全部优化器步合计的样本数。
    """
    return steps * micro * accumulation * devices


@formula("checkpoints")
def checkpoints(steps: int, every: float, limit: int | None) -> int:
    """Checkpoints that stay on disk when the run ends.

    训练结束时磁盘上留下的检查点数。
    """
    return math.ceil(steps / every) if limit is None else min(math.ceil(steps / every), limit)


@formula("bytes")
def checkpoint_bytes(trainable: int, copies: int, moments: int, bytes_each: int = 4) -> int:
    """What was trained, in one checkpoint, as often as it is written, with the moments that Adam
    keeps of it.

    一个检查点中所训练的权重（写几份算几份），连同 Adam 为其保存的动量。
    """
    return trainable * (copies + moments) * bytes_each
