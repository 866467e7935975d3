"""The published sizes: counted from config.json alone, and on the models that are built of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

from foretune.models import meta
from foretune.models.hf import native_model, published_config
from foretune.params.arch import Shape, read_architecture
from foretune.params.run import Run
from foretune.plan.parameters import trainable_parameters
from foretune.tune import method
from tiny_baichuan import PUBLISHED

CHATGLM = {"model_type": "chatglm", "inner_hidden_size": 16384}
CHATGLM2 = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "multi_query_attention": True,
    "multi_query_group_num": 2, "add_qkv_bias": True,
}  # fmt: skip
GLM4 = {**CHATGLM2, "padded_vocab_size": 151552, "num_layers": 40, "rope_ratio": 500}
LLAMA = {
    "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256,
    "multiple_of": 1024, "ffn_dim_multiplier": 1.3, "norm_eps": 1e-05, "rope_theta": 500000.0,
}  # fmt: skip
LLAMA_70B = {**LLAMA, "dim": 8192, "n_layers": 80, "n_heads": 64, "multiple_of": 4096}

WHOLE: dict[str, tuple[dict[str, Any], int]] = {
    "ChatGLM-6B": (CHATGLM, 6_173_286_400),
    "ChatGLM-6B, head apart": ({**CHATGLM, "tie_word_embeddings": False}, 6_707_929_088),
    "ChatGLM2-6B, ChatGLM3-6B": (CHATGLM2, 6_243_584_000),
    "GLM-4-9B": (GLM4, 9_399_951_360),
    "GLM-4-9B-1M": ({**GLM4, "multi_query_group_num": 4}, 9_483_857_920),
    **{name: (config, count) for name, (config, _, count) in PUBLISHED.items()},
    "Llama-3-8B": (LLAMA, 8_030_261_248),
    "Llama-3-70B": (LLAMA_70B, 70_553_706_496),
    "Transformer": ({"model_type": "original-transformer", "vocab_size": 37_000}, 63_082_496),
}
LORA = {"method.name": "lora", "method.lora.rank": 8}
PREFIX = {"method.name": "ptuning", "method.prefix.length": 128}
PROJECTED = {**PREFIX, "method.prefix.projection": True}
TUNED: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    (CHATGLM, LORA, 3_670_016),
    (CHATGLM, PREFIX, 29_360_128),
    (CHATGLM, PROJECTED, 957_059_072),
    (CHATGLM2, LORA, 1_949_696),
    (CHATGLM2, PREFIX, 1_835_008),
    (CHATGLM2, PROJECTED, 119_293_952),
]


def on_meta(config: dict[str, Any], folder: Path) -> tuple[Shape, Any]:
    """The sizes of a config.json (or a params.json), and the model without memory for it."""
    architecture, _ = read_architecture(config)
    assert architecture is not None
    with torch.device("meta"):
        if "dim" in config:
            (folder / "params.json").write_text(json.dumps(config))
            return architecture.shape, LlamaForCausalLM(meta.load_config(folder))
        family = type(architecture)
        return architecture.shape, native_model(family)(published_config(family).from_dict(config))


def count(model: nn.Module, *, trained: bool = False) -> int:
    return sum(one.numel() for one in model.parameters() if one.requires_grad or not trained)


@pytest.mark.parametrize("name", WHOLE)
def test_a_published_model_has_the_published_number_of_parameters(name: str, tmp_path: Path):
    config, expected = WHOLE[name]
    shape, model = on_meta(config, tmp_path)
    assert shape.num_parameters == count(model) == expected


@pytest.mark.parametrize(("config", "how", "expected"), TUNED)
def test_a_method_trains_the_published_number(config, how, expected: int, tmp_path: Path):
    run = Run().set(how)
    shape, model = on_meta(config, tmp_path)
    assert trainable_parameters(run, shape) == expected
    with torch.device("meta"):
        assert count(method(run.method.name).attach(model, run), trained=True) == expected


def test_every_published_number_is_there():
    assert (len(WHOLE), len(TUNED)) == (12, 6)
