"""What tokenizers over a published SentencePiece vocabulary share: the short way from text to ids,
the plain reading of a text, and the vocabulary file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from transformers import BatchEncoding, PreTrainedTokenizer

from .layout import PublishedFiles


class PieceTokenizer(PublishedFiles, PreTrainedTokenizer):
    """Text to ids in SentencePiece, without transformers in between where it is not needed.

    A family gives ``vocabulary`` and ``token_ids`` (every token but those that a user adds) before
    it calls ``__init__`` here, and says how a text is cut: `_ids_of`, and `_letters_of` for a text
    in which nothing becomes a control token (``split_special_tokens=True``).
    """

    vocab_file: str
    vocabulary: SentencePieceProcessor
    token_ids: dict[str, int]

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without those that a user added."""
        return len(self.token_ids)

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id, with those that a user added."""
        return self.token_ids | self.get_added_vocab()

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """The tokens of a text."""
        if kwargs.get("split_special_tokens", self.split_special_tokens):
            return self.convert_ids_to_tokens(self._plain_ids(text))
        return super().tokenize(text, **kwargs) if self._holds_added(text) else self._tokenize(text)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return self.vocabulary.encode_as_pieces(text)

    def _holds_added(self, text: str) -> bool:
        return any(token in text for token in self.get_added_vocab())

    def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        """Encode as transformers does, with the way from text to ids in SentencePiece.

        transformers looks at each character for the start of an added token, and numbers tokens
        one by one. A text that is plain or has no added tokens is spared both: it is handed on as
        its ids (an empty list of ids would not be taken for one).
        """
        marked = kwargs.get("sanitize_control_tokens")  # text with marks that transformers removes
        if isinstance(text, str) and not marked:
            if kwargs.get("split_special_tokens", self.split_special_tokens):
                text = self._plain_ids(text) or text
            elif not self._holds_added(text):
                text = self._ids_of(text) or text
        return super()._encode_plus(text, *args, **kwargs)

    def encode(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        *,
        split_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> list[int]:
        """The ids of a text or a pair; see transformers for the options."""
        plain = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        if (
            kwargs
            or text_pair is not None
            or not isinstance(text, str)
            or (not plain and self._holds_added(text))
        ):
            kwargs["split_special_tokens"] = plain
            return super().encode(text, text_pair, add_special_tokens, **kwargs)
        ids = self._plain_ids(text) if plain else self._ids_of(text)
        if add_special_tokens:
            ids = self.build_inputs_with_special_tokens(ids)
        self._eventual_warn_about_too_long_sequence(ids, None, True)
        return ids

    def _ids_of(self, text: str) -> list[int]:
        """The ids of a text without added tokens, straight from SentencePiece."""
        return self.vocabulary.encode_as_ids(text)

    def _letters_of(self, text: str) -> list[int]:
        """The ids of a text in which every name of a control token is only letters."""
        raise NotImplementedError

    def _plain_ids(self, text: str) -> list[int]:
        """As `_letters_of`, with the ordinary words that a user added to the vocabulary."""
        added = self._added_tokens_decoder.items()
        words = {word.content: i for i, word in added if not word.special and word.content in text}
        if not words:
            return self._letters_of(text)
        longest_first = sorted(words, key=len, reverse=True)
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
        known = ([words[part]] if part in words else self._letters_of(part) for part in parts)
        return [i for ids in known for i in ids]

    def _convert_token_to_id(self, token: str) -> int:
        return self.token_ids.get(token, self.token_ids["<unk>"])

    def _convert_id_to_token(self, index: int) -> str:
        return self.vocabulary.id_to_piece(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the tokens."""
        return self.vocabulary.decode_pieces(tokens)

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary file under its published name; gives its path."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        target = Path(save_directory, prefix + self.vocab_files_names["vocab_file"])
        source = Path(self.vocab_file)
        there = source.read_bytes() if source.is_file() else None
        target.write_bytes(there or self.vocabulary.serialized_model_proto())
        return (str(target),)
