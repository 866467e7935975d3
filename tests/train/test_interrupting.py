"""Ctrl-C while training."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from foretune.train import conduct
from small_runs import foretune, listing, training


class PressCtrlC(TrainerCallback):
    """Interrupts the process during a step, so often."""

    def __init__(self, step: int, times: int) -> None:
        self.step, self.times = step, times

    def on_step_begin(self, args, state, control, **kwargs: Any):
        if state.global_step == self.step - 1:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch):
    """Has Ctrl-C pressed during a step of the next run; what a process does with it stays."""
    build, before = conduct.build_trainer, signal.getsignal(signal.SIGINT)

    def at(step: int, times: int = 1) -> None:
        def built(opened: conduct.Opened):
            trainer = build(opened)
            trainer.add_callback(PressCtrlC(step, times))
            return trainer

        monkeypatch.setattr(conduct, "build_trainer", built)

    yield at
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is before


def run(folder: Path, base: Path, *more: str) -> int:
    return foretune("train", *training(folder, base, max_steps=4), *more)


def test_the_run_ends_after_the_step_with_a_checkpoint_and_a_report(
    tmp_path: Path, base, press, capsys
):
    press(2)
    assert run(tmp_path, base("chatglm2")) == 130
    told = capsys.readouterr()
    assert "go on with --resume_from_checkpoint true" in told.out
    assert "Traceback" not in told.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ended"] == "interrupted at step 2"
    assert report["checkpoints"] == [str(tmp_path / "out" / "checkpoint-2")]
    assert [row["step"] for row in report["history"] if "loss" in row] == [1, 2]
    assert "interrupted at step 2" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_the_interrupted_run_can_be_finished(tmp_path: Path, base, press, monkeypatch):
    with monkeypatch.context():
        press(2)
        assert run(tmp_path, base("chatglm")) == 130
    monkeypatch.undo()
    assert run(tmp_path, base("chatglm"), "--resume_from_checkpoint", "true") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ended"] == "finished"
    assert [row["step"] for row in report["history"] if "loss" in row] == [1, 2, 3, 4]
    assert all(row["agrees"] is not False for row in report["comparison"])


def test_what_was_to_follow_the_training_is_left_out(tmp_path: Path, base, press):
    press(1)
    dev = tmp_path / "train.json"
    more = ["--do_eval", "--do_predict", "--validation_file", str(dev), "--test_file", str(dev)]
    assert run(tmp_path, base("chatglm"), *more) == 130
    assert not (tmp_path / "out" / "generated_predictions.txt").exists()
    assert not (tmp_path / "out" / "eval_results.json").exists()


def test_pressed_twice_it_ends_at_once(tmp_path: Path, base, press, capsys):
    press(2, times=2)
    assert run(tmp_path, base("chatglm")) == 130
    assert "Traceback" not in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ended"] == "interrupted"
    assert [name for name in listing(tmp_path / "out") if "checkpoint" in name] == []
