"""DeepSpeed's ds_config.json: its keys for our parameters, read with their lines and written back.

Read in DeepSpeed 0.19.8, transformers 5.23 (integrations/deepspeed.py) and accelerate 1.15
(utils/dataclasses.py). A key that no concept of ours has is the parameter of its own dotted path:
``zero_optimization.stage`` is ``deepspeed.zero_optimization.stage``. What an "auto" becomes is in
``deepspeed_autos``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast, get_args, get_origin

from ..errors import Problem, refuse
from ..params.run import Run, parameters
from ..params.setting import AUTO, Note, Origin, Setting
from ..text import Said, nearest, place
from .deepspeed_names import (
    ALIASES,
    ANY_CASE,
    BFLOAT16,
    NULLABLE,
    OWN_OPTIMIZERS,
    OWN_SCHEDULES,
    REMOVED,
    RENAMED,
    STRICT,
    TURNED_ON_BY_BEING_THERE,
    Renamed,
)
from .json_text import key_lines, read_json
from .reading import Reading, alternatives

PREFIX = "deepspeed."
Names = tuple[str, ...]

KEYS: dict[str, str] = {
    "train_micro_batch_size_per_gpu": "batch.micro",
    "gradient_accumulation_steps": "batch.accumulation",
    "gradient_clipping": "optim.max_grad_norm",
    "optimizer.params.lr": "optim.learning_rate",
    "optimizer.params.betas": "optim.beta1",
    "optimizer.params.eps": "optim.epsilon",
    "optimizer.params.weight_decay": "optim.weight_decay",
    "scheduler.params.warmup_max_lr": "optim.learning_rate",
    "scheduler.params.warmup_num_steps": "schedule.warmup",
    "fp16.enabled": "precision.mixed",
    "bf16.enabled": "precision.mixed",
}
"""Key of ds_config.json -> the parameter that the script's arguments have for it too. The betas are
``optim.beta1`` and ``optim.beta2``. Which precision is on is a parameter of DeepSpeed's besides."""

TOGETHER = ("optimizer.params.betas",)
HALVES = {"fp16.enabled": "fp16", "bf16.enabled": "bf16"}

TOP_LEVEL = ("train_batch_size", "train_micro_batch_size_per_gpu", "zero_optimization")


@cache
def own_keys() -> dict[str, str]:
    """The keys that are parameters of DeepSpeed's own, and their paths."""
    paths = [path for path in parameters() if path.startswith(PREFIX)]
    return {path.removeprefix(PREFIX): path for path in paths if not path.endswith("params.other")}


@cache
def sections() -> frozenset[str]:
    """Every key that holds keys of its own."""
    parts = [name.split(".") for name in (*own_keys(), *KEYS)]
    return frozenset(".".join(part[:end]) for part in parts for end in range(1, len(part)))


def is_deepspeed(values: Mapping[str, object]) -> bool:
    """Whether a JSON file with these keys is a ds_config.json."""
    if any(key in values for key in TOP_LEVEL):
        return True
    return any(
        key in sections() and isinstance(value, dict) and _knows(key, cast(dict[str, Any], value))
        for key, value in values.items()
    )


def _knows(section: str, values: Mapping[str, object]) -> bool:
    known = (*own_keys(), *KEYS, *sections())
    return bool(values) and all(f"{section}.{key}" in known for key in values)


def read_deepspeed(text: str, file: str) -> Reading:
    """The settings of a ds_config.json, each with its line, and everything that is wrong with it.

    Raises:
        UserError: where it is no JSON, or no mapping.
    """
    values = read_json(text, file)
    if not isinstance(values, dict):
        raise refuse(
            what=f"this is no ds_config.json: it holds a {type(values).__name__}",
            where=file,
            why="DeepSpeed's file is one mapping of keys to values",
            fix="name the file that --deepspeed names",
        )
    tree = cast(dict[str, Any], values)
    reader = _Reader(
        file, str(_inside(tree, "optimizer.type")), str(_inside(tree, "scheduler.type"))
    )
    for path, line in key_lines(text):
        reader.see(path, line)
    reader.walk(tree, ())
    reader.finish()
    return reader.reading


