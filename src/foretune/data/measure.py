"""The measuring pass: what ``plan`` and ``check`` are told of a run's data."""

from __future__ import annotations

from typing import Any

import transformers

from ..facts import DataFacts, Facts
from ..params.run import Run
from .prepare import prepare
from .read import Split


def measure(run: Run, tokenizer: Any, *, progress: bool = True) -> Facts:
    """Reads and encodes the files that the run uses, and keeps the counts.

    Validation rows count as they are used: with their answers where the run wants a loss, else as
    prompts to generate from.

    Raises:
        UserError: for a file that cannot be used (see :func:`prepare.prepare`).
    """
    launch, data = run.launch, run.data

    def facts(wanted: bool, file: str | None, split: Split) -> DataFacts | None:
        if not wanted or (file is None and data.dataset is None):
            return None
        forced = split == "train" or (split == "evaluate" and not run.generate.enabled)
        prepared = prepare(
            file, data, tokenizer, split=split, teacher_forced=forced, progress=progress
        )
        return prepared.facts

    return Facts(
        transformers=transformers.__version__,
        devices=launch.all_processes,
        train=facts(launch.train, data.train, "train"),
        validation=facts(run.evaluates, data.validation, "evaluate"),
        test=facts(launch.predict, data.test, "predict"),
    )
