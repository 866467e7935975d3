"""``import foretune.auto``: transformers' Auto classes know the families, and need none of a
folder's code for them.

After it ``AutoModel.from_pretrained("THUDM/chatglm-6b")`` gives the class that is here, with or
without ``trust_remote_code=True``; AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM and
AutoTokenizer likewise.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
)

from .models.hf import native_families, native_model, published_config
from .tokenizers import ChatGLMTokenizer


class NoModel(PreTrainedConfig):
    """The key under which the tokenizer is registered.

    AutoTokenizer prefers a registered class to the folder's code only where it goes by the name in
    tokenizer_config.json, and it goes by the name only for a config that has no tokenizer of its
    own."""

    model_type = "foretune-tokenizer-by-name"


for family in native_families():
    config = published_config(family)
    # families that share a model_type are told apart by config.from_dict
    AutoConfig.register(config.model_type, config, exist_ok=True)
    for auto in (AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM):
        auto.register(config, native_model(family), exist_ok=True)
AutoTokenizer.register(NoModel, tokenizer_class=ChatGLMTokenizer, exist_ok=True)
