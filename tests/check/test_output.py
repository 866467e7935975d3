"""Findings in every form: for people in two languages, and for programs in stable ones."""

from __future__ import annotations

import json

from foretune.check.check import check
from foretune.check.finding import Finding
from foretune.check.output import FORMATS, UNREADABLE, of_problem
from foretune.check.rule import rules
from foretune.errors import Problem

KEYS = ["code", "severity", "field", "file", "line", "value", "what", "why", "fix"]


def found() -> list[Finding]:
    (one,) = [rule for rule in rules() if rule.code == "S101"]
    return [finding for finding in check(one.flags.subject()) if finding.code == "S101"]


def test_a_person_reads_what_where_why_and_fix_in_either_language():
    english = FORMATS["text"](found(), "en")
    assert english.startswith("warning S101: 3 epochs are asked for beside 3,000 steps")
    for label in ("where:", "why:", "fix:"):
        assert label in english
    assert english.endswith("1 warning")
    assert FORMATS["text"](found(), "zh").startswith("警告 S101：")


def test_json_is_a_list_of_objects_with_the_documented_keys():
    (one,) = json.loads(FORMATS["json"](found(), "en"))
    assert list(one) == KEYS
    assert (one["file"], one["line"], one["field"]) == ("example.sh", 2, "schedule.epochs")
    assert json.loads(FORMATS["json"]([], "en")) == []


def test_sarif_names_the_rule_its_source_and_the_line():
    run = json.loads(FORMATS["sarif"](found(), "en"))["runs"][0]
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == "S101"
    assert rule["helpUri"].startswith("https://github.com/")
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "example.sh"
    assert place["region"]["startLine"] == 2


def test_github_annotations_are_one_line_each():
    (line,) = FORMATS["github"](found(), "zh").splitlines()
    assert line.startswith("::warning file=example.sh,line=2,title=S101::")
    assert "%0A" in line


def test_what_cannot_be_read_is_an_error_at_its_place():
    problem = Problem("max_steps = 'x' cannot be used", "train.sh:12 (--max_steps x)", "why", "fix")
    finding = of_problem(problem)
    assert (finding.code, finding.severity) == (UNREADABLE, "error")
    assert (finding.origin.file, finding.origin.line) == ("train.sh", 12)


def test_no_finding_says_how_many_rules_looked():
    assert str(len(rules())) in FORMATS["text"]([], "en")
