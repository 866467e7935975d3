"""generation_config.json, and in it what the other keys leave without an effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..params.document import Document
from ..params.generation_config import GenerationDefaults
from ..params.setting import Note
from ..text import Said
from .documents import document_of, read_keys
from .reading import Reading

KIND = Said("generation config", "生成配置")
UNREAD = Said("generate() does not read it", "generate() 不读取它")
GREEDY = Said(
    "do_sample is not on: the likeliest token is taken", "没有打开 do_sample：取概率最高的词元"
)
NEW_TOKENS = Said("max_new_tokens is given, and counts before it", "写了 max_new_tokens，以它为准")

ONLY_SAMPLING: dict[str, float | None] = {
    "temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": None, "top_h": None,
    "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
}  # fmt: skip
"""Keys that are read only where do_sample is on, and the value that changes nothing there."""

ONLY_BEAMS: dict[str, object] = {"length_penalty": 1.0, "early_stopping": False}
"""Keys that are read only where there are several beams, and the value that generate takes."""


def read_generation(text: str, file: str) -> Reading:
    """The file as a document; what in it has no effect is noted.

    Raises:
        UserError: where it is no JSON.
    """
    keys, lines, notes = read_keys(text, file)
    reading = of_keys(keys, file, lines)
    reading.notes = [*notes, *reading.notes]
    return reading


def of_keys(keys: Mapping[str, Any], file: str, lines: Mapping[str, int]) -> Reading:
    """The same from keys that were read already."""
    document, notes = document_of(
        keys,
        file,
        lines,
        kind=KIND,
        section=GenerationDefaults,
        unread=UNREAD,
    )
    return Reading(notes=[*notes, *without_effect(document)], documents=[document])


def without_effect(document: Document) -> Iterator[Note]:
    """The keys that do nothing beside the others."""
    asked = document.declared
    assert isinstance(asked, GenerationDefaults)
    if not asked.do_sample:
        for key, neutral in ONLY_SAMPLING.items():
            if getattr(asked, key) not in (None, neutral):
                yield _note(document, key, GREEDY)
    if (asked.num_beams or 1) == 1:
        for key, neutral in ONLY_BEAMS.items():
            if getattr(asked, key) not in (None, neutral):
                yield _note(document, key, Said("there is one beam", "只有一个束"))
    if asked.max_new_tokens is not None and asked.max_length is not None:
        yield _note(document, "max_length", NEW_TOKENS)


def _note(document: Document, key: str, why: Said) -> Note:
    value = document.keys.get(key)
    what = Said(f"{key} = {value!r} has no effect", f"{key} = {value!r} 不起作用")
    return Note(what, str(document.origin(key)), why)
