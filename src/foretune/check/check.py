"""Checking a run: every rule, over everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import SEVERITIES, Finding
from .rule import Subject, rules


def check(subject: Subject) -> list[Finding]:
    """What is wrong, the worst first and then in the order of the files."""
    return sorted(_found(subject), key=worst_first)


def worst_first(finding: Finding) -> tuple[int, str, int, str]:
    """The order in which findings are told."""
    origin = finding.origin
    return (SEVERITIES.index(finding.severity), origin.file, origin.line or 0, finding.code)


def _found(subject: Subject) -> Iterator[Finding]:
    for rule in rules():
        yield from rule.check(subject)
