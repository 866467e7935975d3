"""P-Tuning v2 (arXiv:2110.07602): trained keys and values in front of every layer's own; the model
itself is frozen.

A checkpoint holds the prefix encoder alone, twice: pytorch_model.bin under the names of the
authors' scripts (transformer.prefix_encoder.*; of another family, the name of its own body in
front), and the same tensors as prefix_encoder.safetensors.
Either is read.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from ..errors import Problem, UserError, refuse
from ..formats.json_text import read_json
from ..models.checkpoint import SAFETENSORS, UNREADABLE, read_header
from ..models.hf import PublishedConfig
from ..models.prefix import TakesPrefix
from ..params.run import Run
from ..text import sentence_list
from .prefix_attention import add_prefix
from .stored import base_of, stored

PUBLISHED = "pytorch_model.bin"
SAFE = "prefix_encoder.safetensors"
PART = "prefix_encoder."


def attach(model: PreTrainedModel, run: Run) -> PreTrainedModel:
    """A float32 prefix encoder on a frozen model, whatever number type the model is held in."""
    prefix = run.method.prefix
    assert prefix.length is not None, "resolve() refuses P-Tuning without a length"
    asked = {"projection": prefix.projection, "dropout": prefix.dropout}
    model.requires_grad_(False)
    if isinstance(model, TakesPrefix):
        model.add_prefix(prefix.length, **asked)
    elif isinstance(model.config, PublishedConfig):
        raise refuse(
            what=f"P-Tuning v2 is not available for {type(model).__name__}",
            where=str(run.origin("method.prefix.length")),
            why="no prefix enters its attention",
            fix="use LoRA: --set method.name=lora, or train every weight: --set method.name=full",
        )
    else:
        _refuse_reentrant(run)
        add_prefix(model, prefix.length, **asked, where=str(run.origin("method.prefix.length")))
    encoder(model).float().requires_grad_(True)
    if run.method.checkpoint is not None:
        load(model, Path(run.method.checkpoint))
    return model


def _refuse_reentrant(run: Run) -> None:
    how = run.batch.gradient_checkpointing_kwargs or {}
    if run.batch.gradient_checkpointing and how.get("use_reentrant"):
        raise refuse(
            what="a prefix would get no gradient with use_reentrant",
            where=str(run.origin("batch.gradient_checkpointing_kwargs")),
            why="reentrant checkpointing sees the positional arguments of a layer only, and the "
            "prefix is none of them",
            fix="leave use_reentrant out",
        )


def encoder(model: PreTrainedModel) -> torch.nn.Module:
    """The prefix encoder of a model that has one."""
    return model.base_model.get_submodule(PART.rstrip("."))


def save(model: PreTrainedModel, folder: Path) -> None:
    """The prefix encoder in both forms, and the config that builds it (pre_seq_len,
    prefix_projection).
    """
    tensors = {
        f"{model.base_model_prefix}.{PART}{name}": tensor.detach().cpu().contiguous()
        for name, tensor in encoder(model).state_dict().items()
    }
    torch.save(tensors, folder / PUBLISHED)
    save_file(tensors, folder / SAFE, metadata={"format": "pt"})
    model.config.save_pretrained(folder)
    _name_the_base(folder / "config.json", base_of(model.config.name_or_path))


def _name_the_base(config: Path, base: str) -> None:
    """Where the frozen weights are, under the key of older transformers, which version 5 drops."""
    content = json.loads(config.read_text("utf-8"))
    named = {"_name_or_path": base, **content}
    config.write_text(json.dumps(named, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(model: PreTrainedModel, folder: Path) -> None:
    """The prefix of a checkpoint folder, into the encoder that is there."""
    tensors = {
        name.partition(PART)[2]: tensor for name, tensor in read(folder).items() if PART in name
    }
    own = encoder(model).state_dict()
    problems = [
        Problem(
            what=f"{model.base_model_prefix}.{PART}{name} does not fit",
            where=str(folder),
            why=f"it is {_shape(tensors.get(name))} in the checkpoint and {_shape(own.get(name))} "
            "in this run: (pre_seq_len, elements per position) for the embedding",
            fix="give the pre_seq_len and prefix_projection that it was trained with "
            "(config.json of the checkpoint)",
        )
        for name in sorted(own.keys() | tensors.keys())
        if _shape(own.get(name)) != _shape(tensors.get(name))
    ]
    if problems:
        raise UserError(problems)
    encoder(model).load_state_dict(tensors)


def read(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint. Raises UserError where there is no prefix in the folder."""
    tensors = stored(folder, (SAFE, PUBLISHED), what="prefix", kind="P-Tuning")
    if not any(PART in name for name in tensors):
        raise refuse(
            what=f"{folder} holds no prefix",
            where=str(folder),
            why="no tensor of it belongs to a prefix_encoder; it has "
            f"{sentence_list(tensors, most=3)}",
            fix="name the checkpoint-N folder that a P-Tuning run has written",
        )
    return tensors


def holds_only_a_prefix(folder: Path) -> bool:
    """Whether a folder is a checkpoint of P-Tuning v2, without the weights of a model."""
    whole = (SAFETENSORS, f"{SAFETENSORS}.index.json", f"{PUBLISHED}.index.json")
    if any((folder / name).is_file() for name in whole):
        return False
    if (folder / SAFE).is_file():
        return True
    file, config = folder / PUBLISHED, folder / "config.json"
    try:
        return file.is_file() and all(PART in key for key in read_header(file))
    except UNREADABLE:  # told when it is loaded
        keys = read_json(config.read_text("utf-8"), str(config)) if config.is_file() else {}
        return keys.get("pre_seq_len") is not None


def _shape(tensor: torch.Tensor | None) -> object:
    return "absent" if tensor is None else tuple(tensor.shape)
