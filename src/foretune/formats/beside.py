"""Files of DeepSpeed and accelerate that a script names: found beside it, and read as sources that
count less than its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..params.setting import Note, Setting
from ..text import Said
from .accelerate import read_accelerate
from .deepspeed import read_deepspeed
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
        found = _found(named[-1].value, folder)
        if found is None:
            whole.notes.append(_absent(named[-1]))
        elif found.resolve() not in taken:
            taken.append(found.resolve())
            try:
                whole.add(read(text_of(found), str(found)))
            except UserError as error:
                whole.problems += error.problems
    whole.add(script)
    return whole


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
    return Note(Said(f"{file} is not there", f"{file} 不存在"), str(setting.origin), why)
