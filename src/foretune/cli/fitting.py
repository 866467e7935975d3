"""``foretune plan --fit``: the settings of a run that fit given GPUs, and the files that start the
chosen ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import refuse
from ..params.run import Run
from ..params.setting import COMMAND_LINE
from .words import Words, one_of, read_run

NEEDS_FIT = ("goal", "keep", "free_batch", "network", "write", "force")
"""Options of `foretune plan` that mean nothing without --fit."""


def refuse_without_fit(words: Words) -> None:
    """Raises UserError where an option of the search stands without it."""
    lost = next((name for name in NEEDS_FIT if name in words.options), None)
    if lost is not None:
        raise refuse(
            what=f"--{lost.replace('_', '-')} without --fit",
            where=COMMAND_LINE,
            why="it is about the search for settings that fit",
            fix="add --fit and the GPUs: --fit --gpus 1x4090",
        )


def fit(words: Words) -> int:
    """Says what fits, and writes it where that is asked for; 1 where nothing fits, 2 where the
    chosen settings may not.
    """
    from ..plan.search.command import FORMATS, fitted
    from ..plan.verdict import EXIT_CODES
    from ..train.fitting import task_of

    form, language = one_of(words, "format", FORMATS), words.language()
    task = task_of(read_run(words), tokens="tokens" in words.options)
    found = fitted(task, words.options)
    print(FORMATS[form](found, language).rstrip("\n"))
    if found.chosen is None:
        return 1
    if "write" in words.options:
        told = write(found.run_of(found.chosen), words)
        print(told, file=sys.stdout if form == "text" else sys.stderr)
    return EXIT_CODES[found.chosen.verdict]


def write(run: Run, words: Words) -> str:
    """Writes the files that start a run; which ones, and how they are started."""
    from ..formats.launch_files import commands, write_launch_files

    folder = Path(words.options["write"]).expanduser()
    files = write_launch_files(run, folder, force="force" in words.options)
    zh = words.language() == "zh"
    first, other = ("启动", "或者") if zh else ("start it", "or")
    lines = [f"{'已写入' if zh else 'written'}: {', '.join(map(str, files))}"]
    for number, command in enumerate(commands(run, folder)):
        lines.append(f"{other if number else first}: {command}")
    return "\n".join(lines)
