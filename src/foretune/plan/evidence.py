"""What stands behind a forecast: how near it came to runs that others published, of software of
2024 on.

evidence.json holds the errors by method, generation of the device and source, as
``benchmarks/published.py FILE --evidence`` wrote them; docs/forecast.md says which rows miss.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

from ..params.declare import Words
from ..params.run import Run

What = Literal["memory", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Errors of published runs: forecast / measured - 1."""

    errors: tuple[float, ...]
    sources: tuple[str, ...]

    @property
    def rows(self) -> int:
        return len(self.errors)

    @property
    def median(self) -> float:
        """Size of the error that half of the rows do not exceed."""
        return median(map(abs, self.errors))

    @property
    def p90(self) -> float:
        """Size of the error that nine of ten rows do not exceed."""
        ordered = sorted(map(abs, self.errors))
        return ordered[min(int(0.9 * len(ordered)), len(ordered) - 1)]


@cache
def evidence(
    what: What,
    method: str | None = None,
    generation: int | None = None,
    *,
    fitted: bool | None = None,
    grade: str = "A",
) -> Evidence:
    """The published runs of a method on one generation of devices, of all where it is None.

    Args:
        generation: first number of the compute capability.
        fitted: True for the runs that rates were fitted to, False for the others, None for all.
        grade: A where the source gives every setting, B where it leaves one out.
    """
    fits = [
        one
        for one in _cells()
        if one["what"] == what
        and one["grade"] == grade
        and method in (None, one["method"])
        and generation in (None, one["generation"])
        and fitted in (None, one["fitted"])
    ]
    return Evidence(
        errors=tuple(error for one in fits for error in one["errors"]),
        sources=tuple(sorted({one["source"] for one in fits})),
    )


@cache
def _cells() -> Sequence[dict[str, Any]]:
    return json.loads(Path(__file__).with_name("evidence.json").read_text("utf-8"))


METHODS = ("full", "lora", "qlora", "ptuning", "freeze")
MEMORY_ROWS = {one: evidence("memory", one).rows for one in METHODS}
"""Rows of grade A with a measured peak of memory, by method; pre-training counts as full."""
TIME_ROWS = {one: evidence("time", one).rows for one in METHODS}
"""Rows of grade A with a measured time, by method, those that the rates were fitted to among
them."""


def method_of(run: Run) -> str:
    """The method as the tables name it."""
    if run.method.name == "lora" and run.precision.quantize is not None:
        return "qlora"
    return run.method.name or "full"


SEEN = ("Llama", "ModelArgs")
"""The families, of those that have a file in params/arch, whose runs are among them; the others are
MPT."""


def behind(
    what: What, method: str, family: str | None = None, generation: int | None = None
) -> Words:
    """What stands behind a figure, in words: how many runs of the method and how near it came to
    them, how many of them on such a device, and whether any is of the model's family.
    """
    found, used = evidence(what, method, fitted=False), evidence(what, method, fitted=True).rows
    if not found.rows and not used:
        return Words(
            "no published run of this method stands behind it",
            "没有已发表的同类方法运行可供对照",
        )
    if not found.rows:
        return Words(
            f"its rates fitted to {_runs(used)} of this method, and held against none",
            f"速率由 {used} 个已发表的同类方法运行拟合，没有其他运行可供对照",
        )
    en = f"held against {_runs(found.rows)} of this method"
    zh = f"与 {found.rows} 个已发表的同类方法运行对照过"
    if found.rows > 1:
        en += f" (half of them within {found.median:.1%}, nine of ten within {found.p90:.1%})"
        zh += f"（一半误差在 {found.median:.1%} 以内，九成在 {found.p90:.1%} 以内）"
    if used:
        en += f", its rates fitted to {used} more"
        zh += f"，速率由另外 {used} 个运行拟合"
    if generation is not None:
        same = evidence(what, method, generation, fitted=False).rows
        en += f"; {same or 'none'} of them on this generation of device"
        zh += f"；其中 {same} 个在这一代设备上"
    if family is not None and family not in SEEN:
        en += f"; none of them of {family}"
        zh += f"；其中没有 {family}"
    return Words(en, zh)


def _runs(count: int) -> str:
    return f"{count} published run{'' if count == 1 else 's'}"
