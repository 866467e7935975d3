"""The forecast of a run from its files: what `foretune plan` says. Needs no weights, and no torch unless tokens are asked for."""

from __future__ import annotations

import os

from ..data.read import count_rows
from ..facts import DataFacts, Facts
from ..formats.model_config import ModelFile, model_file
from ..params.resolve import Device, resolve
from ..params.run import Run
from ..plan.forecast import Forecast, forecast
from ..plan.version import installed


def foresee(run: Run, *, transformers: str | None = None, tokens: bool = False) -> Forecast:
    """The forecast of a written run.

    Args:
        transformers: the version whose arithmetic counts; the installed one where it is not given.
        tokens: encode the data with the model's tokenizer and count its tokens too.
    """
    config = model_file(run)
    run = resolve(run, config.shape if config else None, device="cpu", complete=False)
    measured = measure(run, config) if tokens else {}
    if not tokens:
        measured = {
            split: count_rows(file, run.data, limit)
            for split, file, limit in splits(run)
            if file is not None
        }
    facts = Facts(
        transformers=transformers or installed("transformers"), devices=devices(run), **measured
    )
    return forecast(run, facts, config.shape if config else None)


def splits(run: Run) -> list[tuple[str, str | None, int | None]]:
    """The data files that this run uses, and how many of their rows."""
    data, launch = run.data, run.launch
    anything = launch.train or launch.evaluate or launch.predict
    return [
        ("train", data.train if launch.train or not anything else None, data.max_train_rows),
        ("validation", data.validation if launch.evaluate else None, data.max_eval_rows),
        ("test", data.test if launch.predict else None, data.max_predict_rows),
    ]


def measure(run: Run, config: ModelFile | None) -> dict[str, DataFacts]:
    """Rows and tokens of every file, by the real tokenizer."""
    from ..data.prepare import prepare
    from ..tokenizers import load_tokenizer

    tokenizer = load_tokenizer(run.model.tokenizer or "")
    return {
        split: prepare(file, run.data, tokenizer, split="train", limit=limit).facts
        for split, file, limit in splits(run)
        if file is not None
    }


def devices(run: Run) -> int:
    """Data-parallel processes of the run: those that run already, or those that its launcher will start."""
    started = os.environ.get("WORLD_SIZE")
    return int(started) if started else (run.launch.processes or 1) * run.launch.nodes


__all__ = ["Device", "devices", "foresee", "measure", "splits"]
