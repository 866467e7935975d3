"""What a run took, beside what was forecast: time, memory, disk. These are estimates, each with its
interval; what the trainer counts (steps, tokens, parameters) is held against the forecast exactly,
in report.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.record import OF_TOKENIZERS
from ..errors import UserError
from ..plan.calibration import Measured, note
from ..plan.devices import device_named, measured_cpu
from ..plan.forecast import Forecast
from ..plan.step_time import Hardware
from .clock import WARM_UP, StepClock, peak_memory

OF_MODELS = ("config.json", "generation_config.json")
ENOUGH = 3
"""Timed steps from which on a run is noted in the history."""


def hardware_here(device: str) -> Hardware | None:
    """What the run computes on: the GPU by its name, or the CPU where it was measured; None where
    nothing is known of it.
    """
    if device == "cpu":
        cpu = measured_cpu()
        return None if cpu is None else Hardware(device=cpu)
    try:
        return Hardware(device=device_named(torch.cuda.get_device_name()))
    except UserError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One figure that was forecast with an interval, and what it turned out to be."""

    name: str
    unit: str
    forecast: float | None
    low: float | None = None
    high: float | None = None
    actual: float | None = None
    """None where it was not measured."""
    why: str = ""
    """Why one of the two is not there."""

    @property
    def error(self) -> float | None:
        """The forecast over what was measured, less one."""
        if not self.forecast or not self.actual:
            return None
        return self.forecast / self.actual - 1

    @property
    def inside(self) -> bool | None:
        """Whether what was measured is within the interval."""
        if self.actual is None or self.low is None or self.high is None:
            return None
        return self.low <= self.actual <= self.high

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        names = ("name", "unit", "forecast", "low", "high", "actual", "error", "inside", "why")
        return {name: getattr(self, name) for name in names}


NO_DEVICE = "nothing is known of this device's speed (on a CPU: run `foretune calibrate` first)"
NO_GPU = "the formulas are of a GPU's memory; this is a process with Python and all libraries"


def estimates(
    forecast: Forecast, clock: StepClock, checkpoints: Iterable[str], seconds: float | None
) -> list[Estimate]:
    """Every forecast figure that has an interval, beside what was measured of it.

    Args:
        clock: what the steps took.
        checkpoints: their folders.
        seconds: of the whole training; None where it did not come to its end.
    """
    return [*_times(forecast, clock, seconds), *_memory(forecast), *_disk(forecast, checkpoints)]


def _times(forecast: Forecast, clock: StepClock, seconds: float | None) -> Iterator[Estimate]:
    time, cost = forecast.time, forecast.cost
    why = "" if time else NO_DEVICE
    whole = None if cost is None or forecast.length is None else forecast.length.steps
    yield Estimate(
        name="a step",
        unit="s",
        forecast=time and time.seconds,
        low=time and time.low,
        high=time and time.high,
        actual=clock.seconds,
        why=why,
    )
    if clock.quiet is not None and clock.quiet != clock.seconds:
        yield Estimate(
            name="a step, computing",
            unit="s",
            forecast=time and time.seconds,
            low=time and time.low,
            high=time and time.high,
            actual=clock.quiet,
            why=why or "what the process computed; the rest of the time the machine did other work",
        )
    yield Estimate(
        name="all steps",
        unit="s",
        forecast=None if time is None or whole is None else time.seconds * whole,
        low=None if time is None or whole is None else time.low * whole,
        high=None if time is None or whole is None else time.high * whole,
        actual=seconds,
        why=why or "measured with loading, evaluations and checkpoints",
    )


def _memory(forecast: Forecast) -> Iterator[Estimate]:
    held, peak = forecast.memory, peak_memory()
    if "process" in peak:
        yield Estimate(
            name="the process at most", unit="B", forecast=None, actual=peak["process"], why=NO_GPU
        )
        return
    for name in ("allocated", "reserved"):
        yield Estimate(
            name=f"{name} at most",
            unit="B",
            forecast=None if held is None else getattr(held, name),
            actual=peak[name],
        )


def _disk(forecast: Forecast, checkpoints: Iterable[str]) -> Iterator[Estimate]:
    sizes = [checkpoint_bytes(Path(folder)) for folder in checkpoints]
    if forecast.disk is None or not sizes:
        return
    yield Estimate(
        name="a checkpoint", unit="B", forecast=forecast.disk.checkpoint, actual=max(sizes)
    )
    yield Estimate(
        name="all checkpoints", unit="B", forecast=forecast.disk.total, actual=sum(sizes)
    )


def checkpoint_bytes(folder: Path) -> float:
    """Bytes of a checkpoint, the files of the tokenizer left out."""
    own = {
        path
        for pattern in OF_TOKENIZERS
        if pattern not in OF_MODELS
        for path in folder.glob(pattern)
    }
    files = (path for path in folder.rglob("*") if path.is_file() and path not in own)
    return float(sum(path.stat().st_size for path in files))


def measured_run(
    forecast: Forecast, clock: StepClock, *, when: str, source: str
) -> Measured | None:
    """The run for the history, beside its forecast without any factor; None where too few steps
    were timed, or nothing was forecast.
    """
    time, stack, seconds = forecast.time, forecast.stack, clock.quiet
    if time is None or stack is None or not seconds or len(clock.laps) < WARM_UP + ENOUGH:
        return None
    peak, held = peak_memory().get("allocated"), forecast.memory
    return Measured(
        stack=stack,
        when=when,
        source=source,
        seconds=seconds,
        forecast_seconds=time.seconds / time.factor,
        steps=len(clock.counted),
        peak=peak,
        forecast_peak=held.allocated if peak is not None and held is not None else None,
    )


def noted(forecast: Forecast, clock: StepClock, *, when: str, source: str) -> Measured | None:
    """Adds a run that trained to the history, which `foretune plan` and `calibrate` learn from."""
    run = measured_run(forecast, clock, when=when, source=source)
    if run is not None:
        note(run)
    return run
