"""Models from folders: the families here by their own classes, all others by transformers'; never
code of the folder.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.initialization import no_init_weights
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_enabled
from transformers.quantizers.auto import AutoHfQuantizer

from ..errors import UserError, refuse
from ..params.arch import read_architecture
from . import meta
from .checkpoint import (
    FULL,
    UNREADABLE,
    not_taken,
    other_kinds,
    problems_of,
    read_header,
    read_tensors,
    unreadable,
    weight_files,
)
from .hf import PublishedConfig, native_families, native_model, published_config
from .meta_files import is_meta
from .nf4 import refuse_nf4
from .quantized import PackWhileLoading, refuse_unpacked, unpack_model
from .weights import fill, placed, put


def load_config(name: str | PathLike[str], **hub: Any) -> PreTrainedConfig:
    """The config of a folder or of a hub repository ("owner/name"), of which ``hub`` says more
    (revision, cache_dir, token).

    Raises UserError where there is none, and with every value that cannot be.
    """
    if is_meta(name):
        return meta.load_config(Path(name))
    where, found = _read_config(name, hub)
    declared, _ = read_architecture(found, where=where)
    if declared is not None and type(declared) in native_families():
        return published_config(type(declared)).from_dict(found, name_or_path=str(name))
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False, **hub)
    except (ValueError, OSError, KeyError) as error:
        raise refuse(
            what=f"model_type {found.get('model_type')!r} is not known",
            where=where,
            why=_first_line(error),
            fix="use a model of the ChatGLM families or one that transformers has a class for; "
            "code that comes with a model is not run",
        ) from error


def load_model(
    name: str | PathLike[str],
    *,
    config: PreTrainedConfig | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str = "cpu",
    dequantize: bool = False,
    progress: bool = True,
    **kwargs: Any,
) -> PreTrainedModel:
    """The model of a folder or of a hub repository, in ``dtype`` or in the one that its config
    names, on ``device``.

    ``config`` may be one that was loaded before and changed (pre_seq_len). ``progress`` shows a bar
    for every file, where the standard error is a terminal. ``dequantize`` makes full weights, which
    may train, of those that are published packed in 4 or 8 bits. ``kwargs`` are those of
    ``from_pretrained``. Raises UserError with everything that is wrong with the files: missing,
    damaged, or not this model's. Where the model has a prefix and the files have none, a fresh one
    is made.

    A folder of one of the families here is read by `weights`, no slower than
    ``from_pretrained`` and in no more memory than the model (benchmarks/loading.py). Whatever needs
    transformers' own way of placing weights (ZeRO-3, FSDP, device_map, quantizers of others, the
    hub) gets it.
    """
    config = config or load_config(name)
    kwargs = {"dtype": dtype or "auto", **kwargs}
    if dequantize:
        refuse_unpacked(config, str(name))
        model: Any = load_model(name, config=config, device=device, progress=progress, **kwargs)
        return unpack_model(model, model.dtype)
    if is_meta(name):
        config = cast(LlamaConfig, config)
        return meta.load_model(
            Path(name), config=config, device=device, progress=progress, **kwargs
        )
    if not isinstance(config, PublishedConfig):
        return _on(device, _load_other(name, config, kwargs))
    model_class = native_model(config.architecture)
    if not Path(name).is_dir() or _needs_transformers(kwargs):
        refuse_nf4(config, str(name))
    if not Path(name).is_dir():
        try:
            return _on(device, model_class.from_pretrained(name, config=config, **kwargs))
        except OSError as error:
            raise _unreachable(name, error) from error
    model = _empty(model_class, config, Path(name), kwargs)
    if problems := problems_of(Path(name), model):
        raise UserError(problems)
    if _needs_transformers(kwargs):
        return _on(device, model_class.from_pretrained(name, config=config, **kwargs))
    return _filled(model, Path(name), torch.device(device), kwargs, progress=progress)


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """The weights of a folder in published layout, into a model that is there, in its number type.

    Raises UserError with everything that does not fit; the model is then as it was.
    """
    if problems := problems_of(folder, model):
        raise UserError(problems)
    for file in weight_files(folder)[0]:
        model.load_state_dict(read_tensors(file), strict=False)


def _load_other(
    name: str | PathLike[str], config: PreTrainedConfig, kwargs: dict[str, Any]
) -> PreTrainedModel:
    """A model of transformers' own, which would make up the weights that are not there."""
    asked = {"trust_remote_code": False, "ignore_mismatched_sizes": True, **kwargs}
    folder = Path(name) if Path(name).is_dir() else None
    if folder and (problems := unreadable(folder)):
        raise UserError(problems)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, config=config, output_loading_info=True, **asked
        )
    except (*UNREADABLE, ValueError) as error:
        if not folder:
            raise _unreachable(name, error) from error
        raise refuse(
            what=f"{type(config).__name__} cannot be loaded as a model that generates text",
            where=str(name),
            why=_first_line(error),
            fix="name the folder of a causal language model, with its weights in it",
        ) from error
    model, found = loaded
    problems = not_taken(found, model, str(name))
    if folder and not getattr(model, "is_quantized", False):
        own = dict(model.named_parameters())
        for file in weight_files(folder)[0]:
            problems += other_kinds(read_header(file), own, folder)
    if problems:
        raise UserError(problems)
    return model


