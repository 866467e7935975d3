"""The translation recipe: its data, the paper's schedule, three steps of it, and (slow) what it
promises.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import get_scheduler

import foretune
from foretune.errors import UserError
from foretune.params.run import Run
from foretune.train.conduct import execute
from foretune.train.foresee import foresee
from foretune.train.report import Report


def module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def recipe(repository: Path) -> Path:
    return repository / "recipes/translation"


@pytest.fixture(scope="module")
def make_data(recipe: Path) -> ModuleType:
    return module(recipe / "make_data.py")


@pytest.fixture(scope="module")
def rows(make_data: ModuleType) -> tuple[list[Any], list[Any]]:
    return make_data.make_rows(3000)


@pytest.fixture(scope="module")
def folder(
    recipe: Path, make_data: ModuleType, rows: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Data and model of the recipe, of fewer rows."""
    made = tmp_path_factory.mktemp("translation")
    train, test = rows
    make_data.write(train, made / "data" / "train.json")
    make_data.write(test, made / "data" / "test.json")
    module(recipe / "make_model.py").make_model(made / "data", made / "model")
    return made


@pytest.fixture
def small_run(recipe: Path, folder: Path, tmp_path: Path) -> Run:
    """Three steps of the recipe's run, and four rows of its test."""
    return foretune.read(recipe / "run.yaml").set(
        {
            "model.path": str(folder / "model"),
            "data.train": str(folder / "data/train.json"),
            "data.test": str(folder / "data/test.json"),
            "record.output": str(tmp_path / "out"),
            "data.max_train_rows": 96,
            "data.max_predict_rows": 4,
            "batch.micro": 32,
            "schedule.epochs": 1,
            "record.disable_tqdm": True,
        }
    )


def quietly(run: Run) -> Report:
    return execute(run, say=lambda _: None)


# --- the data


NUMBERS = {
    0: ("zero", "零"),
    7: ("seven", "七"),
    10: ("ten", "十"),
    15: ("fifteen", "十五"),
    20: ("twenty", "二十"),
    99: ("ninety-nine", "九十九"),
    100: ("one hundred", "一百"),
    101: ("one hundred and one", "一百零一"),
    115: ("one hundred and fifteen", "一百一十五"),
    342: ("three hundred and forty-two", "三百四十二"),
    1_000: ("one thousand", "一千"),
    1_005: ("one thousand and five", "一千零五"),
    1_010: ("one thousand and ten", "一千零一十"),
    2_300: ("two thousand three hundred", "二千三百"),
    10_000: ("ten thousand", "一万"),
    10_500: ("ten thousand five hundred", "一万零五百"),
    20_015: ("twenty thousand and fifteen", "二万零一十五"),
    30_201: ("thirty thousand two hundred and one", "三万零二百零一"),
    99_999: (
        "ninety-nine thousand nine hundred and ninety-nine",
        "九万九千九百九十九",
    ),
}


def test_numbers_are_written_out_as_people_write_them(make_data: ModuleType):
    for value, (english, chinese) in NUMBERS.items():
        assert make_data.number_words(value) == english
        assert make_data.number_in_chinese(value) == chinese
    every = {make_data.number_in_chinese(value) for value in range(100_000)}
    assert len(every) == 100_000
    assert len({make_data.number_words(value) for value in range(100_000)}) == 100_000


def test_dates_are_written_out_in_every_form(make_data: ModuleType):
    day = datetime.date(2019, 3, 5)
    assert [form(day) for form in make_data.DATES] == [
        "March 5, 2019", "5 March 2019", "the fifth of March 2019", "2019-03-05",
    ]  # fmt: skip
    assert make_data.date_in_chinese(day) == "二〇一九年三月五日"
    assert make_data.date_in_chinese(datetime.date(1910, 12, 30)) == "一九一〇年十二月三十日"
    words = [make_data.ordinal(day) for day in range(1, 32)]
    assert len(set(words)) == 31 and words[19:22] == ["twentieth", "twenty-first", "twenty-second"]
    assert words[29:] == ["thirtieth", "thirty-first"]


def test_the_same_seed_gives_the_same_rows(make_data: ModuleType, rows: Any):
    assert make_data.make_rows(3000) == rows
    assert len(set(rows[0])) == 3000 and len(rows[1]) == 1000


def test_no_value_of_the_test_stands_in_training_in_whatever_words(rows: Any):
    train, test = ({row.chinese for row in part} for part in rows)
    assert len(test) == 1000 and not train & test
    dates = [chinese for chinese in test if chinese.endswith("日")]
    assert len(dates) == 500


def test_the_vocabulary_holds_every_row_without_bytes(folder: Path, rows: Any):
    from foretune.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(folder / "model")
    assert len(tokenizer) == 448
    seen = 0
    for row in rows[1]:
        for text in row:
            ids = tokenizer.encode(text)
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
            seen += any(token.startswith("<0x") for token in tokenizer.convert_ids_to_tokens(ids))
    assert seen == 0


# --- the run file


