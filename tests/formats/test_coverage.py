"""How much of every format is declared: counted against the packages that are installed.

With `-s` it prints the table. A name that an upgrade brings fails here, by name.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
import transformers
from accelerate.commands import launch
from accelerate.commands.config import config_args
from peft import LoraConfig, PrefixTuningConfig
from transformers import (
    GenerationConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Seq2SeqTrainingArguments,
    TrainerState,
)

from foretune.explain.command import explain
from foretune.explain.coverage import Covered, coverage_table, covered
from foretune.explain.entry import find
from foretune.formats.accelerate import BLOCKS
from foretune.formats.deepspeed import sections
from foretune.formats.environment import twin
from foretune.params.run import parameters

HERE = Path(__file__).parent
MAIN_PY = """
model_name_or_path ptuning_checkpoint config_name tokenizer_name cache_dir use_fast_tokenizer
model_revision use_auth_token resize_position_embeddings quantization_bit pre_seq_len
prefix_projection lang dataset_name dataset_config_name prompt_column response_column history_column
train_file validation_file test_file overwrite_cache preprocessing_num_workers max_source_length
max_target_length val_max_target_length pad_to_max_length max_train_samples max_eval_samples
max_predict_samples num_beams ignore_pad_token_for_loss source_prefix forced_bos_token
"""
"""ModelArguments and DataTrainingArguments of ptuning/arguments.py; both versions have the same."""

FINE_TUNE_PY = "model_name_or_path data_path cache_dir model_max_length use_lora"
"""Its optim is transformers'."""

DEEPSPEED_RUNNER = """
H hostfile i include e exclude num_nodes num_gpus num_accelerators master_port master_addr node_rank
launcher launcher_args module no_python no_local_rank no_ssh no_ssh_check force_multi save_pid
enable_each_rank_log autotuning bind_cores_to_rank bind_core_list ssh_port venv_script log_level q
quiet elastic_training min_elastic_nodes max_elastic_nodes
"""
"""launcher/runner.py of DeepSpeed 0.19.8, and the three that 0.19.7 had last."""

CHATGLM = """
vocab_size hidden_size num_layers num_attention_heads layernorm_epsilon use_cache bos_token_id
eos_token_id mask_token_id gmask_token_id pad_token_id max_sequence_length inner_hidden_size
position_encoding_2d quantization_bit pre_seq_len prefix_projection
"""
CHATGLM2 = """
num_layers padded_vocab_size hidden_size ffn_hidden_size kv_channels num_attention_heads seq_length
hidden_dropout classifier_dropout attention_dropout layernorm_epsilon rmsnorm
apply_residual_connection_post_layernorm post_layer_norm add_bias_linear add_qkv_bias
bias_dropout_fusion multi_query_attention multi_query_group_num apply_query_key_layer_scaling
attention_softmax_in_fp32 fp32_residual_connection quantization_bit pre_seq_len prefix_projection
rope_ratio
"""
BAICHUAN = """
vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act
max_position_embeddings model_max_length initializer_range rms_norm_eps use_cache pad_token_id
bos_token_id eos_token_id tie_word_embeddings z_loss_weight gradient_checkpointing
"""
"""What configuration_chatglm.py and configuration_baichuan.py of the published models take."""

META = """
dim n_layers n_heads n_kv_heads vocab_size multiple_of ffn_dim_multiplier norm_eps rope_theta
max_batch_size max_seq_len use_scaled_rope
"""


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option under all its names, dashes as underscores."""
    strings = (one for action in parser._actions for one in action.option_strings)
    return {one.lstrip("-").replace("-", "_") for one in strings} - {"h", "help"}


def torchruns() -> set[str]:
    from torch.distributed.run import get_args_parser

    return options(get_args_parser()) | {"use_env"}  # which torch.distributed.launch has


def accelerates_file() -> set[str]:
    """Keys at the top that are no sections, and those inside of sections that are flags."""
    classes: tuple[Any, ...] = (config_args.ClusterConfig, config_args.SageMakerConfig)
    top = {field.name for one in classes for field in dataclasses.fields(one)} - BLOCKS.keys()
    groups = ("fsdp_", "megatron_lm_", "parallelism_config_", "dynamo_", "fp8_")
    flags = options(launch.launch_command_parser()) - top
    section = {one: f"{one}config" for one in ("fsdp_", "dynamo_", "fp8_")}
    section |= {"megatron_lm_": "megatron_lm_config", "parallelism_config_": "parallelism_config"}
    inside = {f"{section[one]}.{flag}" for flag in flags for one in groups if flag.startswith(one)}
    return top | inside


def deepspeeds() -> set[str]:
    """The keys of its code and of its documentation, taken from 0.19.8."""
    taken = json.loads((HERE / "deepspeed_0_19_8.json").read_text("utf-8"))
    keys = {*taken["defaults"], *taken["read"], *taken["documented"]}
    return keys - sections()


def published(*names: str) -> set[str]:
    """The keys of the configs of golden cases and of the users' files."""
    found: set[str] = set()
    for pattern in names:
        for file in sorted(Path(__file__).parents[2].parent.glob(f"shared/{pattern}")):
            found |= json.loads(file.read_text("utf-8")).keys()
    return found


