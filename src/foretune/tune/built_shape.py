"""The sizes of a model of transformers whose family has no declaration in params/arch: those of the
model itself, built without memory.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL_TARGETS
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..params.arch.shape import Kind, Shape, Weight

BLOCK = re.compile(r"\.(\d+)\.")
FFN = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size")
DROPOUT = ("resid_pdrop", "attn_pdrop", "hidden_dropout", "attention_dropout", "dropout")
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length")


def built_shape(config: PreTrainedConfig) -> Shape:
    """Every parameter of the model that ``config`` describes, by name, and its sizes.

    Raises:
        ValueError: where transformers has no causal language model of this config.
    """
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return shape_of_model(model)


def shape_of_model(model: PreTrainedModel) -> Shape:
    """The sizes of a model that is there."""
    text: Any = model.config.get_text_config()
    heads = _first(text, "num_attention_heads", "n_head") or 1
    hidden = _first(text, "hidden_size", "n_embd", "d_model")
    weights = tuple(_weights(model))
    linears = sorted({w.name.split(".")[-2] for w in weights if w.kind == "linear"})
    usual = USUAL_TARGETS.get(text.model_type, [])
    return Shape(
        hidden=hidden,
        layers=_first(text, "num_hidden_layers", "n_layer", "num_layers"),
        heads=heads,
        kv_heads=_first(text, "num_key_value_heads") or heads,
        head_dim=_first(text, "head_dim") or hidden // heads,
        ffn=_first(text, *FFN) or 4 * hidden,
        gated=any("gate_proj" in one.name or "gate_up" in one.name for one in weights),
        vocab=text.vocab_size,
        max_positions=_first(text, *POSITIONS),
        tied=any(weight.tied for weight in weights),
        weights=weights,
        prefix_inputs=hidden,
        prefix_place=model.base_model_prefix,
        dropout=any(getattr(text, key, None) for key in DROPOUT),
        capped=bool(_first(text, "attn_logit_softcapping")),
        default_lora_targets=tuple(one for one in usual if one in linears) or tuple(linears),
        quantised=(),
    )


def _first(config: Any, *names: str) -> Any:
    """The first of these keys that the config has a value for."""
    return next((found for name in names if (found := getattr(config, name, None))), None)


def _weights(model: PreTrainedModel) -> Iterator[Weight]:
    """The parameters, copies in blocks together, in the order of the model."""
    modules, head = dict(model.named_modules()), model.get_output_embeddings()
    alike: dict[tuple[str, tuple[int, ...], Kind], list[int | None]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        module = modules[name.rpartition(".")[0]]
        kind: Kind = "head" if module is head else _kind(module, name)
        sizes = tuple(parameter.shape)
        if isinstance(module, Conv1D) and parameter.ndim == 2:  # it keeps inputs x outputs
            sizes = sizes[::-1]
        block = BLOCK.search(name)
        pattern = BLOCK.sub(".{i}.", name, count=1) if block else name
        alike[pattern, sizes, kind].append(int(block[1]) if block else None)
    for (name, sizes, kind), blocks in alike.items():
        numbers = tuple(one for one in blocks if one is not None)
        first = numbers == tuple(range(len(numbers)))
        yield Weight(name, sizes, kind, len(blocks), blocks=() if first else numbers)
    table = model.get_input_embeddings()
    if head is not None and table is not None and head.weight is table.weight:
        name = next(name for name, module in modules.items() if module is head)
        yield Weight(f"{name}.weight", tuple(head.weight.shape), "head", tied=True)


def _kind(module: nn.Module, name: str) -> Kind:
    if isinstance(module, nn.Embedding):
        return "embedding"
    if isinstance(module, nn.Linear | Conv1D):
        return "bias" if name.endswith(".bias") else "linear"
    return "norm"
