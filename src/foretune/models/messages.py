"""``chat`` as Baichuan's models have it: a list of messages goes in, the answer comes out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig

from .dialogue import Protocol, is_plain, stream

ANSWER, CONTEXT = 2048, 4096  # tokens, as published, where no file of the folder says them

Messages = Sequence[Mapping[str, str]]
"""{"role": "system" | "user" | "assistant", "content": text}, the oldest first."""


class AnswersMessages:
    """Adds ``chat`` and ``stream_chat`` to a model that generates.

    Sampling is that of the folder's generation_config.json, where the published Chat models have
    theirs, with the ids of the two roles. What users write is text: ``protocol="published"`` reads
    the name of a control token in it as that token, as the published code does.
    """

    def chat(
        self,
        tokenizer: Any,
        messages: Messages,
        stream: bool = False,
        generation_config: GenerationConfig | None = None,
        *,
        protocol: Protocol = "plain",
        **kwargs: Any,
    ) -> str | Iterator[str]:
        """The answer to ``messages``; with ``stream`` the answer so far, again and again.

        ``generation_config`` takes the place of the folder's; ``kwargs`` go to ``generate``. Rounds
        that leave no room for the answer are dropped, the oldest first. Raises UserError for a role
        that the model does not have.
        """
        model = cast(Any, self)
        settings = self._settings(tokenizer, messages, generation_config, protocol, kwargs)
        if stream:
            return self._answers(tokenizer, settings)
        sequences = model.generate(**settings)
        said = sequences[0, settings["inputs"].shape[1] :].tolist()
        return text_of(said, tokenizer)

    def stream_chat(self, tokenizer: Any, messages: Messages, **kwargs: Any) -> Iterator[str]:
        """``chat`` with ``stream``."""
        return cast(Iterator[str], self.chat(tokenizer, messages, stream=True, **kwargs))

    def _answers(self, tokenizer: Any, settings: dict[str, Any]) -> Iterator[str]:
        said: list[int] = []
        for token in stream(self, **settings):
            said.append(token)
            yield text_of(said, tokenizer)

    def _settings(
        self,
        tokenizer: Any,
        messages: Messages,
        generation_config: GenerationConfig | None,
        protocol: Protocol,
        kwargs: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The arguments of ``generate`` for a chat."""
        model = cast(Any, self)
        config, chosen = model.config, generation_config or model.generation_config
        longest = config.model_max_length or config.max_position_embeddings or CONTEXT
        new = kwargs.get("max_new_tokens") or chosen.max_new_tokens or min(ANSWER, longest // 2)
        roles = {
            key: getattr(chosen, key)
            for key in ("user_token_id", "assistant_token_id")
            if getattr(chosen, key, None) is not None
        }
        ids = tokenizer.build_chat_input(
            messages,
            max_new_tokens=new,
            model_max_length=longest,
            release=2 if config.has_norm_head else 1,
            split_special_tokens=is_plain(protocol),
            **roles,
        )
        inputs: Tensor = torch.tensor([ids], device=model.device)
        settings = copy.deepcopy(chosen)
        unread = settings.update(**{**kwargs, "max_new_tokens": new})
        given = {"attention_mask": torch.ones_like(inputs), "generation_config": settings}
        return {"inputs": inputs, **given, **unread}


def text_of(ids: Sequence[int], tokenizer: Any) -> str:
    """The text of an answer; rows beyond the vocabulary have none."""
    known = [i for i in ids if i < len(tokenizer)]
    return tokenizer.decode(known, skip_special_tokens=True)
