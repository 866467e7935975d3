"""A file of LLaMA-Factory as a source to move from, and arguments of transformers in YAML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.kinds import kind_of
from foretune.formats.llama_factory import DATA, KEYS
from foretune.formats.llama_factory_names import UNREAD
from foretune.formats.read import read
from foretune.formats.training_arguments import KEYS as ARGUMENTS
from foretune.params.run import Run, parameters

EXAMPLE = """\
### model
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_target: all
### dataset
dataset: alpaca_en_demo
template: llama3
cutoff_len: 1024
max_samples: 1000
preprocessing_num_workers: 16
### train
output_dir: saves/llama3-8b/lora/sft
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
"""
"""In the manner of its own examples."""


def written(tmp_path: Path, text: str) -> Run:
    (tmp_path / "sft.yaml").write_text(text, "utf-8")
    return read(tmp_path / "sft.yaml")


def test_its_example_is_read_with_the_line_of_every_value(tmp_path: Path):
    run = written(tmp_path, EXAMPLE)
    assert (run.model.path, run.launch.train) == ("meta-llama/Meta-Llama-3-8B-Instruct", True)
    lora = run.method.lora
    assert (run.method.name, lora.rank, lora.targets) == ("lora", 16, ("all-linear",))
    assert (run.data.max_length, run.data.max_train_rows, run.data.workers) == (1024, 1000, 16)
    assert (run.optim.learning_rate, run.schedule.name) == (1e-4, "cosine")
    assert (run.schedule.warmup, run.precision.mixed) == (0.1, "bf16")
    assert str(run.origin("data.max_length")).endswith("sft.yaml:13 (cutoff_len)")


def test_what_it_does_by_itself_is_below_what_is_written(tmp_path: Path):
    run = written(tmp_path, EXAMPLE)
    assert run.method.lora.alpha == 32
    assert "twice the rank" in str(run.origin("method.lora.alpha"))
    assert run.batch.gradient_checkpointing and run.data.trained_answers == "every"
    other = written(
        tmp_path,
        EXAMPLE + "lora_alpha: 8\ndisable_gradient_checkpointing: true\nmask_history: true\n",
    )
    assert other.method.lora.alpha == 8
    assert (other.batch.gradient_checkpointing, other.data.trained_answers) == (False, "last")


@pytest.mark.parametrize(
    ("line", "path", "value"),
    [
        ("flash_attn: fa2", "model.attention", "flash_attention_2"),
        ("flash_attn: disabled", "model.attention", "eager"),
        ("flash_attn: auto", "model.attention", None),
        ("quantization_bit: 4", "precision.quantize", 4),
        ("pure_bf16: true", "precision.dtype", "bfloat16"),
        ("use_dora: true", "peft.use_dora", True),
        (
            "additional_target: embed_tokens, lm_head",
            "peft.modules_to_save",
            ("embed_tokens", "lm_head"),
        ),
        ("pissa_init: true", "peft.init_lora_weights", "pissa_niter_16"),
        ("adapter_name_or_path: saves/a", "method.checkpoint", "saves/a"),
        ("disable_shuffling: true", "batch.order", "sequential"),
        (
            "use_reentrant_gc: false",
            "batch.gradient_checkpointing_kwargs",
            {"use_reentrant": False},
        ),
        ("train_from_scratch: true", "model.fresh", True),
    ],
)
def test_its_own_names_mean_our_concepts(tmp_path: Path, line: str, path: str, value: object):
    assert written(tmp_path, f"{EXAMPLE}{line}\n").get(path) == value


def test_full_tuning_has_no_adapters(tmp_path: Path):
    run = written(tmp_path, "stage: sft\nfinetuning_type: full\ncutoff_len: 512\n")
    assert (run.method.name, run.method.lora.targets) == ("full", None)


def test_names_without_a_counterpart_are_told_with_the_reason(tmp_path: Path):
    run = written(tmp_path, EXAMPLE + "val_size: 0.1\nneat_packing: true\nppo_epochs: 4\n")
    told = {note.what: note for note in run.notes}
    assert told["val_size has no counterpart"].why.startswith("rows are not set aside")
    assert str(told["neat_packing has no counterpart"].where).endswith("sft.yaml:26 (neat_packing)")
    assert "template has no counterpart" in told and "ppo_epochs has no counterpart" in told


def test_what_cannot_be_moved_is_refused_at_once(tmp_path: Path):
    with pytest.raises(UserError) as refused:
        written(
            tmp_path,
            "stage: dpo\nfinetuning_type: oft\ncutoff_len: 1\nlora_rnak: 8\nlearning_rate: x\n"
            "adapter_name_or_path: a,b\n",
        )
    told = {problem.what: problem.fix for problem in refused.value.problems}
    assert "stage is 'dpo'" in told and "finetuning_type is 'oft'" in told
    assert told["LLaMA-Factory has no argument 'lora_rnak'"] == "write 'lora_rank'"
    assert "2 adapters are named: a, b" in told
    assert "optim.learning_rate = 'x' cannot be used" in told


INFO = {
    "alpaca_en_demo": {"file_name": "alpaca.json"},
    "chats": {
        "file_name": "chats.json",
        "formatting": "sharegpt",
        "columns": {"messages": "turns"},
    },
}


def test_a_dataset_is_looked_up_where_its_list_is_here(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset_info.json").write_text(json.dumps(INFO), "utf-8")
    run = written(tmp_path, EXAMPLE)
    assert run.data.train == str(tmp_path / "data/alpaca.json")
    assert (run.data.prompt_column, run.data.response_column) == ("instruction", "output")
    assert any(note.what == "the column 'input' is not read" for note in run.notes)
    run = written(tmp_path, EXAMPLE.replace("alpaca_en_demo", "chats"))
    assert (run.data.messages_column, run.data.prompt_column) == ("turns", None)


def test_a_dataset_without_its_list_is_told(tmp_path: Path):
    run = written(tmp_path, EXAMPLE)
    assert run.data.train is None
    assert any("alpaca_en_demo is not read" in note.what for note in run.notes)


def test_every_name_is_mapped_or_has_its_reason_and_none_twice():
    own = [*KEYS, *UNREAD, *DATA, "stage"]
    assert len(own) == len(set(own)) >= 190
    assert set(KEYS.values()) <= set(parameters())
    assert not set(KEYS) & set(ARGUMENTS)
    assert all(len(why) > 15 and not why.endswith(".") for why in UNREAD.values())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("stage: sft\nlearning_rate: 1e-4", "factory"),
        ("finetuning_type: lora", "factory"),
        ("learning_rate: 1e-4\noutput_dir: x", "arguments"),
        ("deepspeed: ds.json\nlearning_rate: 1e-4", "arguments"),
        ("batch: {micro: 4}\noptim.learning_rate: 1e-4", "yaml"),
        ("model:\n  path: x", "yaml"),
    ],
)
def test_yaml_is_told_by_its_names(text: str, kind: str):
    assert kind_of(text, "x.yaml") == kind


def test_arguments_of_transformers_are_read_from_yaml(tmp_path: Path):
    run = written(tmp_path, "output_dir: out\nlearning_rate: 2e-5\nbf16: true\nwarmup_ratio: 0.1\n")
    assert (run.record.output, run.optim.learning_rate) == ("out", 2e-5)
    assert (run.precision.mixed, run.schedule.warmup) == ("bf16", 0.1)
    assert str(run.origin("optim.learning_rate")).endswith("sft.yaml:2 (learning_rate)")
    with pytest.raises(UserError, match="learning_rat"):
        written(tmp_path, "output_dir: out\nlearning_rat: 2e-5\n")
