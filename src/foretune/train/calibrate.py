"""What `foretune calibrate` does: measures this machine's CPU, times a few steps of a run here, or
takes what was measured elsewhere, and keeps it for the forecasts to come.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import UserError, refuse
from ..files import write_whole
from ..params.run import Run
from ..plan.calibration import Measured, Stack, keep
from ..plan.devices import Device, cpu_file
from ..plan.forecast import Forecast
from ..text import Said, place
from .foresee import foresee

STEPS = 8
"""Steps of a run that are timed where nobody says how many."""
SHORT: dict[str, object] = {
    "launch.train": True,
    "launch.evaluate": False,
    "launch.predict": False,
    "record.eval_strategy": "no",
    "record.save_strategy": "no",
    "record.resume": None,
    "record.load_best": False,
}
"""What a run that is only timed leaves out."""


def measured_machine(say: Callable[[str], None]) -> Device:
    """Measures the CPU and keeps it as the device "cpu"."""
    from .machine import measure_cpu

    device = measure_cpu(say)
    write_whole(cpu_file(), json.dumps(asdict(device), ensure_ascii=False, indent=1) + "\n")
    return device


def from_report(file: Path) -> Measured:
    """What a training report says of its own steps.

    Raises:
        UserError: where it is no report, or nothing was forecast that could be held against them.
    """
    try:
        content: Any = json.loads(file.read_text("utf-8"))
        found = content["measured"]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise refuse(
            what=Said(f"{file.name} is no training report", f"{file.name} 不是训练报告"),
            where=str(file),
            why=str(failure),
            fix=Said("give the report.json of a run", "给出某次训练的 report.json"),
        ) from None
    if found is None:
        raise refuse(
            what=Said("the report has no measured step", "报告中没有实测的步耗时"),
            where=str(file),
            why=Said(
                "too few steps were made, or nothing was known of the device when it ran",
                "步数太少，或运行时不了解该设备",
            ),
            fix=Said(
                "name the run and what was measured: foretune calibrate FILE... --device NAME "
                "--seconds S",
                "写出该次运行和实测值：foretune calibrate 文件... --device 名称 --seconds 秒数",
            ),
        )
    return Measured(**{**found, "stack": Stack(**found["stack"])})


def from_figures(
    run: Run,
    *,
    seconds: float | None,
    tokens_per_second: float | None,
    peak: float | None,
    device: str | None,
    gpus: str | None,
) -> Measured:
    """A run that was measured elsewhere: what a step took, or how many tokens of all devices
    together went through in a second; ``peak`` bytes of the allocator.

    Raises:
        UserError: where the step cannot be forecast: no model, no data, no device.
    """
    expected = foresee(run, device=device, gpus=gpus, needs_data=False)
    time, stack, usual = expected.time, expected.stack, expected.usual
    if time is None or stack is None or usual is None:
        raise _nothing_to_hold_against(expected)
    if seconds is None:
        assert tokens_per_second is not None, "one of the two is given"
        seconds = usual.all_tokens / tokens_per_second
    return Measured(
        stack=stack,
        when=datetime.now().isoformat(sep=" ", timespec="seconds"),
        source="by hand",
        seconds=seconds,
        forecast_seconds=time.seconds / time.factor,
        peak=peak,
        forecast_peak=expected.memory.allocated if peak and expected.memory else None,
    )


def _nothing_to_hold_against(expected: Forecast) -> UserError:
    lacks = (
        Said("the device is not named", "没有指明设备")
        if expected.hardware is None
        else Said("the sizes of the model are not known", "不知道模型的尺寸")
    )
    return refuse(
        what=Said("the step cannot be forecast", "无法预测这一步"),
        where=place("command line"),
        why=lacks,
        fix=Said(
            'name the run\'s files and --device, for example --device "RTX 4090"',
            '写出运行的文件和 --device，例如 --device "RTX 4090"',
        ),
    )


def timed_here(run: Run, *, steps: int, say: Callable[[str], None]) -> Measured:
    """Trains so many steps of the run on this machine, writes nothing of it, and says what a step
    took.

    Raises:
        UserError: where the run cannot start, asks for several processes, or nothing is known of
            the device that it is on.
    """
    if run.launch.all_processes > 1:
        raise refuse(
            what=Said("the run asks for several processes", "该运行需要多个进程"),
            where=str(run.origin("launch.processes")),
            why=Said("a few steps are timed in this process", "几步计时只在本进程内进行"),
            fix=Said(
                "train it, and give its report: foretune calibrate --report out/report.json",
                "先训练，再给出报告：foretune calibrate --report out/report.json",
            ),
        )
    from .conduct import device_of, execute
    from .measured import hardware_here

    if device_of(run) == "cpu" and hardware_here("cpu") is None:
        measured_machine(say)
    with TemporaryDirectory(prefix="foretune-") as folder:
        short = run.set({**SHORT, "schedule.max_steps": steps, "record.output": folder})
        report = execute(short, say=lambda _: None)
    if report.measured is None:
        raise refuse(
            what=Said("the steps that were timed say nothing", "计时的各步得不出结论"),
            where="command line",
            why=Said(
                "too few of them, or no data sheet knows this GPU",
                "步数太少，或规格表中没有这块 GPU",
            ),
            fix=Said(
                "time more (--steps 8), or name the GPU in a file (docs/forecast.md)",
                "多计几步（--steps 8），或用文件描述该 GPU（docs/zh/forecast.md）",
            ),
        )
    return report.measured


def kept(run: Measured) -> Path:
    """Keeps what was measured; returns the file."""
    return keep(run)
