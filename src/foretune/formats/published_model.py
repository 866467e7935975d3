"""The sizes of a model of the hub that is not here, where a family's declaration names it as its
published example.
"""

from __future__ import annotations

import json

from ..params.arch import families
from .model_config import ModelFile, read_model_config

NAME = "_name_or_path"


def published_names() -> dict[str, dict[str, object]]:
    """Names of the hub, in small letters -> the keys of the config.json published there."""
    examples = (getattr(family, "published", {}) for family in families())
    return {str(keys[NAME]).lower(): keys for keys in examples if keys.get(NAME)}


def published_model(name: str | None) -> ModelFile | None:
    """The config of the model of that name; None where no family names it."""
    keys = published_names().get((name or "").lower())
    if keys is None:
        return None
    return read_model_config(json.dumps(keys), str(keys[NAME]))[0]
