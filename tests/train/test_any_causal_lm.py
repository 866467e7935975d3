"""Any causal language model of transformers trains, goes on, evaluates and predicts here; and what
cannot be tuned is told in words.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from foretune.data.collate import training_collator
from foretune.errors import UserError
from foretune.train.any_model import with_pad
from foretune.train.conduct import open_run
from other_models import MODELS, SIZES, other_model, rewrite, tokenizer_of
from small_runs import foretune, run_of, trained, trainer_of, training, words, write_rows

METHODS: dict[str, dict[str, Any]] = {
    "full": {"pre_seq_len": None, "method.name": "full", "learning_rate": 1e-3},
    "lora": {"pre_seq_len": None, "method.name": "lora"},
    "ptuning": {"pre_seq_len": 4},
    "freeze": {
        "pre_seq_len": None,
        "method.name": "freeze",
        "method.freeze.layers": 1,
        "learning_rate": 1e-3,
    },
}
HALVES = {"bf16": True, "precision.dtype": "bfloat16"}
LENGTHS = {"max_source_length": 48, "max_target_length": 24}


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small model of transformers, made once and not to be changed."""

    @cache
    def made(family: str) -> Path:
        return other_model(tmp_path_factory.mktemp(family) / "base", family)

    return made


def rows_for_all(folder: Path) -> dict[str, object]:
    """Flags of a run that evaluates and predicts after training."""
    file = write_rows(folder / "more.json", 3)
    return {
        "do_eval": True, "validation_file": file, "do_predict": True, "test_file": file,
        "predict_with_generate": True, **LENGTHS,
    }  # fmt: skip


def losses(report: Any) -> list[float]:
    return [entry["loss"] for entry in report.history if "loss" in entry]


