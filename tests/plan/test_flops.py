"""FLOPs of a step, exactly as torch's own counter finds them in models that are really built."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from foretune.models.hf import native_model, published_config
from foretune.models.meta import load_config
from foretune.params.arch import Architecture, family_of, read_architecture
from foretune.params.arch.shape import Shape
from foretune.params.run import Run
from foretune.plan.decoder import decoder_shape
from foretune.plan.flops import flops, profile
from foretune.plan.part import is_in, part_of
from foretune.plan.setup import Adapter, Kernels, Setup
from foretune.tune import method
from foretune.tune.built_shape import built_shape
from small_llama import PARAMS, ROWS, small_llama
from small_models import CONFIGS
from tiny_chatglm import CHATGLM, prompt_ids

ORIGINAL: dict[str, Any] = {
    "model_type": "original-transformer", "vocab_size": 40, "d_model": 32, "num_layers": 3,
    "num_attention_heads": 4, "ffn_hidden_dim": 48,
}  # fmt: skip
CHATGLM2 = {"model_type": "chatglm", **CONFIGS["chatglm2"], "padded_vocab_size": 96}
GLM4 = {"model_type": "chatglm", **CONFIGS["glm4"], "padded_vocab_size": 96}
BAICHUAN = {**CONFIGS["baichuan"], "vocab_size": 96}
NATIVE: dict[str, dict[str, Any]] = {
    "ChatGLM-6B": CHATGLM,
    "ChatGLM2-6B": CHATGLM2,
    "ChatGLM2, every head its keys": CHATGLM2 | {"multi_query_attention": False},
    "GLM-4-9B": GLM4,
    "Baichuan-7B, rotary": BAICHUAN,
    "Baichuan2-13B, ALiBi": CONFIGS["baichuan2"] | {"vocab_size": 96},
    "Llama 3, Meta's layout": PARAMS | {"vocab_size": ROWS},
    "the original Transformer": ORIGINAL,
}
SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 96,
}  # fmt: skip
GENERIC = {
    "qwen2": SIZES | {"head_dim": 8},
    "qwen3": SIZES | {"tie_word_embeddings": True},
    "mistral": SIZES | {"sliding_window": 8},
    "gemma2": SIZES | {"sliding_window": 8},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "vocab_size": 96}
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
}
METHODS: dict[str, dict[str, object]] = {
    "full": {"method.name": "full", "launch.train": True},
    "LoRA": {"method.name": "lora", "method.lora.targets": ["all-linear"], "method.lora.rank": 4},
    "LoRA on attention": {"method.name": "lora", "method.lora.rank": 3},
    "prefix": {"method.name": "ptuning", "method.prefix.length": 5},
    "projected prefix": {
        "method.name": "ptuning", "method.prefix.length": 5, "method.prefix.projection": True,
    },
}  # fmt: skip
SEQUENCE = {"rows": 2, "length": 12, "source": 7}


@cache
def built(name: str, folder: Path) -> tuple[Callable[[], Any], Shape]:
    """How a model is built, and its sizes."""
    if name in GENERIC:
        config = AutoConfig.for_model(name, **GENERIC[name])
        return lambda: AutoModelForCausalLM.from_config(config), sizes(name)
    if name.startswith("Llama"):
        config, keys = load_config(small_llama(folder)), PARAMS | {"vocab_size": ROWS}
        make: Callable[[], Any] = lambda: AutoModelForCausalLM.from_config(config)  # noqa: E731
    else:
        keys = NATIVE[name]
        family = family_of(keys)
        assert family is not None and issubclass(family, Architecture)
        config = published_config(family).from_dict(keys)
        make = lambda: native_model(family)(config)  # noqa: E731
    architecture, _ = read_architecture(keys)
    assert architecture is not None
    return make, architecture.shape


def sizes(name: str) -> Shape:
    """The sizes of one of transformers' own models."""
    if name == "gpt2":
        return decoder_shape(hidden=32, layers=3, heads=4, ffn=128, vocab=96, gated=False)
    known, _ = read_architecture({"model_type": name, **GENERIC[name]})
    if known is not None:
        return known.shape
    mine = ("hidden", "ffn", "layers", "heads", "kv_heads", "head_dim", "vocab")
    return decoder_shape(**dict(zip(mine, (GENERIC[name][key] for key in SIZES), strict=True)))


def batch(name: str) -> dict[str, Any]:
    """Ids and labels of two rows."""
    if name == "ChatGLM-6B":
        ids = prompt_ids(CHATGLM, SEQUENCE["length"] - 2, SEQUENCE["length"] - 2)
        return {"input_ids": ids, "labels": ids}
    ids = torch.full((SEQUENCE["rows"], SEQUENCE["length"]), 7)
    source = ids[:, : SEQUENCE["source"]] if name == "the original Transformer" else ids
    return {"input_ids": source, "labels": ids}


def counted(name: str, how: str, folder: Path, *, checkpointing: bool) -> int:
    """What torch's counter finds in forward and backward pass of a model as it is tuned here."""
    model = built(name, folder)[0]()
    if how == "full" or "prefix" not in how:
        model.set_attn_implementation("eager")
    run = Run().set(METHODS[how])
    if how == "LoRA on attention":
        run = run.set({"method.lora.targets": attended(built(name, folder)[1])})
    model = method(str(run.method.name)).attach(model, run)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.train()(**batch(name), use_cache=False).loss.backward()
    return counter.get_total_flops()


