"""Training through the models: the loss, what is kept for the backward pass, what may be frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from tiny_chatglm import CHATGLM, CHATGLM2, EOS, Build, prompt_ids

IGNORED = -100


def batch(config: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Two rows of prompt and answer, right padded as in the published training, and their
    labels.
    """
    prompt = prompt_ids(config, 6)
    answers = [[20, 21, 22, 23, 24], [30, 31]]
    pad, eos = config["pad_token_id"], config["eos_token_id"]
    rows = [[*prompt[0].tolist(), *answer, eos] for answer in answers]
    labels = [[IGNORED] * prompt.shape[1] + [*answer, eos] for answer in answers]
    length = max(map(len, rows))
    return (
        torch.tensor([row + [pad] * (length - len(row)) for row in rows]),
        torch.tensor([row + [IGNORED] * (length - len(row)) for row in labels]),
    )


def gradients(model: Any) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_the_loss_is_the_mean_over_trained_tokens(family: dict[str, Any], build: Build):
    model, (ids, labels) = build(family), batch(family)
    out = model(ids, labels=labels)
    targets = labels[:, 1:].flatten()
    expected = F.cross_entropy(out.logits[:, :-1].flatten(0, 1), targets, ignore_index=IGNORED)
    torch.testing.assert_close(out.loss, expected)


def test_micro_batches_with_a_common_count_add_up_to_the_whole(
    family: dict[str, Any], build: Build
):
    model, (ids, labels) = build(family), batch(family)
    whole = model(ids, labels=labels).loss
    count = torch.tensor((labels[:, 1:] != IGNORED).sum().item())
    parts = [
        model(ids[i : i + 1], labels=labels[i : i + 1], num_items_in_batch=count).loss
        for i in range(2)
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_right_padding_needs_no_mask(family: dict[str, Any], build: Build):
    model, (ids, labels) = build(family), batch(family)
    mask = (ids != family["pad_token_id"]).long()
    without = model(ids, labels=labels)
    masked = model(ids, labels=labels, attention_mask=mask)
    torch.testing.assert_close(masked.loss, without.loss)
    real = mask.bool()
    torch.testing.assert_close(masked.logits[real], without.logits[real], atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("trained", ["everything", "prefix", "one linear"])
def test_checkpointing_computes_again_and_changes_no_gradient(
    family: dict[str, Any], build: Build, trained: str, reentrant: bool
):
    model, (ids, labels) = build(family), batch(family)
    model.add_prefix(4, projection=True, dropout=0.0)
    model.requires_grad_(trained == "everything")
    for name, parameter in model.named_parameters():
        if {"prefix": "prefix_encoder", "one linear": "layers.1.mlp"}.get(trained, "") in name:
            parameter.requires_grad_(True)
    model.train()
    if trained == "one linear":
        model.enable_input_require_grads()  # as every trainer of adapters does
    model(ids, labels=labels).loss.backward()
    expected = gradients(model)
    calls = []
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.post_attention_layernorm.register_forward_hook(lambda *_: calls.append(1))
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model(ids, labels=labels).loss.backward()
    assert len(calls) == 2 * model.config.num_hidden_layers
    got = gradients(model)
    assert got.keys() == expected.keys() and len(got) >= 2
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, msg=name)


def test_the_tied_output_layer_trains_as_the_embedding(build: Build):
    model, (ids, labels) = build(CHATGLM), batch(CHATGLM)
    assert model.lm_head.weight is model.transformer.word_embeddings.weight
    model.requires_grad_(False)
    assert not model.lm_head.weight.requires_grad
    model.lm_head.weight.requires_grad_(True)
    model(ids, labels=labels).loss.backward()
    unused = torch.ones(CHATGLM["vocab_size"], dtype=torch.bool)
    unused[ids.flatten()] = False
    assert model.transformer.word_embeddings.weight.grad[unused].abs().sum() > 0  # of the softmax
    apart = build(CHATGLM, tie_word_embeddings=False)
    assert apart.lm_head.weight is not apart.transformer.word_embeddings.weight


def test_packed_texts_do_not_see_each_other(build: Build):
    model = build(CHATGLM2)
    first, second = prompt_ids(CHATGLM2, 6), prompt_ids(CHATGLM2, 4)
    positions = torch.cat([torch.arange(first.shape[1]), torch.arange(second.shape[1])])[None]
    packed = model(torch.cat((first, second), 1), position_ids=positions, use_cache=False).logits
    expected = torch.cat((model(first).logits, model(second).logits), dim=1)
    torch.testing.assert_close(packed, expected, atol=1e-5, rtol=0)


def test_no_cache_is_kept_while_training(family: dict[str, Any], build: Build):
    model, (ids, _) = build(family), batch(family)
    assert model(ids).past_key_values is not None
    assert model.train()(ids).past_key_values is None


def test_the_end_of_the_answer_is_trained(build: Build):
    _, labels = batch(CHATGLM)
    assert (labels == EOS).sum() == 2
