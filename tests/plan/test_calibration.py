"""What measured runs say of forecasts: which of them count, and where they are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.files import own_folder
from foretune.plan.calibration import (
    KEPT,
    Measured,
    Stack,
    calibration,
    calibrations,
    calibrations_file,
    history_file,
    keep,
    known_runs,
    note,
)
from foretune.plan.fitted import FITTED
from foretune.text import in_language

STACK = Stack(
    device="RTX 4090", family="ChatGLM2", method="lora", torch="2.13.0", transformers="5.23.0"
)


def took(seconds: float, **differs: str) -> Measured:
    """A run whose forecast was one second a step."""
    return Measured(
        stack=replace(STACK, **differs), when="2026-11-21", source="out", seconds=seconds,
        forecast_seconds=1.0,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run is known."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_the_runs_most_like_the_planned_one_count():
    known = [took(9, family="Llama"), took(1.2), took(5, method="full"), took(1.4), took(1.3)]
    found = calibration(STACK, known)
    assert found is not None and (found.factor, found.runs) == (1.3, 3)
    assert found.interval == FITTED.interval_calibrated
    assert found.basis == "roofline, calibrated with 3 measured runs on RTX 4090"
    assert "3 次实测" in in_language(found.basis, "zh")


@pytest.mark.parametrize(
    ("known", "factor", "says"),
    [
        ([took(2, family="Llama"), took(3, method="full")], 2, "(family: Llama)"),
        ([took(3, method="full"), took(4, family="Llama", method="full")], 3, "(method: full)"),
        ([took(2, torch="2.9.1"), took(3, method="full")], 2, "(torch: 2.9.1)"),
        ([took(2, torch="2.13.1+cu130")], 2, "(torch: 2.13.1+cu130)"),
    ],
)
def test_a_run_that_differs_says_in_what(known, factor, says):
    found = calibration(STACK, known)
    assert found is not None and found.factor == factor and says in found.basis


def test_another_method_or_family_leaves_a_wider_interval():
    found = calibration(STACK, [took(2, method="full")])
    assert found is not None
    assert FITTED.interval_calibrated < found.interval < FITTED.interval


def test_runs_of_the_very_step_count_before_others_of_the_stack():
    longer = replace(took(3), forecast_seconds=2.0)
    found = calibration(STACK, [longer, took(1.1), longer, longer], seconds=1.001)
    assert found is not None and (found.factor, found.runs) == (1.1, 1)
    other = calibration(STACK, [longer, took(1.1), longer], seconds=9.0)
    assert other is not None and (other.factor, other.runs) == (1.5, 3)


def test_a_run_on_another_device_says_nothing():
    assert calibration(STACK, [took(2, device="H100")]) is None
    assert calibration(STACK, []) is None


def test_only_the_newest_runs_count():
    found = calibration(STACK, [took(9)] * 20 + [took(1.5)] * 10)
    assert found is not None and (found.factor, found.runs) == (1.5, 10)


def test_what_was_given_by_hand_counts_before_the_history():
    for _ in range(3):
        note(took(9))
    keep(took(2))
    keep(took(1.5))
    found = calibration(STACK, known_runs())
    assert found is not None and (found.factor, found.runs) == (1.5, 1)
    assert len(calibrations()) == 1 and len(known_runs()) == 4


def test_a_measured_peak_is_a_factor_of_its_own():
    found = calibration(STACK, [replace(took(1), peak=11.0, forecast_peak=10.0), took(1)])
    assert found is not None and found.memory_factor == pytest.approx(1.1)
    assert took(1).memory_factor is None


def test_the_history_forgets_the_oldest_and_reads_past_damaged_lines():
    history_file().parent.mkdir(parents=True)
    note(took(1))
    line = history_file().read_text()
    history_file().write_text(
        line * KEPT + "{\n[]\n" + line.replace('"seconds": 1', '"seconds": 0')
    )
    note(took(7))
    lines = history_file().read_text().splitlines()
    assert len(lines) == KEPT and json.loads(lines[-1])["seconds"] == 7
    assert history_file() == own_folder("state") / "history.jsonl"


def test_a_history_that_cannot_be_written_stops_no_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert note(took(1)) is None and known_runs() == []


@pytest.mark.parametrize("text", ["{", "[1]", '[{"seconds": 1}]', "\u00ff"])
def test_damaged_calibrations_are_told_with_their_file(text):
    calibrations_file().parent.mkdir(parents=True)
    calibrations_file().write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as refusal:
        known_runs()
    (problem,) = refusal.value.problems
    assert problem.where == str(calibrations_file()) and "calibrate again" in problem.fix


def test_a_relative_folder_in_the_environment_is_none(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "config")
    assert own_folder("config") == Path("~/.config/foretune").expanduser()
