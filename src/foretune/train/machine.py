"""What this machine's CPU does in a second: products, traffic, and what an operation takes to
start. Each is the best of several tries, so that what else runs here counts little.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ..plan.devices import Device

TRIES, TRY = 5, 0.02
"""How often each is timed, and for how many seconds at least."""
TOKENS, WIDTHS = 512, (256, 512)
SIZES = tuple(4**n for n in range(9, 14))
"""Bytes of tensors, from 256 KiB to 64 MiB: below, starting an operation takes longer."""
OPERATIONS = 40


def measure_cpu(say: Callable[[str], None] = lambda _: None) -> Device:
    """The CPU as a device, by the threads that torch has here.

    Without threads what counts is the time that the process computed, else that of the clock.
    """
    threads = torch.get_num_threads()
    name = f"{_model()}, {threads} thread{'s' if threads > 1 else ''}"
    say(name)
    tera = max(map(_products, WIDTHS))
    traffic = tuple((float(size), _traffic(size)) for size in SIZES)
    return Device(
        name=name,
        compute_capability=None,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 2),
        bandwidth_gbs=round(traffic[-2][1], 3),
        fp32=round(tera, 6),
        tf32=None,
        fp16=None,
        bf16=None,
        fp8=None,
        link_gbs=None,
        pcie_gbs=None,
        source="foretune calibrate",
        notes=f"torch {torch.__version__}",
        operation_us=round(_operation() * 1e6, 3),
        traffic=tuple((size, round(rate, 3)) for size, rate in traffic),
    )


def best(work: Callable[[], Any]) -> float:
    """Seconds of one piece of work, the least of several tries."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    work()
    begun, repeats = clock(), 0
    while clock() - begun < TRY:
        work()
        repeats += 1
    return min(_timed(work, repeats, clock) for _ in range(TRIES))


def _timed(work: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    begun = clock()
    for _ in range(max(repeats, 1)):
        work()
    return (clock() - begun) / max(repeats, 1)


def _products(width: int) -> float:
    """TFLOP/s of a linear of so many inputs and outputs."""
    linear = torch.nn.Linear(width, width, bias=False)
    x_TD = torch.randn(TOKENS, width)
    with torch.no_grad():
        return 2 * TOKENS * width * width / best(lambda: linear(x_TD)) / 1e12


def _traffic(size: int) -> float:
    """GB/s of a tensor of so many bytes that is read and written anew."""
    x = torch.randn(size // 4)
    return 2 * size / best(lambda: x * 1.1) / 1e9


def _operation() -> float:
    """Seconds of an operation on a few numbers, with its part of the backward pass."""
    x = torch.randn(8, requires_grad=True)

    def work() -> None:
        y = x
        for _ in range(OPERATIONS // 2):
            y = y * 1.0001 + 0.1
        y.sum().backward()
        x.grad = None

    return best(work) / OPERATIONS


def _model() -> str:
    """What the processor is called."""
    return next(_named(), "") or platform.processor() or platform.machine()


def _named() -> Iterator[str]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8", "replace").splitlines() if cpuinfo.is_file() else []
    return (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
