"""The output folder: what may be in it before a run, and which checkpoint a run goes on from."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import refuse
from ..params.run import Run
from ..text import counted

TRAINER_STATE = "trainer_state.json"


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
        start would write among
            the checkpoints of an earlier run that nobody said may be replaced.
    """
    output = Path(run.record.output or ".")
    asked = run.record.resume
    if asked is None or str(asked).lower() == "false":
        _refuse_other_checkpoints(run, output)
        return None
    if str(asked).lower() == "true":
        return _last(output, run)
    folder = Path(asked)
    if not (folder / TRAINER_STATE).is_file():
        raise refuse(
            what=f"{asked} is no checkpoint to go on from",
            where=str(run.origin("record.resume")),
            why=f"there is no {TRAINER_STATE} in it",
            fix="name one of "
            + (", ".join(map(str, checkpoints(output))) or "the checkpoint-N folders"),
        )
    return folder


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
    if found and run.launch.train and not run.record.overwrite:
        raise refuse(
            what=f"{output} holds {counted(len(found), 'checkpoint')} of an earlier run",
            where=str(run.origin("record.output")),
            why="a fresh run would write among them, and its last could be an old one",
            fix="go on with --resume_from_checkpoint true, allow it with --overwrite_output_dir, "
            "or name another --output_dir",
        )


def steps_made(checkpoint: Path) -> int:
    """The step that a checkpoint was written at."""
    return int(json.loads((checkpoint / TRAINER_STATE).read_text("utf-8"))["global_step"])
