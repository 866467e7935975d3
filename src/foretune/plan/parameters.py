"""How many parameters a model has and how many of them train, from its config alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..params.arch.shape import Linear, Shape
from ..params.run import Run


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
    names).
    """
    return [
        linear
        for linear in shape.linears
        if any(linear.name == target or linear.name.endswith(f".{target}") for target in targets)
    ]


def trainable_parameters(run: Run, shape: Shape) -> int:
    """Parameters that train in this resolved run."""
    match run.method.name:
        case "ptuning":
            length = run.method.prefix.length
            assert length is not None, "resolve() refuses P-Tuning without a length"
            return prefix_parameters(shape, length, run.method.prefix.projection)
        case "lora":
            targets = run.method.lora.targets or shape.default_lora_targets
            return lora_parameters(targeted(shape, targets), run.method.lora.rank)
        case _:
            return shape.num_parameters


def total_parameters(run: Run, shape: Shape) -> int:
    """Parameters of the model with what the method adds to it."""
    added = 0 if run.method.name == "full" else trainable_parameters(run, shape)
    return shape.num_parameters + added


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