@pytest.mark.parametrize(
    ("family", "method"),
    [("qwen2", "full"), ("llama", "lora"), ("glm", "ptuning"), ("gpt2", "lora"), ("glm", "freeze")],
)
def test_a_run_ends_as_it_was_forecast(family, method, other, tmp_path):
    chosen = METHODS[method] | (HALVES if method == "freeze" else {})
    report = trained(tmp_path, other(family), **chosen, **rows_for_all(tmp_path))
    assert report.ended == "finished" and not report.disagreements
    assert (
        report.training_log["actual"]
        == report.training_log["forecast"].replace("forecast", "actual")
        or "Number of trainable parameters" not in report.training_log["forecast"]
    )
    assert len(losses(report)) == 3 and report.metrics["eval_loss"] > 0
    assert len(report.samples) == 3
    assert report.actual["rows"] == 6 and report.actual["trained tokens"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", MODELS)
def test_every_family_trains_with_activations_recomputed(family, method, other, tmp_path):
    plain, again = (
        trained(
            tmp_path / str(on), other(family), **METHODS[method], **LENGTHS,
            gradient_checkpointing=on or None,
        )
        for on in (False, True)
    )  # fmt: skip
    assert losses(plain) == pytest.approx(losses(again), rel=1e-4)


@pytest.mark.parametrize(
    "method", ["full", *(pytest.param(one, marks=pytest.mark.slow) for one in ("lora", "ptuning"))]
)
def test_a_run_that_goes_on_ends_where_it_would_have_ended(method, other, tmp_path):
    flags = {**METHODS[method], **LENGTHS, "save_steps": 2, "max_steps": 4}
    whole = trained(tmp_path / "whole", other("qwen3"), **flags)
    run = training(tmp_path / "cut", other("qwen3"), **flags)
    trainer = trainer_of(run)
    trainer.train()
    shutil.rmtree(tmp_path / "cut" / "out" / "checkpoint-4")
    resumed = trained(tmp_path / "cut", other("qwen3"), **flags, resume_from_checkpoint="true")
    assert losses(whole)[-2:] == pytest.approx(losses(resumed)[-2:], rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_is_evaluated_by_its_folder_alone(method, other, tmp_path, capsys):
    report = trained(tmp_path, other("qwen2"), **METHODS[method], **rows_for_all(tmp_path))
    (checkpoint,) = report.checkpoints
    file = tmp_path / "more.json"
    told = {"model_name_or_path": checkpoint, "validation_file": file, "max_steps": None}
    out = tmp_path / "evaluated"
    line = words(**told, **LENGTHS, do_eval=True, output_dir=out, pre_seq_len=None)
    assert foretune("evaluate", *line) == 0, capsys.readouterr().err
    found = json.loads((out / "eval_results.json").read_text())
    assert found["eval_loss"] == pytest.approx(report.metrics["eval_loss"], rel=1e-4)


def test_a_fully_tuned_folder_loads_by_transformers_alone(other, tmp_path):
    report = trained(tmp_path, other("qwen3"), **METHODS["full"], **LENGTHS)
    model = AutoModelForCausalLM.from_pretrained(report.checkpoints[0])
    tokenizer = AutoTokenizer.from_pretrained(report.checkpoints[0])
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert tokenizer.chat_template == tokenizer_of("thinking").chat_template
    end = tokenizer.eos_token_id
    assert model.generation_config.eos_token_id in (end, [end])  # 5.17 makes a list of it
    base = AutoModelForCausalLM.from_pretrained(other("qwen3"))
    assert not torch.equal(base.lm_head.weight, model.lm_head.weight)


def test_an_adapter_loads_by_peft_alone(other, tmp_path):
    seen = 0
    targets = {
        "qwen2": {"q_proj", "v_proj"},
        "gpt2": {"c_attn"},
        "glm": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"},
    }
    for family, expected in targets.items():
        report = trained(tmp_path / family, other(family), **METHODS["lora"], **LENGTHS)
        base = AutoModelForCausalLM.from_pretrained(other(family))
        adapted = PeftModel.from_pretrained(base, report.checkpoints[0])
        assert set(adapted.peft_config["default"].target_modules) == expected
        assert report.actual["trainable parameters"] == sum(
            weight.numel() for name, weight in adapted.named_parameters() if ".lora_" in name
        )
        seen += 1
    assert seen == 3


def test_generation_stops_where_the_template_ends_a_turn(other, tmp_path):
    seen = 0
    ends = {"qwen2": {"<|im_end|>"}, "glm": {"<|endoftext|>", "<|user|>"}, "llama": {"<|eot_id|>"}}
    for family, expected in ends.items():
        folder = shutil.copytree(other(family), tmp_path / family / "base")
        rewrite(folder / "generation_config.json", eos_token_id=5)
        trainer = trainer_of(training(tmp_path / family, folder, **METHODS["lora"], **LENGTHS))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        stops = set(tokenizer.convert_tokens_to_ids(sorted(expected))) | {5}
        assert set(trainer.model.generation_config.eos_token_id) == stops
        seen += 1
    assert seen == 3


def test_a_tokenizer_without_a_padding_token_gets_one_and_says_which(other):
    tokenizer = AutoTokenizer.from_pretrained(other("llama"))
    tokenizer.pad_token = None
    (note,) = with_pad(tokenizer)
    assert tokenizer.pad_token == "<|eot_id|>" and "'<|eot_id|>' is taken" in note.what
    assert not list(with_pad(tokenizer))
    for name in ("<|reserved_special_token_7|>", "<|finetune_right_pad_id|>"):
        tokenizer.add_special_tokens({"extra_special_tokens": [name]})
        tokenizer.pad_token = None
        list(with_pad(tokenizer))
        assert tokenizer.pad_token == name


def test_an_end_token_that_pads_too_is_learnt_where_it_ends_an_answer(other, tmp_path):
    line = training(tmp_path, other("gpt2"), **METHODS["lora"], max_target_length=512)
    opened = open_run(run_of(line), lambda _: None)
    end = opened.tokenizer.eos_token_id
    assert opened.tokenizer.pad_token_id == end and opened.train is not None
    examples = [opened.train.dataset[row] for row in range(6)]
    batch = training_collator(opened.tokenizer, opened.run.data)(examples)
    for row, example in zip(batch["labels"].tolist(), examples, strict=True):
        assert row.count(end) == 1 and row.index(end) == len(example["labels"]) - 1


def test_the_forecast_of_an_unknown_family_counts_what_it_can(other, tmp_path, capsys):
    line = training(tmp_path, other("qwen2"), **METHODS["lora"], **LENGTHS)
    assert foretune("plan", "--tokens", *line) == 0
    shown = capsys.readouterr().out
    assert "Num examples = 6" in shown and "Total optimization steps = 3" in shown
    opened = open_run(run_of(line), lambda _: None)
    assert opened.train is not None
    assert f"{opened.train.facts.tokens:,} tokens, {opened.train.facts.trained_tokens:,}" in shown


# What cannot be tuned


def refusal(folder: Path, tmp_path: Path, **flags: Any) -> UserError:
    with pytest.raises(UserError) as refused:
        trained(tmp_path, folder, **{**METHODS["lora"], **LENGTHS, **flags})
    assert not (tmp_path / "out").exists()
    return refused.value


def test_a_folder_without_weights_is_refused(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in str(refusal(folder, tmp_path))


def test_weights_of_another_model_are_refused(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    rewrite(folder / "config.json", num_hidden_layers=3, layer_types=None)
    told = refusal(folder, tmp_path)
    assert len(told.problems) == 12
    assert "model.layers.{i}.mlp.down_proj.weight is missing (in 1 layer: 2)" in str(told)
    rewrite(folder / "config.json", num_hidden_layers=2, intermediate_size=40)
    assert "has the shape (32, 48) (in 2 layers: 0, 1)" in str(refusal(folder, tmp_path))
    rewrite(folder / "config.json", num_hidden_layers=1, intermediate_size=48)
    (problem,) = refusal(folder, tmp_path).problems
    assert problem.what == "the weights have 1 layer more: 1"


def test_numbers_that_are_no_weights_are_refused_by_key(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.int32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (problem,) = refusal(folder, tmp_path).problems
    assert problem.what == "model.norm.weight holds int32"


def test_damaged_weights_are_refused(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    (problem,) = refusal(folder, tmp_path).problems
    assert problem.what.startswith("model.safetensors is cut off: 1 tensor of it is damaged")


def test_a_model_that_does_not_write_is_refused(tmp_path):
    seen = 0
    for family, word in (("bert", "an encoder"), ("bart", "an encoder with a decoder")):
        folder = tmp_path / family
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
        config = AutoConfig.for_model(family, **sizes, vocab_size=400)
        config.save_pretrained(folder)
        tokenizer_of("chatml").save_pretrained(folder)
        assert word in refusal(folder, tmp_path / "run").problems[0].what
        seen += 1
    assert seen == 2


def test_code_of_the_folder_is_never_run(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    (folder / "configuration_own.py").write_text("raise RuntimeError('code of the folder ran')\n")
    (folder / "modeling_own.py").write_text("raise RuntimeError('code of the folder ran')\n")
    own = {"AutoConfig": "configuration_own.C", "AutoModelForCausalLM": "modeling_own.M"}
    rewrite(folder / "config.json", model_type="own", auto_map=own)
    told = str(refusal(folder, tmp_path))
    assert "'own' is not known" in told and "not run" in told


def test_a_folder_without_tokenizer_files_is_refused(other, tmp_path):
    folder = shutil.copytree(other("llama"), tmp_path / "base")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "tokenizer" in str(refusal(folder, tmp_path))


def test_a_tokenizer_that_transformers_has_made_of_nothing_is_refused(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    (folder / "tokenizer.json").unlink()
    (problem,) = refusal(folder, tmp_path).problems
    assert problem.what.endswith("has no vocabulary") and "tokenizer.json" in problem.fix


def test_a_linear_that_is_not_there_is_refused_with_those_that_are(other, tmp_path):
    told = str(refusal(other("gpt2"), tmp_path, **{"method.lora.targets": "q_proj"}))
    assert "q_proj" in told and "c_attn" in told


def test_every_linear_may_be_asked_for(other, tmp_path):
    line = training(
        tmp_path,
        other("llama"),
        **METHODS["lora"],
        **LENGTHS,
        **{"method.lora.targets": "all-linear"},
    )
    trainer = trainer_of(line)
    adapted = {name for name, _ in trainer.model.named_modules() if name.endswith(".lora_A")}
    assert len(adapted) == 7 * SIZES["num_hidden_layers"]


def test_packing_is_refused_in_words(other, tmp_path):
    assert "4-bit" in str(refusal(other("qwen2"), tmp_path, quantization_bit=4))


def test_a_template_that_is_no_template_is_refused(other, tmp_path):
    folder = shutil.copytree(other("qwen2"), tmp_path / "base")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }")
    assert "chat template" in str(refusal(folder, tmp_path))
