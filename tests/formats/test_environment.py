"""Environment variables of a script: explained with their lines, and never given away."""

from __future__ import annotations

from pathlib import Path

import pytest

from foretune.explain.entry import find
from foretune.formats.documents import field_names
from foretune.formats.read import read
from foretune.params.declare import facts_of, words_of
from foretune.params.document import Document
from foretune.params.environment import Environment
from foretune.params.run import Run
from foretune.params.setting import is_secret

COMMAND = "torchrun --nproc_per_node=2 main.py --do_train --learning_rate 1e-4\n"


def script(tmp_path: Path, before: str, command: str = COMMAND) -> Run:
    (tmp_path / "train.sh").write_text(before + command, "utf-8")
    return read(tmp_path / "train.sh")


def environment(run: Run) -> Document:
    (document,) = run.documents
    assert document.kind == "environment"
    return document


def test_variables_that_are_exported_or_stand_in_front_are_explained(tmp_path: Path):
    before = "export OMP_NUM_THREADS=4 MINE=1\nKEPT=1\nNCCL_P2P_DISABLE=1 "
    run = script(tmp_path, before)
    document = environment(run)
    assert document.keys == {"OMP_NUM_THREADS": "4", "NCCL_P2P_DISABLE": "1"}
    assert document.lines == {"OMP_NUM_THREADS": 1, "NCCL_P2P_DISABLE": 3}
    assert run.launch.environment == {"OMP_NUM_THREADS": "4", "MINE": "1", "NCCL_P2P_DISABLE": "1"}
    declared = document.declared
    assert isinstance(declared, Environment)
    assert (declared.omp_num_threads, declared.nccl_p2p_disable) == ("4", "1")


def test_a_variable_that_nearly_has_a_known_name_is_told(tmp_path: Path):
    run = script(tmp_path, "export TOKENIZERS_PARALELISM=false\n")
    (note,) = [one for one in run.notes if "variable" in one.what]
    assert note.what == "TOKENIZERS_PARALELISM is no variable that is known"
    assert note.why == "did you mean TOKENIZERS_PARALLELISM?"
    assert "train.sh:1" in note.where


@pytest.mark.parametrize("name", ["MY_RUN", "NCCL_IB_QPS_PER_CONNECTION", "HF_HUB_ETAG_TIMEOUT"])
def test_variables_that_are_merely_not_declared_are_left_in_peace(tmp_path: Path, name: str):
    assert not [one for one in script(tmp_path, f"export {name}=1\n").notes if name in one.what]


def test_a_secret_reaches_the_program_and_no_page(tmp_path: Path):
    run = script(tmp_path, "export HF_TOKEN=hf_abc\n")
    assert run.launch.environment == {"HF_TOKEN": "hf_abc"}
    assert run.shown("launch.environment") == {"HF_TOKEN": "***"}
    assert environment(run).keys == {"HF_TOKEN": "***"}
    assert "hf_abc" not in str(run.origin("launch.environment"))


def test_what_is_declared_secret_is_treated_so():
    fields = field_names(Environment)
    secret = {
        name for name, field in fields.items() if facts_of(Environment.model_fields[field]).secret
    }
    assert secret == {name for name in fields if is_secret(name)}
    assert len(secret) == 3


def test_every_variable_has_words_in_both_languages_and_says_who_reads_it():
    fields = field_names(Environment)
    for name, field in fields.items():
        words, facts = words_of(Environment, field), facts_of(Environment.model_fields[field])
        assert name == field.upper()
        assert words.en.endswith(".") and words.en.isascii(), name
        assert words.zh.endswith("。") and not words.zh.isascii(), name
        assert facts.source, name
    assert len(fields) >= 80


NAMED = (
    "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF", "CUDA_LAUNCH_BLOCKING", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE", "WANDB_PROJECT", "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK",
    "WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "TORCH_DISTRIBUTED_DEBUG",
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "DS_ACCELERATOR",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_each_is_found_by_its_name(name: str):
    assert name in [entry.name for entry in find(name).entries]
