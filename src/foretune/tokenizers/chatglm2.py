"""The tokenizer of ChatGLM2-6B, and what ChatGLM3-6B shares with it.

A byte-fallback SentencePiece vocabulary (``tokenizer.model``) without special tokens: these are
*commands*, numbered after its pieces and never read out of a text. Every input starts with
``[gMASK] sop``; an answer ends with ``</s>``.

Follows tokenization_chatglm.py and modeling_chatglm.py of THUDM/chatglm2-6b on transformers
4.27 to 4.33, where the published code runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import PreTrainedTokenizer

from foretune.errors import Problem, UserError, refuse
from foretune.tokenizers.published import ChatGLMTokenizer
from foretune.tokenizers.vocabulary import read_vocabulary, tokens_of

# The three special tokens that stand in the vocabulary file. They are read-only: the published
# classes have them as properties, and no setting changes them.
FIXED_TOKENS = {"unk_token": "<unk>", "pad_token": "<unk>", "eos_token": "</s>"}


class CommandTokenizer(ChatGLMTokenizer):
    """Text to ids in ChatGLM2's vocabulary; a family names its ``commands`` in their order."""

    commands: ClassVar[tuple[str, ...]]
    vocab_files_names = {"vocab_file": "tokenizer.model"}  # noqa: RUF012
    SPECIAL_TOKENS_ATTRIBUTES = [  # noqa: RUF012
        name for name in PreTrainedTokenizer.SPECIAL_TOKENS_ATTRIBUTES if name not in FIXED_TOKENS
    ]

    unk_token = property(lambda self: "<unk>")
    unk_token_id = property(lambda self: None, doc="None, as published; `<unk>` itself is id 0.")
    pad_token = property(lambda self: "<unk>")
    pad_token_id = property(lambda self: self.get_command("<pad>"))
    eos_token = property(lambda self: "</s>")
    eos_token_id = property(lambda self: self.get_command("<eos>"))

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        # transformers 5 takes the names it does not know out of tokenizer_config.json.
        kwargs |= kwargs.pop("model_specific_special_tokens", None) or {}
        refuse_other_tokens({name: kwargs.pop(name, None) for name in FIXED_TOKENS}, vocab_file)
        self.vocab_file = vocab_file
        self.vocabulary = read_vocabulary(vocab_file, self.vocab_files_names["vocab_file"])
        self.token_ids = self._number_tokens()
        super().__init__(**kwargs)
