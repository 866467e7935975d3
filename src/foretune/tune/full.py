"""Full fine-tuning: every parameter trains, in float32."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from ..models.hf import PublishedConfig
from ..models.loading import load_model, load_weights
from ..params.run import Run


def attach(model: PreTrainedModel, run: Run) -> PreTrainedModel:
    """Everything trains. The weights are float32, as in the authors' scripts: half precision loses
    small updates.
    """
    if run.launch.train:
        model = model.float()
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # a packed base is only evaluated
    if run.method.checkpoint is not None:
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
        read = load_model(folder, config=model.config, dtype=model.dtype)
        model.load_state_dict(read.state_dict())
