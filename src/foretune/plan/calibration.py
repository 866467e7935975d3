"""What measured runs say of forecasts: the factor of a stack (device, family, method, versions).

A training run notes what its steps took beside what was forecast; `foretune calibrate` does so for
one run, or with figures given by hand. The runs most like the one that is planned count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..errors import refuse
from ..files import own_folder, write_whole
from ..text import Said, counted
from .fitted import FITTED
from .formula import formula
from .version import release

if TYPE_CHECKING:
    from .step_time import StepTime

LATEST = 10
"""Measured runs of one kind that count, the newest of them."""
SAME = 0.01
"""How near the forecasts of two runs of one stack are that are taken to be the same step."""
KEPT = 1000
"""Runs that the history keeps."""


@formula("times")
def calibration_factor(measured: float, forecast: float) -> float:
    """By what the forecast of a step is multiplied on this stack.

    在本机这套软硬件上，预测的单步耗时所乘的系数。
    """
    return measured / forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What a factor is true of."""

    device: str
    """The device's name as the forecast has it."""
    family: str
    """model_type."""
    method: str
    """As plan/evidence.py counts them: "qlora" apart from "lora"."""
    torch: str
    transformers: str

    def likeness(self, other: Stack) -> int:
        """How much a run of ``other`` says of this one; 0 on another device."""
        if self.device != other.device:
            return 0
        same_torch = release(self.torch)[:2] == release(other.torch)[:2]
        return (
            1 + same_torch + 4 * (self.family == other.family) + 8 * (self.method == other.method)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run, or one step, beside its forecast without any factor."""

    stack: Stack
    when: str
    source: str
    """The report, or "by hand"."""
    seconds: float
    """Of an optimizer step."""
    forecast_seconds: float
    steps: int = 1
    """Steps that were timed."""
    peak: float | None = None
    """Bytes that the allocator had at most."""
    forecast_peak: float | None = None
    given: bool = False
    """Whether `foretune calibrate` was given it: then it counts, and the history does not."""

    @property
    def factor(self) -> float:
        return calibration_factor(self.seconds, self.forecast_seconds)

    @property
    def memory_factor(self) -> float | None:
        """The measured peak as a share of the forecast; None where none was measured."""
        if not self.peak or not self.forecast_peak:
            return None
        return calibration_factor(self.peak, self.forecast_peak)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the runs most like a planned one say of its forecast."""

    factor: float
    memory_factor: float | None
    runs: int
    interval: float
    """Half of the interval of the step time, as a share."""
    basis: Said

    def of(self, time: StepTime) -> StepTime:
        """A forecast step time with this factor."""
        found = time.calibrated(self.factor)
        return replace(found, interval=self.interval, basis=self.basis)


def calibration(
    stack: Stack, known: Iterable[Measured], seconds: float | None = None
) -> Calibration | None:
    """The factor for ``stack`` from the newest of the runs most like it, those of the very step
    that is forecast to take ``seconds`` before others; None where none is on its device.
    """
    runs = [run for run in known if stack.likeness(run.stack)]
    if not runs:
        return None
    best = max(stack.likeness(run.stack) for run in runs)
    alike = [run for run in runs if stack.likeness(run.stack) == best]
    same = [run for run in alike if seconds and abs(run.forecast_seconds / seconds - 1) < SAME]
    alike = same or alike
    alike = ([run for run in alike if run.given] or alike)[-LATEST:]
    nearest = alike[-1].stack
    peaks = [factor for run in alike if (factor := run.memory_factor) is not None]
    interval = FITTED.interval_calibrated
    if (nearest.family, nearest.method) != (stack.family, stack.method):
        interval = (interval + FITTED.interval) / 2
    return Calibration(
        factor=median(run.factor for run in alike),
        memory_factor=median(peaks) if peaks else None,
        runs=len(alike),
        interval=interval,
        basis=_basis(stack, nearest, len(alike)),
    )


def _basis(stack: Stack, nearest: Stack, runs: int) -> Said:
    differs = [
        (f"{of}: {other}", f"{zh}：{other}")
        for of, zh, own, other in (
            ("method", "方法", stack.method, nearest.method),
            ("family", "模型族", stack.family, nearest.family),
            ("torch", "torch", stack.torch, nearest.torch),
        )
        if own != other
    ]
    apart = (
        f" ({', '.join(en for en, _ in differs)})",
        f"（{'，'.join(zh for _, zh in differs)}）",
    )
    return Said(
        f"roofline, calibrated with {counted(runs, 'measured run')} on {nearest.device}"
        + (apart[0] if differs else ""),
        f"屋顶线模型，已用 {nearest.device} 上的 {runs} 次实测校准" + (apart[1] if differs else ""),
    )


# What is kept


def history_file() -> Path:
    """Where training runs note what they took, a line each."""
    return own_folder("state") / "history.jsonl"


def calibrations_file() -> Path:
    """Where `foretune calibrate` keeps what it was given."""
    return own_folder("config") / "calibrations.json"


def known_runs() -> list[Measured]:
    """The history and what `foretune calibrate` was given, each the oldest first.

    Raises:
        UserError: where the file of calibrations is damaged. A damaged line of the history is left
            out: nobody writes it by hand.
    """
    return [*_history(), *calibrations()]


def _history() -> Iterator[Measured]:
    try:
        lines = history_file().read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        try:
            yield _measured(json.loads(line))
        except (ValueError, TypeError, KeyError):
            continue


def calibrations() -> list[Measured]:
    """What `foretune calibrate` was given. Raises UserError where its file is damaged."""
    file = calibrations_file()
    try:
        return [_measured(one) for one in json.loads(file.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as failure:
        raise refuse(
            what=Said("the calibrations cannot be read", "无法读取校准记录"),
            where=str(file),
            why=str(failure),
            fix=Said(
                "mend the file, or delete it and calibrate again", "修复该文件，或删除后重新校准"
            ),
        ) from None


def note(run: Measured) -> Path | None:
    """Adds a run to the history; None where it cannot be written."""
    kept = [json.dumps(asdict(one), ensure_ascii=False) for one in (*_history(), run)][-KEPT:]
    try:
        return write_whole(history_file(), "\n".join(kept) + "\n")
    except OSError:
        return None


def keep(run: Measured) -> Path:
    """Adds a run to what counts before the history, in place of one of the same stack.

    Raises:
        UserError: where the folder of the user's settings cannot be written.
    """
    others = [one for one in calibrations() if one.stack != run.stack]
    own = replace(run, given=True)
    text = json.dumps([asdict(one) for one in (*others, own)], ensure_ascii=False, indent=1)
    try:
        return write_whole(calibrations_file(), text + "\n")
    except OSError as failure:
        raise refuse(
            what=Said("the calibration cannot be kept", "无法保存校准记录"),
            where=str(calibrations_file()),
            why=str(failure),
            fix=Said(
                "make the folder writable, or set XDG_CONFIG_HOME to another",
                "使该文件夹可写，或用 XDG_CONFIG_HOME 另指一个",
            ),
        ) from None


def _measured(read: dict[str, Any]) -> Measured:
    values: dict[str, Any] = {**read, "stack": Stack(**read["stack"])}
    run = Measured(**values)
    if not (run.seconds > 0 and run.forecast_seconds > 0):
        raise ValueError(f"seconds {run.seconds} beside {run.forecast_seconds}")
    return replace(run, steps=int(run.steps))
