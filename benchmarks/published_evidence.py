"""What stands behind a forecast, as ``foretune plan`` prints it: errors of published runs by
method, generation of the device and source, for src/foretune/plan/evidence.json.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from published_stacks import Row

from foretune.plan.fitted import FITTED_TIMES_ON
from foretune.plan.setup import Setup
from foretune.plan.step_time import Hardware


class Planned(Protocol):
    """A row as the planner takes it."""

    @property
    def setup(self) -> Setup: ...
    @property
    def hardware(self) -> Hardware | None: ...


class Result(Protocol):
    """A row beside its forecast."""

    @property
    def row(self) -> Row: ...
    @property
    def planned(self) -> Planned: ...
    @property
    def what(self) -> str: ...
    @property
    def new(self) -> bool: ...
    @property
    def error(self) -> float: ...


def method_of(setup: Setup) -> str:
    """The method as plan/evidence.py names it; pre-training counts as full."""
    if setup.adapter is None:
        return "full"
    if setup.adapter.prefix:
        return "ptuning"
    return "lora" if setup.packing is None else "qlora"


def cells(found: Iterable[Result]) -> list[dict[str, Any]]:
    """Errors of the rows of grades A and B of 2024 on, those alike together."""
    groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for one in found:
        if not one.new or one.row["quality"] not in ("A", "B"):
            continue
        hardware, source = one.planned.hardware, one.row["source"]
        groups[
            one.what,
            one.row["quality"],
            method_of(one.planned.setup),
            hardware.generation if hardware is not None else None,
            source,
            one.what == "time" and source in FITTED_TIMES_ON,
        ].append(round(one.error, 4))
    names = ("what", "grade", "method", "generation", "source", "fitted")
    ordered = sorted(groups.items(), key=lambda item: str(item[0]))
    return [dict(zip(names, key, strict=True)) | {"errors": errors} for key, errors in ordered]


def write(found: Iterable[Result], file: Path) -> None:
    """Write the cells, one a line."""
    lines = ",\n".join(f"  {json.dumps(one)}" for one in cells(found))
    file.write_text(f"[\n{lines}\n]\n", "utf-8")
