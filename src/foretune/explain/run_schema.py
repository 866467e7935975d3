"""The JSON schema of the run file, from the declarations: editors complete and check by it."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

from pydantic import Field, TypeAdapter

from ..params.declare import words_of
from ..params.run import parameters
from .entry import Entry, of_run

SCHEMA = "run.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Sections of parameters, nested as a run file nests them; a dotted path says the same."""
    whole: dict[str, Any] = {
        "$schema": DIALECT,
        "title": "foretune run",
        "type": "object",
        "additionalProperties": False,
        "properties": {},
    }
    for path in parameters():
        entry = of_run(path)
        *sections, name = path.split(".")
        inner = whole
        for depth, section in enumerate(sections):
            inner = inner["properties"].setdefault(section, _section())
            if depth == len(sections) - 1:
                inner["description"] = words_of(entry.section).en
        inner["properties"][name] = _property(entry)
        whole["properties"][path] = {"$ref": "#/" + "/".join(_steps(path))}
    return whole


def _section() -> dict[str, Any]:
    return {"type": ["object", "null"], "additionalProperties": False, "properties": {}}


def _steps(path: str) -> list[str]:
    return [step for name in path.split(".") for step in ("properties", name)]


def _property(entry: Entry) -> dict[str, Any]:
    field, annotated = entry.declared, cast(Any, Annotated)
    adapter: TypeAdapter[Any] = TypeAdapter(annotated[field.annotation, Field(), *field.metadata])
    told: dict[str, Any] = adapter.json_schema()
    told.pop("title", None)
    told["description"] = entry.words.en
    if field.default is not None:
        told["default"] = field.default  # a tuple is written as a list
    return told


def schema_text() -> str:
    """The schema as it is written."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
