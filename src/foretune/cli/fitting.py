"""``foretune plan --fit``: the settings of a run that fit given GPUs, and the files that start the
chosen ones.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, refuse
from ..params.run import Run
from ..params.setting import COMMAND_LINE, Setting, derived
from ..text import Said
from .words import Words, one_of, read_run

if TYPE_CHECKING:
    from ..plan.search.search import Task


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

    form, language = one_of(words, "format", FORMATS), words.language()
    found = fitted(task_of(read_run(words), words), words.options)
    print(FORMATS[form](found, language).rstrip("\n"))
    if found.chosen is None:
        return 1
    if "write" in words.options:
        told = write(found.run_of(found.chosen), words)
        print(told, file=sys.stdout if form == "text" else sys.stderr)
    return EXIT_CODES[found.chosen.verdict]


def task_of(run: Run, words: Words) -> Task:
    """The run with what is known of its model and its data.

    Raises:
        UserError: where no sizes of a model are known, or it does not train.
    """
    from ..plan.search.search import Task
    from ..train.foresee import foresee

    if not run.launch.train:
        if run.launch.evaluate or run.launch.predict:
            raise _does_not_train(run)
        run = run.add(
            [
                Setting(
                    "launch.train",
                    True,
                    derived(Said("nothing else is asked for", "没有要求做别的")),
                )
            ]
        )
    expected = foresee(run, tokens="tokens" in words.options, needs_data=False)
    if expected.shape is None:
        raise refuse(
            what="there is no model config to plan with",
            where=COMMAND_LINE,
            why="what fits depends on the sizes of the model",
            fix="name a config.json, or --model_name_or_path a folder that has one",
        )
    length, total = expected.length, run.batch.micro * run.batch.accumulation
    total *= expected.facts.devices
    return Task(
        written=run,
        shape=expected.shape,
        facts=expected.facts,
        stored_bits=expected.stored_bits,
        factor=expected.factor or 1.0,
        rows_seen=None if length is None else length.steps * total,
    )


def _does_not_train(run: Run) -> UserError:
    return refuse(
        what="the run does not train",
        where=str(run.origin("launch.evaluate" if run.launch.evaluate else "launch.predict")),
        why="--fit looks for the settings of a training run",
        fix="add --do_train, or plan it without --fit",
    )


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
