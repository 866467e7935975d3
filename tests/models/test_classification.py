"""ChatGLMForSequenceClassification: the published logits and loss, what it learns from, loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification

import foretune.auto  # noqa: F401  the Auto classes know the families after it
from foretune.models.chatglm2 import (
    ChatGLMConfig,
    ChatGLMForConditionalGeneration,
    ChatGLMForSequenceClassification,
)
from tiny_chatglm import CHATGLM2, prompt_ids

torch.set_num_threads(1)


def classifier(**changes: Any) -> ChatGLMForSequenceClassification:
    torch.manual_seed(0)
    config = ChatGLMConfig.from_dict({**CHATGLM2, "num_labels": 3, **changes})
    model = ChatGLMForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5 if parameter.dim() > 1 else 1)
    return model


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_golden_case_has_the_published_logits_and_loss(shared: Path, attention: str):
    folder = shared / "golden" / "chatglm3_seqcls"
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, trust_remote_code=True
    ).eval()
    assert type(model) is ChatGLMForSequenceClassification
    inputs, logits = (load_file(folder / f"{name}.safetensors") for name in ("inputs", "logits"))
    scenarios = json.loads((folder / "meta.json").read_text("utf-8"))["scenarios"]
    for scenario, told in scenarios.items():
        passed = {key: inputs[f"{scenario}.{key}"] for key in told["passed_to_reference"]}
        with torch.no_grad():
            out = model(**passed, labels=inputs[f"{scenario}.labels"])
        torch.testing.assert_close(out.logits, logits[f"{scenario}.logits"], atol=5e-5, rtol=0)
        assert out.loss.item() == pytest.approx(told["loss"], abs=1e-5)
    assert len(scenarios) == 1


def test_padding_on_the_left_changes_nothing():
    model, ids = classifier(), prompt_ids(CHATGLM2, 9, 4)
    missing = int((ids[1] == CHATGLM2["pad_token_id"]).sum())
    assert missing == 5
    mask = torch.ones_like(ids)
    mask[1, :missing] = 0
    with torch.no_grad():
        both = model(ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0))
        alone = model(ids[1:, missing:])
    torch.testing.assert_close(both.logits[1:], alone.logits, atol=1e-5, rtol=0)
    assert both.logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("num_labels", "labels", "problem", "loss"),
    [
        (3, torch.tensor([2, 0]), "single_label_classification", torch.nn.CrossEntropyLoss()),
        (1, torch.tensor([0.5, -1.0]), "regression", torch.nn.MSELoss()),
        (
            3,
            torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
            "multi_label_classification",
            torch.nn.BCEWithLogitsLoss(),
        ),
    ],
)
def test_the_labels_say_what_is_learnt(
    num_labels: int, labels: torch.Tensor, problem: str, loss: torch.nn.Module
):
    model = classifier(num_labels=num_labels)
    out = model(prompt_ids(CHATGLM2, 5, 5), labels=labels)
    assert model.config.problem_type == problem
    torch.testing.assert_close(out.loss, loss(out.logits.squeeze(), labels))
    out.loss.backward()
    head = model.classifier_head
    assert head.weight.grad is not None and head.bias.grad is not None
    assert model.transformer.embedding.word_embeddings.weight.grad is not None


def test_its_dropout_is_that_of_the_config():
    model, ids = classifier(classifier_dropout=0.5), prompt_ids(CHATGLM2, 5)
    assert torch.equal(model(ids).logits, model(ids).logits)
    model.train()
    assert not torch.equal(model(ids).logits, model(ids).logits)
    assert torch.equal(*(classifier().train()(ids).logits for _ in range(2)))


def test_a_head_is_put_on_the_weights_of_a_model_that_generates(tmp_path: Path):
    config = ChatGLMConfig.from_dict({**CHATGLM2, "architectures": ["ChatGLMModel"]})
    generating = ChatGLMForConditionalGeneration(config)
    generating.save_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4)
    assert model.classifier_head.weight.shape == (4, CHATGLM2["hidden_size"])
    for name, tensor in generating.transformer.state_dict().items():
        assert torch.equal(model.transformer.state_dict()[name], tensor), name
    model.save_pretrained(tmp_path / "again")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    assert torch.equal(again.classifier_head.weight, model.classifier_head.weight)
    assert AutoConfig.from_pretrained(tmp_path / "again").num_labels == 4
