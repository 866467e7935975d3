"""Starting the processes that a script's launcher would have started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from ..errors import refuse
from ..params.run import Run
from ..text import counted


def started_by_launcher() -> bool:
    """Whether this process is one of several that torchrun (or its like) has started."""
    return "WORLD_SIZE" in os.environ


def set_environment(run: Run) -> None:
    """The variables that stood in front of the command, for this process and those it starts;
    before torch is imported.
    """
    for name, value in run.launch.environment.items():
        os.environ.setdefault(name, value)
    if run.launch.visible_devices is not None:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", run.launch.visible_devices)


def refuse_other_processes(run: Run, running: int) -> None:
    """Raises UserError where a run that asks for several processes is started in another number."""
    asked = run.launch.all_processes
    if asked not in (1, running):
        raise refuse(
            what=f"{counted(asked, 'process', 'processes')} are asked for, and {running} runs",
            where=str(run.origin("launch.processes")),
            why="the total batch, and with it every step, depends on their number",
            fix="start it with `foretune train` or torchrun, or set launch.processes=1",
        )


def needs_processes(run: Run) -> bool:
    """Whether the run asks for several processes, and they do not run already."""
    return run.launch.all_processes > 1 and not started_by_launcher()


def relaunch(run: Run, line: Sequence[str]) -> int:
    """Starts the command ``line`` once per process, as the run's launcher would; its exit status.

    Raises:
        UserError: for a run on several machines.
    """
    if run.launch.nodes > 1:
        raise refuse(
            what=f"the script asks for {run.launch.nodes} nodes",
            where=str(run.origin("launch.nodes")),
            why="the processes of other machines cannot be started from here",
            fix="on every node: torchrun --nnodes=... --node-rank=... -m foretune train ...",
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={run.launch.processes or 1}", "-m", "foretune", *line]
    return subprocess.run(command, check=False).returncode
