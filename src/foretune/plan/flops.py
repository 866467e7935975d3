"""Floating-point operations of a step, by the conventions that tools and papers count them by.

A multiplication and an addition are two. The conventions differ in what they do not see:

- ``exact``: what torch's FlopCounterMode counts of the step that runs: every matrix product with
  its backward products (for a frozen weight one of two), attention without regard to the causal
  mask, FlashAttention's backward at two and a half times its forward pass, recomputation.
- ``deepspeed``: what DeepSpeed's flops profiler prints: the forward pass (``profile``), and twice
  that for the backward pass, whatever is frozen and whatever is recomputed.
- ``model``: 6 for every parameter that is multiplied and token, and attention in full: what MFU is
  counted from (Mosaic, torchtitan). ``model_causal`` takes half of attention. Of an encoder and a
  decoder each weight meets its own text; only the decoder's attention to its own text is causal.
- ``hardware``: ``model`` with the recomputation of checkpointing: what HFU is counted from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ..params.arch.shape import Shape
from .counts import all_parameters, output_layer
from .formula import formula
from .memory.states import trained
from .products import REPEATED, attention_flops, product_flops, products, role
from .setup import Setup


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


@cache
def read_by_encoder(shape: Shape) -> tuple[int, int]:
    """Weights that meet the tokens of the source: those of an encoder's blocks, and the decoder's
    for keys and values of what that has read.
    """
    own = sum(one.num_parameters for one in shape.linears if one.name.startswith("encoder."))
    crossed = (one for one in shape.linears if "cross" in one.name)
    return own, sum(one.num_parameters for one in crossed if role(one) in ("key", "value"))


def _texts(shape: Shape, setup: Setup) -> tuple[tuple[float, int, int], ...]:
    """Tokens of a step, the weights of the blocks that each of them meets, and the keys: of the
    text itself; where there is an encoder, of the source in it, and of the source and the text.
    """
    tokens, inside = setup.step_tokens, of_blocks(shape)
    if not shape.encoder_decoder:
        return ((tokens, inside, setup.length),)
    own, crossed = read_by_encoder(shape)
    length = setup.source or setup.length
    source = tokens / setup.length * length
    writes = (tokens, inside - own - crossed, setup.length)
    return writes, (source, own, length), (source, crossed, setup.length)


def flops(shape: Shape, setup: Setup) -> Flops:
    """Operations of one optimizer step over all devices."""
    tokens, layers, width = setup.step_tokens, shape.layers, shape.heads * shape.head_dim
    head, texts = of_head(shape), _texts(shape, setup)
    repeated = REPEATED[setup.checkpointing]
    flash = 0.0 if setup.checkpointing == "selective op" else repeated
    causal = attention_flops(tokens, setup.length, width) * layers
    scores = sum(attention_flops(read, keys, width) * layers for read, _, keys in texts)
    model = sum(
        model_flops(read, weights + (0 if at else head), keys, layers, width)
        for at, (read, weights, keys) in enumerate(texts)
    )
    again = sum(product_flops(read, weights) for read, weights, _ in texts)
    return Flops(
        exact=products(shape, setup, head).whole,
        deepspeed=3 * profile(shape, setup).forward * setup.accumulation * setup.parallel.data,
        model=model,
        model_causal=model - 1.5 * causal,
        hardware=model + repeated * again + flash * scores,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The lines that DeepSpeed's flops profiler prints of one micro batch on one device."""

    parameters: float
    """params per GPU: all of them, frozen ones too."""
    macs: float
    """fwd MACs per GPU."""
    forward: float
    """fwd flops per GPU: its rates of backward pass and step take this two and three times."""


@formula("FLOP")
def profiled_flops(macs: float, activated: float, normed: float) -> float:
    """What DeepSpeed's flops profiler counts of a forward pass: products, activations, LayerNorms.

    DeepSpeed 的 flops profiler 对一次前向传播的计数：矩阵乘积、激活函数与 LayerNorm。
    """
    return 2 * macs + activated + 5 * normed


def profile(shape: Shape, setup: Setup) -> Profile:
    """What the profiler counts in the forward pass of one micro batch on one device.

    Read in DeepSpeed 0.19.8: of products it sees all; of the rest the functions of
    torch.nn.functional, which are the activations and LayerNorms of these models, and not the
    operators that norms, rotations and residuals are written in. Attention is taken to be
    scaled_dot_product_attention; written out, it counts the softmax of transformers' models too.
    Of ALiBi it counts the table of distances, heads x length x length, which is left out here.
    """
    one = replace(setup, accumulation=1, parallel=replace(setup.parallel, data=1))
    tokens, source = one.step_tokens, one.micro * (one.source or one.length)
    reading = (source, tokens) if shape.encoder_decoder else (tokens,)
    counted = products(shape, one, of_head(shape)).forward / 2
    normed = 0.0
    for weight in shape.weights:
        if weight.kind == "norm" and weight.name.endswith(".bias"):
            read = shape.encoder_decoder and weight.name.startswith("encoder")
            normed += weight.num_parameters * (source if read else tokens)
    activated = sum(reading) * shape.ffn * shape.layers
    return Profile(
        parameters=all_parameters(shape) + (0 if setup.full else trained(shape, setup)),
        macs=counted,
        forward=profiled_flops(counted, activated, normed),
    )
