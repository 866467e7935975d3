"""What two runs, or two models, have different and what they have in common in other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..explain.entry import Entry, config_entries, of_run
from ..explain.planned import Change, Planned, differences
from ..formats.documents import field_names
from ..formats.model_config import ModelFile
from ..params.arch import Family
from ..params.arch.traits import CHOICES, CONCEPTS, QUESTIONS, Choice, Concept
from ..params.declare import Words
from ..params.document import Document
from ..params.run import Run, parameters
from ..params.setting import Note, Origin
from ..text import place
from .remarks import remarks


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    name: str
    """The files, as they were named."""
    planned: Planned

    @property
    def kind(self) -> Words:
        """What it is."""
        family = self.planned.family
        if self.planned.is_run or family is None:
            return Words("a run", "一次训练")
        return Words(f"a model: {type(family).__name__}", f"模型：{type(family).__name__}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One parameter or key whose value is not the same."""

    entry: Entry | None
    """None where nothing here knows the key."""
    name: str
    values: tuple[object, object]
    origins: tuple[Origin, Origin]
    follows: tuple[Change, ...] = ()
    """The amounts that this difference alone changes, the first side's first."""
    remarks: tuple[Words, ...] = ()
    """What the two values say together."""

    @property
    def derived(self) -> bool:
        """Whether nobody wrote either value: it follows from another difference."""
        return self.entry is not None and not any(one.written for one in self.origins)


@dataclass(frozen=True, slots=True)
class Spelling:
    """The same value, written in two ways."""

    name: str
    value: object
    written: tuple[str, str]
    words: Words | None = None
    """What the parameter is, where one side leaves it to its default."""


@dataclass(frozen=True, slots=True)
class Size:
    """One size that both models have, under the key of each; None where it follows from others."""

    concept: Concept
    keys: tuple[str | None, str | None]
    values: tuple[object, object]

    @property
    def words(self) -> Words:
        return CONCEPTS[self.concept]

    @property
    def same(self) -> bool:
        return self.values[0] == self.values[1]


