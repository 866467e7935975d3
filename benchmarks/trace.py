"""The formulas beside a traced step, part by part, and the traced step beside published figures.

    python benchmarks/trace.py > benchmarks/results/trace.json

Nothing is trained and no device is needed. ``cases``: for each run what the trace and the formulas
say of each part at the peak, the ratio of the formulas to the trace (``ratio``; ``of_tensors``
without what the allocator rounds up), and whether both count the same FLOPs. ``anchors``: what
somebody measured, what the trace says, and the error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from foretune.facts import Facts, Trace
from foretune.formats.model_config import model_file
from foretune.formats.published_model import published_names
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.plan.flops import flops
from foretune.plan.memory.peak import Memory, memory
from foretune.plan.of_run import setup_of
from foretune.plan.traced import memory_of
from foretune.train.trace import Step, traced, versions

GIB = 2**30
LORA = {"method.name": "lora", "method.lora.rank": 8, "precision.dtype": "bfloat16"}
HALF_LORA = LORA | {"precision.dtype": "float16"}
OFFICIAL = {  # ptuning/train.sh of THUDM/ChatGLM2-6B
    "method.name": "ptuning", "method.prefix.length": 128, "data.protocol": "official",
    "data.max_source_length": 64, "data.max_target_length": 128, "precision.dtype": "float16",
}  # fmt: skip
FULL = {"method.name": "full", "precision.mixed": "bf16"}
AGAIN = {"batch.gradient_checkpointing": True}
QWEN = {
    "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936,
    "tie_word_embeddings": True, "max_position_embeddings": 32768,
}  # fmt: skip
"""Qwen/Qwen2-0.5B."""
LLAMA_3B = {
    "model_type": "llama", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
    "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256,
    "tie_word_embeddings": True, "max_position_embeddings": 131072, "rope_theta": 500000.0,
}  # fmt: skip
"""meta-llama/Llama-3.2-3B."""

TRANSFORMER = {
    "model_type": "original-transformer", "d_model": 512, "num_layers": 6,
    "num_attention_heads": 8, "ffn_hidden_dim": 2048, "vocab_size": 37000,
}  # fmt: skip
"""The base model of arXiv:1706.03762."""
SENTENCES = {
    "method.name": "full", "data.max_source_length": 512, "data.max_target_length": 128,
}  # fmt: skip

CASES: list[tuple[str, str | dict[str, Any], dict[str, Any], int, int]] = [
    ("ChatGLM2-6B", "thudm/chatglm2-6b", OFFICIAL, 1, 0),
    ("ChatGLM2-6B", "thudm/chatglm2-6b", OFFICIAL, 4, 0),
    ("ChatGLM2-6B", "thudm/chatglm2-6b", OFFICIAL | AGAIN, 4, 0),
    ("ChatGLM2-6B", "thudm/chatglm2-6b", OFFICIAL | {"precision.quantize": 4}, 4, 0),
    ("ChatGLM2-6B", "thudm/chatglm2-6b", HALF_LORA, 4, 512),
    ("ChatGLM-6B", "thudm/chatglm-6b", OFFICIAL, 4, 0),
    ("ChatGLM-6B", "thudm/chatglm-6b", HALF_LORA, 4, 512),
    ("Llama-3-8B", "meta-llama/meta-llama-3-8b", LORA, 1, 2048),
    ("Llama-3-8B", "meta-llama/meta-llama-3-8b", LORA | AGAIN, 1, 2048),
    ("Llama-3-8B", "meta-llama/meta-llama-3-8b", FULL, 1, 2048),
    ("Llama-3-8B", "meta-llama/meta-llama-3-8b", FULL | AGAIN, 1, 2048),
    ("Mistral-7B", "mistralai/mistral-7b-v0.1", LORA, 1, 2048),
    ("Qwen3-8B", "qwen/qwen3-8b", LORA, 1, 2048),
    ("Qwen2-0.5B", QWEN, FULL, 4, 512),
    ("Qwen2-0.5B", QWEN, {"method.name": "full"}, 4, 512),
    ("Qwen2-0.5B", QWEN, LORA, 4, 512),
    ("Qwen2-0.5B", QWEN, LORA | {"model.attention": "eager"}, 4, 512),
    ("Qwen2-0.5B", QWEN, LORA | {"precision.mixed": "bf16"}, 4, 512),
    ("Qwen2-0.5B", QWEN, FULL | {"precision.mixed": "fp16", "batch.accumulation": 4}, 4, 512),
    (
        "Llama-3-8B",
        "meta-llama/meta-llama-3-8b",
        LORA | {"precision.dtype": "float32", "precision.mixed": "bf16"},
        1,
        2048,
    ),
    ("Baichuan2-13B", "baichuan-inc/baichuan2-13b-base", LORA, 1, 2048),
    ("Baichuan2-13B", "baichuan-inc/baichuan2-13b-base", OFFICIAL, 4, 0),
    ("Transformer", TRANSFORMER, SENTENCES, 16, 0),
    ("Transformer", TRANSFORMER, SENTENCES | AGAIN, 16, 0),
    ("Transformer", TRANSFORMER, SENTENCES | {"precision.mixed": "bf16"}, 16, 0),
    ("Transformer", TRANSFORMER, SENTENCES | {"method.name": "lora"}, 16, 0),
]
"""Name, config or published name, settings, rows and their length (0: what the settings say)."""


def run_of(model: str | dict[str, Any], settings: dict[str, Any], micro: int, length: int) -> Run:
    """A resolved run of a model of which there is the config alone."""
    keys = published_names()[model] if isinstance(model, str) else model
    folder = Path(tempfile.mkdtemp())
    (folder / "config.json").write_text(json.dumps(keys), encoding="utf-8")
    asked = {
        "model.path": str(folder), "model.fresh": True, "launch.train": True, "data.train": "-",
        "record.output": "-", "batch.micro": micro, "batch.accumulation": 1, **settings,
    }  # fmt: skip
    run = Run().set(asked | ({"data.max_length": length} if length else {}))
    config = model_file(run)
    return resolve(run, config.shape if config else None, device="cuda", complete=False)


def compared(name: str, model: Any, settings: dict[str, Any], micro: int, length: int) -> Any:
    """The formulas beside the trace."""
    run = run_of(model, settings, micro, length)
    config, facts = model_file(run), Facts(transformers=versions()["transformers"])
    assert config is not None
    setup = setup_of(run, config.shape, facts)
    formula = memory(config.shape, setup)
    trace = traced(run, facts, config.shape)
    told, rounding = formula.step.total, trace.parts["rounding"]
    return {
        "model": name, "settings": settings, "micro": micro, "length": setup.length,
        "moment": [trace.peak, formula.moment],
        "trace GiB": in_gib(trace, memory_of(trace, formula)),
        "formula GiB": {"allocated": round(told / GIB, 3), **parts(formula)},
        "ratio": round(told / trace.allocated, 4),
        "of_tensors": round(told / (trace.allocated - rounding), 4),
        "same FLOPs": flops(config.shape, setup).exact == trace.flops,
        "seconds": round(trace.seconds, 1),
    }  # fmt: skip


def parts(found: Memory) -> dict[str, float]:
    """The parts at the peak of the step, in GiB."""
    names = ("weights", "gradients", "optimizer", "activations", "logits", "temporary")
    return {name: round(getattr(found.step, name) / GIB, 3) for name in names}


def in_gib(trace: Trace, found: Memory) -> dict[str, float]:
    whole = {"allocated": trace.allocated, "reserved": trace.reserved}
    return {name: round(size / GIB, 3) for name, size in whole.items()} | parts(found)


def anchors() -> Iterator[dict[str, Any]]:
    """Published figures of runs whose code the trace can run."""
    facts = Facts(transformers=versions()["transformers"])
    peft = {"optim.name": "adamw_torch", "method.lora.rank": 32,
            "method.lora.targets": ["q_proj", "v_proj"]}  # fmt: skip
    lora = traced(run_of(LLAMA_3B, LORA | peft, 4, 230), facts, None)
    full = whole_in_16_bits(run_of(LLAMA_3B, {"method.name": "full", **peft}, 4, 230))
    source = "PEFT method_comparison, Llama-3.2-3B on an L40S, 4 rows, length 230 assumed"
    for name, figure, measured, found in (
        ("LoRA r32", "allocated after a step", 6.92, after_step(lora)),
        ("LoRA r32", "reserved, mean", 11.87, lora.reserved),
        ("all weights in bfloat16", "allocated after a step", 26.07, after_step(full)),
        ("all weights in bfloat16", "reserved, mean", 33.10, full.reserved),
        ("all weights in bfloat16", "reserved, p99", 33.57, full.reserved),
    ):
        yield {
            "source": source, "run": name, "figure": figure, "measured GB": measured,
            "trace GB": round(found / 1e9, 2), "error": round(found / 1e9 / measured - 1, 4),
        }  # fmt: skip


STANDING = 4 * 230 * 128256 * 2 + 8_519_680
"""Bytes that the program of these figures still has when it looks: the scores of the step in
bfloat16, and what cuBLAS works in (8.125 MiB, torch's default before Hopper)."""


def after_step(trace: Trace) -> float:
    """Bytes after the optimizer's step, the gradients not yet given back."""
    gradients = trace.moments["optimizer"].get("gradients", 0.0)
    return sum(trace.between.values()) + gradients + STANDING


def print_aside(text: str) -> None:
    print(text, file=sys.stderr)


def whole_in_16_bits(run: Run) -> Trace:
    """A step that trains weights held in bfloat16, which foretune itself does not."""
    import torch

    from foretune.models.fresh import fresh_model
    from foretune.train.trace.device import register
    from foretune.train.trace.model import planned, sizes_of, with_layers
    from foretune.train.trace.replay import replay
    from foretune.train.trace.step import trace_all

    plan = planned(run)

    def make(layers: int) -> Any:
        config = with_layers(plan.config, layers)
        config.use_cache = False
        with torch.device("meta"):
            return fresh_model(config, dtype=torch.bfloat16)

    step = Step(micro=4, length=230, source=0, accumulation=1)
    record, sizes = trace_all(run, make, sizes_of(plan.config), step, register(), say=print_aside)
    found = replay(record, 1)
    return Trace(
        micro=4, length=230, accumulation=1, layers=sizes.layers, traced=sizes.traced,
        moments=found.moments, between=found.between, reserved=found.reserved, flops=found.flops,
        seconds=0.0, versions=versions(),
    )  # fmt: skip


if __name__ == "__main__":
    rows = []
    for case in CASES:
        rows.append(compared(*case))
        row = rows[-1]
        print(f"{row['model']:<12} {row['ratio']:.4f} {row['settings']}", file=sys.stderr)
    found = {"versions": versions(), "cases": rows, "anchors": list(anchors())}
    print(json.dumps(found, indent=1))
