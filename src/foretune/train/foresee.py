"""The forecast of a run from its files: what `foretune plan` says.

Needs no weights, and no torch unless tokens are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from ..data.read import Split, count_rows
from ..errors import UserError
from ..facts import DataFacts, Facts
from ..formats.model_config import ModelFile, model_file
from ..params.resolve import impossible, resolve
from ..params.run import Run
from ..params.setting import Note
from ..plan.forecast import Forecast, forecast
from ..plan.version import installed, release
from ..text import place


def foresee(run: Run, *, transformers: str | None = None, tokens: bool = False) -> Forecast:
    """The forecast of a written run.

    Args:
        run: as written; a run that asks neither to train nor to evaluate is taken to train.
        transformers: the version whose arithmetic counts; the installed one where it is not given.
        tokens: encode the data with the model's tokenizer and count its tokens too.
    """
    if not (run.launch.train or run.launch.evaluate or run.launch.predict):
        run = run.set({"launch.train": True})
    config = model_file(run)
    run = resolve(run, config.shape if config else None, complete=False)
    if problems := list(impossible(run, config.shape if config else None)):
        raise UserError(problems)
    version = transformers or installed("transformers")
    if tokens:
        facts = measured(run, version)
    else:
        facts = Facts(
            transformers=version,
            devices=devices(run),
            train=_counted(run.launch.train, run.data.train, run, "train"),
            validation=_counted(run.evaluates, run.data.validation, run, "evaluate"),
            test=_counted(run.launch.predict, run.data.test, run, "predict"),
        )
    expected = forecast(run, facts, config.shape if config else None)
    if config is None or transformers is not None:
        return expected
    return replace(expected, run=run.add((), _as_its_writer_counted(expected, config)))


def _as_its_writer_counted(expected: Forecast, config: ModelFile) -> Iterator[Note]:
    """The steps by the version that saved config.json, where they differ: its logs have them."""
    version = config.keys.get("transformers_version")
    if not isinstance(version, str) or not release(version) or expected.steps is None:
        return
    facts = replace(expected.facts, transformers=version)
    then = forecast(expected.run, facts, expected.shape).steps
    assert then is not None
    if then.steps != expected.steps.steps:
        yield Note(
            f"transformers {version} made {then.steps:,} steps of this run",
            place(config.file, config.lines.get("transformers_version")),
            f"it saved this config.json; `foretune plan --transformers {version}` counts as it did",
        )


def devices(run: Run) -> int:
    """Data-parallel processes: those that run already, or those that the launcher will start."""
    started = os.environ.get("WORLD_SIZE")
    return int(started) if started else run.launch.all_processes


def _counted(wanted: bool, file: str | None, run: Run, split: Split) -> DataFacts | None:
    if not wanted or (file is None and run.data.dataset is None):
        return None
    try:
        return count_rows(file, run.data, split=split)
    except UserError as error:
        raise run.at_origins(error) from None


def measured(run: Run, version: str) -> Facts:
    """What the data comes to in tokens of the model's own tokenizer; imports the heavy half."""
    from ..data.measure import measure
    from ..tokenizers import load_tokenizer

    tokenizer = load_tokenizer(run.model.tokenizer or "")
    try:
        facts = measure(run, tokenizer)
    except UserError as error:
        raise run.at_origins(error) from None
    return replace(facts, transformers=version, devices=devices(run))
