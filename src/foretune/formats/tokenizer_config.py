"""tokenizer_config.json, and in it what does not mean what it says."""

from __future__ import annotations

from collections.abc import Iterator

from ..params.document import Document
from ..params.setting import Note
from ..params.tokenizer_config import NO_LIMIT, TokenizerSettings
from ..text import Said
from .documents import read_document
from .reading import Reading

KIND = Said("tokenizer config", "分词器配置")


def read_tokenizer(text: str, file: str) -> Reading:
    """The file as a document; what in it does not mean what it says is noted.

    Raises:
        UserError: where it is no JSON.
    """
    document, notes = read_document(
        text,
        file,
        kind=KIND,
        section=TokenizerSettings,
        unread=Said(
            "it is an argument of the tokenizer's own class, or of nothing",
            "它是分词器自身类的参数，或没有用处",
        ),
    )
    return Reading(notes=[*notes, *_misread(document)], documents=[document])


def _misread(document: Document) -> Iterator[Note]:
    declared = document.declared
    assert isinstance(declared, TokenizerSettings)
    length = declared.model_max_length
    if length is not None and length > NO_LIMIT:
        yield Note(
            Said("model_max_length is no length", "model_max_length 不是长度"),
            str(document.origin("model_max_length")),
            Said(
                "so many zeros are transformers' way of writing that there is no limit",
                "这么大的数是 transformers 表示“没有上限”的写法",
            ),
        )
    pad, eos = content(declared.pad_token), content(declared.eos_token)
    if pad is not None and pad == eos:
        yield Note(
            Said(f"the padding token is the end token, {pad!r}", f"填充词元就是结束词元 {pad!r}"),
            str(document.origin("pad_token")),
            Said(
                "a script that masks padding by its id masks the end as well",
                "按编号屏蔽填充的脚本会把结束词元也屏蔽掉",
            ),
        )


def content(token: str | dict[str, object] | None) -> str | None:
    """The text of a token, which may be written with its properties."""
    if isinstance(token, dict):
        found = token.get("content")
        return found if isinstance(found, str) else None
    return token
