"""Vocabularies of tiktoken: the rank file of Llama 3 and GLM-4, and the tokenizer around it.

Each line of the file (``tokenizer.model``) is a token's bytes in base64 and its rank, which is its
id and says how early it is merged. Special tokens are not in the file: they are numbered after it.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sentencepiece import SentencePieceProcessor
from tiktoken import Encoding
from transformers import AddedToken, BatchEncoding, PreTrainedTokenizer

from ..errors import Problem, UserError, refuse
from .vocabulary import read_content

RANK_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\s*")
MOST_SHOWN = 5
"""Damaged lines that are named one by one."""


def read_ranks(path: str, name: str) -> dict[bytes, int]:
    """The tokens of the rank file in ``path`` and their ids, in the order of the ids.

    ``name`` is how the published folder calls the file. Raises UserError when there is no such
    file, when it is a Git LFS pointer or a SentencePiece model, and for every line that is no
    token with the next rank; also when a byte is missing, since no text could be read with it.
    """
    content = read_content(path, name)
    ranks: dict[bytes, int] = {}
    damaged: list[tuple[int, str]] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            following = len(ranks) + len(damaged)
            if int(rank) != following:
                damaged.append((number, f"its rank is {int(rank)}, and {following} is next"))
            elif ranks.setdefault(b64decode(token, validate=True), following) != following:
                damaged.append((number, "the same token stands further up"))
        except (ValueError, binascii.Error):
            shown = line[:40].decode("utf-8", "replace")
            damaged.append((number, f"{shown!r} is no token in base64 with its rank"))
    if damaged or not ranks:
        raise UserError(damage(content, path, name, damaged))
    if missing := [byte for byte in range(256) if bytes([byte]) not in ranks]:
        raise refuse(
            what=f"{len(missing)} of the 256 single bytes are no token of {name}, the first is "
            f"{missing[0]:#04x}",
            where=path,
            why="a text with such a byte could not be read",
            fix=f"take {name} from the published model again",
        )
    return ranks


def holds_ranks(path: Path) -> bool:
    """Whether a vocabulary file starts as `read_ranks` wants it; SentencePiece's do not."""
    with path.open("rb") as file:
        return RANK_LINE.fullmatch(file.readline(4096)) is not None


def ranks_file(ranks: Mapping[bytes, int]) -> bytes:
    """The file that `read_ranks` reads."""
    return b"".join(b"%s %d\n" % (b64encode(token), rank) for token, rank in ranks.items())


def damage(
    content: bytes, path: str, name: str, damaged: Sequence[tuple[int, str]]
) -> Iterable[Problem]:
    """What to say of a file that is no rank file."""
    fix = f"take {name} from the published model again"
    if is_sentencepiece(content):
        yield Problem(
            what=f"{name} ({len(content)} bytes) is a SentencePiece model, not a list of ranks",
            where=path,
            why="Llama 3 and GLM-4 have vocabularies of tiktoken; Llama 2, ChatGLM2 and others "
            "call a file of SentencePiece by the same name",
            fix=fix,
        )
        return
    if not damaged:
        yield Problem(f"{name} is empty", path, "the tokenizer's tokens are in this file", fix)
    for number, why in damaged[:MOST_SHOWN]:
        yield Problem(f"line {number} of {name} is damaged", f"{path}:{number}", why, fix)
    if (more := len(damaged) - MOST_SHOWN) > 0:
        yield Problem(f"{more} more lines of {name} are damaged", path, "as those above", fix)


def is_sentencepiece(content: bytes) -> bool:
    """Whether these bytes are a SentencePiece model."""
    try:
        SentencePieceProcessor().LoadFromSerializedProto(content)
    except RuntimeError:
        return False
    return bool(content)


