"""Llama 3 in Meta's own files: planned, tuned with LoRA and asked, from one folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from small_llama import small_llama
from small_runs import foretune, trained, training, words, write_rows


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_llama(tmp_path_factory.mktemp("llama"), files=2)


LORA = {"pre_seq_len": None, "method.name": "lora", "max_steps": 2, "max_source_length": 64}


def test_metas_folder_is_tuned_and_asked(llama: Path, tmp_path: Path):
    rows = write_rows(tmp_path / "test.json", 3)
    report = trained(tmp_path, llama, do_predict=True, test_file=rows, **LORA)
    assert report.ended == "finished"
    assert all(comparison.agrees for comparison in report.comparisons)
    answers = (tmp_path / "out" / "generated_predictions.txt").read_text("utf-8").splitlines()
    assert len(answers) == 3
    adapter = tmp_path / "out" / "checkpoint-2"
    assert json.loads((adapter / "adapter_config.json").read_text())["target_modules"]
    told = {"model_name_or_path": adapter, "test_file": rows, "output_dir": tmp_path / "again"}
    assert foretune("evaluate", *words(do_predict=True, **told, **LORA)) == 0
    again = (tmp_path / "again" / "generated_predictions.txt").read_text("utf-8").splitlines()
    assert again == answers


def test_what_is_tuned_whole_is_loaded_without_metas_files(llama: Path, tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trained(tmp_path, llama, **LORA | {"method.name": "full"})
    saved = tmp_path / "out" / "checkpoint-2"
    model, tokenizer = (
        auto.from_pretrained(saved) for auto in (AutoModelForCausalLM, AutoTokenizer)
    )
    assert model.config.model_type == "llama"
    assert len(tokenizer) == model.config.vocab_size == 956


def test_a_vocabulary_that_nobody_knows_stops_the_run_and_says_how_to_go_on(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    base = small_llama(tmp_path / "base")
    (base / "tokenizer.model").unlink()
    assert foretune("plan", *training(tmp_path, base, **LORA)) == 0
    assert "every count is without the vocabulary" in capsys.readouterr().out
    for words_told in (LORA, LORA | {"model.tokenizer": llama}):
        assert foretune("train", *training(tmp_path, base, **words_told)) == 2
        told = capsys.readouterr().err
        assert "vocab_size = -1, and there is no tokenizer.model of Llama 3 to ask" in told
        assert "put Meta's tokenizer.model beside params.json" in told
