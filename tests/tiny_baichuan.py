"""config.json of the Baichuan family in published keys and sizes, and of small models."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "model_type": "baichuan",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}
SEVEN = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
THIRTEEN = {
    "hidden_size": 5120,
    "intermediate_size": 13696,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "model_max_length": 4096,
    "gradient_checkpointing": [False],
    "_from_model_config": True,
}
SECOND = {"vocab_size": 125696, "model_max_length": 4096, "tokenizer_class": "BaichuanTokenizer"}
BITS = {"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}

PUBLISHED: dict[str, tuple[dict[str, Any], str, int]] = {
    "Baichuan-7B": (COMMON | SEVEN | {"vocab_size": 64000}, "Baichuan-7B", 7_000_559_616),
    "Baichuan2-7B": (COMMON | SEVEN | SECOND, "Baichuan2-7B", 7_505_973_248),
    "Baichuan-13B": (COMMON | THIRTEEN | {"vocab_size": 64000}, "Baichuan-13B", 13_264_901_120),
    "Baichuan2-13B": (COMMON | THIRTEEN | SECOND, "Baichuan2-13B", 13_896_668_160),
}
"""config.json, what it is, and how many parameters that has."""

ROTARY: dict[str, Any] = {
    "model_type": "baichuan",
    "architectures": ["BaichuanForCausalLM"],
    "auto_map": {"AutoModelForCausalLM": "modeling_baichuan.BaichuanForCausalLM"},
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "model_max_length": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tokenizer_class": "BaichuanTokenizer",
}
ALIBI: dict[str, Any] = {
    **{key: value for key, value in ROTARY.items() if key != "max_position_embeddings"},
    "hidden_size": 48,
    "num_attention_heads": 6,  # no power of two
}
FIRST = {"tokenizer_class": None}  # changes: a head that is not normalised
