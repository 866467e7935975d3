"""What attention keeps for the backward pass in one block: what goes into its kernel and comes out,
scores where it is written out in plain steps, masks.

Read in torch 2.13 (what FlashAttention and the memory-efficient kernel save; a mask of truth values
becomes one of numbers at every call, sdp_utils.cpp), transformers 5.23 and foretune's own models.
"""

from __future__ import annotations

from functools import cache

from ...params.arch.shape import Linear, Shape
from ..formula import formula
from ..products import role
from ..setup import Setup


@formula("bytes")
def kept_by_attention(
    tokens: float, queries: float, keys: float, heads: float, bytes_each: int
) -> float:
    """Queries, keys, values and outputs of attention, and a float32 sum for every head.

    注意力的查询、键、值与输出，以及每个头一个 float32 的归一化系数。
    """
    return tokens * (bytes_each * (2 * queries + 2 * keys) + 4 * heads)


@formula("bytes")
def kept_by_written_attention(
    tokens: float, queries: float, keys: float, outputs: float, bytes_each: int
) -> float:
    """Queries, keys and values of attention in plain steps, and its outputs where the product
    behind it needs them: what comes out of the steps themselves is not needed again.

    分步计算的注意力保留的查询、键与值；其后的线性层需要时还有输出。
    """
    return tokens * bytes_each * (queries + 2 * keys + outputs)


@formula("bytes")
def kept_by_crossing(
    tokens: float, source: float, width: float, heads: float, copied: float, bytes_each: int
) -> float:
    """Of attention to what an encoder has read: queries and outputs of the text, keys and values of
    the source, copies of it, and a float32 sum for every head.

    对编码器输出的注意力所保留的内容：目标文本的查询与输出，源文本的键、值及其副本，以及每个头一个
    float32 的归一化系数。
    """
    return tokens * (bytes_each * 2 * width + 4 * heads) + source * bytes_each * (
        2 * width + copied
    )


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


def shares_inputs(setup: Setup) -> bool:
    """Whether LoRA keeps what the norms put out, and no copy of its own."""
    adapter = setup.adapter
    if adapter is None or not adapter.rank or adapter.dropout:
        return False
    return adapter.bytes_each == setup.precision.compute


def of_text(shape: Shape, setup: Setup) -> float:
    """What attention of a text to itself keeps, scores and mask apart."""
    kernels, tokens, split = setup.kernels, setup.tokens, setup.parallel.tensor
    prefix = 0 if setup.adapter is None else setup.adapter.prefix
    heads = shape.heads if kernels.repeats_keys else shape.kv_heads
    queries = shape.heads * shape.head_dim / split
    keys = heads * shape.head_dim / split * (1 + prefix / setup.length)
    if kernels.attention != "eager":
        lengths = shape.heads / split
        kept = kept_by_attention(tokens, queries, keys, lengths, setup.precision.compute)
        return kept + _joined(shape, setup)
    adapted = () if setup.adapter is None else setup.adapter.adapted(shape)
    shared = shares_inputs(setup) and any(role(one) == "out" for one in adapted)
    outputs = queries if setup.full or shared else 0.0
    return kept_by_written_attention(tokens, queries, keys, outputs, setup.precision.compute)


def _mask(shape: Shape, setup: Setup, keys: int) -> float:
    """The mask that a prefix needs, as the numbers that the kernel takes, made anew in each block:
    for every row, or in transformers' own models once for all. ChatGLM-6B's is made of numbers,
    and copied only where the kernel wants longer rows; ALiBi's as well, and where amp casts it.
    """
    if shape.alibi:
        return _biases(shape, setup) if setup.precision.autocast else 0.0
    if shape.encoder_decoder and not crosses(shape):
        return kept_mask(setup.tokens, keys, setup.precision.compute)
    if keys == setup.length or (setup.kernels.layer_norm and keys % 8 == 0):
        return 0.0
    tokens = setup.tokens if in_one_product(shape) else setup.length
    return kept_mask(tokens, keys, setup.precision.compute)


