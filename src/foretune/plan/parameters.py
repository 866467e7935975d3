"""How many parameters a model has and how many of them train, from its config alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..params.arch.shape import Linear, Shape, Weight
from ..params.run import Run
from .part import parameters_of, part_of, trained_weights

EVERY_LINEAR = "all-linear"
"""PEFT's word for every linear but the output layer."""


def prefix_parameters(shape: Shape, length: int, projection: bool) -> int:
    """Trainable parameters of P-Tuning v2: the prefix encoder."""
    return sum(
        weight.num_parameters for weight in shape.prefix_weights(length, projection=projection)
    )


def lora_parameters(linears: Sequence[Linear], rank: int) -> int:
    """Trainable parameters of LoRA: A is rank x inputs and B is outputs x rank, for every copy."""
    return sum(rank * (linear.inputs + linear.outputs) * linear.copies for linear in linears)


def targeted(shape: Shape, targets: Sequence[str]) -> list[Linear]:
    """The linear layers whose name is, or ends in, one of ``targets`` (PEFT's rule for a list of
    names); those in the blocks for "all-linear".
    """
    return [
        linear
        for linear in shape.linears
        if EVERY_LINEAR in targets or is_named(linear.name, targets)
    ]


def is_named(name: str, targets: Sequence[str]) -> bool:
    """Whether a module's name is, or ends in, one of ``targets``."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def lora_weights(
    shape: Shape, targets: Sequence[str], rank: int, *, dora: bool = False
) -> tuple[Weight, ...]:
    """The parameters that PEFT's LoRA adds, by module; with DoRA (arXiv:2402.09353) a length for
    every output as well. Embeddings and the output layer are adapted where they are named.

    Source: PEFT 0.21.2, tuners/lora/layer.py and dora.py.
    """
    return tuple(
        part
        for weight in shape.weights
        if weight.name.endswith(".weight") and (blocks := _adapted(weight, targets))
        for part in _adapter_of(weight, blocks, rank, dora)
    )


def _adapted(weight: Weight, targets: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the blocks in which a weight gets an adapter: a name may hold the number."""
    every = weight.kind == "linear" and EVERY_LINEAR in targets
    if not every and weight.kind not in ("linear", "embedding", "head"):
        return ()
    numbers = weight.blocks or range(weight.copies)
    named = zip(numbers, weight.names(), strict=True)
    return tuple(i for i, name in named if every or is_named(name[: -len(".weight")], targets))


def _adapter_of(weight: Weight, blocks: tuple[int, ...], rank: int, dora: bool) -> Iterator[Weight]:
    name = f"base_model.model.{weight.name.removesuffix('.weight')}"
    outputs, inputs = weight.shape
    parts: dict[str, tuple[int, ...]] = {
        "lora_A.weight": (rank, inputs),
        "lora_B.weight": (outputs, rank),
        "lora_magnitude_vector.weight": (outputs,),
    }
    if weight.kind == "embedding":  # looked up by row: A holds a column for every token
        parts = {
            "lora_embedding_A": (rank, outputs),
            "lora_embedding_B": (inputs, rank),
            "lora_magnitude_vector.weight": (inputs,),
        }
    for part, sizes in list(parts.items())[: 3 if dora else 2]:
        yield Weight(f"{name}.{part}", sizes, weight.kind, len(blocks), blocks=blocks)


def added_weights(run: Run, shape: Shape) -> tuple[Weight, ...]:
    """The parameters that the method of a resolved run puts beside the model's own, and trains:
    none where the model's own train, all or a part of them.
    """
    match run.method.name:
        case "ptuning":
            prefix = run.method.prefix
            assert prefix.length is not None, "resolve() refuses P-Tuning without a length"
            return shape.prefix_weights(prefix.length, projection=prefix.projection)
        case "lora":
            targets = run.method.lora.targets or shape.default_lora_targets
            rank = run.method.lora.rank
            return lora_weights(shape, targets, rank, dora=run.peft.use_dora)
        case _:
            return ()


def weights_that_train(run: Run, shape: Shape) -> tuple[Weight, ...]:
    """The parameters that train in a resolved run, each with the blocks in which it does."""
    if run.method.name == "freeze":
        return trained_weights(shape, part_of(run.method.freeze))
    return added_weights(run, shape) or shape.weights


def trainable_parameters(run: Run, shape: Shape) -> int:
    """Parameters that train in this resolved run."""
    if run.method.name == "freeze":
        return parameters_of(shape, part_of(run.method.freeze))
    if run.method.name in ("ptuning", "lora"):
        return sum(weight.num_parameters for weight in added_weights(run, shape))
    return shape.num_parameters


def total_parameters(run: Run, shape: Shape) -> int:
    """Parameters of the model with what the method adds to it."""
    beside = run.method.name in ("ptuning", "lora")
    return shape.num_parameters + (trainable_parameters(run, shape) if beside else 0)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One way to arrive at a number of trainable parameters."""

    method: str
    setting: str
    parameters: int

    def __str__(self) -> str:
        return f"{self.method} with {self.setting}"


def explanations(shape: Shape, trainable: int) -> Iterator[Explanation]:
    """The ways that give exactly ``trainable`` parameters on this model: for when only the number
    of a log is known.
    """
    if trainable == shape.num_parameters:
        yield Explanation("full fine-tuning", "every parameter", trainable)
    per_rank = lora_parameters(targeted(shape, shape.default_lora_targets), 1)
    if trainable % per_rank == 0:
        targets = ", ".join(shape.default_lora_targets)
        yield Explanation("LoRA", f"r={trainable // per_rank} on {targets}", trainable)
    per_linear = sum(linear.copies * (linear.inputs + linear.outputs) for linear in shape.linears)
    if trainable % per_linear == 0:
        yield Explanation("LoRA", f"r={trainable // per_linear} on every linear", trainable)
    for projection in (False, True):
        per_token = math.prod(shape.prefix_weights(1, projection=projection)[0].shape)
        fixed = prefix_parameters(shape, 1, projection) - per_token
        length, rest = divmod(trainable - fixed, per_token)
        if length > 0 and rest == 0:
            words = f"pre_seq_len {length}" + (" and prefix_projection" if projection else "")
            yield Explanation("P-Tuning v2", words, trainable)
