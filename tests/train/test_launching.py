"""Runs in several processes: how they are started, and what they come to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from foretune.errors import UserError
from foretune.train import launch
from small_runs import foretune, prefix_of, run_of, script, trained, training, write_rows

TWO = "torchrun --nproc-per-node=2 main.py"


class Started:
    """Stands in for subprocess.run, and keeps the command."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        self.commands: list[list[str]] = []
        self.status = status
        monkeypatch.setattr(launch.subprocess, "run", self)

    def __call__(self, command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.status)


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_as_many_processes_are_started_as_the_launcher_would_start(
    tmp_path: Path, base, monkeypatch, verb
):
    started = Started(monkeypatch, status=7)
    dev = write_rows(tmp_path / "dev.json", 2)
    file = script(
        tmp_path / "train.sh", training(tmp_path, base("chatglm"), validation_file=dev), TWO
    )
    assert foretune(verb, file, "--use_cpu", "--set", "batch.micro=3") == 7
    module = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [verb, str(file), "--use_cpu", "--set", "batch.micro=3"]
    assert started.commands == [[*module, "-m", "foretune", *words]]


def test_what_is_wrong_with_the_files_is_told_before_any_process_starts(
    tmp_path: Path, base, monkeypatch, capsys
):
    started = Started(monkeypatch, status=1)
    line = training(tmp_path, base("chatglm"), prompt_column="contents")
    assert foretune("train", script(tmp_path / "train.sh", line, TWO)) == 2
    assert capsys.readouterr().err.count("there is no column 'contents'") == 1
    assert started.commands == []


def test_one_process_is_run_here(tmp_path: Path, base, monkeypatch):
    started = Started(monkeypatch, status=1)
    line = training(tmp_path, base("chatglm"), max_steps=1)
    file = script(tmp_path / "train.sh", line, "torchrun --nproc-per-node=1 main.py")
    assert foretune("train", file) == 0
    assert started.commands == []


def test_several_machines_are_not_started_from_here(tmp_path: Path, base, capsys):
    line = training(tmp_path, base("chatglm"))
    launcher = "torchrun --nnodes=2 --nproc-per-node=1 main.py"
    assert foretune("train", script(tmp_path / "train.sh", line, launcher)) == 2
    assert "the script asks for 2 nodes" in capsys.readouterr().err


def test_one_process_is_no_stand_in_for_two(tmp_path: Path, base):
    with pytest.raises(UserError, match="2 processes are asked for, and 1 runs"):
        trained(tmp_path, base("chatglm"), **{"launch.processes": 2})
    assert not (tmp_path / "out").exists()


def test_variables_in_front_of_the_command_are_set_where_the_shell_has_none(
    tmp_path: Path, base, monkeypatch
):
    monkeypatch.setenv("THERE", "already")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("NCCL_P2P_DISABLE", "later removed")
    monkeypatch.delenv("NCCL_P2P_DISABLE")
    run = run_of(training(tmp_path, base("chatglm"))).set(
        {"launch.environment": {"THERE": "new", "NCCL_P2P_DISABLE": "1"},
         "launch.visible_devices": "3"}
    )  # fmt: skip
    launch.set_environment(run)
    assert os.environ["THERE"] == "already"
    assert os.environ.pop("NCCL_P2P_DISABLE") == "1"
    assert os.environ.pop("CUDA_VISIBLE_DEVICES") == "3"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["prefix", "LoRA"])
def test_two_processes_train_as_one_with_twice_the_accumulation(
    tmp_path: Path, base, repository: Path, method
):
    flags: dict[str, object] = {
        "max_steps": 4, "save_steps": 2, "do_eval": True, "do_predict": True, "use_cpu": True,
        "predict_with_generate": True, "generate.do_sample": "false", "method.prefix.dropout": 0,
        "gradient_checkpointing": True, "validation_file": write_rows(tmp_path / "dev.json", 5),
    }  # fmt: skip
    flags["test_file"] = flags["validation_file"]
    if method == "LoRA":
        flags |= {"pre_seq_len": None, "lora_rank": 2}
    one = trained(
        tmp_path / "one", base("chatglm2"), rows=8, gradient_accumulation_steps=2, **flags
    )
    line = training(tmp_path / "two", base("chatglm2"), rows=8, **flags)
    file = script(tmp_path / "train.sh", line, TWO)
    done = subprocess.run(
        [sys.executable, "-m", "foretune", "train", file],
        cwd=repository, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("forecast\n***** Running training *****") == 1
    out = tmp_path / "two" / "out"
    report = json.loads((out / "report.json").read_text())
    assert report["forecast"]["total batch"] == report["actual"]["total batch"] == 4
    assert [row["name"] for row in report["comparison"] if row["agrees"] is False] == []
    assert report["training_log"]["forecast"] == report["training_log"]["actual"]
    losses = [row["loss"] for row in report["history"] if "loss" in row]
    expected = [row["loss"] for row in one.history if "loss" in row]
    assert losses == pytest.approx(expected, rel=1e-4) and len(losses) == 4
    assert report["metrics"]["eval_loss"] == pytest.approx(one.metrics["eval_loss"], rel=1e-3)
    assert report["metrics"]["predict_samples"] == 5
    predictions = "generated_predictions.txt"
    assert (out / predictions).read_text() == (tmp_path / "one/out" / predictions).read_text()
    assert sorted(file.name for file in out.glob("report.*")) == ["report.html", "report.json"]
    if method == "prefix":
        ours, theirs = (prefix_of(tmp_path / n / "out/checkpoint-4") for n in ("one", "two"))
        for name, tensor in ours.items():
            torch.testing.assert_close(theirs[name], tensor, rtol=1e-3, atol=1e-5)
