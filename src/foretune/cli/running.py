"""The verbs that run something: train, evaluate, export."""

from __future__ import annotations

from ..errors import refuse
from ..params.run import Run
from ..text import counted, nearest
from .words import OPTIONS, Words, read_run


def train(words: Words) -> int:
    run = read_run(words)
    if not (run.launch.train or run.launch.evaluate or run.launch.predict):
        run = run.set({"launch.train": True})
    return run_whole(run, words)


def evaluate(words: Words) -> int:
    run = read_run(words)
    asked: dict[str, object] = {"launch.train": False, "generate.enabled": True}
    if not (run.launch.evaluate or run.launch.predict):
        asked["launch.predict" if run.data.test else "launch.evaluate"] = True
    return run_whole(run.set(asked), words)


def run_whole(run: Run, words: Words) -> int:
    """Runs it here, or in as many processes as its launcher would start."""
    from ..train.foresee import foresee
    from ..train.launch import needs_processes, relaunch, set_environment

    set_environment(run)
    if needs_processes(run):
        foresee(run)  # what is wrong with the files is told once, and not by every process
        return relaunch(run, words.line)
    from ..train.conduct import execute

    return 0 if execute(run).ended == "finished" else 130


def export(words: Words) -> int:
    if len(words.files) != 2 or words.flags or words.set:
        given = " ".join([*words.files, *words.flags, *words.set])
        known = [f"--{name}" for name in OPTIONS["export"]]
        like = next((nearest(flag, known) for flag in words.flags), None)
        raise refuse(
            what=f"`foretune export` is given {given or 'nothing'}",
            where="command line",
            why="it takes a model and the folder to write, and options of its own",
            fix=f"did you mean {like}?"
            if like
            else "for example: foretune export output/checkpoint-3000 merged --layout hf",
        )
    from ..export.write import export as write

    done = write(*words.files, **words.options)
    print(f"{done.folder}: {counted(len(done.files), 'file')}")
    for note in done.notes:
        print(f"note: {note}")
    return 0
