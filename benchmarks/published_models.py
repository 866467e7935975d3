"""The dimensions of well-known models, for rows that name a model and no more.

models.json holds them with their sources: what the models' own config.json says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from published_stacks import Row, SkippedError

NEEDED = ("hidden", "layers", "heads", "ffn")


def dims_of(row: Row) -> Mapping[str, Any]:
    """Dimensions of the model of a row: what the row says, then what is known of its model.

    Raises SkippedError where they are not known.
    """
    said = {key: value for key, value in (row.get("dims") or {}).items() if value is not None}
    dims = said if all(said.get(key) for key in NEEDED) else {**_known(row["model"]), **said}
    if not all(dims.get(key) for key in NEEDED):
        raise SkippedError("no dimensions")
    return dims


def is_named(row: Row, names: tuple[str, ...]) -> bool:
    """Whether the model of a row is one of those that begin so."""
    return plain(row["model"]).startswith(names)


def plain(name: str) -> str:
    """A model's name without its owner and in one spelling: 'meta-llama/Llama2_7B' ->
    'llama-2-7b'.
    """
    name = name.lower().split("/")[-1].replace("_", "-")
    name = re.sub(r"^(meta|openbuddy|nvidia|unsloth)-", "", name)
    name = re.sub(r"^(code-?)?llama-?v?([23])\b", r"\1llama-\2", name)
    return re.sub(r"^(qwen|gemma|phi|mistral)-(?=\d\.\d)", r"\1", name)


@cache
def _models() -> tuple[Mapping[str, Any], ...]:
    """The known models, those with longer names first."""
    file = Path(__file__).with_name("models.json")
    return tuple(sorted(json.loads(file.read_text("utf-8")), key=lambda one: -len(one["name"])))


def _known(name: str) -> Mapping[str, Any]:
    """What is known of the model whose name this one begins with, nothing where none is."""
    asked = plain(name)
    for model in _models():
        rest = asked.removeprefix(model["name"])
        begins = rest != asked and not re.match(r"[\w.]", rest)
        if begins:
            return {key: model[key] for key in model if key not in ("name", "source")}
    return {}
