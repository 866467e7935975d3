"""The output folder: what may be in it before a run, and which checkpoint a run goes on from."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ..errors import refuse
from ..params.run import Run
from ..text import counted

TRAINER_STATE = "trainer_state.json"
RESUMED = {TRAINER_STATE: (TRAINER_STATE,), "optimizer's state": ("optimizer*", "global_step*")}
"""What resuming needs beside the weights, and the files that it may be in: DeepSpeed's optimizer is
in global_stepN.
"""


def checkpoint_name(step: int) -> str:
    """The folder name of the checkpoint of a step."""
    return f"checkpoint-{step}"


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a folder, by step."""
    if not folder.is_dir():
        return []
    found = [
        (int(step.group(1)), path)
        for path in folder.iterdir()
        if (step := re.fullmatch(r"checkpoint-(\d+)", path.name))
        and (path / TRAINER_STATE).is_file()
    ]
    return [path for _, path in sorted(found)]


def resume_point(run: Run) -> Path | None:
    """The checkpoint to go on from; None for a fresh start.

    Raises:
        UserError: where the run is to go on and there is nothing to go on from, or where a fresh
            start would write among the checkpoints of an earlier run that nobody said may be
            replaced.
    """
    output = Path(run.record.output or ".")
    asked = run.record.resume
    if not run.launch.train:
        return None
    if asked is None or asked.lower() == "false":
        _refuse_other_checkpoints(run, output)
        return None
    folder = _last(output, run) if asked.lower() == "true" else Path(asked)
    lacking = [
        what for what, names in RESUMED.items() if not any(any(folder.glob(n)) for n in names)
    ]
    if lacking:
        raise refuse(
            what=f"{folder} is no checkpoint to go on from",
            where=str(run.origin("record.resume")),
            why=f"there is no {' and no '.join(lacking)} in it (save_only_model leaves some out)",
            fix="name another checkpoint-N folder, or start afresh from its weights with "
            "--ptuning_checkpoint",
        )
    return folder


def refuse_unwritable(run: Run) -> None:
    """Raises UserError where nothing can be written into the output folder. Makes no folder."""
    output = Path(run.record.output or ".").absolute()
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    raise refuse(
        what=f"nothing can be written into {run.record.output}",
        where=str(run.origin("record.output")),
        why=f"{there} is {'not writable for you' if there.is_dir() else 'no folder'}",
        fix="name another --output_dir",
    )


def refuse_finished(run: Run, resume: Path, steps: int) -> None:
    """Raises UserError where the checkpoint that a run goes on from has made all its steps."""
    made = steps_made(resume)
    if made >= steps:
        raise refuse(
            what=f"{resume} has made {counted(made, 'step')}, and the run has {steps:,}",
            where=str(run.origin("record.resume")),
            why="nothing would be trained: the steps of a run count from its beginning",
            fix="raise --num_train_epochs or --max_steps above what is made",
        )


def _last(output: Path, run: Run) -> Path:
    found = checkpoints(output)
    if not found:
        raise refuse(
            what=f"there is no checkpoint in {output}",
            where=str(run.origin("record.resume")),
            why="resuming goes on from the last complete checkpoint of the output folder",
            fix="leave --resume_from_checkpoint out to start afresh",
        )
    return found[-1]


def _refuse_other_checkpoints(run: Run, output: Path) -> None:
    found = checkpoints(output)
    if found and not run.record.overwrite:
        raise refuse(
            what=f"{output} holds {counted(len(found), 'checkpoint')} of an earlier run",
            where=str(run.origin("record.output")),
            why="a fresh run would write among them, and its last could be an old one",
            fix="go on with --resume_from_checkpoint true, allow it with --overwrite_output_dir, "
            "or name another --output_dir",
        )


def steps_made(checkpoint: Path) -> int:
    """The step that a checkpoint was written at.

    Raises:
        UserError: where its record of the trainer's state is damaged.
    """
    file = checkpoint / TRAINER_STATE
    try:
        return int(json.loads(file.read_text("utf-8"))["global_step"])
    except (ValueError, KeyError, TypeError) as failure:
        raise refuse(
            what=f"{TRAINER_STATE} cannot be read",
            where=str(file),
            why=f"the step to go on from stands in it: {failure!r}",
            fix="go on from another checkpoint",
        ) from None
