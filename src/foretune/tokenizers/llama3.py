"""The tokenizers of Llama 3 and Llama 3.1: Meta's tiktoken vocabulary (``tokenizer.model``) and 256
special tokens numbered after it.

A text starts with ``<|begin_of_text|>``. A message is its role between ``<|start_header_id|>`` and
``<|end_header_id|>``, two new lines, the content and ``<|eot_id|>``. There are no pads in Meta's
code; here the fifth special token is one, which Llama 3.1 calls ``<|finetune_right_pad_id|>`` and
which no model of Llama 3 was trained on.

Source: meta-llama/llama3, llama/tokenizer.py (which strips the content of a message);
meta-llama/llama-models, models/llama3/tokenizer.py and chat_format.py (which do not).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import UserError
from ..files import write_whole
from ..params.arch import read_architecture
from ..params.arch.llama3 import NAME, ModelArgs, unknown_vocabulary
from .published import HUB_OPTIONS, FindFile, published_file, read_settings
from .tiktoken_fast import as_fast
from .tiktoken_ranks import TiktokenTokenizer

MOST_CHARACTERS, LONGEST_RUN = 400_000, 25_000
"""Meta's code encodes a longer text, and a longer run without (or of nothing but) blanks, in parts:
tiktoken fails on them."""

RUNS = re.compile(r"\s+|\S+")

CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
"""A chat; the reply of a tool is said by "ipython"."""


def reserved(first: int, count: int) -> tuple[str, ...]:
    """The names of special tokens that mean nothing yet."""
    return tuple(f"<|reserved_special_token_{i}|>" for i in range(first, first + count))


class Llama3Tokenizer(TiktokenTokenizer):
    """Text to ids as Llama 3 reads it.

    ``encode`` and calls put ``<|begin_of_text|>`` in front, as Meta's code does for a prompt;
    ``add_special_tokens=False`` leaves it out.
    """

    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    own_tokens = (
        "<|begin_of_text|>", "<|end_of_text|>", *reserved(0, 4),
        "<|start_header_id|>", "<|end_header_id|>", *reserved(4, 1), "<|eot_id|>",
        *reserved(5, 246),
    )  # fmt: skip
    stops: ClassVar[tuple[str, ...]] = ("<|end_of_text|>", "<|eot_id|>")
    """Where an answer ends."""
    padding_side = "left"

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        named = {
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "pad_token": self.own_tokens[4],
            "chat_template": self.chat,
        }
        super().__init__(vocab_file, **named | kwargs)

    chat: ClassVar[str] = CHAT
    """Chat template where the folder has none."""

    # --- which folder ---

    @classmethod
    def recognises(cls, find: FindFile, config: Mapping[str, Any]) -> bool:
        """Whether a folder that names no tokenizer is in Meta's layout."""
        return ModelArgs.matches(config)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Self:
        """The tokenizer of a folder; one with Meta's params.json says whether it is Llama 3 or 3.1.

        Raises UserError where tokenizer.model is missing or is no file of ranks.
        """
        name = str(pretrained_model_name_or_path)
        options = {key: kwargs[key] for key in HUB_OPTIONS if key in kwargs}
        params = published_file(name, NAME, options)
        chosen = cls if params is None else cls._of(params, name, options)
        if chosen is cls:
            return super().from_pretrained(name, *inputs, **kwargs)
        return chosen.from_pretrained(name, *inputs, **kwargs)

    @classmethod
    def _of(cls, params: Path, name: str, options: dict[str, Any]) -> type[Any]:
        args, _ = read_architecture(read_settings(params), where=str(params))
        if not isinstance(args, ModelArgs):
            return cls
        if args.vocab_size < 0 and published_file(name, "tokenizer.model", options) is None:
            raise UserError(unknown_vocabulary(args, str(params)))
        return Llama31Tokenizer if args.use_scaled_rope and cls is Llama3Tokenizer else cls

    # --- text to ids ---

    def _parts(self, text: str) -> Iterable[str]:
        if len(text) <= LONGEST_RUN:
            return (text,)
        return parts(text)

    @property
    def stop_ids(self) -> list[int]:
        """The ids at which an answer ends."""
        return [self.own_ids[token] for token in self.stops]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``<|begin_of_text|>`` and the text; once more in front of the second one of a pair."""
        begin = self.own_ids["<|begin_of_text|>"]
        first = [begin, *token_ids_0]
        return first if token_ids_1 is None else [*first, begin, *token_ids_1]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many ids `build_inputs_with_special_tokens` adds."""
        return 2 if pair else 1

    # --- saving ---

    def save_pretrained(
        self, save_directory: str | PathLike[str], *inputs: Any, **kwargs: Any
    ) -> tuple[str, ...]:
        """Writes what any transformers loads without foretune (tokenizer.json), and tokenizer.model
        beside it; gives their places.
        """
        written = as_fast(self).save_pretrained(save_directory, *inputs, **kwargs)
        settings = Path(save_directory, "tokenizer_config.json")
        named = read_settings(settings) | {"tokenizer_class": "PreTrainedTokenizerFast"}
        write_whole(settings, json.dumps(named, indent=2, ensure_ascii=False) + "\n")
        return (*written, *self.save_vocabulary(str(save_directory)))


class Llama31Tokenizer(Llama3Tokenizer):
    """Llama 3.1 and later: the same ids, of which some have got names and a meaning."""

    own_tokens = (
        "<|begin_of_text|>", "<|end_of_text|>", *reserved(0, 2),
        "<|finetune_right_pad_id|>", "<|step_id|>",
        "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
        "<|python_tag|>", "<|image|>", *reserved(2, 244),
    )  # fmt: skip
    stops = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")
    chat = CHAT.replace(" | trim", "").replace(
        "message['role']", "('ipython' if message['role'] == 'tool' else message['role'])"
    )


def parts(text: str) -> Iterable[str]:
    """A long text in the parts that Meta's code encodes one by one."""
    for start in range(0, len(text), MOST_CHARACTERS):
        piece = text[start : start + MOST_CHARACTERS]
        cuts = [
            at
            for run in RUNS.finditer(piece)
            for at in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN)
        ]
        for left, right in zip([0, *cuts], [*cuts, len(piece)], strict=True):
            yield piece[left:right]
