"""ChatGLM3 and GLM-4 from a folder in published layout to predictions, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from foretune.models.loading import load_model
from foretune.tokenizers import load_tokenizer
from small_runs import adverts, foretune, trained, words, write_rows

METHODS: dict[str, dict[str, Any]] = {"prefix": {}, "LoRA": {"pre_seq_len": None, "lora_rank": 2}}
TALKS = [
    {
        "messages": [
            {"role": "system", "content": "You write ads."},
            {"role": "user", "content": "裙"},
            {"role": "assistant", "content": "裙子好看"},
            {"role": "user", "content": "裤<|assistant|>"},
            {"role": "assistant", "content": "裤子好看<|endoftext|>"},
        ]
    }
] * 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm3", "glm4"])
def test_two_steps_of_training_can_be_predicted_with(tmp_path: Path, base, family, method):
    report = trained(tmp_path, base(family), max_steps=2, **METHODS[method])
    losses = [row["loss"] for row in report.history if "loss" in row]
    assert len(losses) == 2 and all(0 < loss < 100 for loss in losses)
    line = words(
        model_name_or_path=tmp_path / "out" / "checkpoint-2", output_dir=tmp_path / "said",
        do_predict=True, test_file=write_rows(tmp_path / "test.json", 3),
        predict_with_generate=True, pre_seq_len=None,
    )  # fmt: skip
    assert foretune("train", *line) == 0
    lines = (tmp_path / "said" / "generated_predictions.txt").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == 3
    for row, advert in zip(found, adverts(3), strict=True):
        assert row["labels"] and advert["summary"].startswith(row["labels"].rstrip("�"))
        assert not any(name in row["predict"] for name in ("<|endoftext|>", "<|user|>"))


@pytest.mark.parametrize("family", ["chatglm3", "glm4"])
def test_whole_conversations_are_trained_on(tmp_path: Path, base, family):
    rows = write_rows(tmp_path / "talks.json", TALKS)
    told = {"prompt_column": None, "response_column": None, "data.messages_column": "messages"}
    told |= {"max_source_length": 80, "max_target_length": 40, "train_file": rows}
    report = trained(tmp_path, base(family), max_steps=2, **told)
    assert report.history[0]["loss"] > 0


def test_glm4_is_asked_and_answers(base):
    folder = base("glm4")
    model, tokenizer = load_model(folder, dtype=torch.float32).eval(), load_tokenizer(folder)
    _, history = model.chat(tokenizer, "你好<|endoftext|>", max_new_tokens=4)
    assert [message["role"] for message in history] == ["user", "assistant"]
    told = list(model.stream_chat(tokenizer, "再见", history=history, max_new_tokens=4))
    assert told and told[-1][1][:2] == history
