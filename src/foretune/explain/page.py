"""What there is to say of a run or of single parameters, before it is laid out in any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..formats.documents import field_names
from ..formats.model_config import ModelFile
from ..params.declare import Words, words_of
from ..params.document import Document
from ..params.run import Run, parameters
from ..params.setting import AUTO, DEFAULT, Note, Origin
from ..plan.amounts import Amount
from ..text import Said
from .entry import Entry, called, config_entries, of_run
from .planned import Change, Effect, Planned, computed_from, effect

if TYPE_CHECKING:
    from ..check.rule import Rule


@dataclass(frozen=True, slots=True)
class Item:
    """One parameter with all that is said of it."""

    entry: Entry
    value: object
    origin: Origin
    shown: bool = True
    """False where only the declaration is explained, and no value."""
    effect: Effect | None = None
    computed: tuple[Amount, ...] = ()
    """The amounts that are computed from it, where no other value that was tried changes any."""
    example: Words | None = None
    """What the effect is shown on, where that is not the run itself."""
    rules: Sequence[Rule] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that belong together, the most important first."""

    name: str
    about: Words
    items: tuple[Item, ...]
    file: str = ""
    """The file whose keys they are, where it is one."""
    remarks: tuple[Words, ...] = ()
    gone: tuple[str, Said] | None = None
    """A name that was asked for and that transformers has given up, and why."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole explanation."""

    groups: tuple[Group, ...] = ()
    hidden: tuple[str, ...] = ()
    """The names of what was left out as unimportant."""
    silent: tuple[str, ...] = ()
    """The names of what is written and has no effect."""
    autos: tuple[tuple[str, str, object, Origin], ...] = ()
    """What is left to other sources: as what and where it was written, what it comes to and from
    where."""
    notes: tuple[Note, ...] = ()
    assumed: tuple[Words, ...] = ()
    """What the effects on a training step count, and what they rest on that no file says."""

    @property
    def taken(self) -> tuple[Note, ...]:
        """What files were taken for whose names do not say it: to be told before anything else."""
        return tuple(note for note in self.notes if note.kind == "taken for")

    @property
    def others(self) -> tuple[Note, ...]:
        """The notes that may wait for the end."""
        return tuple(note for note in self.notes if note.kind != "taken for")


def explained_run(planned: Planned, *, everything: bool = False) -> Page:
    """Every value that the run's files set or that follows from them, the most important first."""
    groups: list[Group] = []
    hidden: list[str] = []
    silent: list[str] = []
    for group in _groups(planned):
        silent += [item.entry.name for item in group.items if item.entry.has_no_effect]
        kept = [item for item in group.items if everything or item.entry.facts.matters > 1]
        hidden += [
            item.entry.name
            for item in group.items
            if item not in kept and not item.entry.has_no_effect
        ]
        if kept:
            items = sorted(kept, key=lambda item: -item.entry.facts.matters)
            told = tuple(_with_effect(item, planned) for item in items)
            groups.append(replace(group, items=told))
    return Page(
        groups=tuple(groups),
        hidden=tuple(hidden),
        silent=tuple(silent),
        autos=tuple(_autos(planned)),
        notes=planned.run.notes,
        assumed=planned.assumed_by(_changes(groups)),
    )


def _changes(groups: Iterable[Group]) -> Iterator[Change]:
    """Everything that a value of the run is said to change."""
    shown = (item for group in groups for item in group.items if item.shown)
    return (change for item in shown if item.effect for change in item.effect.changes)


def _with_effect(item: Item, planned: Planned) -> Item:
    found = effect(planned, item.entry)
    computed = computed_from(planned, item.entry) if found is None else ()
    return replace(item, effect=found, computed=computed)


def _groups(planned: Planned) -> Iterator[Group]:
    """The sections of the run by their most important parameter, then what a run has left behind,
    then the model's file, then what lies beside.
    """
    entries = _of_run(planned)
    sections = [
        _group(name, members, planned)
        for name, members in groupby(entries, key=lambda entry: entry.key.rpartition(".")[0])
    ]
    yield from sorted(sections, key=lambda group: -max(_matters(group.items)))
    beside = [one for one in planned.run.documents if one.declared != planned.family]
    yield from (_document_group(one, planned.model) for one in beside if one.of_a_run)
    if planned.model is not None:
        yield _model_group(planned, planned.model)
    yield from (_document_group(one, planned.model) for one in beside if not one.of_a_run)


def _matters(items: Iterable[Item]) -> Iterator[int]:
    return (item.entry.facts.matters for item in items)


ABOUT_THE_MODEL = {"model.config", "model.path"}
"""What is set when a model's file is all that was named."""


def _of_run(planned: Planned) -> list[Entry]:
    """The parameters that anybody wrote or that follow from others; and those that make or break a
    run, where it is one.
    """
    run = planned.run
    written = {one.path for one in planned.written.settings}
    if not planned.is_run and written <= ABOUT_THE_MODEL:
        return []
    touched = {setting.path for setting in run.settings} if planned.is_run else written
    return [
        entry
        for entry in map(of_run, parameters())
        if (entry.key in touched and not _idle(run, entry))
        or (planned.is_run and _decides(run, entry))
    ]


