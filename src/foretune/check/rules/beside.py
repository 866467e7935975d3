"""What rules ask of the files beside a run: generation_config.json, tokenizer_config.json, and the
config.json of a model whose family is not known here.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, cast

from ...params.declare import Section
from ...params.document import Document
from ..rule import Subject

GENERATION, TOKENIZER, MODEL = "generation config", "tokenizer config", "model config"


def document(it: Subject, kind: str) -> Document | None:
    """The last of the run's documents of a kind, by what it was taken for or by its name."""
    name = f"{kind.replace(' ', '_')}.json"
    for one in reversed(it.run.documents):
        if one.kind == kind or PurePath(one.file).name == name:
            return one
    return None


def example(kind: str, **keys: Any) -> Document:
    """A document for an example of a rule."""
    file = f"{kind.replace(' ', '_')}.json"
    lines = {key: number for number, key in enumerate(keys, start=2)}
    return Document(kind=kind, file=file, declared=Section(), keys=keys, lines=lines)


def model_keys(it: Subject) -> dict[str, Any]:
    """The keys of the model's config as they are written, whatever its family."""
    if it.model is not None:
        return dict(it.model.keys)
    found = document(it, MODEL)
    return {} if found is None else dict(found.keys)


def vocabulary(it: Subject) -> int | None:
    """Rows of the embedding."""
    if it.shape is not None:
        return it.shape.vocab
    rows = model_keys(it).get("vocab_size")
    return rows if isinstance(rows, int) and rows > 0 else None


def ids(value: object) -> set[int]:
    """The ids in a key that holds one, several or none."""
    several = cast(list[object], value) if isinstance(value, list) else [value]
    return {one for one in several if isinstance(one, int) and not isinstance(one, bool)}


def token_name(value: object) -> str | None:
    """A token as tokenizer_config.json writes it: bare, or with its properties."""
    if isinstance(value, dict):
        value = cast(dict[str, object], value).get("content")
    return value if isinstance(value, str) else None


def added_tokens(tokenizer: Document) -> dict[int, str]:
    """The tokens that tokenizer_config.json numbers by itself."""
    added = tokenizer.keys.get("added_tokens_decoder")
    named = cast(dict[str, object], added).items() if isinstance(added, dict) else ()
    return {
        int(number): name
        for number, token in named
        if number.isdecimal() and (name := token_name(token)) is not None
    }
