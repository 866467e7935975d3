"""A training script, and the arguments of the program that it starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

from ..params.setting import Note, Origin, Setting
from ..text import Said, place
from . import official, programs
from .flags import names, read_flags, read_mapping
from .json_text import key_lines, read_json
from .launchers import Launch, find_launch, lost_lines, read_launch
from .reading import Reading
from .shell import Script, Word, read_shell
from .yaml_text import read_yaml

TextOf = Callable[[Path], str]
"""What reads a file."""


def command_line(flags: Sequence[str], file: str, text_of: TextOf) -> Reading:
    """What flags say that were given by themselves."""
    return read_words([Word(word, word) for word in flags], file, Path(), text_of)


def read_script(text: str, name: str, folder: Path, text_of: TextOf) -> Reading:
    """What a script that starts a run says of it.

    Args:
        folder: the script's, where files that it names are looked for.
        text_of: reads such a file, or raises UserError.
    """
    script = read_shell(text, name)
    launch = find_launch(script, names())
    reading = read_launch(launch, folder)
    reading.notes = [*script.notes, *reading.notes, *_around(script, launch)]
    reading.problems += lost_lines(script, launch, names())
    program = PurePosixPath(launch.program.text).name
    reading.add(read_words(launch.words, name, folder, text_of, program))
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


def read_words(
    words: Sequence[Word], file: str, folder: Path, text_of: TextOf, program: str = ""
) -> Reading:
    """The words behind a program: flags, or one JSON file that holds them."""
    if len(words) == 1 and words[0].text.endswith(".json") and not words[0].text.startswith("-"):
        named = Path(words[0].text).expanduser()
        beside = folder / named
        found = beside if beside.is_file() and not named.is_file() else named
        return read_arguments(text_of(found), str(found))
    return read_flags(words, file, program)


def read_arguments(text: str, name: str) -> Reading:
    """A file of the arguments of a program, in JSON or YAML."""
    if text.lstrip().startswith("{"):
        values, keys = read_json(text, name), list(key_lines(text))
    else:
        values, keys = read_yaml(text, name)
    lines = {path[0]: line for path, line in keys if len(path) == 1}
    named = {str(key): value for key, value in cast(dict[object, object], values).items()}
    inline = named.pop("deepspeed") if isinstance(named.get("deepspeed"), dict) else None
    reading = read_mapping(
        {key: (value, Origin(name, lines.get(key), key)) for key, value in named.items()}
    )
    if inline is not None:
        inside = {path[1:]: line for path, line in keys if path[0] == "deepspeed"}
        reading.add(_inline(inline, name, inside))
    return reading


def _inline(values: object, name: str, lines: Mapping[tuple[str, ...], int]) -> Reading:
    """DeepSpeed's settings that stand among the arguments, where transformers takes them too."""
    from .deepspeed import read_deepspeed

    read = read_deepspeed(json.dumps(values), name)
    origin = Origin(name, lines.get(()), "deepspeed")
    settings = [
        replace(
            one, origin=replace(one.origin, line=lines.get(tuple(one.origin.spelling.split("."))))
        )
        for one in read.settings
    ]
    what = Said("DeepSpeed's settings stand in this file", "DeepSpeed 的设置直接写在本文件里")
    why = Said(
        "they are explained and checked as its own file would be; to train with them here, write "
        "them into one (`foretune convert ... --to ds_config.json`)",
        "按它自己的配置文件解释和检查；要用它们训练，请写成单独的文件（`foretune convert ... --to "
        "ds_config.json`）",
    )
    return Reading(
        settings=[Setting("launch.deepspeed", name, origin), *settings],
        notes=[Note(what, str(origin), why), *read.notes],
        problems=[replace(one, where=str(origin)) for one in read.problems],
    )
