"""Baichuan-7B and Baichuan2-7B as a Llama of transformers, and back.

The names are Llama's but for W_pack, whose rows are all queries, then all keys, then all values.
Baichuan2's head of unit rows is folded into the matrix, which a plain linear layer then multiplies
with. The lengths of its rows are gone afterwards; the way back needs none of them, for rows of
length 1 stay as they are.

Source: baichuan-inc/Baichuan2-7B-Base, modeling_baichuan.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import Problem
from ..models.baichuan import folded_head
from .tensors import Later, Tensors, rows, stacked

ARCHITECTURE = "LlamaForCausalLM"
MODEL_TYPE = "llama"
BASE = 10000.0
HEAD = "lm_head.weight"
LAYER = "model.layers.{i}.self_attn."

SAME = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "hidden_act", "rms_norm_eps", "initializer_range", "use_cache",
    "bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype",
)  # fmt: skip
"""Keys of config.json that Llama has too, with the same meaning."""


def unlike(config: Any, where: str) -> Iterator[Problem]:
    """What a Baichuan may have and Llama has not."""
    if config.has_alibi:
        yield Problem(
            what="the 13B models cannot be written as a model of transformers",
            where=where,
            why="their positions enter as ALiBi, and no class of it has that with these layers",
            fix="export it in its published layout (--layout published)",
        )
    if config.pre_seq_len:
        yield Problem(
            what=f"pre_seq_len = {config.pre_seq_len} cannot be written as {ARCHITECTURE}",
            where=where,
            why="that architecture has no prefix",
            fix="export the base without the prefix, or tune with LoRA",
        )


def to_hf(config: Any, tensors: Tensors) -> tuple[dict[str, Any], dict[str, Later]]:
    """config.json of a Llama, and its tensors, of the published ones."""
    found: dict[str, Later] = {}
    for name, tensor in tensors.items():
        if name.endswith("W_pack.weight"):
            layer = name.removesuffix("W_pack.weight")
            parts = rows(tensor, *[config.hidden_size] * 3)
            found |= {f"{layer}{k}_proj.weight": part for k, part in zip("qkv", parts, strict=True)}
        elif not name.endswith("rotary_emb.inv_freq"):
            found[name] = tensor
    if config.has_norm_head:
        found[HEAD] = tensors[HEAD].then(folded_head)
    published = config.to_dict()
    positions = config.max_position_embeddings or published.get("model_max_length") or 4096
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **{key: published[key] for key in SAME if published.get(key) is not None},
        "num_key_value_heads": config.num_attention_heads,
        "head_dim": config.hidden_size // config.num_attention_heads,
        "max_position_embeddings": positions,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        # Before transformers 5 the base stood apart; it reads either form.
        "rope_theta": BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": BASE},
    }, found


def unlike_published(config: Any, where: str) -> Iterator[Problem]:
    """What a Llama of transformers may have and Baichuan has not."""
    rope = config.rope_parameters or {}
    differing = {
        "num_key_value_heads": config.num_key_value_heads != config.num_attention_heads,
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "tie_word_embeddings": config.tie_word_embeddings,
        "rope_parameters": rope.get("rope_type") != "default" or rope.get("rope_theta") != BASE,
    }
    for key, differs in differing.items():
        if differs:
            yield Problem(
                what=f"{key} = {getattr(config, key)!r} cannot be written in Baichuan's layout",
                where=where,
                why="the published code has no key for it, and computes something else",
                fix="keep this model in the layout of transformers",
            )


def from_hf(config: Any, tensors: Tensors) -> tuple[dict[str, Any], dict[str, Later]]:
    """The changed keys of config.json, and the tensors of a Baichuan, of those of a Llama."""
    found = {key: tensor for key, tensor in tensors.items() if "_proj." not in key}
    for i in range(config.num_hidden_layers):
        layer = LAYER.format(i=i)
        parts = [tensors[f"{layer}{name}_proj.weight"] for name in "qkv"]
        found[f"{layer}W_pack.weight"] = stacked(*parts)
    fused = ("q_proj.", "k_proj.", "v_proj.")
    found |= {
        key: tensor
        for key, tensor in tensors.items()
        if "_proj." in key and not any(name in key for name in fused)
    }
    written = config.to_dict()
    return {key: written[key] for key in SAME if written.get(key) is not None}, found
