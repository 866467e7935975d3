"""Reading a run in whatever form it is there: script, run file, config.json, flags, path=value.

What a file is, its content says. Everything that is wrong, in all of them, is raised together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import cast

from ..errors import Problem, UserError, refuse
from ..params.run import Run, compose_sound, parameters
from ..params.setting import COMMAND_LINE, Origin, Setting
from ..text import nearest
from . import programs
from .json_text import mended
from .kinds import Kind, is_bare_json, kind_of, refuse_huge, taken_for
from .model_config import NAME, NAMES, config_path, file_in, read_any_model, read_model_config
from .reading import Reading, is_too_long, too_long, typed

PASTED = "standard input"


def read(
    *sources: str | Path,
    flags: Sequence[str] = (),
    set: Mapping[str, object] | Sequence[str] = (),
) -> Run:
    """The run that these files, flags and settings describe; the later counts more.

    Args:
        sources: training scripts, run files (YAML, TOML, JSON), JSON files of arguments, a model's
            config.json or the folder with it, DeepSpeed's and accelerate's files, which are also
            read where a script names them; '-' is the standard input.
        flags: words of a command line: '--learning_rate', '1e-4', '--batch.micro=4'.
        set: parameters by dotted path; as words, 'batch.micro=4'.

    Raises:
        UserError: with every problem of every source.
    """
    run, problems = read_sound(*sources, flags=flags, set=set)
    if problems:
        raise UserError(problems)
    return run


def read_sound(
    *sources: str | Path,
    flags: Sequence[str] = (),
    set: Mapping[str, object] | Sequence[str] = (),
) -> tuple[Run, list[Problem]]:
    """What can be used of these sources, as a run, and everything that is wrong with the rest."""
    whole = Reading()
    taken: list[Path] = []
    for source in sources:
        _collect(whole, lambda source=source: _read_source(source, taken))
    if flags:
        from .script import command_line

        _collect(whole, lambda: command_line(flags, COMMAND_LINE, _text))
    _collect(whole, lambda: _read_set(set))
    return _composed(whole)


def _collect(whole: Reading, read_one: Callable[[], Reading]) -> None:
    try:
        whole.add(read_one())
    except UserError as error:
        whole.problems += error.problems


def _composed(whole: Reading) -> tuple[Run, list[Problem]]:
    """The run: what is implied below what is written, and what its config.json has to say."""
    named = [one for one in whole.settings if is_too_long(one)]
    whole.problems += map(too_long, named)
    whole.settings = [one for one in whole.settings if one not in named]
    written = {setting.path for setting in whole.settings}
    implied = [
        *programs.implied(whole.settings, whole.programs),
        *(setting for setting in whole.implied if setting.path not in written),
    ]
    run, misfits = compose_sound([*implied, *whole.settings], whole.notes)
    problems = [*whole.all_problems(), *misfits]
    documents = list(whole.documents)
    try:
        config = config_path(run)
        if config is not None:
            model, notes = read_model_config(_text(config), str(config))
            if model is None:
                document, notes = read_any_model(_text(config), str(config))
                documents.append(document)
            run = run.add((), notes)
    except UserError as error:
        problems += error.problems
    return run.model_copy(update={"documents": tuple(documents)}), problems


def _read_source(source: str | Path, taken: list[Path]) -> Reading:
    """What one source says. ``taken`` holds the files that a script before it named already."""
    name, path = str(source), Path(source).expanduser()
    if name == "-":
        return _read_content(_standard_input(), PASTED, path, taken)
    if path.is_dir():
        return _read_folder(path, name)
    return _read_content(_text(path), name, path, taken)


def read_text(text: str, name: str, folder: Path) -> tuple[Run, list[Problem]]:
    """The run that a text describes, as if it were a file of that name in a folder; and everything
    that is wrong with it.
    """
    whole = Reading()
    _collect(whole, lambda: _read_content(text, name, folder / name, []))
    return _composed(whole)


def _read_content(text: str, name: str, path: Path, taken: list[Path]) -> Reading:
    folder = path.parent
    refuse_huge(text, name)
    whole, mends = mended(text, name) if is_bare_json(text, name) else (text, [])
    kind = kind_of(whole, name)
    said = list(taken_for(kind, text, name))
    if kind == "config" and name != PASTED:  # its own notes come when it is read for its sizes
        return Reading([Setting("model.config", name, Origin(name))], said)
    reading = Reading(notes=[*said, *mends])
    if kind == "shell":
        from .script import read_script

        refuse_huge(text, name, script=True)
        found = read_script(whole, name, folder, _text)
    elif path.resolve() not in taken:
        taken.append(path.resolve())
        found = _read_kind(kind, whole, name)
    else:
        return reading
    if kind in ("shell", "arguments", "factory"):
        from .beside import with_named_files

        found = with_named_files(found, folder, taken, _text)
    reading.add(found)
    return reading


def _read_kind(kind: Kind, text: str, name: str) -> Reading:
    if kind == "config":
        document, notes = read_any_model(text, name)
        return Reading(notes=list(notes), documents=[document])
    if kind in ("yaml", "toml", "json"):
        from .run_file import read_run_file

        return read_run_file(text, name, kind)
    module, function = READERS[kind]
    reading: Reading = getattr(import_module(f"{__package__}.{module}"), function)(text, name)
    if kind == "accelerate":
        reading.implied.append(Setting("launch.launcher", "accelerate", Origin(name)))
    if kind in NAMED_BY and name != PASTED:
        reading.implied.append(Setting(NAMED_BY[kind], name, Origin(name)))
    return reading


def _standard_input() -> str:
    raw = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read() if raw is None else _decoded(raw.read(), PASTED)


def _text(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise _absent(path, error) from None


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(
            what=f"{PurePosixPath(name).name} is not UTF-8 text",
            where=f"{name}, byte {error.start}",
            why="scripts, run files and configs are read as UTF-8",
            fix="save it as UTF-8; if it is a weights file, name the folder instead",
        ) from None


def _absent(path: Path, error: OSError) -> UserError:
    folder = path.parent
    like = nearest(path.name, (one.name for one in folder.iterdir())) if folder.is_dir() else None
    return refuse(
        what=f"{path} cannot be read: {error.strerror}",
        where=COMMAND_LINE,
        why="a run is read from files" if folder.is_dir() else f"there is no folder {folder}",
        fix=f"did you mean {folder / like}?" if like else "give the path of a file that is there",
    )


def _read_folder(folder: Path, name: str) -> Reading:
    if file_in(folder) is not None:
        return Reading([Setting("model.path", name, Origin(name))])
    raise refuse(
        what=f"the folder {name} holds no {NAME}",
        where=COMMAND_LINE,
        why="a folder stands for the model in it",
        fix=f"name the script or the run file in it, or the folder that holds {' or '.join(NAMES)}",
    )


READERS: dict[Kind, tuple[str, str]] = {
    "arguments": ("script", "read_arguments"),
    "deepspeed": ("deepspeed", "read_deepspeed"),
    "accelerate": ("accelerate", "read_accelerate"),
    "pasted": ("pasted", "read_pasted"),
    "log": ("training_log", "read_log"),
    "state": ("trainer_state", "read_state"),
    "adapter": ("peft", "read_adapter"),
    "generation": ("generation_config", "read_generation"),
    "tokenizer": ("tokenizer_config", "read_tokenizer"),
    "factory": ("llama_factory", "read_factory"),
}
"""The module and the function that reads a kind; imported when there is such a file."""

NAMED_BY: dict[Kind, str] = {
    "deepspeed": "launch.deepspeed",
    "accelerate": "accelerate.command.config_file",
}
"""The parameter by which a run names a file of a kind."""


def _read_set(values: Mapping[str, object] | Sequence[str]) -> Reading:
    reading = Reading()
    if not isinstance(values, Mapping):
        for word in (word for word in values if "=" not in word):
            reading.problems.append(_no_equals(word))
        values = dict(word.split("=", 1) for word in values if "=" in word)
    for path, value in cast(Mapping[str, object], values).items():
        origin = Origin(COMMAND_LINE, None, f"--set {path}={value}")
        if isinstance(value, str | Path):
            reading.settings.append(Setting(path, typed(path, str(value)), origin, text=True))
        else:
            reading.settings.append(Setting(path, value, origin))
    return reading


def _no_equals(word: str) -> Problem:
    like = nearest(word, parameters())
    return Problem(
        what=f"--set {word} has no value",
        where=COMMAND_LINE,
        why="a setting is a path, '=' and a value",
        fix=f"write --set {like or word}=...",
    )
