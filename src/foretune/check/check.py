"""Checking a run: every rule, over everything that is known of it."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import SEVERITIES, Finding
from .rule import Subject, rules


def check(subject: Subject) -> list[Finding]:
    """What is wrong, the worst first and then in the order of the files."""

    def order(finding: Finding) -> tuple[int, str, int, str]:
        origin = finding.origin
        return (SEVERITIES.index(finding.severity), origin.file, origin.line or 0, finding.code)

    return sorted(_found(subject), key=order)


def _found(subject: Subject) -> Iterator[Finding]:
    for rule in rules():
        yield from rule.check(subject)
