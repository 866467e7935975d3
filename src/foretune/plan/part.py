"""What of a model trains where only a part of it does: modules of some of its blocks, and modules
outside of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ..params.arch.shape import Shape, Weight
from ..params.method import Freeze

BLOCK = re.compile(r"\.(\d+)\.")
"""The number of a block in the name of a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What trains, as method.freeze says it."""

    layers: int
    modules: tuple[str, ...] = ()
    """Modules inside those blocks; all of them where there is no name."""
    extra: tuple[str, ...] = ()
    """Modules outside the blocks."""

    def blocks(self, count: int) -> range:
        """The numbers of the blocks that train, of so many."""
        if self.layers < 0:
            return range(min(-self.layers, count))
        return range(max(count - self.layers, 0), count)

    def trains(self, name: str, count: int) -> bool:
        """Whether the parameter of that name trains in a model of so many blocks."""
        block = BLOCK.search(name)
        if block is None:
            return is_in(name, self.extra)
        inside = not self.modules or is_in(name[block.end() :], self.modules)
        return inside and int(block[1]) in self.blocks(count)


def part_of(freeze: Freeze) -> Part:
    """The part that a run's section names."""
    return Part(layers=freeze.layers, modules=freeze.modules or (), extra=freeze.extra or ())


def is_in(name: str, modules: Iterable[str]) -> bool:
    """Whether a parameter is in a module whose path has one of ``modules`` in it."""
    return any(f".{module}." in f".{name}" for module in modules)


def unknown(part: Part, names: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Names that no module of a model has, of whose parameters ``names`` are given: the setting,
    the name, and what it could have been.
    """
    found = [(name, BLOCK.search(name)) for name in names]
    inside = [name[block.end() :] for name, block in found if block]
    outside = [name for name, block in found if not block]
    for setting, asked, there in (
        ("method.freeze.modules", part.modules, inside),
        ("method.freeze.extra", part.extra, outside),
    ):
        known = sorted({one for name in there for one in name.split(".")[:-1]})
        for name in asked:
            if not any(is_in(one, [name]) for one in there):
                yield setting, name, known


@cache
def trained_weights(shape: Shape, part: Part) -> tuple[Weight, ...]:
    """The weights that train, each with the numbers of the blocks in which it does. An output layer
    that is the embedding trains as the embedding.
    """
    found: list[Weight] = []
    for weight in shape.weights:
        numbers = weight.blocks or range(weight.copies)
        named = zip(numbers, weight.names(), strict=True)
        mine = tuple(i for i, name in named if part.trains(name, shape.layers))
        if not weight.tied and (mine or _is_tied_to(weight, shape, part)):
            inside = "{i}" in weight.name
            found.append(replace(weight, copies=len(mine), blocks=mine) if inside else weight)
    return tuple(found)


def _is_tied_to(weight: Weight, shape: Shape, part: Part) -> bool:
    return weight.kind == "embedding" and any(
        one.tied and one.shape == weight.shape and part.trains(one.name, shape.layers)
        for one in shape.weights
    )


@cache
def parameters_of(shape: Shape, part: Part) -> int:
    """Parameters that train."""
    return sum(weight.num_parameters for weight in trained_weights(shape, part))


@cache
def names_of(shape: Shape, part: Part) -> frozenset[str]:
    """Names of the weights that train."""
    return frozenset(name for one in trained_weights(shape, part) for name in one.names())


def head_trains(shape: Shape, part: Part) -> bool:
    """Whether the output layer trains, or the embedding that it is."""
    tied = shape.tied and any(one.tied for one in shape.weights)
    kind = "embedding" if tied else "head"
    return any(one.kind == kind for one in trained_weights(shape, part))


@cache
def untouched(shape: Shape, part: Part) -> int:
    """How many of the first blocks no gradient has to come to, whatever is checkpointed: neither
    they nor anything in front of them trains. With an encoder and a decoder that is not cut.
    """
    if shape.encoder_decoder or trains_in_front(shape, part):
        return 0
    return _first(shape, part)


@cache
def begins_at(shape: Shape, part: Part, *, checkpointing: bool) -> int:
    """The first block that keeps activations: the first that trains where nothing in front of it
    does; with checkpointing the first behind those that are cut off.
    """
    if checkpointing or trains_in_front(shape, part):
        return untouched(shape, part)
    return _first(shape, part)


def _first(shape: Shape, part: Part) -> int:
    """The first block of which anything trains; as many as there are where there is none."""
    trained = (one for one in trained_weights(shape, part) if "{i}" in one.name)
    return min((one.blocks[0] for one in trained), default=shape.layers)


@cache
def trains_in_front(shape: Shape, part: Part) -> bool:
    """Whether anything in front of the blocks trains: the embedding."""
    trained = trained_weights(shape, part)
    first = next((n for n, one in enumerate(shape.weights) if "{i}" in one.name), 0)
    return any(one in trained for one in shape.weights[:first])


@cache
def shares(shape: Shape, part: Part) -> tuple[float, ...]:
    """Of each block the share of its linears' inputs that goes into one that trains."""
    own = names_of(shape, part)
    whole = sum(one.inputs * one.copies for one in shape.linears) / max(shape.layers, 1)
    return tuple(
        sum(
            one.inputs * one.copies / shape.layers
            for one in shape.linears
            if f"{one.name.replace('{i}', str(at))}.weight" in own
        )
        / max(whole, 1)
        for at in range(shape.layers)
    )


@cache
def passed(shape: Shape, part: Part, *, checkpointing: bool) -> float:
    """The share of the blocks through which gradients go."""
    return 1 - begins_at(shape, part, checkpointing=checkpointing) / max(shape.layers, 1)


@cache
def trained_linears(shape: Shape, part: Part) -> int:
    """Parameters of the linears in the blocks that train."""
    weights = trained_weights(shape, part)
    return sum(one.num_parameters for one in weights if one.kind == "linear")
