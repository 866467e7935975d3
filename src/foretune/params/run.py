"""The typed run: what explain, check, plan and train consume.

A run is made of settings, each of which knows where it was written. A written run and a resolved
run are two values of this one type: resolving adds the settings that nobody wrote, with the reason
for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, Field, InstanceOf, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ..errors import Problem, UserError
from ..text import nearest
from .accelerate import Accelerate
from .batch import Batch
from .data import Data
from .declare import Section, Words, facts_of, param
from .deepspeed import DeepSpeed
from .document import Document
from .generate import Generate
from .launch import Launch
from .launchers import Launchers
from .method import Method
from .model import Model
from .optim import Optim
from .peft import Peft
from .precision import Precision
from .record import Record
from .schedule import Schedule
from .setting import AUTO, COMMAND_LINE, DEFAULT, Note, Origin, Setting, is_secret
from .trainer import Trainer

DATA_FILES = ("data.train", "data.validation", "data.test")


class Run(Section):
    """One fine-tuning run, whole.

    一次完整的微调。
    """

    model: Model = param(Model.model_construct())
    data: Data = param(Data.model_construct())
    method: Method = param(Method.model_construct())
    batch: Batch = param(Batch.model_construct())
    optim: Optim = param(Optim.model_construct())
    schedule: Schedule = param(Schedule.model_construct())
    precision: Precision = param(Precision.model_construct())
    generate: Generate = param(Generate.model_construct())
    record: Record = param(Record.model_construct())
    launch: Launch = param(Launch.model_construct())
    trainer: Trainer = param(Trainer.model_construct())
    deepspeed: DeepSpeed = param(DeepSpeed.model_construct())
    accelerate: Accelerate = param(Accelerate.model_construct())
    peft: Peft = param(Peft.model_construct())
    launchers: Launchers = param(Launchers.model_construct())

    settings: tuple[InstanceOf[Setting], ...] = param(())
    notes: tuple[InstanceOf[Note], ...] = param(())
    documents: tuple[InstanceOf[Document], ...] = param(())
    """Files beside the run that declare things of their own."""

    def get(self, path: str) -> Any:
        """The value at a dotted path: ``run.get('batch.micro')``."""
        value: Any = self
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def origin(self, path: str) -> Origin:
        """Where the value at ``path`` came from; the last one written counts. Of a secret the name
        alone is told, and not what stood behind it.
        """
        for setting in reversed(self.settings):
            if setting.path == path and setting.value is not AUTO:
                if facts_of(parameters()[path]).secret:
                    name = setting.origin.spelling.partition("=")[0].partition(" ")[0]
                    return replace(setting.origin, spelling=name)
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
        if path == "launch.environment":
            return {name: "***" if is_secret(name) else text for name, text in value.items()}
        return "***" if value is not None and facts_of(parameters()[path]).secret else value

    def written(self, path: str) -> bool:
        """Whether a person wrote this value somewhere."""
        return self.origin(path).written

    def at_origins(self, error: UserError) -> UserError:
        """The same problems; those that stand at a parameter's path stand where it was written, and
        those of a whole data file say which line of the run names it.
        """
        files = {self.get(path): self.origin(path) for path in DATA_FILES}

        def place_of(where: str) -> str:
            if where in parameters():
                return str(self.origin(where))
            origin = files.get(where, DEFAULT)
            named = origin.written and origin.file != COMMAND_LINE
            return f"{where}, named in {origin}" if named else where

        return UserError(replace(one, where=place_of(one.where)) for one in error.problems)

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
        checked, problems = _checked(settings)
        if problems:
            raise UserError(problems)
        run: BaseModel = self
        for setting, value in checked:
            if value is not AUTO:
                run = _replaced(run, setting.path.split("."), value)
        settings = (*self.settings, *(setting for setting, _ in checked))
        return cast(Run, run).model_copy(
            update={"settings": settings, "notes": (*self.notes, *notes)}
        )


@cache
def parameters() -> dict[str, FieldInfo]:
    """Every parameter that can be set, by dotted path, in the order of their declarations."""
    return {path: section.model_fields[path.rpartition(".")[2]] for path, section in _walk(Run, "")}


def section_of(path: str) -> type[BaseModel]:
    """The class that declares the parameter at a dotted path."""
    return _sections()[path]


@cache
def _sections() -> dict[str, type[BaseModel]]:
    return dict(_walk(Run, ""))


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
    whole: Any = field.annotation
    parts: list[Any] = list(get_args(whole)) if field.metadata else []
    if any(get_origin(part) is Literal for part in parts):  # a range holds for numbers alone
        for part in parts:
            bound = annotated[part, Field(), *field.metadata] if part in (int, float) else part
            whole = bound if part is parts[0] else whole | bound
        return TypeAdapter(whole)
    return TypeAdapter(annotated[whole, Field(), *field.metadata])


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
    checked, problems = _checked(settings)
    for setting, value in checked:
        if value is not AUTO:
            _put(values, setting.path, value)
    sound = tuple(setting for setting, _ in checked)
    made = _made(Run, {**values, "settings": sound, "notes": tuple(notes)})
    return cast(Run, made), problems


def _checked(
    settings: Iterable[Setting],
) -> tuple[list[tuple[Setting, Any]], list[Problem]]:
    """The settings that can be used, each with its value in its declared type, and what is wrong
    with the others.
    """
    sound: list[tuple[Setting, Any]] = []
    problems: list[Problem] = []
    for setting in settings:
        if setting.path not in parameters():
            problems.append(_unknown(setting))
            continue
        try:
            sound.append((setting, AUTO if setting.value is AUTO else _validated(setting)))
        except ValidationError as error:
            problems.append(_misfit(setting, error))
    return sound, problems


def _replaced(section: BaseModel, names: Sequence[str], value: object) -> BaseModel:
    """A section with one value replaced, which was validated before."""
    first, *rest = names
    inner = _replaced(getattr(section, first), rest, value) if rest else value
    return section.model_copy(update={first: inner})


def _made(section: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """A section of values that were validated one by one, and the defaults of the others."""
    inside: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            inside[name] = _made(inner, values[name]) if name in values else field.default
        elif name in values:
            inside[name] = values[name]
    return section.model_construct(**inside)


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


BOUNDS = {
    "ge": Words("at least", "至少"),
    "gt": Words("above", "大于"),
    "le": Words("at most", "至多"),
    "lt": Words("below", "小于"),
}
KINDS = {
    "one of": Words("one of ", "以下之一："),
    "list of": Words("list of ", "列表，元素为 "),
    "mapping": Words("mapping", "映射"),
    "or": Words(" or ", " 或 "),
    "none": Words("none", "空"),
    "int": Words("int", "整数"),
    "float": Words("float", "数字"),
    "str": Words("str", "文字"),
    "bool": Words("bool", "true 或 false"),
}


def expected(field: FieldInfo, language: str = "en") -> str:
    """What a parameter takes, in words: 'int, at least 1', 'one of cut, drop, refuse'."""
    bounds = [
        f"{words.in_language(language)} {getattr(bound, limit):g}"
        for bound in field.metadata
        for limit, words in BOUNDS.items()
        if hasattr(bound, limit)
    ]
    return ("，" if language == "zh" else ", ").join([_kind(field.annotation, language), *bounds])


def _kind(annotation: Any, language: str) -> str:
    inner, words = get_args(annotation), {key: KINDS[key].in_language(language) for key in KINDS}
    if get_origin(annotation) is Literal:
        alone = len(inner) == 1
        return str(inner[0]) if alone else words["one of"] + ", ".join(map(str, inner))
    if get_origin(annotation) in (tuple, list):
        return words["list of"] + _kind(inner[0], language)
    if get_origin(annotation) is dict:
        return words["mapping"]
    if inner:  # a union
        return words["or"].join(_kind(part, language) for part in inner)
    name = "none" if annotation is NoneType else str(annotation.__name__)
    return words.get(name, name)
