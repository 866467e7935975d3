"""``chat`` and ``stream_chat`` as the published models have them: (response, history) of one turn.

ChatGLM-6B and ChatGLM2-6B hold a history of (query, response) pairs and number their rounds.
ChatGLM3-6B and GLM-4-9B hold a list of messages with roles; their tokenizers have
``build_chat_input``, which is how they are known here.

What users write is text: the name of a control token in it stays letters. ``protocol="published"``
reads such names as the published code does, as the tokens themselves.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor
from transformers import (
    BatchEncoding,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from ..errors import refuse

ROLE_STOPS = ("<|user|>", "<|observation|>")
UNFINISHED = "\N{REPLACEMENT CHARACTER}"

Protocol = Literal["plain", "published"]


def is_plain(protocol: Protocol) -> bool:
    """Whether control tokens that a user names stay letters; raises UserError for another word."""
    if protocol not in ("plain", "published"):
        raise refuse(
            what=f"protocol is {protocol!r}",
            where="protocol, of this call",
            why="a user's words are read as plain text, or as the published code reads them",
            fix="leave it out for plain text, or write 'published'",
        )
    return protocol == "plain"


class Turn:
    """One question to the model: what it is given, where it stops, and how its answer is read."""

    def __init__(
        self,
        tokenizer: Any,
        query: str,
        history: Sequence[Any] | None,
        role: str = "user",
        *,
        plain: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.query = query
        self.history = list(history or [])
        self.role = role
        self.plain = plain
        self.has_roles = hasattr(tokenizer, "build_chat_input")

    def inputs(self) -> BatchEncoding:
        if self.has_roles:  # its messages are plain in the published code, too
            return self.tokenizer.build_chat_input(self.query, history=self.history, role=self.role)
        prompt = self.tokenizer.build_prompt(self.query, self.history)
        return self.tokenizer([prompt], return_tensors="pt", split_special_tokens=self.plain)

    def stops(self) -> list[int]:
        roles = map(self.tokenizer.get_command, ROLE_STOPS) if self.has_roles else ()
        return [self.tokenizer.eos_token_id, *roles]

    def read(self, ids: Sequence[int]) -> tuple[Any, list[Any]]:
        """The response that the new ``ids`` are, and the history with this turn in it."""
        said = ids[:-1] if ids and ids[-1] in self.stops() else ids
        # the rows that round the vocabulary up have no text
        text = self.tokenizer.decode([i for i in said if i < len(self.tokenizer)])
        if self.has_roles:
            asked = {"role": self.role, "content": self.query}
            return self.tokenizer.process_response(text, [*self.history, asked])
        response = self.tokenizer.process_response(text)
        return response, [*self.history, (self.query, response)]


class Speaks:
    """Adds ``chat`` and ``stream_chat`` to a model that generates."""

    published_sampling: ClassVar[Mapping[str, float]]

    def chat(
        self,
        tokenizer: Any,
        query: str,
        history: Sequence[Any] | None = None,
        max_length: int | None = None,
        num_beams: int = 1,
        do_sample: bool = True,
        top_p: float | None = None,
        temperature: float | None = None,
        logits_processor: LogitsProcessorList | None = None,
        *,
        role: str = "user",
        protocol: Protocol = "plain",
        **kwargs: Any,
    ) -> tuple[Any, list[Any]]:
        """The response and the new history. What is not given is as published for the model;
        ``role`` is for models with roles, ``protocol`` as this module says. ``kwargs`` go to
        ``generate``.
        """
        turn = Turn(tokenizer, query, history, role, plain=is_plain(protocol))
        given = {"max_length": max_length, "top_p": top_p, "temperature": temperature}
        kwargs |= {"num_beams": num_beams, "do_sample": do_sample}
        settings = self._settings(turn, given, logits_processor, kwargs)
        sequences = cast(Any, self).generate(**settings)
        return turn.read(sequences[0, settings["input_ids"].shape[1] :].tolist())

    def stream_chat(
        self,
        tokenizer: Any,
        query: str,
        history: Sequence[Any] | None = None,
        max_length: int | None = None,
        do_sample: bool = True,
        top_p: float | None = None,
        temperature: float | None = None,
        logits_processor: LogitsProcessorList | None = None,
        *,
        role: str = "user",
        protocol: Protocol = "plain",
        **kwargs: Any,
    ) -> Iterator[tuple[Any, list[Any]]]:
        """As ``chat``, again and again with one token more, as long as a character is not left in
        the middle.
        """
        turn = Turn(tokenizer, query, history, role, plain=is_plain(protocol))
        given = {"max_length": max_length, "top_p": top_p, "temperature": temperature}
        settings = self._settings(turn, given, logits_processor, {**kwargs, "do_sample": do_sample})
        ids: list[int] = []
        for token in stream(self, **settings):
            ids.append(token)
            response, told = turn.read(ids)
            if not str(response).endswith(UNFINISHED):
                yield response, told

    def _settings(
        self,
        turn: Turn,
        given: Mapping[str, float | None],
        logits_processor: LogitsProcessorList | None,
        kwargs: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The arguments of ``generate`` for a turn."""
        unread = {"max_length"} if "max_new_tokens" in kwargs else set()
        if not kwargs["do_sample"]:
            unread |= {"top_p", "temperature"}
        chosen = {
            key: self.published_sampling[key] if value is None else value
            for key, value in given.items()
            if key not in unread
        }
        return {
            **turn.inputs().to(cast(Any, self).device),
            "eos_token_id": turn.stops(),
            **chosen,
            **kwargs,
            "logits_processor": LogitsProcessorList([*(logits_processor or ()), ValidScores()]),
        }


class ValidScores(LogitsProcessor):
    """Where half precision has overflowed, the published code goes on with token 5."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not (scores.isnan() | scores.isposinf()).any():
            return scores
        scores = torch.zeros_like(scores)
        scores[..., 5] = 5e4
        return scores


def stream(model: Any, **kwargs: Any) -> Iterator[int]:
    """The new token ids of ``model.generate(**kwargs)`` one by one, of a single row, as they come.

    An error of generate is raised here; closing the iterator ends the generation.
    """
    tokens = Tokens()
    ended = Ended()
    criteria = StoppingCriteriaList([*kwargs.pop("stopping_criteria", ()), ended])

    def generate() -> None:
        try:
            model.generate(**kwargs, streamer=tokens, stopping_criteria=criteria)
        except BaseException as error:
            tokens.queue.put(error)

    thread = threading.Thread(target=generate, daemon=True)
    thread.start()
    try:
        while (token := tokens.queue.get()) is not None:
            if isinstance(token, BaseException):
                raise token
            yield token
    finally:
        ended.event.set()
        thread.join()


class Tokens(BaseStreamer):
    """Hands on what generate makes: ids, then None."""

    def __init__(self) -> None:
        self.queue: queue.Queue[int | BaseException | None] = queue.Queue()
        self.prompt_is_next = True

    def put(self, value: Tensor) -> None:
        if not self.prompt_is_next:
            for token in value.flatten().tolist():
                self.queue.put(token)
        self.prompt_is_next = False

    def end(self) -> None:
        self.queue.put(None)


class Ended(StoppingCriteria):
    """Stops a generation that nobody reads any more."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)
