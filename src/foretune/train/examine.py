"""What `foretune check` says of a run: what can be known of it is gathered here, and handed to the
rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..check.check import check, worst_first
from ..check.finding import Finding
from ..check.output import of_problem
from ..check.rule import Subject
from ..data.read import Split, count_rows
from ..errors import Problem, UserError
from ..facts import Checkpoint, DataFacts, Facts
from ..formats.model_config import model_file
from ..params.resolve import impossible, resolve
from ..params.run import Run
from ..params.setting import Setting, derived
from ..plan.devices import device_named
from ..plan.of_run import ONE_PER_GPU
from ..plan.version import installed
from ..text import Said
from .foresee import devices, measured
from .output import RESUMED, TRAINER_STATE, checkpoints

T = TypeVar("T")

NOTHING_ELSE = Said("nothing else is asked for", "没有要求做别的")


def examine(
    run: Run,
    problems: Iterable[Problem] = (),
    *,
    device: str | None = None,
    gpus: int | None = None,
    tokens: bool = False,
) -> list[Finding]:
    """Everything that is wrong with a written run, the worst first.

    Args:
        run: as written, or what is sound of it.
        problems: what was wrong with the rest of it.
        device: the GPU that it is meant for, by name ("RTX 4090").
        gpus: how many of them; as many as the run has processes where it is not given.
        tokens: encode the data with the model's tokenizer, and look at its tokens too.

    Raises:
        UserError: where no GPU of that name is known.
    """
    gpu = None if device is None else device_named(device)
    found = list(dict.fromkeys(problems))

    def told(make: Callable[[], T]) -> T | None:
        """What can be made; what is wrong with it is one more finding."""
        try:
            return make()
        except UserError as error:
            found.extend(problem for problem in error.problems if problem not in found)
            return None

    model = told(lambda: model_file(run))
    shape = None if model is None else model.shape
    run = resolve(
        _as_started(_taken_to_train(run), gpus),
        shape,
        device="cpu" if run.launch.use_cpu else "cuda",
        complete=False,
    )
    found += [problem for problem in impossible(run, shape) if problem not in found]
    facts = told(lambda: measured(run, installed("transformers"))) if tokens else None
    facts = facts or _counted(run, told)
    subject = Subject(
        run=run,
        model=model,
        facts=_with_checkpoints(facts, run),
        device=gpu,
        gpus=gpus or run.launch.all_processes,
    )
    if told(lambda: subject.forecast) is None:  # no batch comes together
        subject = replace(subject, facts=replace(subject.facts, train=None))
    return sorted([*map(of_problem, found), *check(subject)], key=worst_first)


def _taken_to_train(run: Run) -> Run:
    """A run that asks for nothing is taken to train, where it is more than a model."""
    asked = run.launch.train or run.launch.evaluate or run.launch.predict
    if asked or all(setting.path.startswith("model.") for setting in run.settings):
        return run
    return run.add([Setting("launch.train", True, derived(NOTHING_ELSE))])


def _as_started(run: Run, gpus: int | None) -> Run:
    """With the processes that its launcher would start on so many GPUs, or those that are
    visible.
    """
    launch = run.launch
    if gpus is None or launch.processes is not None or launch.launcher not in ONE_PER_GPU:
        return run
    seen = [one for one in (launch.visible_devices or "").split(",") if one.strip()]
    reason = derived(
        Said(
            f"{launch.launcher} starts one process per GPU",
            f"{launch.launcher} 每个 GPU 启动一个进程",
        )
    )
    return run.add([Setting("launch.processes", len(seen) or gpus, reason)])


def _counted(run: Run, told: Callable[[Callable[[], DataFacts]], DataFacts | None]) -> Facts:
    """The rows of the files that are here, without a tokenizer."""

    def rows(wanted: bool, file: str | None, split: Split) -> DataFacts | None:
        if not wanted or file is None or not Path(file).is_file():
            return None
        return told(lambda: count_rows(file, run.data, split=split))

    return Facts(
        transformers=installed("transformers"),
        devices=devices(run),
        train=rows(run.launch.train, run.data.train, "train"),
        validation=rows(run.evaluates, run.data.validation, "evaluate"),
        test=rows(run.launch.predict, run.data.test, "predict"),
    )


def _with_checkpoints(facts: Facts, run: Run) -> Facts:
    """With the checkpoint to go on from, and those that lie in the output folder."""
    output, asked = Path(run.record.output or ""), run.record.resume
    earlier = checkpoints(output) if run.record.output else []
    point = None
    if asked is not None and asked.lower() == "true":
        point = earlier[-1] if earlier else None
    elif asked is not None and (Path(asked) / TRAINER_STATE).is_file():
        point = Path(asked)
    return replace(
        facts,
        resumed=None if point is None else read_checkpoint(point),
        earlier=tuple(read_checkpoint(one) for one in earlier),
    )


def read_checkpoint(folder: Path) -> Checkpoint:
    """What the folder of a checkpoint says of the run that wrote it."""
    try:
        state = json.loads((folder / TRAINER_STATE).read_text("utf-8"))
        numbers = {
            name: value if isinstance(value := state.get(key), int) and value > 0 else None
            for name, key in STATE.items()
        }
    except (OSError, ValueError, AttributeError):
        numbers = dict.fromkeys(STATE)
    ranks = [one.name for one in folder.glob("rng_state*.pth")]
    several = sum(re.fullmatch(r"rng_state_\d+\.pth", name) is not None for name in ranks)
    return Checkpoint(
        folder=str(folder),
        **numbers,
        processes=several or (1 if ranks else None),
        optimizer=any(any(folder.glob(name)) for name in RESUMED["optimizer's state"]),
    )


STATE = {"step": "global_step", "max_steps": "max_steps", "micro": "train_batch_size"}
"""What is read of trainer_state.json."""
