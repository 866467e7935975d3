"""The typed run: settings with origins, strict types, and resolving."""

from __future__ import annotations

import pytest

from foretune.errors import UserError
from foretune.params.resolve import resolve
from foretune.params.run import Run, compose, parameters
from foretune.params.setting import Origin, Setting

LINE_7 = Origin("train.sh", 7, "--max_steps 3000")


def test_a_value_knows_the_line_it_was_written_on():
    run = compose([Setting("schedule.max_steps", "3000", LINE_7, text=True)])
    assert run.schedule.max_steps == 3000
    assert str(run.origin("schedule.max_steps")) == "train.sh:7 (--max_steps 3000)"
    assert run.written("schedule.max_steps") and not run.written("batch.micro")


def test_the_last_setting_counts_and_the_earlier_ones_are_kept():
    run = Run().set({"batch.micro": 4}).set({"batch.micro": 8})
    assert run.batch.micro == 8
    assert [setting.value for setting in run.settings] == [4, 8]


def test_text_is_read_as_what_it_means_and_typed_values_are_taken_strictly():
    assert compose([Setting("batch.micro", "8", LINE_7, text=True)]).batch.micro == 8
    with pytest.raises(UserError, match=r"batch.micro = '8' cannot be used"):
        compose([Setting("batch.micro", "8", LINE_7)])


def test_text_can_spell_a_choice_that_is_a_number():
    run = compose([Setting("precision.quantize", "4", LINE_7, text=True)])
    assert run.precision.quantize == 4
    with pytest.raises(UserError, match="4 or 8"):
        compose([Setting("precision.quantize", "5", LINE_7, text=True)])


def test_every_problem_is_told_at_once():
    with pytest.raises(UserError) as raised:
        Run().set({"batch.micro": 0, "batch.mikro": 3, "method.prefix.dropout": 1.5})
    problems = raised.value.problems
    assert len(problems) == 3
    assert problems[1].fix == "write 'batch.micro'"


def test_a_run_cannot_be_changed_in_place():
    with pytest.raises(Exception, match="frozen"):
        Run().batch.micro = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_resolving_fills_in_with_a_reason_and_leaves_the_written_run_as_it_was():
    written = Run().set({"method.prefix.length": 128, "model.path": "weights"})
    resolved = resolve(written)
    assert (written.method.name, resolved.method.name) == (None, "ptuning")
    assert resolved.generate.max_length == 1024 + 128 + 1
    assert str(resolved.origin("model.tokenizer")) == "model.path"
    assert not resolved.written("model.tokenizer")


def test_resolving_twice_changes_nothing():
    once = resolve(Run().set({"method.name": "lora"}))
    assert resolve(once) == once


def test_a_run_that_is_asked_to_train_says_all_that_it_lacks():
    with pytest.raises(UserError) as raised:
        resolve(Run().set({"launch.train": True, "method.name": "ptuning"}))
    lacking = {problem.what.split()[0] for problem in raised.value.problems}
    assert lacking == {
        "method.name", "model.path", "record.output", "data.prompt_column",
        "data.response_column", "data.train",
    }  # fmt: skip


def test_a_secret_is_never_shown():
    run = Run().set({"trainer.hub_token": "hf_abc"})
    assert run.trainer.hub_token == "hf_abc"
    assert run.shown("trainer.hub_token") == "***"


def test_every_parameter_can_be_read_by_its_path():
    run = Run()
    assert len(parameters()) >= 160
    for path, field in parameters().items():
        assert run.get(path) == field.default
