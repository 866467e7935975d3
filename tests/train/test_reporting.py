"""The report of a run, as JSON and as a page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from small_runs import foretune, script, training, write_rows

VOID = {"meta", "line", "circle", "polyline", "br", "link"}
HOSTILE = "<script>alert(1)</script> & \"quotes\" 'so'"


class Page(HTMLParser):
    """Reads a page, and fails where a tag is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def out(tmp_path_factory, base) -> Path:
    """The output folder of a run from a script, on rows that have markup in them."""
    folder = tmp_path_factory.mktemp("report") / HOSTILE.replace("/", "")
    folder.mkdir()
    rows = [{"content": f"{HOSTILE}{i}", "summary": f"裙子{HOSTILE}"} for i in range(4)]
    dev = write_rows(folder / "dev.json", rows)
    line = training(
        folder, base("chatglm2"), validation_file=dev, test_file=dev, do_predict=True,
        predict_with_generate=True, eval_strategy="steps", eval_steps=2, max_steps=3,
        overwrite_output_dir=True, do_eval=True,
    )  # fmt: skip
    quoted = [f"'{word}'" if " " in word else word for word in line]
    quoted = [word.replace("'so'", "'\\''so'\\''") if "'so'" in word else word for word in quoted]
    file = script(folder / "train.sh", quoted)
    assert foretune("train", file, "--set", "batch.micro=3") == 0
    return folder / "out"


def test_every_setting_has_its_origin(out: Path):
    report = json.loads((out / "report.json").read_text())
    settings = {row["path"]: row for row in report["settings"]}
    assert len(settings) >= 20
    assert settings["batch.micro"]["value"] == 3
    assert "--set batch.micro=3" in settings["batch.micro"]["origin"]
    assert settings["method.prefix.length"]["origin"].startswith(f"{out.parent / 'train.sh'}:")
    assert settings["method.prefix.length"]["written"] is True
    assert settings["generate.do_sample"] == {
        "path": "generate.do_sample", "value": True, "written": False,
        "origin": "main.py of ChatGLM-6B and ChatGLM2-6B always does so",
    }  # fmt: skip


def test_forecast_and_actual_stand_side_by_side(out: Path):
    report = json.loads((out / "report.json").read_text())
    assert report["ended"] == "finished"
    assert report["forecast"].keys() <= {row["name"] for row in report["comparison"]}
    assert [row["name"] for row in report["comparison"] if not row["agrees"]] == []
    assert report["actual"]["optimization steps"] == 3
    assert report["training_log"]["forecast"] == report["training_log"]["actual"]
    assert [row["step"] for row in report["history"] if "loss" in row] == [1, 2, 3]
    assert {"train_loss", "eval_loss", "eval_perplexity", "predict_bleu-4"} <= report[
        "metrics"
    ].keys()
    assert report["versions"].keys() == {"foretune", "torch", "transformers", "accelerate", "peft"}
    assert any("overwrite_output_dir" in note for note in report["notes"])


def test_the_page_is_well_formed_and_shows_text_as_text(out: Path):
    text = (out / "report.html").read_text("utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert HOSTILE.replace("/", "") in page.text
    assert "alert(1)" in page.text


def test_the_page_has_both_loss_curves_and_every_section(out: Path):
    page = Page((out / "report.html").read_text("utf-8"))
    assert page.tags.count("polyline") == 2
    assert page.tags.count("circle") == 3 + 3
    for heading in (
        "Forecast and actual",
        "Loss",
        "Generated",
        "Settings and where they come from",
    ):
        assert heading in page.text
    assert page.text.count("✓ as forecast") == len(
        json.loads((out / "report.json").read_text())["comparison"]
    )


def test_evaluating_into_the_folder_of_a_run_leaves_its_report(tmp_path: Path, base):
    dev = write_rows(tmp_path / "dev.json", 2)
    line = training(tmp_path, base("chatglm"), max_steps=1, validation_file=dev)
    assert foretune("train", *line) == 0
    report = (tmp_path / "out" / "report.json").read_bytes()
    assert foretune("evaluate", *line, "--model_name_or_path", tmp_path / "out/checkpoint-1") == 0
    assert (tmp_path / "out" / "report.json").read_bytes() == report
    evaluation = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert evaluation["metrics"]["eval_loss"] > 0
    Page((tmp_path / "out" / "evaluation.html").read_text("utf-8"))


def test_a_run_that_fails_says_so_in_its_report(tmp_path: Path, base, monkeypatch):
    from foretune.train.trainer import MethodTrainer

    def breaks(*arguments, **more):
        raise RuntimeError("the memory is full\nof things")

    monkeypatch.setattr(MethodTrainer, "training_step", breaks)
    with pytest.raises(RuntimeError, match="the memory is full"):
        foretune("train", *training(tmp_path, base("chatglm")))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ended"] == "failed: RuntimeError: the memory is full"
    assert "failed: RuntimeError" in Page((tmp_path / "out" / "report.html").read_text()).text


def test_what_the_trainer_logs_is_still_heard_by_who_asked_for_it(tmp_path: Path, base, caplog):
    assert foretune("train", *training(tmp_path, base("chatglm"), max_steps=1)) == 0
    assert "***** Running training *****" not in caplog.text
    line = training(tmp_path / "loud", base("chatglm"), max_steps=1, log_level="info")
    assert foretune("train", *line) == 0
    assert "***** Running training *****" in caplog.text
