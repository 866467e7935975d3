"""The forecast of a run, and what the trainer then logs and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foretune.train.foresee import foresee
from foretune.train.report import Report
from small_runs import run_of, trained, training

LENGTHS: list[tuple[str, int, int, int, dict[str, Any]]] = [
    ("chatglm", 6, 2, 1, {"num_train_epochs": 2}),
    ("chatglm2", 7, 2, 2, {"num_train_epochs": 2, "warmup_ratio": 0.3}),
    ("chatglm", 5, 8, 1, {"num_train_epochs": 3, "warmup_steps": 2}),
    ("chatglm2", 7, 2, 2, {"num_train_epochs": 1.5}),
    ("chatglm", 7, 3, 4, {"num_train_epochs": 2}),
    ("chatglm2", 8, 2, 2, {"max_steps": 5}),
    ("chatglm", 7, 2, 3, {"max_steps": 4, "num_train_epochs": 9}),
    ("chatglm2", 7, 2, 1, {"num_train_epochs": 2, "dataloader_drop_last": True}),
    ("chatglm", 8, 2, 3, {"max_steps": 4, "dataloader_drop_last": True}),
    ("chatglm2", 6, 1, 16, {"max_steps": 2, "warmup_steps": 0.5}),
    ("chatglm", 6, 2, 1, {"num_train_epochs": 1, "max_train_samples": 5}),
]
"""Family, rows, micro batch, accumulation, and what else is said."""

METHODS: dict[str, dict[str, Any]] = {
    "prefix": {},
    "projected prefix": {"prefix_projection": True, "gradient_checkpointing": True},
    "LoRA": {"pre_seq_len": None, "lora_rank": 2},
    "LoRA on all linears": {
        "pre_seq_len": None,
        "lora_rank": 3,
        "lora_target": "query_key_value,dense,dense_h_to_4h,dense_4h_to_h",
    },
    "everything": {"pre_seq_len": None, "learning_rate": 1e-4},
    "prefix on 4 bits": {"quantization_bit": 4},
    "LoRA on 8 bits": {"quantization_bit": 8, "pre_seq_len": None, "lora_rank": 2},
}


def assert_all_as_forecast(report: Report, at_least: int) -> None:
    assert report.training_log["actual"] == report.training_log["forecast"]
    assert report.disagreements == []
    agreed = [row.name for row in report.comparisons if row.agrees]
    assert agreed == list(report.forecast.figures())
    assert len(agreed) >= at_least


@pytest.mark.parametrize(("family", "rows", "micro", "accumulation", "more"), LENGTHS)
def test_steps_and_tokens_are_those_that_the_trainer_counts(
    tmp_path: Path, base, family, rows, micro, accumulation, more
):
    report = trained(
        tmp_path, base(family), rows=rows, per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        **{"max_steps": None, "save_strategy": "no", **more},
    )  # fmt: skip
    assert_all_as_forecast(report, at_least=12)


@pytest.mark.parametrize("family", ["baichuan", "baichuan2"])
@pytest.mark.parametrize("method", ["prefix", "projected prefix", "LoRA", "everything"])
def test_a_baichuan_trains_as_forecast(tmp_path: Path, base, family, method):
    report = trained(tmp_path, base(family), max_steps=2, **METHODS[method])
    assert_all_as_forecast(report, at_least=12)


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_those_that_the_model_has(tmp_path: Path, base, family, method):
    report = trained(
        tmp_path, base(family), max_steps=None, num_train_epochs=1, save_strategy="no",
        **METHODS[method],
    )  # fmt: skip
    assert_all_as_forecast(report, at_least=13)
    assert 0 < report.actual["trainable parameters"] <= report.actual["total parameters"]
    assert (method == "everything") == (
        report.actual["trainable parameters"] == report.actual["total parameters"]
    )


@pytest.mark.parametrize(
    ("more", "promised"),
    [
        ({"max_steps": None, "num_train_epochs": 2}, True),
        ({"max_steps": 8}, True),
        ({"max_steps": 3}, False),
        ({"max_steps": None, "num_train_epochs": 1.5}, False),
        ({"max_steps": 3, "dataloader_drop_last": True}, False),
        ({"max_steps": 4, "dataloader_drop_last": True, "max_train_samples": 4}, True),
        ({"max_steps": 4, "nproc": 2}, False),
    ],
)
def test_tokens_are_promised_only_where_every_row_is_seen_equally(
    tmp_path: Path, base, more, promised
):
    processes = more.pop("nproc", 1)
    run = run_of(training(tmp_path, base("chatglm"), rows=7, **more))
    figures = foresee(run.set({"launch.processes": processes}), tokens=True).figures()
    assert ("trained tokens" in figures) == promised


def test_an_interval_longer_than_the_run_changes_nothing_of_the_forecast(tmp_path: Path, base):
    report = trained(tmp_path, base("chatglm2"), logging_steps=500, save_steps=500, max_steps=2)
    assert_all_as_forecast(report, at_least=12)
    assert [row for row in report.history if "loss" in row] == []
    assert report.metrics["train_loss"] > 0
