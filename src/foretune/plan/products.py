"""The matrix products of one training step, one by one, as torch's autograd makes them.

A product with a weight is made once in the forward pass; in the backward pass once more for its
input and once for the weight, each only where something that trains needs it. So what is counted
hangs on what trains before a product: the blocks are walked through in the order in which they
compute, and what is carried on is whether anything behind has a gradient.

Checkpointing makes the products of a block again, but for the last one where nothing in the block
needs what it puts out: torch stops as soon as all that was kept is there again. Transformers gives
the inputs of the first block a gradient when it checkpoints, whether anything needs it or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Literal

from ..params.arch.shape import Linear, Shape
from .formula import formula
from .part import Part, head_trains, names_of, trained_weights, trains_in_front, untouched
from .setup import Adapter, Checkpointing, Setup

Role = Literal["query", "key", "value", "all three", "out", "into", "down"]

ROLES: dict[Role, tuple[str, ...]] = {
    "all three": ("query_key_value", "W_pack", "c_attn", "qkv_proj", "qkv", "Wqkv"),
    "query": ("q_proj", "query", "wq"),
    "key": ("k_proj", "key", "wk"),
    "value": ("v_proj", "value", "wv"),
    "out": ("o_proj", "out_proj", "attention.dense", "attn.dense", "attn.c_proj", "wo"),
    "down": ("down_proj", "dense_4h_to_h", "fc2", "mlp.c_proj", "w2"),
}
"""Ends of the names of the linears of a block, by what they do in it, the first that fits; all
others lead into the feed-forward block."""


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


def role(one: Linear) -> Role:
    """What a linear of a block does in it."""
    for name, ends in ROLES.items():
        if one.name.endswith(ends):
            return name
    return "into"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Blocks of one kind, one after the other: all of a decoder's, or those of an encoder."""

    blocks: int
    own: tuple[Linear, ...]
    """Linears of attention over the own text."""
    cross: tuple[Linear, ...]
    """Linears of attention over what an encoder has read."""
    into: tuple[Linear, ...]
    """Linears that lead into the feed-forward block."""
    down: tuple[Linear, ...]
    """Linears that lead out of it."""


@cache
def stacks(shape: Shape) -> tuple[Stack, ...]:
    """The stacks of a model, in the order in which they compute."""
    return tuple(
        _stack(list(linears))
        for _, linears in groupby(shape.linears, lambda one: one.name.partition("{i}")[0])
    )


def _stack(linears: list[Linear]) -> Stack:
    attending = [one for one in linears if role(one) not in ("into", "down")]
    return Stack(
        blocks=linears[0].copies,
        own=tuple(one for one in attending if "cross" not in one.name),
        cross=tuple(one for one in attending if "cross" in one.name),
        into=tuple(one for one in linears if role(one) == "into"),
        down=tuple(one for one in linears if role(one) == "down"),
    )


REPEATED = {"none": 0.0, "full": 1.0, "selective op": 0.5, "selective layer": 0.5}
"""Share of the forward pass of the blocks that checkpointing makes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What of a run decides which products there are."""

    adapter: Adapter | None
    part: Part | None
    checkpointing: Checkpointing
    written_out: bool
    """True for attention in plain steps."""
    last_needed: bool
    """Whether a norm or dropout follows the last product of a block, and needs what it puts out."""


Text = Literal["own", "source"]
"""Which tokens: of the text itself, or of what an encoder reads."""


@dataclass(slots=True)
class Passes:
    """How often each weight meets a token, and each token a key, in the blocks of a model."""

    weights: dict[Text, float] = field(default_factory=lambda: defaultdict(float))
    """Tokens -> weights that each of them is multiplied with, as often as it is."""
    scores: dict[tuple[Text, Text], float] = field(default_factory=lambda: defaultdict(float))
    """Tokens and keys -> widths of the products of each with each."""

    def add(self, others: Passes, times: int) -> None:
        """Those of so many blocks."""
        for text, count in others.weights.items():
            self.weights[text] += count * times
        for pair, width in others.scores.items():
            self.scores[pair] += width * times

    def flops(self, rows: float, length: Mapping[Text, int], prefix: int) -> float:
        """For so many texts of such a length, behind a prefix."""
        of_weights = (
            product_flops(rows * length[text], count) for text, count in self.weights.items()
        )
        of_scores = (
            attention_flops(rows * length[text], length[keys] + prefix, width)
            for (text, keys), width in self.scores.items()
        )
        return sum(of_weights) + sum(of_scores)


