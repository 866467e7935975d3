r"""ChatGLM-6B: rows as ``ptuning/main.py`` of the authors encodes them.

    prompt  [gMASK]  <sop>  answer  <eop>
    -100 .. -100     <sop>  answer  <eop>      labels: len(answer) + 2 are trained

The prompt is the bare question; after earlier rounds ``[Round 0]\n问：..\n答：..\n`` and so on.
In training the prompt may have ``max_source_length - 1`` tokens and the answer
``max_target_length - 2``. In evaluation it is 2 less for both, and the reference ends in [gMASK]
<sop>, which decoding hides.

Where ``data.protocol`` "default" differs from "official", and why:

    case                              official                      default
    --------------------------------  ----------------------------  ---------------------------
    a history column, and no history  training: ``[Round 0]``;      the bare question, always
                                      evaluation, chat: without it
    a dialogue that is too long       left end kept: the question   oldest rounds go, question
                                      and ``答：`` are lost         and ``答：`` stay
    a newest question that is too     left end kept: its end and    its end is lost, ``答：``
    long by itself                    ``答：`` are lost             stays
    ``<pad>`` written in an answer    has no label                  keeps its label
    an answer that is too long        left end and <eop> kept       the same; it is counted

The model knows no system role: a conversation's system message is the first line of the prompt,
behind ``data.source_prefix`` and before the rounds, and stays when rounds go.

Where ``data.reading`` is "published", a literal ``<sop>`` in a prompt becomes that token, and the
labels start there: the model draws its line at the first <sop>, too.
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

_OFFICIAL_FIRST_ROUND = "[Round 0]\n问：{}\n答："
"""What official training writes around a question whose history column is empty."""


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """Prompt, [gMASK], <sop>, answer, <eop>; labels from <sop> on."""
    official = data.protocol == "official"
    first_round = official and data.history_column is not None
    prompt = _prompt(row, tokenizer, data, data.max_source_length - 1, first_round=first_round)
    answer = text_ids(row.response, tokenizer, data)
    kept = answer[: data.max_target_length - 2]
    input_ids = tokenizer.build_inputs_with_special_tokens(prompt.ids, kept)
    context = input_ids.index(tokenizer.bos_token_id)
    labels = [UNTRAINED] * context + input_ids[context:]
    if official and data.ignore_pad_in_loss:
        labels = without_pads(labels, tokenizer)
    cut = Cut(prompt.lost, len(answer) - len(kept), prompt.question_lost)
    return Encoded(input_ids, labels, cut)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """Prompt, [gMASK], <sop>; as labels the reference, encoded in the same way."""
    target = data.max_eval_target_length or data.max_target_length
    prompt = _prompt(row, tokenizer, data, data.max_source_length - 2, first_round=False)
    answer = text_ids(row.response, tokenizer, data)
    kept = answer[: target - 2]
    labels = tokenizer.build_inputs_with_special_tokens(kept)
    if data.protocol == "official" and data.ignore_pad_in_loss:
        labels = without_pads(labels, tokenizer)
    cut = Cut(prompt.lost, len(answer) - len(kept), prompt.question_lost)
    return Encoded(tokenizer.build_inputs_with_special_tokens(prompt.ids), labels, cut)


def constant_length(data: Data) -> int:
    """Tokens of the longest training example: both limits already hold the special tokens."""
    return data.max_source_length + data.max_target_length


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """Two special tokens, and one of text; the prefix counts where it is never cut."""
    only_last_answer(data, "ChatGLM-6B")
    prefix = 0
    if data.protocol == "default" and data.source_prefix:
        prefix = len(text_ids(data.source_prefix, tokenizer, data))
    return prefix + 3, 3


def _prompt(row: Row, tokenizer: Any, data: Data, room: int, *, first_round: bool) -> Prompt:
    opening = data.source_prefix + (f"{row.system}\n" if row.system else "")

    def ids_of(text: str) -> list[int]:
        return text_ids(opening + text, tokenizer, data)

    def text_of(history: History) -> str:
        if first_round and not history:
            return _OFFICIAL_FIRST_ROUND.format(row.prompt)
        return tokenizer.build_prompt(row.prompt, list(history))

    def after_question(history: History) -> int:
        if not history and not first_round:
            return 0
        text = text_of(history)
        return len(ids_of(text)) - len(ids_of(text[: text.rindex("\n")]))

    if data.protocol == "official":
        ids = ids_of(text_of(row.history))
        return keep_left(ids, room, lambda: after_question(row.history))
    return keep_newest(lambda rest: ids_of(text_of(rest)), after_question, row.history, room)
