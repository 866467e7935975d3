"""What the steps of a run took, timed where they begin and end."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import torch
from transformers import TrainerCallback

WARM_UP = 2
"""Steps at the beginning that do not count: they allocate, and choose kernels."""


@dataclass(slots=True)
class Lap:
    """One optimizer step."""

    seconds: float
    """From its beginning to its end, loading the batch left out."""
    cpu: float
    """Seconds that the process computed in it, all threads together."""
    after: float | None
    """Seconds since the end of the step before; None where something stood between the two."""


@dataclass(slots=True)
class StepClock(TrainerCallback):
    """Times every optimizer step."""

    laps: list[Lap] = field(default_factory=list)
    _begun: tuple[float, float] = (0.0, 0.0)
    _ended: float | None = None

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now, computed = time.perf_counter(), time.process_time()
        after = None if self._ended is None else now - self._ended
        self.laps.append(Lap(now - self._begun[0], computed - self._begun[1], after))
        self._ended = now

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        self._ended = None

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        self._ended = None

    @property
    def counted(self) -> list[Lap]:
        """The steps behind the warm-up; all of them where there are no others."""
        return self.laps[WARM_UP:] or self.laps

    @property
    def seconds(self) -> float | None:
        """Of a usual step: the median; on an accelerator, which works on while Python goes ahead,
        the mean between the ends of steps.
        """
        if not self.laps:
            return None
        between = [lap.after for lap in self.counted if lap.after is not None]
        if torch.cuda.is_available() and between:
            return mean(between)
        return median(lap.seconds for lap in self.counted)

    @property
    def quiet(self) -> float | None:
        """Of a step as it would be if nothing else ran here: on one thread of a CPU, what the
        process computed; else as `seconds`.
        """
        if torch.cuda.is_available() or torch.get_num_threads() > 1 or not self.laps:
            return self.seconds
        return median(lap.cpu for lap in self.counted)


def peak_memory() -> dict[str, float]:
    """The most bytes so far: of the allocator on a GPU (allocated, reserved); else of the process,
    with Python, the libraries and all that was loaded.
    """
    if torch.cuda.is_available():
        return {
            "allocated": float(torch.cuda.max_memory_allocated()),
            "reserved": float(torch.cuda.max_memory_reserved()),
        }
    unit = 1 if sys.platform == "darwin" else 1024
    return {"process": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)}
