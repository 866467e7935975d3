"""Lines of a terminal, in which a Chinese character takes two columns."""

from __future__ import annotations

import pytest

from foretune.columns import columns, padded, wrapped


def test_a_chinese_character_takes_two_columns():
    assert columns("abc") == 3
    assert columns("批次 ab") == 7
    assert columns("★") == 1
    assert padded("值", 4) == "值  "


@pytest.mark.parametrize("width", [20, 33, 50])
def test_no_line_is_wider_than_asked(width: int):
    text = (
        "旋转位置表的行数。文本不会按它截断或补齐，分词器也不读取它；seq_length 超过时会报错。" * 3
    )
    lines = list(wrapped(text, width))
    assert len(lines) > 3
    assert all(columns(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_no_line_starts_with_a_closing_mark_or_ends_with_an_opening_one():
    text = "总数（从某个版本起除以全部微批次的训练词元数），因此得到的是平均梯度。" * 4
    for width in range(20, 60):
        for line in wrapped(text, width):
            assert line[0] not in "，。）；" and line[-1] != "（"


def test_words_of_english_stay_whole_and_the_next_lines_are_indented():
    lines = list(wrapped("one two three four five", 12, "- ", "  "))
    assert lines == ["- one two", "  three four", "  five"]
