"""Step arithmetic, held against logs of old versions and against the trainer that is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.cli import main
from foretune.facts import DataFacts, Facts
from foretune.params.arch import read_architecture
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.plan.forecast import forecast, training_log
from foretune.plan.parameters import explanations
from foretune.plan.steps import steps
from foretune.plan.version import installed

THE_LOGGED_RUN = {
    "batch.micro": 4,
    "batch.accumulation": 4,
    "schedule.epochs": 100.0,
    "method.name": "lora",
    "method.lora.rank": 8,
}


def shape_of(shared: Path, folder: str):
    config = json.loads((shared / "inputs" / folder / "config.json").read_text())
    architecture, _ = read_architecture(config)
    assert architecture is not None
    return architecture.shape


def log_of(shape, transformers: str) -> str:
    run = resolve(Run().set(THE_LOGGED_RUN), shape)
    facts = Facts(
        transformers=transformers, train=DataFacts(file="train.json", rows=243, examples=243)
    )
    return training_log(forecast(run, facts, shape))


def test_the_log_of_4_30_2_comes_out_to_the_character(shared):
    written = (shared / "inputs/chatglm2-6b-finetuned/train.log").read_text().rstrip("\n")
    assert log_of(shape_of(shared, "chatglm2-6b-finetuned"), "4.30.2") == written


def test_since_4_52_the_same_run_makes_1600_steps(shared):
    block = log_of(shape_of(shared, "chatglm2-6b-finetuned"), "4.52.4")
    assert "Total optimization steps = 1,600" in block
    assert "update steps per epoch" not in block


def test_since_5_3_the_log_names_the_steps_of_an_epoch(shared):
    block = log_of(shape_of(shared, "chatglm2-6b-finetuned"), "5.3.0")
    assert "  Num update steps per epoch = 16\n" in block


@pytest.mark.parametrize(
    ("transformers", "per_epoch", "total"),
    [("4.30.2", 15, 1500), ("4.51.3", 15, 1500), ("4.52.4", 16, 1600), ("5.23.0", 16, 1600)],
)
def test_the_last_partial_accumulation_counts_since_4_52(transformers, per_epoch, total):
    made = steps(
        examples=243, micro=4, accumulation=4, devices=1, epochs=100, max_steps=None,
        warmup=0, drop_last=False, transformers=transformers,
    )  # fmt: skip
    assert (made.batches_per_epoch, made.steps_per_epoch, made.steps) == (61, per_epoch, total)


def test_a_number_of_parameters_alone_has_two_explanations(shared):
    found = list(explanations(shape_of(shared, "chatglm2-6b"), 1_949_696))
    assert [str(one) for one in found] == [
        "LoRA with r=8 on query_key_value",
        "P-Tuning v2 with pre_seq_len 136",
    ]


@pytest.mark.parametrize(
    ("folder", "projection", "trainable"),
    [
        ("chatglm-6b", False, 29_360_128),
        ("chatglm2-6b", False, 1_835_008),
        ("chatglm-6b", True, 957_059_072),
        ("chatglm2-6b", True, 119_293_952),
    ],
)
def test_128_prefix_tokens_train_as_many_parameters_as_published(
    shared, folder, projection, trainable
):
    shape = shape_of(shared, folder)
    values = {"method.prefix.length": 128, "method.prefix.projection": projection}
    run = resolve(Run().set(values), shape)
    assert forecast(run, Facts(transformers="5.23.0"), shape).trainable == trainable


def test_the_plan_names_the_steps_of_the_version_that_saved_the_config(shared, tmp_path, capsys):
    rows = tmp_path / "rows.json"
    rows.write_text('{"q": "a", "a": "b"}\n' * 243)
    config = str(shared / "inputs/chatglm2-6b-finetuned/config.json")
    flags = ["--train_file", str(rows), "--prompt_column", "q", "--response_column", "a"]
    flags += ["--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "4"]
    flags += ["--num_train_epochs", "100", "--lora_rank", "8"]
    assert main(["plan", config, *flags]) == 0
    shown = capsys.readouterr().out
    assert "Total optimization steps = 1,600" in shown
    assert "transformers 4.30.2 made 1,500 steps of this run" in shown
    assert main(["plan", config, *flags, "--transformers", "4.30.2"]) == 0
    written = (shared / "inputs/chatglm2-6b-finetuned/train.log").read_text()
    assert capsys.readouterr().out.startswith(written)


class Rows(list):
    """A dataset of so many rows for the real trainer."""


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 60),
    micro=st.integers(1, 9),
    accumulation=st.integers(1, 9),
    epochs=st.sampled_from([0.3, 1.0, 2.5, 3.0, 7.0]),
    max_steps=st.one_of(st.none(), st.integers(1, 40)),
    warmup=st.sampled_from([0, 3, 0.1, 0.06]),
    drop_last=st.booleans(),
)
def test_the_installed_trainer_counts_the_same(
    tmp_path_factory, rows, micro, accumulation, epochs, max_steps, warmup, drop_last
):
    if drop_last and rows < micro:
        return  # the trainer refuses a loader without a batch
    import torch
    from transformers import Trainer, TrainingArguments

    args = TrainingArguments(
        output_dir=str(tmp_path_factory.getbasetemp()), use_cpu=True, report_to="none",
        per_device_train_batch_size=micro, gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs, max_steps=max_steps or -1, warmup_steps=warmup,
        dataloader_drop_last=drop_last, remove_unused_columns=False,
    )  # fmt: skip
    trainer = Trainer(model=torch.nn.Linear(1, 1), args=args, train_dataset=Rows([{"x": 0}] * rows))
    loader = trainer.get_train_dataloader()
    begun, per_epoch, examples, _, total_batch, batches, total = (
        trainer.set_initial_training_values(args, loader)
    )
    made = steps(
        examples=rows, micro=micro, accumulation=accumulation, devices=1, epochs=epochs,
        max_steps=max_steps, warmup=warmup, drop_last=drop_last,
        transformers=installed("transformers"),
    )  # fmt: skip
    assert (made.epochs, made.steps_per_epoch, made.examples) == (begun, per_epoch, examples)
    assert (made.total_batch, made.batches_per_epoch, made.steps) == (total_batch, batches, total)
    assert made.warmup == args.get_warmup_steps(total)
