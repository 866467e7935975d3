"""Checkpoints are complete or absent, and a run goes on from one as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from foretune.errors import UserError
from foretune.train.output import checkpoints
from foretune.tune import full, lora, prefix
from small_runs import listing, prefix_of, trained, trainer_of, training, write_rows

METHODS: dict[str, dict[str, Any]] = {
    "prefix": {},
    "LoRA": {"pre_seq_len": None, "lora_rank": 2, "lora_dropout": 0.1},
    "everything": {"pre_seq_len": None, "learning_rate": 1e-3},
}
WEIGHTS = {
    "prefix": "prefix_encoder.safetensors",
    "LoRA": "adapter_model.safetensors",
    "everything": "model.safetensors",
}
MODULES = {"prefix": prefix, "LoRA": lora, "everything": full}


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder)]


def break_save(monkeypatch: pytest.MonkeyPatch, method: str, at: int) -> None:
    """The save of that number breaks off when its weights are written."""
    save, calls = MODULES[method].save, []

    def broken(model: Any, folder: Path) -> None:
        save(model, folder)
        calls.append(folder)
        if len(calls) == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(MODULES[method], "save", broken)


class Seen(TrainerCallback):
    """What checkpoints there were after each step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.after = folder, []

    def on_step_end(self, args, state, control, **kwargs):
        self.after.append(names(self.folder))


@pytest.mark.parametrize("method", METHODS)
def test_a_save_that_breaks_off_leaves_no_checkpoint_and_the_one_before(
    tmp_path: Path, base, monkeypatch, method
):
    out = tmp_path / "out"
    told = {"save_steps": 1, **METHODS[method]}
    with monkeypatch.context() as broken:
        break_save(broken, method, at=2)
        with pytest.raises(OSError, match="No space left"):
            trained(tmp_path, base("chatglm2"), **told)
    assert names(out) == ["checkpoint-1"]
    assert not (out / "checkpoint-2").exists()
    report = json.loads((out / "report.json").read_text())
    assert report["ended"].startswith("failed: OSError")
    before = listing(out / "checkpoint-1")
    trained(tmp_path, base("chatglm2"), resume_from_checkpoint="true", **told)
    assert names(out) == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert listing(out / "checkpoint-1") == before
    assert not list(out.glob(".*"))


def test_a_folder_that_only_looks_like_a_checkpoint_is_none(tmp_path: Path, base):
    trained(tmp_path, base("chatglm"), max_steps=1)
    half = tmp_path / "out" / "checkpoint-9"
    shutil.copytree(tmp_path / "out" / "checkpoint-1", half)
    (half / "trainer_state.json").unlink()
    assert names(tmp_path / "out") == ["checkpoint-1"]


@pytest.mark.parametrize(("limit", "kept"), [(1, [4]), (2, [3, 4]), (9, [1, 2, 3, 4])])
def test_the_newest_checkpoints_are_kept(tmp_path: Path, base, limit, kept):
    trained(tmp_path, base("chatglm"), max_steps=4, save_steps=1, save_total_limit=limit)
    assert names(tmp_path / "out") == [f"checkpoint-{step}" for step in kept]


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("method", METHODS)
def test_the_best_checkpoint_is_found_again_at_the_end(tmp_path: Path, base, method, limit):
    line = training(
        tmp_path, base("chatglm2"), max_steps=4, save_steps=1, eval_strategy="steps", eval_steps=1,
        validation_file=write_rows(tmp_path / "dev.json", 3), load_best_model_at_end=True,
        metric_for_best_model="loss", greater_is_better="true", save_total_limit=limit,
        **METHODS[method],
    )  # fmt: skip
    trainer = trainer_of(line)
    trainer.train()
    found = {
        row["step"]: row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row
    }
    best = max(found, key=lambda step: found[step])
    out = tmp_path / "out"
    assert trainer.state.best_model_checkpoint == str(out / f"checkpoint-{best}")
    assert (out / f"checkpoint-{best}").is_dir()
    for step in {best, int(names(out)[-1].rpartition("-")[2])}:
        state = json.loads((out / f"checkpoint-{step}" / "trainer_state.json").read_text())
        assert state["best_model_checkpoint"] == str(out / f"checkpoint-{best}")
    expected = load_file(out / f"checkpoint-{best}" / WEIGHTS[method])
    own = {
        name.replace(".default.", "."): tensor
        for name, tensor in trainer.model.state_dict().items()
    }
    assert len(expected) >= 1
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())


def test_old_checkpoints_stay_until_the_new_run_has_one_of_its_own(tmp_path: Path, base):
    out = tmp_path / "out"
    trained(tmp_path, base("chatglm"), save_steps=1, max_steps=3)
    old = prefix_of(out / "checkpoint-2")
    line = training(
        tmp_path, base("chatglm"), save_steps=2, max_steps=2, overwrite_output_dir=True, seed=7
    )
    trainer, seen = trainer_of(line), Seen(out)
    trainer.add_callback(seen)
    trainer.train()
    assert seen.after == [["checkpoint-1", "checkpoint-2", "checkpoint-3"]] * 2
    assert names(out) == ["checkpoint-2"]
    key = next(iter(old))
    assert not torch.equal(prefix_of(out / "checkpoint-2")[key], old[key])


