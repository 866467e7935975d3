"""The tokenizer of the original Transformer: one SentencePiece vocabulary for source and target.

The paper used byte-pair encoding with a vocabulary that both languages share, about 37,000 tokens
for English and German (arXiv:1706.03762 sec. 5.1); nobody published it as a file. A vocabulary here
is made from the user's own text with `train_vocabulary`.

A text is only text: whatever control token it names, its ids are letters, and it decodes to itself.
``split_special_tokens=False`` gives transformers' other reading.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceTrainer

from ..errors import refuse
from ..params.arch.transformer import Transformer
from .pieces import PieceTokenizer
from .vocabulary import read_vocabulary, tokens_of

VOCABULARY = "sentencepiece.model"
CONTROL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
"""The special tokens; the place of each is its id."""


class TransformerTokenizer(PieceTokenizer):
    """Text to the ids of a vocabulary that `train_vocabulary` made, and back; every text that is
    encoded ends in ``</s>``.
    """

    family = "transformer"
    published_name = "TransformerTokenizer"
    vocab_files_names = {"vocab_file": VOCABULARY}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012
    padding_side = "right"

    @classmethod
    def recognises(cls, find: Any, config: Mapping[str, Any]) -> bool:
        """Whether a folder that names no tokenizer is of this family."""
        return find(VOCABULARY) is not None or Transformer.matches(config)

    def __init__(self, vocab_file: str | None, **kwargs: Any) -> None:
        self.vocab_file = vocab_file or kwargs.get("name_or_path", "")
        self.vocabulary = read_vocabulary(self.vocab_file, VOCABULARY)
        pieces = tokens_of(self.vocabulary)
        if pieces[: len(CONTROL)] != list(CONTROL.values()):
            raise refuse(
                what=f"the vocabulary starts with {' '.join(pieces[:4])}",
                where=self.vocab_file,
                why=f"the first tokens are {' '.join(CONTROL.values())}, in this order",
                fix="make it with foretune.tokenizers.transformer.train_vocabulary",
            )
        self.token_ids = {piece: i for i, piece in enumerate(pieces)}
        kwargs = {"split_special_tokens": True, **kwargs, **CONTROL}
        super().__init__(special_tokens_pattern="eos", **kwargs)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        # by way of the ids: a run of unknown letters may spell a control token
        return self.vocabulary.id_to_piece(self.vocabulary.encode(text))

    def _letters_of(self, text: str) -> list[int]:
        return self.vocabulary.encode_as_ids(text)  # which finds no control piece in a text


def train_vocabulary(lines: Iterable[str], file: Path, size: int) -> TransformerTokenizer:
    """Makes a vocabulary of ``size`` pieces out of texts of both languages, and writes it.

    Byte-pair encoding as in the paper. The text stays as it is (no normalisation), digits are
    pieces of their own, and what no piece covers is written in bytes, so that every text has ids
    and decodes to itself. The same lines give the same file.

    Args:
        lines: texts of the source and of the target, in any order. Those of more than 4,192 bytes
            are left out.
        file: the file to write; a model's folder calls it sentencepiece.model.
        size: pieces in all: the control tokens, 256 bytes, the letters, and what is merged of them.

    Raises:
        UserError: where so few pieces do not hold the letters of the text, or the text does not
            give so many.
    """
    content = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=content,
            vocab_size=size,
            model_type="bpe",
            byte_fallback=True,
            split_digits=True,
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            pad_piece=CONTROL["pad_token"],
            minloglevel=2,
        )
    except RuntimeError as error:
        raise refuse(
            what=f"a vocabulary of {size} pieces cannot be made of this text",
            where=str(file),
            why=" ".join(str(error).rpartition("] ")[2].split()) or "there is no text",
            fix="take the number that is named there, or give more text",
        ) from None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.getvalue())
    return TransformerTokenizer(str(file))
