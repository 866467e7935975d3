"""The sentences of a page that are the same in every format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum

from ..params.declare import Words
from ..params.run import parameters
from ..params.setting import Origin
from ..params.units import unit_in
from .entry import Entry
from .labels import LABELS, say
from .page import Item
from .planned import Change

FEW = 4
"""Amounts that are shown of an effect, the most telling first."""


def as_written(value: object) -> str:
    """A value as it stands in a file: true, 0.02, null, [a, b]."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, ensure_ascii=False, default=str)


def with_unit(item: Item, language: str) -> str:
    """The value and what it is counted in."""
    unit = item.entry.facts.unit
    counts = isinstance(item.value, int | float) and not isinstance(item.value, bool)
    text = as_written(item.value)
    return f"{text} {unit_in(unit, language)}" if unit and counts else text


def from_where(origin: Origin, language: str) -> str:
    """Where a value came from."""
    return str(origin) if origin.written or origin.reason != "default" else say("default", language)


def facts(entry: Entry, language: str) -> Iterator[tuple[str, str]]:
    """The lines of facts about a declaration: what it takes, its default, who else writes it."""
    known = entry.facts
    yield "takes", entry.takes
    if entry.default is not None:
        yield "default", as_written(entry.default)
    if known.when_unset is not None:
        yield "unset", known.when_unset.in_language(language)
    if known.unit is not None:
        yield "unit", unit_in(known.unit, language)
    if entry.others:
        yield "also", ", ".join(entry.others)
    if known.source is not None:
        yield "source", known.source


def is_name(text: str) -> bool:
    """Whether a text is a parameter's path, and so no words."""
    return text in parameters()


def effect_heading(item: Item, language: str) -> str:
    """With what the value is compared, and on which run."""
    effect = item.effect
    assert effect is not None
    against = effect.against
    other = say("off", language) if against is None else as_written(against)
    if effect.named is not None:
        other = f"{other} ({effect.named})" if language == "en" else f"{other}（{effect.named}）"
    elif against == item.entry.default and against is not None:
        default = say("default", language)
        other = f"{other} ({default})" if language == "en" else f"{other}（{default}）"
    if item.example is None:
        return say("here", language, other=other)
    return say("example", language, what=item.example.in_language(language), other=other)


def change_line(change: Change, language: str) -> str:
    """'Examples in one optimizer step: 16 examples instead of 128 examples'."""
    assert change.other is not None
    return say(
        "instead",
        language,
        label=change.here.label(language),
        here=change.here.shown_in(language),
        other=change.other.shown_in(language),
    )


def summary(words: Words, language: str) -> str:
    """The first sentence, closed."""
    return words.summary.in_language(language) + LABELS["stop"].in_language(language)
