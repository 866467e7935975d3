"""Words of a command line as transformers' HfArgumentParser reads them, and arguments in JSON.

A boolean may stand alone; ``--no_flag`` turns off one that is on; a list takes all words up to the
next flag; the beginning of a name is enough where only one name begins so. Every parameter is known
under its dotted path too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..errors import Problem, UserError
from ..params.run import compose, parameters
from ..params.setting import Note, Origin, Setting
from ..text import Said, nearest, place, sentence_list
from . import programs, training_arguments
from .argument_text import Kind
from .reading import Reading, alternatives, typed
from .shell import Word


@cache
def names(program: str = "") -> frozenset[str]:
    """Every flag of a program but the dotted paths; of all programs where it is not a known one."""
    return programs.names(program) | {*training_arguments.KEYS, *training_arguments.REMOVED}


def _kind_of(name: str) -> Kind:
    if table := programs.table_of(name):
        return table.kind_of(name)
    if name in names():
        return training_arguments.kind_of(name)
    return "boolean" if bool in alternatives(name) else "scalar"


def _path_of(name: str) -> str | None:
    if name in parameters():
        return name
    return programs.PATHS.get(name) or training_arguments.KEYS.get(name)


@dataclass(frozen=True, slots=True)
class Argument:
    """A flag with the words behind it."""

    name: str
    value: object
    origin: Origin
    words: tuple[Word, ...] = ()


def read_flags(words: Sequence[Word], file: str, program: str = "") -> Reading:
    """The settings that the words behind a program stand for, and everything wrong with them."""
    reading, arguments = Reading(), dict[str, Argument]()
    rest = list(_without_switch(words, program))
    while rest:
        word = rest.pop(0)
        if word.vanished:
            reading.notes += _notes_on((word,), Origin(file, word.line, word.raw))
        elif not _is_flag(word):
            reading.problems.append(_stray(word, file))
        else:
            argument = _take(word, rest, file, reading, program)
            if argument and argument.name in arguments:
                first = arguments.pop(argument.name)
                what = Said(
                    f"--{argument.name} is given twice: the last one counts",
                    f"--{argument.name} 写了两次：以最后一个为准",
                )
                why = Said(f"first: {first.origin}", f"第一个：{first.origin}")
                note = Note(what, str(argument.origin), why, "twice", argument.name)
                reading.notes.append(note)
            if argument:
                arguments[argument.name] = argument
    reading.add(read_arguments(_known_values(arguments.values(), reading), text=True))
    return reading


OWN_FLAG = "--deepspeed_config"
"""With it a program that is not transformers' hands a file to DeepSpeed itself; --deepspeed beside
it takes no value.
"""


def _without_switch(words: Sequence[Word], program: str) -> Iterator[Word]:
    """The words without DeepSpeed's own switch."""
    texts = [word.text for word in words]
    own = program not in programs.PROGRAMS and any(text.startswith(OWN_FLAG) for text in texts)
    for word, after in zip(words, [*texts[1:], "--"], strict=False):
        if not (own and word.text == "--deepspeed" and after.startswith("--")):
            yield word


def read_arguments(arguments: Iterable[Argument], *, text: bool) -> Reading:
    """The settings behind named values; a program's own count more than transformers'."""
    reading = Reading()
    others: list[Argument] = []
    theirs: list[tuple[str, object, Origin]] = []
    for argument in arguments:
        if programs.table_of(argument.name) or argument.name in parameters():
            others.append(argument)
        else:
            theirs.append((argument.name, argument.value, argument.origin))
    reading.settings, reading.notes = training_arguments.read_all(theirs, text)
    for name, value, origin in ((one.name, one.value, one.origin) for one in others):
        if name in parameters():
            value = typed(name, value) if isinstance(value, str) else value
            reading.settings.append(Setting(name, value, origin, text))
        elif table := programs.table_of(name):
            reading.settings += table.read(name, value, origin, text)
            found = table.note(name, origin)
            reading.notes += [found] if found else []
    return reading


def _is_flag(word: Word) -> bool:
    """argparse's rule: a word that begins with '-', unless it is a number or has a blank in it."""
    text = word.text
    number = re.fullmatch(r"-(\d+|\d*\.\d+)(e[-+]?\d+)?", text)
    return text.startswith("-") and len(text) > 1 and not number and " " not in text.split("=")[0]


def _take(
    word: Word, rest: list[Word], file: str, reading: Reading, program: str
) -> Argument | None:
    """The argument that begins with ``word``; its values are taken off ``rest``."""
    written, given, inline = word.text.partition("=")
    following = _following(rest)
    name, turned_off = _find(written, program)
    if name is None:
        reading.problems.append(_unknown(written, word, file, program))
        del rest[: len(following)]
        return None
    kind = "boolean" if turned_off else _kind_of(name)
    taken = [] if given or turned_off else following[: None if kind == "list" else 1]
    del rest[: len(taken)]
    spelling = " ".join(one.raw or one.text for one in (word, *taken))
    origin = Origin(file, word.line, spelling)
    own = (written[2:], written[2:].replace("-", "_"), *(["deepspeed"] * (written == OWN_FLAG)))
    if name not in own and not turned_off:
        what = Said(f"{written} read as --{name}", f"{written} 读作 --{name}")
        why = Said("no other flag begins so", "没有别的参数以此开头")
        reading.notes.append(Note(what, str(origin), why))
    if given:
        taken = [Word(inline, word.raw, word.line, word.running, word.unset)]
    left = [value for value in taken if not value.vanished]
    if not left and kind != "boolean":
        reading.doubts.append((_path_of(name) or name, _no_value(name, origin, taken)))
        return None
    reading.notes += _notes_on((value for value in taken if value.vanished), origin)
    texts = [value.text for value in left]
    value = False if turned_off else texts if kind == "list" else texts[0] if texts else True
    return Argument(name, value, origin, tuple(left))


