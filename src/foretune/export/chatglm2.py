"""ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B as transformers' own Glm (``GlmForCausalLM``), and back.

Both rotate neighbouring pairs in the first half of every head, so that no row changes its place.
The fused rows of query_key_value are cut into three; the gate and the value of the feed-forward
block stay together.

Source: THUDM/glm-4-9b-chat, modeling_chatglm.py; transformers, models/glm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import Problem
from .tensors import Later, Tensors, rows, stacked

ARCHITECTURE = "GlmForCausalLM"
MODEL_TYPE = "glm"
BASE = 10000.0

SAME = {
    "padded_vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "ffn_hidden_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "kv_channels": "head_dim",
    "seq_length": "max_position_embeddings",
    "layernorm_epsilon": "rms_norm_eps",
    "attention_dropout": "attention_dropout",
    "eos_token_id": "eos_token_id",
    "pad_token_id": "pad_token_id",
    "bos_token_id": "bos_token_id",
    "use_cache": "use_cache",
    "torch_dtype": "torch_dtype",
}
"""Key of the published config.json -> that of Glm with the same value."""

OUTSIDE = {
    "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "transformer.encoder.final_layernorm.weight": "model.norm.weight",
    "transformer.output_layer.weight": "lm_head.weight",
}
INSIDE = {
    "input_layernorm.weight": "input_layernorm.weight",
    "self_attention.dense.weight": "self_attn.o_proj.weight",
    "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    "mlp.dense_h_to_4h.weight": "mlp.gate_up_proj.weight",
    "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
}
"""Tensors that only have another name."""

HERE, THERE = "transformer.encoder.layers.{i}.", "model.layers.{i}."


def unlike(config: Any, where: str) -> Iterator[Problem]:
    """What a ChatGLM2 may have and Glm has not."""
    differing = {
        "rmsnorm": not config.rmsnorm,
        "post_layer_norm": not config.post_layer_norm,
        "add_bias_linear": config.add_bias_linear,
        "apply_residual_connection_post_layernorm": (
            config.apply_residual_connection_post_layernorm
        ),
        "pre_seq_len": bool(config.pre_seq_len),
    }
    for key, differs in differing.items():
        if differs:
            yield Problem(
                what=f"{key} = {getattr(config, key)!r} cannot be written as {ARCHITECTURE}",
                where=where,
                why="that architecture of transformers has no such part",
                fix="export it in its published layout (--layout published)",
            )


def to_hf(config: Any, tensors: Tensors) -> tuple[dict[str, Any], dict[str, Later]]:
    """config.json of a Glm, and its tensors, of the published ones."""
    groups = config.num_key_value_heads
    heads, width = config.num_attention_heads, config.kv_channels
    bias = config.add_qkv_bias
    found = {there: tensors[here] for here, there in OUTSIDE.items()}
    for i in range(config.num_layers):
        here, there = HERE.format(i=i), THERE.format(i=i)
        found |= {there + name: tensors[here + own] for own, name in INSIDE.items()}
        for part in ("weight", "bias") if bias else ("weight",):
            fused = tensors[f"{here}self_attention.query_key_value.{part}"]
            if not config.multi_query_attention:
                fused = fused.then(lambda tensor: _by_kind(tensor, heads, width))
            parts = rows(fused, heads * width, groups * width, groups * width)
            for name, tensor in zip("qkv", parts, strict=True):
                found[f"{there}self_attn.{name}_proj.{part}"] = tensor
    published = config.to_dict()
    keys = {name: published[key] for key, name in SAME.items() if published.get(key) is not None}
    theta = BASE * config.rope_ratio
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **keys,
        "num_key_value_heads": groups,
        "attention_bias": bias,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        # Before transformers 5 both stood apart; it reads either form.
        "partial_rotary_factor": 0.5,
        "rope_theta": theta,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": theta, "partial_rotary_factor": 0.5,
        },
    }, found  # fmt: skip


def _by_kind(fused: Any, heads: int, width: int) -> Any:
    """Rows that go head by head (query, key and value of each) to all queries, keys and values."""
    by_head = fused.reshape(heads, 3, width, *fused.shape[1:])
    return by_head.transpose(0, 1).reshape(fused.shape)


def unlike_published(config: Any, where: str) -> Iterator[Problem]:
    """What a Glm of transformers may have and the published code has not."""
    rope = config.rope_parameters or {}
    differing = {
        "hidden_act": config.hidden_act != "silu",
        "tie_word_embeddings": config.tie_word_embeddings,
        "rope_parameters": rope.get("rope_type") != "default"
        or rope.get("partial_rotary_factor", 0.5) != 0.5,
    }
    for key, differs in differing.items():
        if differs:
            yield Problem(
                what=f"{key} = {getattr(config, key)!r} cannot be written in ChatGLM's layout",
                where=where,
                why="the published code has no key for it, and computes something else",
                fix="keep this model in the layout of transformers",
            )


def from_hf(config: Any, tensors: Tensors) -> tuple[dict[str, Any], dict[str, Later]]:
    """config.json of a ChatGLM2 in its published form, and its tensors, of those of a Glm."""
    found = {here: tensors[there] for here, there in OUTSIDE.items()}
    for i in range(config.num_hidden_layers):
        here, there = HERE.format(i=i), THERE.format(i=i)
        found |= {here + own: tensors[there + name] for own, name in INSIDE.items()}
        for part in ("weight", "bias") if config.attention_bias else ("weight",):
            parts = [tensors[f"{there}self_attn.{name}_proj.{part}"] for name in "qkv"]
            found[f"{here}self_attention.query_key_value.{part}"] = stacked(*parts)
    written = config.to_dict()
    keys = {key: written[name] for key, name in SAME.items() if written.get(name) is not None}
    return {
        "model_type": "chatglm",
        "architectures": ["ChatGLMModel"],
        **keys,
        "multi_query_attention": True,
        "multi_query_group_num": config.num_key_value_heads,
        "add_qkv_bias": config.attention_bias,
        "add_bias_linear": False,
        "rmsnorm": True,
        "post_layer_norm": True,
        "apply_residual_connection_post_layernorm": False,
        "original_rope": True,
        "rope_ratio": config.rope_parameters["rope_theta"] / BASE,
        "tie_word_embeddings": False,
    }, found