def _on(device: torch.device | str, model: Any) -> PreTrainedModel:
    """The model there, unless whoever split or packed it has said where it is."""
    placed_by_others = (
        is_deepspeed_zero3_enabled()
        or is_fsdp_enabled()
        or hasattr(model, "hf_device_map")
        or getattr(model, "is_quantized", False)
    )
    return model if placed_by_others or torch.device(device).type == "cpu" else model.to(device)


OURS = {"dtype", "attn_implementation", "quantization_config"}
"""The arguments of ``from_pretrained`` that are understood here."""


def _needs_transformers(kwargs: dict[str, Any]) -> bool:
    packing = kwargs.get("quantization_config")
    return (
        not kwargs.keys() <= OURS
        or not isinstance(packing, PackWhileLoading | None)
        or is_deepspeed_zero3_enabled()
        or is_fsdp_enabled()
    )


def _empty(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    folder: Path,
    kwargs: dict[str, Any],
) -> PreTrainedModel:
    """The model without weights: what its tensors are called, their shapes and number types."""
    config = copy.deepcopy(config)
    config.name_or_path = str(folder)
    dtype = kwargs["dtype"]
    asked = {"dtype": _dtype_of(config, folder) if dtype == "auto" else dtype}
    if "attn_implementation" in kwargs:
        asked["attn_implementation"] = kwargs["attn_implementation"]
    with torch.device("meta"), no_init_weights():
        return model_class._from_config(config, **asked)


def _dtype_of(config: PreTrainedConfig, folder: Path) -> torch.dtype:
    """The number type that the config names, or that of the first full weight."""
    if config.dtype is not None:
        return cast(torch.dtype, config.dtype)
    for file in weight_files(folder)[0]:
        with suppress(*UNREADABLE):  # told later, with everything else
            for tensor in read_header(file).values():
                if tensor.dtype in FULL:
                    return tensor.dtype
    return torch.get_default_dtype()


def _filled(
    model: Any, folder: Path, device: torch.device, kwargs: dict[str, Any], *, progress: bool
) -> PreTrainedModel:
    """The empty ``model`` with the weights of ``folder``, as ``from_pretrained`` would give it."""
    packer = None
    if asked := kwargs.get("quantization_config"):
        packer = AutoHfQuantizer.from_config(asked, pre_quantized=False)
        packer.preprocess_model(model, dtype=model.config.dtype)
    dtypes = {key: tensor.dtype for key, tensor in model.state_dict().items()}

    def packs(key: str) -> bool:
        return packer is not None and packer.param_needs_quantization(model, key)

    def take(key: str, tensor: torch.Tensor) -> Mapping[str, torch.Tensor]:
        own = placed(tensor, dtypes[key], device)
        return (
            packer.get_quantize_ops().convert({key: own}) if packer and packs(key) else {key: own}
        )

    def keeps(key: str, header: torch.Tensor) -> bool:
        return device.type == "cpu" and header.dtype == dtypes[key] and not packs(key)

    filled = fill(model, folder, take, keeps, progress=progress)
    _complete(model, filled, device)
    if packer is not None:
        packer.postprocess_model(model)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def _complete(model: Any, filled: set[str], device: torch.device) -> None:
    """What no file holds: tied weights, a fresh prefix, and buffers that are made anew."""
    tied = model.all_tied_weights_keys
    missing = set(model.state_dict()) - filled
    fresh = [key for key in missing if key not in tied and key not in tied.values()]
    fresh += [key for key, _ in model.named_non_persistent_buffers()]
    if fresh:
        for key in filled | tied.keys():
            model.get_parameter_or_buffer(key)._is_hf_initialized = True
        for key in fresh:
            put(model, key, torch.empty_like(model.get_parameter_or_buffer(key), device=device))
        model.initialize_weights()
    model.tie_weights(missing_keys=missing, recompute_mapping=False)


def _read_config(name: str | PathLike[str], hub: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where the config.json is, and what is in it."""
    file = Path(name) / "config.json"
    if file.is_file():
        try:
            found = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise refuse(
                what="config.json is not JSON",
                where=f"{file}:{line}",
                why=str(error),
                fix="correct it there, or take it from the published model again",
            ) from error
        return str(file), found
    if Path(name).is_dir() or str(name).count("/") != 1 or str(name)[0] in "/.~":
        raise refuse(
            what=f"there is no model at {name}",
            where=str(name),
            why="it is no folder with a config.json in it, and no name like owner/model",
            fix="give the folder that holds config.json and the weights",
        )
    try:
        return f"{name} (hub)", PreTrainedConfig.get_config_dict(str(name), **hub)[0]
    except OSError as error:
        raise _unreachable(name, error) from error


def _unreachable(name: str | PathLike[str], error: Exception) -> UserError:
    """What to say where the hub gives no model."""
    return refuse(
        what=f"{name} could not be downloaded",
        where=str(name),
        why=f"it is no folder here, and the hub gave: {_first_line(error)}",
        fix="check the name and the connection, or download the model where there is one "
        "(hf download OWNER/NAME --local-dir FOLDER) and give the folder",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
