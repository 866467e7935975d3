"""The models here against what the published code gave: every tensor of every case, in both kinds
of attention.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from foretune.models.loading import load_model
from foretune.models.quantized import PackedLinear

torch.set_num_threads(1)  # for models this small, threads only wait for each other

OWN = Path(__file__).parent / "cases"
SHARED = Path(os.environ.get("FORETUNE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
NOT_GENERATING = {"chatglm3_seqcls"}  # tests/models/test_classification.py


def shared_cases() -> dict[str, Path]:
    folders = [
        folder
        for family in ("chatglm", "glm4", "baichuan")
        for folder in SHARED.glob(f"golden/{family}*/")
    ]
    return {folder.name: folder for folder in folders if folder.name not in NOT_GENERATING}


CASES = {folder.name: folder for folder in OWN.glob("*/")} | shared_cases()


class Case:
    """A folder of a golden case, and the model in it."""

    def __init__(self, folder: Path, attention: str) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        self.inputs = self.tensors("inputs")
        self.attention = attention

    @cached_property
    def model(self) -> Any:
        model = load_model(
            self.folder, dtype=torch.float32, attn_implementation=self.attention
        ).eval()
        if prefix := self.tensors("prefix_encoder"):
            missing, unexpected = model.load_state_dict(prefix, strict=False)
            assert not unexpected and not any("prefix" in key for key in missing)
        return model

    def tensors(self, name: str) -> dict[str, Tensor]:
        file = self.folder / f"{name}.safetensors"
        return load_file(file) if file.exists() else {}

    def passed(self, scenario: str) -> dict[str, Tensor]:
        keys = self.meta["scenarios"][scenario]["passed_to_reference"]
        return {key: self.inputs[f"{scenario}.{key}"] for key in keys}

    def meaningful(self, scenario: str) -> Tensor:
        ids = self.inputs[f"{scenario}.input_ids"]
        return self.inputs.get(f"{scenario}.compare_mask", torch.ones_like(ids)).bool()

    def tolerance(self, scenario: str) -> float:
        noise = self.meta["scenarios"][scenario]["fp32_vs_fp64_max_abs_diff"] or 0.0
        return max(5e-5, 3 * noise)


def with_file(name: str) -> list[str]:
    return sorted(case for case, folder in CASES.items() if (folder / name).exists())


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest, attention: str) -> Iterator[Case]:
    yield Case(CASES[request.param], attention)


def test_logits_hidden_states_and_losses_are_the_published_ones(case: Case):
    logits, hidden = case.tensors("logits"), case.tensors("hidden")
    seen = 0
    for scenario, told in case.meta["scenarios"].items():
        labels = case.inputs.get(f"{scenario}.labels")
        with torch.no_grad():
            out = case.model(**case.passed(scenario), labels=labels, output_hidden_states=True)
        got = {
            "logits": out.logits,
            "embeds": out.hidden_states[0],
            "hidden_1": out.hidden_states[1],
            "hidden_last": out.hidden_states[-1],
        }
        where = case.meaningful(scenario)
        for name, tensor in got.items():
            key = f"{scenario}.{name}"
            if key in logits or key in hidden:
                want = logits.get(key, hidden.get(key))
                atol = case.tolerance(scenario)
                torch.testing.assert_close(tensor[where], want[where], atol=atol, rtol=0, msg=key)
                seen += 1
        if told["loss"] is not None:
            assert out.loss.item() == pytest.approx(told["loss"], abs=1e-5)
    assert seen >= 3 * len(case.meta["scenarios"])


@pytest.mark.parametrize("case", with_file("generate.safetensors"), indirect=True)
def test_greedy_tokens_are_the_published_ones(case: Case):
    want = case.tensors("generate")
    for scenario, told in case.meta["generate"].items():
        settings = {key: told[key] for key in ("eos_token_id", "pad_token_id") if key in told}
        got = case.model.generate(
            **case.passed(told.get("inputs_of", scenario)),
            max_new_tokens=told["max_new_tokens"],
            do_sample=False,
            **settings,
        )
        assert torch.equal(got, want[f"{scenario}.sequences"]), scenario
    assert len(want) == len(case.meta["generate"]) > 0


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("case", with_file("grads.safetensors"), indirect=True)
@pytest.mark.parametrize("checkpointing", [None, "reentrant", "not reentrant"])
def test_gradients_are_the_published_ones_with_and_without_checkpointing(
    case: Case, checkpointing: str | None
):
    want = case.tensors("grads")
    model, prefix = case.model, case.model.base_model.prefix_encoder
    model.zero_grad()
    model.requires_grad_(prefix is None)
    if prefix is not None:
        prefix.requires_grad_(True)
    if checkpointing is not None:
        model.train()  # nothing is dropped: of all dropouts only the prefix's is not 0
        if prefix is not None:
            prefix.eval()
        model.gradient_checkpointing_enable({"use_reentrant": checkpointing == "reentrant"})
    scenario = next(iter(want)).partition(".")[0]
    labels = case.inputs[f"{scenario}.labels"]
    model(**case.passed(scenario), labels=labels).loss.backward()
    parameters = dict(model.named_parameters())
    for key, gradient in want.items():
        got = parameters[key.removeprefix(f"{scenario}.")].grad
        scale = gradient.abs().max().item()
        torch.testing.assert_close(got, gradient, atol=2e-5 * scale, rtol=0, msg=key)
    model.gradient_checkpointing_disable()
    model.eval()


@pytest.mark.parametrize("case", with_file("dequantized.safetensors"), indirect=True)
def test_packed_weights_stand_for_the_published_ones(case: Case):
    want = case.tensors("dequantized")
    packed = {
        f"{name}.weight": module.dequantize()
        for name, module in case.model.named_modules()
        if isinstance(module, PackedLinear)
    }
    assert packed.keys() == want.keys()
    assert all(torch.equal(packed[key], want[key]) for key in want)


def test_the_residual_scale_does_not_follow_the_number_of_layers(attention: str):
    if "chatglm1_3layer_quirk" not in CASES:
        pytest.skip("this case is not among the copied ones")
    case = Case(CASES["chatglm1_3layer_quirk"], attention)
    other = case.tensors("logits_alpha_numlayers")["prompt.logits"]
    with torch.no_grad():
        got = case.model(**case.passed("prompt")).logits
    assert (got - other).abs().max() > 0.1


def test_every_copied_case_is_there():
    assert len(list(OWN.glob("*/meta.json"))) == 5


def test_every_shared_case_is_seen(shared: Path):
    assert len(shared_cases()) == 24
