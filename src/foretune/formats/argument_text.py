"""How transformers reads the words of an argument: truth values, numbers, JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, cast

Kind = Literal["boolean", "list", "mapping", "scalar"]
"""How a flag is written: bare or with a truth value, with several words, as JSON text, with one."""

Values = Mapping[str, object]
"""What an argument stands for: {dotted path: value}."""

TRUTH: dict[str, bool] = {
    **dict.fromkeys(("yes", "true", "t", "y", "1"), True),
    **dict.fromkeys(("no", "false", "f", "n", "0"), False),
}
"""The words that HfArgumentParser takes for a truth value."""


def boolean(value: object) -> object:
    """The truth value that a word means; any other word stays as it is, to be refused so."""
    return TRUTH.get(value.lower(), value) if isinstance(value, str) else value


def number(value: object) -> float:
    """The number that a value is or spells; not-a-number where it is none."""
    try:
        return float(cast(Any, value))
    except (TypeError, ValueError):
        return math.nan


def mapping(value: object) -> object:
    """The mapping that JSON text spells; any other value (a path, broken JSON) stays as it is.

    Strings in it that look like truth values or numbers become such, as in TrainingArguments.
    """
    if not (isinstance(value, str) and value.lstrip().startswith("{")):
        return value
    try:
        return json.loads(
            value, object_pairs_hook=lambda pairs: {key: _typed(one) for key, one in pairs}
        )
    except json.JSONDecodeError:
        return value


def _typed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value.isdigit():
        return int(value)
    return float(value) if value.replace(".", "", 1).isdigit() else value
