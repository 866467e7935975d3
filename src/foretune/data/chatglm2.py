r"""ChatGLM2-6B: rows as ``ptuning/main.py`` of the authors encodes them.

    [gMASK]  sop   prompt  answer  </s>
     -100   -100    -100   answer  </s>      labels: len(answer) + 1 are trained

The prompt is ``[Round 1]\n\n问：..\n\n答：``, after a round for each pair of the history. In
training [gMASK], sop and the prompt may have ``max_source_length`` tokens together, the answer
``max_target_length``, and </s> comes on top. In evaluation the reference starts with [gMASK] sop,
which count, and which decoding hides.

Where ``data.protocol`` "default" differs from "official", and why:

    case                              official                      default
    --------------------------------  ----------------------------  ---------------------------
    a dialogue that is too long       left end kept: the question   oldest rounds go, question
                                      and ``答：`` are lost         and ``答：`` stay
    a newest question that is too     left end kept: its end and    its end is lost, ``答：``
    long by itself                    ``答：`` are lost             stays
    id 0, <unk> and the pad, in an    has no label                  keeps its label
    answer
    ``ignore_pad_in_loss`` is off     the prompt is trained to be   the prompt has no label
                                      padding
    an answer that is too long        left end and </s> kept        the same; it is counted

The model knows no system role: a conversation's system message is the first paragraph of the
prompt, behind ``data.source_prefix`` and before the rounds, and stays when rounds go.
"""

from __future__ import annotations

from typing import Any

from ..params.data import Data
from .encoded import (
    UNTRAINED,
    Cut,
    Encoded,
    Prompt,
    keep_left,
    keep_newest,
    only_last_answer,
    text_ids,
    without_pads,
)
from .rows import History, Row

PADS_WHEN_PREPARED = True


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """[gMASK], sop, prompt, answer, </s>; labels on the answer and </s>."""
    prompt = _prompt(row, tokenizer, data)
    answer = text_ids(row.response, tokenizer, data)
    kept = answer[: data.max_target_length]
    trained = [*kept, tokenizer.eos_token_id]
    untrained = [UNTRAINED] * len(prompt.ids)
    if data.protocol == "official":
        if data.ignore_pad_in_loss:
            trained = without_pads(trained, tokenizer)
        else:
            untrained = [tokenizer.pad_token_id] * len(prompt.ids)
    input_ids = [*prompt.ids, *kept, tokenizer.eos_token_id]
    cut = Cut(prompt.lost, len(answer) - len(kept), prompt.question_lost)
    return Encoded(input_ids, untrained + trained, cut)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """[gMASK], sop, prompt; as labels the reference, encoded in the same way."""
    target = data.max_eval_target_length or data.max_target_length
    prompt = _prompt(row, tokenizer, data)
    answer = _whole(row.response, tokenizer, data)
    labels = answer[:target]
    cut = Cut(prompt.lost, len(answer) - len(labels), prompt.question_lost)
    if data.protocol == "official" and data.ignore_pad_in_loss:
        labels = without_pads(labels, tokenizer)
    return Encoded(prompt.ids, labels, cut)


def constant_length(data: Data) -> int:
    """Tokens of the longest training example: both limits and </s>."""
    return data.max_source_length + data.max_target_length + 1


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """[gMASK], sop and a token of text; under "default" the marks of a round are never cut."""
    only_last_answer(data, "ChatGLM2-6B")
    if data.protocol == "official":
        return 3, 3
    marks = data.source_prefix + tokenizer.build_prompt("")
    return len(_whole(marks, tokenizer, data)) + 1, 3


def _prompt(row: Row, tokenizer: Any, data: Data) -> Prompt:
    opening = data.source_prefix + (f"{row.system}\n\n" if row.system else "")

    def text_of(history: History) -> str:
        return opening + tokenizer.build_prompt(row.prompt, list(history))

    def ids_of(history: History) -> list[int]:
        return _whole(text_of(history), tokenizer, data)

    def after_question(history: History) -> int:
        text = text_of(history)
        before = text[: text.rindex("\n\n")]
        return len(ids_of(history)) - len(_whole(before, tokenizer, data))

    room = data.max_source_length
    if data.protocol == "official":
        return keep_left(ids_of(row.history), room, lambda: after_question(row.history))
    return keep_newest(ids_of, after_question, row.history, room)


def _whole(text: str, tokenizer: Any, data: Data) -> list[int]:
    """[gMASK], sop and the text."""
    return tokenizer.build_inputs_with_special_tokens(text_ids(text, tokenizer, data))
