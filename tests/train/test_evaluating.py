"""Evaluation and prediction: in a training run, and of what a run has left."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from foretune.data.collate import prompt_collator
from foretune.evaluate.generate import predict
from foretune.evaluate.metrics import METRICS, score
from foretune.train import conduct
from foretune.train.conduct import build_trainer, execute, open_run
from small_runs import adverts, foretune, run_of, trained, trainer_of, training, words, write_rows

METHODS: dict[str, dict[str, Any]] = {
    "prefix": {},
    "LoRA": {"pre_seq_len": None, "lora_rank": 2},
    "everything": {"pre_seq_len": None, "learning_rate": 1e-3},
}
ODD = [
    {"content": "裙", "summary": "短"},
    {"content": "类型#裙*颜色#墨绿*图案#字母", "summary": "这条吊带裙以墨绿示人，衬得皮肤白净"},
    {"content": "类型#裤", "summary": "裤子"},
]
"""Rows of very different lengths."""


def loss_by_hand(model: torch.nn.Module, trainer: Any) -> float:
    """The mean of -log p over every labelled token of the validation rows, one row at a time."""
    found: list[float] = []
    model.eval()
    for row in range(len(trainer.eval_dataset)):
        example = trainer.eval_dataset[row]
        with torch.no_grad():
            logits_LV = model(input_ids=torch.tensor([example["input_ids"]])).logits[0].double()
        log_LV = F.log_softmax(logits_LV, dim=-1)
        found += [
            -log_LV[place - 1, label].item()
            for place, label in enumerate(example["labels"])
            if label != -100 and place
        ]
    assert len(found) >= 10
    return sum(found) / len(found)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_the_loss_of_evaluation_is_the_mean_over_tokens_whatever_the_batch(
    tmp_path: Path, base, family, batch
):
    line = words(
        model_name_or_path=base(family), output_dir=tmp_path / "out", do_eval=True,
        validation_file=write_rows(tmp_path / "dev.json", ODD), per_device_eval_batch_size=batch,
    )  # fmt: skip
    trainer = trainer_of(line)
    expected = loss_by_hand(trainer.model, trainer)
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(expected), rel=1e-4)


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_evaluating_on_the_way_gives_loss_perplexity_and_scores(tmp_path: Path, base, family):
    report = trained(
        tmp_path, base(family), max_steps=4, eval_strategy="steps", eval_steps=2,
        predict_with_generate=True, validation_file=write_rows(tmp_path / "dev.json", ODD),
    )  # fmt: skip
    losses = {row["step"]: row["eval_loss"] for row in report.history if "eval_loss" in row}
    assert list(losses) == [2, 4]
    scored = [row for row in report.history if "eval_bleu-4" in row]
    assert [row["step"] for row in scored] == [2, 4]
    for row in scored:
        assert row["eval_perplexity"] == pytest.approx(math.exp(losses[row["step"]]))
        assert {f"eval_{name}" for name in METRICS} <= row.keys()


def test_evaluating_on_the_way_changes_nothing_of_what_is_drawn_at_random(tmp_path: Path, base):
    """The sampling of answers has a seed of its own."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    line = words(
        model_name_or_path=base("chatglm"), output_dir=tmp_path / "out", do_eval=True,
        validation_file=write_rows(tmp_path / "dev.json", ODD), predict_with_generate=True,
        **{"generate.do_sample": "true"},
    )  # fmt: skip
    trainer = trainer_of(line)
    assert trainer.generation is not None
    torch.manual_seed(1)
    first = trainer.generation()
    assert torch.equal(torch.rand(3), expected)
    assert trainer.generation() == first


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_what_a_run_has_left_is_evaluated_as_at_its_end(tmp_path: Path, base, family, method):
    dev = write_rows(tmp_path / "dev.json", ODD)
    told = {"do_eval": True, "validation_file": dev, "max_steps": 3, **METHODS[method]}
    report = trained(tmp_path, base(family), **told)
    checkpoint = tmp_path / "out" / "checkpoint-3"
    line = words(
        model_name_or_path=checkpoint, output_dir=tmp_path / "again", validation_file=dev,
        **{**METHODS[method], "pre_seq_len": None, "lora_rank": None},
    )  # fmt: skip
    assert foretune("evaluate", *line) == 0
    again = json.loads((tmp_path / "again" / "evaluation.json").read_text())["metrics"]
    assert again["eval_loss"] == pytest.approx(report.metrics["eval_loss"], rel=1e-6)
    assert {f"eval_{name}" for name in METRICS} <= again.keys()
    assert json.loads((tmp_path / "again" / "eval_results.json").read_text())["eval_loss"]


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_predictions_are_written_as_the_official_code_writes_them(tmp_path: Path, base, family):
    report = trained(
        tmp_path, base(family), do_predict=True, predict_with_generate=True, max_steps=1,
        test_file=write_rows(tmp_path / "test.json", 3),
    )  # fmt: skip
    lines = (tmp_path / "out" / "generated_predictions.txt").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [list(row) for row in found] == [["labels", "predict"]] * 3
    for line, row, advert in zip(lines, found, adverts(3), strict=True):
        assert line == json.dumps(row, ensure_ascii=False)
        wanted = row["labels"].replace(",", "，").rstrip("�")  # a character may be cut
        assert wanted and advert["summary"].replace(",", "，").startswith(wanted)
        assert all(text == text.strip() for text in row.values())
    scores = score([row["predict"] for row in found], [row["labels"] for row in found])
    results = json.loads((tmp_path / "out" / "predict_results.json").read_text())
    assert {name: results[f"predict_{name}"] for name in METRICS} == pytest.approx(scores.means)
    assert results["predict_samples"] == 3
    assert [sample["predict"] for sample in report.samples] == [row["predict"] for row in found]


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_answers_do_not_depend_on_the_rows_beside_them(tmp_path: Path, base, family, bits):
    trained(tmp_path, base(family), max_steps=2)
    answers: list[list[str]] = []
    for batch in (1, 4):
        line = words(
            model_name_or_path=tmp_path / "out" / "checkpoint-2", pre_seq_len=None,
            output_dir=tmp_path / f"batch-{batch}", do_predict=True, predict_with_generate=True,
            test_file=write_rows(tmp_path / "test.json", [*ODD, *adverts(2)]),
            per_device_eval_batch_size=batch, quantization_bit=bits,
            **{"generate.max_length": 60},
        )  # fmt: skip
        report = execute(run_of(line), say=lambda _: None)
        answers.append([sample["predict"] for sample in report.samples])
    assert answers[0] == answers[1]
    assert len(set(answers[0])) >= 2


