"""Findings as people and programs read them: text, JSON, SARIF 2.1.0, GitHub's annotations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ..columns import columns, terminal_width, wrapped
from ..errors import Problem
from ..params.declare import Words
from ..params.setting import Origin
from ..text import counted
from .finding import SEVERITIES, SEVERITY_WORDS, Finding, Severity, both
from .rule import rules

LABELS = {"en": ("where", "why", "fix"), "zh": ("位置", "原因", "改法")}
UNREADABLE = "R001"
"""The code of a value or a file that cannot be read at all: what every other verb refuses."""


def of_problem(problem: Problem) -> Finding:
    """A problem of reading, as a finding."""
    file, _, rest = problem.where.partition(":")
    line = rest.partition(" ")[0].partition(",")[0]
    return Finding(
        code=UNREADABLE,
        severity="error",
        field="",
        value=None,
        origin=Origin(file, int(line) if line.isdecimal() else None, ""),
        what=Words(problem.what, problem.what),
        why=Words(problem.why, problem.why),
        fix=Words(problem.fix, problem.fix),
        change=None,
    )


def as_text(findings: Sequence[Finding], language: str) -> str:
    """For people: each finding in four parts, then how many there are; as wide as the terminal."""
    blocks = ["\n".join(_block(finding, language, terminal_width())) for finding in findings]
    return "\n\n".join([*blocks, summary(findings).in_language(language)])


def _block(finding: Finding, language: str, width: int) -> Iterator[str]:
    where, why, fix = LABELS[language]
    severity = SEVERITY_WORDS[finding.severity].in_language(language)
    parts = {where: place_of(finding, language), why: finding.why, fix: finding.fix}
    colon = "：" if language == "zh" else ": "
    first = f"{severity} {finding.code}{colon}{finding.what.in_language(language)}"
    yield from wrapped(first, width, "", "  ")
    for label, told in parts.items():
        text = told.in_language(language) if isinstance(told, Words) else told
        indent = f"  {label}{colon.rstrip()}{_gap(label)}"
        yield from wrapped(text, width, indent, " " * columns(indent))


def place_of(finding: Finding, language: str) -> str:
    """Where the value was written; of one that nobody wrote, whose it is and why it is so."""
    origin = finding.origin.in_language(language)
    if finding.origin.written or not finding.field:
        return origin
    form = "{}（{}）" if language == "zh" else "{} ({})"
    return form.format(finding.field, origin)


def _gap(label: str) -> str:
    return " " * (6 - len(label)) if label.isascii() else ""


def summary(findings: Sequence[Finding]) -> Words:
    """How many findings there are of each severity."""
    counts = Counter(finding.severity for finding in findings)
    if not counts:
        return both(f"nothing found by {len(rules())} rules", f"{len(rules())} 条规则均未发现问题")
    there: list[Severity] = [one for one in SEVERITIES if counts[one]]
    return both(
        ", ".join(counted(counts[one], one) for one in there),
        "，".join(f"{SEVERITY_WORDS[one].zh} {counts[one]} 条" for one in there),
    )


def as_json(findings: Sequence[Finding], language: str) -> str:
    """A list of objects with code, severity, field, file, line, value, what, why and fix."""
    found = [finding.as_dict(language) for finding in findings]
    return json.dumps(found, ensure_ascii=False, indent=1, default=str)


SARIF_LEVELS = {"error": "error", "warning": "warning", "note": "note"}


def as_sarif(findings: Sequence[Finding], language: str) -> str:
    """SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lines."""
    known = {rule.code: rule for rule in rules()}
    used = sorted({finding.code for finding in findings})
    driver = {
        "name": "foretune",
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": known[code].name if code in known else "unreadable"},
                **(
                    {"helpUri": known[code].source}
                    if code in known and known[code].source.startswith("http")
                    else {}
                ),
            }
            for code in used
        ],
    }
    results = [_sarif_result(finding, language) for finding in findings]
    report = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(report, ensure_ascii=False, indent=1)


def _sarif_result(finding: Finding, language: str) -> dict[str, object]:
    told = (finding.what, finding.why, finding.fix)
    place: dict[str, object] = {"artifactLocation": {"uri": finding.origin.file}}
    if finding.origin.line is not None:
        place["region"] = {"startLine": finding.origin.line}
    return {
        "ruleId": finding.code,
        "level": SARIF_LEVELS[finding.severity],
        "message": {"text": "\n".join(words.in_language(language) for words in told)},
        "locations": [{"physicalLocation": place}] if finding.origin.file else [],
    }


GITHUB_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def as_github(findings: Sequence[Finding], language: str) -> str:
    """Workflow commands that GitHub shows as annotations of the files."""
    return "\n".join(_annotation(finding, language) for finding in findings)


def _annotation(finding: Finding, language: str) -> str:
    places = {"file": finding.origin.file, "line": finding.origin.line, "title": finding.code}
    told = ",".join(f"{key}={_property(str(one))}" for key, one in places.items() if one)
    text = "\n".join(
        words.in_language(language) for words in (finding.what, finding.why, finding.fix)
    )
    return f"::{GITHUB_LEVELS[finding.severity]} {told}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


FORMATS: dict[str, Callable[[Sequence[Finding], str], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}
