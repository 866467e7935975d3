"""The forecast held against runs that others measured and published.

    python benchmarks/published.py FILE [--worst 12] [--fit] [--evidence FILE]

FILE is a table of runs in JSON (rows with source, software, model, settings, device, and what was
measured; docs/forecast.md says which keys are read). Every row goes through the formulas of
``foretune.plan``; the errors are printed by source and grade (A: all settings given; B: one is
missing; C: rough). The last line is one JSON object.

``--evidence`` writes what `foretune plan` says of a forecast's proof (plan/evidence.json).

The rates of the time model are fitted to the rows of half of the sources, and ``time_a`` counts
the others: of all sources in alphabetical order every second one was taken for the fit, and the
names stand in ``foretune.plan.fitted``. Nothing of memory is fitted. ``mape_calibrated`` is what is
left when the first row of each source has set one factor for it; that row is not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import published_evidence
from published_rows import (
    GIB,
    Planned,
    Row,
    SkippedError,
    device_of,
    measured_memory,
    measured_seconds,
    read,
)

from foretune.errors import UserError
from foretune.plan.fitted import FITTED, FITTED_TIMES_ON, Fitted
from foretune.plan.memory.peak import memory
from foretune.plan.step_time import step_time

RATES = {
    "ampere_products": (0.7, 0.87), "hopper_products": (0.6, 0.8), "fp8_products": (0.4, 0.71),
    "half_width": (30, 600), "ampere_flash_1": (0.2, 0.5), "hopper_flash_1": (0.1, 0.3),
    "ampere_attention": (0.4, 0.61), "traffic": (1, 2), "network": (0.5, 0.95),
    "overlap_1": (0.1, 0.95),
}  # fmt: skip
"""What --fit fits, and between which bounds: what was measured of products alone
(stas00/ml-engineering: 0.87, 0.80, 0.71 of the peak) and of attention alone (arXiv:2307.08691: 0.61
and 0.30) is the most that a run can reach."""
NEW = "2024"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row beside its forecast."""

    row: Row
    planned: Planned
    what: str
    forecast: float
    measured: float

    @property
    def error(self) -> float:
        """How much the forecast is over, as a share of what was measured."""
        return self.forecast / self.measured - 1

    @property
    def new(self) -> bool:
        """Software of 2024 or later, as far as the row says."""
        return str(self.row.get("date") or "") >= NEW


def results(rows: Iterable[Row]) -> tuple[list[Result], list[tuple[Row, bool]], Counter[str]]:
    """Forecasts of memory and time, forecasts of rows that did not fit, and what was skipped."""
    found: list[Result] = []
    full: list[tuple[Row, bool]] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        try:
            planned = read(row)
            told = [one for one in _of_row(row, planned) if one.measured > 0 and one.forecast > 0]
            fitting = fits(row, planned)
        except SkippedError as reason:
            skipped[str(reason)] += 1
            continue
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, UserError):
            skipped["a value of another kind"] += 1
            continue
        if row.get("status") == "OOM":
            full.append((row, not fitting))
        elif not told:
            skipped["no figure that is forecast"] += 1
        found += told
    return found, full, skipped


def _of_row(row: Row, planned: Planned) -> Iterable[Result]:
    shape, setup, hardware = planned.shape, planned.setup, planned.hardware
    reported = measured_memory(row)
    if reported is not None:
        held = memory(shape, setup, hardware.device if hardware else None)
        told = getattr(held, reported[1])
        yield Result(row=row, planned=planned, what="memory", forecast=told, measured=reported[0])
    seconds = measured_seconds(row, setup)
    if seconds is not None and hardware is not None:
        told = step_time(shape, setup, hardware).seconds
        yield Result(row=row, planned=planned, what="time", forecast=told, measured=seconds)


def fits(row: Row, planned: Planned) -> bool:
    """Whether a run fits its device; the allocator gives back what it cannot use."""
    device = device_of(row)
    if device is None:
        return True
    held = memory(planned.shape, planned.setup, device)
    return held.allocated + held.context <= device.usable


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def told(name: str, of: Sequence[Result]) -> str:
    """One line of the table."""
    errors = [one.error for one in of]
    sizes = [abs(error) for error in errors]
    return (
        f"{name:<62} {len(of):4} {median(sizes):7.1%} {mean(sizes):7.1%}"
        f" {quantile(sizes, 0.9):7.1%} {min(errors):+8.1%} {max(errors):+8.1%}"
    )


def table(found: Sequence[Result]) -> None:
    """Errors by source and grade."""
    for what in ("memory", "time"):
        print(f"\n{what:<62}    n  median    mean     p90    under     over")
        groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
        for one in found:
            if one.what == what:
                groups[one.row["quality"], one.row["source"]].append(one)
        for (grade, source), members in sorted(groups.items()):
            fitted = " *" if what == "time" and source in FITTED_TIMES_ON else ""
            print(told(f"{grade} {source.removeprefix('github:')[-56:]}{fitted}", members))
        for grade in sorted({grade for grade, _ in groups}):
            members = [one for (of, _), all_ in groups.items() if of == grade for one in all_]
            print(told(f"{grade} all", members))
    print("* its rows were used to fit the rates")


