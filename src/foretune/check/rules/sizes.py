"""What several rules ask of a run: how long its examples are, how its state is sharded."""

from __future__ import annotations

from ...params.run import Run
from ..rule import Subject

GIB = 2**30
STAGE = "deepspeed.zero_optimization.stage"


def example_tokens(run: Run) -> int:
    """The most tokens of one training example."""
    data = run.data
    return data.max_length or data.max_source_length + data.max_target_length


def uses_deepspeed(it: Subject) -> bool:
    """Whether DeepSpeed runs the training."""
    return it.get("launch.deepspeed") is not None or zero_stage(it) > 0


def zero_stage(it: Subject) -> int:
    """What DeepSpeed shards: 0 nothing, 1 the optimizer, 2 gradients too, 3 weights too."""
    stage = it.get(STAGE)
    return stage if isinstance(stage, int) else 0


def shards_weights(it: Subject) -> str | None:
    """The program that cuts every weight into pieces, where one does."""
    if zero_stage(it) == 3:
        return "ZeRO-3"
    return "FSDP" if it.get("launch.fsdp") else None


def processes(it: Subject) -> int:
    """Processes on all machines together."""
    return it.run.launch.all_processes


def processes_are_known(it: Subject) -> bool:
    """Whether their number is no guess: a launcher that is told none starts one per GPU, and a
    file without a command does not say who starts it.
    """
    plain = it.written("launch.launcher") and it.get("launch.launcher") == "python"
    return plain or it.written("launch.processes") or processes(it) > 1


OFFLOADED = {
    "deepspeed.zero_optimization.offload_optimizer.device": ("adam_bytes", "gradient_bytes"),
    "deepspeed.zero_optimization.offload_param.device": ("weight_bytes",),
}


def offloads(it: Subject) -> set[str]:
    """The amounts of memory that DeepSpeed moves off the GPU."""
    away = {
        name
        for path, names in OFFLOADED.items()
        if it.get(path) in ("cpu", "nvme")
        for name in names
    }
    fsdp = "offload" in str(it.get("launch.fsdp") or "")
    return {"weight_bytes", "gradient_bytes", "adam_bytes"} if fsdp else away