def test_a_length_in_generation_config_makes_no_answer_longer(tmp_path: Path, base):
    """Baichuan2-13B-Chat's says max_new_tokens: 2048, which transformers would put first."""
    folder = tmp_path / "base"
    shutil.copytree(base("chatglm2"), folder)
    (folder / "generation_config.json").write_text('{"max_new_tokens": 200}')
    test = write_rows(tmp_path / "test.json", [{"content": "裙", "summary": "裙子"}])
    line = words(model_name_or_path=folder, output_dir=tmp_path / "out", test_file=test,
                 do_predict=True, pre_seq_len=None)  # fmt: skip
    opened = open_run(run_of(line), lambda _: None)
    model, calls = build_trainer(opened).model, []
    model.register_forward_hook(lambda *_: calls.append(1))
    assert opened.test_prompts is not None and opened.run.generate.max_length == 41
    collate = prompt_collator(opened.tokenizer, opened.run.data)
    settings = {"generate": opened.run.generate, "batch": 1, "seed": 0}
    predict(model, opened.test_prompts.dataset, collate, **settings)
    assert 1 <= len(calls) < 41


def test_an_empty_answer_is_scored_zero_and_counted(tmp_path: Path, base, monkeypatch):
    test = write_rows(tmp_path / "test.json", [{"content": "裙", "summary": "裙子好看"}] * 2)
    monkeypatch.setattr(conduct, "predict", lambda *prompts, **how: ["", "裙子好看"])
    report = trained(tmp_path, base("chatglm2"), max_steps=1, do_predict=True, test_file=test)
    assert report.metrics["predict_empty_predictions"] == 1
    assert report.metrics["predict_bleu-4"] == pytest.approx(50)


@pytest.mark.parametrize("protocol", ["official", "chatglm3", "jieba-words"])
def test_the_protocol_of_the_scores_can_be_chosen(tmp_path: Path, base, protocol):
    line = training(
        tmp_path, base("chatglm2"), do_train=None, do_predict=True, predict_with_generate=True,
        test_file=write_rows(tmp_path / "test.json", 2), **{"generate.metrics": protocol},
    )  # fmt: skip
    report = execute(run_of(line), say=lambda _: None)
    pairs = [(row["predict"], row["labels"]) for row in report.samples]
    expected = score([p for p, _ in pairs], [w for _, w in pairs], protocol=protocol).means
    assert {n: report.metrics[f"predict_{n}"] for n in METRICS} == pytest.approx(expected)


@pytest.mark.parametrize(("method", "said"), [("prefix", "drawn at random"), ("LoRA", "nothing")])
def test_evaluating_what_nobody_has_trained_is_said(tmp_path: Path, base, capsys, method, said):
    dev = write_rows(tmp_path / "dev.json", 2)
    told = {"validation_file": dev, "do_train": None, **METHODS[method]}
    assert foretune("evaluate", *training(tmp_path, base("chatglm2"), **told)) == 0
    notes = json.loads((tmp_path / "out" / "evaluation.json").read_text())["notes"]
    assert len(notes) == 1 and said in notes[0]
    assert f"note: {notes[0]}" in capsys.readouterr().out