class TiktokenTokenizer(PreTrainedTokenizer):
    """Text to ids by tiktoken; a family names its ``pattern`` and its ``own_tokens``.

    A token is its ``bytes`` (as published: one token may be a part of a character), a special
    token its name. Names of special tokens in a text become those tokens, unless
    ``split_special_tokens`` is true for the call or for the tokenizer: then they stay letters.

    Raises UserError when the rank file is not there or is not one; see `read_ranks`.
    """

    vocab_files_names = {"vocab_file": "tokenizer.model"}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    pattern: ClassVar[str]
    """The regular expression that cuts a text before the merges."""
    own_tokens: ClassVar[tuple[str, ...]]
    """The special tokens; their ids follow the last rank, in this order."""

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        # transformers gives None for a file that is not in the folder
        self.vocab_file = vocab_file or kwargs.get("name_or_path", "")
        self.ranks = read_ranks(self.vocab_file, self.vocab_files_names["vocab_file"])
        self.own_ids = {name: len(self.ranks) + i for i, name in enumerate(self.own_tokens)}
        self.encoding = Encoding(
            type(self).__name__,
            pat_str=self.pattern,
            mergeable_ranks=self.ranks,
            special_tokens=self.own_ids,
        )
        self.token_of = dict(enumerate(self.ranks)) | {i: name for name, i in self.own_ids.items()}
        own = {
            i: AddedToken(name, normalized=False, special=True) for name, i in self.own_ids.items()
        }
        kwargs.setdefault("extra_special_tokens", list(self.own_tokens))
        super().__init__(
            added_tokens_decoder=own | kwargs.pop("added_tokens_decoder", {}), **kwargs
        )

    # --- text to ids and back ---

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without those that a user added."""
        return len(self.ranks) + len(self.own_tokens)

    def get_vocab(self) -> dict[Any, int]:
        """Every token and its id: bytes, the names of the special tokens, what a user added."""
        return self.ranks | self.own_ids | self.get_added_vocab()

    def tokenize(self, text: str, **kwargs: Any) -> list[Any]:
        """The tokens of a text: bytes, and the names of special tokens."""
        if self._holds_added(text):
            return super().tokenize(text, **kwargs)
        split = kwargs.get("split_special_tokens", self.split_special_tokens)
        return self.convert_ids_to_tokens(self._ids_of(text, split))

    def encode(
        self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **kwargs: Any
    ) -> list[int]:
        """The ids of a text or a pair; see transformers for the options."""
        split = kwargs.get("split_special_tokens", self.split_special_tokens)
        others = kwargs.keys() - {"split_special_tokens"} or text_pair is not None
        if others or not isinstance(text, str) or self._holds_added(text):
            return super().encode(text, text_pair, add_special_tokens, **kwargs)
        ids = self._ids_of(text, split)
        return self.build_inputs_with_special_tokens(ids) if add_special_tokens else ids

    def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> BatchEncoding:
        # A text without added tokens is handed on as its ids; an empty list would not be taken
        # for one.
        marked = kwargs.get("sanitize_control_tokens")  # text with marks that transformers removes
        if isinstance(text, str) and not marked and not self._holds_added(text):
            split = kwargs.get("split_special_tokens", self.split_special_tokens)
            text = self._ids_of(text, split) or text
        return super()._encode_plus(text, *args, **kwargs)

    def _holds_added(self, text: str) -> bool:
        """Whether a token that a user added is in the text."""
        added = self.get_added_vocab()
        return len(added) > len(self.own_ids) and any(
            token in text for token in added.keys() - self.own_ids.keys()
        )

    def _parts(self, text: str) -> Iterable[str]:
        """The text in the parts that are encoded one by one."""
        return (text,)

    def _ids_of(self, text: str, split_special_tokens: bool) -> list[int]:
        """The ids of a text without tokens that a user added, straight from tiktoken."""
        allowed = set() if split_special_tokens else set(self.own_ids)
        return [
            i
            for part in self._parts(text)
            for i in self.encoding.encode(part, allowed_special=allowed, disallowed_special=())
        ]

    def _tokenize(self, text: str, **_: Any) -> list[Any]:
        return [self.token_of[i] for i in self._ids_of(text, split_special_tokens=True)]

    def _convert_token_to_id(self, token: bytes | str) -> int | None:
        return self.ranks.get(token.encode() if isinstance(token, str) else token)

    def _convert_id_to_token(self, index: int) -> Any:
        return self.token_of.get(index, "")  # an embedding may have more rows than tokens

    def convert_tokens_to_string(self, tokens: Iterable[bytes | str]) -> str:
        """The text of the tokens; bytes that are no character become U+FFFD."""
        found = (token.encode() if isinstance(token, str) else token for token in tokens)
        return b"".join(found).decode("utf-8", errors="replace")

    # --- saving ---

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the rank file under its published name, byte for byte; gives its path."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        target = Path(save_directory, prefix + self.vocab_files_names["vocab_file"])
        source = Path(self.vocab_file)
        target.write_bytes(source.read_bytes() if source.is_file() else ranks_file(self.ranks))
        return (str(target),)
