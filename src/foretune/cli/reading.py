"""The verbs that read files and say something of them: explain, check, diff, convert,
completion.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import Problem, UserError, refuse
from ..facts import Facts
from ..params.run import Run
from ..params.setting import COMMAND_LINE
from .words import OPTIONS, Words, one_of, read_run, refuse_nothing, whole_number

if TYPE_CHECKING:
    from ..check.finding import Finding


def explain(words: Words) -> int:
    from ..explain.command import explain as explained
    from ..explain.listing import parameter_list

    language, form = words.language(), words.options.get("format", "text")
    if not (words.files or words.flags or words.set) and form == "text":
        print("\n".join(parameter_list(language=language)))
        return 0
    bare = all(flag.startswith("--") and "=" not in flag for flag in words.flags)
    if bare and not (words.files or words.set):  # they name parameters and set none
        words.files, words.flags = words.flags, []
    names = [word for word in words.files if is_parameter(word)]
    words.files = [word for word in words.files if word not in names]
    run = read_run(words) if words.files or words.flags or words.set else None
    text = explained(
        run,
        names,
        language=language,
        format=form,
        everything="all" in words.options,
        facts=None if run is None else counted_rows(run),
        title=" ".join(("foretune explain", *words.files, *names)),
    )
    print(text)
    return 0


FILES = {".sh", ".json", ".yaml", ".yml", ".toml", ".txt", ".py", ".log"}


def is_parameter(word: str) -> bool:
    """Whether a word of `foretune explain` names a parameter, and not a file."""
    from pathlib import Path

    path = Path(word)
    return word != "-" and "/" not in word and path.suffix not in FILES and not path.exists()


QUICKLY_COUNTED = 4_000_000
"""Bytes of a data file whose rows `foretune explain` counts; `foretune plan` counts any."""


def counted_rows(run: Run) -> Facts | None:
    """What is known of a run's rows without a tokenizer; None where they are not here, or so many
    that counting them would keep a reader waiting.
    """
    from pathlib import Path

    file = Path(run.data.train or "")
    if not (run.launch.train and file.is_file() and file.stat().st_size <= QUICKLY_COUNTED):
        return None
    from ..train.foresee import foresee

    try:
        return foresee(run).facts
    except UserError:  # what is wrong with the rows is what `foretune check` says
        return None


def diff(words: Words) -> int:
    from ..diff.command import diff as compared
    from ..diff.command import laid_out

    named = [*words.files, *words.flags]
    place = named.index("--") if "--" in named else len(named) // 2
    sides = named[:place], named[place + ("--" in named) :]
    if not all(sides) or (len(named) != 2 and "--" not in named):
        raise refuse(
            what=f"`foretune diff` is given {len(named)} files",
            where="command line",
            why="it holds two files, or two runs of several files each, beside each other",
            fix="write foretune diff A B, or foretune diff A1 A2 -- B1 B2",
        )
    one, other = (read_run(Words(files=files)) for files in sides)
    found = compared(one, other, (" ".join(sides[0]), " ".join(sides[1])))
    form = words.options.get("format", "text")
    print(laid_out(found, language=words.language(), format=form))
    return 0 if found.equal else 1


def check(words: Words) -> int:
    """Says what is wrong; 1 where something keeps the run from doing what it is asked."""
    from ..check.output import FORMATS
    from ..formats.read import read_sound
    from ..train.examine import examine

    refuse_nothing(words, "check")
    form, language = one_of(words, "format", FORMATS), words.language()
    device, gpus = words.options.get("device"), whole_number(words, "gpus")

    def reread() -> tuple[Run, list[Problem]]:
        return read_sound(*words.files, flags=words.flags, set=words.set)

    def findings() -> list[Finding]:
        run, problems = reread()
        wrong = [problem for problem in problems if problem.where.startswith(COMMAND_LINE)]
        if wrong or not (run.settings or run.documents):
            raise UserError(wrong or problems)
        tokens = "tokens" in words.options
        return examine(run, problems, device=device, gpus=gpus, tokens=tokens)

    found = findings()
    if "fix" in words.options:
        from ..check.fix import mended_text

        told = mended_text(found, reread, language)
        print(told, file=sys.stdout if form == "text" else sys.stderr)
        found = findings()
    print(FORMATS[form](found, language))
    return int(any(finding.severity == "error" for finding in found))


def convert(words: Words) -> int:
    """Prints a run in another form; what that form cannot say goes to the other output."""
    from pathlib import Path

    from ..formats.writing import said, write

    refuse_nothing(words, "convert")
    run, name = read_run(words), words.options.get("to", "run.yaml")
    folders = [Path(file).parent for file in words.files if file != "-"]
    written = write(run, name, folders[0] if folders else Path())
    print(written.text, end="")
    for line in said(run, written, name, words.language()):
        print(line, file=sys.stderr)
    return 0


def completion(words: Words) -> int:
    from ..explain.completion import completion as script

    print(script(" ".join(words.files) or "bash", OPTIONS), end="")
    return 0
