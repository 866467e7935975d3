"""Our own run file."""

from __future__ import annotations

from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.read import read
from foretune.formats.run_file import Kind, read_run_file, write_run
from foretune.params.run import Run, compose, parameters

YAML = """\
model: {path: weights}
batch:
  micro: 4            # a comment
optim.learning_rate: 1e-5
precision:
  mixed: no
method:
  lora:
    targets: [q, v]
schedule:
  arguments: {num_cycles: 2}
record:
"""
TOML = """\
optim.learning_rate = 1e-5
model = {path = "weights"}
[batch]
micro = 4
[precision]
mixed = "no"
[method.lora]
targets = [
  "q", "v",
]
[schedule]
arguments = {num_cycles = 2}
"""
JSON = """\
{
\t"model": {"path": "weights"}, "batch": {
\t\t"micro": 4
\t},
\t"optim.learning_rate": 1e-5,
\t"precision": {"mixed": "no"},
\t"method": {"lora": {"targets": ["q", "v"]}},
\t"schedule": {"arguments": {"num_cycles": 2}}
}
"""


@pytest.mark.parametrize(
    ("kind", "text", "lines"),
    [
        ("yaml", YAML, [1, 3, 4, 6, 9, 11]),
        ("toml", TOML, [2, 4, 1, 6, 8, 12]),
        ("json", JSON, [2, 3, 5, 6, 7, 8]),
    ],
)
def test_three_notations_say_the_same(kind: Kind, text: str, lines: list[int]):
    reading = read_run_file(text, "run", kind)
    assert reading.problems == []
    found = {setting.path: (setting.value, setting.origin.line) for setting in reading.settings}
    expected = {
        "model.path": "weights",
        "batch.micro": 4,
        "optim.learning_rate": 1e-5,
        "precision.mixed": "no",
        "method.lora.targets": ["q", "v"],
        "schedule.arguments": {"num_cycles": 2},
    }
    assert found == {
        path: (value, line) for (path, value), line in zip(expected.items(), lines, strict=True)
    }
    compose(reading.settings)


def problems(text: str, kind: Kind = "yaml") -> list[tuple[str, str]]:
    try:
        reading = read_run_file(text, "run", kind)
        found = list(reading.problems)
        compose(reading.settings)
    except UserError as error:
        found = list(error.problems)
    return [(problem.what, problem.where) for problem in found]


def test_values_must_have_their_type():
    assert problems("batch:\n  micro: '4'\n") == [
        ("batch.micro = '4' cannot be used", "run:2 (batch.micro)")
    ]
    assert problems("batch: {micro: 4.5}\noptim: {learning_rate: fast}\n") == [
        ("batch.micro = 4.5 cannot be used", "run:1 (batch.micro)"),
        ("optim.learning_rate = 'fast' cannot be used", "run:2 (optim.learning_rate)"),
    ]


def test_an_unknown_name_is_a_problem_that_names_the_nearest(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("batch:\n  mirco: 4\nbach: {eval: 1}\nmodel: 3\n", "utf-8")
    with pytest.raises(UserError) as refused:
        read(file)
    first, *others = refused.value.problems
    assert first.what == "model = 3 is no section" and first.where == f"{file}:4"
    assert [(problem.what, problem.where, problem.fix) for problem in others] == [
        ("there is no parameter 'batch.mirco'", f"{file}:2 (batch.mirco)", "write 'batch.micro'"),
        ("there is no parameter 'bach.eval'", f"{file}:3 (bach.eval)", "write 'batch.eval'"),
    ]


@pytest.mark.parametrize(
    ("kind", "text", "where"),
    [
        ("yaml", "batch: {micro: 1}\nbatch: {eval: 1}\n", ["run:2"]),
        ("yaml", "batch:\n  micro: 1\n  micro: 2\nbatch.micro: 3\n", ["run:3", "run:4"]),
        ("json", '{"batch": {"micro": 1,\n "micro": 2}}', ["run:2"]),
        ("json", '{"batch": {"micro": 1},\n "batch.micro": 2}', ["run:2"]),
        ("toml", "[batch]\nmicro = 1\nmicro = 2\n", ["run:3"]),
    ],
)
def test_what_is_given_twice_is_a_problem(kind: Kind, text: str, where: list[str]):
    assert [place for _, place in problems(text, kind)] == where


@pytest.mark.parametrize(
    ("kind", "text", "where"),
    [
        ("yaml", "batch:\n  micro: 4\n eval: 5\n", "run:3"),
        ("yaml", "batch: {micro: 4\n", "run:2"),
        ("toml", "[batch]\nmicro 4\n", "run:2"),
        ("json", '{"batch":\n {"micro": 4,}}', "run:2, column"),
        ("yaml", "- a\n- b\n", "run"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(kind: Kind, text: str, where: str):
    ((what, place),) = problems(text, kind)
    assert what.startswith("this is no ")
    assert place.startswith(where)


def test_a_parameter_may_hold_a_mapping_of_its_own():
    text = "launch:\n  environment:\n    A: '1'\n"
    (setting,) = read_run_file(text, "run", "yaml").settings
    assert (setting.path, setting.value) == ("launch.environment", {"A": "1"})


def same(one: Run, other: Run) -> list[str]:
    return [path for path in parameters() if one.get(path) != other.get(path)]


@pytest.mark.parametrize(
    "script", ["chatglm-6b/train.sh", "chatglm2-6b/train.sh", "accelerate/launch.sh"]
)
def test_a_written_run_reads_back_as_the_same_run(shared: Path, tmp_path: Path, script: str):
    run = read(shared / "inputs" / script)
    text = write_run(run, tmp_path / "run.yaml")
    assert (tmp_path / "run.yaml").read_text("utf-8") == text
    assert same(read(tmp_path / "run.yaml"), run) == []


def test_every_kind_of_value_can_be_written_and_read_back(tmp_path: Path):
    values: dict[str, object] = {
        "model.path": "no",
        "data.train": "数据/训练 1.json",
        "data.source_prefix": "a: b # c\n\t'\"",
        "optim.learning_rate": 1e-5,
        "optim.epsilon": 1e-6,
        "schedule.epochs": 2.5,
        "schedule.warmup": 100,
        "schedule.arguments": {"min_lr": 1e-7, "on": True, "name": "1e-5"},
        "method.lora.targets": ["query_key_value", "1"],
        "launch.environment": {"A": "1", "B": "yes"},
        "launch.visible_devices": "0,1",
        "precision.mixed": "bf16",
        "precision.quantize": 8,
        "precision.tf32": False,
    }
    run = Run().set(values)
    text = write_run(run, tmp_path / "run.yaml")
    again = read(tmp_path / "run.yaml")
    assert same(again, run) == ["method.name"]  # implied by method.lora.targets
    written = [setting.path for setting in again.settings if setting.origin.written]
    assert sorted(written) == sorted(values)
    assert all("#" in line for line in text.split("\n") if "command line" in line)


def test_each_written_value_says_where_it_comes_from(shared: Path):
    text = write_run(read(shared / "inputs/chatglm-6b/train.sh"))
    line = next(line for line in text.split("\n") if "learning_rate" in line)
    assert line.startswith("  learning_rate: 0.02 # ")
    assert line.endswith("chatglm-6b/train.sh:23 (--learning_rate $LR)")
    assert "gradient_checkpointing: true # main.py of ChatGLM-6B and ChatGLM2-6B always" in text


def test_a_run_of_defaults_is_an_empty_file(tmp_path: Path):
    write_run(Run(), tmp_path / "run.yaml")
    assert read(tmp_path / "run.yaml").settings == ()
