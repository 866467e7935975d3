"""Bytes on disk: what a checkpoint of foretune's own trainer holds, and all of them together.

The weights are exact: a safetensors file is its header and its tensors. Of the small files beside
them (random state, schedule, arguments, config) the size was read off checkpoints that were
written with transformers 5.23; a tokenizer's own files are not counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..params.arch.shape import Shape
from ..params.run import Run
from .events import Events, kept
from .formula import formula
from .of_run import mixed_of, optimizer_of, program_of, zero_stage
from .parameters import weights_that_train

Tensor = tuple[str, tuple[int, ...]]

RANDOM_STATE = 14_500
"""rng_state.pth of a process."""
SMALL_FILES = 14_000
"""Schedule, arguments, config, the trainer's state without its log."""
LOG_LINE = 160
"""A logged step in trainer_state.json."""
RECORD = 210
"""What torch.save adds to a tensor."""
SCALER = 1_400


@formula("bytes")
def optimizer_file_bytes(trainable: int, moments: float, tensors: int) -> float:
    """What a checkpoint keeps of the optimizer: its numbers of every trained parameter, and three
    records a tensor.

    检查点中优化器部分：每个可训练参数的优化器状态，以及每个张量三条记录。
    """
    return trainable * moments * 4 + tensors * 3 * RECORD


@formula("bytes")
def disk_bytes(checkpoint: float, kept: int) -> float:
    """All checkpoints that stay when the run has ended.

    训练结束时留下的全部检查点。
    """
    return checkpoint * kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes of one checkpoint, and of those that stay."""

    weights: float
    """What was trained, in the method's own files."""
    optimizer: float
    other: float
    written: int | None
    """Checkpoints that are written in all; at most so many where the best alone are saved; None
    where the steps are not known.
    """
    kept: int | None

    @property
    def checkpoint(self) -> float:
        """Bytes of the last checkpoint, the fullest."""
        return self.weights + self.optimizer + self.other

    @property
    def total(self) -> float | None:
        """Bytes of those that stay."""
        return None if self.kept is None else disk_bytes(self.checkpoint, self.kept)

    @property
    def at_most(self) -> float | None:
        """Most bytes at any moment: a checkpoint is whole before an older one goes."""
        if self.kept is None or self.written is None:
            return None
        return disk_bytes(self.checkpoint, min(self.kept + 1, self.written))


def disk(run: Run, shape: Shape, trainable: int, events: Events | None) -> Disk:
    """The checkpoints of a resolved run; ``events`` where its steps are known."""
    tensors = list(trained_tensors(run, shape))
    casts = program_of(run) == "deepspeed" and mixed_of(run) != "no"
    weights = float(safetensors_bytes(tensors, 2 if casts else 4))
    if run.method.name == "freeze":  # the whole model, what is frozen in its own type
        saved, frozen = _saved(shape), KINDS.get(run.precision.dtype, "F32")
        kinds = dict.fromkeys(saved, frozen) | dict.fromkeys(dict(tensors), "F32")
        weights = float(safetensors_bytes(saved.items(), 2 if casts else 4, {} if casts else kinds))
    if run.method.name == "ptuning":  # once more under the names of the authors' scripts
        weights += 4 * trainable + RECORD * len(tensors) + 1_400
    optimizer, other = 0.0, float(SMALL_FILES + LOG_LINE * len(events.logs if events else ()))
    if not run.record.save_only_model:
        optimizer = _optimizer(run, trainable, len(tensors))
        other += RANDOM_STATE * run.launch.all_processes
        other += SCALER if mixed_of(run) == "fp16" else 0
    if program_of(run) == "deepspeed" and not run.record.save_only_model:
        half = 2 if casts else 4
        if zero_stage(run) < 3:  # in stage 3 the weights are in the optimizer's own files
            other += half * shape.num_parameters
    written = checkpoints_written(run, events)
    return Disk(
        weights=weights,
        optimizer=optimizer,
        other=other,
        written=written,
        kept=None if written is None else kept(run, written),
    )


def checkpoints_written(run: Run, events: Events | None) -> int | None:
    """Checkpoints that a run writes: one for each pass over the data is known without its steps."""
    by_passes = run.record.save_strategy == "epoch" and run.schedule.max_steps is None
    if by_passes:
        return math.ceil(run.schedule.epochs)
    if run.record.save_strategy == "no":
        return 0
    if events is None or (run.record.save_strategy == "epoch" and not events.saves):
        return None
    return len(events.saves)


def _optimizer(run: Run, trainable: int, tensors: int) -> float:
    name = optimizer_of(run)
    moments = {"sgd": 0.0, "sgd momentum": 1.0, "lion": 1.0, "adafactor": 0.01}
    each = moments.get(name.removeprefix("paged ").removesuffix(" 8bit"), 2.0)
    if name.endswith("8bit"):
        each *= 0.25
    if program_of(run) == "deepspeed" and mixed_of(run) != "no":
        each += 1  # the float32 copy of the weights
    return optimizer_file_bytes(trainable, each, tensors)


def trained_tensors(run: Run, shape: Shape) -> Iterator[Tensor]:
    """The tensors that train, by the names under which they are saved."""
    for one in weights_that_train(run, shape):
        if not one.tied:
            yield from ((name, one.shape) for name in one.names())


def _saved(shape: Shape) -> dict[str, tuple[int, ...]]:
    """All tensors of the model."""
    return {name: one.shape for one in shape.weights if not one.tied for name in one.names()}


KINDS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Number types as a safetensors file names them."""


def safetensors_bytes(
    tensors: Iterable[Tensor], bytes_each: int = 4, kinds: Mapping[str, str] | None = None
) -> int:
    """The size of a safetensors file: eight bytes, a header in JSON filled up to a multiple of
    eight, and the tensors (https://github.com/huggingface/safetensors, "Format"), the widest
    numbers first. ``kinds`` names the type of each tensor where they are not all of one.
    """
    every = {4: "F32", 2: "F16"}[bytes_each]
    named = [((kinds or {}).get(name, every), name, shape) for name, shape in tensors]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for kind, name, shape in sorted(named, key=lambda one: (one[0] != "F32", one[1])):
        size = 4 if kind == "F32" else 2
        for width in shape:
            size *= width
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    written = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-written // 8) * 8 + at
