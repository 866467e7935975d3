"""A Trainer's log, as it was printed, among the other lines of a terminal, or pasted into one
paragraph.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import refuse
from ..params.document import Document
from ..params.setting import Note
from ..params.training_log import LoggedValues, TrainingLog
from ..text import Said, counted, place
from .documents import field_names, of_known_types
from .reading import Reading

KIND = Said("training log", "训练日志")
LAST = Said("last logged values", "最后记录的数值")
LABELS = [label for label in field_names(TrainingLog) if label != "log_history"]
HEADING = re.compile(r"\*{5} *(?P<name>Running \w+|\w+ metrics) *\*{5}")
TRAINING = "Running training"
IN_EVALUATION = {"Num examples": "Evaluation: Num examples", "Batch size": "Evaluation: Batch size"}
LINE = re.compile(
    rf"(?P<label>{'|'.join(map(re.escape, [*LABELS, 'Batch size']))})"
    r"\s*[=:]\s*(?P<value>\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)"
)
LOGGED = re.compile(r"\{\s*['\"][A-Za-z_]\w*['\"]\s*:[^{}\n]*\}")
PAIR = re.compile(
    r"['\"](?P<name>[^'\"\n]+)['\"]\s*:\s*['\"]?"
    r"(?P<value>-?(?:\d{1,40}(?:\.\d*)?(?:e[-+]?\d{1,4})?|nan|inf(?:inity)?))['\"]?\s*(?=[,}])",
    re.IGNORECASE,
)
METRIC = re.compile(r"^[ \t]*(?P<label>\w+)[ \t]+=[ \t]+(?P<value>[\d.:,e+-]+|nan|inf)\s*$", re.M)


def read_log(text: str, file: str) -> Reading:
    """What a Trainer's log says, as documents: the block before the first step, and the values that
    it logged, of which the last are a document of their own.

    Raises:
        UserError: where not one line of it can be read.
    """
    keys, lines = _block(text)
    history = list(_records(text))
    if not keys and not history:
        raise refuse(
            what=f"no line of {file} can be read as a Trainer's",
            where=file,
            why="what it looks like a log for is cut off",
            fix="paste the lines from '***** Running training *****' on",
        )
    if history:
        keys["log_history"] = tuple(values for values, _ in history)
        lines["log_history"] = history[0][1]
    declared, notes = of_known_types(TrainingLog, keys, file, lines)
    whole = Document(kind=KIND, file=file, declared=declared, keys=keys, lines=lines, of_a_run=True)
    block = len(keys) - bool(history)
    told = Said(
        f"it has {counted(block, 'line')} of the block before the first step",
        f"其中有第一步之前那段信息的 {block} 行",
    )
    if history:
        told = Said(
            f"{told} and values logged {len(history):,} times",
            f"{told.zh}，以及 {len(history):,} 条数值记录",
        )
    what = Said("taken for a Trainer's log", "当作 Trainer 的日志")
    notes = [Note(what, file, told, "taken for"), *notes]
    reading = Reading(notes=notes, documents=[whole])
    if history:
        document, more = last_values(history, file)
        reading.documents.append(document)
        reading.notes += more
    return reading


def last_values(
    history: Sequence[tuple[Mapping[str, Any], int | None]], file: str
) -> tuple[Document, list[Note]]:
    """The last of each value that was logged, with its line."""
    last: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for values, line in history:
        for key, value in values.items():
            last[key] = value
            if line is not None:
                lines[key] = line
    known = field_names(LoggedValues)
    odd = sorted(key for key in last if key not in known)
    declared, notes = of_known_types(LoggedValues, last, file, lines)
    if odd:
        why = Said("the metrics of a script, or of another program", "脚本或别的程序自己的指标")
        what = Said(f"logged too: {', '.join(odd)}", f"还记录了：{'、'.join(odd)}")
        notes.append(Note(what, file, why))
    made = Document(kind=LAST, file=file, declared=declared, keys=last, lines=lines, of_a_run=True)
    return made, notes


def _block(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The labelled numbers; those of an evaluation under names of their own. The first counts."""
    keys: dict[str, Any] = {}
    lines: dict[str, int] = {}
    headings = deque((found.start(), found["name"]) for found in HEADING.finditer(text))
    line, before, under = 1, 0, TRAINING
    for found in LINE.finditer(text):
        line += text.count("\n", before, found.start())
        before = found.start()
        while headings and headings[0][0] < before:
            under = headings.popleft()[1]
        evaluates = under != TRAINING
        label = IN_EVALUATION.get(found["label"], "") if evaluates else found["label"]
        if label in (*LABELS, *IN_EVALUATION.values()) and label not in keys:
            keys[label], lines[label] = _number(found["value"]), line
    return keys, lines


def _number(text: str) -> float:
    plain = text.replace(",", "")
    return int(plain) if plain.isdecimal() and len(plain) < 30 else float(plain)


def _records(text: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The values of every line like {'loss': 1.5, 'epoch': 0.1}, and those of a block of metrics,
    with their lines.
    """
    line, before = 1, 0
    for found in LOGGED.finditer(text):
        line += text.count("\n", before, found.start())
        before = found.start()
        values = _logged(found[0])
        if values:
            yield values, line
    line, before = 1, 0
    for heading in HEADING.finditer(text):
        line += text.count("\n", before, heading.start())
        before = heading.start()
        if heading["name"].endswith("metrics"):
            end = text.find("*****", heading.end())
            block = text[heading.end() : len(text) if end < 0 else end]
            found = {one["label"]: _metric(one["value"]) for one in METRIC.finditer(block)}
            if found:
                yield found, line


NAMES = {"current_steps": "step", "lr": "learning_rate"}
"""What LLaMA-Factory's trainer_log.jsonl calls them."""


def _logged(text: str) -> dict[str, float]:
    """The numbers of one such line; transformers 5 prints them as texts."""
    return {
        NAMES.get(pair["name"], pair["name"]): float(pair["value"]) for pair in PAIR.finditer(text)
    }


def _metric(text: str) -> float:
    """A number, or a time as '0:12:34.56', in seconds."""
    parts = text.split(":")
    try:
        return sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
    except (ValueError, OverflowError):
        return math.nan


def where(document: Document, key: str) -> str:
    """The place of a line of a log."""
    return place(document.file, document.lines.get(key))
