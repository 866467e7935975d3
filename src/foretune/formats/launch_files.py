"""A run as the files that start it: the run file, DeepSpeed's and accelerate's where it has
several processes, and the commands to type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import refuse
from ..params.run import Run
from ..params.setting import Origin, Setting
from . import accelerate, deepspeed
from .run_file import write_run

RUN, DEEPSPEED, ACCELERATE = "run.yaml", "ds_config.json", "accelerate.yaml"


def launch_files(run: Run, folder: Path) -> dict[str, str]:
    """The text of every file by its name, as they are to lie in ``folder``."""
    if shards_with_deepspeed(run):
        run = run.add([_setting("launch.deepspeed", str(folder / DEEPSPEED))])
    found = {RUN: write_run(run)}
    if shards_with_deepspeed(run):
        found[DEEPSPEED] = deepspeed.write(run)
    found[ACCELERATE] = accelerate.write(run.add(_of_accelerate(run, folder)))
    return found


def shards_with_deepspeed(run: Run) -> bool:
    return run.launch.deepspeed is not None or run.deepspeed.zero_optimization.stage != 0


def _setting(path: str, value: object, key: str = "") -> Setting:
    return Setting(path, value, Origin(ACCELERATE if key else RUN, None, key or path))


def _of_accelerate(run: Run, folder: Path) -> Iterator[Setting]:
    """What accelerate's file says of a run, under the keys that it has there."""
    several = run.launch.all_processes > 1
    kind = "MULTI_GPU" if several else "NO"
    if shards_with_deepspeed(run):
        kind = "DEEPSPEED"
        file = str(folder / DEEPSPEED)
        yield _setting("launch.deepspeed", file, "deepspeed_config.deepspeed_config_file")
        if run.deepspeed.zero_optimization.stage == 3:
            yield _setting("accelerate.deepspeed_config.zero3_init_flag", True)
        if run.launch.nodes > 1:
            path = "accelerate.deepspeed_config.deepspeed_multinode_launcher"
            yield _setting(path, "standard")
    elif run.launch.fsdp is not None or run.accelerate.distributed_type == "FSDP":
        kind = "FSDP"
        yield from _of_fsdp(run)
    yield _setting("accelerate.compute_environment", "LOCAL_MACHINE", "compute_environment")
    yield _setting("accelerate.distributed_type", kind, "distributed_type")
    yield _setting("accelerate.mixed_precision", run.precision.mixed, "mixed_precision")
    yield _setting("launch.nodes", run.launch.nodes, "num_machines")
    yield _setting("launch.processes", run.launch.processes or 1, "num_processes")


def _of_fsdp(run: Run) -> Iterator[Setting]:
    """FSDP2 as transformers sets it up for the words of its own argument."""
    if run.launch.fsdp is None:
        return
    block = "accelerate.fsdp_config.fsdp_"
    words = run.launch.fsdp
    yield _setting(f"{block}version", 2)
    yield _setting(f"{block}reshard_after_forward", str("full_shard" in words).lower())
    yield _setting(f"{block}offload_params", "offload" in words)
    yield _setting(f"{block}auto_wrap_policy", "TRANSFORMER_BASED_WRAP")
    yield _setting(f"{block}state_dict_type", "FULL_STATE_DICT")


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
    if nodes == 1 and (each > 1 or not shards_with_deepspeed(run)):
        found = [f"foretune train {file}"]
    elif nodes == 1:  # DeepSpeed wants a launcher even for one process
        found = [f"torchrun --standalone --nproc-per-node=1 {start}"]
    else:
        found = [
            f"torchrun --nnodes={nodes} --nproc-per-node={each} --node-rank=NUMBER "
            f"--master-addr=FIRST_MACHINE --master-port=29500 {start}"
        ]
    machines = " --machine_rank=NUMBER --main_process_ip=FIRST_MACHINE" if nodes > 1 else ""
    if nodes * each > 1 or shards_with_deepspeed(run):
        found.append(f"accelerate launch --config_file {folder / ACCELERATE}{machines} {start}")
    return found