def _following(rest: Sequence[Word]) -> list[Word]:
    """The words up to the next flag."""
    end = next((index for index, word in enumerate(rest) if _is_flag(word)), len(rest))
    return list(rest[:end])


def _find(written: str, program: str) -> tuple[str | None, bool]:
    """The name behind a flag as it is written, and whether the flag turns it off."""
    dotted = written.removeprefix("--")
    name = dotted.replace("-", "_")
    if dotted == written:
        return None, False
    if dotted in parameters():
        return dotted, False
    if written == OWN_FLAG and program not in programs.PROGRAMS:
        return "deepspeed", False
    if name in names(program):
        return name, False
    off = training_arguments.negated(name) or programs.negated(name, program)
    if off:
        return off, True
    longer = [one for one in names(program) if one.startswith(name)]
    return (longer[0], False) if len(longer) == 1 else (None, False)


def _known_values(arguments: Iterable[Argument], reading: Reading) -> Iterator[Argument]:
    """The arguments whose values stand in the script, and those whose text will do as it is."""
    for argument in arguments:
        unknown = [word for word in argument.words if word.running or word.unset]
        if any(not word.text for word in unknown) or (unknown and not _fits(argument)):
            problem = _no_value(argument.name, argument.origin, unknown)
            reading.doubts.append((_path_of(argument.name) or argument.name, problem))
        else:
            reading.notes += _notes_on(unknown, argument.origin)
            yield argument


def _fits(argument: Argument) -> bool:
    try:
        compose(read_arguments([argument], text=True).settings)
    except UserError:
        return False
    return True


def _notes_on(words: Iterable[Word], origin: Origin) -> Iterator[Note]:
    for word in words:
        if word.running:
            kept = sentence_list(word.running)
            what = Said(f"{kept} is kept as it is written", f"{kept} 按原样保留")
            why = Said("only a running shell knows what it becomes", "运行时的 shell 才知道它的值")
            yield Note(what, str(origin), why)
        if word.unset:
            names = f"${', $'.join(word.unset)}"
            what = Said(f"{names} is nothing", f"{names} 为空")
            why = Said("the script sets it nowhere before this line", "脚本在此行之前没有给它赋值")
            yield Note(what, str(origin), why)


def _no_value(name: str, origin: Origin, words: Iterable[Word]) -> Problem:
    running = [one for word in words for one in word.running]
    unset = [one for word in words for one in word.unset]
    path = _path_of(name)
    fix = f"write --{name} VALUE"
    if running:
        why = f"{sentence_list(running)} is known only when the script runs"
    elif unset:
        why = f"${', $'.join(unset)} is set nowhere in the script before this line"
        fix = f"write {unset[0]}=... on a line of its own above"
    else:
        why = "the next word is a flag, or there is none"
    return Problem(
        what=f"--{name} has no value",
        where=str(origin),
        why=why,
        fix=f"{fix}, or give it: --set {path}=..." if path else fix,
    )


def _unknown(written: str, word: Word, file: str, program: str = "") -> Problem:
    name = written.lstrip("-").replace("-", "_")
    several = sorted(one for one in names(program) if len(name) > 2 and one.startswith(name))
    like = nearest(name, names(program), at_least=0.75)
    if others := programs.programs_with(name):
        return _of_another(written, Origin(file, word.line), program, others)
    like = like or nearest(written.lstrip("-"), parameters(), at_least=0.75)
    if len(several) > 1 and name not in several:
        fix = f"write one of {sentence_list(f'--{one}' for one in several)}"
    else:
        fix = f"write --{like}" if like else "leave it out; `foretune explain` lists what is known"
    return Problem(
        what=f"there is no flag {written}",
        where=place(file, word.line),
        why="a flag that nothing reads would change nothing without saying so",
        fix=fix,
    )


def _of_another(written: str, origin: Origin, program: str, others: list[str]) -> Problem:
    """A flag of one known program that is given to another."""
    path = _path_of(written.lstrip("-").replace("-", "_")) or ""
    own = [one for one in names(program) if _path_of(one) == path]
    return Problem(
        what=f"{program} has no flag {written}",
        where=str(origin),
        why=f"it is one of {sentence_list(others)}; {program} would refuse it",
        fix=f"write --{own[0]}"
        if own
        else "leave it out" + (f", or --set {path}=..." if path else ""),
    )


def _stray(word: Word, file: str) -> Problem:
    return Problem(
        what=f"{word.raw or word.text!r} belongs to no flag",
        where=place(file, word.line),
        why="the word before it takes no value, or has one already",
        fix="put it in quotes with the words it belongs to, or leave it out",
    )


def read_mapping(values: Mapping[str, tuple[object, Origin]]) -> Reading:
    """A JSON file of arguments: typed values by name."""
    reading = Reading()
    known: list[Argument] = []
    for name, (value, origin) in values.items():
        if name in names() or name in parameters():
            known.append(Argument(name, value, origin))
        else:
            word = Word(f"--{name}", line=origin.line)
            reading.problems.append(_unknown(f"--{name}", word, origin.file))
    reading.add(read_arguments(known, text=False))
    return reading
