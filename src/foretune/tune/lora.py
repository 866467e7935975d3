"""LoRA (arXiv:2106.09685) through PEFT, in PEFT's own format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import (
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING,
    set_peft_model_state_dict,
)
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..errors import Problem, UserError, refuse
from ..formats.json_text import read_json
from ..models.quantized import PackedLinear
from ..params.run import Run
from ..plan.parameters import EVERY_LINEAR
from ..text import nearest, sentence_list
from .stored import ADAPTER, base_of, stored

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def attach(model: PreTrainedModel, run: Run) -> PeftModel:
    """Low-rank adapters in float32 beside the target linears, with DoRA (arXiv:2402.09353) also
    the lengths of their outputs; the rest is frozen.
    """
    lora = run.method.lora
    _refuse_dora_on_packed(model, run)
    targets = targets_of(model, run)
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
            r=lora.rank,
            lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  (PEFT divides by it)
            lora_dropout=lora.dropout,
            target_modules=targets,
            use_dora=run.peft.use_dora,
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        ),
    )
    assert isinstance(adapted, PeftModel)
    adapted.peft_config["default"].base_model_name_or_path = base_of(model.name_or_path)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if run.method.checkpoint is not None:
        load(adapted, Path(run.method.checkpoint))
    return adapted


def _refuse_dora_on_packed(model: nn.Module, run: Run) -> None:
    if run.peft.use_dora and any(isinstance(one, PackedLinear) for one in model.modules()):
        raise refuse(
            what="use_dora is asked for on packed weights",
            where=str(run.origin("peft.use_dora")),
            why="DoRA starts from the length of every row of a weight, and packed rows have none",
            fix="leave use_dora out, or start from full weights",
        )


def targets_of(model: PreTrainedModel, run: Run) -> list[str]:
    """The linears that get an adapter: those of the run, or those that PEFT takes for the model's
    family, or every one but the output layer where PEFT does not know it.

    Raises:
        UserError: where the model has none of a name.
    """
    asked = list(run.method.lora.targets or ())
    if asked and asked != [EVERY_LINEAR]:
        _refuse_unknown_targets(model, asked, where=str(run.origin("method.lora.targets")))
        return asked
    output = model.get_output_embeddings()
    linears = _names({name: one for name, one in _linears(model).items() if one is not output})
    usual = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model.config.model_type, [])
    return (not asked and [name for name in usual if name in linears]) or sorted(linears)


def _linears(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) or hasattr(module, "in_features")
    }


def _names(modules: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in modules}


def save(model: PeftModel, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors."""
    model.save_pretrained(str(folder))


def load(model: PeftModel, folder: Path) -> None:
    """The adapter of a folder in PEFT's format."""
    if not (folder / ADAPTER).is_file():
        raise refuse(
            what=f"{folder} holds no LoRA adapter",
            where=str(folder),
            why=f"{ADAPTER} is not in it",
            fix="name a checkpoint folder that a LoRA run has written",
        )
    _refuse_other_kinds(model, folder / ADAPTER)
    weights = stored(folder, WEIGHTS, what="LoRA adapter", kind="LoRA")
    _refuse_other_shapes(model, weights, folder)
    set_peft_model_state_dict(model, weights)


def _refuse_unknown_targets(model: nn.Module, targets: list[str], *, where: str) -> None:
    linears = _names(_linears(model))
    names = [name for name, _ in model.named_modules()]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            like = nearest(target, linears)
            raise refuse(
                what=f"no module of the model is called {target!r}",
                where=where,
                why=f"LoRA would train nothing there; there are {sentence_list(sorted(linears))}",
                fix=f"write {like!r}" if like else "name one of these linears",
            )


PLAIN = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "use_rslora": (False,),
    "use_dora": (False,),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
}
"""What adapter_config.json says of an adapter that is plain LoRA. The other kinds of PEFT have the
same tensors and compute something else with them.
"""


def _refuse_other_kinds(model: PeftModel, file: Path) -> None:
    adapter = read_json(file.read_text("utf-8"), str(file))
    own = model.peft_config["default"].to_dict()
    wanted = {**PLAIN, "lora_alpha": (own["lora_alpha"],), "use_dora": (own["use_dora"],)}
    problems = [
        Problem(
            what=f"{key} of the adapter is {adapter[key]!r}",
            where=str(file),
            why=f"it would be read as {values[0]!r}, and compute something else than was trained",
            fix="give the run the adapter's own alpha (method.lora.alpha)"
            if key == "lora_alpha"
            else "merge the adapter into its base with PEFT, and give the merged model",
        )
        for key, values in wanted.items()
        if key in adapter and adapter[key] not in values
    ]
    if problems:
        raise UserError(problems)


def _stored_name(name: str) -> str:
    """The name under which PEFT saves a parameter."""
    name = name.replace(".default.", ".")
    return name.removesuffix(".weight") if "lora_magnitude_vector" in name else name


def _refuse_other_shapes(model: PeftModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    own = {
        _stored_name(name): tuple(parameter.shape)
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }
    differing = [
        name for name, tensor in weights.items() if own.get(name, ()) != tuple(tensor.shape)
    ]
    absent = [name for name in own if name not in weights]
    if differing or absent:
        name = (differing or absent)[0]
        raise refuse(
            what=f"the adapter does not fit: {len(differing)} tensors differ, {len(absent)} lack",
            where=str(folder),
            why=f"{name} is {tuple(weights[name].shape) if name in weights else 'absent'} in the "
            f"file and {own.get(name, 'absent')} in this run",
            fix="use the rank and targets that the adapter was trained with (adapter_config.json)",
        )
