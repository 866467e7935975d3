"""Which family has which layouts, and the way from one to another.

``published`` is what the family's authors published, ``hf`` an architecture of transformers itself,
``meta`` the files of Meta's Llama 3. The rules of a family are in the file here that has the name
of the one in params/arch.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from ..errors import Problem, UserError, refuse
from ..models.hf import PublishedConfig, native_families, published_config
from ..params.arch import Family, family_of
from ..text import sentence_list
from .tensors import Later, Tensors

LAYOUTS = ("published", "hf", "meta")
KEPT = "published_config"
"""Key of a converted config.json that keeps the published one, for the way back."""


def rules(family: type[Family]) -> ModuleType | None:
    """How a family is written as an architecture of transformers; None where there is none."""
    name = f"{__package__}.{family.__module__.rpartition('.')[2]}"
    return import_module(name) if find_spec(name) is not None else None


@cache
def convertible() -> tuple[tuple[type[Any], ModuleType], ...]:
    """The families that can be written as an architecture of transformers, with their rules."""
    found = ((family, rules(family)) for family in native_families())
    return tuple((family, rule) for family, rule in found if rule is not None)


def layout_of(config: Any, *, meta: bool) -> str:
    """The layout that a folder with this config is in."""
    return "meta" if meta else "published" if isinstance(config, PublishedConfig) else "hf"


def layouts_of(config: Any, *, meta: bool) -> tuple[str, ...]:
    """The layouts that a model can be written in, its own first."""
    own = layout_of(config, meta=meta)
    if own == "published":
        return ("published", "hf") if rules(config.architecture) else ("published",)
    if own == "meta":
        return ("meta", "hf")
    if published_family(config) is not None:
        return ("hf", "published")
    return ("hf", "meta") if config.model_type == "llama" else ("hf",)


def refuse_layout(layout: str, config: Any, *, meta: bool, where: str) -> None:
    """Raises UserError where a model cannot be written so, with the reason."""
    known = layouts_of(config, meta=meta)
    if layout not in LAYOUTS:
        raise refuse(
            what=f"--layout {layout} is no layout",
            where="command line",
            why=f"the layouts are {sentence_list(LAYOUTS)}",
            fix=f"for this model write one of {sentence_list(known)}",
        )
    if layout in known:
        return
    name = config.model_type or type(config).__name__
    reasons = {
        "published": f"the layouts of a {name} are {sentence_list(known)}",
        "hf": "transformers has no architecture that computes what this family does",
        "meta": "Meta's files hold Llama 3 and nothing else",
    }
    raise refuse(
        what=f"this model ({name}) cannot be written in the layout {layout!r}",
        where=where,
        why=reasons[layout],
        fix=f"write --layout {known[0]}",
    )


def to_hf(config: Any, tensors: Tensors, where: str) -> tuple[dict[str, Any], dict[str, Later]]:
    """config.json and tensors of a published model in transformers' own architecture.

    Raises UserError with everything that the architecture has not.
    """
    rule = rules(config.architecture)
    assert rule is not None, "refuse_layout has said so"
    _refuse(rule.unlike(config, where))
    return rule.to_hf(config, tensors)


def published_family(config: Any) -> tuple[type[Any], ModuleType] | None:
    """The family, with its rules, that a config of transformers was converted from, or is another
    form of.
    """
    kept = getattr(config, KEPT, None)
    if isinstance(kept, dict):
        family = family_of(kept)
        return next((found for found in convertible() if found[0] is family), None)
    # a Llama that says nothing of where it comes from is a Llama
    return next(
        (found for found in convertible() if found[1].MODEL_TYPE == config.model_type != "llama"),
        None,
    )


def from_hf(config: Any, tensors: Tensors, where: str) -> tuple[dict[str, Any], dict[str, Later]]:
    """config.json and tensors in published layout of a model of transformers.

    What the kept config.json says stays as it is written there, as far as it is still so.
    """
    found = published_family(config)
    assert found is not None, "refuse_layout has said so"
    family, rule = found
    _refuse(rule.unlike_published(config, where))
    keys, converted = rule.from_hf(config, tensors)
    kept = getattr(config, KEPT, None) or {}
    was = published_config(family).from_dict(
        {"model_type": family.model_fields["model_type"].default, **kept}
    )
    changed = (
        {key: value for key, value in keys.items() if getattr(was, key, None) != value}
        if kept
        else keys
    )
    return {**kept, **changed}, converted


def _refuse(problems: Iterator[Problem]) -> None:
    if told := list(problems):
        raise UserError(told)
