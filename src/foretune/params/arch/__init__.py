"""Model families in the keys of their own files (config.json, Meta's params.json); a family is here
by having a file here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from ...errors import Problem, UserError
from .architecture import Architecture, Family, Remark
from .shape import Linear, Shape, Weight

__all__ = [
    "Architecture", "Family", "Linear", "Remark", "Shape", "Weight",
    "families", "family_of", "read_architecture",
]  # fmt: skip

KEYS_ALONE = ("any_model", "decoder", "pretrained")
"""Files here that declare keys which families share, and no family."""


@cache
def families() -> tuple[type[Family], ...]:
    """Every family in this folder, in the order of the file names."""
    return tuple(_one_by_one())


def _one_by_one() -> Iterator[type[Family]]:
    """The same, each file imported when its turn has come."""
    for module in pkgutil.iter_modules(__path__):
        if module.name in KEYS_ALONE:
            continue
        for found in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if (
                isinstance(found, type)
                and issubclass(found, Family)
                and found.__module__.endswith(f".{module.name}")
                and not inspect.isabstract(found)
            ):
                yield found


def family_of(config: Mapping[str, Any]) -> type[Family] | None:
    """The family of a config.json, or None where no file here knows it."""
    return next((family for family in _one_by_one() if family.matches(config)), None)


def read_architecture(
    config: Mapping[str, Any], *, where: str = "config.json", family: type[Family] | None = None
) -> tuple[Family | None, dict[str, Any]]:
    """The declared part of a config.json, and the keys that its family does not know. The family is
    the one that is given, or the one that the keys tell.

    ``(None, config)`` where no family matches. Raises UserError with all values that cannot be.
    """
    family = family or family_of(config)
    if family is None:
        return None, dict(config)
    known = family.keys()
    try:
        read = family.model_validate({key: value for key, value in config.items() if key in known})
    except ValidationError as failed:
        raise UserError(
            Problem(
                what=f"{'.'.join(map(str, error['loc'])) or family.__name__} = {error['input']!r}"
                if error["loc"]
                else f"the sizes of this {family.__name__} do not fit together",
                where=where,
                why=error["msg"],
                fix="take the value from the config.json that was published with the weights",
            )
            for error in failed.errors()
        ) from None
    return read, {key: value for key, value in config.items() if key not in known}