def worst(found: Sequence[Result], count: int) -> None:
    """The rows that miss by most, with what stood in them."""
    for what in ("memory", "time"):
        print(f"\nA rows of 2024 on that miss by most: {what}")
        rows = [one for one in found if one.what == what and one.row["quality"] == "A" and one.new]
        for one in sorted(rows, key=lambda one: -abs(one.error))[:count]:
            row, scale = one.row, GIB if what == "memory" else 1
            print(
                f"{one.error:+7.1%} {one.measured / scale:8.2f} {row.get('id')} {row['model']} "
                f"{row['method']} {row.get('precision')} {row['seq_len']}x{row['micro_batch']} "
                f"on {row['gpus']} {row.get('gpu_type')} tp {row.get('tp')} pp {row.get('pp')}"
            )


def calibrated(found: Sequence[Result]) -> list[float]:
    """Errors that are left when the first row of each source sets a factor for it."""
    factors: dict[str, float] = {}
    left: list[float] = []
    for one in found:
        source = one.row["source"]
        if source not in factors:
            factors[source] = one.measured / one.forecast
        else:
            left.append(abs(one.forecast * factors[source] / one.measured - 1))
    return left


def summary(rows: int, found: Sequence[Result], full: Sequence[tuple[Row, bool]],
            skipped: Counter[str]) -> dict[str, Any]:  # fmt: skip
    """The last line."""
    of_a = [one for one in found if one.row["quality"] == "A"]
    held = [one for one in of_a if one.what == "memory"]
    times = [one for one in of_a if one.what == "time" and one.new]
    out = [one for one in times if one.row["source"] not in FITTED_TIMES_ON] or times
    left = calibrated(out)
    return {
        "rows": rows,
        "skipped": dict(skipped),
        "memory_a": _memory([one for one in held if one.new]),
        "memory_old": _memory([one for one in held if not one.new]),
        "time_a": {
            "n": len(out),
            "mape": round(mean(abs(one.error) for one in out), 4) if out else None,
            "mape_calibrated": round(mean(left), 4) if left else None,
        },
        "oom": {"n": len(full), "right": sum(right for _, right in full)},
    }


def _memory(of: Sequence[Result]) -> dict[str, Any]:
    sizes = [abs(one.error) for one in of]
    return {
        "n": len(of),
        "median": round(median(sizes), 4) if of else None,
        "p90": round(quantile(sizes, 0.9), 4) if of else None,
        "worst_under": round(max(0.0, *(-one.error for one in of), 0.0), 4) if of else None,
    }


def fit(found: Sequence[Result], rounds: int = 4000, seed: int = 0) -> Fitted:
    """The rates that bring the times of the fitted half nearest, by a random search."""
    rows = [
        (one.planned, one.planned.hardware, one.measured, one.row["source"])
        for one in found
        if one.what == "time" and one.planned.hardware is not None
        and one.row["source"] in FITTED_TIMES_ON and one.row["quality"] == "A" and one.new
    ]  # fmt: skip

    counts = Counter(source for *_, source in rows)

    def loss(fitted: Fitted) -> float:
        """Mean error, in which a source with n rows weighs as its root."""
        errors = [
            abs(math.log(step_time(one.shape, one.setup, hardware, fitted).seconds / seconds))
            / math.sqrt(counts[source])
            for one, hardware, seconds, source in rows
        ]
        return sum(errors) / sum(map(math.sqrt, counts.values()))

    chance, best = random.Random(seed), FITTED
    least, spread = loss(best), 0.3
    for turn in range(rounds):
        changed = {}
        for name in chance.sample(sorted(RATES), chance.choice((1, 1, 2, 3))):
            low, high = RATES[name]
            moved = getattr(best, name) * 2 ** chance.gauss(0, spread)
            changed[name] = min(max(moved, low), high)
        tried = replace(best, **changed)
        if (now := loss(tried)) < least:
            best, least = tried, now
        if turn % 500 == 499:
            spread *= 0.7
            print(f"{turn + 1:5} {least:.4f}", flush=True)
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--worst", type=int, default=12)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--evidence", type=Path)
    asked = parser.parse_args(arguments)
    rows = json.loads(asked.file.read_text("utf-8"))["rows"]
    found, full, skipped = results(rows)
    if asked.fit:
        for name, value in asdict(fit(found)).items():
            print(f"    {name}: float = {value:.4g}")
        return
    if asked.evidence is not None:
        published_evidence.write(found, asked.evidence)
        return
    table(found)
    worst(found, asked.worst)
    for row, right in full:
        told = "foreseen" if right else "missed"
        print(f"OOM {told}: {row.get('id')} {row['model']} {row['method']}")
    alarms = sum(not fits(one.row, one.planned) for one in found if one.what == "memory")
    print(f"rows that ran and are forecast not to fit: {alarms}")
    print(json.dumps(summary(len(rows), found, full, skipped)))


if __name__ == "__main__":
    main()
