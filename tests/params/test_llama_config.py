"""Llama, Qwen2, Qwen3 and Mistral as transformers has them: counted as it builds them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from foretune.errors import UserError
from foretune.models.hf import native_families
from foretune.params.arch import family_of, read_architecture
from foretune.params.arch.llama import Llama, Mistral, Qwen2, Qwen3

FAMILIES: dict[type[Llama], type[PreTrainedConfig]] = {
    Llama: LlamaConfig,
    Mistral: MistralConfig,
    Qwen2: Qwen2Config,
    Qwen3: Qwen3Config,
}
SMALL: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"tie_word_embeddings": True},
    {"attention_bias": True},
    {"mlp_bias": True},
    {"head_dim": 16},
    {"num_key_value_heads": 4},
    {"num_key_value_heads": 1, "num_hidden_layers": 1},
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changed", VARIANTS, ids=str)
def test_the_count_and_every_weight_are_those_of_the_built_model(
    family: type[Llama], changed: dict[str, Any]
):
    config = FAMILIES[family](**{**SMALL, **changed})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    declared, unknown = read_architecture({**config.to_dict(), **changed})
    assert type(declared) is family and unknown == {}
    assert declared.shape.num_parameters == sum(one.numel() for one in model.parameters())
    built = {name: tuple(one.shape) for name, one in model.named_parameters()}
    counted = {
        name: weight.shape
        for weight in declared.shape.weights
        if not weight.tied
        for name in weight.names()
    }
    assert counted == built
    assert len(built) >= 10


@pytest.mark.parametrize(
    ("family", "count"),
    [
        (Llama, 8_030_261_248),
        (Mistral, 7_241_732_096),
        (Qwen2, 7_615_616_512),
        (Qwen3, 8_190_735_360),
    ],
)
def test_the_published_models_count_to_the_published_numbers(family: type[Llama], count: int):
    declared, _ = read_architecture(family.published)
    assert declared is not None and declared.shape.num_parameters == count


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_of_the_installed_config_is_declared_with_its_default(family: type[Llama]):
    known, seen = family.keys(), 0
    for field in dataclasses.fields(FAMILIES[family]):
        assert field.name in known, field.name
        seen += 1
        ours = family.model_fields[known[field.name]].default
        own = field.name in SMALL or field.name in ("tie_word_embeddings", "head_dim")
        if own and field.name != "num_key_value_heads":
            assert ours == field.default, field.name
    assert seen >= 25


@pytest.mark.parametrize("family", FAMILIES)
def test_they_stay_transformers_own(family: type[Llama]):
    assert family not in native_families()
    assert family_of({"model_type": FAMILIES[family].model_type}) is family


def test_sizes_that_do_not_fit_together_are_refused():
    with pytest.raises(UserError, match="hidden_size 33 is not a multiple"):
        read_architecture({"model_type": "llama", **SMALL, "hidden_size": 33})
    with pytest.raises(UserError, match="not a multiple of num_key_value_heads 3"):
        read_architecture({"model_type": "qwen3", **SMALL, "num_key_value_heads": 3})


def test_keys_that_the_familys_code_does_not_read_are_told():
    qwen, _ = read_architecture({"model_type": "qwen2", **SMALL, "sliding_window": 4096})
    assert qwen is not None
    assert [remark.key for remark in qwen.remarks()] == ["sliding_window"]
    keys = {"sliding_window": None, "max_window_layers": 28, "pretraining_tp": 2}
    several, _ = read_architecture({"model_type": "qwen2", **SMALL, **keys})
    told = [(remark.key, remark.why) for remark in several.remarks()]
    assert [key for key, _ in told] == ["max_window_layers", "pretraining_tp"]
    assert told[0][1] == "use_sliding_window is off"
    used = {"model_type": "qwen2", **SMALL, "sliding_window": 8, "use_sliding_window": True}
    qwen, _ = read_architecture(used)
    assert qwen is not None and list(qwen.remarks()) == []
    llama, _ = read_architecture({"model_type": "llama", **SMALL, "pretraining_tp": 2})
    assert llama is not None and [one.key for one in llama.remarks()] == ["pretraining_tp"]
