"""What a rule found: what, where, why and how to mend it, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..params.declare import Words
from ..params.setting import Origin

Severity = Literal["error", "warning", "note"]
"""error: the run stops, or does not do what was asked for. warning: it runs, and most likely not as
meant. note: worth knowing, often right."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SEVERITY_WORDS: dict[Severity, Words] = {
    "error": Words("error", "错误"),
    "warning": Words("warning", "警告"),
    "note": Words("note", "提示"),
}


def both(en: str, zh: str) -> Words:
    """The same thing said in English and in Chinese."""
    return Words(en, zh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a rule yields; its code, its severity and the reason are the rule's own."""

    field: str
    """The parameter (batch.micro) or the key of the model's config (config.seq_length)."""
    what: Words
    """What is the case here, with the value."""
    fix: Words
    severity: Severity | None = None
    """Where it is not the rule's."""
    change: Mapping[str, object] | None = None
    """The settings that mend it and change nothing else: what ``--fix`` writes."""
    origin: Origin | None = None
    """Where it is, where that is not where the value was written: a row of a file, a key beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding of a check."""

    code: str
    severity: Severity
    field: str
    value: object
    origin: Origin
    what: Words
    why: Words
    fix: Words
    change: Mapping[str, object] | None

    def as_dict(self, language: str) -> dict[str, Any]:
        """The stable form for programs: code, severity, field, file, line, value, what, why,
        fix.
        """
        return {
            "code": self.code,
            "severity": self.severity,
            "field": self.field,
            "file": self.origin.file or None,
            "line": self.origin.line,
            "value": self.value,
            "what": self.what.in_language(language),
            "why": self.why.in_language(language),
            "fix": self.fix.in_language(language),
        }
