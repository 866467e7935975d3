"""Steps, held against the trainer that is installed: its own loader and its own arithmetic, in
worlds of several processes of which there is one. The others are played by torch's fake backend,
so what is asked is all that a process counts by itself, and nothing that it is told by others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate.state import AcceleratorState
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import Trainer, TrainingArguments

from foretune.plan.steps import Steps, steps
from foretune.plan.version import installed

WORLDS = (1, 2, 3, 4, 8, 13, 64)
ORDERS = ("random", "sequential", "group_by_length", "batch_rebalance")


@contextmanager
def world(processes: int) -> Iterator[None]:
    """This process as the first of so many."""
    before = dict(os.environ)
    AcceleratorState._reset_state(reset_partial_state=True)
    os.environ |= {
        "WORLD_SIZE": str(processes), "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost",
        "LOCAL_WORLD_SIZE": str(processes), "MASTER_PORT": "1",
    }  # fmt: skip
    dist.init_process_group("fake", rank=0, world_size=processes, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)
        os.environ.clear()
        os.environ.update(before)


class Rows(list[dict[str, list[int]]]):
    """A data set of so many rows of different lengths."""

    def __init__(self, count: int, random: Random) -> None:
        super().__init__({"input_ids": [1] * random.randint(1, 9)} for _ in range(count))


def setting(random: Random) -> dict[str, Any]:
    """Everything that the number of steps hangs on, but for the processes."""
    return {
        "examples": random.choice([random.randint(1, 60), random.randint(61, 3000)]),
        "micro": random.choice([1, 2, 3, 4, 5, 8, 16, 31]),
        "accumulation": random.choice([1, 2, 3, 4, 7, 8, 16]),
        "epochs": random.choice([1.0, 2.0, 3.0, 100.0, round(random.uniform(0.01, 5), 2)]),
        "max_steps": random.choice([None, None, random.randint(1, 400)]),
        "warmup": random.choice([0, 3, 0.03, 0.1, round(random.random(), 3)]),
        "drop_last": random.random() < 0.4,
    }


def as_the_trainer_counts(folder: str, order: str, random: Random, told: dict[str, Any]) -> Steps:
    """What transformers' own trainer makes of it."""
    args = TrainingArguments(
        output_dir=folder, use_cpu=True, report_to="none", remove_unused_columns=False,
        per_device_train_batch_size=told["micro"], num_train_epochs=told["epochs"],
        gradient_accumulation_steps=told["accumulation"], max_steps=told["max_steps"] or -1,
        warmup_steps=told["warmup"], dataloader_drop_last=told["drop_last"],
        train_sampling_strategy=order,
    )  # fmt: skip
    rows = Rows(told["examples"], random)
    trainer = Trainer(model=torch.nn.Linear(1, 1), args=args, train_dataset=rows)
    loader = trainer.get_train_dataloader()
    begun, per_epoch, examples, _, total_batch, batches, total = (
        trainer.set_initial_training_values(args, loader)
    )
    devices = args.world_size
    assert total_batch == told["micro"] * told["accumulation"] * devices
    return Steps(
        transformers=installed("transformers"), examples=examples, micro=told["micro"],
        devices=devices, accumulation=told["accumulation"], batches_per_epoch=batches or 0,
        steps_per_epoch=per_epoch, epochs=begun, steps=total, warmup=args.get_warmup_steps(total),
    )  # fmt: skip


def no_batch(told: dict[str, Any], devices: int, order: str) -> bool:
    """The forecast refuses what has no batch, and the trainer does not train it."""
    whole = told["micro"] * devices * (told["accumulation"] if order == "batch_rebalance" else 1)
    return told["drop_last"] and told["examples"] < whole


def test_the_installed_trainer_counts_the_same_steps_in_hundreds_of_runs(tmp_path):
    random, asked = Random(7), 0
    for processes in WORLDS:
        with world(processes):
            for _ in range(80):
                told, order = setting(random), random.choice(ORDERS)
                if no_batch(told, processes, order):
                    continue
                expected = as_the_trainer_counts(str(tmp_path), order, random, told)
                made = steps(
                    devices=processes, transformers=installed("transformers"),
                    rebalanced=order == "batch_rebalance", **told,
                )  # fmt: skip
                assert made == expected, (order, told)
                asked += 1
    assert asked >= 500


def test_after_the_worlds_this_process_is_alone(tmp_path):
    with world(3):
        assert TrainingArguments(output_dir=str(tmp_path), use_cpu=True).world_size == 3
    assert TrainingArguments(output_dir=str(tmp_path), use_cpu=True).world_size == 1


def before_4_52(told: dict[str, Any], batches: int) -> tuple[int, int, int]:
    """Epochs begun, steps of one, and steps in all, by transformers 4.51.3:
    src/transformers/trainer.py, ``Trainer.set_initial_training_values``, lines 5296 to 5320.
    """
    per_epoch = max(batches // told["accumulation"], 1)
    if told["max_steps"] is not None:
        total = told["max_steps"]
        return total // per_epoch + int(total % per_epoch > 0), per_epoch, total
    return math.ceil(told["epochs"]), per_epoch, math.ceil(told["epochs"] * per_epoch)


@pytest.mark.parametrize("version", ["4.30.2", "4.46.0", "4.51.3"])
def test_older_trainers_leave_out_the_last_partial_accumulation(version):
    random, differing = Random(11), 0
    for _ in range(400):
        told, devices = setting(random), random.choice(WORLDS)
        if no_batch(told, devices, "random"):
            continue
        made = steps(devices=devices, transformers=version, **told)
        sampler = torch.utils.data.BatchSampler(
            range(told["examples"]), told["micro"], told["drop_last"]
        )
        whole = len(sampler) // devices if told["drop_last"] else -(-len(sampler) // devices)
        assert (made.epochs, made.steps_per_epoch, made.steps) == before_4_52(told, whole), told
        differing += made.steps != steps(devices=devices, transformers="4.52.0", **told).steps
    assert differing > 50