def attended(shape: Shape) -> list[str]:
    """The linears that make queries and values, by their last names."""
    into = ("query_key_value", "W_pack", "q_proj", "v_proj")
    return sorted({one.name.rpartition(".")[2] for one in shape.linears if one.name.endswith(into)})


def adapter_of(how: str, shape: Shape) -> Adapter | None:
    """What is trained beside the base."""
    if how == "full":
        return None
    if "prefix" in how:
        return Adapter(prefix=5, projection="projected" in how)
    if how == "LoRA":
        return Adapter(rank=4, targets=tuple(one.name for one in shape.linears))
    return Adapter(rank=3, targets=tuple(attended(shape)))


CASES = [
    (name, how)
    for name in (*NATIVE, *GENERIC)
    for how in METHODS
    if not ("prefix" in how and name == "the original Transformer")
    and not ("LoRA" in how and name == "gpt2")
]


def setup_of(shape: Shape, how: str) -> Setup:
    """One step on ``batch``."""
    source = SEQUENCE["source"] if shape.encoder_decoder else 0
    return Setup(
        length=SEQUENCE["length"],
        micro=SEQUENCE["rows"],
        source=source,
        adapter=adapter_of(how, shape),
    )


def told(name: str, how: str, folder: Path, *, checkpointing: bool) -> float:
    """What the plan says of the same step."""
    shape = built(name, folder)[1]
    kernels = Kernels(attention="eager", norms=4 if name == "gemma2" else 2)
    again = "full" if checkpointing else "none"
    return flops(shape, replace(setup_of(shape, how), checkpointing=again, kernels=kernels)).exact


FREEZE: dict[str, dict[str, Any]] = {
    "last block": {"layers": 1},
    "first block": {"layers": -1},
    "feed-forward of the last two": {"layers": 2, "modules": ["mlp"]},
    "norms in front of attention": {"layers": 2, "modules": ["input_layernorm"]},
    "output layer alone": {"layers": 0, "extra": ["lm_head", "output_layer"]},
    "embedding and last block": {
        "layers": 1, "extra": ["embedding", "word_embeddings", "embed_tokens", "wte", "norm"]
    },
}  # fmt: skip
"""Parts that train; a model has some of the names."""


def part(how: str, model: Any) -> dict[str, Any] | None:
    """The setting for a model, with the names that it has; None where it has none."""
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    chosen = dict(FREEZE[how])
    for key in chosen.keys() & {"modules", "extra"}:
        chosen[key] = [one for one in chosen[key] if any(is_in(name, [one]) for name in names)]
        if not chosen[key]:
            return None
    return {f"method.freeze.{key}": value for key, value in chosen.items()}


def frozen_steps(name: str, folder: Path) -> Iterator[tuple[str, int, float]]:
    """Of every part of a model that trains: what torch counts in a step, and what is told."""
    make, shape = built(name, folder)
    if name in ("gemma2", "gpt2"):  # whose names and ties the parts hang on
        shape = built_shape(AutoConfig.for_model(name, **GENERIC[name]))
    kernels = Kernels(attention="eager", norms=4 if name == "gemma2" else 2)
    for how in FREEZE:
        chosen = part(how, make())
        if chosen is None:
            continue
        run = Run().set({"method.name": "freeze", "launch.train": True, **chosen})
        for again in (False, True):
            model = method("freeze").attach(make(), run)
            model.set_attn_implementation("eager")
            if again:
                model.gradient_checkpointing_enable({"use_reentrant": False})
            with FlopCounterMode(display=False) as counter:
                model.train()(**batch(name), use_cache=False).loss.backward()
            setup = replace(
                setup_of(shape, "full"),
                part=part_of(run.method.freeze),
                checkpointing="full" if again else "none",
                kernels=kernels,
            )
            yield f"{how} {again}", counter.get_total_flops(), flops(shape, setup).exact


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("ChatGLM2-6B", "qwen3") else pytest.mark.slow)
        for name in (*NATIVE, *GENERIC)
    ],
)
def test_no_product_is_counted_that_no_trained_block_needs(name: str, tmp_path: Path):
    seen = list(frozen_steps(name, tmp_path))
    assert [told for *_, told in seen] == [made for _, made, _ in seen], seen
    assert len(seen) >= 8


BRIEFLY = {"full": NATIVE, "LoRA": NATIVE, "prefix": NATIVE, "LoRA on attention": ("qwen2",)}
"""What is built in the brief suite; the others are slow only together."""


@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param(*case, marks=() if case[0] in BRIEFLY.get(case[1], ()) else pytest.mark.slow)
        for case in CASES
    ],
)
def test_every_product_is_counted_that_torch_makes(name: str, how: str, tmp_path: Path):
    for checkpointing in (False, True):
        made = counted(name, how, tmp_path, checkpointing=checkpointing)
        assert told(name, how, tmp_path, checkpointing=checkpointing) == made > 0


def test_the_cases_are_all_families_and_methods():
    assert len(CASES) >= 60


def test_the_lines_that_deepspeeds_profiler_prints_are_forecast(repository: Path, tmp_path: Path):
    measured = repository / "benchmarks" / "results" / "deepspeed_profile.json"
    rows = json.loads(measured.read_text("utf-8"))["rows"]
    for row in rows:
        shape = built(row["model"], tmp_path)[1]
        found = profile(shape, setup_of(shape, row["method"]))
        alibi = shape.heads * SEQUENCE["length"] ** 2 if "ALiBi" in row["model"] else 0
        assert list(row["deepspeed"].values()) == [
            found.parameters, found.macs, found.forward + alibi
        ], row  # fmt: skip
    assert len(rows) == 53
