"""A training step of a run without its device: what it holds at each moment, part by part.

The step is the real one: the model, the method, the optimizer and the loss of the run, run by torch
on tensors without numbers (FakeTensorMode) on a device that is registered for it. Every storage is
written down, and the list is played through a model of torch's allocator. A few blocks are traced,
and tell of all. It takes some ten seconds, in a process of its own, and no weights; the answer is
kept in the user's cache under what it hangs on.

This module imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from ...errors import Problem, UserError, refuse
from ...facts import Facts, Trace
from ...files import content_hash, own_folder, write_whole
from ...formats.model_config import config_path
from ...params.arch.shape import Shape
from ...params.run import Run
from ...plan.of_run import longest, longest_source, mixed_of, program_of

LIBRARIES = ("torch", "transformers", "peft", "accelerate")
DECIDES = ("model", "method", "precision", "optim", "batch")
"""Parts of a run that decide what a step holds."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The sizes of one step."""

    micro: int
    length: int
    """Tokens of a row; of the answer, where an encoder reads the prompt."""
    source: int
    """Tokens that an encoder reads; 0 where there is none."""
    accumulation: int


def traced(
    run: Run,
    facts: Facts,
    shape: Shape | None,
    *,
    config: Mapping[str, Any] | None = None,
    every: bool = False,
    say: Say | None = None,
) -> Trace:
    """One training step of a resolved run on one device, traced, or as it was traced before.

    Args:
        run: resolved; neither its weights nor its data are read.
        facts: what was measured of its data: the longest row.
        shape: the sizes of its model, where they are known.
        config: the keys of its config.json, where that is no file here.
        every: trace all blocks instead of a few that tell of all.
        say: is told how far it is; a line on the standard error where that is a terminal.

    Raises:
        UserError: where the run is not one device's own, or where tracing fails, with what failed.
    """
    _refuse_sharded(run)
    step = step_of(run, facts, shape)
    key = key_of(run, step, config, every=every)
    found = _kept(key)
    if found is None:
        asked = {"run": run, "config": config, "step": asdict(step), "every": every}
        found = _answered(_ask(pickle.dumps(asked), say or _on_terminal), run)
        _keep(key, found)
    return _trace(found, step)


def step_of(run: Run, facts: Facts, shape: Shape | None) -> Step:
    """The longest batch of a run."""
    data, batch = run.data, run.batch
    source = 0
    if shape is None:
        length = data.max_length or data.max_source_length + data.max_target_length + 1
    else:
        length, source = longest(run, shape, facts), longest_source(run, shape, facts)
    return Step(micro=batch.micro, length=length, source=source, accumulation=batch.accumulation)


def _refuse_sharded(run: Run) -> None:
    """Raises UserError where a device holds a part of the model only, or blocks are of two kinds
    and a few do not stand for all.
    """
    if run.method.name == "freeze":
        raise refuse(
            what="a step that trains some of the blocks is not traced",
            where=str(run.origin("method.name")),
            why="tracing builds a few blocks, and takes all others to be like them",
            fix="leave --trace out: the formulas know which blocks train",
        )
    program = program_of(run)
    if program == "none":
        return
    raise refuse(
        what=f"a step of this run is shared out by {program}, and is not traced",
        where=str(run.origin("launch.fsdp" if program == "fsdp" else "launch.deepspeed")),
        why="tracing follows one device that holds the whole model",
        fix="leave --trace out: the formulas know what each device has of the model",
    )


# The other process


def _ask(asked: bytes, say: Say) -> tuple[str, int, list[str]]:
    """What the tracing process answers, how it ended, and the last that it said."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__name__}.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **hidden},
    )
    assert process.stdin and process.stdout and process.stderr
    last: deque[str] = deque(maxlen=12)
    listener = threading.Thread(target=_listen, args=(process.stderr, say, last), daemon=True)
    listener.start()
    try:
        process.stdin.write(asked)
        process.stdin.close()
        answer = process.stdout.read().decode()
        code = process.wait()
        listener.join()
    except BrokenPipeError:
        answer, code = "", process.wait()
    finally:
        process.kill()
        process.wait()
        say("")
    return answer, code, list(last)


SAYS = "tracing: "
"""In front of what the tracing process says of its progress."""


def _listen(source: IO[bytes], say: Say, last: deque[str]) -> None:
    for line in source:
        text = line.decode(errors="replace").rstrip()
        if text.startswith(SAYS):
            say(text)
        elif text:
            last.append(text)


def _on_terminal(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="" if text else "\r", file=sys.stderr, flush=True)


def _answered(answered: tuple[str, int, list[str]], run: Run) -> dict[str, Any]:
    """The figures. Raises UserError for the problems that came instead, or for none of both."""
    text, code, last = answered
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        found = {"failed": f"the process ended with {code}: {last[-1] if last else 'no word'}"}
    if "problems" in found:
        raise UserError(Problem(**problem) for problem in found["problems"])
    if "failed" in found:
        raise refuse(
            what="a step of this run cannot be traced",
            where=str(run.origin("model.path")),
            why=found["failed"],
            fix="leave --trace out: the formulas need no step",
        )
    return found


def _trace(found: dict[str, Any], step: Step) -> Trace:
    batches = min(step.accumulation, 2)
    return Trace(
        **asdict(step),
        layers=found["layers"],
        traced=found["traced"],
        moments=found["moments"],
        between=found["between"],
        reserved=found["reserved"],
        flops=found["flops"] / batches * step.accumulation,
        seconds=found["seconds"],
        versions=found["versions"],
    )


# What was traced before


def versions() -> dict[str, str]:
    """Of the libraries that decide what a step holds."""
    return {name: metadata.version(name) for name in LIBRARIES}


def key_of(run: Run, step: Step, config: Mapping[str, Any] | None, *, every: bool) -> str | None:
    """The name of the record; None where the model's config is not known here."""
    file = config_path(run)
    if file is None and config is None:
        return None
    told = {
        "config": content_hash(file) if file is not None else dict(config or {}),
        "run": {name: run.get(name).model_dump(mode="json") for name in DECIDES},
        "mixed": mixed_of(run),
        "step": [asdict(step), every],
        "versions": versions(),
        "code": [content_hash(file) for file in sorted(_code())],
    }
    told["run"]["model"] = {"attention": run.model.attention}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _code() -> list[Path]:
    """The code whose step it is: a record of other code is none."""
    package = Path(__file__).parents[2]
    return [
        file for name in ("train/trace", "tune", "models") for file in (package / name).glob("*.py")
    ]


def _place(key: str) -> Path:
    return own_folder("cache") / "traced" / f"{key}.json"


def _kept(key: str | None) -> dict[str, Any] | None:
    if key is None:
        return None
    try:
        found = json.loads(_place(key).read_text("utf-8"))
        return found if {"moments", "between", "flops"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _keep(key: str | None, found: dict[str, Any]) -> None:
    if key is None:
        return
    try:
        write_whole(_place(key), json.dumps(found))
    except OSError:  # a cache that cannot be written is none
        return
