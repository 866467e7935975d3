"""How many published runs stand behind a figure is what the benchmark counts."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from foretune.plan import evidence as evidence_module
from foretune.plan.evidence import MEMORY_ROWS, SEEN, TIME_ROWS, behind

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_rows_behind_a_figure_are_counted_and_not_made_up(
    shared: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    published: Any = importlib.import_module("published")
    rows = json.loads((shared / "published" / "runs.json").read_text("utf-8"))["rows"]
    found, _, _ = published.results(rows)
    counted: Counter[tuple[str, str]] = Counter()
    for one in found:
        if one.new and one.row["quality"] == "A":
            method = one.row["method"]
            counted[one.what, "full" if method == "pretrain" else method] += 1
    assert len(found) >= 300
    for what, told in (("memory", MEMORY_ROWS), ("time", TIME_ROWS)):
        assert told == {method: counted[what, method] for method in told}
    assert {method for _, method in counted} <= MEMORY_ROWS.keys()


def test_where_nothing_stands_behind_a_figure_it_says_so():
    assert behind("memory", "ptuning").en == "no published run of this method stands behind it"
    assert behind("memory", "full", "ChatGLM2").en.endswith("none of them of ChatGLM2")
    assert all("none of them" not in behind("memory", "full", family).en for family in SEEN)
    assert "没有" in behind("time", "ptuning").zh
    assert "没有 Baichuan" in behind("memory", "lora", "Baichuan").zh


def test_a_figure_says_how_near_it_came_on_which_devices_and_what_was_fitted():
    told = behind("memory", "full", generation=9).en
    assert "27 published runs" in told and "nine of ten within" in told
    assert "20 of them on this generation" in told
    assert "rates fitted to" in behind("time", "full").en
    assert "rates fitted to" not in told


def test_the_file_of_evidence_is_what_the_benchmark_writes(
    shared: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    published: Any = importlib.import_module("published")
    cells: Any = importlib.import_module("published_evidence").cells
    rows = json.loads((shared / "published" / "runs.json").read_text("utf-8"))["rows"]
    kept = Path(evidence_module.__file__).with_name("evidence.json")
    written = json.loads(kept.read_text("utf-8"))
    now = cells(published.results(rows)[0])
    assert len(now) == len(written) > 20
    for one, old in zip(now, written, strict=True):
        assert one["errors"] == pytest.approx(old["errors"], abs=0.005)
        assert {**one, "errors": 0} == {**old, "errors": 0}
