"""What models of transformers' own are asked and given beside their files: whether they write at
all, a padding token, and where their answers end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from ..data.encoded import family_of
from ..errors import refuse
from ..models.hf import PublishedConfig
from ..params.run import Run
from ..params.setting import Note
from ..text import Said

ENCODERS = {
    "an encoder with a decoder": MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "an encoder, which reads and does not write": MODEL_FOR_MASKED_LM_MAPPING_NAMES,
}
PADS = re.compile(r"[<\[|]+\w*pad\w*[>\]|]+", re.IGNORECASE)
SPARE = re.compile(r"[<\[|]+\w*(reserved|unused)\w*[>\]|]+", re.IGNORECASE)


def refuse_encoder(config: PreTrainedConfig, run: Run) -> None:
    """Raises UserError where the model reads a text from both sides: transformers would load it as
    one that writes, and it would see the answers that it is to learn.
    """
    if isinstance(config, PublishedConfig) or getattr(config, "is_decoder", True):
        return
    family = config.model_type
    for kind, families in ENCODERS.items():
        if family in families:
            raise refuse(
                what=f"a model of the family {family!r} is {kind}",
                where=str(run.origin("model.path")),
                why="here causal language models are tuned, which write from left to right",
                fix="give a model such as Qwen, Llama or ChatGLM (architectures ...ForCausalLM)",
            )


def with_pad(tokenizer: PreTrainedTokenizerBase) -> Iterator[Note]:
    """Gives a tokenizer that has no padding token one that it has, and says which: one that is
    called so, a spare one, the unknown token, or the end token. Padding has no label, whatever it
    is.
    """
    if tokenizer.pad_token_id is not None:
        return
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    spare = [name for kind in (PADS, SPARE) for name in special if kind.fullmatch(name)]
    named = [tokenizer.unk_token, tokenizer.eos_token, *special, tokenizer.convert_ids_to_tokens(0)]
    tokenizer.pad_token = next(str(name) for name in [*spare, *named] if name is not None)
    yield Note(
        what=Said(
            f"the tokenizer has no padding token; {tokenizer.pad_token!r} is taken",
            f"分词器没有填充词元；使用 {tokenizer.pad_token!r}",
        ),
        where=str(tokenizer.name_or_path),
        why=Said(
            "it fills up batches only: padding is masked, and has no label",
            "它只用来补齐批次：填充被屏蔽，没有标签",
        ),
    )


def stop_at_turn_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, run: Run) -> None:
    """Generation stops where the chat template ends a turn, beside where the model's own settings
    stop it.
    """
    turn_ends = getattr(family_of(tokenizer), "turn_ends", None)
    settings = model.generation_config
    if turn_ends is None or settings is None:
        return
    own: Any = settings.eos_token_id
    known = own if isinstance(own, list) else [] if own is None else [own]
    ends = list(dict.fromkeys([*known, *turn_ends(tokenizer, run.data)]))
    settings.eos_token_id = ends if len(ends) > 1 else ends[0]
