"""A run and what it comes to; and the same run with one value changed.

What a parameter does here is found by planning twice, with its value and with another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from ..errors import UserError
from ..facts import Facts
from ..formats.model_config import ModelFile
from ..params.arch import Family, families
from ..params.arch.shape import Shape
from ..params.declare import Words
from ..params.document import Document
from ..params.resolve import resolve
from ..params.run import Run
from ..params.setting import DEFAULT, Note, Origin, Setting, derived
from ..plan.amounts import Amount, amounts
from ..plan.forecast import Forecast, forecast
from ..plan.memory import BYTES
from ..plan.version import installed
from ..text import Said
from .entry import Entry

PEAKS = ("run_bytes", "step_bytes")
"""The amounts that are told first, where a value changes them: the last of them before the others.
"""
STATES = {"gradient_bytes", "adam_bytes", "master_bytes"}
"""The amounts that are told last: they go with the parameters that train."""
ON_LENGTHS = {*PEAKS, "activation_bytes", "loss_bytes", "step_tokens", "step_flops"}
"""The amounts that hang on how long the rows are."""
OF_TENSORS = Words(
    "memory is what tensors take, and nvidia-smi shows more",
    "显存只计张量，nvidia-smi 显示的更多",
)
VISIBLE = 1.01
"""How many times larger a forecast of bytes or operations has to be to count as another one."""
AS_SAVED = Said("the type that the weights are saved in", "权重保存时的类型")


def _installed() -> Facts:
    return Facts(transformers=installed("transformers"))


@dataclass(frozen=True)
class Planned:
    """A written run with its model, and what is known of its data."""

    written: Run
    model: ModelFile | None = None
    facts: Facts = field(default_factory=_installed)
    assumed: ModelFile | None = None
    """The sizes that a hub model was published with, where its config is not here."""

    @property
    def family(self) -> Family | None:
        return None if self.model is None else self.model.architecture

    @property
    def shape(self) -> Shape | None:
        known = self.model or self.assumed
        return None if known is None else known.shape

    @cached_property
    def run(self) -> Run:
        """With every value that follows from others, on a GPU."""
        run = resolve(self.written, self.shape, device="cuda", complete=False)
        saved = getattr(self.family, "torch_dtype", None) or getattr(self.family, "saved_in", None)
        if not self.is_run and saved in BYTES:
            run = run.add([Setting("precision.dtype", saved, derived(AS_SAVED))])
        return run

    @property
    def is_run(self) -> bool:
        """Whether the files describe a run, and not a model alone."""
        asked = self.written.launch
        return asked.train or asked.evaluate or asked.predict

    @property
    def trains(self) -> bool:
        """Whether it trains, or is no run: nobody has said then that it does not."""
        return self.written.launch.train or not self.is_run

    @cached_property
    def forecast(self) -> Forecast:
        facts = replace(self.facts, devices=self.run.launch.all_processes)
        bits = 0 if self.model is None else self.model.stored_bits
        return forecast(self.run, facts, self.shape, stored_bits=bits)

    @cached_property
    def amounts(self) -> dict[str, Amount]:
        """What it comes to; nothing where a value is missing that cannot be guessed, or the data
        makes no batch.
        """
        method = self.run.method
        if method.name == "ptuning" and method.prefix.length is None:
            return {}
        try:
            found = amounts(self.forecast, self.family)
            if self.run.launch.train and self.shape is not None:
                from ..plan.step_amounts import step_amounts

                found |= step_amounts(self.forecast)
        except UserError:
            return {}
        return found

    def assumed_by(self, changes: Iterable[Change]) -> tuple[Words, ...]:
        """What changes of its training step count, and what they rest on that no file says."""
        changed = {one.name for one in changes}
        return (OF_TENSORS, *self.forecast.assumptions) if changed & ON_LENGTHS else ()

    def has(self, entry: Entry) -> bool:
        """Whether the model's own file has such a key."""
        return self.family is not None and entry.section is type(self.family)

    def shows(self, entry: Entry) -> bool:
        """Whether a value of it is known here."""
        return entry.owner is None or self.has(entry) or self._document(entry) is not None

    def _document(self, entry: Entry) -> Document | None:
        """The file beside the run that has such a key."""
        sections = ((one, type(one.declared)) for one in self.run.documents)
        return next((one for one, section in sections if section is entry.section), None)

    def value(self, entry: Entry) -> object:
        """The value of a parameter or a key."""
        if entry.owner is None:
            return self.run.get(entry.key)
        if self.has(entry):
            return getattr(self.family, entry.field)
        document = self._document(entry)
        return entry.default if document is None else getattr(document.declared, entry.field)

    def origin(self, entry: Entry) -> Origin:
        """Where it was written, or why it is so."""
        if entry.owner is None:
            return self.run.origin(entry.key)
        file = self.model if self.has(entry) else self._document(entry)
        if file is None or entry.name not in file.keys:
            return DEFAULT
        return Origin(file.file, file.lines.get(entry.name), entry.name)

    def but(self, entry: Entry, value: object) -> Planned | None:
        """The same with another value; None where that cannot be."""
        if entry.owner is None:
            try:
                changed = self.written.set({entry.key: value})
            except UserError:
                return None
            other_model = entry.key == "model.path" and self.model is None
            assumed = published_file(changed) if other_model else self.assumed
            return replace(self, written=changed, assumed=assumed)
        family = self.family
        if self.model is None or family is None or not self.has(entry):
            return None
        keys = family.model_dump(by_alias=True, exclude_unset=True) | {entry.name: value}
        for second, first in family.second_names.items():  # another name of the same size
            if first == entry.field and second in keys:
                keys[second] = value
        try:
            changed = type(family).model_validate(keys)
        except ValidationError:
            return None
        written = {**self.model.keys, entry.name: value}
        return replace(self, model=replace(self.model, architecture=changed, keys=written))


