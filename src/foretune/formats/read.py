"""Reading a run in whatever form it is there: script, run file, config.json, flags, path=value.

What a file is, its content says. Everything that is wrong, in all of them, is raised together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from ..errors import Problem, UserError, refuse
from ..params.arch import family_of
from ..params.run import Run, compose_sound, parameters
from ..params.setting import COMMAND_LINE, Note, Origin, Setting
from ..text import nearest, place, sentence_list
from . import official, programs
from .flags import names, read_flags, read_mapping
from .json_text import key_lines, read_json
from .launchers import Launch, find_launch, lost_lines, read_launch
from .model_config import NAME, NAMES, config_path, file_in, read_model_config
from .reading import Reading, typed
from .run_file import read_run_file
from .shell import Script, Word, read_shell

Kind = Literal["shell", "yaml", "toml", "json", "arguments", "config"]


def read(
    *sources: str | Path,
    flags: Sequence[str] = (),
    set: Mapping[str, object] | Sequence[str] = (),
) -> Run:
    """The run that these files, flags and settings describe; the later counts more.

    Args:
        sources: training scripts, run files (YAML, TOML, JSON), JSON files of arguments, a model's
            config.json or the folder with it; '-' is the standard input.
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
    for source in sources:
        _collect(whole, lambda source=source: _read_source(source))
    if flags:
        _collect(
            whole, lambda: _read_words([Word(word, word) for word in flags], COMMAND_LINE, Path())
        )
    _collect(whole, lambda: _read_set(set))
    return _composed(whole)


def _collect(whole: Reading, read_one: Callable[[], Reading]) -> None:
    try:
        whole.add(read_one())
    except UserError as error:
        whole.problems += error.problems


def _composed(whole: Reading) -> tuple[Run, list[Problem]]:
    """The run: what is implied below what is written, and what its config.json has to say."""
    implied = programs.implied(whole.settings, whole.programs)
    run, misfits = compose_sound([*implied, *whole.settings], whole.notes)
    problems = [*whole.all_problems(), *misfits]
    try:
        config = config_path(run)
        if config is not None:
            _, notes = read_model_config(_text(config), str(config))
            run = run.add((), notes)
    except UserError as error:
        problems += error.problems
    return run, problems


def _read_source(source: str | Path) -> Reading:
    name, path = str(source), Path(source).expanduser()
    if name == "-":
        text, name, folder = sys.stdin.read(), "standard input", Path()
    elif path.is_dir():
        return _read_folder(path, name)
    else:
        text, folder = _text(path), path.parent
    kind = kind_of(text, name)
    if kind == "shell":
        return _read_script(text, name, folder)
    if kind == "config":
        return Reading([Setting("model.config", name, Origin(name))])
    if kind == "arguments":
        return _read_arguments(text, name)
    return read_run_file(text, name, kind)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(
            what=f"{path.name} is not UTF-8 text",
            where=f"{path}, byte {error.start}",
            why="scripts, run files and configs are read as UTF-8",
            fix="save it as UTF-8; if it is a weights file, name the folder instead",
        ) from None
    except OSError as error:
        raise _absent(path, error) from None


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


FIRST_LINE = re.compile(r"^[^\S\n]*[^\s#].*$", re.MULTILINE)
OTHERS = {
    "zero_optimization": "DeepSpeed's file",
    "train_micro_batch_size_per_gpu": "DeepSpeed's file",
    "train_batch_size": "DeepSpeed's file",
    "compute_environment": "accelerate's file",
    "distributed_type": "accelerate's file",
}
"""Keys by which the files of other programs are known, which are not read by themselves."""


