"""Floating-point operations of a step, by the conventions that tools and papers count them by.

A multiplication and an addition are two. The conventions differ in what they do not see:

- ``exact``: what torch's FlopCounterMode counts of the step that runs: every matrix product with
  its backward products (for a frozen weight one of two), attention without regard to the causal
  mask, FlashAttention's backward at two and a half times its forward pass, recomputation.
- ``deepspeed``: what DeepSpeed's flops profiler prints: the forward pass, and twice that for the
  backward pass, whatever is frozen and whatever is recomputed.
- ``model``: 6 for every parameter that is multiplied and token, and attention in full: what MFU is
  counted from (Mosaic, torchtitan). ``model_causal`` takes half of attention.
- ``hardware``: ``model`` with the recomputation of checkpointing: what HFU is counted from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ..params.arch.shape import Shape
from .counts import output_layer
from .formula import formula
from .setup import Setup


@formula("FLOP")
def product_flops(tokens: float, parameters: float, passes: float = 1) -> float:
    """Matrix products of so many tokens with so many weights.

    若干词元与若干权重相乘的运算量。
    """
    return 2 * tokens * parameters * passes


@formula("FLOP")
def attention_flops(tokens: float, length: float, width: float, passes: float = 1) -> float:
    """Scores and weighted sums of one layer of attention, as if every token saw every other.

    一层注意力的分数与加权和的运算量，按每个词元都看到全部词元计。
    """
    return 4 * tokens * length * width * passes


@formula("FLOP")
def model_flops(tokens: float, parameters: float, length: float, layers: int, width: int) -> float:
    """Forward and backward pass of a model of which every weight trains.

    全部权重参与训练时，一次前向与反向的运算量。
    """
    return tokens * (6 * parameters + 12 * layers * length * width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """Operations of one optimizer step over all devices, by each convention."""

    exact: float
    deepspeed: float
    model: float
    model_causal: float
    hardware: float


@cache
def multiplied(shape: Shape) -> int:
    """Weights of matrix products: those of the blocks and of the output layer."""
    return of_blocks(shape) + of_head(shape)


@cache
def of_blocks(shape: Shape) -> int:
    """Weights of the matrix products inside the blocks."""
    return sum(one.num_parameters for one in shape.linears)


@cache
def of_head(shape: Shape) -> int:
    """Weights of the output layer; the embedding's where they are one."""
    return output_layer(shape) or (shape.vocab or 0) * shape.hidden


def flops(shape: Shape, setup: Setup) -> Flops:
    """Operations of one optimizer step over all devices."""
    tokens, length, layers = setup.step_tokens, setup.length, shape.layers
    width = shape.heads * shape.head_dim
    inside, head = of_blocks(shape), of_head(shape)
    again = {"none": 0.0, "full": 1.0, "selective op": 0.5, "selective layer": 0.5}
    repeated = again[setup.checkpointing]
    flash = 0.0 if setup.checkpointing == "selective op" else repeated
    scores = attention_flops(tokens, length, width) * layers
    adapters = _adapters(shape, setup, tokens)
    skipped = _skipped(shape, setup, tokens, repeated)
    backward = 2 if setup.full else 1
    per_pass = 2.5 if setup.kernels.attention == "flash" else 2
    model = model_flops(tokens, inside + head, length, layers, width)
    return Flops(
        exact=product_flops(tokens, inside, 1 + backward + repeated)
        + product_flops(tokens, head, 1 + backward)
        + scores * (1 + per_pass + flash)
        + adapters * (3 + repeated)
        - skipped,
        deepspeed=3 * (product_flops(tokens, inside + head) + scores + adapters),
        model=model,
        model_causal=model - 1.5 * scores,
        hardware=model + repeated * product_flops(tokens, inside) + flash * scores,
    )


def _adapters(shape: Shape, setup: Setup, tokens: float) -> float:
    """Operations of LoRA's own products in one forward pass."""
    if setup.adapter is None or not setup.adapter.rank:
        return 0.0
    widths = sum((one.inputs + one.outputs) * one.copies for one in setup.adapter.adapted(shape))
    return product_flops(tokens, widths * setup.adapter.rank)


INTO_ATTENTION = ("q_proj", "k_proj", "v_proj", "query_key_value", "W_pack", "c_attn", "qkv")
"""Ends of the names of the linears before attention."""


def _skipped(shape: Shape, setup: Setup, tokens: float, repeated: float) -> float:
    """Operations that torch finds it need not do.

    Recomputation stops before the last product of a block, whose output nothing needs. In front of
    the first adapter nothing trains, so its inputs get no gradient, nor do keys or values that
    nothing trainable has touched (written-out attention; a fused kernel computes them all). Exact
    where queries, keys or values are adapted; where they are not, more is skipped than is counted.
    """
    adapter = setup.adapter
    adapted = adapter.adapted(shape) if adapter is not None else ()
    rank = adapter.rank if adapter is not None else 0
    last = [one for one in shape.linears if one.inputs == shape.ffn != shape.hidden]
    unneeded = sum(
        rank * one.outputs * one.copies if one in adapted else one.num_parameters for one in last
    )
    found = product_flops(tokens, unneeded, repeated)
    if not rank or setup.checkpointing != "none":
        return found
    into = [one for one in shape.linears if one.name.endswith(INTO_ATTENTION)]
    found += sum(product_flops(tokens, one.inputs * one.outputs) for one in into)
    found += sum(product_flops(tokens, one.inputs * rank) for one in into if one in adapted)
    if setup.kernels.attention == "eager":
        frozen = sum(one not in adapted for one in into)
        width = shape.heads * shape.head_dim
        found += frozen * product_flops(tokens, setup.length * width)
    return found