def test_the_schedule_is_the_papers_at_every_step(recipe: Path):
    run = foretune.read(recipe / "run.yaml")
    width, warmup = module(recipe / "make_model.py").CONFIG["d_model"], int(run.schedule.warmup)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=run.optim.learning_rate)
    schedule = get_scheduler(run.schedule.name, optimizer, num_warmup_steps=warmup)
    steps = 3000
    for step in range(1, steps):
        optimizer.step()
        schedule.step()
        paper = width**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert schedule.get_last_lr()[0] == pytest.approx(paper, rel=1e-3), step
    assert (run.optim.beta1, run.optim.beta2, run.optim.epsilon) == (0.9, 0.98, 1e-9)
    assert run.optim.label_smoothing == 0.1


def test_no_row_is_longer_than_the_limits(recipe: Path, small_run: Run):
    whole = small_run.set({"data.max_train_rows": 3000, "data.max_predict_rows": 1000})
    facts = foresee(whole, tokens=True).facts
    assert facts.train is not None and facts.test is not None
    assert (facts.train.examples, facts.test.examples) == (3000, 1000)
    assert facts.train.damage.rows == facts.test.damage.rows == 0


# --- three steps of it


def test_it_trains_from_random_weights_as_forecast_and_predicts(small_run: Run, tmp_path: Path):
    report = quietly(small_run)
    assert report.training_log["actual"] == report.training_log["forecast"]
    agreed = {row.name: row.actual for row in report.comparisons if row.agrees}
    assert report.disagreements == [] and agreed.keys() == report.forecast.figures().keys()
    lines = (tmp_path / "out/generated_predictions.txt").read_text("utf-8").splitlines()
    assert agreed["optimization steps"] == 3 and len(lines) == 4
    assert agreed["trained tokens"] == report.forecast.facts.train.trained_tokens > 500
    assert 0 <= report.metrics["predict_exact_match"] <= 100
    checkpoint = tmp_path / "out/checkpoint-3"
    again = quietly(
        small_run.set(
            {
                "model.path": str(checkpoint),
                "launch.train": False,
                "record.output": str(tmp_path / "again"),
            }
        )
    )
    assert again.samples == report.samples and len(again.samples) == 4
    scores = [name for name in report.metrics if name.startswith("predict_bleu")]
    assert [again.metrics[name] for name in scores] == [report.metrics[name] for name in scores]


def test_the_loss_of_an_evaluation_is_over_every_label(small_run: Run, folder: Path):
    losses = []
    for micro in (2, 4):
        run = small_run.set(
            {
                "data.validation": str(folder / "data/test.json"),
                "data.max_eval_rows": 4,
                "batch.eval": micro,
                "schedule.max_steps": 1,
                "launch.evaluate": True,
                "launch.predict": False,
                "record.output": str(folder / f"out-{micro}"),
            }
        )
        losses.append(quietly(run).metrics["eval_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert 2 < losses[0] < 9  # that of guessing among 448 tokens is 6.1


def test_interrupted_training_goes_on_to_the_same_weights(small_run: Run, tmp_path: Path):
    whole = small_run.set({"launch.predict": False, "record.save_steps": 2})
    quietly(whole)
    first = tmp_path / "out/checkpoint-3/model.safetensors"
    content = first.read_bytes()
    shutil.rmtree(first.parent)
    quietly(whole.set({"record.resume": str(tmp_path / "out/checkpoint-2")}))
    assert first.read_bytes() == content


def test_a_folder_without_weights_is_refused_with_the_way_out(small_run: Run, tmp_path: Path):
    with pytest.raises(UserError, match=r"to train from random weights.*--model\.fresh"):
        quietly(small_run.set({"model.fresh": False}))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="holds no weights"):
        quietly(small_run.set({"launch.train": False}))


def test_random_weights_are_not_left_frozen(small_run: Run):
    for method in ({"method.name": "lora"}, {"method.name": "ptuning", "method.prefix.length": 4}):
        with pytest.raises(UserError, match="random weights would stay frozen"):
            quietly(small_run.set(method))


def test_lora_trains_on_it_as_forecast(small_run: Run, tmp_path: Path):
    quietly(small_run.set({"launch.predict": False}))
    tuned = {
        "model.path": str(tmp_path / "out/checkpoint-3"),
        "model.fresh": False,
        "method.name": "lora",
        "record.output": str(tmp_path / "lora"),
    }
    report = quietly(small_run.set(tuned))
    assert report.disagreements == [] and "predict_exact_match" in report.metrics
    # q_proj and v_proj of two encoder and four decoder attentions, rank 8
    assert report.actual["trainable parameters"] == 6 * 2 * 8 * (128 + 128)


# --- the whole


@pytest.mark.slow
def test_it_translates_what_it_has_not_seen(recipe: Path, tmp_path: Path):
    shutil.copytree(recipe, tmp_path / "recipes/translation")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "recipes/translation/run.sh"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    results = json.loads((tmp_path / "output/translation/trained/predict_results.json").read_text())
    assert results["predict_samples"] == 1000 and results["predict_exact_match"] >= 95
    assert "as forecast" in ran.stdout and "unseen rows" in ran.stdout


def test_what_training_would_refuse_is_not_forecast(tmp_path: Path):
    config = tmp_path / "config.json"
    config.write_text('{"d_model": 8, "num_attention_heads": 1, "ffn_hidden_dim": 8}')
    told = {
        "P-Tuning v2 is not available": {"method.prefix.length": 4},
        "model.fresh starts from random weights": {"method.name": "lora", "model.fresh": True},
    }
    for what, asked in told.items():
        with pytest.raises(UserError, match=what):
            foretune.plan(foretune.read().set({"model.config": str(config), **asked}))
