"""A run as the task of a search for settings that fit: what is known of its model and its data.

Needs no weights, and no torch unless tokens are asked for.
"""

from __future__ import annotations

from ..errors import UserError, refuse
from ..params.run import Run
from ..params.setting import COMMAND_LINE, Setting, derived
from ..plan.calibration import known_runs
from ..plan.search.search import Task
from ..text import Said
from .foresee import foresee


def task_of(run: Run, *, tokens: bool = False) -> Task:
    """The task of a written run; one that asks for nothing is taken to train.

    Args:
        tokens: encode the data with the model's tokenizer, so that lengths are measured.

    Raises:
        UserError: where no sizes of a model are known, or it trains on no GPU.
    """
    if not run.launch.train:
        if run.launch.evaluate or run.launch.predict:
            raise _does_not_train(run)
        taken = derived(Said("nothing else is asked for", "没有要求做别的"))
        run = run.add([Setting("launch.train", True, taken)])
    if run.launch.use_cpu:
        raise refuse(
            what="the run is for a processor",
            where=str(run.origin("launch.use_cpu")),
            why="--fit looks for settings that fit the memory of GPUs",
            fix="leave use_cpu out, or plan it without --fit",
        )
    expected = foresee(run, tokens=tokens, needs_data=False)
    if expected.shape is None:
        raise refuse(
            what="there is no model config to plan with",
            where=COMMAND_LINE,
            why="what fits depends on the sizes of the model",
            fix="name a config.json, or --model_name_or_path a folder that has one",
        )
    length = expected.length
    total = run.batch.micro * run.batch.accumulation * expected.facts.devices
    return Task(
        written=run,
        shape=expected.shape,
        facts=expected.facts,
        stored_bits=expected.stored_bits,
        family=expected.family,
        known=tuple(known_runs()),
        rows_seen=None if length is None else length.steps * total,
    )


def _does_not_train(run: Run) -> UserError:
    return refuse(
        what="the run does not train",
        where=str(run.origin("launch.evaluate" if run.launch.evaluate else "launch.predict")),
        why="--fit looks for the settings of a training run",
        fix="add --do_train, or plan it without --fit",
    )
