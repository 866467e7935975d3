"""What ranks that share the tokens of a block bring together inside it, and what that leaves idle.

Ranks of tensor parallelism gather the hidden state in front of the products and sum it after them;
ranks of context parallelism gather keys and values. Read in torch 2.13:
distributed/tensor/experimental/_context_parallel/_attention.py (gathers all keys and values; sums
gradients in float32), distributed/_functional_collectives.py (gathers along the first axis and puts
in order by a copy), distributed/_symmetric_memory/__init__.py (the same around its products).
"""

from __future__ import annotations

from ...params.arch.shape import Shape
from ..formula import formula
from ..setup import Setup

LATE = 2
"""Gathered tensors that lie idle until the device has caught up: NCCL's stream may still use them,
so the allocator does not hand them out again (record_stream). Their number is an assumption."""


@formula("bytes")
def gathered_keys(tokens: float, ranks: int, keys: float, bytes_each: int) -> float:
    """Keys and values of the whole length, gathered from the ranks that share it.

    从共同分担一行长度的各进程收集来的全部键和值。
    """
    return tokens * ranks * 2 * keys * bytes_each


@formula("bytes")
def ring_gradients(tokens: float, queries: float, keys: float, bytes_each: int) -> float:
    """Gradients of queries, keys and values that ring attention sums in float32, and what goes
    round: those of the keys and values, sent and received.

    环形注意力以 float32 累加的查询、键、值的梯度，以及传递中的键和值的梯度。
    """
    return tokens * (queries + 2 * keys) * (4 + bytes_each) + tokens * 2 * keys * (4 + 4)


@formula("bytes")
def put_in_order(tokens: float, hidden: int, ffn: float, bytes_each: int) -> float:
    """Copies that put gathered rows in order in the backward pass: two inputs and two gradients of
    the hidden state, and in the feed-forward block two tensors and their gradients.

    反向传播中把收集来的各行排好顺序所需的副本：隐藏状态的两个输入与两个梯度，以及前馈层内的两个张量及其梯度。
    """
    return tokens * bytes_each * (4 * hidden + 4 * ffn)


def ring(shape: Shape, setup: Setup) -> float:
    """Bytes that attention over a shared length holds in its backward pass."""
    parallel = setup.parallel
    if parallel.context == 1:
        return 0.0
    width = shape.heads * shape.head_dim / parallel.tensor  # keys are copied for every query head
    compute = setup.precision.compute
    gathered = gathered_keys(setup.tokens, parallel.context, width, compute)
    return gathered + ring_gradients(setup.tokens, width, width, compute)


def ordered(shape: Shape, setup: Setup) -> float:
    """Bytes of the copies that put gathered rows in order; one row is in order by itself."""
    parallel = setup.parallel
    if parallel.tensor == 1 or not parallel.sequence or setup.micro <= 1:
        return 0.0
    ffn = shape.ffn / parallel.tensor
    return put_in_order(setup.tokens, shape.hidden, ffn, setup.precision.compute)


def idle(shape: Shape, setup: Setup, largest: float) -> float:
    """Bytes of gathered keys and values that the allocator cannot hand out again yet, where no
    tensor of the loss (the ``largest`` in bytes) has left a piece that would do in their place.
    """
    parallel = setup.parallel
    width = shape.heads * shape.head_dim / parallel.tensor
    each = gathered_keys(setup.tokens, parallel.context, width, setup.precision.compute)
    return LATE * each if parallel.context > 1 and each > largest else 0.0
