"""Files to rows: every layout that is read, and every mistake that a file can hold."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import astuple

import pytest

from foretune.data.read import count_rows, read_rows, read_split
from foretune.data.rows import SHOWN, Row
from foretune.errors import UserError

from .conftest import data_of

ROWS = [
    {"prompt": "你好", "response": "您好", "history": []},
    {"prompt": "二", "response": "2\n行", "history": [["你好", "您好"]]},
]
READ = [("你好", "您好", (), ""), ("二", "2\n行", (("你好", "您好"),), "")]


def problems_of(file, **settings):
    with pytest.raises(UserError) as caught:
        read_rows(file, data_of(**settings))
    for problem in caught.value.problems:
        assert problem.what and problem.where and problem.why and problem.fix
    return caught.value.problems


def read(file, **settings):
    return [astuple(row) for row in read_rows(file, data_of(history_column="history", **settings))]


def dumped(rows, **style):
    return json.dumps(rows, ensure_ascii=False, **style)


LAYOUTS = {
    "lines.json": ("\n".join(map(dumped, ROWS)), [1, 2]),
    "lines.jsonl": ("\n\n".join(map(dumped, ROWS)) + "\n", [1, 3]),
    "windows.jsonl": ("\r\n".join(map(dumped, ROWS)) + "\r\n", [1, 2]),
    "array.json": (dumped(ROWS), [1, 1]),
    "pretty.json": (dumped(ROWS, indent=2), [2, 7]),
    "array.jsonl": ("[\n" + ",\n".join(map(dumped, ROWS)) + "\n]\n", [2, 3]),
    "data.json": (dumped({"data": ROWS}), [1, 1]),
    "pretty-data.json": (dumped({"version": {"data": 1}, "data": ROWS}, indent=2), [6, 11]),
    "ascii.json": ("\n".join(map(json.dumps, ROWS)), [1, 2]),
    "table.csv": (
        'prompt,history,response\n你好,,您好\n\n二,"[[""你好"", ""您好""]]","2\n行"\n',
        [2, 4],
    ),
    "windows.csv": (
        'prompt,history,response\r\n你好,,您好\r\n二,"[[""你好"", ""您好""]]","2\n行"\r\n',
        [2, 3],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_layout_gives_the_same_rows_with_their_lines(write, name, mark):
    text, lines = LAYOUTS[name]
    expected = [(line, *row) for line, row in zip(lines, READ, strict=True)]
    assert read(write(name, mark + text)) == expected


def test_a_quoted_newline_moves_the_lines_of_the_rows_after_it(write):
    file = write("t.csv", 'prompt,response\n"a\nb\nc",d\ne,f\n')
    assert [row.line for row in read_rows(file, data_of())] == [2, 5]


def test_a_line_separator_inside_a_text_ends_no_line(write):
    rows = [{"prompt": "a\u2028b\u0085c", "response": "d"}] * 2
    assert [row.line for row in read_rows(write("t.jsonl", rows), data_of())] == [1, 2]


def test_a_csv_field_may_be_longer_than_the_csv_module_allows(write):
    file = write("t.csv", f"prompt,response\n{'a' * 200_000},b\n")
    assert len(read_rows(file, data_of()).rows[0].prompt) == 200_000


def test_empty_and_null_rows_are_counted_and_left_out(write):
    rows = [
        {"prompt": "a", "response": "b"},
        {"prompt": "", "response": "b"},
        {"prompt": "a", "response": None},
        {"prompt": " ", "response": "b"},  # a blank is no empty text to the official code, either
    ]
    found = read_rows(write("t.json", rows), data_of())
    assert (found.read, found.empty, found.bad, len(found)) == (4, 2, 0, 2)
    assert list(found) == [Row(1, "a", "b"), Row(4, " ", "b")]


def test_the_limit_counts_rows_of_the_file(write):
    rows = [{"prompt": "", "response": ""}] + [{"prompt": "a", "response": "b"}] * 5
    file = write("t.json", rows)
    found = read_split(file, data_of(max_train_rows=3, max_eval_rows=2), "train")
    assert (found.read, found.empty, len(found)) == (3, 1, 2)
    assert len(read_split(file, data_of(max_eval_rows=2), "evaluate")) == 1
    assert len(read_split(file, data_of(max_eval_rows=2), "predict")) == 5


def test_counting_needs_no_tokenizer_and_no_torch(write):
    file = write("t.json", [{"prompt": "a", "response": "b"}, {"prompt": "", "response": "b"}])
    program = (
        "import sys; from foretune.data.read import count_rows; from foretune.params.data import "
        f"Data; facts = count_rows({file!r}, Data(prompt_column='prompt', "
        "response_column='response')); print(facts.rows, facts.empty, facts.examples); "
        "sys.exit(sorted({'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules)) != [])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "1", "1"]
    assert count_rows(file, data_of()).tokens is None


# What is wrong with a file


def test_a_missing_file_names_the_one_that_is_meant(write, tmp_path):
    write("train.json", ROWS)
    (problem,) = problems_of(str(tmp_path / "tarin.json"))
    assert "no file tarin.json" in problem.what
    assert str(tmp_path / "train.json") in problem.fix


def test_a_missing_folder_is_named(tmp_path):
    (problem,) = problems_of(str(tmp_path / "no" / "train.json"))
    assert str(tmp_path / "no") in problem.why


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "rows.json").mkdir()
    (problem,) = problems_of(str(tmp_path / "rows.json"))
    assert "cannot be read" in problem.what


@pytest.mark.parametrize("name", ["rows.txt", "rows"])
def test_another_kind_of_file_is_refused(write, name):
    (problem,) = problems_of(write(name, "x"))
    assert ".json, .jsonl, .csv" in problem.fix


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_refused(write, content):
    (problem,) = problems_of(write("t.json", content))
    assert "empty" in problem.what


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.json", "[]"), ("t.json", '{"data": []}'), ("t.csv", "prompt,response")],
)
def test_a_file_without_rows_is_refused(write, name, content):
    (problem,) = problems_of(write(name, content))
    assert problem.what == "there are no rows"


def test_rows_that_are_all_empty_are_refused(write):
    (problem,) = problems_of(write("t.json", [{"prompt": "", "response": "b"}] * 3))
    assert problem.what == "3 rows read, and none can be used"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_another_encoding_is_told_by_its_byte_and_line(write, encoding):
    text = '{"prompt": "a", "response": "b"}\n{"prompt": "你好", "response": "b"}\n'
    (problem,) = problems_of(write("t.json", text.encode(encoding)))
    assert f"iconv -f {encoding} -t utf-8" in problem.fix
    if encoding == "gb18030":
        assert problem.where.endswith("t.json:2")
        assert "byte 0xc4 at position 45" in problem.what


def test_bytes_of_no_encoding_are_told_too(write):
    (problem,) = problems_of(write("t.json", b'{"prompt": "\xff\xff'))
    assert "byte 0xff at position 12" in problem.what


def test_broken_lines_are_told_together_and_the_rest_is_read(write):
    good = '{"prompt": "a", "response": "b"}'
    text = f'{good}\n{{"prompt": "a" "response": "b"}}\n{good}\n{{"prompt": \n{good}\n'
    file = write("t.jsonl", text)
    problems = problems_of(file)
    assert [problem.where for problem in problems] == [f"{file}:2", f"{file}:4"]
    assert "expecting ',' delimiter, at column 16" in problems[0].what
    skipped = read_rows(file, data_of(bad_rows="skip"))
    assert (skipped.read, skipped.bad, len(skipped)) == (5, 2, 3)


def test_a_broken_first_line_does_not_hide_that_the_file_is_lines(write):
    good = '{"prompt": "a", "response": "b"}'
    file = write("t.json", f'{{"prompt": \n{good}\n{good}\n')
    assert [problem.where for problem in problems_of(file)] == [f"{file}:1"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[\n {"prompt": "a", "response": "b"}\n {"prompt": "a", "response": "b"}]', 3),
        ('[\n {"prompt": "a", "response": "b"},\n {"prompt": "a" "response": "b"}]', 3),
        ('[\n {"prompt": "a", "response": "b"},\n', 3),
        ('[{"prompt": "a", "response": "b"}]\n\nmore', 3),
        ('{\n "data": [\n {"prompt": "a", "response": "b"}\n "more"', 4),
        ('{\n "data"\n [{"prompt": "a", "response": "b"}]}', 3),
        ('{"data": [{"prompt": "a", "response": "b"}]\n\n', 3),
        ("prompt: a\n", 1),
    ],
)
@pytest.mark.parametrize("bad_rows", ["refuse", "skip"])
def test_a_broken_array_ends_the_reading_even_where_bad_rows_are_skipped(
    write, text, line, bad_rows
):
    file = write("t.json", text)
    (problem,) = problems_of(file, bad_rows=bad_rows)
    assert "broken JSON" in problem.what
    assert problem.where == f"{file}:{line}"


def test_one_object_that_is_no_row_is_explained(write):
    (problem,) = problems_of(write("t.json", '{\n "rows": [],\n "version": 1\n}'))
    assert problem.what == "the file is one object, with the keys rows, version"


@pytest.mark.parametrize("value", [1, "text", ["a", "b"], None])
def test_a_row_that_is_no_object_is_told(write, value):
    file = write("t.jsonl", [ROWS[0], value])
    (problem,) = problems_of(file)
    assert problem.where == f"{file}:2"
    assert "this row is" in problem.what


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "is a number: 1"),
        (True, "is true or false: true"),
        (["a"], 'is a list: ["a"]'),
        ({"a": "b"}, 'is an object: {"a": "b"}'),
        ("x" + "y" * 90 + "\ud83d", "holds the lone surrogate \\ud83d"),
    ],
)
@pytest.mark.parametrize("column", ["prompt", "response"])
def test_a_value_that_is_no_text_is_told(write, value, words, column):
    lines = [json.dumps(ROWS[0]), json.dumps({**ROWS[0], column: value})]
    file = write("t.jsonl", "\n".join(lines))
    (problem,) = problems_of(file)
    assert problem.where == f"{file}:2"
    assert problem.what == f"{column} {words}"


@pytest.mark.parametrize(
    "history",
    [
        "some text",
        {"user": "a"},
        ["a", "b"],
        [["a"]],
        [["a", "b", "c"]],
        [["a", None]],
        [{"role": "user", "content": "a"}],
        1,
    ],
)
def test_a_history_that_is_no_list_of_pairs_is_told(write, history):
    file = write("t.jsonl", [ROWS[0], {**ROWS[0], "history": history}])
    (problem,) = problems_of(file, history_column="history")
    assert problem.where == f"{file}:2"
    assert problem.what.startswith("history holds ")
    assert '[["question", "answer"], ...]' in problem.fix


def test_a_row_may_lack_a_history_but_not_every_row(write):
    bare = {"prompt": "a", "response": "b"}
    file = write("t.jsonl", [bare, {**bare, "history": [["q", "a"]]}, {**bare, "history": None}])
    rows = read_rows(file, data_of(history_column="history"))
    assert [row.history for row in rows] == [(), (("q", "a"),), ()]
    (problem,) = problems_of(write("u.jsonl", [bare] * 3), history_column="history")
    assert problem.what == "there is no column 'history'"


def test_a_column_that_no_row_has_is_one_problem(write):
    rows = [{"content": "a", "summary": "b"}] * 100
    file = write("t.json", rows)
    (problem,) = problems_of(file, prompt_column="contents", response_column="summary")
    assert problem.what == "there is no column 'contents'"
    assert problem.where == f"{file}:1"
    assert "content, summary" in problem.why
    assert problem.fix == "set data.prompt_column to 'content'"
    both = problems_of(file, prompt_column="x", response_column="y", bad_rows="skip")
    assert len(both) == 2


def test_a_column_that_was_not_given_is_one_problem(write):
    file = write("t.json", [{"content": "a", "summary": "b"}] * 100)
    problems = problems_of(file, prompt_column=None, response_column=None)
    assert [problem.what for problem in problems] == [
        "data.prompt_column is not given",
        "data.response_column is not given",
    ]


def test_a_column_that_one_row_lacks_is_told_with_its_line(write):
    file = write("t.json", [ROWS[0], {"prompt": "a", "respones": "b"}])
    (problem,) = problems_of(file)
    assert problem.where == f"{file}:2"
    assert problem.fix == "set data.response_column to 'respones'"


def test_both_columns_of_a_row_are_told(write):
    file = write("t.json", [ROWS[0], {"prompt": 1, "response": 2}])
    assert len(problems_of(file)) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [("a,b,c", "3 fields where the header has 2"), ("a", "1 field where the header has 2")],
)
def test_a_csv_line_with_another_number_of_fields_is_told(write, line, words):
    file = write("t.csv", f"prompt,response\na,b\n{line}\nc,d\n")
    (problem,) = problems_of(file)
    assert (problem.what, problem.where) == (words, f"{file}:3")
    assert len(read_rows(file, data_of(bad_rows="skip"))) == 2


def test_a_quote_that_is_not_closed_is_told_where_it_opens(write):
    file = write("t.csv", 'prompt,response\na,b\n"c,d\ne,f\n')
    (problem,) = problems_of(file)
    assert problem.where == f"{file}:3"
    assert "broken CSV" in problem.what


def test_of_many_problems_the_first_are_told_and_the_others_counted(write):
    rows = [ROWS[0]] + [{"prompt": 1, "response": "b"}] * (SHOWN + 30)
    *shown, rest = problems_of(write("t.json", rows))
    assert len(shown) == SHOWN
    assert rest.what == "30 more problems of this kind"
    assert f"{SHOWN + 30} rows" in rest.why


def test_skipping_does_not_hide_that_every_row_is_bad(write):
    assert len(problems_of(write("t.json", [{"prompt": 1, "response": 2}]), bad_rows="skip")) == 2


def test_a_hub_data_set_without_the_package_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError) as caught:
        read_split(None, data_of(dataset="owner/name"), "train")
    (problem,) = caught.value.problems
    assert "foretune[hub-data]" in problem.fix


def test_rows_of_a_hub_data_set_are_numbered_from_one(monkeypatch):
    class Fake:
        asked: tuple = ()

        @classmethod
        def load_dataset(cls, *name, split):
            cls.asked = (*name, split)
            return [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": 4}]

    monkeypatch.setitem(sys.modules, "datasets", Fake)
    data = data_of(dataset="owner/name", dataset_part="zh", bad_rows="skip")
    rows = read_split(None, data, "evaluate")
    assert Fake.asked == ("owner/name", "zh", "validation")
    assert (rows.file, rows.bad, rows.rows) == ("owner/name[validation]", 1, [Row(1, "a", "b")])
    with pytest.raises(UserError) as caught:
        read_split(None, data_of(dataset="owner/name"), "train")
    assert caught.value.problems[0].where == "owner/name[train]:2"


def test_a_hub_data_set_that_does_not_load_is_refused(monkeypatch):
    class Fake:
        @staticmethod
        def load_dataset(*name, split):
            raise FileNotFoundError("Dataset owner/name doesn't exist")

    monkeypatch.setitem(sys.modules, "datasets", Fake)
    with pytest.raises(UserError) as caught:
        read_split(None, data_of(dataset="owner/name"), "predict")
    assert "doesn't exist" in caught.value.problems[0].why
