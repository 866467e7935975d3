"""foretune: know the fine-tuning run before you run it; then run it.

    import foretune

    run = foretune.read("train.sh")      # as written: every value knows its file and line
    run = run.set({"model.path": "weights/", "data.train": "train.json"})
    forecast = foretune.plan(run)        # rows, steps, parameters: before anything runs
    report = foretune.train(run)         # report.comparisons: forecast beside actual

Importing it is light: torch is imported by the functions that need it. ``import foretune.auto``
registers the native model families with transformers' Auto classes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .check.finding import Finding
    from .export.write import Exported
    from .params.arch.llama3 import ModelArgs
    from .params.run import Run
    from .plan.forecast import Forecast
    from .plan.search.answer import Answer, Goal
    from .train.report import Report

__all__ = ["ModelArgs", "check", "diff", "explain", "export", "fit", "plan", "read", "train"]

# The verbs bear the names of the packages that hold them. A package binds its name here when it is
# first imported: imported now, they do so before the functions below take the names for good.
for _package in ("check", "diff", "explain", "export", "plan", "train"):
    import_module(f".{_package}", __name__)


def read(*sources: str | Path, set: dict[str, object] | None = None) -> Run:
    """The run that these files describe. Raises UserError with every problem of all of them."""
    from .formats.read import read as read_files

    return read_files(*sources, set=set or {})


def explain(run: Run, *names: str, language: str = "en", format: str = "text") -> str:
    """Every setting of the run, or those that are named: value, origin, meaning, effect here; as
    text, md, json or html.
    """
    from .explain.command import explain as explained

    return explained(run, names, language=language, format=format)


def diff(one: Run, other: Run, *, language: str = "en", format: str = "text") -> str:
    """What two runs, or two models, have different, what follows from it, and what is only
    spelling; as text or json.
    """
    from .diff.command import diff as compared
    from .diff.command import laid_out

    return laid_out(compared(one, other), language=language, format=format)


def check(
    run: Run, *, device: str | None = None, gpus: int | None = None, tokens: bool = False
) -> list[Finding]:
    """What is wrong with a run, the worst first; with ``device``, also what that GPU cannot do."""
    from .train.examine import examine

    return examine(run, device=device, gpus=gpus, tokens=tokens)


def plan(
    run: Run,
    *,
    transformers: str | None = None,
    tokens: bool = False,
    sample: int | None = None,
    device: str | None = None,
    gpus: int | str | None = None,
    price: float | None = None,
) -> Forecast:
    """The forecast of a run from its files alone; with ``tokens``, its data is encoded and counted
    too, or so many rows of it drawn at random with ``sample``; with ``device`` (a name, or a file
    that describes one) also time, and whether it fits.
    """
    from .train.foresee import foresee

    return foresee(
        run,
        transformers=transformers,
        tokens=tokens,
        sample=sample,
        device=device,
        gpus=None if gpus is None else str(gpus),
        price=price,
        needs_data=False,
    )


def fit(
    run: Run,
    gpus: str,
    *,
    goal: Goal = "time",
    keep: str = "",
    free_batch: bool = False,
    tokens: bool = False,
) -> Answer:
    """The settings of a run that fit the GPUs named ("1x4090", "8xH100", "2x8xA100"): the Pareto
    front, the one to take (``.run_of(answer.chosen)``), why the rest fails. ``keep`` names what
    stays as it is written ("method,quant").
    """
    from .plan.search.answer import answer
    from .plan.search.offer import offers
    from .plan.search.space import held_dimensions
    from .train.fitting import task_of

    task, held = task_of(run, tokens=tokens), held_dimensions(keep)
    return answer(task, offers(gpus), goal=goal, keep=held, free_batch=free_batch)


def train(run: Run, **options: Any) -> Report:
    """Runs it, and holds the forecast against what happened."""
    from .train.conduct import execute

    return execute(run, **options)


def export(model: Run | str | Path, out: str | Path, **options: Any) -> Exported:
    """Writes a model, or what was tuned, as a folder that other programs load."""
    from .export.write import export as write

    return write(model, out, **options)


def __getattr__(name: str) -> Any:
    if name == "ModelArgs":
        from .params.arch.llama3 import ModelArgs

        return ModelArgs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