@dataclass(frozen=True, slots=True)
class Design:
    """One question that both models answer, each in its way."""

    question: Words
    answers: tuple[Choice, Choice]

    @property
    def same(self) -> bool:
        return self.answers[0].name == self.answers[1].name


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, held beside each other."""

    sides: tuple[Side, Side]
    sizes: tuple[Size, ...]
    designs: tuple[Design, ...]
    differences: tuple[Difference, ...]
    spellings: tuple[Spelling, ...]
    alone: tuple[tuple[Entry, ...], tuple[Entry, ...]]
    """Keys that one of two families has and the other has nothing for."""
    follows: tuple[Change, ...]
    """The amounts in which the two differ, all differences together."""
    notes: tuple[tuple[Note, ...], tuple[Note, ...]]

    @property
    def changes(self) -> Iterator[Change]:
        """All amounts in which anything is said to differ."""
        yield from self.follows
        for one in self.differences:
            yield from one.follows

    @property
    def equal(self) -> bool:
        """Whether nothing but spelling differs."""
        return (
            not self.differences
            and all(one.same for one in (*self.sizes, *self.designs))
            and self.alone == ((), ())
        )


def compare(one: Side, other: Side) -> Comparison:
    """What differs between two sides."""
    sides = (one, other)
    models = (one.planned.model, other.planned.model)
    across = _families_differ(sides)
    told: list[Difference | Spelling] = list(_of_runs(sides))
    if not across:
        told += _of_models(sides, models)
    told += _of_documents(sides)
    here, there = one.planned.amounts, other.planned.amounts
    return Comparison(
        sides=sides,
        sizes=tuple(_sizes(models)) if across else (),
        designs=tuple(_designs(models)) if across else (),
        differences=tuple(
            sorted((found for found in told if isinstance(found, Difference)), key=_importance)
        ),
        spellings=tuple(found for found in told if isinstance(found, Spelling)),
        alone=_alone(models) if across else ((), ()),
        follows=differences(here, there),
        notes=(one.planned.run.notes, other.planned.run.notes),
    )


def _importance(difference: Difference) -> int:
    """The most important first; keys that nothing knows last."""
    return 0 if difference.entry is None else -difference.entry.facts.matters


Found = Iterator[Difference | Spelling]
Models = tuple[ModelFile | None, ModelFile | None]


def _families_differ(sides: tuple[Side, Side]) -> bool:
    families = [side.planned.family for side in sides]
    known = [type(family) for family in families if family is not None]
    return len(known) == 2 and known[0] is not known[1]


# --- the settings of runs

NAMES_THE_MODEL = {"model.config", "model.path", "model.tokenizer"}


def _of_runs(sides: tuple[Side, Side]) -> Found:
    """Every parameter that either of them writes or that follows from what it writes."""
    runs = [side.planned.run for side in sides]
    if not any(side.planned.is_run for side in sides):
        return
    touched = {setting.path for run in runs for setting in run.settings}
    for path in parameters():
        if path in touched:
            yield from _of_setting(path, sides)


def _of_setting(path: str, sides: tuple[Side, Side]) -> Found:
    runs = (sides[0].planned.run, sides[1].planned.run)
    values = (runs[0].shown(path), runs[1].shown(path))
    origins = (runs[0].origin(path), runs[1].origin(path))
    written = (_spelling(runs[0], path), _spelling(runs[1], path))
    if runs[0].get(path) != runs[1].get(path):
        entry = of_run(path)
        alone = sides[0].planned.but(entry, runs[1].get(path))
        follows = differences(sides[0].planned.amounts, alone.amounts) if alone else ()
        yield Difference(entry, path, values, origins, follows)
    elif written[0] != written[1] and all(origin.written for origin in origins):
        yield Spelling(path, values[0], written)
    elif origins[0].written != origins[1].written and path not in NAMES_THE_MODEL:
        said = (written[0] or origins[0].reason, written[1] or origins[1].reason)
        yield Spelling(path, values[0], said)


def _spelling(run: Run, path: str) -> str:
    """How the value that counts was written."""
    return run.origin(path).spelling


# --- the keys of one family's file


def _of_models(sides: tuple[Side, Side], models: Models) -> Found:
    one, other = models
    if one is None or other is None:
        return
    family = type(one.architecture)
    for entry in config_entries(family):
        yield from _of_key(entry, sides, (one, other))
    known = family.keys()
    for key in dict.fromkeys([*one.keys, *other.keys]):
        values = (one.keys.get(key), other.keys.get(key))
        if key not in known and values[0] != values[1]:
            origins = (_origin(one, key), _origin(other, key))
            yield Difference(None, key, values, origins)


def _of_key(entry: Entry, sides: tuple[Side, Side], models: tuple[ModelFile, ModelFile]) -> Found:
    one, other = (side.planned for side in sides)
    values = (one.value(entry), other.value(entry))
    origins = (one.origin(entry), other.origin(entry))
    said = tuple(entry.name in model.keys for model in models)
    if values[0] != values[1]:
        alone = one.but(entry, values[1])
        follows = differences(one.amounts, alone.amounts) if alone else ()
        told = tuple(remarks(entry.name, values, (one, other)))
        yield Difference(entry, entry.name, values, origins, follows, told)
    elif said[0] != said[1]:
        written = [
            place(origin.file, origin.line) if it else origin.reason
            for it, origin in zip(said, origins, strict=True)
        ]
        yield Spelling(entry.name, values[0], (written[0], written[1]), entry.words)
    elif all(said) and repr(models[0].keys[entry.name]) != repr(models[1].keys[entry.name]):
        raw = (repr(models[0].keys[entry.name]), repr(models[1].keys[entry.name]))
        yield Spelling(entry.name, values[0], raw)


def _origin(model: ModelFile, key: str) -> Origin:
    return Origin(model.file, model.lines.get(key), key) if key in model.keys else Origin()


# --- the files beside


def _of_documents(sides: tuple[Side, Side]) -> Found:
    """The keys of files of the same kind."""
    ours, theirs = (
        {one.kind: one for one in side.planned.run.documents if one.declared != side.planned.family}
        for side in sides
    )
    for kind in ours.keys() & theirs.keys():
        yield from _of_document(ours[kind], theirs[kind])


def _of_document(one: Document, other: Document) -> Found:
    section = type(one.declared)
    names = field_names(section)
    for key in dict.fromkeys([*one.keys, *other.keys]):
        name = names.get(key)
        entry = Entry(f"{one.kind}.{key}", key, section, name) if name else None
        values = (_said(one, key, name), _said(other, key, name))
        if values[0] != values[1]:
            yield Difference(entry, key, values, (one.origin(key), other.origin(key)))


def _said(document: Document, key: str, name: str | None) -> object:
    return document.keys.get(key) if name is None else getattr(document.declared, name, None)


# --- models of two families

SHAPED: Mapping[Concept, str] = {
    "hidden": "hidden",
    "layers": "layers",
    "heads": "heads",
    "kv_heads": "kv_heads",
    "head_dim": "head_dim",
    "ffn": "ffn",
    "vocab": "vocab",
    "positions": "max_positions",
    "tied": "tied",
}
"""The sizes that planning knows of every model."""


def _sizes(models: Models) -> Iterator[Size]:
    one, other = (model.architecture for model in models if model is not None)
    for concept in CONCEPTS:
        keys = (_key(one, concept), _key(other, concept))
        values = (_size(one, concept, keys[0]), _size(other, concept, keys[1]))
        if values != (None, None):
            yield Size(concept, keys, values)


def _key(family: Family, concept: Concept) -> str | None:
    return None if family.traits is None else family.traits.keys.get(concept)


def _size(family: Family, concept: Concept, key: str | None) -> Any:
    if concept in SHAPED:
        return getattr(family.shape, SHAPED[concept])
    return None if key is None else getattr(family, family.keys()[key])


def _designs(models: Models) -> Iterator[Design]:
    one, other = (model.architecture.traits for model in models if model is not None)
    if one is None or other is None:
        return
    for question, words in QUESTIONS.items():
        if question in one.choices and question in other.choices:
            answers = (CHOICES[one.choices[question]], CHOICES[other.choices[question]])
            yield Design(words, answers)


def _alone(models: Models) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """What each file says that is no size of the table above and no key of the other's."""
    one, other = (model for model in models if model is not None)
    return _unmatched(one, other), _unmatched(other, one)


def _unmatched(one: ModelFile, other: ModelFile) -> tuple[Entry, ...]:
    traits = one.architecture.traits
    told = set(traits.keys.values()) if traits else set[str]()
    theirs = other.architecture.keys()
    return tuple(
        entry
        for entry in config_entries(type(one.architecture))
        if entry.name in one.keys and entry.name not in told and entry.name not in theirs
    )