OF_HEADS = ("q_norm", "k_norm")
"""Norms of queries and keys, inside attention."""
AFTER = ("post_feedforward_layernorm", "fc_norm")
"""Norms behind the feed-forward block."""
FIRST_NORMS = ("input_layernorm", "ln_1", "self_attn_layer_norm", "attention_norm")
"""What families call the norm in front of attention, where there is one."""


class Walk:
    """Goes through one block, of the number ``at``, and counts its passes."""

    def __init__(self, shape: Shape, way: Way, stack: Stack, text: Text, at: int) -> None:
        self.way, self.stack, self.at = way, stack, at
        self.text: Text = text
        self.own = frozenset[str]() if way.part is None else names_of(shape, way.part)
        self.full = way.adapter is None and way.part is None
        self.prefix_of_names = stack.own[0].name.partition("{i}")[0] + f"{at}."
        self.adapted = () if way.adapter is None else way.adapter.adapted(shape)
        self.rank = 0 if way.adapter is None else way.adapter.rank
        self.prefix = 0 if way.adapter is None else way.adapter.prefix
        self.width = shape.heads * shape.head_dim
        cut = way.part is not None and at < untouched(shape, way.part)
        self.repeated = 0.0 if cut else REPEATED[way.checkpointing]
        self.whole, self.forward = Passes(), Passes()

    def block(self, needs: bool, source: bool) -> bool:
        """The whole block. ``needs`` and ``source`` say whether what goes in, and what an encoder
        has read, have a gradient; the answer is whether what comes out has one.
        """
        needs = needs or self.normed(*FIRST_NORMS)
        needs = self.attention(self.stack.own, needs, crosses=False, source=False) or needs
        if self.stack.cross:
            needs = self.attention(self.stack.cross, needs, crosses=True, source=source) or needs
        inside = needs = needs or self.normed("norm", "ln_2", but=(*FIRST_NORMS, *AFTER, *OF_HEADS))
        for one in self.stack.into:
            inside = self.linear(one, self.text, needs) or inside
        for one in self.stack.down:
            last = not self.way.last_needed
            needs = self.linear(one, self.text, inside, last=last) or needs
        return needs or self.normed(*AFTER)

    def normed(self, *names: str, but: tuple[str, ...] = ()) -> bool:
        """Whether a norm of such a name trains: what it puts out then has a gradient."""
        return any(
            one.startswith(self.prefix_of_names)
            and any(name in one for name in names)
            and not any(name in one for name in but)
            for one in self.own
        )

    def trains(self, one: Linear) -> bool:
        """Whether the weight itself trains."""
        return self.full or f"{one.name.replace('{i}', str(self.at))}.weight" in self.own

    def linear(self, one: Linear, text: Text, needs: bool, *, last: bool = False) -> bool:
        """One linear with its adapter; whether what it puts out has a gradient."""
        adapted, trains = one in self.adapted, self.trains(one)
        copies = one.copies / self.stack.blocks
        forward, cut = 1 + self.repeated, 1 + (0 if last else self.repeated)
        own = one.inputs * one.outputs * copies
        narrow = self.rank * copies if adapted else 0
        self.forward.weights[text] += own + (one.inputs + one.outputs) * narrow
        self.whole.weights[text] += (
            own * ((forward if adapted else cut) + needs + trains)
            + one.inputs * narrow * (forward + 1 + needs)
            + one.outputs * narrow * (cut + 2)
        )
        return needs or adapted or trains

    def attention(
        self, linears: tuple[Linear, ...], needs: bool, *, crosses: bool, source: bool
    ) -> bool:
        """Attention over the text itself, or (``crosses``) over what an encoder has read."""
        has = {"query": False, "key": False, "value": False}
        for one in linears:
            what = role(one)
            if what == "all three":
                has |= dict.fromkeys(has, self.linear(one, self.text, needs))
            elif what != "out":
                of_source = crosses and what != "query"
                text, gradient = ("source", source) if of_source else (self.text, needs)
                has[what] = self.linear(one, text, gradient)
        if self.normed("q_norm"):
            has["query"] = True
        if self.normed("k_norm"):
            has["key"] = True
        if self.prefix and not crosses:
            has |= {"key": True, "value": True}
        keys: Text = "source" if crosses else self.text
        mixed = self.scores(has, keys)
        for one in linears:
            if role(one) == "out":
                mixed = self.linear(one, self.text, mixed)
        return mixed

    def scores(self, has: dict[str, bool], keys: Text) -> bool:
        """The products inside attention: two forward. Backward, written out, one for each factor
        that has a gradient; a fused kernel makes the scores again, and all gradients: five.
        """
        scored = has["query"] or has["key"]
        mixed = scored or has["value"]
        if self.way.written_out:
            backward, repeated = sum(has.values()) + scored, self.repeated
        else:
            backward = 5 * mixed
            repeated = 0.0 if self.way.checkpointing == "selective op" else self.repeated
        self.forward.scores[self.text, keys] += self.width
        self.whole.scores[self.text, keys] += self.width * (1 + repeated + backward / 2)
        return mixed