def _biases(shape: Shape, setup: Setup) -> float:
    """ALiBi's mask, with a number of each head for each pair of positions, in rows of a multiple of
    8 (models/baichuan.py, alibi_mask); the same for all texts of a batch.
    """
    heads, keys = shape.heads / setup.parallel.tensor, -(-_positions(setup) // 8) * 8
    return kept_mask(setup.length * heads, keys, setup.precision.compute)


def made_mask(shape: Shape, setup: Setup) -> float:
    """A mask that is made once for all blocks: ALiBi's, and ChatGLM-6B's with one for every row."""
    if setup.kernels.attention == "eager":
        return 0.0
    if shape.alibi:
        return 0.0 if setup.precision.autocast else _biases(shape, setup)
    if setup.kernels.layer_norm and in_one_product(shape) and _turns(shape):
        return kept_mask(setup.tokens, _positions(setup), setup.precision.compute)
    return 0.0


def _joined(shape: Shape, setup: Setup) -> float:
    """Queries and keys as one product with the values puts them out: they are turned to their
    positions into others, and stay since the values lie between them. A prefix copies keys and
    values, and what is not turned stays for the queries. What FlashAttention puts out, which takes
    no mask, then lies head by head, and is copied for the product behind it.
    """
    if not in_one_product(shape):
        return 0.0
    queries, keys = shape.heads, shape.kv_heads
    if setup.adapter is not None and setup.adapter.prefix:
        heads = 0 if _turns(shape) else 2 * keys
    elif shape.alibi or setup.kernels.layer_norm:
        heads = queries + keys if _turns(shape) else 0
    else:
        heads = queries + keys + (queries if setup.full else 0)
    return setup.tokens * heads * shape.head_dim / setup.parallel.tensor * setup.precision.compute


@cache
def _turns(shape: Shape) -> bool:
    """Whether queries and keys are turned to their positions, which neither ALiBi does nor a table
    of positions.
    """
    tables = (one for one in shape.weights if one.kind == "embedding" and "wpe" in one.name)
    return not shape.alibi and next(tables, None) is None


@cache
def in_one_product(shape: Shape) -> bool:
    """Whether queries, keys and values come out of one product."""
    return any(role(one) == "all three" for one in shape.linears)


@cache
def crosses(shape: Shape) -> bool:
    """Whether a block attends to what an encoder has read."""
    return any("cross" in one.name for one in shape.linears)


def reads_source(one: Linear) -> bool:
    """Whether a linear takes what an encoder has read."""
    return "cross" in one.name and role(one) in ("key", "value")


def of_source(shape: Shape, setup: Setup) -> float:
    """What attention to the text of an encoder keeps, its mask for every row with it; under amp
    keys and values each keep a copy of that text for their own product.
    """
    if not crosses(shape):
        return 0.0
    width, compute = shape.heads * shape.head_dim / setup.parallel.tensor, setup.precision.compute
    copies = 2 if setup.precision.autocast and setup.full else 0
    texts = kept_by_crossing(
        setup.tokens, setup.micro * setup.source, width, shape.heads, copies * shape.hidden, compute
    )
    if setup.kernels.attention != "eager":
        return texts + kept_mask(setup.tokens, setup.source, compute)
    return texts + kept_scores(setup.tokens, setup.source, shape.heads, _per_score(setup))


def _positions(setup: Setup) -> int:
    """Keys that a token sees: those of the text, and a prefix."""
    return setup.length + (0 if setup.adapter is None else setup.adapter.prefix)


def scores(shape: Shape, setup: Setup) -> float:
    """Attention weights where the kernel keeps them, else the mask that it takes."""
    positions = _positions(setup)
    if setup.kernels.attention != "eager":
        return _mask(shape, setup, positions)
    heads = shape.heads / setup.parallel.tensor
    return kept_scores(setup.tokens, positions, heads, _per_score(setup))


def _per_score(setup: Setup) -> int:
    """Bytes that attention in plain steps keeps of a score."""
    kernels, compute = setup.kernels, setup.precision.compute
    per_score = 4 + (compute if compute < 4 else 0)
    if kernels.dropout:
        per_score += compute + 1
    return per_score + (4 if kernels.old_scores else 0)
