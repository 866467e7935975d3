"""Files beside a run whose keys are declared and set no parameter: how each is read, in the types
that are declared, with what is wrong or unknown said as notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ..errors import refuse
from ..params.document import Document
from ..params.run import expected
from ..params.setting import Note
from ..text import Said, nearest, place
from .json_text import key_lines, mended, read_json

S = TypeVar("S", bound=BaseModel)


def field_names(section: type[BaseModel]) -> dict[str, str]:
    """The keys of a file that a section declares, each with the name of its field."""
    return {field.alias or name: name for name, field in section.model_fields.items()}


def of_known_types(
    section: type[S], keys: Mapping[str, Any], file: str, lines: Mapping[str, int]
) -> tuple[S, list[Note]]:
    """The declared keys in their types; one whose value is of no such type is left out, with a
    note: the program that reads the file may know more of it than is known here.
    """
    known = field_names(section)
    given = {key: value for key, value in keys.items() if key in known}
    notes: list[Note] = []
    while True:
        try:
            return section.model_validate(given), notes
        except ValidationError as failed:
            for error in failed.errors():
                key = str(error["loc"][0]) if error["loc"] else ""
                if key not in given:
                    return section.model_construct(), notes
                value = _short(given.pop(key))
                what = Said(
                    f"{key} = {value} is no value that is known of it",
                    f"{key} = {value} 不是它已知的取值",
                )
                taken = expected(section.model_fields[known[key]], "zh")
                why = Said(f"{error['msg'][:1].lower()}{error['msg'][1:]}", f"它取 {taken}")
                notes.append(Note(what, place(file, lines.get(key)), why))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def unknown_keys(
    unknown: Iterable[str],
    known: Iterable[str],
    keys: Mapping[str, Any],
    file: str,
    lines: Mapping[str, int],
    *,
    why: Said,
) -> Iterator[Note]:
    """A note for each of the unknown keys of a file, with the nearest that is known."""
    known = list(known)
    for key in unknown:
        like = nearest(key, known, at_least=0.8)
        meant = Said(f"did you mean {like}?", f"是否想写 {like}？")
        reason = meant if like and like not in keys else why
        what = Said(f"{key} is read by nothing here", f"没有代码读取 {key}")
        yield Note(what, place(file, lines.get(key)), reason, "unknown", key)


def read_document(
    text: str, file: str, *, kind: str, section: type[BaseModel], unread: Said
) -> tuple[Document, list[Note]]:
    """A JSON file of declared keys; ``unread`` is why a key that is not declared has no effect.

    Raises:
        UserError: where it is no JSON, or holds something else than keys.
    """
    keys, lines, notes = read_keys(text, file)
    document, more = document_of(keys, file, lines, kind=kind, section=section, unread=unread)
    return document, [*notes, *more]


def document_of(
    keys: Mapping[str, Any],
    file: str,
    lines: Mapping[str, int],
    *,
    kind: str,
    section: type[BaseModel],
    unread: Said,
) -> tuple[Document, list[Note]]:
    """The same from keys that were read already."""
    declared, notes = of_known_types(section, keys, file, lines)
    known = field_names(section)
    unknown = [key for key in keys if key not in known]
    notes += unknown_keys(unknown, known, keys, file, lines, why=unread)
    return Document(kind=kind, file=file, declared=declared, keys=keys, lines=lines), notes


def read_keys(text: str, file: str) -> tuple[dict[str, Any], dict[str, int], list[Note]]:
    """The keys of JSON at the top with their lines, and what was put right.

    Raises:
        UserError: where it is no JSON, or holds something else than keys.
    """
    plain, notes = mended(text, file)
    keys: object = read_json(plain, file)
    if not isinstance(keys, dict):
        raise refuse(
            what=f"{PurePosixPath(file).name} holds a {type(keys).__name__}",
            where=file,
            why="such a file is one mapping of keys to values",
            fix="take it anew from where it came from",
        )
    lines = {path[0]: line for path, line in key_lines(plain) if len(path) == 1}
    return cast(dict[str, Any], keys), lines, notes
