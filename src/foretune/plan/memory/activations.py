"""What the forward pass keeps for the backward pass, block by block, and what the loss needs.

Which tensors are kept was read from the code that keeps them: torch 2.13's formulas of derivatives
(an addition keeps nothing, a product both factors, a linear its input if its weight trains),
transformers 5.23's modeling_llama.py, torchtune 0.4's modules, torchtitan's activation
checkpointing of 2024-12, and what torch's min-cut partitioner lets a compiled block recompute.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...params.arch.shape import Shape
from ..formula import formula
from ..setup import Setup
from .buffers import CHUNKS
from .collectives import ordered, ring


@formula("bytes")
def logit_bytes(batch: int, length: int, vocab: int, bytes_each: int = 4) -> int:
    """The scores of every vocabulary entry at every position, in float32 for the loss.

    每个位置上所有词表项的分数，计算损失时为 float32。
    """
    return batch * length * vocab * bytes_each


@formula("bytes")
def kept_by_norms(tokens: float, hidden: int, norms: int, per_element: float) -> float:
    """Inputs and outputs of the norms of one block that the backward pass needs.

    一个块中各归一化层为反向传播保留的输入和输出。
    """
    return tokens * hidden * norms * per_element


@formula("bytes")
def kept_by_attention(
    tokens: float, queries: float, keys: float, heads: float, bytes_each: int
) -> float:
    """Queries, keys, values and outputs of attention, and a float32 sum for every head.

    注意力的查询、键、值与输出，以及每个头一个 float32 的归一化系数。
    """
    return tokens * (bytes_each * (2 * queries + 2 * keys) + 4 * heads)


@formula("bytes")
def kept_scores(tokens: float, length: float, heads: float, per_score: float) -> float:
    """Attention weights of every head over the whole length, where the kernel keeps them.

    每个头在整个长度上的注意力权重（仅当所用的实现保留它们时）。
    """
    return tokens * length * heads * per_score


@formula("bytes")
def kept_by_feed_forward(tokens: float, ffn: float, copies: int, bytes_each: int) -> float:
    """Tensors inside the feed-forward block: its inputs to the activation and to the products.

    前馈层内部保留的张量：激活函数与各次相乘的输入。
    """
    return tokens * ffn * copies * bytes_each


@formula("bytes")
def kept_by_adapters(tokens: float, inputs: float, per_element: float, ranks: float) -> float:
    """Inputs of the adapted linears as LoRA keeps them, and its narrow tensors.

    LoRA 为所适配的线性层保留的输入，以及它自己的低秩张量。
    """
    return tokens * (inputs * per_element + ranks)


@formula("bytes")
def block_inputs(tokens: float, hidden: int, blocks: float, bytes_each: int) -> float:
    """Inputs of the blocks, from which checkpointing computes the rest again.

    各块的输入，梯度检查点由此重新计算其余部分。
    """
    return tokens * hidden * blocks * bytes_each


@formula("bytes")
def loss_bytes(tokens: float, vocab: float, per_score: float) -> float:
    """Scores, their logarithms and their gradients while the loss is computed.

    计算损失时的分数、其对数及其梯度。
    """
    return tokens * vocab * per_score


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one block keeps, in bytes on one rank."""

    norms: float
    attention: float
    scores: float
    feed_forward: float
    adapters: float

    @property
    def total(self) -> float:
        return self.norms + self.attention + self.scores + self.feed_forward + self.adapters


def spread(setup: Setup) -> int:
    """Ranks that share the tokens between the matrices of a block."""
    return setup.parallel.tensor if setup.parallel.sequence else 1


def block(shape: Shape, setup: Setup) -> Block:
    """What one block keeps when all of it is kept."""
    kernels, numbers, tokens = setup.kernels, setup.precision, setup.tokens
    split = setup.parallel.tensor
    keys = shape.heads if kernels.repeats_keys else shape.kv_heads
    copies = (3 if kernels.gated else 1) + setup.full
    return Block(
        norms=_norms(shape, setup),
        attention=kept_by_attention(
            tokens,
            shape.heads * shape.head_dim / split,
            keys * shape.head_dim / split,
            shape.heads / split,
            numbers.compute,
        ),
        scores=_scores(shape, setup),
        feed_forward=kept_by_feed_forward(
            tokens, shape.ffn / split, copies - _recomputed(setup), numbers.compute
        ),
        adapters=_adapters(shape, setup),
    )


def _recomputed(setup: Setup) -> int:
    """Tensors of the feed-forward block that a compiled block computes again: the activation of
    the gate, which the product's gradient can be fused with.
    """
    return int(setup.kernels.compiled and setup.kernels.gated)


