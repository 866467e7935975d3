"""The sizes of a run's model: by its config.json where its family is declared here; else of the
model that transformers builds from it without memory, kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import content_hash, own_folder, write_whole
from ..formats.model_config import ModelFile, config_path
from ..params.arch.shape import Shape, Weight
from ..params.run import Run
from ..plan.version import installed

CODE = ("torch", "transformers", "peft")
"""What the built model depends on, beside its config."""


def sizes_of(run: Run, config: ModelFile | None) -> tuple[Shape | None, str | None]:
    """Every parameter of the run's model, and the name of its family; (None, None) where no
    config.json is here, or transformers has no causal language model of it.
    """
    if config is not None:
        return config.shape, type(config.architecture).__name__
    file = config_path(run)
    if file is None or file.suffix != ".json":
        return None, None
    try:
        family = json.loads(file.read_text("utf-8-sig")).get("model_type")
        shape = _kept(file) or _built(file)
    except (OSError, ValueError, AttributeError, UserError):
        return None, None
    return (shape, str(family)) if shape is not None else (None, None)


def _record(file: Path) -> Path:
    told = [content_hash(file), *(installed(package) for package in CODE)]
    name = hashlib.blake2b(" ".join(told).encode(), digest_size=16).hexdigest()
    return own_folder("cache") / "shapes" / f"{name}.json"


def _kept(file: Path) -> Shape | None:
    try:
        read: dict[str, Any] = json.loads(_record(file).read_text("utf-8"))
        lists = {name: tuple(read[name]) for name in ("default_lora_targets", "quantised")}
        weights = tuple(
            Weight(**{**one, "shape": tuple(one["shape"]), "blocks": tuple(one["blocks"])})
            for one in read["weights"]
        )
        return Shape(**{**read, **lists, "weights": weights})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _built(file: Path) -> Shape | None:
    from ..models.loading import load_config
    from ..tune.built_shape import built_shape

    try:
        shape = built_shape(load_config(file.parent))
    except Exception:  # what a family's code makes of strange sizes, nobody knows
        return None
    with suppress(OSError):  # a cache that cannot be written is none
        write_whole(_record(file), json.dumps(asdict(shape)))
    return shape
