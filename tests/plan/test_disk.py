"""Bytes on disk, held against checkpoints that were written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foretune.params.run import Run
from foretune.plan.events import kept
from foretune.train.foresee import foresee
from small_runs import run_of, trained, training

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "a prefix": ("prefix_encoder.safetensors", {}),
    "a projected prefix": ("prefix_encoder.safetensors", {"prefix_projection": True}),
    "LoRA": ("adapter_model.safetensors", {"pre_seq_len": None, "lora_rank": 2}),
    "everything": ("model.safetensors", {"pre_seq_len": None, "learning_rate": 1e-4}),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_is_as_large_as_forecast(tmp_path: Path, base, method: str):
    file, more = METHODS[method]
    flags = {"max_steps": 2, "save_steps": 1, "save_total_limit": 1, **more}
    report = trained(tmp_path, base("chatglm2"), **flags)
    folders = sorted((tmp_path / "out").glob("checkpoint-*"))
    found = foresee(run_of(training(tmp_path, base("chatglm2"), **flags))).disk
    assert found is not None and (found.written, found.kept) == (2, len(folders)) == (2, 1)
    sizes = {one.name: one.stat().st_size for one in folders[0].iterdir()}
    weights = sizes[file] + (sizes["pytorch_model.bin"] if "prefix" in file else 0)
    exact = "prefix" not in file
    assert found.weights == (weights if exact else pytest.approx(weights, abs=2_000))
    assert found.optimizer == pytest.approx(sizes["optimizer.pt"], rel=0.1, abs=3_000)
    tokenizer = sum(size for name, size in sizes.items() if name.startswith("tokenizer"))
    assert found.checkpoint == pytest.approx(sum(sizes.values()) - tokenizer, rel=0.05, abs=6_000)
    assert report.forecast.trainable is not None


def test_only_so_many_checkpoints_stay():
    run = Run().set({"record.save_total_limit": 1})
    assert [kept(run, written) for written in (0, 1, 5)] == [0, 1, 1]
    compared = run.set({"record.load_best": True})
    assert [kept(compared, written) for written in (1, 5)] == [1, 2]
    assert kept(Run(), 5) == 5
