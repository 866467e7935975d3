"""Generating: with any cache, in any batch and with beams the same text as without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache, StaticCache

from foretune.errors import UserError
from tiny_chatglm import BOS, CHATGLM, CHATGLM2, GMASK, MASK, PAD, Build, prompt_ids

GREEDY = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}


@pytest.fixture(params=["sdpa", "eager"])
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


def without_cache(model: Any, ids: torch.Tensor, new: int) -> torch.Tensor:
    for _ in range(new):
        with torch.no_grad():
            scores = model(ids, use_cache=False).logits[:, -1]
        scores[:, model.generation_config.eos_token_id] = -torch.inf
        ids = torch.cat((ids, scores.argmax(-1, keepdim=True)), dim=1)
    return ids


@pytest.mark.parametrize("prefix", [None, 5])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_cached_generation_is_that_without_a_cache(
    family: dict[str, Any], build: Build, attention: str, prefix: int | None, cache: str
):
    model = build(family, pre_seq_len=prefix)
    model.set_attn_implementation(attention)
    ids = prompt_ids(family, 6)
    expected = without_cache(model, ids, 8)
    implementation = None if cache == "dynamic" else "static"
    got = model.generate(ids, **GREEDY, cache_implementation=implementation)
    assert torch.equal(got, expected)
    assert torch.equal(model.generate(ids, **GREEDY, use_cache=False), expected)


def test_caches_hold_tokens_only(family: dict[str, Any], build: Build):
    model, ids = build(family, pre_seq_len=5), prompt_ids(family, 6)
    for cache in (
        DynamicCache(config=model.config),
        StaticCache(config=model.config, max_cache_len=20),
    ):
        model(ids, past_key_values=cache, use_cache=True)
        assert int(cache.get_seq_length()) == ids.shape[1]


@pytest.mark.parametrize("prefix", [None, 5])
def test_a_left_padded_row_says_what_it_says_alone(
    family: dict[str, Any], build: Build, attention: str, prefix: int | None
):
    model = build(family, pre_seq_len=prefix)
    model.set_attn_implementation(attention)
    ids = prompt_ids(family, 9, 4)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    together = model.generate(ids, attention_mask=mask, **GREEDY)
    for row, start in ((0, 0), (1, 5)):
        alone = model.generate(ids[row : row + 1, start:], **GREEDY)
        assert torch.equal(together[row, start:], alone[0])


def test_beams_find_what_scoring_without_a_cache_finds(family: dict[str, Any], build: Build):
    model, ids = build(family, pre_seq_len=5), prompt_ids(family, 6, 6)
    settings = {**GREEDY, "num_beams": 3, "num_return_sequences": 2}
    cached = model.generate(ids, **settings)
    assert torch.equal(cached, model.generate(ids, **settings, use_cache=False))
    assert not torch.equal(cached[0], cached[1])
    alone = model.generate(ids[:1], **settings)
    assert torch.equal(cached[:2], alone)


def test_sampling_is_repeatable(family: dict[str, Any], build: Build):
    model, ids = build(family, pre_seq_len=5), prompt_ids(family, 6)
    texts = []
    for _ in range(2):
        torch.manual_seed(1)
        texts.append(model.generate(ids, do_sample=True, top_p=0.8, max_new_tokens=8))
    assert torch.equal(*texts)


def test_guessed_tokens_change_nothing(family: dict[str, Any], build: Build):
    model, ids = build(family, pre_seq_len=5), prompt_ids(family, 12)
    ids[0, 4:8] = ids[0, :4]  # something to look up
    guessed = model.generate(ids, **GREEDY, prompt_lookup_num_tokens=3)
    assert torch.equal(guessed, model.generate(ids, **GREEDY))


def test_only_the_logits_asked_for_are_made(family: dict[str, Any], build: Build):
    model, ids = build(family), prompt_ids(family, 6)
    every = model(ids).logits
    torch.testing.assert_close(model(ids, logits_to_keep=2).logits, every[:, -2:])
    some = model(ids, logits_to_keep=torch.tensor([1, 3])).logits
    torch.testing.assert_close(some, every[:, [1, 3]])


def test_the_tokenizers_mask_and_positions_are_taken(build: Build):
    model, ids = build(CHATGLM), prompt_ids(CHATGLM, 9, 4)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    hidden, positions = as_the_tokenizer(ids, starts=[0, 5])
    square = model.generate(ids, attention_mask=hidden, position_ids=positions, **GREEDY)
    assert torch.equal(square, model.generate(ids, attention_mask=mask, **GREEDY))
    torch.testing.assert_close(
        model(ids, attention_mask=hidden, position_ids=positions).logits[1, 5:],
        model(ids[1:, 5:]).logits[0],
        atol=1e-5,
        rtol=0,
    )


def as_the_tokenizer(ids: torch.Tensor, starts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the published tokenizer of ChatGLM-6B gives for left-padded prompts."""
    length = ids.shape[1]
    hidden = torch.ones(len(ids), 1, length, length, dtype=torch.bool)
    positions = torch.zeros(len(ids), 2, length, dtype=torch.long)
    for row, start in enumerate(starts):
        real = length - start
        hidden[row, 0, start:, start:] = False
        hidden[row, 0, start:-1, -1] = True  # bos is not seen by the prompt
        positions[row, 0, start:] = torch.arange(real)
        positions[row, 0, -1] = real - 2
        positions[row, 1, -1] = 1
    return hidden, positions


