r"""ChatGLM3-6B: rows as the authors' ``finetune_demo/finetune_hf.py`` encodes conversations.

    [gMASK] sop <|system|> \n text <|user|> \n question <|assistant|> \n answer </s>
     -100  ..                                            -100     \n answer </s>   len(answer) + 3

Which official code is meant: the ``main.py`` of ChatGLM2 asks the tokenizer for ``build_prompt``,
which ChatGLM3's does not have. It ran on ChatGLM3 only with a tokenizer changed by hand, in a
format that this model's chat does not use. ``finetune_hf.py`` reads conversations; a row is read
here as the conversation of its system message, its history, its prompt and its response. That
script trains every turn of the assistant, each up to the role token that ends it, as is done here
where ``data.trained_answers`` is "every"; where it is "last" the history carries no loss.
``max_source_length`` is its ``max_input_length``, ``max_target_length`` its ``max_output_length``.

Each message is encoded by itself and without control tokens, as published: ``data.reading`` changes
nothing here.

In training only the sum of both limits and one counts. In evaluation the prompt may have
``max_source_length`` tokens, the closing <|assistant|> among them, and the reference
``max_eval_target_length``.

Where ``data.protocol`` "default" differs from "official", and why:

    case                              official                      default
    --------------------------------  ----------------------------  ---------------------------
    training, too long                left end kept: the answer's   the answer keeps its limit;
                                      end is lost; with a long      oldest rounds go, then the
                                      prompt all of it, and         question's end;
                                      nothing is trained            <|assistant|> stays
    evaluation, prompt too long       the row is left out           cut as in training
    an answer that is too long        left end kept, </s> lost      the same; it is counted
"""

from __future__ import annotations

from typing import Any

from ..params.data import Data
from .encoded import UNTRAINED, Cut, Encoded, Prompt, keep_left, keep_newest
from .rows import History, Row

PADS_WHEN_PREPARED = False
ALWAYS_PLAIN = True
"""Control tokens that users name stay letters, whatever ``data.reading`` says."""


def encode_training(row: Row, tokenizer: Any, data: Data) -> Encoded:
    """The conversation and </s>; labels on the answer, from the token after <|assistant|> on."""
    prompt = _ids(row, tokenizer, data, row.history)
    answer = _answer(row, tokenizer)
    limit = constant_length(data)
    kept = answer
    if data.protocol == "official":
        fitted = keep_left(prompt, limit, lambda: 1)
        kept = answer[: limit - len(fitted.ids)]
    else:
        kept = answer[: max(data.max_target_length + 1, limit - len(prompt))]
        fitted = _newest(row, tokenizer, data, limit - len(kept))
    cut = Cut(fitted.lost, len(answer) - len(kept), fitted.question_lost)
    labels = _labels(fitted.ids, tokenizer) if data.answers == "every" else None
    return Encoded([*fitted.ids, *kept], (labels or [UNTRAINED] * len(fitted.ids)) + kept, cut)


def encode_prompt(row: Row, tokenizer: Any, data: Data) -> Encoded | None:
    """The conversation up to <|assistant|>; as labels what should follow.

    None where the official code leaves the row out.
    """
    target = data.max_eval_target_length or data.max_target_length
    answer = _answer(row, tokenizer)
    labels = answer[:target]
    if data.protocol == "official":
        prompt = Prompt(_ids(row, tokenizer, data, row.history))
        if len(prompt.ids) > data.max_source_length:
            return None
    else:
        prompt = _newest(row, tokenizer, data, data.max_source_length)
    cut = Cut(prompt.lost, len(answer) - len(labels), prompt.question_lost)
    return Encoded(prompt.ids, labels, cut)


def constant_length(data: Data) -> int:
    """Tokens of the longest training example: both limits and one."""
    return data.max_source_length + data.max_target_length + 1


def least_lengths(tokenizer: Any, data: Data) -> tuple[int, int]:
    """The marks of a round and a token of text; of an answer the new line that opens it, too."""
    empty = Row(0, "", "")
    opening = len(tokenizer.build_single_message("assistant", "", "")) - 1
    return len(_ids(empty, tokenizer, data, ())) + 1, opening + 1


def _ids(row: Row, tokenizer: Any, data: Data, history: History) -> list[int]:
    ids = tokenizer.get_prefix_tokens()
    if row.system:
        ids = ids + tokenizer.build_single_message("system", "", row.system)
    for number, (question, answer) in enumerate((*history, (row.prompt, None))):
        prefix = data.source_prefix if number == 0 else ""
        ids = ids + tokenizer.build_single_message("user", "", prefix + question)
        if answer is not None:
            ids = ids + tokenizer.build_single_message("assistant", "", answer)
    return [*ids, tokenizer.get_command("<|assistant|>")]


def _labels(prompt: list[int], tokenizer: Any) -> list[int]:
    """The labels of a prompt whose answers are trained, each with the role token after it."""
    assistant = tokenizer.get_command("<|assistant|>")
    roles = [tokenizer.get_command(role) for role in ("<|system|>", "<|user|>", "<|assistant|>")]
    labels, speaks = [], False
    for i in prompt:
        labels.append(i if speaks else UNTRAINED)
        speaks = i == assistant if i in roles else speaks
    return labels


def _answer(row: Row, tokenizer: Any) -> list[int]:
    _, *ids = tokenizer.build_single_message("assistant", "", row.response)
    return [*ids, tokenizer.eos_token_id]


def _newest(row: Row, tokenizer: Any, data: Data, room: int) -> Prompt:
    def ids_of(history: History) -> list[int]:
        return _ids(row, tokenizer, data, history)

    return keep_newest(ids_of, lambda history: 1, row.history, room)
