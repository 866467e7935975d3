"""What a reader of Chinese is told: notes, reasons and severities are in Chinese too."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest

from foretune.check.rule import rules
from foretune.explain.command import explain
from foretune.explain.reference import page
from foretune.formats.llama_factory_names import UNREAD
from foretune.formats.read import read
from foretune.formats.removed_arguments import REMOVED
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.params.setting import Origin
from foretune.text import Said, in_language, sentence_list

CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = re.compile(r"[\w.$\-/: ]*")
"""A reason that is a place or a name, and so no words."""


def test_a_text_keeps_its_chinese_in_every_copy():
    said = Said("default", "默认值")
    for one in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):
        assert one == "default" and one.zh == "默认值"
    assert in_language(said, "zh") == "默认值" and in_language("train.sh", "zh") == "train.sh"


def test_a_long_list_is_closed_as_each_language_does():
    assert sentence_list(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert sentence_list(range(10), language="zh") == "0、1、2、3、4、5、6、7 等 10 项"


def test_every_note_and_reason_on_the_files_that_people_have_is_in_chinese(shared: Path):
    notes, reasons = 0, 0
    for path in sorted(path for path in (shared / "inputs").rglob("*") if path.is_file()):
        run = resolve(read(path), device="cuda", complete=False)
        for note in run.notes:
            notes += 1
            assert CHINESE.search(note.what.zh) and CHINESE.search(note.why.zh), str(note)
        for setting in run.settings:
            if not setting.origin.written:
                reasons += 1
                told = setting.origin.in_language("zh")
                assert CHINESE.search(told) or NAMES.fullmatch(told), told
    assert notes >= 25 and reasons >= 40


def test_why_a_name_is_gone_or_has_no_counterpart_is_in_chinese():
    texts = [*(one.why for one in REMOVED.values()), *UNREAD.values()]
    assert len(texts) > 150
    for text in texts:
        assert CHINESE.search(text.zh), text
    assert "在 transformers 5 中" in explain(None, ["warmup_ratio"], language="zh")


def test_origins_speak_the_language_that_is_asked_for():
    assert Run().origin("batch.micro").in_language("zh") == "默认值"
    written = Origin("train.sh", 3, "--max_steps 3000")
    assert written.in_language("zh") == str(written) == "train.sh:3 (--max_steps 3000)"


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_rules_are_as_grave_in_chinese(form: str):
    text = explain(None, ["learning_rate"], language="zh", format=form)
    assert "S107 错误：" in text and "M101 警告：" in text
    assert " error" not in text and " warning" not in text


@pytest.mark.parametrize("file", ["rules.md", "rules.zh.md"])
def test_the_table_of_rules_has_a_source_and_an_example_for_every_rule(file: str):
    rows = re.findall(r"^\| ([A-Z]\d{3}) \|(.*)\|$", page(file), re.MULTILINE)
    assert [code for code, _ in rows] == [rule.code for rule in rules()]
    for code, rest in rows:
        named, source, example = (cell.strip() for cell in re.split(r"(?<!\\)\|", rest))
        assert named and source and "`" in example, code
        assert not file.endswith(".zh.md") or CHINESE.search(named), code
