"""Reading a SentencePiece vocabulary file, with a message a user can act on when it is not one."""

from __future__ import annotations

from pathlib import Path

from sentencepiece import SentencePieceProcessor

from ..errors import UserError, refuse

GIT_LFS_POINTER = b"version https://git-lfs"


def missing_vocabulary(name: str, where: str) -> UserError:
    """The error for a model without its vocabulary file."""
    return refuse(
        what=f"the vocabulary file {name} is missing",
        where=where,
        why="the tokenizer's pieces are in this file and nowhere else",
        fix=f"copy {name} from the published model into the model's folder",
    )


def read_content(path: str, name: str) -> bytes:
    """The bytes of a vocabulary file of any kind.

    Raises UserError when there is no such file, and when it is the pointer of Git LFS.
    """
    if not Path(path).is_file():
        raise missing_vocabulary(name, path or name)
    content = Path(path).read_bytes()
    if content.startswith(GIT_LFS_POINTER):
        raise refuse(
            what=f"{name} is a Git LFS pointer of {len(content)} bytes, not the vocabulary",
            where=path,
            why="the repository was cloned without its large files",
            fix="run `git lfs pull` in that folder, or download the file itself",
        )
    return content


def read_vocabulary(path: str, name: str) -> SentencePieceProcessor:
    """The SentencePiece model in ``path``; ``name`` is how the published folder calls the file.

    Raises UserError when there is no such file, when it is the pointer that Git LFS leaves in
    place of the file, and when it is anything else that SentencePiece cannot read.
    """
    content = read_content(path, name)
    vocabulary = SentencePieceProcessor()
    try:
        vocabulary.LoadFromSerializedProto(content)
    except RuntimeError as error:
        raise refuse(
            what=f"{name} ({len(content)} bytes) is not a SentencePiece model",
            where=path,
            why=f"SentencePiece cannot read it: {str(error).strip() or 'no reason given'}",
            fix=f"take {name} from the published model again: this one is damaged, "
            "or belongs to another kind of tokenizer",
        ) from error
    return vocabulary


def tokens_of(vocabulary: SentencePieceProcessor) -> list[str]:
    """Every piece of the vocabulary; the place in the list is its id."""
    return vocabulary.id_to_piece(list(range(len(vocabulary))))
