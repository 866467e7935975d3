"""The table of published runs goes through the planner, and its last line is one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DIMS = {"layers": 28, "hidden": 3072, "heads": 24, "kv_heads": 8, "head_dim": 128, "ffn": 8192,
        "vocab": 128256}  # fmt: skip
TUNED: dict[str, Any] = {
    "source": "github:pytorch/torchtune@bd2a0fc7c314:README.md", "date": "2024-12",
    "framework": "torchtune", "model": "Llama-3.2-3B", "dims": DIMS, "method": "full",
    "precision": "bf16", "optimizer": "AdamW", "seq_len": 4096, "seq_note": "packed",
    "micro_batch": 2, "grad_accum": 1, "gpus": 1, "gpu_type": "A100", "checkpointing": "none",
    "peak_mem_unit": "GiB", "peak_mem_kind": "peak memory active", "status": "ok", "quality": "A",
}  # fmt: skip
SHARDED: dict[str, Any] = {
    "source": "github:pytorch/torchtitan@b5bcd76c66d0:benchmarks/llama3_h100_202412_torchtitan.md",
    "date": "2024-12", "framework": "torchtitan", "model": "Llama-3.1-8B",
    "dims": {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128,
             "ffn": 14336, "vocab": 128256},
    "method": "pretrain", "precision": "bf16 mixed (FSDP2 fp32 params, bf16 compute)",
    "seq_len": 8192, "micro_batch": 2, "global_batch": 16, "gpus": 8,
    "gpu_type": "H100-96GB-HBM2e-500W", "dp": 8, "sharding": "FSDP2",
    "checkpointing": "selective op", "attention": "sdpa flash", "peak_mem_unit": "GiB",
    "peak_mem_kind": "peak reserved", "status": "ok", "quality": "A",
}  # fmt: skip
ROWS = [
    TUNED | {"id": "a", "compile": False, "peak_mem": 60.0, "tokens_per_s_per_gpu": 7075},
    TUNED | {"id": "b", "compile": True, "peak_mem": 51.0, "tokens_per_s_per_gpu": 8998},
    SHARDED | {"id": "c", "compile": False, "peak_mem": 82.4, "tokens_per_s_per_gpu": 5762},
    SHARDED | {"id": "d", "compile": True, "peak_mem": 77.0, "tokens_per_s_per_gpu": 6667},
    TUNED | {"id": "e", "gpu_type": "RTX4090", "status": "OOM"},
    TUNED | {"id": "f", "dims": None, "peak_mem": 51.0},
    TUNED | {"id": "g", "seq_note": "not packed, variable length", "peak_mem": 25.5},
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> list[str]:
    file = tmp_path_factory.mktemp("published") / "rows.json"
    file.write_text(json.dumps({"rows": ROWS}), "utf-8")
    command = [sys.executable, str(repository / "benchmarks" / "published.py"), str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.strip().split("\n")


def test_the_last_line_counts_rows_skipped_and_errors(printed: list[str]):
    told = json.loads(printed[-1])
    assert list(told) == ["rows", "skipped", "memory_a", "memory_old", "time_a", "oom"]
    assert told["rows"] == 7
    assert told["skipped"] == {"no dimensions": 1, "lengths vary and are not given": 1}
    assert told["memory_a"].keys() == {"n", "median", "p90", "worst_under"}
    assert told["time_a"].keys() == {"n", "mape", "mape_calibrated"}
    assert told["oom"] == {"n": 1, "right": 1}


def test_memory_of_the_published_runs_is_met(printed: list[str]):
    memory = json.loads(printed[-1])["memory_a"]
    assert memory["n"] == 4
    assert memory["p90"] < 0.03


def test_times_count_the_sources_that_were_not_fitted(printed: list[str]):
    time = json.loads(printed[-1])["time_a"]
    assert time["n"] == 2
    assert time["mape"] < 0.2
    assert time["mape_calibrated"] is not None


def test_every_source_has_its_line_by_grade(printed: list[str]):
    lines = [line for line in printed if line.startswith("A ") and "github" not in line[:8]]
    assert sum("torchtune" in line for line in lines) == 2
    assert sum("torchtitan" in line for line in lines) == 2
