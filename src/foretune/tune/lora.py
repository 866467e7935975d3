"""LoRA (arXiv:2106.09685) through PEFT, in PEFT's own format."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from ..errors import Problem, UserError, refuse
from ..formats.json_text import read_json
from ..params.run import Run
from ..text import nearest, sentence_list
from .stored import base_of, stored

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def attach(model: PreTrainedModel, run: Run) -> PeftModel:
    """Low-rank adapters in float32 beside the target linears; the rest is frozen."""
    lora = run.method.lora
    targets = list(lora.targets or ())
    _refuse_unknown_targets(model, targets, where=str(run.origin("method.lora.targets")))
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=lora.rank,
            lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  (PEFT divides by it)
            lora_dropout=lora.dropout,
            target_modules=targets,
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


def save(model: PeftModel, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors."""
    model.save_pretrained(str(folder))


def load(model: PeftModel, folder: Path) -> None:
    """The adapter of a folder in PEFT's format."""
    if not (folder / "adapter_config.json").is_file():
        raise refuse(
            what=f"{folder} holds no LoRA adapter",
            where=str(folder),
            why="adapter_config.json is not in it",
            fix="name a checkpoint folder that a LoRA run has written",
        )
    _refuse_other_kinds(model, folder / "adapter_config.json")
    weights = stored(folder, WEIGHTS, what="LoRA adapter", kind="LoRA")
    _refuse_other_shapes(model, weights, folder)
    set_peft_model_state_dict(model, weights)


def _refuse_unknown_targets(model: nn.Module, targets: list[str], *, where: str) -> None:
    linears = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or hasattr(module, "in_features")
    }
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
    wanted = {**PLAIN, "lora_alpha": (model.peft_config["default"].to_dict()["lora_alpha"],)}
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


def _refuse_other_shapes(model: PeftModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    own = {
        name.replace(".default.", "."): tuple(parameter.shape)
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