def fields(one: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(one)}


EXISTING: dict[str, Callable[[], set[str]]] = {
    "training_arguments": lambda: fields(Seq2SeqTrainingArguments),
    "official": lambda: set(MAIN_PY.split()),
    "baichuan2": lambda: set(FINE_TUNE_PY.split()),
    "accelerate launch": lambda: options(launch.launch_command_parser()),
    "torchrun": torchruns,
    "deepspeed": lambda: set(DEEPSPEED_RUNNER.split()),
    "ds_config.json": deepspeeds,
    "accelerate.yaml": accelerates_file,
    "LoraConfig": lambda: fields(LoraConfig),
    "PrefixTuningConfig": lambda: fields(PrefixTuningConfig),
    "ChatGLM": lambda: set(CHATGLM.split()) | published("golden/chatglm1*/config.json"),
    "ChatGLM2": lambda: set(CHATGLM2.split()) | published("golden/chatglm[23]*/config.json"),
    "Baichuan": lambda: set(BAICHUAN.split()) | published("golden/baichuan*/config.json"),
    "Llama": lambda: fields(LlamaConfig),
    "Mistral": lambda: fields(MistralConfig),
    "Qwen2": lambda: fields(Qwen2Config),
    "Qwen3": lambda: fields(Qwen3Config),
    "ModelArgs": lambda: set(META.split()),
    "Transformer": lambda: published("inputs/transformer/base.json") or {"d_model"},
    "AnyModel": lambda: fields(PreTrainedConfig),
    "GenerationDefaults": lambda: set(vars(GenerationConfig())) - {"_original_object_hash"},
    "TrainerState": lambda: fields(TrainerState),
}
"""Format -> every name that exists in what it is held against."""

COUNTED_ELSEWHERE = {"llama_factory", "TokenizerSettings", "TrainingLog", "Environment"}
"""What no installed package lists: LLaMA-Factory's names were read in its code; of a tokenizer's
file what matters to a run is declared; variables are counted below."""


@pytest.mark.parametrize("one", covered(), ids=lambda one: one.key)
def test_every_name_that_exists_is_declared(one: Covered):
    if one.key in COUNTED_ELSEWHERE:
        return
    existing = EXISTING[one.key]()
    known = one.entries.keys() | one.told
    lacking = sorted(existing - known)
    assert not lacking, f"{one.title.en}: declare these, they are new in this version: {lacking}"
    share = len(existing & known) / len(existing)
    print(f"{one.title.en}: {len(existing & known)} / {len(existing)} = {share:.0%}")
    assert len(existing) >= LEAST.get(one.key, 5)


LEAST = {
    "training_arguments": 117, "official": 34, "accelerate launch": 125, "torchrun": 26,
    "deepspeed": 30, "ds_config.json": 300, "accelerate.yaml": 100, "LoraConfig": 35,
    "PrefixTuningConfig": 15, "ChatGLM": 20, "ChatGLM2": 30, "Baichuan": 20, "Llama": 25,
    "AnyModel": 8, "GenerationDefaults": 70, "TrainerState": 15,
}  # fmt: skip


def test_every_format_is_counted():
    assert EXISTING.keys() | COUNTED_ELSEWHERE == {one.key for one in covered()}
    assert len(covered()) >= 26


@pytest.mark.parametrize("one", covered(), ids=lambda one: one.key)
def test_every_name_has_all_that_a_declaration_has(one: Covered):
    for name, entry in one.entries.items():
        assert entry.words.en and entry.words.zh, name
        assert re.search("[一-鿿]", entry.words.zh), name
        assert entry.takes and entry.source, name
        assert entry.facts.matters in (1, 2, 3), name
    assert one.entries


def test_every_name_is_found_by_explain():
    asked = 0
    for one in covered():
        for name in one.entries:
            if len(name) > 1 and one.own:  # of a model's keys test_explaining asks all
                assert find_any(name), (one.key, name)
                asked += 1
    assert asked > 800


def find_any(name: str) -> bool:
    """Whether a name is found, or told to be the name of several."""
    from foretune.errors import UserError

    try:
        return bool(find(name).entries)
    except UserError as error:
        return "is the name of" in str(error)


def test_an_upgrade_shows_what_is_new(monkeypatch: pytest.MonkeyPatch):
    (first,) = (one for one in covered() if one.key == "LoraConfig")
    monkeypatch.setitem(EXISTING, "LoraConfig", lambda: {"r", "brand_new_key"})
    with pytest.raises(AssertionError, match="brand_new_key"):
        test_every_name_that_exists_is_declared(first)


def test_the_table_has_a_row_for_every_format_in_both_languages():
    for language in ("en", "zh"):
        rows = [line for line in coverage_table(language) if line.startswith("| ")]
        assert len(rows) == len(covered()) + 1
        assert all(row.count("|") == 8 for row in rows)


# --- environment variables

