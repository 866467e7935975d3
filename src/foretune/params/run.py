"""The typed run: what explain, check, plan and train consume.

A run is made of settings, each of which knows where it was written. A written run and a resolved
run are two values of this one type: resolving adds the settings that nobody wrote, with the reason
for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ..errors import Problem, UserError
from ..text import nearest
from .batch import Batch
from .data import Data
from .declare import Section, facts_of, param
from .document import Document
from .generate import Generate
from .launch import Launch
from .method import Method
from .model import Model
from .optim import Optim
from .precision import Precision
from .record import Record
from .schedule import Schedule
from .setting import AUTO, COMMAND_LINE, DEFAULT, Note, Origin, Setting
from .trainer import Trainer


class Run(Section):
    """One fine-tuning run, whole.

    一次完整的微调。
    """

    model: Model = param(Model())
    data: Data = param(Data())
    method: Method = param(Method())
    batch: Batch = param(Batch())
    optim: Optim = param(Optim())
    schedule: Schedule = param(Schedule())
    precision: Precision = param(Precision())
    generate: Generate = param(Generate())
    record: Record = param(Record())
    launch: Launch = param(Launch())
    trainer: Trainer = param(Trainer())

    settings: tuple[Setting, ...] = param(())
    notes: tuple[Note, ...] = param(())
    documents: tuple[Document, ...] = param(())
    """Files beside the run that declare things of their own."""

    def get(self, path: str) -> Any:
        """The value at a dotted path: ``run.get('batch.micro')``."""
        value: Any = self
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def origin(self, path: str) -> Origin:
        """Where the value at ``path`` came from; the last one written counts."""
        for setting in reversed(self.settings):
            if setting.path == path and setting.value is not AUTO:
                return setting.origin
        return DEFAULT

    @property
    def autos(self) -> tuple[Setting, ...]:
        """What is written as "auto": its value comes from wherever else one is written, or is the
        default."""
        return tuple(setting for setting in self.settings if setting.value is AUTO)

    def shown(self, path: str) -> object:
        """The value as it may be shown: a secret's is not."""
        value = self.get(path)
        return "***" if value is not None and facts_of(parameters()[path]).secret else value

    def written(self, path: str) -> bool:
        """Whether a person wrote this value somewhere."""
        return self.origin(path).written

    def at_origins(self, error: UserError) -> UserError:
        """The same problems; those that stand at a parameter's path stand where it was written."""
        return UserError(
            replace(problem, where=str(self.origin(problem.where)))
            if problem.where in parameters()
            else problem
            for problem in error.problems
        )

    @property
    def evaluates_on_the_way(self) -> bool:
        """Whether training stops now and then to look at the validation rows."""
        return self.launch.train and self.record.eval_strategy != "no"

    @property
    def evaluates(self) -> bool:
        """Whether the run looks at its validation rows at all."""
        return self.launch.evaluate or self.evaluates_on_the_way

    def set(self, values: Mapping[str, object], origin: Origin | None = None) -> Run:
        """A run with these values on top. Raises UserError naming every value that does not fit."""
        settings = [
            Setting(path, value, origin or Origin(COMMAND_LINE, None, path))
            for path, value in values.items()
        ]
        return self.add(settings)

    def add(self, settings: Iterable[Setting], notes: Iterable[Note] = ()) -> Run:
        """A run with these settings after (so: stronger than) its own."""
        run = compose((*self.settings, *settings), (*self.notes, *notes))
        return run.model_copy(update={"documents": self.documents})


@cache
def parameters() -> dict[str, FieldInfo]:
    """Every parameter that can be set, by dotted path, in the order of their declarations."""
    return {path: section.model_fields[path.rpartition(".")[2]] for path, section in _walk(Run, "")}


@cache
def section_of(path: str) -> type[BaseModel]:
    """The class that declares the parameter at a dotted path."""
    return dict(_walk(Run, ""))[path]


def _walk(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _walk(inner, f"{prefix}{name}.")
        elif prefix:  # what stands on Run itself (settings, notes) is no parameter
            yield f"{prefix}{name}", section


@cache
def _adapter(path: str) -> TypeAdapter[Any]:
    """Checks one value against its parameter's type and range."""
    field, annotated = parameters()[path], cast(Any, Annotated)
    adapter: TypeAdapter[Any] = TypeAdapter(annotated[field.annotation, Field(), *field.metadata])
    return adapter


def compose(settings: Iterable[Setting], notes: Iterable[Note] = ()) -> Run:
    """The run that these settings make; the last setting of a parameter counts.

    Raises:
        UserError: with every setting that names no parameter or does not fit its type or range.
    """
    run, problems = compose_sound(settings, notes)
    if problems:
        raise UserError(problems)
    return run


def compose_sound(
    settings: Iterable[Setting], notes: Iterable[Note] = ()
) -> tuple[Run, list[Problem]]:
    """The run of those settings that can be used, and what is wrong with the others."""
    values: dict[str, Any] = {}
    sound: list[Setting] = []
    problems: list[Problem] = []
    for setting in settings:
        if setting.path not in parameters():
            problems.append(_unknown(setting))
            continue
        try:
            if setting.value is not AUTO:
                _put(values, setting.path, _validated(setting))
            sound.append(setting)
        except ValidationError as error:
            problems.append(_misfit(setting, error))
    run = Run.model_validate({**values, "settings": tuple(sound), "notes": tuple(notes)})
    return run, problems


def _validated(setting: Setting) -> Any:
    """The value in its declared type. Text ('8') is read as what it means; a typed value must have
    the type already.
    """
    value = setting.value
    if setting.text and isinstance(value, str):
        value = _choice(setting.path, value)
    if isinstance(value, list):
        value = tuple(cast(list[object], value))
    return _adapter(setting.path).validate_python(value, strict=not setting.text)


def _choice(path: str, text: str) -> object:
    """Text as the choice that it spells, where the choices are no text: '4' of Literal[4, 8]."""
    annotation: Any = parameters()[path].annotation
    options = [part for part in (annotation, *get_args(annotation)) if get_origin(part) is Literal]
    choices = [choice for option in options for choice in get_args(option)]
    return next((choice for choice in choices if str(choice) == text), text)


def _put(values: dict[str, Any], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[name] = value


def _unknown(setting: Setting) -> Problem:
    like = nearest(setting.path, parameters())
    return Problem(
        what=f"there is no parameter {setting.path!r}",
        where=str(setting.origin),
        why="a name that nothing reads would change nothing without saying so",
        fix=f"write {like!r}" if like else "`foretune explain` lists every parameter",
    )


def _misfit(setting: Setting, error: ValidationError) -> Problem:
    reason, field = error.errors()[0]["msg"], parameters()[setting.path]
    default = "" if field.default is None else f" (default: {field.default!r})"
    return Problem(
        what=f"{setting.path} = {setting.value!r} cannot be used",
        where=str(setting.origin),
        why=f"{reason[:1].lower()}{reason[1:]}",
        fix=f"give {expected(field)}{default}",
    )


BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def expected(field: FieldInfo) -> str:
    """What a parameter takes, in words: 'int, at least 1', 'one of cut, drop, refuse'."""
    bounds = [
        f"{words} {getattr(bound, limit):g}"
        for bound in field.metadata
        for limit, words in BOUNDS.items()
        if hasattr(bound, limit)
    ]
    return ", ".join([_kind(field.annotation), *bounds])


def _kind(annotation: Any) -> str:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if get_origin(annotation) is tuple:
        return f"list of {_kind(inner[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if inner:  # a union
        return " or ".join(_kind(part) for part in inner)
    return "none" if annotation is NoneType else str(annotation.__name__)
