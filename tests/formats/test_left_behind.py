"""What a run left behind: a Trainer's log, and trainer_state.json."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from transformers import TrainerState as Theirs

from foretune.formats.kinds import kind_of
from foretune.formats.read import read
from foretune.params.document import Document
from foretune.params.run import Run
from foretune.params.trainer_state import TrainerState
from foretune.params.training_log import LoggedValues, TrainingLog

LOG = """\
[INFO|trainer.py:1779] 2023-08-01 10:00:00,123 >> ***** Running training *****
[INFO|trainer.py:1780] 2023-08-01 10:00:00,123 >>   Num examples = 114,599
  Num Epochs = 1
  Instantaneous batch size per device = 1
  Training with DataParallel so batch size has been adjusted to: 2
  Total train batch size (w. parallel, distributed & accumulation) = 16
  Gradient Accumulation steps = 8
  Total optimization steps = 3,000
trainable params: 1,949,696 || all params: 6,245,533,696 || trainable%: 0.0312
  0%|          | 0/3000 [00:00<?, ?it/s]
{'loss': 4.51, 'learning_rate': 0.0199, 'epoch': 0.0}
{'loss': '0', 'grad_norm': 'nan', 'learning_rate': '0.0198', 'epoch': '0.01'}
{'loss': nan, 'learning_rate': 0.0197, 'epoch': 0.02}
***** Running Evaluation *****
  Num examples = 100
  Batch size = 8
{"current_steps": 10, "loss": 2.5, "lr": 5e-05}
***** train metrics *****
  epoch                    =       0.42
  train_loss               =     3.3
  train_runtime            = 0:01:40.50
"""


def written(tmp_path: Path, text: str, name: str = "train.log") -> Run:
    (tmp_path / name).write_text(text, "utf-8")
    return read(tmp_path / name)


def documents(run: Run) -> dict[str, Document]:
    return {one.kind: one for one in run.documents}


def test_the_log_and_its_pasted_paragraph_say_the_same(shared: Path):
    folder = shared / "inputs/chatglm2-6b-finetuned"
    (printed,) = read(folder / "train.log").documents
    (pasted,) = read(folder / "log-as-pasted.txt").documents
    assert printed.declared == pasted.declared
    log = printed.declared
    assert isinstance(log, TrainingLog)
    assert (log.num_examples, log.num_epochs, log.micro) == (243, 100, 4)
    assert (log.total_batch, log.accumulation, log.steps) == (16, 4, 1500)
    assert log.trainable == 1_949_696
    for document in (printed, pasted):
        lines = Path(document.file).read_text("utf-8").split("\n")
        assert len(document.lines) == 7
        assert all(label in lines[line - 1] for label, line in document.lines.items())


def test_a_log_is_found_among_the_lines_of_a_terminal(tmp_path: Path):
    log = documents(written(tmp_path, LOG))["training log"].declared
    assert isinstance(log, TrainingLog)
    assert (log.num_examples, log.data_parallel, log.steps) == (114_599, 2, 3000)
    assert (log.eval_examples, log.eval_batch) == (100, 8)
    assert (log.peft_trainable, log.peft_all, log.peft_share) == (1_949_696, 6_245_533_696, 0.0312)
    assert len(log.log_history) == 5


def test_logged_values_are_read_as_every_version_prints_them(tmp_path: Path):
    run = written(tmp_path, LOG)
    log, last = (documents(run)[kind].declared for kind in ("training log", "last logged values"))
    assert isinstance(log, TrainingLog) and isinstance(last, LoggedValues)
    assert log.log_history[0] == {"loss": 4.51, "learning_rate": 0.0199, "epoch": 0.0}
    assert log.log_history[1]["loss"] == 0 and math.isnan(log.log_history[1]["grad_norm"])
    assert math.isnan(log.log_history[2]["loss"])
    assert log.log_history[3] == {"step": 10, "loss": 2.5, "learning_rate": 5e-05}
    assert (last.train_runtime, last.train_loss, last.loss) == (100.5, 3.3, 2.5)
    assert documents(run)["last logged values"].lines["loss"] == 17


STATE = {
    "best_metric": 2.9,
    "best_global_step": 200,
    "best_model_checkpoint": "out/checkpoint-200",
    "epoch": 20.0,
    "global_step": 300,
    "max_steps": 1500,
    "num_train_epochs": 100,
    "train_batch_size": 4,
    "log_history": [
        {"loss": 3.0, "learning_rate": 1e-4, "epoch": 1.0, "step": 15},
        {"eval_loss": 2.9, "epoch": 13.3, "step": 200},
    ],
}


def test_a_trainers_state_is_read_with_its_lines(tmp_path: Path):
    run = written(tmp_path, json.dumps(STATE, indent=1), "trainer_state.json")
    found = documents(run)
    state = found["trainer state"].declared
    assert isinstance(state, TrainerState)
    assert (state.global_step, state.max_steps, state.best_metric) == (300, 1500, 2.9)
    assert str(found["trainer state"].origin("max_steps")).endswith(".json:7 (max_steps)")
    last = found["last logged values"]
    assert isinstance(last.declared, LoggedValues)
    assert (last.declared.eval_loss, last.declared.loss, last.lines["eval_loss"]) == (2.9, 3.0, 20)


def test_a_state_that_the_installed_transformers_writes_is_read_whole(tmp_path: Path):
    state = Theirs(epoch=1.5, global_step=3, max_steps=6, log_history=[{"loss": 1.0, "step": 1}])
    state.save_to_json(str(tmp_path / "trainer_state.json"))
    run = read(tmp_path / "trainer_state.json")
    assert run.notes == ()
    assert documents(run)["trainer state"].keys.keys() == dataclasses.asdict(state).keys()


def test_every_key_of_the_installed_state_is_declared_and_no_other():
    theirs = {field.name: field for field in dataclasses.fields(Theirs)}
    assert set(TrainerState.model_fields) == set(theirs)
    assert len(theirs) >= 20
    for name, field in TrainerState.model_fields.items():
        if theirs[name].default is not None or name not in ("log_history",):
            assert field.default in (theirs[name].default, ()), name


@pytest.mark.parametrize(
    "text",
    [
        "python main.py --do_train",
        "batch:\n  micro: 4",
        "dim = 4096",
        '{"model_type": "chatglm"}',
        "#!/bin/bash\necho 'Num examples = 3'",
    ],
)
def test_other_text_is_no_log(text: str):
    assert kind_of(text, "pasted.txt") != "log"


def test_a_log_that_is_cut_in_the_middle_of_a_number_is_read_as_far_as_it_goes(tmp_path: Path):
    (document,) = written(tmp_path, "Num examples = 243 Num Epochs = 1").documents
    assert document.keys == {"Num examples": 243, "Num Epochs": 1}
