"""Llama 3 from Meta's files against what Meta's code gave: every tensor of every case, in both
kinds of attention.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from foretune.models.loading import load_model

torch.set_num_threads(1)

SHARED = Path(os.environ.get("FORETUNE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CASES = sorted(folder.name for folder in SHARED.glob("golden/llama3*/"))


class Case:
    """A folder of a golden case, and the model in it."""

    def __init__(self, folder: Path, attention: str) -> None:
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        self.folder = folder
        self.inputs = self.tensors("inputs")
        self.model = load_model(folder, attn_implementation=attention)

    def tensors(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name}.safetensors")


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, attention: str) -> Case:
    return Case(SHARED / "golden" / request.param, attention)


def test_logits_hidden_states_and_losses_are_metas(case: Case):
    want, seen = case.tensors("logits") | case.tensors("hidden"), 0
    for scenario, told in case.meta["scenarios"].items():
        ids, labels = (case.inputs[f"{scenario}.{name}"] for name in ("input_ids", "labels"))
        with torch.no_grad():
            out = case.model(ids, labels=labels, output_hidden_states=True)
        assert out.loss.item() == pytest.approx(told["loss"], abs=1e-5)
        got = {
            "logits": out.logits,
            "hidden_1": out.hidden_states[1],
            "hidden_last": out.hidden_states[-1],
        }
        atol = max(5e-5, 3 * told["fp32_vs_fp64_max_abs_diff"])
        for name, tensor in got.items():
            expected = want[f"{scenario}.{name}"]  # of a very long one only the last positions
            tensor = tensor[:, -expected.shape[1] :]
            torch.testing.assert_close(
                tensor, expected, atol=atol, rtol=0, msg=f"{scenario} {name}"
            )
            seen += 1
    assert seen == len(want) >= 9


def test_greedy_tokens_are_metas(case: Case):
    want = case.tensors("generate")
    for scenario, told in case.meta["generate"].items():
        ids = case.inputs[f"{scenario}.input_ids"]
        got = case.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=told["max_new_tokens"],
            do_sample=False,
        )
        assert torch.equal(got, want[f"{scenario}.sequences"]), scenario
    assert len(want) == len(case.meta["generate"]) == 2


def test_every_shared_case_is_seen(shared: Path):
    assert CASES == ["llama3_1_scaled_rope", "llama3_a", "llama3_mp2"]
