"""Models with random weights, for training from scratch."""

from __future__ import annotations

from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from .hf import PublishedConfig, native_model


def fresh_model(
    config: PreTrainedConfig, *, dtype: torch.dtype, attention: str | None = None
) -> PreTrainedModel:
    """A model of any family as its code starts it, with torch's random numbers.

    Raises UserError where the config lacks what a model needs, ValueError or ImportError where
    ``attention`` cannot be had.
    """
    if isinstance(config, PublishedConfig):
        model = native_model(config.architecture)(config)
    elif config.is_encoder_decoder:
        model = AutoModelForSeq2SeqLM.from_config(config)
    else:
        model = AutoModelForCausalLM.from_config(config)
    if attention is not None:
        model.set_attn_implementation(attention)
    return cast(Any, model).to(dtype)
