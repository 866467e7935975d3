"""What happens on the way, and at which step: log lines, evaluations, checkpoints.

By the trainer's own flow, read in transformers 5.17 and 5.23 (trainer_callback.py,
DefaultFlowCallback). Releases differ in what they do at the last step: since 4.41 it is saved
(transformers PR 30160), since 5.3 it is evaluated (PR 44146), where either goes by steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..params.run import Run
from .learning_rate import Schedule, schedule_of
from .steps import Steps, warmup_steps
from .version import release

SAVES_THE_LAST_STEP = (4, 41)
EVALUATES_THE_LAST_STEP = (5, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Steps after which something happens, in their order; the first step is 1."""

    logs: tuple[int, ...]
    evaluations: tuple[int, ...]
    """0 is before the first step."""
    saves: tuple[int, ...]
    at_most: bool = False
    """True where a checkpoint is written only after an evaluation that is the best so far."""
    schedule: Schedule | None = None
    """None where the learning rate follows what the run measures."""

    def learning_rates(self, points: int = 48) -> list[tuple[int, float]]:
        """Steps and their learning rates, so many points over the run, the first and the last and
        the highest among them.
        """
        if self.schedule is None:
            return []
        steps = self.schedule.steps
        chosen = {round(1 + (steps - 1) * i / max(points - 1, 1)) for i in range(points)}
        chosen |= {1, steps, min(self.schedule.warmup + 1, steps)}
        return [(step, self.schedule.at(step)) for step in sorted(chosen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a run is."""

    steps: int
    warmup: int
    per_epoch: int | None
    """Steps of a pass over the data; None where the rows are not known."""
    transformers: str


def length_of(run: Run, made: Steps | None, transformers: str) -> Length | None:
    """How long a run is: as its rows make it, or as it says itself where they are not known."""
    if made is not None:
        return Length(
            steps=made.steps,
            warmup=made.warmup,
            per_epoch=made.steps_per_epoch,
            transformers=transformers,
        )
    steps = run.schedule.max_steps
    if steps is None:
        return None
    warmup = warmup_steps(run.schedule.warmup, steps)
    return Length(steps=steps, warmup=warmup, per_epoch=None, transformers=transformers)


def events(run: Run, made: Length) -> Events:
    """The events of a resolved run over its steps."""
    record = run.record
    ends = epoch_ends(made)
    version = release(made.transformers)
    last = (made.steps,)
    logs = _steps(record.log_strategy, record.log_steps, made, ends)
    if record.log_first_step:
        logs = (1, *logs)
    evaluations: tuple[int, ...] = ()
    if run.evaluates_on_the_way:
        every = record.eval_steps if record.eval_steps is not None else record.log_steps
        evaluations = _steps(record.eval_strategy, every, made, ends)
        if record.eval_strategy == "steps" and version >= EVALUATES_THE_LAST_STEP:
            evaluations += last
        evaluations = tuple(one for one in evaluations if _is_due(run, made, one))
        if record.eval_on_start:
            evaluations = (0, *evaluations)
    saves = _steps(record.save_strategy, record.save_steps, made, ends)
    if record.save_strategy == "steps" and version >= SAVES_THE_LAST_STEP:
        saves += last
    if record.save_strategy == "best":
        saves = tuple(one for one in evaluations if one)
    saves = _in_order(saves)
    return Events(
        logs=_in_order(logs),
        evaluations=_in_order(evaluations),
        saves=saves,
        at_most=record.save_strategy == "best",
        schedule=schedule_of(run, made.steps, made.warmup),
    )


def kept(run: Run, written: int) -> int:
    """Checkpoints that stay of so many: the newest and, where they are compared, the best are kept
    beyond any limit; of both together that is at most one more than a limit of one.
    """
    limit = run.record.save_total_limit
    if limit is None:
        return written
    compared = run.record.load_best or run.record.save_strategy == "best"
    return min(written, max(limit, 2) if compared else limit)


def epoch_ends(made: Length) -> tuple[int, ...]:
    """The last step of each pass over the data, the last pass in part; none where the passes are
    not known.
    """
    if made.per_epoch is None:
        return ()
    whole = range(made.per_epoch, made.steps + 1, made.per_epoch)
    ends = tuple(whole)
    return ends if ends and ends[-1] == made.steps else (*ends, made.steps)


def _steps(strategy: str, every: float, made: Length, ends: tuple[int, ...]) -> tuple[int, ...]:
    if strategy == "epoch":
        return ends
    if strategy != "steps" or not every:
        return ()
    interval = math.ceil(made.steps * every) if every < 1 else int(every)
    return tuple(range(interval, made.steps + 1, interval))


def _is_due(run: Run, made: Length, step: int) -> bool:
    """Whether an evaluation falls behind the delay, in steps or in epochs."""
    by_epochs = run.record.eval_strategy == "epoch"
    if by_epochs and made.per_epoch is not None:
        return run.record.eval_delay <= step / made.per_epoch
    return run.record.eval_delay <= step


def _in_order(steps: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(steps)))
