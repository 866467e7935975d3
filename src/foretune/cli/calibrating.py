"""The verb that makes the forecasts of a machine sharper: calibrate."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import refuse
from ..params.setting import COMMAND_LINE
from ..plan.calibration import Measured, calibrations, history_file, known_runs
from ..text import Said, in_language, size
from .words import Words, positive, read_run, whole_number

BY_HAND = ("seconds", "tokens_per_second")


def calibrate(words: Words) -> int:
    """Measures this machine, or keeps what a run was measured to take."""
    from ..train.calibrate import from_figures, from_report, kept, measured_machine, timed_here

    language, options = words.language(), words.options

    def say(text: str) -> None:
        print(in_language(text, language))

    if "list" in options:
        for line in _known():
            say(line)
        return 0
    of_run = bool(words.files or words.flags or words.set)
    if "report" in options:
        run = from_report(Path(options["report"]).expanduser())
    elif not of_run:
        _refuse_without_run(words)
        device = measured_machine(lambda name: print(name, file=sys.stderr))
        for line in _of_machine(device):
            say(line)
        return 0
    elif any(name in options for name in BY_HAND):
        peak = positive(words, "peak_gib")
        run = from_figures(
            read_run(words),
            seconds=positive(words, "seconds"),
            tokens_per_second=positive(words, "tokens_per_second"),
            peak=None if peak is None else peak * 2**30,
            device=options.get("device"),
            gpus=options.get("gpus"),
        )
    else:
        steps = whole_number(words, "steps") or 8
        run = timed_here(
            read_run(words), steps=steps, say=lambda text: print(text, file=sys.stderr)
        )
    file = kept(run)
    for line in _of_run(run):
        say(line)
    say(Said(f"kept in {file}; `foretune plan` uses it", f"已存入 {file}，`foretune plan` 会使用"))
    return 0


def _refuse_without_run(words: Words) -> None:
    lost = next((name for name in words.options if name not in ("lang", "list", "report")), None)
    if lost is not None:
        raise refuse(
            what=Said(f"--{lost} without a run", f"--{lost} 没有对应的运行"),
            where=COMMAND_LINE,
            why=Said("it is about what a run took", "它说明某次运行的实测值"),
            fix=Said(
                "name the run's files: foretune calibrate train.sh --seconds 1.8 --device h100",
                "写出运行的文件：foretune calibrate train.sh --seconds 1.8 --device h100",
            ),
        )


def _of_machine(device: object) -> Iterator[str]:
    from ..plan.devices import Device, cpu_file

    assert isinstance(device, Device)
    tera, each = (device.fp32 or 0) * 1e3, device.operation_us or 0
    rates = ", ".join(f"{size(at)}: {rate:.1f}" for at, rate in device.traffic)
    yield Said(
        f"{device.name}: {tera:,.0f} GFLOP/s in products, {each:.1f} µs to start an operation; "
        f"GB/s for a tensor of {rates}",
        f"{device.name}：矩阵乘法 {tera:,.0f} GFLOP/s，启动一次运算 {each:.1f} 微秒；"
        f"各大小张量的 GB/s：{rates}",
    )
    yield Said(
        f"kept in {cpu_file()}; runs that say use_cpu, and --device cpu, are forecast with it",
        f"已存入 {cpu_file()}；写了 use_cpu 的运行和 --device cpu 会用它预测",
    )


def _of_run(run: Measured) -> Iterator[str]:
    stack = run.stack
    yield Said(
        f"a step took {run.seconds:.4g} s, forecast without calibration {run.forecast_seconds:.4g} "
        f"s: factor {run.factor:.3f}",
        f"一步实测 {run.seconds:.4g} 秒，未校准的预测为 {run.forecast_seconds:.4g} 秒：系数 "
        f"{run.factor:.3f}",
    )
    if not 0.5 < run.factor < 2:
        yield Said(
            "that is far from 1: look whether this step, on this device, is what was measured",
            "与 1 相差很大：请核对所测的是否就是这台设备上的这一步",
        )
    if run.memory_factor is not None:
        yield Said(
            f"the allocator had {size(run.peak or 0)} at most, forecast "
            f"{size(run.forecast_peak or 0)}: factor {run.memory_factor:.3f}",
            f"分配器峰值实测 {size(run.peak or 0)}，预测 {size(run.forecast_peak or 0)}：系数 "
            f"{run.memory_factor:.3f}",
        )
    told = f"{stack.device}, {stack.family}, {stack.method}, torch {stack.torch}, transformers "
    yield told + stack.transformers


def _known() -> Iterator[str]:
    given = calibrations()
    for run in given:
        stack = run.stack
        of = f"{stack.device}, {stack.family}, {stack.method}, torch {stack.torch}"
        yield f"{run.factor:.3f}  {of}, {run.when}, {run.source}"
    others = len(known_runs()) - len(given)
    yield Said(
        f"{len(given)} kept, and {others} in the history ({history_file()})",
        f"已存 {len(given)} 条，历史记录中有 {others} 条（{history_file()}）",
    )
