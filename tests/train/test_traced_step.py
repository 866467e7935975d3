"""A real training step without its device, beside the formulas; what goes wrong is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from foretune.errors import UserError
from foretune.facts import Facts
from foretune.formats.model_config import model_file
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.plan.flops import flops
from foretune.plan.memory.peak import memory
from foretune.plan.of_run import setup_of
from foretune.train import trace
from foretune.train.trace import traced

GLM2: dict[str, Any] = {
    "model_type": "chatglm", "hidden_size": 512, "ffn_hidden_size": 1376, "num_layers": 8,
    "num_attention_heads": 8, "kv_channels": 64, "multi_query_attention": True,
    "multi_query_group_num": 2, "padded_vocab_size": 8192, "seq_length": 2048, "rmsnorm": True,
    "add_bias_linear": False, "add_qkv_bias": True, "post_layer_norm": True,
}  # fmt: skip
GLM: dict[str, Any] = {
    "model_type": "chatglm", "vocab_size": 8192, "hidden_size": 512, "inner_hidden_size": 2048,
    "num_layers": 8, "num_attention_heads": 8, "max_sequence_length": 2048,
    "position_encoding_2d": True, "bos_token_id": 8004, "eos_token_id": 8005,
    "gmask_token_id": 8001, "mask_token_id": 8000, "pad_token_id": 3,
}  # fmt: skip
LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
    "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip
QWEN3 = LLAMA | {"model_type": "qwen3", "head_dim": 64, "tie_word_embeddings": True}
BAICHUAN: dict[str, Any] = {
    "model_type": "baichuan", "hidden_size": 512, "intermediate_size": 1408, "vocab_size": 8192,
    "num_hidden_layers": 8, "num_attention_heads": 8, "max_position_embeddings": 4096,
}  # fmt: skip
BAICHUAN_13B = BAICHUAN | {"max_position_embeddings": None, "model_max_length": 4096}
TRANSFORMER: dict[str, Any] = {
    "model_type": "original-transformer", "d_model": 512, "num_layers": 8, "vocab_size": 8192,
    "num_attention_heads": 8, "ffn_hidden_dim": 2048,
}  # fmt: skip
LORA = {"method.name": "lora", "precision.dtype": "bfloat16", "data.max_length": 512}
PREFIX = {
    "method.name": "ptuning", "method.prefix.length": 64, "precision.dtype": "float16",
    "data.max_length": 512,
}  # fmt: skip
FULL = {"method.name": "full", "precision.mixed": "bf16", "data.max_length": 512}
AGAIN = {"batch.gradient_checkpointing": True}
SENTENCES = {
    "method.name": "full", "data.max_source_length": 512, "data.max_target_length": 128,
}  # fmt: skip
CASES = {
    "ChatGLM2, LoRA": (GLM2, LORA),
    "ChatGLM2, prefix": (GLM2, PREFIX),
    "ChatGLM2, prefix, again": (GLM2, PREFIX | AGAIN),
    "ChatGLM2, prefix, int4": (GLM2, PREFIX | {"precision.quantize": 4}),
    "ChatGLM2, all": (GLM2, FULL),
    "ChatGLM, LoRA": (GLM, LORA | {"precision.dtype": "float16"}),
    "ChatGLM, prefix": (GLM, PREFIX),
    "Baichuan, LoRA": (BAICHUAN, LORA),
    "Baichuan, prefix": (BAICHUAN, PREFIX),
    "Llama, LoRA": (LLAMA, LORA),
    "Llama, LoRA, again": (LLAMA, LORA | AGAIN),
    "Llama, all": (LLAMA, FULL),
    "Llama, all, again": (LLAMA, FULL | AGAIN),
    "Llama, all in float32": (LLAMA, FULL | {"precision.mixed": "no"}),
    "Qwen3, all, foreach": (QWEN3, FULL | {"optim.name": "adamw_torch"}),
    "Llama, LoRA, amp": (LLAMA, LORA | {"precision.mixed": "bf16"}),
    "Llama, LoRA, amp in float32": (
        LLAMA, LORA | {"precision.dtype": "float32", "precision.mixed": "bf16"}
    ),
    "Llama, LoRA in float32": (LLAMA, LORA | {"precision.dtype": "float32"}),
    "Llama, LoRA, eager": (LLAMA, LORA | {"model.attention": "eager"}),
    "Llama, all, eager": (LLAMA, FULL | {"model.attention": "eager"}),
    "Llama, all in float16, accumulation": (
        LLAMA, FULL | {"precision.mixed": "fp16", "batch.accumulation": 4}
    ),
    "ChatGLM, all": (GLM, FULL),
    "ChatGLM2, LoRA, eager": (GLM2, LORA | {"model.attention": "eager"}),
    "Baichuan-13B, LoRA": (BAICHUAN_13B, LORA),
    "Baichuan-13B, LoRA, again": (BAICHUAN_13B, LORA | AGAIN),
    "Baichuan-13B, prefix": (BAICHUAN_13B, PREFIX),
    "Baichuan-13B, all": (BAICHUAN_13B, FULL),
    "Transformer, all": (TRANSFORMER, SENTENCES),
    "Transformer, all, again": (TRANSFORMER, SENTENCES | AGAIN),
    "Transformer, all, amp": (TRANSFORMER, SENTENCES | {"precision.mixed": "bf16"}),
    "Transformer, all, no dropout": (TRANSFORMER | {"dropout": 0.0}, SENTENCES),
    "Transformer, LoRA": (TRANSFORMER, SENTENCES | {"method.name": "lora"}),
    "Qwen3, prefix": (QWEN3, PREFIX | {"precision.dtype": "bfloat16"}),
}  # fmt: skip


def run_of(folder: Path, keys: dict[str, Any], settings: dict[str, Any]) -> Run:
    """A resolved run of a model of which there is the config alone."""
    (folder / "config.json").write_text(json.dumps(keys))
    asked = {
        "model.path": str(folder), "launch.train": True, "data.train": "-", "record.output": "-",
        "batch.micro": 8, "batch.accumulation": 1,
    }  # fmt: skip
    run = Run().set(asked | settings)
    config = model_file(run)
    return resolve(run, config.shape if config else None, device="cuda", complete=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def beside(run: Run) -> tuple[float, float]:
    """Bytes of tensors at the peak, formulas to trace; and the same of the FLOPs."""
    config = model_file(run)
    assert config is not None
    facts = Facts(transformers="5.23.0")
    found = traced(run, facts, config.shape)
    setup = setup_of(run, config.shape, facts)
    of_tensors = found.allocated - found.parts["rounding"]
    held = memory(config.shape, setup).step.total
    return held / of_tensors, flops(config.shape, setup).exact / found.flops


def test_a_step_is_traced_once_and_agrees_with_the_formulas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = run_of(tmp_path, LLAMA, LORA)
    ratio, counted = beside(run)
    assert ratio == pytest.approx(1, abs=0.01)
    assert counted == 1
    monkeypatch.setattr(trace, "_ask", None)  # it is not asked again
    assert beside(run) == (ratio, counted)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_formulas_and_trace_agree_within_one_percent(name: str, tmp_path: Path):
    ratio, counted = beside(run_of(tmp_path, *CASES[name]))
    assert ratio == pytest.approx(1, abs=0.01)
    assert counted == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Llama, LoRA", "ChatGLM2, prefix", "Qwen3, all, foreach"])
def test_five_blocks_tell_of_all(name: str, tmp_path: Path):
    run = run_of(tmp_path, *CASES[name])
    config = model_file(run)
    assert config is not None
    few = traced(run, Facts(transformers="5"), config.shape)
    every = traced(run, Facts(transformers="5"), config.shape, every=True)
    assert (few.traced, every.traced) == (5, 8)
    assert few.moments.keys() == every.moments.keys()
    assert few.allocated == pytest.approx(every.allocated, rel=0.005)
    assert few.reserved == pytest.approx(every.reserved, rel=0.03)
    assert few.flops == every.flops


def test_a_run_that_is_shared_out_is_not_traced(tmp_path: Path):
    run = run_of(tmp_path, LLAMA, LORA).set({"deepspeed.zero_optimization.stage": 3})
    with pytest.raises(UserError, match="shared out by deepspeed"):
        traced(run, Facts(transformers="5"), None)


def test_a_process_that_ends_without_an_answer_is_told_with_its_last_words():
    with pytest.raises(UserError, match="terminate called") as told:
        trace._answered(("", -6, ["terminate called without an active exception"]), Run())
    assert "leave --trace out" in str(told.value)


def test_the_problems_of_the_other_process_are_those_of_this_one():
    problem = {"what": "a", "where": "b", "why": "c", "fix": "d"}
    with pytest.raises(UserError) as told:
        trace._answered((json.dumps({"problems": [problem]}), 0, []), Run())
    assert [one.what for one in told.value.problems] == ["a"]


@pytest.mark.slow
def test_an_optimizer_that_is_not_installed_is_told_and_no_traceback(tmp_path: Path):
    run = run_of(tmp_path, LLAMA, LORA | {"optim.name": "adamw_8bit"})
    with pytest.raises(UserError, match="bitsandbytes"):
        traced(run, Facts(transformers="5"), None)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_an_interrupt_ends_the_process_that_traces(tmp_path: Path):
    run_of(tmp_path, LLAMA, LORA)
    told = [sys.executable, "-m", "foretune", "plan", "--model_name_or_path", str(tmp_path),
            "--set", "method.name=lora", "--trace"]  # fmt: skip
    planning = subprocess.Popen(told, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while planning.poll() is None and not (tracing := children(planning.pid)):
        time.sleep(0.1)
    assert tracing, "the process that traces was never seen"
    planning.send_signal(signal.SIGINT)
    _, said = planning.communicate(timeout=30)
    assert planning.returncode == 130
    assert "Traceback" not in said
    assert not [one for one in tracing if one.exists()]


def children(process: int) -> list[Path]:
    """The folders in /proc of the processes that one has started."""
    return [one.parent for one in Path("/proc").glob("[0-9]*/status") if _is_child(one, process)]


def _is_child(status: Path, process: int) -> bool:
    try:
        return f"PPid:\t{process}\n" in status.read_text()
    except OSError:
        return False
