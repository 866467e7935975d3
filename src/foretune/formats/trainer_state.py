"""trainer_state.json, which lies in every checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ..params.trainer_state import TrainerState
from ..text import Said
from .documents import read_document
from .json_text import key_lines
from .reading import Reading
from .training_log import last_values

KIND = Said("trainer state", "Trainer 的状态")


def read_state(text: str, file: str) -> Reading:
    """The state, and the last of each value that it has logged.

    Raises:
        UserError: where it is no JSON.
    """
    document, notes = read_document(
        text,
        file,
        kind=KIND,
        section=TrainerState,
        unread=Said(
            "transformers would refuse to resume from a state with such a key",
            "状态文件里有这样的键时，transformers 会拒绝从它继续",
        ),
    )
    document = replace(document, of_a_run=True)
    reading = Reading(notes=notes, documents=[document])
    history: Any = document.keys.get("log_history")
    logged = cast(list[Any], history) if isinstance(history, list) else []
    first = [line for path, line in key_lines(text) if path == ("log_history", "[]", "step")]
    lines = first if len(first) == len(logged) else [None] * len(logged)
    entries = [
        (cast(dict[str, Any], one), line)
        for one, line in zip(logged, lines, strict=True)
        if isinstance(one, dict)
    ]
    if entries:
        last, more = last_values(entries, file)
        reading.documents.append(last)
        reading.notes += more
    return reading
