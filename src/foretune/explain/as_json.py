"""A page as JSON, for programs. The form is stable (docs/explain.md): keys may be added, none is
renamed or taken away.
"""

from __future__ import annotations

import json
from typing import Any

from ..params.run import expected
from ..params.setting import Origin
from ..params.units import unit_in
from ..text import in_language
from .entry import Entry
from .page import Group, Item, Page
from .phrases import as_written
from .planned import Change, Effect


def json_text(page: Page, language: str) -> str:
    """The whole page."""
    whole = {
        "language": language,
        "groups": [_group(group, language) for group in page.groups],
        "auto": [
            {"written": where, "key": path, "value": value, **_origin(origin, language)}
            for where, path, value, origin in page.autos
        ],
        "assumed": [one.in_language(language) for one in page.assumed],
        "without_effect": list(page.silent),
        "hidden": list(page.hidden),
        "notes": [
            {
                "what": in_language(note.what, language),
                "where": note.where,
                "why": in_language(note.why, language),
            }
            for note in page.notes
        ],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1, default=str)


def _group(group: Group, language: str) -> dict[str, Any]:
    return {
        "name": group.name or None,
        "gone": None
        if group.gone is None
        else {"name": group.gone[0], "why": in_language(group.gone[1], language)},
        "file": group.file or None,
        "about": group.about.in_language(language),
        "items": [_item(item, language) for item in group.items],
    }


def _item(item: Item, language: str) -> dict[str, Any]:
    told = {
        **_declaration(item.entry, language),
        "value": item.value if item.shown else None,
        "has_value": item.shown,
        **_origin(item.origin, language),
        "effect": None if item.effect is None else _effect(item.effect, language),
        "computed": [
            {"amount": one.formula.name, "value": one.value, "formula": one.text_in(language)}
            for one in item.computed
        ],
        "example": None if item.example is None else item.example.in_language(language),
    }
    rules = [
        {"code": one.code, "severity": one.severity, "words": one.words.in_language(language)}
        for one in item.rules
    ]
    return {**told, "rules": rules}


def _declaration(entry: Entry, language: str) -> dict[str, Any]:
    facts = entry.facts
    return {
        "key": entry.key,
        "name": entry.name,
        "family": None if entry.owner is None else entry.owner.__name__,
        "words": entry.words.in_language(language),
        "takes": expected(entry.declared, language),
        "default": entry.default,
        "when_unset": facts.when_unset.in_language(language) if facts.when_unset else None,
        "unit": unit_in(facts.unit, language) if facts.unit else None,
        "matters": facts.matters,
        "also": list(entry.others),
        "source": entry.source,
        "has_effect": not entry.has_no_effect,
    }


def _origin(origin: Origin, language: str) -> dict[str, Any]:
    return {
        "file": origin.file or None,
        "line": origin.line,
        "spelling": origin.spelling or None,
        "reason": in_language(origin.reason, language) or None,
    }


def _effect(effect: Effect, language: str) -> dict[str, Any]:
    return {
        "against": effect.against if effect.against is None else as_written(effect.against),
        "against_name": effect.named,
        "changes": [_change(change, language) for change in effect.changes],
    }


def _change(change: Change, language: str) -> dict[str, Any]:
    return {
        "amount": change.name,
        "words": change.here.label(language),
        "unit": change.here.formula.unit,
        "here": change.here.value,
        "other": change.other.value,
        "formula": change.here.text_in(language),
    }
