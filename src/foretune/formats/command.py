"""A run as the arguments of a training program: by name, as flags, and as the script that starts
it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import cast

from ..params.run import Run, parameters
from . import accelerate, baichuan2, official, training_arguments
from .argument_text import Kind
from .json_text import plain

OLDER = {"overwrite_output_dir": "record.overwrite"}
"""An argument that transformers 5 has no longer, and the authors' scripts have."""


def arguments(run: Run, program: str, default: Run) -> dict[str, object]:
    """The arguments that a program is to be given, by name: what was written, and what differs
    from what it takes by itself.

    Args:
        run: the run that the program is to make.
        program: ``official.PROGRAM`` or ``baichuan2.PROGRAM``.
        default: the run that the program makes without an argument.
    """
    table = baichuan2 if program == baichuan2.PROGRAM else official
    found: dict[str, object] = {}
    taken: set[str] = set()
    for name, path in table.PATHS.items():
        value = run.get(path)
        if path not in taken and (run.written(path) or value != default.get(path)):
            taken.add(path)
            found[name] = run.method.name == "lora" if name == "use_lora" else value
    if table is official and run.method.name == "lora":
        found.setdefault("lora_rank", run.method.lora.rank)
    found |= trainers_arguments(run, default, taken)
    found |= {name: True for name, path in OLDER.items() if run.get(path)}
    return {name: plain(value) for name, value in found.items() if value is not None}


def trainers_arguments(run: Run, default: Run, taken: set[str]) -> dict[str, object]:
    """Those of transformers, but for the parameters that are ``taken`` care of; of two names the
    one that older versions have, too.
    """
    found: dict[str, object] = {}
    for name, path in training_arguments.KEYS.items():
        value = training_arguments.value_of(name, run)
        same = value == training_arguments.value_of(name, default)
        idle = name in training_arguments.TWINS and value is False
        if path in taken or name in training_arguments.NEWER.values() or idle:
            continue
        if value is not None and (run.written(path) or not same):
            found[name] = value
    return found


def flags(run: Run, program: str, default: Run) -> Iterator[tuple[str, ...]]:
    """The same as words of a command line, those of one argument together; without what a command
    line cannot say: an empty list, and a list where one word is taken.
    """
    for name, value in arguments(run, program, default).items():
        kind = _kind_of(name)
        if kind == "list" or isinstance(value, list):
            words = value.split() if isinstance(value, str) else cast(list[object], value)
            if words and kind == "list":
                yield (f"--{name}", *map(text_of, words))
        elif value is True and _may_stand_alone(name):
            yield (f"--{name}",)
        else:
            text = text_of(value)
            yield (f"--{name}={text}",) if text.startswith("-") else (f"--{name}", text)


def _kind_of(name: str) -> Kind:
    for table in (official, baichuan2):
        if name in table.NAMES:
            return table.kind_of(name)
    return training_arguments.kind_of(name)


def _may_stand_alone(name: str) -> bool:
    paths = {**baichuan2.PATHS, **official.PATHS, **training_arguments.KEYS, **OLDER}
    is_switch = name == "use_lora" or name in training_arguments.TWINS
    return is_switch or parameters()[paths[name]].annotation is bool


