"""Small models of both families, with weights that make every part of them matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

BOS, EOS, GMASK, MASK, PAD = 94, 95, 91, 90, 3

CHATGLM = {
    "model_type": "chatglm",
    "vocab_size": 96,
    "hidden_size": 32,
    "inner_hidden_size": 48,
    "num_layers": 3,
    "num_attention_heads": 4,
    "max_sequence_length": 64,
    "position_encoding_2d": True,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "gmask_token_id": GMASK,
    "mask_token_id": MASK,
    "pad_token_id": PAD,
}
CHATGLM2 = {
    "model_type": "chatglm",
    "padded_vocab_size": 96,
    "hidden_size": 32,
    "ffn_hidden_size": 40,
    "kv_channels": 8,
    "num_layers": 3,
    "num_attention_heads": 6,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "add_qkv_bias": True,
    "seq_length": 64,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

Build = Callable[..., Any]


def prompt_ids(config: dict[str, Any], *lengths: int) -> torch.Tensor:
    """Left-padded prompts with ``lengths`` words each, closed or opened as the family's tokenizer
    does.
    """
    generator = torch.Generator().manual_seed(7)
    rows = []
    for length in lengths:
        words = torch.randint(5, 80, (length,), generator=generator).tolist()
        first = "inner_hidden_size" in config
        row = [*words, GMASK, BOS] if first else [88, 89, *words]
        rows.append([config["pad_token_id"]] * (max(lengths) - length) + row)
    return torch.tensor(rows)
