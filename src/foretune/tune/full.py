"""Full fine-tuning: every parameter trains, in float32."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel

from ..errors import refuse
from ..models.hf import PublishedConfig
from ..models.loading import load_model, load_weights
from ..params.run import Run
from . import prefix
from .stored import ADAPTER

OTHERS = {"lora": ADAPTER, "ptuning": prefix.SAFE}
"""The file that tells what another method has saved."""


def attach(model: PreTrainedModel, run: Run) -> PreTrainedModel:
    """Everything trains. The weights are float32, as in the authors' scripts: half precision loses
    small updates.
    """
    if run.launch.train:
        model = model.float()
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # a packed base is only evaluated
    if run.method.checkpoint is not None:
        refuse_other_methods(run)
        load(model, Path(run.method.checkpoint))
    return model


def save(model: PreTrainedModel, folder: Path) -> None:
    """The whole model, in its published layout."""
    model.save_pretrained(folder)


def load(model: PreTrainedModel, folder: Path) -> None:
    """The weights of a folder in published layout, into the model that is there."""
    if isinstance(model.config, PublishedConfig):
        load_weights(model, folder)
    else:  # transformers may store other tensors than the model has
        wide = any(one.dtype == torch.float32 for one in model.parameters())
        dtype = torch.float32 if wide else model.dtype
        read = load_model(folder, config=model.config, dtype=dtype)
        model.load_state_dict(read.state_dict())


def refuse_other_methods(run: Run) -> None:
    """Raises UserError where the checkpoint of a run holds an adapter or a prefix, and no model."""
    folder, where = Path(run.method.checkpoint or ""), str(run.origin("method.checkpoint"))
    for name, file in OTHERS.items():
        if (folder / file).is_file():
            raise refuse(
                what=f"{folder} holds no weights of a model, but what {name} has trained beside it",
                where=where,
                why=f"{file} is in it, and method.name is {run.method.name!r}",
                fix=f"set method.name to '{name}' with the settings that it was trained with, or "
                "name the folder as the model: then they are read from it",
            )
