r"""The original Transformer: a source for the encoder, a target for the decoder.

    encoder reads    prompt </s>
    decoder reads    <s> answer
    labels           answer </s>       every one is trained: len(answer) + 1

The decoder's input is the labels shifted right. ``max_source_length`` counts prompt and </s>,
``max_target_length`` answer and </s>; what is over is cut at the end, and </s> stays. There is no
official program for this family: both of ``data.protocol`` do the same. There are no rounds
either: a row with a history or a system message is refused.
"""

from __future__ import annotations

from typing import Any

from ..errors import refuse
from ..params.data import Data
from .encoded import Cut, Encoded, keep_left, text_ids
from .rows import Row

PADS_WHEN_PREPARED = False
ENCODER_DECODER = True


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The prompt and </s>; as labels the answer and </s>."""
    return _pair(row, tokenizer, data, data.max_target_length)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The same: what the encoder reads holds none of the answer."""
    target = data.max_eval_target_length or data.max_target_length
    return _pair(row, tokenizer, data, target)


def constant_length(data: Data) -> int:
    """Tokens of the longest training example: both limits."""
    return data.max_source_length + data.max_target_length


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """A token of text and </s>; the prefix counts as text that is always there."""
    return len(text_ids(data.source_prefix, tokenizer, data)) + 2, 2


def _pair(row: Row, tokenizer: Any, data: Data, target: int) -> Encoded:
    if row.history or row.system:
        raise refuse(
            what="this row is a conversation" + (" with a system message" if row.system else ""),
            where=f"line {row.line} of the data",
            why="the original Transformer turns one text into another, and knows no rounds",
            fix="give rows of a prompt and a response, without data.history_column",
        )
    source = text_ids(data.source_prefix + row.prompt, tokenizer, data)
    prompt = keep_left(source, data.max_source_length - 1, lambda: 0)
    answer = text_ids(row.response, tokenizer, data)
    kept = answer[: target - 1]
    end = tokenizer.eos_token_id
    cut = Cut(prompt.lost, len(answer) - len(kept), prompt.question_lost)
    return Encoded([*prompt.ids, end], [*kept, end], cut)
