r"""GLM-4-9B: rows as ``finetune_demo/finetune.py`` of THUDM/GLM-4 encodes conversations.

    [gMASK]<sop><|system|> \n text <|user|> \n question <|assistant|> \n answer <|endoftext|>
     -100  ..                                              -100       \n answer <|endoftext|>

The script is ChatGLM3's with another vocabulary: the same order of messages, the same shift that
leaves the role tokens out of the loss, the same limits and the same rows left out. What `chatglm3`
says of the protocols, of ``data.trained_answers`` and of the limits holds here word for word.

The script asks the tokenizer for ``apply_chat_template`` message by message. In the first releases
of the tokenizer that encodes a message by itself, without control tokens, as is done here whatever
``data.reading`` says; the chat_template that came later turns the names of control tokens in a text
into these tokens.
"""

from __future__ import annotations

from .chatglm3 import (
    ALWAYS_PLAIN,
    PADS_WHEN_PREPARED,
    constant_length,
    encode_prompt,
    encode_training,
    least_lengths,
)

__all__ = [
    "ALWAYS_PLAIN",
    "PADS_WHEN_PREPARED",
    "constant_length",
    "encode_prompt",
    "encode_training",
    "least_lengths",
]
