"""What is exported: the base, and what was tuned on it.

A folder of a tuning run holds a LoRA adapter, or a prefix, or a whole model; the first two name
their base. LoRA matrices are added to the weights that they belong to, weights packed in a few bits
are unpacked before; a prefix stays beside the weights, under its published names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor

from ..errors import UserError, refuse
from ..formats.json_text import read_json
from ..models import meta
from ..models.checkpoint import (
    FULL,
    UNREADABLE,
    read_header,
    read_tensors,
    weight_files,
)
from ..models.hf import PublishedConfig
from ..models.loading import load_config, load_model
from ..models.meta_files import (
    checked_dtype,
    consolidated,
    is_meta,
    names,
    read_params,
    sizes,
)
from ..models.quantized import PackedLinear
from ..models.weights import one
from ..tune import prefix
from ..tune.lora import PLAIN, WEIGHTS
from ..tune.stored import ADAPTER, stored
from .tensors import Later, here


@dataclass
class Source:
    """A model that can be written: its config, and its tensors under the names of its layout."""

    folder: Path
    """Where the base is: its config.json, tokenizer and code."""
    config: Any
    written: dict[str, Any]
    """config.json of the base as it stands there."""
    tensors: dict[str, Later]
    dtype: torch.dtype
    meta: bool = False
    computed: set[str] = field(default_factory=set)
    """Tensors that are float32 until all of their arithmetic is done."""
    notes: list[str] = field(default_factory=list)


def open_source(
    model: str,
    checkpoint: str | None,
    *,
    unpack: bool,
    dtype: torch.dtype | None,
    progress: bool,
) -> Source:
    """The model of a folder (or of the hub), and what was tuned on it. ``unpack`` makes full
    weights of packed ones. What is unpacked or merged is rounded once, to ``dtype`` or to the
    number type of the model.

    Raises UserError with everything that is wrong with either.
    """
    folder = local(model)
    if checkpoint is None and (base := _base_of(folder)) is not None:
        folder, checkpoint = local(base), str(folder)
    tuned = Path(checkpoint) if checkpoint else None
    if is_meta(folder):
        source = _of_meta(folder)
        if (beside := _prefix_of(tuned)) is not None:
            raise _no_room(source.config, beside)
    else:
        beside = _prefix_of(tuned)
        source = _of_folder(folder, beside, unpack=unpack, asked=dtype, progress=progress)
    if tuned is not None and is_adapter(tuned):
        _merge(source, tuned)
    for key in source.computed:
        source.tensors[key] = source.tensors[key].to(dtype or source.dtype)
    return source


def local(name: str) -> Path:
    """The folder of that name, or of a model of the hub, which is downloaded if need be."""
    folder = Path(name)
    if name and folder.is_dir():
        return folder
    if name.count("/") == 1 and name[0] not in "/.~":
        try:
            return Path(snapshot_download(name))
        except (OSError, ValueError) as error:
            why = f"it is no folder here, and the hub gave: {str(error).partition(chr(10))[0]}"
    else:
        why = "there is no such folder"
    raise refuse(
        what=f"there is no model at {name or 'the empty name'}",
        where="command line",
        why=why,
        fix="give the folder of a model, or of what was tuned",
    )


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds a LoRA adapter."""
    return (Path(folder) / ADAPTER).is_file()


def _base_of(folder: Path) -> str | None:
    """The base that a folder of a tuning run names; None for the folder of a model."""
    if is_adapter(folder):
        file, key = folder / ADAPTER, "base_model_name_or_path"
    elif prefix.holds_only_a_prefix(folder):
        file, key = folder / "config.json", "_name_or_path"
    else:
        return None
    base = _read(file).get(key)
    if not isinstance(base, str) or not base:
        raise refuse(
            what=f"{folder} holds what was tuned, and not the model that it was tuned from",
            where=str(file),
            why=f"there is nothing under {key!r}",
            fix=f"name the base first: foretune export BASE OUT --checkpoint {folder}",
        )
    return base


def _read(file: Path) -> dict[str, Any]:
    """A file that says what a tuning run has tuned."""
    if not file.is_file():
        raise refuse(
            what=f"{file.parent} holds nothing that was tuned",
            where=str(file),
            why=f"{file.name} is not in it",
            fix="name the checkpoint-N folder that a run has written",
        )
    return read_json(file.read_text("utf-8"), str(file))


def _prefix_of(tuned: Path | None) -> Path | None:
    return tuned if tuned is not None and not is_adapter(tuned) else None


def _of_folder(
    folder: Path,
    tuned: Path | None,
    *,
    unpack: bool,
    asked: torch.dtype | None,
    progress: bool,
) -> Source:
    config = load_config(folder)
    written = json.loads((folder / "config.json").read_text("utf-8"))
    if tuned is not None:
        _attach(config, written, tuned)
    kind = _dtype_of(folder, asked)
    model: Any = load_model(folder, config=config, dtype=kind, progress=progress)
    if tuned is not None:
        prefix.load(model, tuned)
    held = {key: here(tensor) for key, tensor in model.state_dict().items()}
    if not isinstance(config, PublishedConfig):  # transformers writes one of two tied tensors
        held = {
            key: tensor for key, tensor in held.items() if key not in model.all_tied_weights_keys
        }
    source = Source(folder, config, written, held, model.dtype)
    packed = [name for name, part in model.named_modules() if isinstance(part, PackedLinear)]
    if packed and (unpack or not all(type(model.get_submodule(n)) is PackedLinear for n in packed)):
        _unpack(source, model, packed)
    if isinstance(config, PublishedConfig):
        source.tensors |= _passed_over(folder, set(model.state_dict()))
    return source