def test_a_new_run_that_never_saves_costs_no_old_checkpoint(tmp_path: Path, base, monkeypatch):
    trained(tmp_path, base("chatglm"), save_steps=1, max_steps=2)
    before = listing(tmp_path / "out" / "checkpoint-1")
    break_save(monkeypatch, "prefix", at=1)
    with pytest.raises(OSError, match="No space left"):
        trained(tmp_path, base("chatglm"), overwrite_output_dir=True, save_steps=1)
    assert names(tmp_path / "out") == ["checkpoint-1", "checkpoint-2"]
    assert listing(tmp_path / "out" / "checkpoint-1") == before


def test_a_fresh_run_among_old_checkpoints_is_refused(tmp_path: Path, base):
    trained(tmp_path, base("chatglm"), max_steps=1)
    before = listing(tmp_path / "out")
    with pytest.raises(UserError, match="holds 1 checkpoint of an earlier run") as refused:
        trained(tmp_path, base("chatglm"), max_steps=1)
    assert "--overwrite_output_dir" in refused.value.problems[0].fix
    assert listing(tmp_path / "out") == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_going_on_gives_bit_for_bit_what_never_stopping_gives(tmp_path: Path, base, family, method):
    told = {"max_steps": 5, "save_steps": 2, "gradient_accumulation_steps": 2, **METHODS[method]}
    whole = trained(tmp_path, base(family), rows=7, **told)
    start = tmp_path / "out" / "checkpoint-2"
    shutil.move(tmp_path / "out", tmp_path / "whole")
    rest = trained(
        tmp_path, base(family), rows=7, **told,
        resume_from_checkpoint=tmp_path / "whole" / start.name,
    )  # fmt: skip
    assert rest.ended == whole.ended == "finished"
    assert rest.training_log["actual"] == rest.training_log["forecast"]
    assert rest.disagreements == []
    assert [row for row in rest.history if "loss" in row] == [
        row for row in whole.history if "loss" in row
    ]
    for step in (4, 5):
        ours = load_file(tmp_path / "out" / f"checkpoint-{step}" / WEIGHTS[method])
        theirs = load_file(tmp_path / "whole" / f"checkpoint-{step}" / WEIGHTS[method])
        assert ours.keys() == theirs.keys() and len(ours) >= 1
        assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_true_goes_on_from_the_last_checkpoint_at_the_intervals_of_now(tmp_path: Path, base):
    trained(tmp_path, base("chatglm"), save_steps=1, max_steps=2)
    report = trained(tmp_path, base("chatglm"), max_steps=4, resume_from_checkpoint="true")
    assert [row["step"] for row in report.history if "loss" in row] == [1, 2, 3, 4]
    assert names(tmp_path / "out") == ["checkpoint-1", "checkpoint-2", "checkpoint-4"]


def without(file: str):
    def spoil(checkpoint: Path) -> None:
        (checkpoint / file).unlink()

    return spoil


def with_broken_state(checkpoint: Path) -> None:
    (checkpoint / "trainer_state.json").write_text('{"global_step": ')


@pytest.mark.parametrize(
    ("spoil", "asked", "what"),
    [
        (shutil.rmtree, "true", "there is no checkpoint in"),
        (shutil.rmtree, "checkpoint-2", "is no checkpoint to go on from"),
        (without("optimizer.pt"), "true", "is no checkpoint to go on from"),
        (without("trainer_state.json"), "checkpoint-2", "is no checkpoint to go on from"),
        (with_broken_state, "true", r"trainer_state\.json cannot be read"),
        (lambda checkpoint: None, "true", "has made 2 steps, and the run has 2"),
    ],
)
def test_going_on_from_nothing_is_refused(tmp_path: Path, base, spoil, asked, what):
    out = tmp_path / "out"
    trained(tmp_path, base("chatglm"), max_steps=2)
    spoil(out / "checkpoint-2")
    before = listing(out)
    point = asked if asked == "true" else out / asked
    with pytest.raises(UserError, match=what) as refused:
        trained(tmp_path, base("chatglm"), max_steps=2, resume_from_checkpoint=point)
    assert all((one.where, one.why, one.fix) for one in refused.value.problems)
    assert listing(out) == before


def test_a_prefix_of_another_length_is_not_gone_on_from(tmp_path: Path, base):
    trained(tmp_path, base("chatglm"), max_steps=1)
    with pytest.raises(UserError, match=r"embedding\.weight does not fit"):
        trained(
            tmp_path, base("chatglm"), max_steps=2, pre_seq_len=6, resume_from_checkpoint="true"
        )
