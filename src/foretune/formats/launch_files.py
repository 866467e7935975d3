"""A run as the files that start it: the run file, DeepSpeed's and accelerate's where it has
several processes, and the commands to type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import refuse
from ..params.run import Run
from ..params.setting import Origin, Setting
from . import accelerate, deepspeed
from .run_file import write_run

RUN, DEEPSPEED, ACCELERATE = "run.yaml", "ds_config.json", "accelerate.yaml"


def launch_files(run: Run, folder: Path) -> dict[str, str]:
    """The text of every file by its name, as they are to lie in ``folder``."""
    found: dict[str, str] = {}
    if shards_with_deepspeed(run):
        run = run.add([_setting("launch.deepspeed", str(folder / DEEPSPEED))])
        found[DEEPSPEED] = deepspeed.write(run)
    found[ACCELERATE] = accelerate.write(_for_accelerate(run))
    return {RUN: write_run(run), **found}


def shards_with_deepspeed(run: Run) -> bool:
    return run.launch.deepspeed is not None or run.deepspeed.zero_optimization.stage != 0


def shards_with_accelerate(run: Run) -> bool:
    """Whether accelerate's launcher alone makes FSDP shard it: no argument of the trainer does."""
    return run.accelerate.distributed_type == "FSDP" and run.launch.fsdp is None


def _setting(path: str, value: object) -> Setting:
    return Setting(path, value, Origin(RUN, None, path))


def _for_accelerate(run: Run) -> Run:
    """The run as accelerate's file is written of it: the keys that it needs now, whatever file of
    accelerate it was read from. Beside a file of DeepSpeed accelerate refuses a precision.
    """
    bare = run.model_copy(update={"settings": ()})
    kind = "MULTI_GPU" if run.launch.all_processes > 1 else "NO"
    asked: dict[str, object] = {"mixed_precision": None}
    if shards_with_deepspeed(run):
        kind = "DEEPSPEED"
        if run.deepspeed.zero_optimization.stage == 3:
            asked["deepspeed_config.zero3_init_flag"] = True
        if run.launch.nodes > 1:
            asked["deepspeed_config.deepspeed_multinode_launcher"] = "standard"
    elif run.launch.fsdp is not None or shards_with_accelerate(run):
        kind = "FSDP"
        asked |= _fsdp(run.launch.fsdp) if run.launch.fsdp is not None else {}
    asked["distributed_type"] = kind
    return bare.add(_setting(f"accelerate.{key}", value) for key, value in asked.items())


def _fsdp(words: str) -> dict[str, object]:
    """FSDP2 as transformers sets it up for the words of its own argument."""
    found: dict[str, object] = {
        "version": 2,
        "reshard_after_forward": str("full_shard" in words).lower(),
        "offload_params": "offload" in words,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "FULL_STATE_DICT",
    }
    return {f"fsdp_config.fsdp_{key}": value for key, value in found.items()}


def write_launch_files(run: Run, folder: Path, *, force: bool = False) -> list[Path]:
    """Writes them all, or none.

    Args:
        force: write over what lies there.

    Raises:
        UserError: where one of them is there already, or the folder cannot be written.
    """
    texts = launch_files(run, folder)
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise refuse(
            what=f"{', '.join(there)} in {folder} would be written over",
            where="--write",
            why="they may be somebody's work",
            fix="name another folder, or add --force",
        )
    asides = {name: folder / f".{name}.unfinished" for name in texts}
    try:
        _write(texts, asides, folder)
    except OSError as failure:
        raise refuse(
            what=f"{folder} cannot be written: {failure.strerror or failure}",
            where="--write",
            why="the run file and those beside it are to lie there",
            fix="name a folder that can be written",
        ) from None
    finally:
        for aside in asides.values():
            if aside.is_file():
                aside.unlink()
    return [folder / name for name in texts]


def _write(texts: Mapping[str, str], asides: Mapping[str, Path], folder: Path) -> None:
    """All aside first; once every one is whole they get their names. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        if (folder / name).is_dir():
            raise IsADirectoryError(None, f"{name} is a folder")
        asides[name].write_text(text, encoding="utf-8")
    for name, aside in asides.items():
        aside.replace(folder / name)


def commands(run: Run, folder: Path) -> list[str]:
    """How a run that was written to ``folder`` is started, each a way of its own."""
    file, nodes, each = folder / RUN, run.launch.nodes, run.launch.processes or 1
    start = f"-m foretune train {file}"
    if nodes > 1:
        way = (
            f"torchrun --nnodes={nodes} --nproc-per-node={each} --node-rank=NUMBER "
            f"--master-addr=FIRST_MACHINE --master-port=29500 {start}"
        )
    elif each == 1 and shards_with_deepspeed(run):  # which wants a launcher even for one process
        way = f"torchrun --standalone --nproc-per-node=1 {start}"
    else:
        way = f"foretune train {file}"
    found = [] if shards_with_accelerate(run) else [way]
    machines = " --machine_rank=NUMBER --main_process_ip=FIRST_MACHINE" if nodes > 1 else ""
    if nodes * each > 1 or shards_with_deepspeed(run):
        found.append(f"accelerate launch --config_file {folder / ACCELERATE}{machines} {start}")
    return found
