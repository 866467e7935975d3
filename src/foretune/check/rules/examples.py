"""What the examples of several rules share: measured data, and models of the known families."""

from __future__ import annotations

from typing import Any

from ...facts import Damage, DataFacts, Facts

DATA: dict[str, object] = {"launch.train": True, "data.train": "train.json"}
"""A run that trains on a file."""

CHATGLM2: dict[str, Any] = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "hidden_size": 4096, "num_layers": 28,
    "num_attention_heads": 32, "kv_channels": 128, "ffn_hidden_size": 13696, "seq_length": 32768,
    "multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True,
    "torch_dtype": "float16", "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
"""The keys of ChatGLM2-6B's config.json that matter here."""


BAICHUAN2: dict[str, Any] = {
    "model_type": "baichuan", "vocab_size": 125696, "hidden_size": 5120, "num_hidden_layers": 40,
    "num_attention_heads": 40, "intermediate_size": 13696, "model_max_length": 4096,
    "torch_dtype": "bfloat16", "pad_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
"""The keys of Baichuan2-13B's config.json that matter here."""


def measured(rows: int, **known: Any) -> Facts:
    """What was measured of a training file of so many rows."""
    damage = Damage(**known.pop("damage", {}))
    train = DataFacts(file="train.json", rows=rows, examples=rows, damage=damage, **known)
    return Facts(transformers="5.23.0", train=train)
