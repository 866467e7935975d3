"""A comparison as JSON, for programs. The form is stable (docs/explain.md)."""

from __future__ import annotations

import json
from typing import Any

from ..explain.planned import Change
from ..params.setting import Origin
from ..text import in_language
from .comparison import Comparison, Design, Difference


def json_text(comparison: Comparison, language: str) -> str:
    """All of it."""
    whole: dict[str, Any] = {
        "language": language,
        "equal": comparison.equal,
        "sides": [side.name for side in comparison.sides],
        "differences": [_difference(one, language) for one in comparison.differences],
        "follows": [_change(change, language) for change in comparison.follows],
        "spellings": [
            {
                "name": one.name,
                "value": one.value,
                "written": [in_language(text, language) for text in one.written],
            }
            for one in comparison.spellings
        ],
        "sizes": [
            {
                "concept": size.concept,
                "words": size.words.in_language(language),
                "keys": list(size.keys),
                "values": list(size.values),
                "same": size.same,
            }
            for size in comparison.sizes
        ],
        "designs": [_design(design, language) for design in comparison.designs],
        "alone": [[entry.name for entry in entries] for entries in comparison.alone],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1, default=str)


def _difference(one: Difference, language: str) -> dict[str, Any]:
    entry = one.entry
    return {
        "name": one.name,
        "key": None if entry is None else entry.key,
        "words": None if entry is None else entry.words.in_language(language),
        "matters": None if entry is None else entry.facts.matters,
        "values": list(one.values),
        "origins": [_origin(origin, language) for origin in one.origins],
        "follows": [_change(change, language) for change in one.follows],
        "remarks": [words.in_language(language) for words in one.remarks],
    }


def _origin(origin: Origin, language: str) -> dict[str, Any]:
    reason = in_language(origin.reason, language) or None
    return {"file": origin.file or None, "line": origin.line, "reason": reason}


def _change(change: Change, language: str) -> dict[str, Any]:
    return {
        "amount": change.name,
        "words": change.here.label(language),
        "unit": change.here.formula.unit,
        "values": [change.here.value, change.other.value],
    }


def _design(design: Design, language: str) -> dict[str, Any]:
    return {
        "question": design.question.in_language(language),
        "answers": [answer.name.in_language(language) for answer in design.answers],
        "changes": [answer.changes.in_language(language) for answer in design.answers],
        "same": design.same,
    }