READ = re.compile(
    r"(?:os\.environ(?:\.get|\.setdefault|\.pop)?[\(\[]\s*|getenv\(\s*|parse_flag_from_env\(\s*"
    r"|parse_choice_from_env\(\s*|get_int_from_env\(\s*\[?)[\"']([A-Za-z_][A-Za-z0-9_]*)[\"']"
)
BEHIND = re.compile(
    r"\b(?:env_)?prefix = [\"'](?P<prefix>[A-Z0-9_]+)[\"']"
    r"|\b(?:get|from_env)\(\s*(?:env_)?prefix \+ [\"'](?P<name>[A-Z0-9_]+)[\"']"
)
"""A name that is put together: its beginning, and what is read behind it."""
SOURCES = (
    (transformers, "training_args.py trainer.py trainer_utils.py trainer_pt_utils.py "
     "trainer_callback.py trainer_seq2seq.py modeling_utils.py modeling_flash_attention_utils.py "
     "utils/hub.py utils/logging.py utils/import_utils.py utils/generic.py integrations/fsdp.py "
     "integrations/integration_utils.py integrations/deepspeed.py integrations/hub_kernels.py"),
    (accelerate, "state.py accelerator.py launchers.py data_loader.py parallelism_config.py "
     "utils/launch.py utils/dataclasses.py utils/other.py utils/imports.py utils/modeling.py "
     "utils/fsdp_utils.py commands/launch.py tracking.py logging.py"),
    (torch, "distributed/run.py distributed/launch.py distributed/rendezvous.py "
     "distributed/elastic/agent/server/local_elastic_agent.py "
     "distributed/elastic/multiprocessing/api.py distributed/elastic/utils/logging.py"),
)  # fmt: skip
LEFT_OUT = {
    "other hardware": r"HCCL_|ASCEND_LAUNCH|PT_HPU|DEEPSPEED_USE_HPU|PYTORCH_CNDEV|PJRT_|XLA_|TPU_"
    r"|USE_TORCH_XLA|PYTORCH_ENABLE_MPS|ACCELERATE_DOWNCAST_BF16",
    "clouds, which set them for their machines": r"AWS_|SM_|SMDATAPARALLEL|SAGEMAKER|ECS_"
    r"|DATABRICKS|ACCELERATE_\w*SAGEMAKER|TRAINING_JOB_ARN|KUBEFLOW|BRANCH|CI$|TRANSFORMERS_IS_CI|AZURE",
    "trackers: they change what is recorded, and no run": r"MLFLOW_|CLEARML_|COMET_|SWANLAB_"
    r"|HF_DAGSHUB|HF_DVCLIVE|HF_MLFLOW|RAY_SCOPE|TRACKIO|DISABLE_(?:KUBEFLOW|MLFLOW)|FLYTE|NEPTUNE",
    "launchers set them for their processes": r"FORK_LAUNCHED|PMI_SIZE|MPI_LOCALNRANKS|NPROC$"
    r"|TORCHELASTIC_(?:RUN_ID|USE_AGENT)|ACCELERATE_DEBUG_RDV|\w+_(?:RANK|SIZE)$|WORLD_SIZE|RANK$",
    "examples in a docstring": r"FOO$|systemdrive",
}
"""Why -> the beginning of names that are read and not declared."""


def variables() -> dict[str, str]:
    """Every variable that those files read, and the file."""
    found: dict[str, str] = {}
    for package, names in SOURCES:
        for name in names.split():
            file = Path(str(package.__file__)).parent / name
            if file.is_file():
                text = file.read_text("utf-8")
                read = [*READ.findall(text), *put_together(text)]
                found |= dict.fromkeys(read, f"{package.__name__}/{name}")
    return found


def put_together(text: str) -> Iterator[str]:
    """The names of variables that a file makes of two parts."""
    prefix = ""
    for found in BEHIND.finditer(text):
        prefix = found["prefix"] or prefix
        if found["name"]:
            yield f"{prefix}{found['name']}"


def test_every_environment_variable_that_is_read_is_declared_or_left_out_for_a_reason():
    (declared,) = (one for one in covered() if one.key == "Environment")
    found = variables()
    patterns = [re.compile(pattern) for pattern in LEFT_OUT.values()]
    known = {*declared.entries, "CUDA_VISIBLE_DEVICES"}
    lacking = {
        name: file
        for name, file in found.items()
        if name not in known
        and twin(name) is None
        and not any(pattern.match(name) for pattern in patterns)
    }
    assert lacking == {}
    flags = {name for name in found if twin(name) and name not in known}
    told = f"{len(known & found.keys())} declared, {len(flags)} are flags of accelerate"
    print(f"environment: of {len(found)} that are read {told}, the others left out for a reason")
    assert len(found) > 120 and len(declared.entries) > 110 and len(flags) > 50


def test_a_name_of_any_format_is_explained_in_both_languages():
    for name in ("zero_stage", "hostfile", "rdzv_endpoint", "lang", "num_virtual_tokens"):
        for language in ("en", "zh"):
            assert len(explain(None, [name], language=language).splitlines()) > 3
    assert "launchers.torchrun.rdzv_endpoint" in parameters()