def text_of(value: object) -> str:
    """A value as a word: 0.0001, True, JSON for a mapping."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def script(run: Run, program: str, default: Run) -> str:
    """A script that starts a program as the run is started, with one argument a line."""
    lines = [
        f"export {name}={shlex.quote(value)}" for name, value in run.launch.environment.items()
    ]
    first = [*front(run), program]
    if run.launch.visible_devices is not None and not _includes(run):
        first.insert(0, f"CUDA_VISIBLE_DEVICES={shlex.quote(run.launch.visible_devices)}")
    command = [" ".join(first)]
    command += [" ".join(map(quoted, words)) for words in flags(run, program, default)]
    return "\n".join([*lines, *([""] if lines else []), " \\\n    ".join(command)]) + "\n"


def quoted(word: str) -> str:
    """A word as a shell reads it: quotes where it needs them."""
    return word if re.fullmatch(r"[\w@%+=:,./\u4e00-\u9fff-]+", word) else shlex.quote(word)


def _includes(run: Run) -> bool:
    """Whether the deepspeed launcher is told its devices by an option of its own."""
    return run.launch.launcher == "deepspeed" and bool(run.launchers.deepspeed.include)


def front(run: Run) -> list[str]:
    """The words in front of the program."""
    makers = {"torchrun": _torchrun, "deepspeed": _deepspeed, "accelerate": _accelerate}
    if run.launch.launcher not in makers:
        return ["python3"]
    words = (word for part in makers[run.launch.launcher](run) for word in part)
    return [quoted(word) for word in words]


def _torchrun(run: Run) -> Iterator[tuple[str, ...]]:
    yield ("torchrun",)
    if run.launch.nodes != 1 or run.written("launch.nodes"):
        yield (f"--nnodes={run.launch.nodes}",)
    if run.launch.processes is not None:
        yield (f"--nproc_per_node={run.launch.processes}",)
    yield from _own(run, "torchrun")


def _deepspeed(run: Run) -> Iterator[tuple[str, ...]]:
    yield ("deepspeed",)
    if not _includes(run):
        visible = run.launch.visible_devices
        if run.launch.nodes != 1:
            yield (f"--num_nodes={run.launch.nodes}",)
        count = run.launch.processes
        if count is not None and (visible is None or len(visible.split(",")) != count):
            yield (f"--num_gpus={count}",)
    yield from _own(run, "deepspeed")


def _own(run: Run, launcher: str) -> Iterator[tuple[str, ...]]:
    """The options that only one launcher has."""
    prefix = f"launchers.{launcher}."
    for path, field in parameters().items():
        value = run.get(path)
        if path.startswith(prefix) and value is not None and value != field.default:
            name = path.removeprefix(prefix)
            yield (f"--{name}",) if value is True else (f"--{name}={_joined(value)}",)


def _joined(value: object) -> str:
    """A value as one word: a list between commas."""
    if isinstance(value, tuple):
        return ",".join(text_of(one) for one in cast(tuple[object, ...], value))
    return text_of(value)


def _accelerate(run: Run) -> Iterator[tuple[str, ...]]:
    yield ("accelerate", "launch")
    file = run.accelerate.command.config_file
    if run.launch.processes is not None and not _from(run, "launch.processes", file):
        yield (f"--num_processes={run.launch.all_processes}",)
    if run.launch.nodes != 1 and not _from(run, "launch.nodes", file):
        yield (f"--num_machines={run.launch.nodes}",)
    for path, name in _accelerates_flags(run).items():
        value = run.get(path)
        if value == parameters()[path].default or value is None or _from(run, path, file):
            continue
        switch = name in accelerate.SWITCHES
        if value is True and switch:
            yield (f"--{name}",)
        elif path in accelerate.REPEATED:
            yield from ((f"--{name}={one}",) for one in cast(tuple[str, ...], value))
        elif not switch:
            yield (f"--{name}={_joined(value)}",)


def _from(run: Run, path: str, file: str | None) -> bool:
    """Whether a value stands in accelerate's file, which the command names."""
    return file is not None and run.origin(path).file.endswith(file)


def _accelerates_flags(run: Run) -> Mapping[str, str]:
    """Parameter -> the flag for it, of those that the program has no flag for."""
    left_out = ("no_tpu_cluster", "q", "t", "m")
    short = {name: path for name, path in accelerate.flags().items() if name not in left_out}
    table = {path: name for name, path in short.items() if path.startswith(accelerate.PREFIX)}
    table["accelerate.mixed_precision"] = "mixed_precision"
    if run.launch.deepspeed is None:
        table |= {path: name for name, path in short.items() if path.startswith(accelerate.ZERO)}
    return table