@cache
def passes(shape: Shape, way: Way) -> tuple[Passes, Passes, bool]:
    """Of all blocks in one step, and in its forward pass alone; and whether what the last of them
    puts out has a gradient.
    """
    needs = begins = _begins(shape, way)
    whole, forward, source = Passes(), Passes(), False
    for place, stack in enumerate(stacks(shape)):
        reads = shape.encoder_decoder and place == 0
        text: Text = "source" if reads else "own"
        needs = begins
        alike = ((0, 1), (1, stack.blocks - 1))  # in front of the first block nothing may train
        for at, times in alike if way.part is None else ((i, 1) for i in range(stack.blocks)):
            walk = Walk(shape, way, stack, text, at)
            needs = walk.block(needs, source)
            whole.add(walk.whole, times)
            forward.add(walk.forward, times)
        source = needs
    return whole, forward, needs


def _begins(shape: Shape, way: Way) -> bool:
    """Whether what goes into the first block has a gradient."""
    if way.adapter is None and way.part is None:
        return True
    if way.part is None:
        return way.checkpointing != "none"
    checkpointing = way.checkpointing != "none"
    return trains_in_front(shape, way.part) or (checkpointing and not untouched(shape, way.part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """FLOPs of the matrix products of one optimizer step, over all devices."""

    whole: float
    """All of them, as torch's FlopCounterMode counts them."""
    forward: float
    """Those of the forward pass, nothing repeated."""


def products(shape: Shape, setup: Setup, head: float) -> Products:
    """Every matrix product of the step. ``head``: weights of the output layer."""
    kernels, adapter = setup.kernels, setup.adapter
    way = Way(
        adapter=adapter,
        part=setup.part,
        checkpointing=setup.checkpointing,
        written_out=kernels.attention == "eager",
        last_needed=shape.encoder_decoder or kernels.norms > 2 or kernels.dropout,
    )
    rows = setup.step_tokens / setup.length
    length: dict[Text, int] = {"own": setup.length, "source": setup.source or setup.length}
    positions = 0 if adapter is None else adapter.prefix
    made, first, needs = passes(shape, way)
    whole, forward = (one.flops(rows, length, positions) for one in (made, first))
    outside, prefix = product_flops(setup.step_tokens, head), _of_prefix(shape, setup)
    return Products(
        whole=whole + 3 * prefix + (1 + _of_head(shape, setup, needs)) * outside,
        forward=forward + prefix + outside,
    )


def _of_head(shape: Shape, setup: Setup, needs: bool) -> int:
    """Backward products of the output layer: for its input, and for its weight."""
    if setup.part is None:
        return 1 + setup.full
    trained = trained_weights(shape, setup.part)
    normed = any(one.kind == "norm" and "{i}" not in one.name for one in trained)
    return (needs or normed) + head_trains(shape, setup.part)


def _of_prefix(shape: Shape, setup: Setup) -> float:
    """FLOPs of the network that makes a prefix: once for a micro batch, whatever its rows."""
    adapter = setup.adapter
    if adapter is None or not adapter.prefix or not adapter.projection:
        return 0.0
    weights = shape.prefix_weights(adapter.prefix, projection=True)
    matrices = sum(one.num_parameters for one in weights if one.kind == "linear")
    return product_flops(adapter.prefix * setup.accumulation * setup.parallel.data, matrices)
