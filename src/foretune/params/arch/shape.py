"""What planning needs to know of a model, whatever its family calls it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["linear", "bias", "norm", "embedding", "head"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter tensor under its published name; ``{i}`` in the name counts the copies."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    copies: int = 1
    tied: bool = False
    """True where the tensor is another one's (an output layer that is the embedding)."""
    blocks: tuple[int, ...] = ()
    """Numbers of the blocks that have a copy, where those are not the first ``copies``."""

    @property
    def num_parameters(self) -> int:
        """Elements of all copies; a tied tensor has none of its own."""
        return 0 if self.tied else math.prod(self.shape) * self.copies

    def names(self) -> Iterator[str]:
        """The name of each copy."""
        return (self.name.replace("{i}", str(i)) for i in self.blocks or range(self.copies))


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer: the name of its module, and the matrix of each of its copies."""

    name: str
    inputs: int
    outputs: int
    copies: int

    @property
    def num_parameters(self) -> int:
        """Elements of the matrices of all copies, biases apart."""
        return self.inputs * self.outputs * self.copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a model, and every parameter it has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    """Width inside the feed-forward block, after the gate where there is one."""
    gated: bool
    """True where the first matrix of the feed-forward block makes a gate beside the value."""
    vocab: int | None
    """Rows of the embedding and of the output layer; None where config.json leaves it open, and
    both are then missing in ``weights``."""
    max_positions: int | None
    tied: bool
    weights: tuple[Weight, ...]
    prefix_inputs: int
    """Width of the embedding of a prefix that goes through a projection (P-Tuning v2)."""
    prefix_place: str = "transformer"
    """Name of the module that the prefix encoder of P-Tuning v2 is a part of."""
    default_lora_targets: tuple[str, ...]
    quantised: tuple[str, ...]
    """Names of the linears that the published int4 and int8 checkpoints pack."""
    dropout: bool = False
    """True where a part of what attention and feed-forward block put out is zeroed in training."""
    capped: bool = False
    """True where the scores of attention are bounded by a tanh, and so written out."""
    alibi: bool = False
    """True where positions enter as a number added to each score of attention, not as angles."""
    relu: bool = False
    """True where the feed-forward block's activation is ReLU, whose gradient needs its output."""
    encoder_decoder: bool = False
    """True where an encoder reads the prompt and a decoder writes the answer, each in blocks of its
    own; ``layers`` are those of one of them."""

    def __hash__(self) -> int:
        """Of a few sizes: sums over the weights are cached by shape, and asked for often."""
        return hash((self.hidden, self.layers, self.ffn, self.vocab, len(self.weights)))

    experts: int = 0
    """Feed-forward blocks that a layer chooses from for each token; 0 where it has one for all."""
    experts_used: int = 0
    """How many of them a token goes through."""

    @property
    def num_parameters(self) -> int:
        """Parameters of the model, tied ones once, a prefix not counted."""
        return sum(weight.num_parameters for weight in self.weights)

    @property
    def linears(self) -> tuple[Linear, ...]:
        """The linear layers inside the blocks; the output layer is not among them."""
        return _linears(self)

    @property
    def quantised_linears(self) -> tuple[Linear, ...]:
        """The linears that the published int4 and int8 checkpoints pack."""
        return tuple(linear for linear in self.linears if linear.name.endswith(self.quantised))

    @property
    def kv_width(self) -> int:
        """Elements of the keys (or of the values) of one token in one layer."""
        return self.kv_heads * self.head_dim

    @property
    def prefix_width(self) -> int:
        """Elements of one prefix position: a key and a value in every layer."""
        return 2 * self.layers * self.kv_width

    def prefix_weights(self, length: int, *, projection: bool) -> tuple[Weight, ...]:
        """The parameters that a P-Tuning v2 prefix of ``length`` positions adds, as published."""
        where = f"{self.prefix_place}.prefix_encoder"
        if not projection:
            return (Weight(f"{where}.embedding.weight", (length, self.prefix_width), "embedding"),)
        return (
            Weight(f"{where}.embedding.weight", (length, self.prefix_inputs), "embedding"),
            *linear(f"{where}.trans.0", self.prefix_inputs, self.hidden, bias=True),
            *linear(f"{where}.trans.2", self.hidden, self.prefix_width, bias=True),
        )


@cache
def _linears(shape: Shape) -> tuple[Linear, ...]:
    return tuple(
        Linear(one.name.removesuffix(".weight"), one.shape[1], one.shape[0], one.copies)
        for one in shape.weights
        if one.kind == "linear"
    )


def linear(
    name: str, inputs: int, outputs: int, *, bias: bool, copies: int = 1
) -> tuple[Weight, ...]:
    """The parameters of a linear layer."""
    weight = Weight(f"{name}.weight", (outputs, inputs), "linear", copies)
    return (weight, Weight(f"{name}.bias", (outputs,), "bias", copies)) if bias else (weight,)


def norm(name: str, width: int, *, bias: bool, copies: int = 1) -> tuple[Weight, ...]:
    """The parameters of a LayerNorm (with bias) or an RMSNorm (without)."""
    weight = Weight(f"{name}.weight", (width,), "norm", copies)
    return (weight, Weight(f"{name}.bias", (width,), "norm", copies)) if bias else (weight,)
