"""Forecast step times of this CPU beside measured ones, on small models of nine families.

    OMP_NUM_THREADS=1 python benchmarks/cpu_steps.py [--rows 90] [--seed 1] > steps.jsonl
    python benchmarks/cpu_steps.py --read steps.jsonl

Every row is a run of foretune's own trainer with sizes, method, batch and length drawn at random;
the rates of the machine are measured before and after it. On one thread what counts is the time
that the process computed, so that other work on the machine says little. The second form prints the
errors: by the rates alone, and with the factor of the other runs of its family, or of its family
and method.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from foretune.plan.cpu_time import cpu_step_time
from foretune.plan.devices import Device
from foretune.train import machine
from foretune.train.clock import StepClock
from foretune.train.conduct import build_trainer, open_run
from other_models import MODELS, other_model
from small_models import small_model
from small_runs import run_of, training

FAMILIES = (
    "chatglm", "chatglm2", "baichuan", "baichuan2", "qwen2", "llama", "gpt2", "gemma2", "mistral",
)  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "ptuning": {}, "lora": {"pre_seq_len": None, "lora_rank": 8}, "full": {"pre_seq_len": None},
}  # fmt: skip
MOST = 512 * 4 * 256 * 6
"""Hidden size times tokens of a micro batch times blocks: what takes seconds, and no minutes."""


def sizes(family: str, hidden: int, layers: int, heads: int) -> dict[str, int]:
    """The keys of config.json that make a model of a family so large."""
    shared, width, inner = max(heads // 2, 1), hidden // heads, hidden * 5 // 2
    if family == "chatglm":
        return {"hidden_size": hidden, "inner_hidden_size": 4 * hidden, "num_layers": layers,
                "num_attention_heads": heads}  # fmt: skip
    if family == "chatglm2":
        return {"hidden_size": hidden, "ffn_hidden_size": inner, "num_layers": layers,
                "num_attention_heads": heads, "kv_channels": width,
                "multi_query_group_num": shared}  # fmt: skip
    if family == "gpt2":
        return {"n_embd": hidden, "n_layer": layers, "n_head": heads, "n_positions": 2048}
    common = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
              "num_attention_heads": heads}  # fmt: skip
    if family.startswith("baichuan"):
        return common
    return common | {"num_key_value_heads": shared, "head_dim": width,
                     "max_position_embeddings": 2048}  # fmt: skip


def drawn(random: Random, family: str) -> dict[str, Any]:
    """What one run is."""
    while True:
        row = {
            "family": family, "hidden": random.choice([64, 128, 256, 384, 512]),
            "layers": random.choice([2, 3, 4, 6, 8]), "heads": random.choice([4, 8]),
            "method": random.choice(["ptuning", "lora", "full", "full"]),
            "micro": random.choice([1, 2, 4, 8]), "accumulation": random.choice([1, 1, 2]),
            "source": random.choice([32, 64, 128, 256]), "checkpointing": random.random() < 0.2,
        }  # fmt: skip
        if row["hidden"] * row["micro"] * row["source"] * row["layers"] <= MOST:
            return row


def measured(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The row with what a step of its run took, and what was forecast."""
    family = row["family"]
    make = other_model if family in MODELS else small_model
    base = make(
        folder / "base", family, **sizes(family, row["hidden"], row["layers"], row["heads"])
    )
    text = {"content": "上衣白色裙子 abc def " * 60, "summary": "白色裙子 abc " * 40}
    count = row["micro"] * row["accumulation"] * 10
    flags: dict[str, Any] = {
        "max_source_length": row["source"], "max_target_length": row["source"] // 2,
        "pad_to_max_length": True, "max_steps": 8, "save_strategy": "no",
        "per_device_train_batch_size": row["micro"],
        "gradient_accumulation_steps": row["accumulation"], **METHODS[row["method"]],
    }  # fmt: skip
    if row["checkpointing"]:
        flags["gradient_checkpointing"] = True
    opened = open_run(run_of(training(folder, base, rows=[text] * count, **flags)), lambda _: None)
    before, trainer, clock = machine.measure_cpu(), build_trainer(opened), StepClock()
    trainer.add_callback(clock)
    trainer.train()
    after, expected = machine.measure_cpu(), opened.forecast
    assert expected.shape is not None and expected.usual is not None
    found = cpu_step_time(expected.shape, expected.usual, between(before, after))
    parts = ("products", "attention", "traffic", "starting", "optimizer")
    return row | {
        "length": expected.usual.length,
        "seconds": min(lap.cpu for lap in clock.counted),
        "median": statistics.median(lap.cpu for lap in clock.counted),
        "forecast": found.seconds,
        **{part: getattr(found, part) for part in parts},
        "tera": [before.fp32, after.fp32],
        "operation_us": [before.operation_us, after.operation_us],
    }


def between(one: Device, other: Device) -> Device:
    """The rates in the middle of two measurements."""
    pairs = zip(one.traffic, other.traffic, strict=True)
    return replace(
        one,
        fp32=((one.fp32 or 0) + (other.fp32 or 0)) / 2,
        operation_us=((one.operation_us or 0) + (other.operation_us or 0)) / 2,
        traffic=tuple((size, (a * b) ** 0.5) for (size, a), (_, b) in pairs),
    )


def told(errors: Iterable[float]) -> str:
    """How many, their mean and spread, and how many are within 15 %."""
    sizes = sorted(map(abs, errors))
    inside = sum(size <= 0.15 for size in sizes) / len(sizes)
    high = sizes[min(round(0.9 * len(sizes)), len(sizes) - 1)]
    return (
        f"{len(sizes)} runs: mean {statistics.mean(sizes):.1%}, median "
        f"{statistics.median(sizes):.1%}, p90 {high:.1%}; {inside:.0%} within 15 %"
    )


def summary(rows: list[dict[str, Any]]) -> None:
    """Prints the errors."""
    print("by the rates alone       ", told(row["forecast"] / row["seconds"] - 1 for row in rows))
    for keys in (("family",), ("family", "method")):
        errors: list[float] = []
        for row in rows:
            alike = [
                other["seconds"] / other["forecast"]
                for other in rows
                if other is not row and all(other[key] == row[key] for key in keys)
            ]
            if alike:
                errors.append(row["forecast"] * statistics.median(alike) / row["seconds"] - 1)
        print(f"with others of {' and '.join(keys):16}", told(errors))
    for family in FAMILIES:
        errors = [row["forecast"] / row["seconds"] - 1 for row in rows if row["family"] == family]
        if errors:
            print(f"  {family:10}", " ".join(f"{error:+.0%}" for error in errors))


def main() -> None:
    reader = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    reader.add_argument("--rows", type=int, default=90)
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--read", type=Path)
    asked = reader.parse_args()
    if asked.read is not None:
        summary([json.loads(line) for line in asked.read.read_text("utf-8").splitlines()])
        return
    logging.disable(logging.WARNING)
    machine.TRIES, machine.TRY = 3, 0.008
    random = Random(asked.seed)
    for at in range(asked.rows):
        row = drawn(random, FAMILIES[at % len(FAMILIES)])
        with tempfile.TemporaryDirectory() as folder:
            out, sys.stdout = sys.stdout, sys.stderr  # the trainer prints its log
            try:
                found = measured(row, Path(folder))
            finally:
                sys.stdout = out
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