def kind_of(text: str, name: str) -> Kind:
    """What a file is, by its content first and its name second.

    Raises:
        UserError: for JSON that is broken, and for files that other programs read beside a run.
    """
    suffix = PurePosixPath(name).suffix.lower()
    found = FIRST_LINE.search(text)
    first = found[0].strip() if found else ""
    if re.match(r'"\w+"\s*:', first):
        return "config"
    if suffix == ".json" or (first.startswith("{") and suffix not in (".yaml", ".yml")):
        return _kind_of_json(text, name)
    for key in OTHERS:
        if line := re.search(rf"^{key}\s*:", text, re.MULTILINE):
            raise _of_another(key, name, text.count("\n", 0, line.start()) + 1)
    if suffix in (".sh", ".bash") or text.startswith("#!"):
        return "shell"
    if suffix == ".toml" or re.match(r"\[[\w.]+\]\s*(#|$)|[\w.]+\s+=\s", first):
        return "toml"
    if suffix in (".yaml", ".yml") or re.match(r"[\w.]+\s*:(\s|$)", first):
        return "yaml"
    return "shell"


def _kind_of_json(text: str, name: str) -> Kind:
    values = read_json(text, name)
    keys: dict[str, object] = cast(dict[str, object], values) if isinstance(values, dict) else {}
    lines = {path[0]: line for path, line in key_lines(text) if len(path) == 1}
    for key in OTHERS:
        if key in keys:
            raise _of_another(key, name, lines[key])
    named = PurePosixPath(name).name in NAMES
    if named or {"model_type", "architectures"} & keys.keys() or family_of(keys) is not None:
        return "config"
    sections = {path.partition(".")[0] for path in parameters()}
    if any(key in sections and isinstance(value, dict) for key, value in keys.items()):
        return "json"
    if names() & keys.keys():
        return "arguments"
    if any(key in parameters() for key in keys):
        return "json"
    raise refuse(
        what=f"what {name} is cannot be told",
        where=name,
        why=f"no key of it is known: {sentence_list(keys, most=4) or 'it has none'}",
        fix="name a run file, a file of arguments, or the config.json of a model",
    )


def _of_another(key: str, name: str, line: int) -> UserError:
    return refuse(
        what=f"{name} is {OTHERS[key]}, and describes no run by itself",
        where=f"{place(name, line)} ({key})",
        why="its program reads it beside a training script",
        fix="name the script, or give it as a flag: --deepspeed FILE",
    )


def _read_script(text: str, name: str, folder: Path) -> Reading:
    script = read_shell(text, name)
    launch = find_launch(script, names())
    reading = read_launch(launch)
    reading.notes = [*script.notes, *reading.notes, *_around(script, launch)]
    reading.problems += lost_lines(script, launch, names())
    program = PurePosixPath(launch.program.text).name
    reading.add(_read_words(launch.words, name, folder, program))
    reading.programs.append(program)
    return reading


def _around(script: Script, launch: Launch) -> Iterator[Note]:
    """What else of a script bears on its run."""
    for command in script.commands:
        where, words = place(script.file, command.line), [word.text for word in command.words]
        if command.line > launch.command.line:
            continue
        if words[0] == "cd":
            what = f"the script changes to the folder {' '.join(words[1:])}"
            yield Note(what, where, "its paths count from there, and are kept as they are written")
        elif words[0] in ("source", "."):
            what = f"{' '.join(words[1:])} is not read"
            yield Note(what, where, "variables that it sets are not known here")
    if PurePosixPath(launch.program.text).name not in programs.PROGRAMS:
        what = f"{launch.program.text} is taken to read its flags as {official.PROGRAM} does"
        where = place(script.file, launch.program.line)
        yield Note(what, where, "what the program does beyond its flags is not known")


def _read_words(words: Sequence[Word], file: str, folder: Path, program: str = "") -> Reading:
    """The words behind a program: flags, or one JSON file that holds them."""
    if len(words) == 1 and words[0].text.endswith(".json") and not words[0].text.startswith("-"):
        named = Path(words[0].text).expanduser()
        beside = folder / named
        found = beside if beside.is_file() and not named.is_file() else named
        return _read_arguments(_text(found), str(found))
    return read_flags(words, file, program)


def _read_arguments(text: str, name: str) -> Reading:
    """A JSON file of the arguments of a program."""
    lines = {path[0]: line for path, line in key_lines(text) if len(path) == 1}
    values: dict[str, object] = read_json(text, name)
    return read_mapping(
        {key: (value, Origin(name, lines[key], key)) for key, value in values.items()}
    )


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
