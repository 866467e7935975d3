"""Our own run file: the parameters under their own names, in YAML 1.2, TOML or JSON.

    model:
      path: THUDM/chatglm2-6b
    batch: {micro: 4}
    optim.learning_rate: 2e-2      # a dotted path says the same

Values must have the type that is declared: '4' is text and no number. Every name must be known.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import Problem, refuse
from ..files import write_whole
from ..params.run import Run, parameters
from ..params.setting import Origin, Setting
from ..text import place, sentence_list
from .json_text import key_lines, plain, read_json
from .reading import Reading
from .yaml_text import Keys, read_yaml, unreadable

Kind = Literal["yaml", "toml", "json"]


def read_run_file(text: str, file: str, kind: Kind) -> Reading:
    """The settings of a run file, each with its line."""
    values, lines = {"yaml": read_yaml, "toml": _toml, "json": _json}[kind](text, file)
    reading = Reading()
    first: dict[Keys, int] = {}
    for keys, line in lines:
        if keys in first and "[]" not in keys:
            reading.problems.append(_twice(".".join(keys), file, line, first[keys]))
        first[keys] = line
    if not isinstance(values, dict):
        raise refuse(
            what="this is no run file: it holds no sections",
            where=file,
            why="a run file says `section: {parameter: value}`",
            fix="see the recipes, or let `foretune convert` write one",
        )
    for keys, value in _leaves(cast(dict[Any, Any], values), ()):
        path = ".".join(keys)
        starts = (keys[:end] for end in range(len(keys), 0, -1))
        line = next((first[start] for start in starts if start in first), None)
        earlier = [one.origin.line or 0 for one in reading.settings if one.path == path]
        if earlier:  # once nested and once dotted
            reading.problems.append(_twice(path, file, line, earlier[0]))
        if not _is_section(path):
            reading.settings.append(Setting(path, value, Origin(file, line, path)))
        elif value is not None:  # `batch:` with nothing under it says nothing
            reading.problems.append(_no_section(path, value, place(file, line)))
    return reading


def _leaves(values: Mapping[Any, Any], above: Keys) -> Iterator[tuple[Keys, object]]:
    """Every value that is no section, with its keys. A parameter may hold a mapping of its own."""
    for key, value in values.items():
        keys = (*above, str(key))
        path = ".".join(keys)
        if path in parameters() or not isinstance(value, dict):
            yield keys, value
        else:
            yield from _leaves(cast(dict[Any, Any], value), keys)


def _is_section(path: str) -> bool:
    return any(known.startswith(f"{path}.") for known in parameters())


def _no_section(path: str, value: object, where: str) -> Problem:
    names = [known[len(path) + 1 :] for known in parameters() if known.startswith(f"{path}.")]
    return Problem(
        what=f"{path} = {value!r} is no section",
        where=where,
        why=f"{path} holds parameters of its own: {sentence_list(names, most=4)}",
        fix=f"write {path}.{names[0]}: {value!r}, or whichever is meant",
    )


def _twice(path: str, file: str, line: int | None, first: int) -> Problem:
    return Problem(
        what=f"{path} is given twice",
        where=place(file, line),
        why=f"it is given in line {first} already, and which of the two is meant cannot be known",
        fix="take one of them out",
    )


Tree = tuple[object, list[tuple[Keys, int]]]


def _json(text: str, file: str) -> Tree:
    return read_json(text, file), list(key_lines(text))


def _toml(text: str, file: str) -> Tree:
    try:
        values = tomllib.loads(text)  # which finds what is given twice
        return values, list(dict(reversed(list(_toml_lines(text)))).items())
    except RecursionError:
        raise unreadable("TOML", "it is nested too deep", file) from None
    except tomllib.TOMLDecodeError as error:
        message, _, position = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", position)
        where = place(file, int(found[1]) if found else None)
        raise unreadable("TOML", message, where) from None
    except ValueError as error:  # a number of thousands of digits
        raise unreadable("TOML", str(error).partition(";")[0], file) from None


def _toml_lines(text: str) -> Iterator[tuple[Keys, int]]:
    """The line of every key that begins one; a key of an inline table has the line of its table."""
    section: Keys = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = _toml_keys(header[1])
            yield section, number
        elif key := re.match(r"""\s*([\w.\-"' ]+?)\s*=""", line):
            yield (*section, *_toml_keys(key[1])), number


def _toml_keys(dotted: str) -> Keys:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


HEADER = "# A run, as foretune reads it. Behind every value stands where it comes from.\n"


def write_run(run: Run, path: Path | str | None = None) -> str:
    """The run as a YAML run file: what differs from the defaults, each with its origin.

    Read again, it is the same run. Also written to ``path`` where one is given.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    whole = CommentedMap()
    for name, field in parameters().items():
        value = run.get(name)
        if value != field.default:
            section: Any = whole
            *sections, key = name.split(".")
            for one in sections:
                section = section.setdefault(one, CommentedMap())
            whole_number = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
            section[key] = int(value) if whole_number else _plain(value)
            section.yaml_add_eol_comment(" ".join(str(run.origin(name)).split()), key, column=0)
    yaml = YAML()
    yaml.width = 10_000
    stream = StringIO()
    cast(Any, yaml).dump(whole, stream)
    text = HEADER + (stream.getvalue() if whole else "{}\n")
    if path is not None:
        write_whole(Path(path), text)
    return text


def values(run: Run) -> dict[str, object]:
    """What differs from the defaults, by dotted path, as JSON has it."""
    named = {path: run.get(path) for path in parameters()}
    return {
        path: plain(value) for path, value in named.items() if value != parameters()[path].default
    }


def toml_text(run: Run) -> str:
    """The same as a run file in TOML, which has no word for nothing: such values are left out."""
    named = {path: value for path, value in values(run).items() if value is not None}
    return "".join(f"{path} = {_toml_value(value)}\n" for path, value in named.items())


def _toml_value(value: object) -> str:
    if isinstance(value, dict):
        items = cast(dict[str, object], value).items()
        return (
            "{" + ", ".join(f"{_toml_value(key)} = {_toml_value(one)}" for key, one in items) + "}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, cast(list[object], value)))}]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f") if isinstance(value, str) else text


def _plain(value: object) -> object:
    """Lists and mappings on one line, as the comment behind them needs it."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, tuple | list):
        made: Any = CommentedSeq(_plain(item) for item in cast(tuple[object, ...], value))
    elif isinstance(value, dict):
        items = cast(dict[str, object], value).items()
        made = CommentedMap((key, _plain(item)) for key, item in items)
    else:
        return value
    made.fa.set_flow_style()
    return made
