"""Reading a SentencePiece vocabulary file, with a message a user can act on when it is not one."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from ..errors import refuse

GIT_LFS_POINTER = b"version https://git-lfs"


def read_vocabulary(path: str | PathLike[str] | None, name: str) -> SentencePieceProcessor:
    """The SentencePiece model in ``path``; ``name`` is how the published folder calls the file.

    Raises UserError when there is no such file, when it is the pointer that Git LFS leaves in
    place of the file, and when it is anything else that SentencePiece cannot read.
    """
    if path is None or not Path(path).is_file():
        raise refuse(
            what=f"the vocabulary file {name} is missing",
            where=str(path or name),
            why="the tokenizer's pieces are in this file and nowhere else",
            fix=f"copy {name} from the published model into the model's folder",
        )
    content = Path(path).read_bytes()
    if content.startswith(GIT_LFS_POINTER):
        raise refuse(
            what=f"{name} is a Git LFS pointer of {len(content)} bytes, not the vocabulary",
            where=str(path),
            why="the repository was cloned without its large files",
            fix="run `git lfs pull` in that folder, or download the file itself",
        )
    try:
        return SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise refuse(
            what=f"{name} ({len(content)} bytes) is not a SentencePiece model",
            where=str(path),
            why=f"SentencePiece cannot read it: {str(error).strip() or 'no reason given'}",
            fix=f"take {name} from the published model again: this one is damaged, "
            "or belongs to another kind of tokenizer",
        ) from error


def tokens_of(vocabulary: SentencePieceProcessor) -> list[str]:
    """Every piece of the vocabulary; the place in the list is its id."""
    return vocabulary.id_to_piece(list(range(len(vocabulary))))
