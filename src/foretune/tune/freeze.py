"""Training of a part (LLaMA-Factory's freeze): modules of some blocks train in float32, the rest of
the model is frozen in the number type of the run.

A checkpoint is the whole model in its published layout, each weight in the number type in which it
was trained or frozen: whatever reads the base reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ..errors import Problem, UserError, refuse
from ..models.quantized import PackedLinear
from ..params.run import Run
from ..plan.of_run import mixed_of
from ..plan.part import BLOCK, Part, part_of, unknown
from ..text import nearest, sentence_list
from . import full


def attach(model: PreTrainedModel, run: Run) -> PreTrainedModel:
    """The modules that the run names require gradients, and are float32.

    Raises:
        UserError: where the model is packed, has no module of a name, or nothing would train; and
            where float32 and half precision would meet in a product.
    """
    model.requires_grad_(False)
    if run.launch.train:
        _train(model, part_of(run.method.freeze), run)
    if run.method.checkpoint is not None:
        full.refuse_other_methods(run)
        load(model, Path(run.method.checkpoint))
    return model


def save(model: PreTrainedModel, folder: Path) -> None:
    """The whole model, in its published layout."""
    full.save(model, folder)


def load(model: PreTrainedModel, folder: Path) -> None:
    """The weights of a folder in published layout, frozen ones too, into the model."""
    full.load(model, folder)


def _train(model: PreTrainedModel, part: Part, run: Run) -> None:
    own = dict(model.named_parameters(remove_duplicate=False))  # tied ones by both of their names
    if problems := [*_packed(model, run), *_unknown(part, list(own), run)]:
        raise UserError(problems)
    count = 1 + max((int(found[1]) for name in own if (found := BLOCK.search(name))), default=-1)
    for name, parameter in own.items():
        if part.trains(name, count):
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
    _refuse_nothing(model, run)
    _refuse_plain_halves(model, run)
    how = run.batch.gradient_checkpointing_kwargs or {}
    if not (model.config.is_encoder_decoder or how.get("use_reentrant")):
        _cut(model)


def _cut(model: PreTrainedModel) -> None:
    """Ends gradients behind the last block that nothing in front of needs: with checkpointing,
    transformers gives the embedding's output one, and all blocks would be computed again for it.
    """
    below = ""
    for name, parameter in model.named_parameters():
        block = BLOCK.search(name)
        if parameter.requires_grad:
            first = block and name[: block.end() - 1]
            break
        below = name[: block.end() - 1] if block else below
    else:
        return
    place, _, number = below.rpartition(".")
    if first:
        place, _, number = first.rpartition(".")
        number = str(int(number) - 1)
    if place and int(number) >= 0:
        model.get_submodule(f"{place}.{number}").register_forward_hook(_detached)


def _detached(_: Any, __: Any, output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.detach()
    return (output[0].detach(), *output[1:]) if isinstance(output, tuple) else output


def _packed(model: torch.nn.Module, run: Run) -> Iterator[Problem]:
    if any(isinstance(one, PackedLinear) for one in model.modules()):
        yield Problem(
            what="some weights are to train whole, and the base is packed",
            where=str(run.origin("method.name")),
            why="packed weights are whole numbers, which have no gradient",
            fix="train LoRA on it, or start from full weights",
        )


def _unknown(part: Part, names: list[str], run: Run) -> Iterator[Problem]:
    for setting, name, known in unknown(part, names):
        like = nearest(name, known)
        yield Problem(
            what=f"no module {'outside' if setting.endswith('extra') else 'inside'} the blocks is "
            f"called {name!r}",
            where=str(run.origin(setting)),
            why=f"nothing would train there; there are {sentence_list(known)}",
            fix=f"write {like!r}" if like else "name one of these modules",
        )


def _refuse_nothing(model: torch.nn.Module, run: Run) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise refuse(
            what="nothing would train",
            where=str(run.origin("method.freeze.layers")),
            why="method.freeze.layers is 0, and method.freeze.extra names no module",
            fix="write how many of the last blocks train: --method.freeze.layers 2",
        )


def _refuse_plain_halves(model: torch.nn.Module, run: Run) -> None:
    halves = {
        one.dtype
        for one in model.parameters()
        if one.is_floating_point() and one.dtype != torch.float32
    }
    if halves and mixed_of(run) == "no":
        name = str(halves.pop()).removeprefix("torch.")
        raise refuse(
            what=f"frozen weights are {name}, those that train float32, and there is no autocast",
            where=str(run.origin("precision.dtype")),
            why="a product takes two factors of one type only",
            fix="compute in 16 bits (--bf16 true), or freeze in float32 (--precision.dtype "
            "float32)",
        )
