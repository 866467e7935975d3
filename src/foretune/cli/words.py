"""The words of a command line, sorted into files, flags of the run and options of the verb."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import refuse
from ..params.setting import COMMAND_LINE
from ..text import nearest

if TYPE_CHECKING:
    from ..params.run import Run


@dataclass(slots=True)
class Words:
    """The words of a command line, sorted."""

    line: tuple[str, ...] = ()
    """All of them, with the verb, as they were written."""
    files: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    set: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def language(self) -> str:
        """'zh' or 'en': what is asked for, or what the environment says. A locale that is named
        there and not installed, as in most containers, names a language all the same.
        """
        named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
        asked = self.options.get("lang") or next(filter(None, named), None)
        if asked is None:
            import locale

            asked = locale.getlocale()[0] or ""
        return "zh" if asked.lower().startswith(("zh", "chinese")) else "en"


OPTIONS = {
    "explain": {"lang": True, "format": True, "all": False},
    "check": {
        **dict.fromkeys(("lang", "format", "device", "gpus"), True),
        **dict.fromkeys(("tokens", "fix"), False),
    },
    "diff": {"lang": True, "format": True},
    "plan": {
        **dict.fromkeys(("lang", "format", "device", "gpus", "price"), True),
        **dict.fromkeys(("transformers", "trainable", "sample"), True),
        **dict.fromkeys(("goal", "keep", "network", "write"), True),
        **dict.fromkeys(("tokens", "trace", "fit", "free_batch", "force"), False),
    },
    "train": {},
    "evaluate": {},
    "calibrate": {
        **dict.fromkeys(("lang", "report", "steps", "device", "gpus"), True),
        **dict.fromkeys(("seconds", "tokens_per_second", "peak_gib"), True),
        "list": False,
    },
    "convert": {"to": True, "lang": True},
    "export": {"layout": True, "checkpoint": True, "dtype": True, "max_shard_size": True},
    "completion": {},
}
"""The options of each verb that are no parameters of a run, and whether they take a value."""


def sort_words(verb: str, words: Sequence[str]) -> Words:
    """Files come before flags; ``--set`` takes every word with a '=' that follows; the verb's own
    options apart.
    """
    sorted_words, rest = Words((verb, *words)), list(words)
    options = OPTIONS[verb]
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if word == "--set":
            while rest and "=" in rest[0] and not rest[0].startswith("--"):
                sorted_words.set.append(rest.pop(0))
        elif word.startswith("--") and name in options:
            if options[name] and not given:
                if not rest:
                    raise refuse(
                        what=f"{word} has no value",
                        where="command line",
                        why="it is the last word, and it takes one",
                        fix=f"write {word} VALUE",
                    )
                value = rest.pop(0)
            sorted_words.options[name] = value
        elif not sorted_words.flags and (word == "-" or not word.startswith("-")):
            sorted_words.files.append(word)
        else:
            sorted_words.flags.append(word)
    return sorted_words


def refuse_nothing(words: Words, verb: str) -> None:
    """Raises UserError where no file, flag or setting follows the verb."""
    if not (words.files or words.flags or words.set):
        raise refuse(
            what=f"`foretune {verb}` is given nothing",
            where="command line",
            why="a run is read from files, flags or settings",
            fix=f"name one, for example: foretune {verb} train.sh",
        )


def one_of(words: Words, option: str, known: Iterable[str]) -> str:
    """The value of an option that names one of several; the first where it is not written."""
    names = list(known)
    asked = words.options.get(option, names[0])
    if asked not in names:
        raise refuse(
            what=f"--{option} {asked} is not known",
            where=COMMAND_LINE,
            why=f"it is one of {', '.join(names)}",
            fix=f"write --{option} {nearest(asked, names) or names[0]}",
        )
    return asked


def whole_number(words: Words, option: str) -> int | None:
    """The value of an option that is a number of things; None where it is not written."""
    asked = words.options.get(option)
    if asked is not None and not (asked.isdecimal() and int(asked)):
        raise refuse(
            what=f"--{option} {asked} is no number",
            where=COMMAND_LINE,
            why="it takes a whole number, at least 1",
            fix=f"write --{option} 1",
        )
    return None if asked is None else int(asked)


def positive(words: Words, option: str) -> float | None:
    """The value of an option that is an amount; None where it is not written."""
    asked = words.options.get(option)
    if asked is None:
        return None
    try:
        value = float(asked)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise refuse(
            what=f"--{option} {asked} is no amount",
            where=COMMAND_LINE,
            why="it takes a number above 0",
            fix=f"write --{option} 1.5",
        )
    return value


def read_run(words: Words) -> Run:
    """The run that files, flags and --set describe, the later the stronger."""
    from ..formats.read import read

    return read(*words.files, flags=words.flags, set=words.set)