def _inside(values: Mapping[str, Any], name: str) -> object:
    section, _, key = name.partition(".")
    inner = values.get(section)
    return cast(dict[str, Any], inner).get(key) if isinstance(inner, dict) else None


@dataclass(slots=True)
class _Reader:
    """One reading of one file."""

    file: str
    optimizer: str
    schedule: str
    reading: Reading = field(default_factory=Reading)
    lines: dict[Names, int] = field(default_factory=dict[Names, int])
    free: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What stands among the params of a class of torch, by section."""

    def see(self, path: Names, line: int) -> None:
        if path in self.lines and "[]" not in path:
            self.reading.problems.append(_twice(".".join(path), self.file, line, self.lines[path]))
        self.lines.setdefault(path, line)

    def origin(self, keys: Names) -> Origin:
        return Origin(self.file, self.lines.get(keys), ".".join(keys))

    def walk(self, values: Mapping[str, Any], above: Names) -> None:
        for key, value in values.items():
            keys = (*above, key)
            name = ".".join(keys)
            if "." in key:
                self._unknown(keys)
            elif above == () and key == "bfloat16":
                self._bfloat16(value, keys)
            elif name in RENAMED:
                self._renamed(RENAMED[name], value, keys)
            elif (known := ALIASES.get(name, name)) in KEYS or known in own_keys():
                self.take(known, value, keys)
            elif known in sections():
                self._section(known, value, keys)
            elif self._is_free(".".join(above)):
                self.free.setdefault(".".join(above), {})[key] = value
            else:
                self._unknown(keys)

    def finish(self) -> None:
        """Hands on what belongs to classes of torch."""
        for section, values in self.free.items():
            keys = (*section.split("."), next(iter(values)))
            setting = Setting(f"{PREFIX}{section}.other", values, self.origin(keys))
            self.reading.settings.append(setting)

    def take(self, name: str, value: object, keys: Names) -> None:
        """The settings that a known key stands for."""
        origin, path = self.origin(keys), own_keys().get(name)
        if name in REMOVED:
            since = REMOVED[name]
            what = Said(
                f"{name} is refused by DeepSpeed since {since}",
                f"DeepSpeed 从 {since} 起拒绝 {name}",
            )
            why = Said(
                "what it was for is gone; earlier versions read it",
                "它的功能已被删去；更早的版本会读取它",
            )
            self.reading.notes.append(Note(what, str(origin), why, "no effect", name))
        if value is None and path is None:
            return  # as if it were not there
        if value == "auto" and not _auto_fits(name):
            self.reading.problems.append(_stays_auto(name, origin))
        elif isinstance(value, str) and value != "auto" and not _text_fits(name):
            self.reading.problems.append(_is_text(name, value, origin))
        elif name in TOGETHER and value != "auto" and not _is_pair(value):
            self.reading.problems.append(_no_pair(name, value, origin))
        else:
            made = (Setting(path, value, origin) for path, value in _meaning(name, value))
            self.reading.settings += made

    def _section(self, name: str, value: object, keys: Names) -> None:
        if value is None and name in NULLABLE:
            return
        if not isinstance(value, dict):
            self.reading.problems.append(_no_section(name, value, self.origin(keys)))
            return
        if not value and name in TURNED_ON_BY_BEING_THERE:
            what = Said(f"{name} is turned on", f"{name} 被打开")
            why = Said(
                "writing the section is enough; its defaults hold", "写上配置块就算打开，取其默认值"
            )
            self.reading.notes.append(Note(what, str(self.origin(keys)), why))
        self.walk(cast(dict[str, Any], value), keys)

    def _is_free(self, section: str) -> bool:
        """Whether the keys of a section are those of a class of torch."""
        if section == "optimizer.params":
            return self.optimizer.lower() not in OWN_OPTIMIZERS
        return section == "scheduler.params" and self.schedule not in OWN_SCHEDULES

    def _bfloat16(self, value: object, keys: Names) -> None:
        what = Said("bfloat16 is read as bf16", "bfloat16 读作 bf16")
        where = str(self.origin(keys))
        self.reading.notes.append(Note(what, where, BFLOAT16, "renamed", "bfloat16"))
        inner: dict[str, Any] = cast(dict[str, Any], value) if isinstance(value, dict) else {}
        for key, one in inner.items():
            known = f"bf16.{key}"
            if known in KEYS or known in own_keys():
                self.take(known, one, (*keys, key))
            else:
                self._unknown((*keys, key))

    def _renamed(self, renamed: Renamed, value: object, keys: Names) -> None:
        name = ".".join(keys)
        what = (
            Said(f"{name} is read as {renamed.key}", f"{name} 读作 {renamed.key}")
            if renamed.key
            else Said(f"{name} has no effect", f"{name} 不起作用")
        )
        kind = "renamed" if renamed.key else "no effect"
        self.reading.notes.append(Note(what, str(self.origin(keys)), renamed.why, kind, name))
        if renamed.turned_on is not None:
            value = renamed.turned_on if value is True else None if value is False else value
        if renamed.key and value is not None:
            self.take(renamed.key, value, keys)

    def _unknown(self, keys: Names) -> None:
        self.reading.problems.append(_unknown(keys, self.origin(keys)))


def _meaning(name: str, value: object) -> Iterator[tuple[str, object]]:
    """What a key says, as values of parameters: {path: value}."""
    path = own_keys().get(name)
    if path is not None:
        yield path, _as_declared(name, path, value)
    if name in HALVES and value in (True, "auto"):
        yield KEYS[name], AUTO if value == "auto" else HALVES[name]
    elif name in TOGETHER:
        pair = (AUTO, AUTO) if value == "auto" else cast(list[object], value)
        yield from zip(("optim.beta1", "optim.beta2"), pair, strict=True)
    elif name in KEYS and name not in HALVES:
        yield KEYS[name], AUTO if value == "auto" else _whole(KEYS[name], value)


def _as_declared(name: str, path: str, value: object) -> object:
    """A value in the type that is declared, where DeepSpeed takes it in another form too."""
    if name in ANY_CASE and isinstance(value, str):
        choices = [one for one in _choices(path) if str(one).lower() == value.lower()]
        return choices[0] if choices else value
    return _whole(path, value)


def _whole(path: str, value: object) -> object:
    """5e8, where a whole number is wanted."""
    if isinstance(value, float) and value.is_integer() and float not in _kinds(path):
        return int(value)
    return value


def _kinds(path: str) -> tuple[Any, ...]:
    """The types that a parameter may have."""
    annotation: Any = parameters()[path].annotation
    inner = get_args(annotation)
    return (
        inner if inner and get_origin(annotation) not in (Literal, tuple, dict) else (annotation,)
    )


def _choices(path: str) -> list[object]:
    literals = [kind for kind in _kinds(path) if get_origin(kind) is Literal]
    return [choice for literal in literals for choice in get_args(literal)]


def _auto_fits(name: str) -> bool:
    """Whether somebody puts a value in place of "auto"."""
    own = own_keys().get(name)
    return name in KEYS if own is None else "auto" in _choices(own)


def _text_fits(name: str) -> bool:
    """Whether a key may hold text."""
    own = own_keys().get(name)
    if own is None:
        return False
    words = [choice for choice in _choices(own) if isinstance(choice, str) and choice != "auto"]
    return str in alternatives(own) or str in _kinds(own) or bool(words)


def _twice(name: str, file: str, line: int, first: int) -> Problem:
    return Problem(
        what=f"{name} is given twice",
        where=place(file, line),
        why=f"it is given in line {first} already: DeepSpeed refuses such a file, transformers "
        "takes the last one without a word",
        fix="take one of them out",
    )


def _stays_auto(name: str, origin: Origin) -> Problem:
    return Problem(
        what=f'{name} is "auto", and nobody fills it in',
        where=str(origin),
        why="transformers and accelerate put values in place of some keys only; accelerate refuses "
        "the others, and DeepSpeed alone knows no auto",
        fix="leave the key out for its default, or write a value",
    )


def _is_text(name: str, value: str, origin: Origin) -> Problem:
    return Problem(
        what=f"{name} = {json.dumps(value, ensure_ascii=False)} is text",
        where=str(origin),
        why="a number or a truth value is wanted: transformers compares what stands here with its "
        "own and finds text different from a number, and DeepSpeed converts it in some places only",
        fix="take the quotes away" if _plain(value) else "write a number, true or false",
    )


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(cast(list[object], value)) == 2


def _no_pair(name: str, value: object, origin: Origin) -> Problem:
    return Problem(
        what=f"{name} = {_short(value)} is no pair of numbers",
        where=str(origin),
        why="the optimizer takes one number for each of its two running means",
        fix="write both, for example [0.9, 0.999]",
    )


def _plain(text: str) -> bool:
    """Whether text without its quotes would be a JSON number or truth value."""
    try:
        return isinstance(json.loads(text), bool | int | float)
    except ValueError:
        return False


def _no_section(name: str, value: object, origin: Origin) -> Problem:
    inside = [key for key in (*own_keys(), *KEYS) if key.startswith(f"{name}.")]
    return Problem(
        what=f"{name} = {_short(value)} is no section",
        where=str(origin),
        why=f"{name} holds keys of its own: {inside[0].removeprefix(f'{name}.')} and others",
        fix=f'write "{name.rpartition(".")[2]}": {{...}} with the keys that are meant',
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown(keys: Names, origin: Origin) -> Problem:
    name, above = ".".join(keys), ".".join(keys[:-1])
    if name == "optimizer.params.max_grad_norm":
        why = "DeepSpeed refuses it there"
        return Problem(f"there is no key {name}", str(origin), why, "write gradient_clipping")
    strict = any(f"{name}.".startswith(f"{section}.") for section in STRICT)
    known = [*own_keys(), *KEYS, *sections()]
    beside = [key for key in known if key.rpartition(".")[0] == above]
    like = nearest(name, beside, at_least=0.75) or nearest(name, known, at_least=0.75)
    elsewhere = [key for key in known if key.rpartition(".")[2] == keys[-1]]
    return Problem(
        what=f"there is no key {name}",
        where=str(origin),
        why="DeepSpeed refuses a file with it"
        if strict
        else "DeepSpeed reads it nowhere, and says nothing",
        fix=f"write {elsewhere[0] if elsewhere else like}" if elsewhere or like else "leave it out",
    )


def write(run: Run) -> str:
    """The ds_config.json of a run: the keys that one was read with, as the run has them now, and
    what else of DeepSpeed's own is set. Where none was read, the keys that DeepSpeed cannot do
    without are "auto".
    """
    tree: dict[str, Any] = {}
    read_from_file = False
    for setting in run.settings:
        name = setting.origin.spelling
        name = ALIASES.get(name, RENAMED[name].key if name in RENAMED else name)
        own = own_keys().get(name)
        if own == setting.path or (name in KEYS and setting.path != "optim.beta2"):
            read_from_file = True
            _put(tree, name, _written(run, name, setting))
        elif setting.path.startswith(PREFIX) and setting.path.endswith("params.other"):
            for key, value in cast(dict[str, object], setting.value).items():
                _put(tree, f"{setting.path[len(PREFIX) : -len('.other')]}.{key}", value)
    for name, path in own_keys().items():
        if run.get(path) != parameters()[path].default:
            _put(tree, name, _written(run, name))
    if not read_from_file:
        for name in ("train_batch_size", *KEYS):
            if "." not in name and name not in tree:
                tree[name] = "auto"
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _written(run: Run, name: str, setting: Setting | None = None) -> object:
    """The value of a key as the run has it."""
    own = own_keys().get(name)
    if name in HALVES and own is not None:
        mine = run.get(own)
        decided = mine != "auto" and run.written("precision.mixed")
        return run.precision.mixed == HALVES[name] if decided else mine
    if own is not None:
        value = run.get(own)
        return list(cast(tuple[object, ...], value)) if isinstance(value, tuple) else value
    if setting is not None and setting.value is AUTO:
        return "auto"
    if name in TOGETHER:
        return [run.optim.beta1, run.optim.beta2]
    value = run.get(KEYS[name])
    whole = isinstance(value, float) and value.is_integer() and name.endswith("warmup_num_steps")
    return int(value) if whole else value


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *above, key = name.split(".")
    for section in above:
        tree = tree.setdefault(section, {})
    tree[key] = value
