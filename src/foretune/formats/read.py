"""Reading a run in whatever form it is there: script, run file, config.json, flags, path=value.

What a file is, its content says. Everything that is wrong, in all of them, is raised together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import cast

from ..errors import Problem, UserError, refuse
from ..params.run import Run, compose_sound, parameters
from ..params.setting import COMMAND_LINE, Note, Origin, Setting
from ..text import Said, nearest, place
from . import official, programs
from .accelerate import read_accelerate
from .beside import with_named_files
from .deepspeed import read_deepspeed
from .flags import names, read_flags, read_mapping
from .json_text import key_lines, mended, read_json
from .kinds import Kind, is_bare_json, kind_of, refuse_huge, taken_for
from .launchers import Launch, find_launch, lost_lines, read_launch
from .model_config import NAME, NAMES, config_path, file_in, read_any_model, read_model_config
from .reading import Reading, typed
from .run_file import read_run_file
from .shell import Script, Word, read_shell
from .yaml_text import read_yaml

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
        refuse_huge(text, name, script=True)
        script = _read_script(whole, name, folder)
        reading.add(with_named_files(script, folder, taken, _text))
    elif path.resolve() not in taken:
        taken.append(path.resolve())
        found = _read_kind(kind, whole, name)
        names_files = kind in ("arguments", "factory")
        reading.add(with_named_files(found, folder, taken, _text) if names_files else found)
    return reading


def _read_kind(kind: Kind, text: str, name: str) -> Reading:
    if kind == "config":
        document, notes = read_any_model(text, name)
        return Reading(notes=list(notes), documents=[document])
    if kind in ("yaml", "toml", "json"):
        return read_run_file(text, name, kind)
    if kind in SELDOM:
        module, function = SELDOM[kind]
        return getattr(import_module(f"{__package__}.{module}"), function)(text, name)
    return READERS[kind](text, name)


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


def _read_script(text: str, name: str, folder: Path) -> Reading:
    script = read_shell(text, name)
    launch = find_launch(script, names())
    reading = read_launch(launch, folder)
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
            folder = " ".join(words[1:])
            what = Said(f"the script changes to the folder {folder}", f"脚本切换到文件夹 {folder}")
            why = Said(
                "its paths count from there, and are kept as they are written",
                "其中的路径从那里算起，这里按原样保留",
            )
            yield Note(what, where, why)
        elif words[0] in ("source", "."):
            file = " ".join(words[1:])
            why = Said("variables that it sets are not known here", "它所设置的变量这里不知道")
            yield Note(Said(f"{file} is not read", f"没有读取 {file}"), where, why)
    program = launch.program.text
    if PurePosixPath(program).name not in programs.PROGRAMS:
        what = Said(
            f"{program} is taken to read its flags as {official.PROGRAM} does",
            f"假定 {program} 像 {official.PROGRAM} 那样读取参数",
        )
        where = place(script.file, launch.program.line)
        why = Said(
            "what the program does beyond its flags is not known",
            "除参数之外该程序还做什么，这里不知道",
        )
        yield Note(what, where, why)


def _read_words(words: Sequence[Word], file: str, folder: Path, program: str = "") -> Reading:
    """The words behind a program: flags, or one JSON file that holds them."""
    if len(words) == 1 and words[0].text.endswith(".json") and not words[0].text.startswith("-"):
        named = Path(words[0].text).expanduser()
        beside = folder / named
        found = beside if beside.is_file() and not named.is_file() else named
        return _read_arguments(_text(found), str(found))
    return read_flags(words, file, program)


def _read_arguments(text: str, name: str) -> Reading:
    """A file of the arguments of a program, in JSON or YAML."""
    if text.lstrip().startswith("{"):
        values, keys = read_json(text, name), list(key_lines(text))
    else:
        values, keys = read_yaml(text, name)
    lines = {path[0]: line for path, line in keys if len(path) == 1}
    return read_mapping(
        {
            str(key): (value, Origin(name, lines.get(str(key)), str(key)))
            for key, value in cast(dict[object, object], values).items()
        }
    )


def _read_deepspeed(text: str, name: str) -> Reading:
    reading = read_deepspeed(text, name)
    if name != PASTED:
        reading.implied.append(Setting("launch.deepspeed", name, Origin(name)))
    return reading


def _read_accelerate(text: str, name: str) -> Reading:
    reading = read_accelerate(text, name)
    reading.implied.append(Setting("launch.launcher", "accelerate", Origin(name)))
    if name != PASTED:
        reading.implied.append(Setting("accelerate.command.config_file", name, Origin(name)))
    return reading


READERS: dict[str, Callable[[str, str], Reading]] = {
    "arguments": _read_arguments,
    "deepspeed": _read_deepspeed,
    "accelerate": _read_accelerate,
}
"""Who reads the kinds that need no more than their text and their name."""

SELDOM = {
    "pasted": ("pasted", "read_pasted"),
    "log": ("training_log", "read_log"),
    "state": ("trainer_state", "read_state"),
    "adapter": ("peft", "read_adapter"),
    "generation": ("generation_config", "read_generation"),
    "tokenizer": ("tokenizer_config", "read_tokenizer"),
    "factory": ("llama_factory", "read_factory"),
}
"""The module and the function that reads a kind; imported when there is such a file."""


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
