"""The forecast of a run from its files: what `foretune plan` says.

Needs no weights, and no torch unless tokens are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.read import Split, count_rows
from ..data.record import known_facts
from ..errors import UserError
from ..facts import DataFacts, Facts
from ..formats.model_config import ModelFile, config_path, model_file
from ..formats.published_model import published_model
from ..params.arch.shape import Shape
from ..params.resolve import impossible, resolve
from ..params.run import Run
from ..params.setting import Note
from ..plan.forecast import Forecast, forecast
from ..plan.of_run import hardware_of, on_gpus
from ..plan.traced import memory_of
from ..plan.version import installed, release
from ..text import Said, place
from .sizes import sizes_of

if TYPE_CHECKING:
    from ..plan.calibration import Measured


def foresee(
    run: Run,
    *,
    transformers: str | None = None,
    tokens: bool = False,
    sample: int | None = None,
    device: str | None = None,
    gpus: str | None = None,
    price: float | None = None,
    needs_data: bool = True,
    trace: bool = False,
) -> Forecast:
    """The forecast of a written run.

    Args:
        run: as written; a run that asks neither to train nor to evaluate is taken to train.
        transformers: the version whose arithmetic counts; the installed one where it is not given.
        tokens: encode the data with the model's tokenizer and count its tokens too. What was
            encoded before is known without.
        sample: encode so many rows of each file, drawn at random, and estimate the tokens.
        device: what it is to run on: the name of a GPU, or a file that describes a device.
        gpus: how many of them ('8'), and which if ``device`` does not say ('8xH100').
        price: of one of them for an hour.
        needs_data: refuse a run whose data files are not here; else its rows are not known.
        trace: run a training step without its device, and tell memory from that.
    """
    if not (run.launch.train or run.launch.evaluate or run.launch.predict):
        run = run.set({"launch.train": True})
    config = model_file(run)
    if config is None and not needs_data:
        run, config = as_published(run)
    shape, family = sizes_of(run, config)
    hardware = hardware_of(run, device, gpus)
    kind = "cpu" if run.launch.use_cpu else "cuda"
    run = resolve(on_gpus(run, gpus), shape, device=kind, complete=False)
    if problems := list(impossible(run, shape)):
        raise UserError(problems)
    version = transformers or installed("transformers")
    run, present = (run, run) if needs_data or tokens else _without_absent(run)
    if tokens or sample is not None:
        facts = measured(run, version, sample=sample)
    else:
        facts = _of_rows(run, present, version)
    expected = forecast(
        run,
        facts,
        _countable(run, shape),
        hardware=hardware,
        price=price,
        known=() if hardware is None else _known_runs(),
        stored_bits=0 if config is None else config.stored_bits,
        family=family,
    )
    if trace and run.launch.train:
        expected = with_trace(expected, config)
    if config is None or transformers is not None:
        return expected
    return replace(expected, run=run.add((), _as_its_writer_counted(expected, config)))


def _known_runs() -> tuple[Measured, ...]:
    """The runs of this stack that were measured before."""
    from ..plan.calibration import known_runs

    return tuple(known_runs())


def with_trace(expected: Forecast, config: ModelFile | None) -> Forecast:
    """The forecast with memory from a traced step. Raises UserError where none can be traced."""
    from .trace import traced

    keys = None if config is None or config_path(expected.run) else config.keys
    found = traced(expected.run, expected.facts, expected.shape, config=keys)
    facts = replace(expected.facts, trace=found)
    return replace(expected, facts=facts, traced=memory_of(found, expected.memory))


def as_published(run: Run) -> tuple[Run, ModelFile | None]:
    """The config that was published under the name of the run's model, which is not here, and the
    run with a note that says so.
    """
    config = published_model(run.model.path)
    if config is None:
        return run, None
    name = config.file
    note = Note(
        Said(f"the sizes are those published as {name}", f"尺寸取自公开发布的 {name}"),
        str(run.origin("model.path")),
        Said("its config.json is not here", "这里没有它的 config.json"),
    )
    return run.add((), [note]), config


def _countable(run: Run, shape: Shape | None) -> Shape | None:
    """The sizes of the model, where what is to train of it is known."""
    known = run.method.name != "ptuning" or run.method.prefix.length is not None
    return shape if known else None


def _without_absent(run: Run) -> tuple[Run, Run]:
    """The run with a note for every data file that is not here, and the run without these."""
    wanted = {
        "data.train": run.launch.train,
        "data.validation": run.evaluates,
        "data.test": run.launch.predict,
    }
    absent = [
        path
        for path, used in wanted.items()
        if used
        and run.data.dataset is None
        and (name := run.get(path)) is not None
        and not Path(name).expanduser().exists()
    ]
    notes = [
        Note(
            Said(f"{run.get(path)} is not here", f"{run.get(path)} 不在这里"),
            str(run.origin(path)),
            Said(
                "its rows are not counted, and what hangs on them is not said",
                "未统计其行数，依赖行数的结果不予给出",
            ),
        )
        for path in absent
    ]
    return run.add((), notes), run.model_copy(
        update={
            "data": run.data.model_copy(update={path.partition(".")[2]: None for path in absent})
        }
    )


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
            Said(
                f"transformers {version} made {then.steps:,} steps of this run",
                f"transformers {version} 会把这次训练算作 {then.steps:,} 步",
            ),
            place(config.file, config.lines.get("transformers_version")),
            Said(
                f"it saved this config.json; `foretune plan --transformers {version}` counts as it "
                "did",
                f"config.json 由它保存；`foretune plan --transformers {version}` 按它计数",
            ),
        )


def devices(run: Run) -> int:
    """Data-parallel processes: those that run already, or those that the launcher will start."""
    started = os.environ.get("WORLD_SIZE")
    return int(started) if started else run.launch.all_processes


def _of_rows(run: Run, present: Run, version: str) -> Facts:
    """What is known of a run without a tokenizer: the rows of those of its files that are here."""
    return Facts(
        transformers=version,
        devices=devices(run),
        train=_counted(run.launch.train, present.data.train, run, "train"),
        validation=_counted(run.evaluates, present.data.validation, run, "evaluate"),
        test=_counted(run.launch.predict, present.data.test, run, "predict"),
    )


def _counted(wanted: bool, file: str | None, run: Run, split: Split) -> DataFacts | None:
    if not wanted or (file is None and run.data.dataset is None):
        return None
    try:
        return known_facts(run, file, split) or count_rows(file, run.data, split=split)
    except UserError as error:
        raise run.at_origins(error) from None


def measured(run: Run, version: str, *, sample: int | None = None) -> Facts:
    """What the data comes to in tokens of the model's own tokenizer, or in those of ``sample`` rows
    of each file; imports the heavy half where that was not measured before.
    """
    from ..data.measure import measure

    def load() -> Any:
        from ..tokenizers import load_tokenizer

        return load_tokenizer(run.model.tokenizer or "")

    try:
        facts = measure(run, load, sample=sample)
    except UserError as error:
        raise run.at_origins(error) from None
    return replace(facts, transformers=version, devices=devices(run))
