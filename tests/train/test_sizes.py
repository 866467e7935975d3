"""The sizes of models whose family has no declaration here: those of the built model, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from foretune.train import sizes
from foretune.train.foresee import foresee
from foretune.train.sizes import sizes_of
from other_models import other_model, rewrite
from small_runs import foretune, run_of, trained, training


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small GPT-2."""
    return other_model(tmp_path_factory.mktemp("gpt2") / "base", "gpt2")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "foretune" / "shapes"


def test_a_plan_counts_the_parameters_of_any_model(tmp_path, other, capsys):
    line = training(tmp_path, other, pre_seq_len=None, lora_rank=3)
    expected = foresee(run_of(line))
    model = AutoModelForCausalLM.from_pretrained(other)
    assert expected.total == model.num_parameters() + (expected.trainable or 0)
    assert expected.trainable == 2 * 3 * (32 + 96)
    assert expected.family == "gpt2" and expected.memory is not None
    assert foretune("plan", *line) == 0
    assert f"Number of trainable parameters = {expected.trainable:,}" in capsys.readouterr().out


def test_what_was_built_once_is_kept_until_its_config_changes(tmp_path, other, empty_cache):
    run = run_of(["--model_name_or_path", str(other)])
    first, family = sizes_of(run, None)
    assert first is not None and family == "gpt2"
    (record,) = empty_cache.iterdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "_built", None)
        assert sizes_of(run, None) == (first, "gpt2")
    record.write_text("{")
    assert sizes_of(run, None) == (first, "gpt2")
    copy = other_model(tmp_path / "copy", "gpt2", n_layer=3)
    again, _ = sizes_of(run_of(["--model_name_or_path", str(copy)]), None)
    assert again is not None and again.layers == 3 and len(list(empty_cache.iterdir())) == 2


@pytest.mark.parametrize("keys", [{"model_type": "nobody"}, {"n_head": 5}, {"n_embd": "wide"}])
def test_of_what_cannot_be_built_nothing_is_said(tmp_path, keys):
    folder = other_model(tmp_path / "base", "gpt2")
    rewrite(folder / "config.json", **keys)
    assert sizes_of(run_of(["--model_name_or_path", str(folder)]), None) == (None, None)


@pytest.mark.parametrize("method", [{"pre_seq_len": 4}, {"pre_seq_len": None}])
def test_a_model_of_any_family_trains_as_counted(tmp_path, other, method):
    report = trained(tmp_path, other, max_steps=2, save_strategy="no", **method)
    assert report.disagreements == []
    assert report.actual["total parameters"] == report.forecast.total


def test_a_sample_is_said_to_be_one(tmp_path, base, capsys):
    line = training(tmp_path, base("chatglm2"), rows=40, max_steps=None, num_train_epochs=1)
    assert foretune("plan", *line, "--sample", "10", "--lang", "en") == 0
    shown = capsys.readouterr().out
    assert "estimated from 10 rows drawn at random" in shown and "19 times of 20" in shown
    assert "Num examples = 40" in shown
    assert foretune("plan", *line, "--tokens", "--lang", "zh") == 0
    assert "随机抽取" not in capsys.readouterr().out
    assert foretune("plan", *line, "--format", "json") == 0  # measured before: no tokenizer
    tokens = json.loads(capsys.readouterr().out)["tokens"]
    assert tokens["trained"] is not None