TRAINING = (
    "optim.", "schedule.", "batch.micro", "batch.accumulation", "batch.gradient_checkpointing",
)  # fmt: skip
"""What only a run that trains reads."""


def _idle(run: Run, entry: Entry) -> bool:
    """Whether a value that nobody wrote is about answers and the run writes none, or about training
    and it makes none.
    """
    if run.written(entry.key):
        return False
    answers = run.launch.predict or run.evaluates
    return (entry.key.startswith("generate.") and not answers) or (
        entry.key.startswith(TRAINING) and not run.launch.train
    )


def _decides(run: Run, entry: Entry) -> bool:
    """Whether a parameter that nobody wrote makes or breaks this run by its default."""
    if entry.facts.matters < 3 or run.get(entry.key) is None:
        return False
    if entry.key == "schedule.epochs" and run.schedule.max_steps is not None:
        return False
    if entry.key in ("data.max_source_length", "data.max_target_length") and run.data.max_length:
        return False
    section = entry.key.partition(".")[0]
    if section in ("deepspeed", "accelerate", "peft", "launchers"):
        return any(one.path.startswith(f"{section}.") for one in run.settings)
    methods = {
        "method.prefix": "ptuning",
        "method.lora": "lora",
        "method.freeze": "freeze",
    }
    method = methods.get(entry.key.rpartition(".")[0])
    return method in (None, run.method.name) and not _idle(run, entry)


def _group(name: str, entries: Iterable[Entry], planned: Planned) -> Group:
    items = tuple(Item(one, planned.run.shown(one.key), planned.origin(one)) for one in entries)
    return Group(name, words_of(items[0].entry.section), items)


def _model_group(planned: Planned, model: ModelFile) -> Group:
    """The keys of the model's file, and those that matter and are left to their defaults."""
    family = type(model.architecture)
    items = tuple(
        Item(entry, planned.value(entry), planned.origin(entry))
        for entry in config_entries(family)
        if entry.name in model.keys or (entry.facts.matters > 1 and planned.value(entry))
    )
    remarks: list[Words] = []
    if (amount := planned.amounts.get("model_parameters")) is not None:
        remarks.append(Words(amount.text_in("en"), amount.text_in("zh")))
    return Group(family.__name__, words_of(family), items, model.file, tuple(remarks))


def _document_group(document: Document, model: ModelFile | None) -> Group:

    section: type[BaseModel] = type(document.declared)
    fields = field_names(section)
    items = tuple(
        Item(
            Entry(f"{document.kind}.{key}", key, section, fields[key]),
            getattr(document.declared, fields[key]),
            document.origin(key),
        )
        for key in document.keys
        if key in fields
    )
    from .log import remarks_on

    remarks = tuple(remarks_on(document, model))
    return Group(document.kind, words_of(section), items, document.file, remarks)


def _autos(planned: Planned) -> Iterator[tuple[str, str, object, Origin]]:
    """What every "auto" comes to, and from where: DeepSpeed's as transformers fills them in, any
    other from the source that writes a value.
    """
    run = planned.run
    left = [one for one in run.settings if one.value is AUTO or one.value == AUTO.value]
    told: set[str] = set()
    if any(one.path.startswith("deepspeed.") or one.value is AUTO for one in left):
        from ..formats.deepspeed_autos import resolved_autos

        made = planned.forecast.steps
        written = {one.origin.spelling: one.origin for one in left}
        for auto in resolved_autos(run, planned.shape, made.steps if made else None):
            where = str(written[auto.key]) if auto.key in written else auto.key
            told.add(auto.key)
            yield where, auto.path, auto.value, auto.origin
    for setting in run.autos:
        if setting.origin.spelling not in told:
            origin = run.origin(setting.path)
            yield str(setting.origin), setting.path, run.shown(setting.path), origin


def explained_entries(
    entries: Iterable[Entry], planned: Planned | None = None, *, deep: bool = True
) -> Page:
    """The declarations of single parameters; with a run, their values and effects there."""
    from .example import example

    groups: list[Group] = []
    for entry in entries:
        shown = planned if planned is not None and planned.shows(entry) else None
        found, on = (shown, None) if shown else example(entry)
        assert found is not None
        value = _value(found, entry)
        item = Item(
            entry,
            value,
            found.origin(entry) if shown else DEFAULT,
            shown=shown is not None,
            example=on,
            rules=rules_about(entry) if deep else (),
        )
        item = _with_effect(item, found) if deep else item
        groups.append(Group("", words_of(entry.section), (item,)))
    assumed = () if planned is None else planned.assumed_by(_changes(groups))
    return Page(groups=tuple(groups), assumed=assumed)


def _value(planned: Planned, entry: Entry) -> object:
    return planned.run.shown(entry.key) if entry.owner is None else planned.value(entry)


def rules_about(entry: Entry) -> Sequence[Rule]:
    """The rules of `foretune check` that are about a parameter or a key."""
    from ..check.rule import rules

    of = set(entry.families)
    return [
        rule
        for rule in rules()
        if entry.key in rule.fields and (not rule.of or {called(one) for one in rule.of} & of)
    ]
