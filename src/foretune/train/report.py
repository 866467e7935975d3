"""The report of a run: its settings with their origins, the forecast beside what happened, the loss
curve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ..files import write_whole
from ..params.run import Run, parameters
from ..plan.calibration import Measured
from ..plan.forecast import Forecast
from ..plan.remarks import remarks
from .measured import Estimate
from .report_page import page

TRAINED, EVALUATED = "report", "evaluation"
"""What the report of a run is called that trained, and of one that did not: evaluating into the
folder of a training run leaves that run's report as it is.
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the forecast and what it turned out to be."""

    name: str
    forecast: float
    actual: float | None

    @property
    def agrees(self) -> bool | None:
        """None where nothing was measured: a run that did not train to its end."""
        return None if self.actual is None else self.forecast == self.actual


@dataclass(slots=True, kw_only=True)
class Report:
    """What is written beside the model when a run has ended, whichever way."""

    run: Run
    forecast: Forecast
    started: str
    seconds: float = 0.0
    ended: str = "finished"
    """'finished', or 'interrupted at step N'."""
    actual: dict[str, float] = field(default_factory=dict)
    estimates: list[Estimate] = field(default_factory=list)
    """Time, memory and disk: what was forecast with an interval, beside what was measured."""
    measured: Measured | None = None
    """What the history was told of this run."""
    training_log: dict[str, str] = field(default_factory=dict)
    """The block that was forecast and the block that the trainer logged."""
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, str]] = field(default_factory=list)
    """A few prompts with the wanted and the generated answer."""
    checkpoints: list[str] = field(default_factory=list)

    @property
    def comparisons(self) -> list[Comparison]:
        """Every figure of the forecast, in its order."""
        return [
            Comparison(name, value, self.actual.get(name))
            for name, value in self.forecast.figures().items()
        ]

    @property
    def disagreements(self) -> list[Comparison]:
        return [row for row in self.comparisons if row.agrees is False]

    def as_dict(self) -> dict[str, Any]:
        """The content of report.json."""
        return {
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "ended": self.ended,
            "versions": dict(versions()),
            "settings": list(settings(self.run)),
            "notes": [str(note) for note in self.run.notes],
            "remarks": list(remarks(self.forecast)),
            "facts": self.forecast.facts.as_dict(),
            "forecast": self.forecast.figures(),
            "actual": self.actual,
            "comparison": [
                {
                    "name": row.name,
                    "forecast": row.forecast,
                    "actual": row.actual,
                    "agrees": row.agrees,
                }
                for row in self.comparisons
            ],
            "estimates": [row.as_dict() for row in self.estimates],
            "measured": None if self.measured is None else asdict(self.measured),
            "training_log": self.training_log,
            "history": self.history,
            "metrics": self.metrics,
            "samples": self.samples,
            "checkpoints": self.checkpoints,
        }

    def write(self, folder: Path) -> Path:
        """The report as JSON and as a page into ``folder``; returns the page."""
        name = TRAINED if self.run.launch.train else EVALUATED
        content = self.as_dict()
        text = json.dumps(content, ensure_ascii=False, indent=1, default=str)
        write_whole(folder / f"{name}.json", text)
        return write_whole(folder / f"{name}.html", page(content))


def settings(run: Run) -> Iterator[dict[str, Any]]:
    """Every parameter that somebody wrote or that was taken from another, with its origin."""
    touched = {setting.path for setting in run.settings}
    for path in parameters():
        if path in touched:
            origin = run.origin(path)
            yield {
                "path": path,
                "value": run.shown(path),
                "origin": str(origin),
                "written": origin.written,
            }


def versions() -> Iterator[tuple[str, str]]:
    """The versions of what computes."""
    for package in ("foretune", "torch", "transformers", "accelerate", "peft"):
        yield package, metadata.version(package)
