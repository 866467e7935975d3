"""How a rule is written: facts in the call, words in the docstring, the condition in the body.

    @rule(
        "B101", "batch.micro", "batch.accumulation",
        severity="error",
        source="https://github.com/shibing624/MedicalGPT/issues/191",
        flags=Example({"deepspeed.train_batch_size": 64, "batch.micro": 4}),
        allows=Example({"deepspeed.train_batch_size": 4, "batch.micro": 4}),
    )
    def the_total_batch_is_not_the_product(it: Subject) -> Iterator[Found]:
        \"\"\"Why it is wrong, in English.

        为什么不对。
        \"\"\"
        ...
        yield it.found("batch.micro", both("...", "..."), fix=both("...", "..."))

The name of the function says what is wrong. A rule is in force by standing in check/rules.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from ..facts import Facts
from ..formats.model_config import ModelFile
from ..params.arch import Family, read_architecture
from ..params.arch.shape import Shape
from ..params.declare import Words
from ..params.document import Document
from ..params.resolve import resolve
from ..params.run import Run, compose, parameters
from ..params.setting import Note, Origin, Setting
from ..plan.devices import Device, device_named
from ..plan.forecast import Forecast, forecast
from ..plan.version import installed
from ..text import Said
from .finding import Finding, Found, Severity

CONFIG = "config."
"""In front of a key of the model's config.json, where a finding is about it."""

ARGUMENT = "argument."
"""In front of an argument that sets no parameter, where a finding is about it."""

Condition = Callable[["Subject"], Iterable[Found]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """All that a rule may look at."""

    run: Run
    """Resolved, as far as it can be."""
    model: ModelFile | None = None
    facts: Facts = field(default_factory=lambda: Facts(transformers=installed("transformers")))
    device: Device | None = None
    """The GPU that the run is meant for, where one was named."""
    gpus: int = 1

    @property
    def shape(self) -> Shape | None:
        return None if self.model is None else self.model.shape

    @cached_property
    def forecast(self) -> Forecast:
        """What the run will do, as far as that is known.

        Raises:
            UserError: where not one batch comes together.
        """
        method = self.run.method
        countable = method.name != "ptuning" or method.prefix.length is not None
        return forecast(self.run, self.facts, self.shape if countable else None)

    def get(self, path: str) -> Any:
        """The value of a parameter, or of a key of the model's config ('config.seq_length'); None
        where the model or the key is not there.
        """
        if path.startswith(ARGUMENT):
            return None
        if not path.startswith(CONFIG):
            return self.run.get(path)
        key = path.removeprefix(CONFIG)
        if self.model is None:
            return None
        name = self.model.architecture.keys().get(key)
        return self.model.keys.get(key) if name is None else getattr(self.model.architecture, name)

    def written(self, *paths: str) -> bool:
        """Whether each of these was written by somebody."""
        return all(self.origin(path).written for path in paths)

    def values(self, path: str) -> list[Setting]:
        """Everything that was written for a parameter, the last (which counts) last."""
        return [one for one in self.run.settings if one.path == path and one.origin.written]

    def origin(self, path: str) -> Origin:
        """Where the value came from."""
        if not path.startswith(CONFIG):
            return self.run.origin(path)
        key = path.removeprefix(CONFIG)
        if self.model is None or key not in self.model.keys:
            return Origin(reason=Said("the default of this model family", "该模型族的默认值"))
        return Origin(self.model.file, self.model.lines.get(key), key)

    def found(
        self,
        path: str,
        what: Words,
        *,
        fix: Words,
        severity: Severity | None = None,
        change: Mapping[str, object] | None = None,
        origin: Origin | None = None,
    ) -> Found:
        """A finding about ``path``; ``origin`` where it stands elsewhere than the value."""
        return Found(
            field=path, what=what, fix=fix, severity=severity, change=change, origin=origin
        )


@dataclass(frozen=True)
class Example:
    """A run for a rule to be tried on: settings by path, and what else it needs."""

    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    model: Mapping[str, Any] | None = None
    """The keys of a config.json."""
    facts: Facts | None = None
    device: str | None = None
    gpus: int = 1
    also: tuple[tuple[str, object], ...] = ()
    """Further settings, of a second file: for one parameter that two sources write."""
    documents: tuple[Document, ...] = ()
    notes: tuple[Note, ...] = ()
    """What the readers of its files had to say."""

    def subject(self) -> Subject:
        """What the rule is given."""
        sources = [("example.sh", self.settings.items()), ("second.json", self.also)]
        settings = [
            Setting(path, value, Origin(file, number, path))
            for file, values in sources
            for number, (path, value) in enumerate(values, start=1)
        ]
        model = None
        if self.model is not None:
            architecture, _ = read_architecture(self.model)
            assert architecture is not None, "an example's model is of a known family"
            lines = {key: number for number, key in enumerate(self.model, start=2)}
            model = ModelFile("config.json", architecture, self.model, lines, ())
        subject = Subject(
            run=compose(settings, self.notes).model_copy(update={"documents": self.documents}),
            model=model,
            device=None if self.device is None else device_named(self.device),
            gpus=self.gpus,
        )
        run = resolve(subject.run, subject.shape, device="cuda", complete=False)
        return replace(subject, run=run, facts=self.facts or subject.facts)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong with a run."""

    code: str
    fields: tuple[str, ...]
    severity: Severity
    source: str
    """The thread in which it went wrong for somebody, or the code that makes it wrong."""
    flags: Example
    allows: Example
    condition: Condition
    words: Words
    """Why it is wrong."""
    of: tuple[type[Family], ...] = ()
    """The families of models that it is about, where it is not about any."""

    @property
    def name(self) -> str:
        """What is wrong, as the function says it: 'the total batch is not the product'."""
        return self.condition.__name__.replace("_", " ")

    def check(self, subject: Subject) -> Iterator[Finding]:
        """What the rule finds."""
        model = subject.model
        if self.of and (model is None or type(model.architecture) not in self.of):
            return
        for found in self.condition(subject):
            path = found.field
            shown = path in parameters()
            yield Finding(
                code=self.code,
                severity=found.severity or self.severity,
                field=path,
                value=subject.run.shown(path) if shown else subject.get(path),
                origin=found.origin or subject.origin(path),
                what=found.what,
                why=self.words,
                fix=found.fix,
                change=found.change,
            )


def rule(
    code: str,
    *fields: str,
    severity: Severity,
    source: str,
    flags: Example,
    allows: Example,
    of: tuple[type[Family], ...] = (),
) -> Callable[[Condition], Rule]:
    """Makes a rule of a function; its docstring is the reason, in English and Chinese."""

    def made(condition: Condition) -> Rule:
        english, _, chinese = inspect.cleandoc(condition.__doc__ or "").partition("\n\n")
        words = Words(" ".join(english.split()), "".join(chinese.split("\n")))
        return Rule(code, fields, severity, source, flags, allows, condition, words, of)

    return made


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule of check/rules, by code."""
    from . import rules as folder

    found = [
        value
        for module in pkgutil.iter_modules(folder.__path__)
        for value in vars(importlib.import_module(f"{folder.__name__}.{module.name}")).values()
        if isinstance(value, Rule)
    ]
    return tuple(sorted(found, key=lambda one: one.code))
