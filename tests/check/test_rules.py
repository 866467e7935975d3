"""Every rule flags its own example, allows the other, and can be read in both languages."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatch

import pytest

from foretune.check.rule import ARGUMENT, CONFIG, Rule, rules
from foretune.params.run import parameters

RULES = rules()


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.code)
def test_a_rule_flags_its_example_and_allows_the_other(one: Rule):
    found = list(one.check(one.flags.subject()))
    assert found, f"{one.code} does not flag its own example"
    assert not list(one.check(one.allows.subject()))
    for finding in found:
        assert any(fnmatch(finding.field, path) for path in one.fields)
        for words in (finding.what, finding.why, finding.fix):
            assert words.en and re.search(r"[\u4e00-\u9fff]", words.zh)


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.code)
def test_a_rule_says_where_it_comes_from_and_what_it_is_about(one: Rule):
    assert one.source
    assert one.fields
    for path in one.fields:
        assert path in parameters() or path.startswith((CONFIG, ARGUMENT, "*")), path
    assert re.fullmatch(r"[A-Z]\d{3}", one.code)


def test_no_two_rules_have_one_code_or_one_name():
    assert max(Counter(one.code for one in RULES).values()) == 1
    assert max(Counter(one.name for one in RULES).values()) == 1


def test_the_sound_examples_of_all_rules_raise_no_error_elsewhere():
    """A setup that works must pass: an allowed example is no other rule's error."""
    sound = {one.code: one.allows.subject() for one in RULES}
    wrong = {
        (code, other.code)
        for code, subject in sound.items()
        for other in RULES
        for finding in other.check(subject)
        if finding.severity == "error"
    }
    assert not wrong