def published_file(run: Run) -> ModelFile | None:
    """The sizes of the hub model that a run names, where it is one whose sizes are known here."""
    owner, _, name = (run.model.path or "").lower().partition("/")
    for family in families():
        published = str(family.published.get("_name_or_path", "")).lower()
        if name and published in (f"{owner}/{name}", f"{ONCE.get(owner)}/{name}"):
            keys = family.published
            return ModelFile(str(run.model.path), family.model_validate(keys), keys, {}, ())
    return None


ONCE = {"zai-org": "thudm"}
"""Owners of models on the hub, and what they were called when these were published."""


def plan_of(run: Run, model: ModelFile | None, facts: Facts | None = None) -> Planned:
    """A written run with its model; with the published sizes where a model of the hub is named and
    its config is not here, which a note then says.
    """
    assumed = published_file(run) if model is None else None
    if assumed is not None:
        name = run.model.path
        what = Said(
            f"the sizes of {name} are taken as published", f"{name} 的尺寸取自官方发布的配置"
        )
        why = Said(
            "its config.json is not here; name the file where yours differs",
            "它的 config.json 不在这里；如果你的不同，请一并给出该文件",
        )
        run = run.add((), [Note(what, str(run.origin("model.path")), why)])
    return Planned(run, model, facts or _installed(), assumed)


@dataclass(frozen=True, slots=True)
class Change:
    """One amount that differs."""

    name: str
    here: Amount
    other: Amount
    """The same with the other value."""

    @property
    def factor(self) -> float:
        """How many times larger the larger one is; a little more counts as the same."""
        small, large = sorted((abs(self.here.value), abs(self.other.value)))
        return round(large / small, 2) if small else math.inf

    @property
    def told(self) -> tuple[str, str]:
        """Both values as they are shown."""
        return self.here.shown, self.other.shown

    @property
    def visible(self) -> bool:
        """Whether it is worth a line: a forecast that moves by less than a hundredth is not."""
        if self.here.shown == self.other.shown:
            return False
        small, large = sorted((abs(self.here.value), abs(self.other.value)))
        return self.here.formula.unit not in ("bytes", "FLOP") or large > small * VISIBLE


@dataclass(frozen=True, slots=True)
class Effect:
    """What a value does here, against another one."""

    against: object
    named: str | None
    """The name of the field whose value that is."""
    changes: tuple[Change, ...]


WHAT_TO_DO = {"launch.train", "launch.evaluate", "launch.predict"}
"""What makes a run a run: without it there is nothing to compare with."""


def effect(planned: Planned, entry: Entry) -> Effect | None:
    """What the value of an entry changes; None where no amount that is computed depends on it."""
    if entry.key in WHAT_TO_DO or (entry.key == "method.name" and not planned.trains):
        return None
    value = planned.value(entry)
    for against, named in alternatives(entry, value, planned):
        other = planned.but(entry, against)
        if other is None:
            continue
        if changes := differences(planned.amounts, other.amounts):
            return Effect(against, named, changes)
    return None


def differences(here: Mapping[str, Amount], other: Mapping[str, Amount]) -> tuple[Change, ...]:
    """The amounts of both that differ visibly: the memory of a step, that of the whole run where it
    is another, then the one that differs by the largest factor, and last the states.
    """
    found = (Change(name, amount, other[name]) for name, amount in here.items() if name in other)
    differing = {change.name: change for change in found if change.visible}
    run, step = (differing.get(name) for name in PEAKS)
    if run is not None and step is not None and run.told == step.told:
        del differing[run.name]
    return tuple(sorted(differing.values(), key=_telling))


def _telling(change: Change) -> tuple[int, bool, float]:
    rank = PEAKS.index(change.name) if change.name in PEAKS else -1
    return -rank, change.name in STATES, -change.factor


def computed_from(planned: Planned, entry: Entry) -> tuple[Amount, ...]:
    """The amounts whose formula reads an entry by its own name."""
    if entry.owner is not None and not planned.has(entry):
        return ()
    return tuple(one for one in planned.amounts.values() if entry.field in one.formula.reads)


def alternatives(
    entry: Entry, value: object, planned: Planned
) -> Iterator[tuple[object, str | None]]:
    """Values to compare with, the best first, each with the name of the field that has it."""
    instead = entry.facts.instead
    if isinstance(instead, str) and instead in entry.section.model_fields:
        beside = _beside(entry, instead, planned)
        if beside != value:
            yield beside, instead
    elif instead is not None and instead != value:
        yield instead, None
    if isinstance(value, bool):
        yield not value, None
        return
    choices = [choice for choice in _choices(entry.declared.annotation) if choice != value]
    if entry.default is not None and entry.default != value and not _is_text(entry, choices):
        yield entry.default, None
    if isinstance(value, str) and entry.default is None and not choices:
        yield None, None
    if isinstance(value, int | float):
        if choices:
            yield None, None
        yield value * 2, None
        yield (value // 2 if isinstance(value, int) else value / 2), None
    yield from ((choice, None) for choice in choices)


def _is_text(entry: Entry, choices: list[object]) -> bool:
    return isinstance(entry.default, str) and not choices


def _beside(entry: Entry, name: str, planned: Planned) -> Any:
    if entry.owner is not None:
        return getattr(planned.family, name, None)
    return planned.run.get(f"{entry.key.rpartition('.')[0]}.{name}")


def _choices(annotation: Any) -> list[object]:
    options = [part for part in (annotation, *get_args(annotation)) if get_origin(part) is Literal]
    return [choice for option in options for choice in get_args(option)]
