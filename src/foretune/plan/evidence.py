"""What stands behind a forecast: how many published runs of grade A, of software of 2024 on, it was
held against. docs/forecast.md shows their errors, and benchmarks/published.py counts them.
"""

from __future__ import annotations

from ..params.declare import Words
from ..params.run import Run

MEMORY_ROWS = {"full": 27, "lora": 1, "qlora": 1, "ptuning": 0}
"""Rows with a measured peak of memory, by method; pre-training counts as full."""
TIME_ROWS = {"full": 254, "lora": 1, "qlora": 1, "ptuning": 0}
"""Rows with a measured time, by method, those that the rates were fitted to among them."""


def method_of(run: Run) -> str:
    """The method as the tables name it."""
    if run.method.name == "lora" and run.precision.quantize is not None:
        return "qlora"
    return run.method.name or "full"


def behind(rows: int) -> Words:
    """How many runs stand behind a figure, in words."""
    if rows == 0:
        return Words(
            "no published run of this method stands behind it",
            "没有已发表的同类方法运行可供对照",
        )
    return Words(
        f"held against {rows} published run{'s' if rows > 1 else ''} of this method",
        f"与 {rows} 个已发表的同类方法运行对照过",
    )
