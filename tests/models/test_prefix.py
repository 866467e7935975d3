"""The prefix of P-Tuning v2: what it adds, what it leaves alone, and how often it is made."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from foretune.models.prefix import PrefixEncoder
from tiny_chatglm import CHATGLM2, Build, prompt_ids


@pytest.fixture(params=[False, True], ids=["plain", "projected"])
def projection(request: pytest.FixtureRequest) -> bool:
    return request.param


def randomise(model: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    for parameter in model.base_model.prefix_encoder.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)


def test_an_attached_prefix_is_the_one_that_the_config_builds(
    family: dict[str, Any], build: Build, projection: bool
):
    built = build(family, pre_seq_len=5, prefix_projection=projection)
    attached = build(family)
    attached.add_prefix(5, projection=projection)
    attached.load_state_dict(built.state_dict())
    assert attached.config.to_diff_dict() == built.config.to_diff_dict()
    ids = prompt_ids(family, 6)
    torch.testing.assert_close(attached(ids).logits, built(ids).logits, rtol=0, atol=0)


def test_a_prefix_changes_what_is_said(family: dict[str, Any], build: Build, projection: bool):
    model, ids = build(family), prompt_ids(family, 6)
    without = model(ids).logits
    model.add_prefix(5, projection=projection)
    randomise(model)
    assert (model(ids).logits - without).abs().max() > 0.01


def test_prefix_keys_are_not_rotated(family: dict[str, Any], build: Build):
    model = build(family)
    model.add_prefix(5)
    randomise(model)
    table = model.base_model.prefix_encoder.embedding.weight
    shape = model.config.shape
    for layer, (keys, values) in enumerate(model.base_model.prefix_encoder(2)):
        assert keys.shape == values.shape == (2, shape.kv_heads, 5, shape.head_dim)
        columns = table.unflatten(-1, (shape.layers, 2, shape.kv_heads, shape.head_dim))[:, layer]
        assert torch.equal(keys[1], columns[:, 0].transpose(0, 1))
        assert torch.equal(values[1], columns[:, 1].transpose(0, 1))


def test_the_prefix_is_made_once_for_a_whole_generation(
    family: dict[str, Any], build: Build, projection: bool
):
    model = build(family)
    model.add_prefix(5, projection=projection)
    made = []
    model.base_model.prefix_encoder.register_forward_hook(lambda *_: made.append(1))
    ids = prompt_ids(family, 6, 6)
    model.generate(ids, max_new_tokens=5, min_new_tokens=5, do_sample=False, num_beams=2)
    assert len(made) == 1
    model(ids)
    assert len(made) == 2


def test_the_prefix_is_dropped_out_in_training_only_and_row_by_row(
    family: dict[str, Any], build: Build
):
    model = build(family)
    model.add_prefix(50, dropout=0.1)
    randomise(model)
    encoder = model.base_model.prefix_encoder
    torch.manual_seed(0)
    keys = torch.stack([k for k, _ in encoder.train()(2)])
    share = (keys == 0).float().mean().item()
    assert share == pytest.approx(0.1, abs=0.03)
    assert not torch.equal(keys[:, 0], keys[:, 1])
    kept = torch.stack([k for k, _ in encoder.eval()(2)])
    assert (kept != 0).all() and torch.equal(kept[:, 0], kept[:, 1])


def test_a_fresh_prefix_starts_as_in_the_published_training(tmp_path: Any, build: Build):
    config = {**CHATGLM2, "pre_seq_len": 64, "prefix_projection": True}
    build(CHATGLM2).save_pretrained(tmp_path)
    model = build(CHATGLM2)
    model.config.pre_seq_len, model.config.prefix_projection = 64, True
    loaded = type(model).from_pretrained(tmp_path, config=model.config, dtype=torch.float16)
    encoder = loaded.transformer.prefix_encoder
    assert isinstance(encoder, PrefixEncoder)
    assert encoder.embedding.weight.dtype == torch.float32  # also where the model is in half
    assert encoder.embedding.weight.std().item() == pytest.approx(1, abs=0.05)
    bound = config["hidden_size"] ** -0.5
    assert bound * 0.9 < encoder.trans[2].weight.abs().max() <= bound
    assert bound * 0.5 < encoder.trans[2].bias.abs().max() <= bound


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("checkpointing", [None, True, False])
def test_a_float32_prefix_trains_on_a_half_precision_model(
    family: dict[str, Any], build: Build, dtype: torch.dtype, checkpointing: bool | None
):
    model = build(family).to(dtype)
    model.requires_grad_(False)
    model.add_prefix(5, dropout=0.0)
    encoder = model.base_model.prefix_encoder
    assert encoder.embedding.weight.dtype == torch.float32
    ids = prompt_ids(family, 6, 6)
    if checkpointing is not None:
        model.train().gradient_checkpointing_enable({"use_reentrant": checkpointing})
    out = model(ids, labels=ids)
    assert out.logits.dtype == dtype
    out.loss.backward()
    gradient = encoder.embedding.weight.grad
    assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.any()


def test_the_config_of_a_prefix_is_saved_and_read_again(
    family: dict[str, Any], build: Build, tmp_path: Any, projection: bool
):
    model = build(family)
    model.add_prefix(5, projection=projection, dropout=0.2)
    randomise(model)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    ids = prompt_ids(family, 6)
    torch.testing.assert_close(again(ids).logits, model(ids).logits, rtol=0, atol=0)
    assert again.config.prefix_dropout == 0.2
