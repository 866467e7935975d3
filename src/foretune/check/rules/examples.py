"""What the examples of several rules share: measured data, and models of the known families."""

from __future__ import annotations

from typing import Any

from ...facts import Damage, DataFacts, Facts, Texts

DATA: dict[str, object] = {"launch.train": True, "data.train": "train.json"}
"""A run that trains on a file."""

CHATGLM2: dict[str, Any] = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "hidden_size": 4096, "num_layers": 28,
    "num_attention_heads": 32, "kv_channels": 128, "ffn_hidden_size": 13696, "seq_length": 32768,
    "multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True,
    "torch_dtype": "float16", "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
"""The keys of ChatGLM2-6B's config.json that matter here."""

CHATGLM: dict[str, Any] = {
    "model_type": "chatglm", "vocab_size": 130528, "hidden_size": 4096, "num_layers": 28,
    "num_attention_heads": 32, "inner_hidden_size": 16384, "max_sequence_length": 2048,
    "position_encoding_2d": True, "bos_token_id": 130004, "eos_token_id": 130005,
    "mask_token_id": 130000, "gmask_token_id": 130001, "pad_token_id": 3, "torch_dtype": "float16",
}  # fmt: skip
"""The keys of ChatGLM-6B's config.json that matter here."""

LLAMA3: dict[str, Any] = {
    "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256,
    "multiple_of": 1024, "ffn_dim_multiplier": 1.3, "norm_eps": 1e-05, "rope_theta": 500000.0,
}  # fmt: skip
"""Llama 3 8B in the keys of Meta's params.json."""

TRANSFORMER: dict[str, Any] = {
    "model_type": "original-transformer", "vocab_size": 37000, "d_model": 512, "num_layers": 6,
    "num_attention_heads": 8, "ffn_hidden_dim": 2048, "max_seq_len": 512,
}  # fmt: skip
"""The base model of the original Transformer."""

BAICHUAN2: dict[str, Any] = {
    "model_type": "baichuan", "vocab_size": 125696, "hidden_size": 5120, "num_hidden_layers": 40,
    "num_attention_heads": 40, "intermediate_size": 13696, "model_max_length": 4096,
    "torch_dtype": "bfloat16", "pad_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
"""The keys of Baichuan2-13B's config.json that matter here."""


def measured(rows: int, **known: Any) -> Facts:
    """What was measured of a training file of so many rows."""
    return Facts(transformers="5.23.0", train=of_file("train.json", rows, **known))


def of_file(file: str, rows: int, **known: Any) -> DataFacts:
    """What was measured of a file of so many rows."""
    damage, texts = Damage(**known.pop("damage", {})), Texts(**known.pop("texts", {}))
    examples = known.pop("examples", rows)
    return DataFacts(file=file, rows=rows, examples=examples, damage=damage, texts=texts, **known)
