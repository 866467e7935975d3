"""What the forward pass keeps for the backward pass, block by block, and what the loss needs.

Which tensors are kept was read from the code that keeps them: torch 2.13's formulas of derivatives
(an addition keeps nothing, a product both factors, a linear its input if its weight trains),
transformers 5.23's modeling_llama.py, torchtune 0.4's modules, torchtitan's activation
checkpointing of 2024-12, and what torch's min-cut partitioner lets a compiled block recompute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ...params.arch.shape import Linear, Shape
from ..formula import formula
from ..part import Part, begins_at, names_of, shares, trains_in_front
from ..products import FIRST_NORMS, role
from ..setup import Setup
from .attention import in_one_product, of_source, of_text, reads_source, scores, shares_inputs
from .buffers import CHUNKS
from .collectives import ordered, ring
from .halves import halves


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
    copies = (3 if kernels.gated else 1) + (setup.full and not shape.relu)
    return Block(
        norms=_norms(shape, setup),
        attention=of_text(shape, setup) + of_source(shape, setup),
        scores=scores(shape, setup),
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
    output = numbers.compute * (kernels.norms if setup.full else _shared_norms(shape, setup))
    if numbers.autocast and not kernels.compiled:  # each linear casts its input for itself
        output *= _behind_norms(shape) / kernels.norms
    kept = kept_by_norms(local, shape.hidden, kernels.norms, _inside_norm(setup))
    dropped = kernels.dropout or shape.dropout
    mask = kernels.norms * shape.hidden * local if dropped else 0
    each = 4 + (numbers.compute if setup.full else 0)
    of_heads = kept_by_norms(tokens, _normed_heads(shape) / setup.parallel.tensor, 1, each)
    return kept + of_heads + kept_by_norms(tokens, shape.hidden, 1, output) + mask


def _inside_norm(setup: Setup) -> int:
    """Bytes of an element that a norm keeps of its input, in float32 where it is written out, and
    of what it multiplies with its weight.
    """
    numbers = setup.precision
    if setup.kernels.compiled or setup.kernels.layer_norm:
        return numbers.residual
    return 4 + (numbers.residual if setup.full else 0)


def _shared_norms(shape: Shape, setup: Setup) -> int:
    """Norms of a block whose output LoRA keeps, itself and no copy."""
    if setup.adapter is None or not shares_inputs(setup):
        return 0
    adapted = (one for one in setup.adapter.adapted(shape) if _is_behind(one))
    return len({(role(one) == "into", "cross" in one.name) for one in adapted})


def outside(shape: Shape, setup: Setup) -> float:
    """What the last norm keeps, and the output layer where its weight trains."""
    local = setup.tokens / spread(setup)
    output = setup.precision.compute if setup.full else 0
    kept = kept_by_norms(local, shape.hidden, 1, _inside_norm(setup))
    return kept + kept_by_norms(setup.tokens, shape.hidden, 1, output)


@cache
def _behind_norms(shape: Shape) -> int:
    """Linears of a block that take what a norm puts out."""
    return sum(_is_behind(one) for one in {one.name: one for one in shape.linears}.values())


def _is_behind(one: Linear) -> bool:
    return role(one) not in ("out", "down") and not reads_source(one)


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


def made_prefix(shape: Shape, setup: Setup) -> float:
    """What dropout has left of the prefix of every row. With checkpointing the prefix itself too,
    in float32, since it goes into every block; and in models of transformers' own, to whose layers
    it is handed.
    """
    positions = 0 if setup.adapter is None else setup.adapter.prefix
    own = setup.checkpointing == "none" and in_one_product(shape)
    each = 1 if own else 1 + 4
    return kept_prefix(setup.micro, positions, shape.prefix_width, each)


def _adapters(shape: Shape, setup: Setup) -> float:
    if setup.adapter is None or not setup.adapter.rank:
        return 0.0
    adapted = setup.adapter.adapted(shape)
    of_source = tuple(one for one in adapted if reads_source(one))
    of_text = tuple(one for one in adapted if one not in of_source) if of_source else adapted
    kept = _by_adapted(of_text, shape, setup, setup.tokens)
    if of_source:
        kept += _by_adapted(of_source, shape, setup, setup.micro * setup.source)
    return kept / setup.parallel.tensor


def _by_adapted(adapted: tuple[Linear, ...], shape: Shape, setup: Setup, tokens: float) -> float:
    adapter, compute = setup.adapter, setup.precision.compute
    assert adapter is not None
    kept = compute if adapter.autocast else adapter.bytes_each
    of_model = adapter.bytes_each == compute
    own = sum(one.inputs for one in adapted if adapter.dropout or not of_model)
    if not own:  # only the input of the last matrix is kept by nobody else
        own = sum(one.inputs for one in adapted if one.inputs == shape.ffn != shape.hidden)
    ranks = len(adapted) * adapter.rank * kept
    if adapter.dora:
        outputs = sum(one.outputs for one in adapted)
        ranks += kept_by_dora(1, outputs, compute, kept)
    return kept_by_adapters(tokens, own, kept + adapter.dropout, ranks)


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


def kept_by_blocks(shape: Shape, setup: Setup) -> tuple[float, tuple[float, float]]:
    """Bytes that a block keeps on average until its backward pass (one of the encoder and one of
    the decoder, where there are both), and all that the fullest of the first kind has inside, and
    of the last.
    """
    found = [_kept_by_kind(*one) for one in halves(shape, setup)]
    return sum(kept for kept, _ in found), (found[0][1], found[-1][1])


def _kept_by_kind(shape: Shape, setup: Setup) -> tuple[float, float]:
    """What a block keeps, and what the fullest has inside. Where a part trains, blocks in front of
    it keep nothing, and those behind it what frozen ones do; a block of which some linears train is
    counted between the two, by their inputs.
    """
    whole = block(shape, setup).total
    if setup.part is None:
        return kept_by_block(shape, setup, whole), whole
    trained = block(shape, replace(setup, part=None)).total + _cast_for_each(shape, setup)
    again = setup.checkpointing != "none"
    first = begins_at(shape, setup.part, checkpointing=again)
    mixed = [whole + share * (trained - whole) for share in shares(shape, setup.part)[first:]]
    kept = sum(kept_by_block(shape, setup, one) for one in mixed)
    if mixed and not again:
        kept -= _in_front_of_what_trains(shape, setup, setup.part, first)
    return kept / max(shape.layers, 1), max(mixed, default=0.0)


def _cast_for_each(shape: Shape, setup: Setup) -> float:
    """Copies that the linears of a block make of what its float32 norms put out, each its own, but
    for those that are counted as the norms' outputs.
    """
    numbers, kernels = setup.precision, setup.kernels
    one_type = numbers.compute == 4 or numbers.autocast or numbers.master or kernels.compiled
    named = () if setup.part is None else setup.part.modules
    if one_type or (named and not any("norm" in one or one.startswith("ln_") for one in named)):
        return 0.0
    more = _behind_norms(shape) - kernels.norms
    return kept_by_norms(setup.tokens, shape.hidden, more, numbers.compute)


def _in_front_of_what_trains(shape: Shape, setup: Setup, part: Part, first: int) -> float:
    """What the first block that trains need not keep: its norm and its attention, as far as they
    stand in front of all that does. Nothing where the embedding trains.
    """
    own = [name for name in names_of(shape, part) if f".{first}." in name]
    if trains_in_front(shape, part) or any(norm in name for name in own for norm in FIRST_NORMS):
        return 0.0
    frozen = block(shape, setup)
    norm = frozen.norms / max(setup.kernels.norms, 1)
    attending = {one.name for one in shape.linears if role(one) not in ("into", "down")}
    if any(f"{name.replace('{i}', str(first))}.weight" in own for name in attending):
        return norm
    return norm + frozen.attention + frozen.scores


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