def test_without_a_mask_padding_is_attended_to_as_published(build: Build):
    model, ids = build(CHATGLM), prompt_ids(CHATGLM, 9, 4)
    mask = (ids != PAD).long()
    hidden = model(ids, attention_mask=mask).logits[1, -1]
    seen = model(ids).logits[1, -1]
    assert (hidden - seen).abs().max() > 1e-3
    expected = without_cache(model, ids, 8)
    assert torch.equal(model.generate(ids, **GREEDY), expected)


def test_a_row_without_its_landmarks_is_refused(build: Build):
    model, ids = build(CHATGLM), prompt_ids(CHATGLM, 6, 6)
    for token in (BOS, GMASK):
        broken = torch.where(ids == token, 7, ids)
        broken[0] = ids[0]
        with pytest.raises(UserError, match="row 1 of input_ids"):
            model(broken)
    assert model(torch.where(ids == GMASK, MASK, ids)).logits.isfinite().all()


def test_embeddings_alone_are_refused_where_positions_are_made_of_ids(build: Build):
    model, ids = build(CHATGLM), prompt_ids(CHATGLM, 6)
    embeds = model.get_input_embeddings()(ids)
    with pytest.raises(UserError, match="inputs_embeds came without"):
        model(inputs_embeds=embeds)
    hidden, positions = as_the_tokenizer(ids, starts=[0])
    got = model(inputs_embeds=embeds, attention_mask=hidden, position_ids=positions).logits
    torch.testing.assert_close(got, model(ids).logits)


def test_embeddings_are_taken_instead_of_ids(build: Build):
    model, ids = build(CHATGLM2), prompt_ids(CHATGLM2, 6)
    embeds = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=embeds).logits, model(ids).logits)
    new = model.generate(inputs_embeds=embeds, **GREEDY)
    assert torch.equal(new, model.generate(ids, **GREEDY)[:, ids.shape[1] :])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite_and_close(
    family: dict[str, Any], build: Build, attention: str, dtype: torch.dtype
):
    model, ids = build(family, pre_seq_len=5), prompt_ids(family, 9, 4)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    wide = model(ids, attention_mask=mask).logits
    model.to(dtype).set_attn_implementation(attention)
    half = model(ids, attention_mask=mask).logits
    assert half.isfinite().all()
    assert (half - wide)[mask.bool()].abs().max() < 0.05 * wide.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_stays_finite_on_padding(build: Build, attention: str, dtype: torch.dtype):
    model, ids = build(CHATGLM, pre_seq_len=None), prompt_ids(CHATGLM, 9, 4)
    model.set_attn_implementation(attention)
    hidden, positions = as_the_tokenizer(ids, starts=[0, 5])
    inputs = {"attention_mask": hidden, "position_ids": positions, "labels": ids}
    wide = model(ids, **inputs)
    with torch.autocast("cpu", dtype=dtype):
        out = model(ids, **inputs)
    out.loss.backward()
    assert out.logits.isfinite().all()
    assert out.loss.item() == pytest.approx(wide.loss.item(), rel=0.05)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_deep_scores_do_not_overflow_float16(build: Build, attention: str):
    model, ids = build(CHATGLM, num_layers=28), prompt_ids(CHATGLM, 6)
    layer = model.transformer.layers[27].attention
    layer.query_key_value.bias.data[: 2 * 8] = 280.0  # of the first head: scores of 8 * 280² * 8^-½
    wide = model(ids).logits
    model.half().set_attn_implementation(attention)
    half = model(ids).logits
    assert half.isfinite().all()
    assert (half - wide).abs().max() < 0.05 * wide.abs().max()


def test_a_row_with_everything_hidden_is_the_mean_of_all(build: Build, attention: str):
    model, ids = build(CHATGLM, num_layers=1), prompt_ids(CHATGLM, 6)
    model.set_attn_implementation(attention)
    hidden, positions = as_the_tokenizer(ids, starts=[0])
    hidden[:, :, 2] = True
    seen = []
    block = model.transformer.layers[0].attention
    block.dense.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    block.query_key_value.register_forward_hook(lambda *args: seen.append(args[2]))
    model(ids, attention_mask=hidden, position_ids=positions)
    fused, mixed = seen
    values = fused[0].unflatten(-1, (4, 3, 8))[:, :, 2].flatten(1)  # of each head the third part
    torch.testing.assert_close(mixed[0, 2], values.mean(0), atol=1e-5, rtol=0)
