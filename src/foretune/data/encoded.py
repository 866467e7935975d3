"""What a family makes of a row: token ids, labels, and what the length limits took away."""

from __future__ import annotations

import importlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from ..errors import refuse
from ..params.data import Data
from .rows import History, Row

UNTRAINED = -100
"""Label of a token without a loss (``ignore_index`` of torch's cross entropy)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Tokens that a row lost to the length limits."""

    prompt: int = 0
    answer: int = 0
    question: bool = False
    """Whether the end of the newest question is among them."""

    def __bool__(self) -> bool:
        return bool(self.prompt or self.answer)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example, not padded."""

    input_ids: list[int]
    labels: list[int]
    """Training: one per input id, UNTRAINED where there is no loss; of an encoder-decoder what the
    decoder is to write. Evaluation: the reference."""
    cut: Cut = Cut()


class Family(Protocol):
    """What the module of a family offers."""

    PADS_WHEN_PREPARED: bool
    """Whether the official code pads when it prepares the rows and not batch by batch: training
    examples to ``constant_length``, prompts to the longest of a block."""

    def encode_training(self, row: Row, tokenizer: Any, data: Data) -> Encoded:
        """Prompt and answer, with labels on what is trained."""
        ...

    def encode_prompt(self, row: Row, tokenizer: Any, data: Data) -> Encoded | None:
        """The prompt to generate from, and the reference; None where the official code has none."""
        ...

    def constant_length(self, data: Data) -> int:
        """Tokens of the longest training example that the limits allow."""
        ...

    def least_lengths(self, tokenizer: Any, data: Data) -> tuple[int, int]:
        """The smallest source and target limit that leave room for a token of text."""
        ...


def family_of(tokenizer: Any) -> Family:
    """The module of this folder that is named like the tokenizer's family; ``chat_template`` for
    the tokenizers of transformers, which bring their own.
    """
    name = getattr(tokenizer, "family", "chat_template")
    return cast(Family, importlib.import_module(f"{__package__}.{name}"))


def text_ids(text: str, tokenizer: Any, data: Data) -> list[int]:
    """The ids of what a user wrote, without special tokens around it.

    Control tokens that are named in it stay letters, unless ``data.reading`` is "published".
    """
    plain = data.read_as == "plain"
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=plain)


def only_last_answer(data: Data, model: str) -> None:
    """Raises UserError where every answer of a conversation should be trained, in a family whose
    earlier answers are not followed by an end token.
    """
    if data.answers == "every":
        raise refuse(
            what="data.trained_answers is 'every'",
            where="data.trained_answers",
            why=f"{model} reads the earlier rounds as one text, in which no end token follows an "
            "answer: an earlier answer would be trained never to end",
            fix="set data.trained_answers to 'last', and give each answer that is to be trained a "
            "row of its own",
        )


def without_pads(labels: list[int], tokenizer: Any) -> list[int]:
    """The labels as the official code of ChatGLM leaves them: the pad's id is never trained."""
    return [UNTRAINED if label == tokenizer.pad_token_id else label for label in labels]


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ids of a prompt within its limit."""

    ids: list[int]
    lost: int = 0
    question_lost: bool = False
    rounds: int = 0
    """Rounds of the history that `keep_newest` kept."""


def keep_left(ids: list[int], room: int, after_question: Callable[[], int]) -> Prompt:
    """The first ``room`` ids, as the official code cuts: what goes is the newest question.

    ``after_question()`` is the number of ids that follow the question (the cue to answer).
    """
    lost = len(ids) - room
    if lost <= 0:
        return Prompt(ids)
    return Prompt(ids[:room], lost, question_lost=lost > after_question())


def keep_newest(
    ids_of: Callable[[History], list[int]],
    after_question: Callable[[History], int],
    history: History,
    room: int,
) -> Prompt:
    """As many of the newest rounds as fit; the question whole, where it fits alone.

    A question that is too long by itself loses its end, and the cue to answer stays.
    ``ids_of(history)`` is the whole prompt after these rounds.
    """
    whole = ids_of(history)
    if len(whole) <= room:
        return Prompt(whole, rounds=len(history))
    rounds = len(history)
    kept = bisect_left(
        range(1, rounds + 1), True, key=lambda count: len(ids_of(history[rounds - count :])) > room
    )
    history = history[rounds - kept :]
    ids = ids_of(history)
    if len(ids) <= room:
        return Prompt(ids, len(whole) - len(ids), rounds=kept)
    cue = after_question(history)
    return Prompt(ids[: room - cue] + ids[len(ids) - cue :], len(whole) - room, question_lost=True)


def room_for_answer(data: Data, limit: int, prompt: int, question: Callable[[], int]) -> int:
    """Tokens that an answer may have in an example of ``limit`` tokens.

    It has what the prompt leaves, and its own limit in any case: then the prompt is cut. Under
    ``data.max_length``, which is one limit for all, all rounds make room for it, and the question
    does so up to a fair part. ``prompt`` and ``question()`` are the tokens of the prompt with all
    rounds and with none.
    """
    if data.max_length is None:
        return max(limit - prompt, data.max_target_length + 1)
    return max(limit - question(), min(data.max_target_length + 1, limit // 2))
