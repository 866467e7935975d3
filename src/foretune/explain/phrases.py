"""The sentences of a page that are the same in every format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from ..check.finding import SEVERITY_WORDS
from ..params.declare import Words
from ..params.run import expected, parameters
from ..params.setting import Origin
from ..params.units import unit_in
from ..plan.amounts import Amount
from ..text import in_language, number
from .entry import Entry
from .labels import LABELS, say
from .page import Group, Item
from .planned import Change

if TYPE_CHECKING:
    from ..check.rule import Rule

CLOSED = re.compile(r"(?<=）) | (?=（)|(?<=[^\x00-\xff]) (?=[^\x00-\xff])")
LONGEST = 400
"""Characters of a value that are shown whole; of a longer one its two ends."""
FEW = 4
"""Amounts that are shown of an effect, the most telling first."""


def as_written(value: object) -> str:
    """A value as it stands in a file: true, 0.02, null, [a, b]."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 8 :]}"


def with_unit(item: Item, language: str) -> str:
    """The value and what it is counted in; of none, what holds instead."""
    unit, text, unset = item.entry.facts.unit, as_written(item.value), item.entry.facts.when_unset
    if item.value is None and unset is not None:
        form = "{}（{}）" if language == "zh" else "{} ({})"
        return form.format(text, unset.in_language(language))
    if isinstance(item.value, bool) or not isinstance(item.value, int | float):
        return text
    return f"{text} {unit_in(unit, language, item.value)}" if unit else text


def from_where(origin: Origin, language: str) -> str:
    """Where a value came from."""
    return origin.in_language(language)


def place_of(item: Item, group: Group, language: str) -> str:
    """Where the value was written: the line alone where the heading names the file."""
    origin = item.origin
    if origin.written and origin.file == group.file and origin.line is not None:
        return say("line", language, number=origin.line)
    return from_where(origin, language)


def facts(entry: Entry, language: str) -> Iterator[tuple[str, str]]:
    """The lines of facts about a declaration: what it takes, its default, who else writes it."""
    known = entry.facts
    yield "takes", closed_up(expected(entry.declared, language))
    defaults = entry.defaults if entry.owner is not None else {}
    if len(defaults) > 1:
        told = (
            f"{value} ({', '.join(in_language(one, language) for one in of)})"
            for value, of in defaults.items()
            if value != "None"
        )
        yield "default", "; ".join(told)
    elif entry.default is not None:
        yield "default", as_written(entry.default)
    if known.when_unset is not None:
        yield "unset", known.when_unset.in_language(language)
    if known.unit is not None:
        yield "unit", unit_in(known.unit, language).removeprefix("个")
    if entry.others:
        yield "also", ", ".join(entry.others)
    if entry.source is not None:
        yield "source", entry.source


def is_name(text: str) -> bool:
    """Whether a text is a parameter's path, and so no words."""
    return text in parameters()


def assumed_line(assumed: Iterable[Words], language: str) -> str:
    """What the effects on a training step count, and what they rest on."""
    mark = "；" if language == "zh" else "; "
    return say("assumed", language, what=mark.join(one.in_language(language) for one in assumed))


def effect_heading(item: Item, language: str) -> str:
    """With what the value is compared, and on which run."""
    effect = item.effect
    assert effect is not None
    against = effect.against
    other = say("off", language) if against is None else as_written(against)
    aside = effect.named
    if aside is None and against is not None and against == item.entry.default:
        aside = say("default", language)
    if aside is not None:
        other = f"{other}（{aside}）" if language == "zh" else f"{other} ({aside})"
    if item.example is None:
        return closed_up(say("here", language, other=other))
    value = say("off", language) if item.value is None else as_written(item.value)
    what = item.example.in_language(language)
    return closed_up(say("example", language, what=what, value=value, other=other))


def closed_up(text: str) -> str:
    """Chinese has no blank beside its brackets, nor between two of its own characters."""
    return CLOSED.sub("", text)


def change_line(change: Change, language: str) -> str:
    """'Examples in one optimizer step: 16 examples instead of 128 examples'."""
    label, other = change.here.label(language), change.other.shown_in(language)
    return say("instead", language, label=label, here=alone(change.here), other=other)


def alone(amount: Amount) -> str:
    """A value in front of another one, which tells the unit where it does not hang on the size."""
    scales = amount.formula.unit in ("bytes", "FLOP")
    return amount.shown if scales else number(amount.value)


def formula_once(change: Change, told: set[str], language: str) -> str | None:
    """The formula behind an amount, where this page has not told it yet; ``told`` remembers it."""
    working = change.here.text_in(language)
    if working in told:
        return None
    told.add(working)
    return working


def computed_line(amount: Amount, language: str) -> str:
    """An amount that is computed from a parameter."""
    return f"{amount.label(language)}{say('colon', language)}{amount.text_in(language)}"


def rule_line(rule: Rule, language: str) -> str:
    """A rule that is about a parameter: its code, how grave it is, and why."""
    severity = SEVERITY_WORDS[rule.severity].in_language(language)
    return f"{rule.code} {severity}{say('colon', language)}{rule.words.in_language(language)}"


def heading(item: Item, language: str) -> str:
    """The name, and whose key it is."""
    of = ", ".join(in_language(one, language) for one in item.entry.families)
    return f"{item.entry.name} ({of})" if of else item.entry.name


def gone_line(group: Group, language: str) -> str:
    """What became of a name that transformers has given up."""
    assert group.gone is not None
    name, why = group.gone
    gone = say("gone", language, name=name, why=in_language(why, language))
    become = say("read as" if group.items else "nothing", language)
    return f"{gone}{' ' if language == 'en' else ''}{become}"


def summary(words: Words, language: str) -> str:
    """The first sentence, closed."""
    return words.summary.in_language(language) + LABELS["stop"].in_language(language)