def _attach(config: Any, written: dict[str, Any], tuned: Path) -> None:
    """Makes room for the prefix of a checkpoint. Raises UserError where no published code has
    any.
    """
    if getattr(config, "model_type", None) != "chatglm":
        raise _no_room(config, tuned)
    keys = _read(tuned / "config.json")
    for key in ("pre_seq_len", "prefix_projection"):
        written[key] = keys.get(key)
        setattr(config, key, keys.get(key))


def _no_room(config: Any, tuned: Path) -> UserError:
    """What a prefix is told that no published code of the model reads."""
    return refuse(
        what=f"a prefix cannot be exported with a model of {type(config).__name__}",
        where=str(tuned),
        why="no weight can take it up, and outside of foretune nothing reads it for this model",
        fix="evaluate it here, or tune with LoRA, whose matrices are merged into the weights",
    )


def _dtype_of(folder: Path, asked: torch.dtype | None) -> torch.dtype | str:
    """The number type that most full weights of the files have; config.json may say another.
    Float32 where it is asked for and some have it: those that trained beside frozen ones.
    """
    counts: dict[torch.dtype, int] = {}
    for file in weight_files(folder)[0]:
        try:
            for tensor in read_header(file).values():
                if tensor.dtype in FULL:
                    counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
        except UNREADABLE:
            return "auto"  # told when it is loaded
    if asked == torch.float32 and asked in counts:
        return asked
    return max(counts, key=lambda kind: counts[kind]) if counts else "auto"


def _passed_over(folder: Path, known: set[str]) -> dict[str, Later]:
    """Tensors of the files that the model here has no use for, as rotary tables: other programs
    may ask for them.
    """
    return {
        key: Later(header, lambda file=file, key=key: one(file, key))
        for file in weight_files(folder)[0]
        for key, header in read_header(file).items()
        if key not in known
    }


def _unpack(source: Source, model: Any, packed: list[str]) -> None:
    """Full weights in place of packed ones, each when it is read."""
    for name in packed:
        part = model.get_submodule(name)
        for key in [key for key in source.tensors if key.startswith(f"{name}.")]:
            if not key.endswith(".bias"):
                del source.tensors[key]
        shape = (part.out_features, part.in_features)
        header = torch.empty(shape, dtype=torch.float32, device="meta")
        source.tensors[f"{name}.weight"] = Later(header, part.dequantize)
        source.computed.add(f"{name}.weight")
    for key in ("quantization_bit", "quantization_embeddings", "quantization_config"):
        source.written.pop(key, None)
        if getattr(source.config, key, None):
            setattr(source.config, key, 0 if key == "quantization_bit" else None)
    source.notes.append(
        f"the {len(packed)} packed weights are full ones now: what packing has rounded away is lost"
    )


def _merge(source: Source, tuned: Path) -> None:
    """Adds the matrices of a LoRA adapter to the weights: W + B A * alpha / r, in float32, rounded
    once.
    """
    adapter = _read(tuned / ADAPTER)
    for key, values in {**PLAIN, "fan_in_fan_out": (False,)}.items():
        if key in adapter and adapter[key] not in values:
            raise refuse(
                what=f"{key} of the adapter is {adapter[key]!r}",
                where=str(tuned / ADAPTER),
                why="only plain LoRA is merged here, and this computes something else",
                fix="merge it into its base with PEFT (merge_and_unload)",
            )
    found = stored(tuned, WEIGHTS, what="LoRA adapter", kind="LoRA")
    others = [key for key in found if not key.endswith((".lora_A.weight", ".lora_B.weight"))]
    if others:
        raise refuse(
            what=f"{others[0]} of the adapter belongs to no linear layer",
            where=str(tuned),
            why="only the matrices of linear layers are merged here",
            fix="merge it into its base with PEFT (merge_and_unload)",
        )
    scale = float(adapter["lora_alpha"]) / int(adapter["r"])
    for key in [key for key in found if key.endswith(".lora_A.weight")]:
        name = key.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
        down, up = found[key], found.get(key.replace(".lora_A.", ".lora_B."))
        base = source.tensors.get(name)
        shape = (len(up), down.shape[1]) if up is not None else "half of a pair"
        if base is None or up is None or tuple(base.header.shape) != shape:
            raise refuse(
                what=f"the adapter does not fit: {name}",
                where=str(tuned),
                why=f"it is {tuple(base.header.shape) if base else 'absent'} in {source.folder}, "
                f"and {shape} in the adapter",
                fix="name the base that the adapter was trained on",
            )
        source.tensors[name] = base.then(_added(up, down, scale))
        source.computed.add(name)
    source.notes.append(f"the adapter of {tuned} is merged into the weights")


def _added(up: Tensor, down: Tensor, scale: float) -> Callable[[Tensor], Tensor]:
    def add(weight: Tensor) -> Tensor:
        if weight.is_meta:
            return weight.float()
        return weight.float() + scale * (up.float() @ down.float())

    return add


def _of_meta(folder: Path) -> Source:
    """Meta's files, under transformers' names."""
    args, _ = read_params(folder)
    dtype, shapes = checked_dtype(folder, args), sizes(args)
    shards = [read_tensors(file) for file in consolidated(folder)[0]]
    config = meta.load_config(folder)
    config.dtype = dtype
    tensors = {
        other: Later(
            torch.empty(shapes[name], dtype=shards[0][name].dtype, device="meta"),
            lambda name=name: meta.whole(args, shards, name),
        )
        for name, (other, _) in names(args).items()
    }
    return Source(folder, config, config.to_diff_dict(), tensors, dtype, meta=True)