def _norms(shape: Shape, setup: Setup) -> float:
    kernels, numbers = setup.kernels, setup.precision
    tokens, local = setup.tokens, setup.tokens / spread(setup)
    needed = setup.full or (setup.adapter is not None and setup.adapter.rank > 0)
    output = numbers.compute if needed else 0
    if kernels.compiled or kernels.layer_norm:
        inside = numbers.residual
    elif numbers.residual == 4:
        inside = 4 + (4 if setup.full else 0)
    else:
        inside = 4 + (numbers.compute if setup.full else 0)
    if numbers.autocast and not kernels.compiled:  # each linear casts its input for itself
        output *= (4 + kernels.gated) / 2
    kept = kept_by_norms(local, shape.hidden, kernels.norms, inside)
    mask = 2 * shape.hidden * local if kernels.dropout else 0
    return kept + kept_by_norms(tokens, shape.hidden, kernels.norms, output) + mask


def _scores(shape: Shape, setup: Setup) -> float:
    kernels, numbers = setup.kernels, setup.precision
    if kernels.attention != "eager":
        return 0.0
    per_score = 4 + (numbers.compute if numbers.compute < 4 else 0)
    if kernels.dropout:
        per_score += numbers.compute + 1
    if kernels.old_scores:
        per_score += 4
    heads = shape.heads / setup.parallel.tensor
    return kept_scores(setup.tokens, setup.length, heads, per_score)


def _adapters(shape: Shape, setup: Setup) -> float:
    adapter = setup.adapter
    if adapter is None or not adapter.rank:
        return 0.0
    adapted = adapter.adapted(shape)
    of_model = adapter.bytes_each == setup.precision.compute
    per_element = (adapter.bytes_each + 1) if adapter.dropout else adapter.bytes_each
    own = sum(one.inputs for one in adapted if adapter.dropout or not of_model)
    if not own:  # only the input of the last matrix is kept by nobody else
        own = sum(one.inputs for one in adapted if one.inputs == shape.ffn != shape.hidden)
    ranks = len(adapted) * adapter.rank * adapter.bytes_each
    return kept_by_adapters(setup.tokens, own, per_element, ranks) / setup.parallel.tensor


def kept_by_block(shape: Shape, setup: Setup) -> float:
    """Bytes that one block, on average, keeps until its backward pass."""
    numbers, tokens, split = setup.precision, setup.tokens, setup.parallel.tensor
    local = tokens / spread(setup)
    entry = block_inputs(local, shape.hidden, 1, numbers.residual)
    match setup.checkpointing:
        case "none":
            kept = block(shape, setup).total
        case "full":
            kept = entry
        case "selective layer":
            kept = (entry + block(shape, setup).total) / 2
        case "selective op":
            queries, keys = shape.heads * shape.head_dim, shape.kv_width
            products = queries + keys + shape.ffn
            if shape.gated and not setup.kernels.compiled:  # the last one, which nothing needs
                products += shape.hidden
            attention = queries * numbers.compute + 4 * shape.heads
            kept = entry + tokens * (products * numbers.compute + attention) / split
    if setup.offload_activations:
        return kept - entry if setup.checkpointing == "full" else 0.0
    return kept


def working(shape: Shape, setup: Setup) -> float:
    """Gradients that are alive inside one block at the worst point of its backward pass."""
    numbers, tokens, split = setup.precision, setup.tokens, setup.parallel.tensor
    compute = numbers.compute
    keys = shape.heads if setup.kernels.repeats_keys else shape.kv_heads
    feed_forward = compute * (3 if setup.kernels.gated else 2) * shape.ffn / split
    queries = shape.heads * shape.head_dim / split
    attention = compute * (2 * queries + 2 * keys * shape.head_dim / split) + 4 * queries
    if setup.kernels.attention == "eager":
        attention += (compute + 8) * shape.heads / split * setup.length
    inside = tokens * (max(feed_forward, attention) + numbers.residual * shape.hidden)
    return inside + ring(shape, setup) + ordered(shape, setup)


LOSS = {"full": 12.0, "shifted": 22.0, "compiled": 4.0, "chunked": 2.0, "fused": 0.0}
"""Bytes of every score while the loss is computed and taken back. All at once: its logarithm, the
gradient of the logarithm and its own, in float32; shifted: the 16-bit scores, the copy that amp
makes of them and the one that is shifted stay beside them. Compiled: scores and gradients in 16
bits. In chunks: the scores of every chunk in 16 bits."""

LOSS_SPLIT = 16.0
"""The same over a vocabulary that is split among ranks: torch/distributed/tensor/parallel/loss.py
writes every operation out, and four float32 tensors are alive at once."""

def loss(shape: Shape, setup: Setup) -> float:
    """Bytes of the scores while the loss is computed and taken back."""
    vocab, split = shape.vocab or 0, setup.parallel.tensor
    kind = setup.kernels.loss
    per_score = LOSS[kind]
    if kind in ("full", "shifted") and split > 1:
        per_score = LOSS_SPLIT
    if kind in ("compiled", "chunked") and setup.precision.compute == 4:
        per_score *= 2
    chunk = 4 / CHUNKS if kind in ("chunked", "fused") else 0.0
    return loss_bytes(setup.tokens, vocab / split, per_score + chunk)
