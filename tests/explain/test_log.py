"""What is said of the numbers of a log and of a trainer's state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.explain.command import explain
from foretune.explain.log import history, remarks_on
from foretune.formats.model_config import model_file
from foretune.formats.read import read
from foretune.params.arch.chatglm2 import ChatGLM2
from foretune.params.document import Document
from foretune.params.trainer_state import TrainerState
from foretune.params.training_log import TrainingLog
from foretune.plan.logged import candidates, countings, devices, published

GIVEN = {
    "Num examples": 243,
    "Num Epochs": 100,
    "Instantaneous batch size per device": 4,
    "Total train batch size (w. parallel, distributed & accumulation)": 16,
    "Gradient Accumulation steps": 4,
    "Total optimization steps": 1500,
}


def told(**changed: object) -> str:
    log = TrainingLog.model_validate({**GIVEN, **changed})
    document = Document(kind="training log", file="x", declared=log, keys={}, lines={})
    return "\n".join(words.en for words in remarks_on(document))


def test_the_published_log_is_worked_out_in_both_languages(shared: Path):
    folder = shared / "inputs/chatglm2-6b-finetuned"
    run = read(folder / "train.log", folder / "config.json")
    (document,) = run.documents
    words = list(remarks_on(document, model_file(run)))
    en, zh = " ".join(one.en for one in words), "".join(one.zh for one in words)
    for text in (en, zh):
        assert "4 × 4 × 1 = 16" in text
        assert "61 // 4" in text and "ceil(243 / (4 × 1)) = 61" in text
        assert "1,500 = 100 × 15" in text and "1,600 = 100 × 16" in text
        assert "r=8" in text and "pre_seq_len 136" in text
    assert "So 1 device took part." in en
    assert "LoRA with r=8 on query_key_value; or P-Tuning v2 with pre_seq_len 136." in en
    assert "0.03% of 6,243,584,000" in en
    assert "100 passes over 243 examples" in en


def test_without_a_config_every_known_size_is_tried(shared: Path):
    (document,) = read(shared / "inputs/chatglm2-6b-finetuned/train.log").documents
    text = " ".join(words.en for words in remarks_on(document))
    assert "LoRA with r=8 on query_key_value (THUDM/chatglm2-6b)" in text
    names = [name for name, _ in published()]
    assert len(names) == len(set(names)) >= 7


def test_pefts_count_of_all_parameters_tells_the_model():
    text = told(**{"trainable params": 29_360_128, "all params": 6_173_286_400 + 29_360_128})
    assert "chatglm-6b" in text and "chatglm2" not in text


def test_a_number_that_nothing_makes_is_said_to_be_unknown():
    assert "Nothing that is known gives exactly 1,949,697" in told(
        **{"Number of trainable parameters": 1_949_697}
    )


def test_the_devices_follow_from_the_total_batch():
    assert devices(TrainingLog.model_validate(GIVEN)) == 1
    total = "Total train batch size (w. parallel, distributed & accumulation)"
    assert devices(TrainingLog.model_validate({**GIVEN, total: 64})) == 4
    assert devices(TrainingLog.model_validate({**GIVEN, total: 18})) is None
    assert "18 is no multiple of 4 × 4 = 16" in told(**{total: 18})


def test_both_ways_of_counting_are_tried_with_and_without_the_last_batch():
    found = [
        (one.transformers, one.drop_last, one.made.steps)
        for one in countings(TrainingLog.model_validate(GIVEN))
    ]
    assert found == [
        ("4.51.3", False, 1500),
        ("4.51.3", True, 1500),
        ("4.52.4", False, 1600),
        ("4.52.4", True, 1500),
    ]


def test_a_log_of_a_newer_version_is_said_to_be_one():
    text = told(**{"Total optimization steps": 1600})
    assert text.splitlines()[2].endswith("So this log is of 4.52 or later.")


def test_steps_that_fill_no_pass_are_those_of_max_steps():
    text = told(**{"Num examples": 114_599, "Num Epochs": 1, "Total optimization steps": 3000})
    assert "max_steps decided" in text
    assert "3,000 / 7,163 = 0.4188 passes" in text


def test_numbers_that_do_not_fit_together_are_said_not_to():
    assert "No way of counting gives 7 steps" in told(**{"Total optimization steps": 7})


def test_a_prefix_is_sought_where_the_published_code_has_one():
    found = list(candidates(1_949_696, published()))
    assert {one.model for one in found} == {"THUDM/chatglm2-6b"}
    assert [one.explanation.method for one in found] == ["LoRA", "P-Tuning v2"]
    shape = ChatGLM2.model_validate(
        {k: v for k, v in ChatGLM2.published.items() if k != "_name_or_path"}
    ).shape
    assert found[0].parameters == shape.num_parameters


def line(**values: float) -> dict[str, float]:
    return values


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        (
            [line(loss=3.0), line(loss=0.5), line(loss=0.7)],
            "from 3 to 0.7 over 3 lines; the lowest is 0.5",
        ),
        ([line(loss=0.0), line(loss=0.0)], "exactly zero in 2 of 2 lines"),
        ([line(loss=1.0), line(loss=float("nan"))], "not a number in 1 of 2 lines"),
        ([line(learning_rate=1e-4)] * 3, "stays at 0.0001 in all 3 lines"),
        ([line(learning_rate=0.0)] * 3, "zero in all 3 lines: nothing learns"),
        ([line(grad_norm=0.0), line(grad_norm=1.0)], "gradient is zero in 1 of 2 lines"),
        ([line(grad_norm=float("inf"))], "gradient is not a number in 1 of 1 lines"),
        (
            [line(eval_loss=2.0), line(eval_loss=1.5, epoch=2), line(eval_loss=1.9)],
            "lowest in evaluation 2 of 3 (epoch 2), 1.5, and ends at 1.9",
        ),
    ],
)
def test_what_is_wrong_with_logged_values_is_said(logged: list[dict[str, float]], said: str):
    assert said in " ".join(words.en for words in history(logged))


@pytest.mark.parametrize(
    "logged",
    [
        [],
        [line(learning_rate=1e-4), line(learning_rate=9e-5), line(learning_rate=8e-5)],
        [line(eval_loss=2.0), line(eval_loss=1.5), line(eval_loss=1.4)],
        [line(learning_rate=0.0)],
    ],
)
def test_sound_values_are_left_in_peace(logged: list[dict[str, float]]):
    assert list(history(logged)) == []


def test_a_state_tells_how_far_the_run_had_come():
    state = TrainerState.model_validate(
        {
            "global_step": 300,
            "max_steps": 1500,
            "epoch": 20.0,
            "num_train_epochs": 100,
            "best_metric": 2.9,
            "best_global_step": 200,
        }
    )
    document = Document(kind="trainer state", file="x", declared=state, keys={}, lines={})
    first, second, third = (words.en for words in remarks_on(document))
    assert "300 of 1,500 steps are made (20%)" in first and "1,200 steps to go" in first
    assert "about 15 steps an epoch" in second
    assert "2.9, was reached at step 200; 100 steps since then" in third


def test_the_command_says_it(shared: Path, capsys: pytest.CaptureFixture[str]):
    from foretune.cli import main

    file = str(shared / "inputs/chatglm2-6b-finetuned/train.log")
    assert main(["explain", file, "--lang", "en"]) == 0
    assert "1,500 = 100 × 15" in capsys.readouterr().out
    assert main(["explain", file, "--lang", "zh", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_log_is_told_before_the_models_file_whatever_comes_first(shared: Path):
    folder = shared / "inputs/chatglm2-6b-finetuned"
    for names in (("log-as-pasted.txt", "config.json"), ("config.json", "train.log")):
        run = read(*(folder / name for name in names))
        text = explain(run, language="en")
        assert text.startswith("taken for a Trainer's log")
        assert (
            text.index("training log") < text.index("1,500 = 100 × 15") < text.index("ChatGLM2\n")
        )
        assert "LoRA with r=8 on query_key_value; or P-Tuning v2 with pre_seq_len 136" in (
            " ".join(text.split())
        )
