"""The table of published runs goes through the planner, and its last line is one JSON object."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foretune.plan.decoder import decoder_shape

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
    TUNED | {"id": "f", "model": "Nobody-3B", "dims": None, "peak_mem": 51.0},
    TUNED | {"id": "h", "gpus": "eight", "peak_mem": 51.0},
    TUNED | {"id": "i", "dims": {**DIMS, "heads": "24"}, "peak_mem": 51.0},
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
    assert told["rows"] == 9
    assert told["skipped"] == {
        "no dimensions": 1, "lengths vary and are not given": 1, "no number of devices": 1,
        "a value of another kind": 1,
    }  # fmt: skip
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


def test_a_well_known_model_needs_no_dimensions(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    dims_of: Any = importlib.import_module("published_models").dims_of
    names = {
        "meta-llama/Meta-Llama-3.1-8B-Instruct": 14336, "Llama2_7B": 11008, "qwen-72b-chat": 24576,
        "Qwen2.5-7B-Instruct": 18944, "ZhipuAI/chatglm3-6b": 13696, "GLM-4-9B-Chat": 13696,
        "gpt2-xl": 6400, "Baichuan2-13B-Chat": 13696, "mixtral-8x7B-v0.1": 14336,
    }  # fmt: skip
    for name, ffn in names.items():
        assert dims_of({"model": name})["ffn"] == ffn, name
    assert dims_of({"model": "gpt2", "dims": {"hidden": 1024}})["hidden"] == 1024


def test_the_known_models_have_their_published_numbers_of_parameters(repository: Path):
    file = repository / "benchmarks" / "models.json"
    known = {one["name"]: one for one in json.loads(file.read_text("utf-8"))}
    published = {
        "llama-3.1-8b": 8_030_261_248, "baichuan2-13b": 13_896_668_160, "gpt2": 124_439_808,
        "mixtral-8x7b": 46_702_792_704, "qwen3-0.6b": 596_041_728, "gemma-7b": 8_537_680_896,
    }  # fmt: skip
    for name, count in published.items():
        sizes = {key: value for key, value in known[name].items() if key not in ("name", "source")}
        assert decoder_shape(**sizes).num_parameters == pytest.approx(count, rel=1e-4), name
    assert all(one["source"] for one in known.values()) and len(known) >= 100


def test_a_program_trains_as_it_did_at_the_time_of_the_row(
    repository: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    stack_of: Any = importlib.import_module("published_stacks").stack_of
    then, now = ({"framework": "TRL", "date": date} for date in ("2024-03", "2025-06"))
    assert (stack_of(then).loss, stack_of(then).repeats_keys) == ("shifted", True)
    assert (stack_of(now).loss, stack_of(now).repeats_keys) == ("full", False)
    assert stack_of({"framework": "HF Trainer", "date": "2022-01"}).old


def test_every_source_has_its_line_by_grade(printed: list[str]):
    lines = [line for line in printed if line.startswith("A ") and "github" not in line[:8]]
    assert sum("torchtune" in line for line in lines) == 2
    assert sum("torchtitan" in line for line in lines) == 2
