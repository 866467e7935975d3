"""What the forward pass keeps for the backward pass, block by block, and what the loss needs.

Which tensors are kept was read from the code that keeps them: torch 2.13's formulas of derivatives
(an addition keeps nothing, a product both factors, a linear its input if its weight trains),
transformers 5.23's modeling_llama.py, torchtune 0.4's modules, torchtitan's activation
checkpointing of 2024-12, and what torch's min-cut partitioner lets a compiled block recompute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ...params.arch.shape import Shape
from ..formula import formula
from ..part import begins_at, shares
from ..products import role
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
def kept_by_norms(tokens: float, hidden: float, norms: int, per_element: float) -> float:
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
def kept_mask(tokens: float, keys: float, bytes_each: int) -> float:
    """The mask of attention as numbers that are added to the scores, the same for every head.

    加到分数上的注意力掩码（数值形式），各头共用。
    """
    return tokens * keys * bytes_each


@formula("bytes")
def kept_prefix(micro: int, positions: int, width: int, bytes_each: int) -> int:
    """The prefix of P-Tuning v2 for each row of a micro batch: keys and values of all layers.

    P-Tuning v2 为微批次中每一行生成的前缀：各层的键与值。
    """
    return micro * positions * width * bytes_each


@formula("bytes")
def kept_by_feed_forward(tokens: float, ffn: float, copies: int, bytes_each: int) -> float:
    """Tensors inside the feed-forward block: its inputs to the activation and to the products.

    前馈层内部保留的张量：激活函数与各次相乘的输入。
    """
    return tokens * ffn * copies * bytes_each


@formula("bytes")
def kept_by_routing(tokens: float, hidden: int, experts: int, bytes_each: int) -> float:
    """A token's inputs and outputs for each of its experts, put together by expert.

    每个词元在其各个专家处的输入与输出，按专家归拢存放。
    """
    return tokens * hidden * experts * bytes_each


@formula("bytes")
def kept_by_adapters(tokens: float, inputs: float, per_element: float, ranks: float) -> float:
    """Inputs of the adapted linears as LoRA keeps them, and its narrow tensors.

    LoRA 为所适配的线性层保留的输入，以及它自己的低秩张量。
    """
    return tokens * (inputs * per_element + ranks)


@formula("bytes")
def kept_by_dora(tokens: float, outputs: float, bytes_each: int, adapter_bytes: int) -> float:
    """Outputs of the adapted linears and of their updates, which DoRA keeps for the gradient of the
    lengths (PEFT 0.21, tuners/lora/dora.py).

    DoRA 为长度参数的梯度而保留的、所适配线性层及其更新量的输出。
    """
    return tokens * outputs * (bytes_each + adapter_bytes)


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
    prefix = 0 if setup.adapter is None else setup.adapter.prefix
    return Block(
        norms=_norms(shape, setup),
        attention=_joined(shape, setup)
        + kept_by_attention(
            tokens,
            shape.heads * shape.head_dim / split,
            keys * shape.head_dim / split * (1 + prefix / setup.length),
            shape.heads / split,
            numbers.compute,
        ),
        scores=_scores(shape, setup),
        feed_forward=kept_by_feed_forward(
            tokens, inner(shape) / split, copies - _recomputed(setup), numbers.compute
        )
        + kept_by_routing(
            tokens / spread(setup), shape.hidden, shape.experts_used, 2 * numbers.compute
        ),
        adapters=_adapters(shape, setup),
    )


def inner(shape: Shape) -> int:
    """Width inside the feed-forward blocks that a token goes through."""
    return shape.ffn * max(shape.experts_used, 1)


def _recomputed(setup: Setup) -> int:
    """Tensors of the feed-forward block that a compiled block computes again: the activation of
    the gate, which the product's gradient can be fused with.
    """
    return int(setup.kernels.compiled and setup.kernels.gated)


def _norms(shape: Shape, setup: Setup) -> float:
    kernels, numbers = setup.kernels, setup.precision
    tokens, local = setup.tokens, setup.tokens / spread(setup)
    output = numbers.compute if setup.full or _shares_inputs(setup) else 0
    if kernels.compiled or kernels.layer_norm:
        inside = numbers.residual
    elif numbers.residual == 4:
        inside = 4 + (4 if setup.full else 0)
    else:
        inside = 4 + (numbers.compute if setup.full else 0)
    if numbers.autocast and not kernels.compiled:  # each linear casts its input for itself
        output *= _behind_norms(shape) / 2
    kept = kept_by_norms(local, shape.hidden, kernels.norms, inside)
    mask = 2 * shape.hidden * local if kernels.dropout else 0
    each = 4 + (numbers.compute if setup.full else 0)
    of_heads = kept_by_norms(tokens, _normed_heads(shape) / setup.parallel.tensor, 1, each)
    return kept + of_heads + kept_by_norms(tokens, shape.hidden, kernels.norms, output) + mask


@cache
def _behind_norms(shape: Shape) -> int:
    """Linears of a block that take what a norm puts out."""
    first = {one.name: role(one) for one in shape.linears}
    return sum(what not in ("out", "down") for what in first.values())


@cache
def _normed_heads(shape: Shape) -> int:
    """Elements of queries and keys that a norm of each head goes over (Qwen3)."""
    normed = any(one.name.endswith("q_norm.weight") for one in shape.weights)
    return (shape.heads + shape.kv_heads) * shape.head_dim if normed else 0


def first_norm(shape: Shape, setup: Setup) -> float:
    """What the first norm of the first block need not keep: in front of it nothing trains."""
    if setup.adapter is None or setup.checkpointing != "none":
        return 0.0
    layer_norm = setup.kernels.layer_norm or setup.kernels.compiled
    each = setup.precision.residual if layer_norm else 4
    return kept_by_norms(setup.tokens / spread(setup), shape.hidden, 1, each)


def _mask(shape: Shape, setup: Setup, keys: int) -> float:
    """The mask that a prefix needs, as the numbers that the kernel takes, made anew in each block:
    for every row, or in transformers' own models once for all. ChatGLM-6B's is made of numbers,
    and copied only where the kernel wants longer rows.
    """
    if setup.kernels.layer_norm and keys % 8 == 0:
        return 0.0
    tokens = setup.tokens if _in_one_product(shape) else setup.length
    return kept_mask(tokens, keys, setup.precision.compute)


def _joined(shape: Shape, setup: Setup) -> float:
    """Queries and keys as one product with the values puts them out: they are turned to their
    positions into others, and stay since the values lie between them. A prefix copies the values.
    What attention puts out then lies head by head, and is copied for the product behind it.
    """
    if setup.adapter is not None and setup.adapter.prefix:
        return 0.0
    if not _in_one_product(shape):
        return 0.0
    copied = shape.heads if setup.full else 0
    width = (shape.heads + shape.kv_heads + copied) * shape.head_dim / setup.parallel.tensor
    return setup.tokens * width * setup.precision.compute


@cache
def _in_one_product(shape: Shape) -> bool:
    """Whether queries, keys and values come out of one product."""
    return any(role(one) == "all three" for one in shape.linears)


def made_prefix(shape: Shape, setup: Setup) -> float:
    """What dropout has left of the prefix of every row. With checkpointing the prefix itself too,
    in float32, since it goes into every block; and in models of transformers' own, to whose layers
    it is handed.
    """
    positions = 0 if setup.adapter is None else setup.adapter.prefix
    own = setup.checkpointing == "none" and _in_one_product(shape)
    each = 1 if own else 1 + 4
    return kept_prefix(setup.micro, positions, shape.prefix_width, each)


def _shares_inputs(setup: Setup) -> bool:
    """Whether LoRA keeps what the norms put out, and no copy of its own."""
    adapter = setup.adapter
    if adapter is None or not adapter.rank or adapter.dropout:
        return False
    return adapter.bytes_each == setup.precision.compute


def _scores(shape: Shape, setup: Setup) -> float:
    kernels, numbers = setup.kernels, setup.precision
    positions = setup.length + (0 if setup.adapter is None else setup.adapter.prefix)
    if kernels.attention != "eager":
        return _mask(shape, setup, positions) if positions > setup.length else 0.0
    per_score = 4 + (numbers.compute if numbers.compute < 4 else 0)
    if kernels.dropout:
        per_score += numbers.compute + 1
    if kernels.old_scores:
        per_score += 4
    heads = shape.heads / setup.parallel.tensor
    return kept_scores(setup.tokens, positions, heads, per_score)


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
    if adapter.dora:
        outputs = sum(one.outputs for one in adapted)
        ranks += kept_by_dora(1, outputs, setup.precision.compute, adapter.bytes_each)
    return kept_by_adapters(setup.tokens, own, per_element, ranks) / setup.parallel.tensor


def kept_by_block(shape: Shape, setup: Setup, whole: float) -> float:
    """Bytes that one block, on average, keeps until its backward pass; ``whole`` where all is."""
    numbers, tokens, split = setup.precision, setup.tokens, setup.parallel.tensor
    local = tokens / spread(setup)
    entry = block_inputs(local, shape.hidden, 1, numbers.residual)
    match setup.checkpointing:
        case "none":
            kept = whole
        case "full":
            kept = entry
        case "selective layer":
            kept = (entry + whole) / 2
        case "selective op":
            queries, keys = shape.heads * shape.head_dim, shape.kv_width
            products = queries + keys + inner(shape)
            if shape.gated and not setup.kernels.compiled:  # the last one, which nothing needs
                products += shape.hidden
            attention = queries * numbers.compute + 4 * shape.heads
            kept = entry + tokens * (products * numbers.compute + attention) / split
    if setup.offload_activations:
        return kept - entry if setup.checkpointing == "full" else 0.0
    return kept


def kept_by_blocks(shape: Shape, setup: Setup) -> tuple[float, float]:
    """Bytes that a block keeps on average until its backward pass, and all that the fullest one has
    inside. Where a part trains, blocks in front of it keep nothing, and those behind it what frozen
    ones do; a block of which some linears train is counted between the two, by their inputs.
    """
    whole = block(shape, setup).total
    if setup.part is None:
        return kept_by_block(shape, setup, whole), whole
    trained = block(shape, replace(setup, part=None)).total
    first = begins_at(shape, setup.part, checkpointing=setup.checkpointing != "none")
    mixed = [whole + share * (trained - whole) for share in shares(shape, setup.part)[first:]]
    kept = sum(kept_by_block(shape, setup, one) for one in mixed) / max(shape.layers, 1)
    return kept, max(mixed, default=0.0)


def working(shape: Shape, setup: Setup) -> float:
    """Gradients that are alive inside one block at the worst point of its backward pass."""
    numbers, tokens, split = setup.precision, setup.tokens, setup.parallel.tensor
    compute = numbers.compute
    keys = shape.heads if setup.kernels.repeats_keys else shape.kv_heads
    feed_forward = compute * (3 if setup.kernels.gated else 2) * inner(shape) / split
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
