"""Forecast time, memory and disk beside what was measured; the verb that keeps the difference."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from foretune.plan.calibration import history_file, known_runs
from foretune.plan.cpu_time import cpu_step_time, rate_of
from foretune.plan.devices import Device, cpu_file, device_called, measured_cpu
from foretune.plan.setup import Setup
from foretune.train import machine
from foretune.train.foresee import foresee
from small_runs import foretune, run_of, trained, training

CPU = Device(
    name="a CPU", compute_capability=None, memory_gb=16.0, bandwidth_gbs=12.0, fp32=0.14, tf32=None,
    fp16=None, bf16=None, fp8=None, link_gbs=None, pcie_gbs=None, source="test", notes=None,
    operation_us=9.0, traffic=((262144.0, 50.0), (67108864.0, 4.0)),
)  # fmt: skip


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of this machine, and no time is lost on looking."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(machine, "TRIES", 1)
    monkeypatch.setattr(machine, "TRY", 1e-4)
    monkeypatch.setattr(machine, "SIZES", (2**18, 2**20))


def write_cpu() -> None:
    cpu_file().parent.mkdir(parents=True)
    cpu_file().write_text(json.dumps(asdict(CPU)))


def test_a_report_holds_time_memory_and_disk_beside_what_was_measured(tmp_path, base):
    write_cpu()
    report = trained(tmp_path, base("chatglm2"), rows=12, max_steps=6, save_steps=3)
    rows = {row.name: row for row in report.estimates}
    assert list(rows) == ["a step", "a step, computing", "all steps", "the process at most",
                          "a checkpoint", "all checkpoints"]  # fmt: skip
    step = rows["a step"]
    assert step.forecast and step.low and step.high and step.actual
    assert step.low < step.forecast < step.high and step.error == step.forecast / step.actual - 1
    assert step.inside == (step.low <= step.actual <= step.high)
    assert rows["the process at most"].forecast is None and "GPU" in rows["the process at most"].why
    for name in ("a checkpoint", "all checkpoints"):
        error = rows[name].error
        assert error is not None and abs(error) < 0.15
    written = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [row["name"] for row in written["estimates"]] == list(rows)
    assert written["estimates"][0]["error"] == step.error
    assert "Estimated and measured" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_run_teaches_the_forecast_of_the_next(tmp_path, base):
    write_cpu()
    line = training(tmp_path, base("chatglm"), rows=12, max_steps=6, save_strategy="no",
                    use_cpu=True)  # fmt: skip
    before = foresee(run_of(line)).time
    report = trained(tmp_path, base("chatglm"), rows=12, max_steps=6, save_strategy="no")
    (noted,) = known_runs()
    assert report.measured == noted and noted.steps == 4
    assert (noted.stack.family, noted.stack.method, noted.stack.device) == (
        "ChatGLM", "ptuning", "a CPU",
    )  # fmt: skip
    after = foresee(run_of(line)).time
    assert before is not None and after is not None
    assert noted.forecast_seconds == pytest.approx(
        report.estimates[0].forecast  # of the same step, before anything was known
    )
    assert after.factor == pytest.approx(noted.factor)
    assert "calibrated with 1 measured run on a CPU" in after.basis


def test_an_unmeasured_cpu_is_said_to_be_one_and_teaches_nothing(tmp_path, base):
    report = trained(tmp_path, base("chatglm2"), rows=12, max_steps=6, save_strategy="no")
    step = report.estimates[0]
    assert step.forecast is None and step.actual and "foretune calibrate" in step.why
    assert report.measured is None and not history_file().exists()


def test_calibrate_measures_the_cpu_and_then_it_is_a_device(tmp_path, base, capsys):
    line = training(tmp_path, base("chatglm2"), use_cpu=True)
    assert measured_cpu() is None and foresee(run_of(line)).time is None
    assert foretune("plan", *line, "--device", "cpu") == 2
    assert "run `foretune calibrate` first" in capsys.readouterr().err
    assert foretune("calibrate") == 0
    shown = capsys.readouterr().out
    assert "GFLOP/s" in shown and str(cpu_file()) in shown
    found = measured_cpu()
    assert found is not None and found.is_cpu and found == device_called("cpu")
    assert foresee(run_of(line)).time is not None
    assert foretune("calibrate", "--lang", "zh") == 0
    assert "启动一次运算" in capsys.readouterr().out


def test_calibrate_times_a_few_steps_and_leaves_nothing_of_them(tmp_path, base, capsys):
    line = training(tmp_path, base("chatglm2"), use_cpu=True, rows=16)
    assert foretune("calibrate", *line, "--steps", "6") == 0
    assert "a step took" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    given, history = known_runs()[-1], known_runs()[0]
    assert given.given and not history.given and given.seconds == history.seconds
    expected = foresee(run_of(line)).time
    assert expected is not None and expected.factor == pytest.approx(given.factor)
    assert foretune("calibrate", "--list") == 0
    assert "1 kept, and 1 in the history" in capsys.readouterr().out


def test_calibrate_takes_a_report_and_figures_by_hand(tmp_path, base, capsys):
    write_cpu()
    trained(tmp_path, base("chatglm2"), rows=12, max_steps=6, save_strategy="no")
    assert foretune("calibrate", "--report", tmp_path / "out" / "report.json") == 0
    assert known_runs()[-1].given and known_runs()[-1].source == str(tmp_path / "out")
    line = training(tmp_path, base("chatglm2"))
    gpu = [*line, "--device", "RTX 4090"]
    assert foretune("calibrate", *gpu, "--seconds", "0.5", "--peak_gib", "2") == 0
    run = known_runs()[-1]
    assert (run.stack.device, run.seconds, run.peak) == ("RTX 4090", 0.5, 2 * 2**30)
    time = foresee(run_of(line), device="RTX 4090").time
    assert time is not None and time.seconds == pytest.approx(0.5)
    assert foretune("calibrate", *gpu, "--tokens_per_second", "1000") == 0
    usual = foresee(run_of(line), device="RTX 4090").usual
    assert usual is not None and known_runs()[-1].seconds == usual.step_tokens / 1000
    assert "far from 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seconds", "3"], "--seconds without a run"),
        (["--report", "absent.json"], "absent.json is no training report"),
        (["{config}", "--seconds", "3"], "the step cannot be forecast"),
        (["{config}", "--seconds", "fast", "--device", "h100"], "--seconds"),
        (["{config}", "--steps", "none"], "--steps none is no number"),
    ],
)
def test_what_cannot_be_used_is_told(base, words, says, capsys):
    config = base("chatglm2") / "config.json"
    assert foretune("calibrate", *(word.format(config=config) for word in words)) == 2
    assert says in capsys.readouterr().err


def test_a_step_on_a_cpu_takes_longer_with_more_of_everything(base):
    shape = foresee(run_of(["--model_name_or_path", str(base("chatglm2"))])).shape
    assert shape is not None
    one = Setup(length=64, micro=2)
    seconds = cpu_step_time(shape, one, CPU).seconds
    more = [
        Setup(length=128, micro=2), Setup(length=64, micro=4),
        Setup(length=64, micro=2, accumulation=2),
        Setup(length=64, micro=2, checkpointing="full"),
    ]  # fmt: skip
    assert all(cpu_step_time(shape, other, CPU).seconds > seconds for other in more)


def test_rates_lie_on_a_line_between_the_measured_sizes():
    assert rate_of(CPU, 1000) == 50.0 and rate_of(CPU, 1e12) == 4.0
    assert rate_of(CPU, 2**22) == pytest.approx((50.0 * 4.0) ** 0.5)
