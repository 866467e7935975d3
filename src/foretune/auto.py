"""``import foretune.auto``: transformers' Auto classes know the families, and need none of a
folder's code for them.

After it ``AutoModel.from_pretrained("THUDM/chatglm-6b")`` gives the class that is here, with or
without ``trust_remote_code=True``; AutoConfig, AutoTokenizer and the Auto class of what a model
does (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification) likewise.
"""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from .models.hf import native_classifier, native_families, native_model, published_config
from .tokenizers import REGISTERED


class NoModel(PreTrainedConfig):
    """The key under which the tokenizers are registered, one subclass for each.

    AutoTokenizer prefers a registered class to the folder's code only where it goes by the name in
    tokenizer_config.json, and it goes by the name only for a config that has no tokenizer of its
    own."""

    model_type = "foretune-tokenizer-by-name"


def autos_of(model: type[PreTrainedModel]) -> tuple[Any, ...]:
    """The Auto classes of a model that generates text, beside AutoModel.

    ChatGLMForConditionalGeneration answers to both: it is causal, and its published config.json
    names AutoModelForSeq2SeqLM.
    """
    named_seq2seq = model.__name__.endswith("ForConditionalGeneration")
    causal = not getattr(model.config_class, "is_encoder_decoder", False)
    return (AutoModelForCausalLM,) * causal + (AutoModelForSeq2SeqLM,) * named_seq2seq


for family in native_families():
    config = published_config(family)
    # families that share a model_type are told apart by config.from_dict
    AutoConfig.register(config.model_type, config, exist_ok=True)
    for auto in (AutoModel, *autos_of(model := native_model(family))):
        auto.register(config, model, exist_ok=True)
    if classifier := native_classifier(family):
        AutoModelForSequenceClassification.register(config, classifier, exist_ok=True)
for tokenizer in REGISTERED:
    key = type(f"No{tokenizer.__name__}", (NoModel,), {})
    AutoTokenizer.register(key, tokenizer_class=tokenizer, exist_ok=True)
