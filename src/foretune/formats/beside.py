"""Files of DeepSpeed and accelerate that a script names: found beside it, and read as sources that
count less than its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import Problem, UserError
from ..params.setting import AUTO, Note, Setting
from ..text import Said
from .accelerate import read_accelerate
from .deepspeed import read_deepspeed
from .flags import OWN_FLAG
from .reading import Reading

NAMED = {
    "accelerate.command.config_file": read_accelerate,
    "launch.deepspeed": read_deepspeed,
}
"""Parameter -> the reader of the file that it names; the weaker source first."""


def with_named_files(
    script: Reading, folder: Path, taken: list[Path], text_of: Callable[[Path], str]
) -> Reading:
    """What a script says, on top of what the files say that it names.

    Args:
        folder: the script's; a file is looked for there and in the working folder.
        taken: files that were read before, and are not read twice; those read here are added.
        text_of: reads a file, or raises UserError.
    """
    whole = Reading()
    for path, read in NAMED.items():
        named = [one for one in (*whole.settings, *script.settings) if one.path == path]
        if not named or not isinstance(named[-1].value, str):
            continue
        if named[-1].value == named[-1].origin.file:  # it stands there itself
            continue
        found = _found(named[-1].value, folder)
        if found is None:
            whole.notes.append(_absent(named[-1]))
        elif found.resolve() not in taken:
            taken.append(found.resolve())
            try:
                reading = read(text_of(found), str(found))
                whole.problems += _nobody_fills(named[-1], reading)
                whole.add(reading)
            except UserError as error:
                whole.problems += error.problems
    whole.add(script)
    return whole


def _nobody_fills(setting: Setting, reading: Reading) -> Iterator[Problem]:
    """The "auto" of a file that a program hands to DeepSpeed itself, as its own flag says."""
    if setting.origin.spelling.partition(" ")[0].partition("=")[0] != OWN_FLAG:
        return
    for one in reading.settings:
        if one.value in (AUTO, AUTO.value):
            yield Problem(
                what=f'{one.origin.spelling} is "auto", and nobody fills it in',
                where=str(one.origin),
                why=f"{OWN_FLAG} hands the file to DeepSpeed itself, which knows no auto; only "
                "transformers and accelerate put values in place of one",
                fix="write a value; or, where the program reads TrainingArguments, name the file "
                "by --deepspeed",
            )


def _found(name: str, folder: Path) -> Path | None:
    try:
        places = [folder / Path(name).expanduser(), Path(name).expanduser()]
        return next((place for place in places if place.is_file()), None)
    except (OSError, ValueError, RuntimeError):  # no name of a file: base64, JSON, a lone tilde
        return None


def _absent(setting: Setting) -> Note:
    text = str(setting.value)
    file = text if len(text) <= 80 else f"{text[:77]}..."
    why = Said("what it sets is no part of what is said here", "它所设置的内容这里不知道")
    what = Said(f"{file} is not there", f"{file} 不存在")
    return Note(what, str(setting.origin), why, "absent", file)
