"""Every parameter of a run is declared once, with facts and with words in both languages."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from foretune.params.declare import Words, facts_of, words_of
from foretune.params.run import Run, compose, parameters, section_of
from foretune.params.setting import Origin, Setting

PATHS = list(parameters())
SECTIONS = sorted({section_of(path) for path in PATHS}, key=lambda section: section.__name__)
CHINESE = re.compile("[\u4e00-\u9fff]")
NUMBER = re.compile(r"(?<![\w.:-])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w%]|\.\d)")


def words(path: str) -> Words:
    return words_of(section_of(path), path.rpartition(".")[2])


def test_a_run_has_all_its_parameters():
    assert len(PATHS) >= 160
    assert {path.partition(".")[0] for path in PATHS} == {
        name for name, field in Run.model_fields.items() if isinstance(field.default, BaseModel)
    }


@pytest.mark.parametrize("path", PATHS)
def test_every_parameter_has_words_in_both_languages(path: str):
    text = words(path)
    assert text.en.endswith("."), text.en
    assert text.en.isascii(), text.en
    assert text.zh.endswith("。"), text.zh
    assert len(CHINESE.findall(text.zh)) >= 5, text.zh


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_words_in_both_languages(section: type[BaseModel]):
    text = words_of(section)
    assert text.en.endswith(".")
    assert text.zh.endswith("。") and CHINESE.search(text.zh)


@pytest.mark.parametrize("path", PATHS)
def test_chinese_words_are_punctuated_as_chinese(path: str):
    assert not re.search("[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", words(path).zh)


@pytest.mark.parametrize("path", PATHS)
def test_no_blank_is_lost_where_a_line_of_words_ends(path: str):
    text = words(path)
    assert not re.search("[a-z][;,:][A-Za-z]", text.en)
    assert not re.search("[A-Za-z]{3,}[\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z]{3,}", text.zh)


def test_every_parameter_says_how_much_it_matters_and_about_ten_matter_most():
    levels = [facts_of(field).matters for field in parameters().values()]
    assert len(levels) == len(PATHS)
    assert set(levels) == {1, 2, 3}
    assert 8 <= levels.count(3) <= 14


def test_no_default_stands_in_prose():
    seen = 0
    for path, field in parameters().items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            seen += 1
            text = words(path)
            numbers = {float(number) for number in NUMBER.findall(f"{text.en} {text.zh}")}
            assert float(field.default) not in numbers, path
    assert seen >= 25


def test_no_choice_that_is_a_code_word_is_listed_in_prose():
    seen = 0
    for path, field in parameters().items():
        choices = [one for one in _choices(field.annotation) if isinstance(one, str)]
        codes = [one for one in choices if re.search("[_0-9]", one)]
        seen += len(codes)
        text = words(path)
        listed = [one for one in codes if re.search(rf"\b{re.escape(one)}\b", text.en + text.zh)]
        assert len(listed) < 2, (path, listed)
    assert seen >= 15


def _choices(annotation: Any) -> list[object]:
    inner = get_args(annotation)
    return [one for arg in inner for one in (_choices(arg) if get_args(arg) else [arg])]


def test_every_default_has_its_own_type_and_lies_in_its_own_range():
    settings = [
        Setting(path, field.default, Origin("test", None, path))
        for path, field in parameters().items()
    ]
    run = compose(settings)
    assert len(settings) == len(PATHS)
    assert all(run.get(path) == field.default for path, field in parameters().items())


def test_a_summary_is_one_sentence():
    seen = 0
    for path in PATHS:
        summary = words(path).summary
        seen += 1
        assert 10 < len(summary.en) < 240, (path, summary.en)
        assert 3 < len(summary.zh) < 120, (path, summary.zh)
    assert seen == len(PATHS)
