"""The table of weights in params/arch is the model that is built, name by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from foretune.models.hf import native_model, published_config
from foretune.params.arch import Shape, read_architecture
from tiny_baichuan import ALIBI, PUBLISHED, ROTARY
from tiny_chatglm import CHATGLM, CHATGLM2, Build

CHATGLM2_6B = {
    "model_type": "chatglm",
    "padded_vocab_size": 65024,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
}
GLM4_9B = {
    **CHATGLM2_6B,
    "padded_vocab_size": 151552,
    "vocab_size": 151552,
    "num_layers": 40,
    "num_hidden_layers": 40,
    "rope_ratio": 500,
    "seq_length": 131072,
}
GLM4_9B_1M = {**GLM4_9B, "multi_query_group_num": 4, "rope_ratio": 10000, "seq_length": 1048576}
VARIANTS = [
    CHATGLM,
    {**CHATGLM, "position_encoding_2d": False, "num_layers": 1},
    {**CHATGLM, "tie_word_embeddings": False},
    {**CHATGLM, "pre_seq_len": 4},
    {**CHATGLM, "pre_seq_len": 4, "prefix_projection": True},
    {"model_type": "chatglm", "inner_hidden_size": 16384},
    CHATGLM2,
    {**CHATGLM2, "multi_query_attention": False},
    {**CHATGLM2, "add_bias_linear": True, "rmsnorm": False},
    {**CHATGLM2, "add_qkv_bias": False, "post_layer_norm": False},
    {**CHATGLM2, "pre_seq_len": 4},
    {**CHATGLM2, "pre_seq_len": 4, "prefix_projection": True},
    CHATGLM2_6B,
    GLM4_9B,
    GLM4_9B_1M,
    ROTARY,
    {**ROTARY, "tie_word_embeddings": True},
    {**ROTARY, "pre_seq_len": 4, "prefix_projection": True},
    ALIBI,
    {**ALIBI, "pre_seq_len": 4},
    *(config for config, *_ in PUBLISHED.values()),
]


def on_meta(config: dict[str, Any]) -> tuple[Shape, nn.Module]:
    architecture, _ = read_architecture(config)
    assert architecture is not None
    family = type(architecture)
    with torch.device("meta"):
        return architecture.shape, native_model(family)(published_config(family).from_dict(config))


@pytest.mark.parametrize("config", VARIANTS, ids=range(len(VARIANTS)))
def test_the_table_of_weights_is_the_built_model(config: dict[str, Any]):
    shape, model = on_meta(config)
    table = shape.weights
    if config.get("pre_seq_len"):
        projection = config.get("prefix_projection", False)
        table += shape.prefix_weights(config["pre_seq_len"], projection=projection)
    expected = {
        name: weight.shape for weight in table if not weight.tied for name in weight.names()
    }
    built = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    assert built == expected
    assert sum(tensor.numel() for tensor in model.parameters()) == sum(
        weight.num_parameters for weight in table
    )


@pytest.mark.parametrize("config", VARIANTS, ids=range(len(VARIANTS)))
def test_the_table_of_linears_is_the_built_linears(config: dict[str, Any]):
    shape, model = on_meta(config)
    expected = {
        linear.name.replace("{i}", str(i)): (linear.inputs, linear.outputs)
        for linear in shape.linears
        for i in range(linear.copies)
    }
    built = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in name
    }
    assert built == expected


def test_the_names_that_transformers_asks_for_are_there(family: dict[str, Any], build: Build):
    config = build(family).config
    shape = config.shape
    assert config.num_hidden_layers == shape.layers
    assert config.num_attention_heads == shape.heads
    assert config.num_key_value_heads == shape.kv_heads
    assert config.head_dim == shape.head_dim
    assert config.vocab_size == shape.vocab
    assert config.intermediate_size == shape.ffn
    assert config.max_position_embeddings in (shape.max_positions, None)  # ALiBi has none
