"""Rows that are conversations: one column of messages instead of prompt, response and history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foretune.data.read import read_rows, read_split
from foretune.data.rows import ROLES, Row
from foretune.errors import UserError

from .conftest import data_of

USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
SYSTEM = {"role": "system", "content": "s"}


def talks(**settings: Any) -> Any:
    return data_of(messages_column="messages", **settings)


def problems_of(file: str, **settings: Any) -> list[Any]:
    with pytest.raises(UserError) as caught:
        read_rows(file, talks(**settings))
    assert all(p.what and p.where and p.why and p.fix for p in caught.value.problems)
    return caught.value.problems


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


MESSAGES = [
    {"role": "system", "content": "你是助手"},
    {"role": "user", "content": "一"},
    {"role": "assistant", "content": "二"},
    {"role": "user", "content": "三"},
    {"role": "assistant", "content": "四"},
]
WHOLE = Row(1, "三", "四", (("一", "二"),), "你是助手")


def test_a_conversation_is_its_last_round_with_what_went_before(write):
    file = write("t.jsonl", [{"messages": MESSAGES}, {"messages": MESSAGES[1:3], "id": 4}])
    assert list(read_rows(file, talks())) == [WHOLE, Row(2, "一", "二")]


@pytest.mark.parametrize(
    ("user", "assistant"), [("user", "assistant"), ("human", "gpt"), ("user", "bot")]
)
@pytest.mark.parametrize(("who", "what"), [("role", "content"), ("from", "value")])
def test_roles_and_keys_have_several_spellings(write, user, assistant, who, what):
    said = {"user": user, "assistant": assistant, "system": "system"}
    messages = [{who: said[one["role"]], what: one["content"], "id": 1} for one in MESSAGES]
    assert list(read_rows(write("t.jsonl", [{"messages": messages}]), talks())) == [WHOLE]
    assert {user, assistant, "system"} <= set(ROLES)


def test_a_csv_cell_holds_the_messages_as_json(write):
    cell = dumped(MESSAGES).replace('"', '""')
    file = write("t.csv", f'id,messages\n1,"{cell}"\n2,\n')
    found = read_rows(file, talks())
    assert (found.read, found.empty) == (2, 1)
    assert list(found) == [Row(2, *("三", "四"), (("一", "二"),), "你是助手")]


def test_other_columns_are_not_asked_for(write):
    file = write("t.jsonl", [{"messages": MESSAGES[1:3]}])
    data = talks(prompt_column="nowhere", response_column=None, history_column="neither")
    assert list(read_rows(file, data)) == [Row(1, "一", "二")]


def test_a_conversation_without_a_last_question_or_answer_is_empty(write):
    def said(*texts: Any) -> dict[str, Any]:
        return {
            "messages": [
                {"role": ("user", "assistant")[i % 2], "content": text}
                for i, text in enumerate(texts)
            ]
        }

    rows = [said("a", ""), said("", "b"), said("a", None), {"messages": []}, {"messages": None}]
    rows += [said("", "b", "c", "d"), said("a", "", "c", "d")]  # an earlier gap is no empty row
    found = read_rows(write("t.jsonl", rows), talks())
    assert (found.read, found.empty, found.bad, len(found)) == (7, 5, 0, 2)
    assert [row.history for row in found] == [(("", "b"),), (("a", ""),)]
    (problem,) = problems_of(write("u.jsonl", rows[:2]))
    assert "the last two messages in 'messages'" in problem.fix


@pytest.mark.parametrize(
    ("messages", "number", "words"),
    [
        ([USER], 1, "is the last, and of user"),
        ([USER, ANSWER, USER], 3, "is the last, and of user"),
        ([SYSTEM], 1, "is the last, and of system"),
        ([ANSWER], 1, "is of assistant, where user has the turn"),
        ([USER, USER, ANSWER], 2, "is of user, where assistant has the turn"),
        ([USER, ANSWER, ANSWER], 3, "is of assistant, where user has the turn"),
        ([USER, ANSWER, SYSTEM], 3, "is of system, where user has the turn"),
        ([SYSTEM, SYSTEM, USER, ANSWER], 2, "is of system, where user has the turn"),
        ([SYSTEM, ANSWER], 2, "is of assistant, where user has the turn"),
        ([USER, {"role": "tool", "content": "x"}], 2, 'has the role "tool"'),
        ([{"from": "Human", "value": "x"}, ANSWER], 1, 'has the from "Human"'),
        ([{"from": None, "value": "x"}, ANSWER], 1, "has the from null"),
        ([USER, {"role": "assistant"}], 2, "has the keys role"),
        ([{}, ANSWER], 1, "has the keys of nothing"),
        ([USER, "text"], 2, 'is text: "text"'),
        (
            [USER, {"role": "assistant", "content": 5}],
            2,
            "of assistant: its content is a number: 5",
        ),
        ([USER, {"from": "gpt", "value": ["x"]}], 2, 'of gpt: its value is a list: ["x"]'),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_no_conversation_is_told_by_line_and_message(
    write, messages, number, words, as_text
):
    cell = dumped(messages) if as_text else messages
    file = write("t.jsonl", [{"messages": MESSAGES}, {"messages": cell}])
    (problem,) = problems_of(file)
    assert problem.where == f"{file}:2"
    assert problem.what == f"messages: message {number} of {len(messages)} {words}"
    assert len(read_rows(file, talks(bad_rows="skip"))) == 1


def test_all_bad_messages_of_a_row_are_told_together(write):
    bad = [{"role": "user", "content": 1}, {"role": "nobody", "content": "x"}, USER]
    problems = problems_of(write("t.jsonl", [{"messages": bad}]))
    assert [p.what.split(" of ")[0] for p in problems] == [
        "messages: message 1",
        "messages: message 2",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [("你好", "is text"), ({"role": "user"}, "is an object"), (0, "is a number"), ("{", "is text")],
)
def test_what_is_no_list_is_told(write, value, words):
    file = write("t.jsonl", [{"messages": MESSAGES}, {"messages": value}])
    (problem,) = problems_of(file)
    assert (problem.what, problem.where) == (f"messages {words}", f"{file}:2")


def test_a_column_that_no_row_has_is_one_problem(write):
    file = write("t.jsonl", [{"conversations": MESSAGES}] * 9)
    (problem,) = problems_of(file)
    assert problem.what == "there is no column 'messages'"
    (problem,) = problems_of(write("u.jsonl", [{"message": MESSAGES}] * 9))
    assert problem.fix == "set data.messages_column to 'message'"
    (problem,) = problems_of(write("v.jsonl", [{"messages": MESSAGES}, {"message": MESSAGES}]))
    assert problem.where.endswith("v.jsonl:2")


def test_limits_count_conversations(write):
    file = write("t.json", json.dumps([{"messages": MESSAGES}] * 5))
    assert len(read_split(file, talks(max_train_rows=3), "train")) == 3
