"""Events and learning rates, held against the trainer's own flow and schedules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.params.run import Run
from foretune.plan.events import Length, events
from foretune.plan.learning_rate import FOLLOWS_THE_LOSS, schedule_of
from foretune.plan.version import installed

FURTHER: dict[str, list[dict[str, object]]] = {
    "cosine": [{"num_cycles": 1.5}],
    "cosine_with_restarts": [{"num_cycles": 3}],
    "polynomial": [{"power": 2.0, "lr_end": 1e-5}],
    "inverse_sqrt": [{"timescale": 20}],
    "cosine_with_min_lr": [{"min_lr": 1e-3}, {"min_lr_rate": 0.2, "num_cycles": 0.7}],
    "cosine_warmup_with_min_lr": [{"min_lr_rate": 0.1}, {"min_lr": 1e-3, "warmup_lr_rate": 0.3}],
    "warmup_stable_decay": [
        {"num_decay_steps": 7},
        {"num_decay_steps": 5, "min_lr_ratio": 0.1, "decay_type": "linear"},
        {"num_decay_steps": 9, "decay_type": "1-sqrt", "warmup_type": "cosine"},
        {"num_decay_steps": 4, "num_stable_steps": 3, "warmup_type": "1-sqrt"},
    ],
}
"""Further arguments that each schedule is tried with; those without also as it is."""
NEEDS_ARGUMENTS = ("cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay")


def rates_of_transformers(name: str, arguments: Any, rate: float, warmup: int, steps: int):
    """What the installed schedule sets before each step."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    schedule: Any = get_scheduler(
        name, optimizer, warmup, steps, scheduler_specific_kwargs=arguments
    )
    for _ in range(steps):
        yield schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()


def test_every_schedule_gives_the_rates_of_transformers():
    from transformers import SchedulerType

    tried = 0
    for name in [one.value for one in SchedulerType]:
        if name in FOLLOWS_THE_LOSS:
            continue
        plain: list[Any] = [] if name in NEEDS_ARGUMENTS else [None]
        for arguments in [*plain, *FURTHER.get(name, [])]:
            for warmup, steps in ((0, 12), (5, 31), (1, 1)):
                if name == "polynomial" and steps == warmup:
                    continue  # transformers divides by zero
                run = Run().set({
                    "schedule.name": name, "schedule.arguments": arguments,
                    "optim.learning_rate": 2e-2,
                })  # fmt: skip
                schedule = schedule_of(run, steps, warmup)
                assert schedule is not None
                found = [schedule.at(step) for step in range(1, steps + 1)]
                wanted = list(rates_of_transformers(name, arguments, 2e-2, warmup, steps))
                assert found == pytest.approx(wanted, rel=1e-9, abs=1e-15), (name, arguments)
                tried += 1
    assert tried >= 50


def test_a_rate_that_follows_the_loss_is_not_told():
    for name in FOLLOWS_THE_LOSS:
        assert schedule_of(Run().set({"schedule.name": name}), 100, 0) is None


def flow_of_transformers(run: Run, length: Length) -> dict[str, list[int]]:
    """The steps at which the installed trainer's callback asks to log, evaluate and save."""
    from transformers import TrainerControl, TrainerState
    from transformers.trainer_callback import DefaultFlowCallback

    record = run.record
    every = record.log_steps if record.eval_steps is None else record.eval_steps
    args: Any = SimpleNamespace(
        logging_strategy=record.log_strategy, logging_steps=record.log_steps,
        logging_first_step=record.log_first_step, eval_strategy=record.eval_strategy,
        eval_steps=every, eval_delay=record.eval_delay, save_strategy=record.save_strategy,
        save_steps=record.save_steps,
    )  # fmt: skip
    state, control, callback = TrainerState(), TrainerControl(), DefaultFlowCallback()
    state.max_steps = length.steps
    state.compute_steps(args, length.steps)
    found: dict[str, set[int]] = {"log": set(), "evaluate": set(), "save": set()}

    def note() -> None:
        for what, steps in found.items():
            if getattr(control, f"should_{what}"):
                steps.add(state.global_step)
                setattr(control, f"should_{what}", False)

    assert length.per_epoch is not None
    while not control.should_training_stop:
        for step in range(1, length.per_epoch + 1):
            state.global_step += 1
            passed = (state.global_step - step) / length.per_epoch
            state.epoch = passed + step / length.per_epoch
            callback.on_step_end(args, state, control)
            note()
            if control.should_training_stop:
                break
        callback.on_epoch_end(args, state, control)
        note()
    return {what: sorted(steps) for what, steps in found.items()}


INTERVALS = st.sampled_from([1.0, 2.0, 3.0, 7.0, 0.1, 0.25, 0.34])


@settings(max_examples=150, deadline=None)
@given(
    steps=st.integers(1, 40),
    per_epoch=st.integers(1, 15),
    log=st.tuples(st.sampled_from(["no", "steps", "epoch"]), INTERVALS, st.booleans()),
    evaluate=st.tuples(
        st.sampled_from(["no", "steps", "epoch"]), st.one_of(st.none(), INTERVALS),
        st.sampled_from([0.0, 2.0, 3.5]),
    ),
    save=st.tuples(st.sampled_from(["no", "steps", "epoch"]), INTERVALS),
)  # fmt: skip
def test_what_happens_on_the_way_is_what_the_trainer_does(steps, per_epoch, log, evaluate, save):
    run = Run().set({
        "launch.train": True, "record.log_strategy": log[0], "record.log_steps": log[1],
        "record.log_first_step": log[2], "record.eval_strategy": evaluate[0],
        "record.eval_steps": evaluate[1], "record.eval_delay": evaluate[2],
        "record.save_strategy": save[0], "record.save_steps": save[1],
    })  # fmt: skip
    version = installed("transformers")
    length = Length(steps=steps, warmup=0, per_epoch=per_epoch, transformers=version)
    found, wanted = events(run, length), flow_of_transformers(run, length)
    assert list(found.logs) == wanted["log"]
    assert list(found.evaluations) == wanted["evaluate"]
    assert list(found.saves) == wanted["save"]


def test_older_releases_neither_save_nor_evaluate_the_last_step():
    run = Run().set({
        "launch.train": True, "record.save_steps": 4.0, "record.eval_strategy": "steps",
        "record.eval_steps": 4.0,
    })  # fmt: skip
    saved = {}
    for version in ("4.30.2", "4.41.0", "5.23.0"):
        length = Length(steps=10, warmup=0, per_epoch=5, transformers=version)
        found = events(run, length)
        saved[version] = found.saves, found.evaluations
    assert saved == {
        "4.30.2": ((4, 8), (4, 8)),
        "4.41.0": ((4, 8, 10), (4, 8)),
        "5.23.0": ((4, 8, 10), (4, 8, 10)),
    }


def test_evaluation_may_begin_before_the_first_step():
    run = Run().set({
        "launch.train": True, "record.eval_strategy": "epoch", "record.eval_on_start": True,
    })  # fmt: skip
    length = Length(steps=6, warmup=0, per_epoch=4, transformers="5.23.0")
    assert events(run, length).evaluations == (0, 4, 6)
