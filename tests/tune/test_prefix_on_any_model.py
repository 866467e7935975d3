"""P-Tuning v2 on models of transformers' own equals a prefix written by hand into their cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from foretune.errors import UserError
from foretune.tune.prefix_attention import NAME, add_prefix

P, VOCAB = 5, 64
SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "vocab_size": VOCAB,
    "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "gpt_neox": {"num_key_value_heads": None, "head_dim": None, "rotary_pct": 0.5},
    "gemma2": {"query_pre_attn_scalar": 8, "sliding_window": 64, "layer_types": None},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "glm": {"partial_rotary_factor": 0.5},
}
FAMILIES = ["qwen2", "llama", "glm", "gpt_neox", "gemma2", "gpt2"]


def model_of(family: str) -> Any:
    sizes = OTHERS["gpt2"] | {"vocab_size": VOCAB} if family == "gpt2" else SIZES
    sizes = {k: v for k, v in (sizes | OTHERS.get(family, {})).items() if v is not None}
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.dim() > 1 else 1)
    return model.eval().requires_grad_(False)


def with_prefix(family: str, **options: Any) -> Any:
    model = model_of(family)
    torch.manual_seed(4)
    add_prefix(model, P, where="here", **{"projection": False, "dropout": 0.0, **options})
    return model


def tokens(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded on the left, and their mask."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[-length:] = torch.randint(2, VOCAB, (length,), generator=generator)
    return ids, (ids != 0).long()


def by_hand(model: Any, prefixed: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits behind keys and values that are put into the cache, positions from 0."""
    cache = DynamicCache()
    for layer, (k, v) in enumerate(prefixed.base_model.prefix_encoder(len(ids))):
        cache.update(k.detach(), v.detach(), layer)
    length = ids.shape[1]
    return model(
        input_ids=ids,
        past_key_values=cache,
        attention_mask=torch.ones(len(ids), P + length, dtype=torch.long),
        position_ids=torch.arange(length).expand(len(ids), -1),
    ).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_a_cache_that_begins_with_the_prefix(family):
    prefixed, plain = with_prefix(family), model_of(family)
    ids, _ = tokens(9, 9)
    expected = by_hand(plain, prefixed, ids)
    torch.testing.assert_close(prefixed(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(input_ids=ids).logits, expected, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("projection", [False, True])
def test_gradients_are_the_same_when_activations_are_recomputed(family, projection):
    ids, _ = tokens(9, 9)
    found = []
    for recomputed in (False, True):
        model = with_prefix(family, projection=projection).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if recomputed:
            model.gradient_checkpointing_enable()
        model(input_ids=ids, labels=ids).loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        assert gradients and all("prefix_encoder" in name for name in gradients)
        assert all(gradient.abs().max() > 0 for gradient in gradients.values())
        found.append(gradients)
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_is_what_each_row_alone_would_give(family):
    prefixed, plain = with_prefix(family), model_of(family)
    ids, mask = tokens(4, 9)
    written = prefixed.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=5, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    for row, length in zip(written, (4, 9), strict=True):
        text = row[-5 - length : -5][None]
        for token in row[-5:]:
            logits = by_hand(plain, prefixed, text)[:, -1]
            assert logits[0, token] >= logits.max() - 1e-4
            text = torch.cat((text, token[None, None]), dim=1)


def test_each_row_has_its_own_dropout_of_the_prefix_in_training_only():
    model = with_prefix("qwen2", dropout=0.5)
    ids = tokens(6)[0].expand(2, -1)
    same, other = model(input_ids=ids).logits
    torch.testing.assert_close(same, other)
    one, two = model.train()(input_ids=ids).logits
    assert not torch.allclose(one, two, atol=1e-2)


def test_the_attention_is_the_models_own_where_there_is_no_prefix():
    seen = 0
    for family in FAMILIES:
        ids, mask = tokens(4, 9)
        model = model_of(family)
        expected = model(input_ids=ids, attention_mask=mask).logits
        model.set_attn_implementation(NAME)
        logits = model(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(logits[mask == 1], expected[mask == 1], rtol=1e-4, atol=1e-4)
        seen += 1
    assert seen == 6


def test_a_model_whose_attention_cannot_be_replaced_is_refused():
    config = AutoConfig.for_model("bloom", hidden_size=32, n_layer=2, n_head=4, vocab_size=VOCAB)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UserError, match="BloomForCausalLM takes no prefix"):
        add_prefix(model, P, projection=False, dropout=0.0, where="here")
