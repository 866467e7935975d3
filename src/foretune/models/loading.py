"""Models from folders: the families here by their own classes, all others by transformers'; never
code of the folder.
"""

from __future__ import annotations

import copy
import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from ..errors import UserError, refuse
from ..params.arch import read_architecture
from .checkpoint import problems_of, read_tensors, weight_files
from .hf import PublishedConfig, native_families, native_model, published_config


def load_config(name: str | PathLike[str], **hub: Any) -> PreTrainedConfig:
    """The config of a folder or of a hub repository ("owner/name"), of which ``hub`` says more
    (revision, cache_dir, token).

    Raises UserError where there is none, and with every value that cannot be.
    """
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
    **kwargs: Any,
) -> PreTrainedModel:
    """The model of a folder or of a hub repository, in ``dtype`` or in the one that its config
    names.

    ``config`` may be one that was loaded before and changed (pre_seq_len). ``kwargs`` go to
    ``from_pretrained``. Raises UserError with everything that is wrong with the files: missing,
    damaged, or not this model's. Where the model has a prefix and the files have none, a fresh one
    is made.
    """
    config = config or load_config(name)
    kwargs = {"dtype": dtype or "auto", **kwargs}
    if not isinstance(config, PublishedConfig):
        return _load_other(name, config, kwargs)
    model_class = native_model(config.architecture)
    if Path(name).is_dir() and (problems := problems_of(Path(name), _empty(model_class, config))):
        raise UserError(problems)
    try:
        return model_class.from_pretrained(name, config=config, **kwargs)
    except OSError as error:
        raise _unreachable(name, error) from error


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
    """A model of transformers' own."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            name, config=config, trust_remote_code=False, **kwargs
        )
    except (OSError, ValueError) as error:
        if not Path(name).is_dir():
            raise _unreachable(name, error) from error
        raise refuse(
            what=f"{type(config).__name__} cannot be loaded as a model that generates text",
            where=str(name),
            why=_first_line(error),
            fix="name the folder of a causal language model, with its weights in it",
        ) from error


def _empty(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    """The model without weights, to compare names and shapes with."""
    with torch.device("meta"), no_init_weights():
        return model_class(copy.deepcopy(config))


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
