"""Parameters counted from a config alone, held against models that are built without memory and
tuned by the methods themselves: PEFT really puts its adapters in, the prefix really attaches.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from foretune.models.hf import native_families, native_model, published_config
from foretune.params.arch import read_architecture
from foretune.params.arch.shape import Shape
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.plan.parameters import (
    added_weights,
    total_parameters,
    trainable_parameters,
    weights_that_train,
)
from foretune.tune import method
from foretune.tune.built_shape import built_shape
from tiny_baichuan import ALIBI, ROTARY
from tiny_chatglm import CHATGLM, CHATGLM2


def heads(random: Random) -> tuple[int, int, int]:
    """Heads, key heads that divide them, and an even width of each."""
    shared, groups = random.choice([1, 2, 4]), random.choice([1, 2, 3])
    return shared * groups, groups, random.choice([2, 4, 8, 16])


def chatglm(random: Random) -> dict[str, Any]:
    number, _, width = heads(random)
    return {
        **CHATGLM, "num_attention_heads": number, "hidden_size": number * width * 2,
        "inner_hidden_size": random.randint(1, 90), "num_layers": random.randint(1, 4),
        "position_encoding_2d": random.random() < 0.5,
        "tie_word_embeddings": random.random() < 0.5,
    }  # fmt: skip


def chatglm2(random: Random) -> dict[str, Any]:
    number, groups, width = heads(random)
    return {
        **CHATGLM2, "num_attention_heads": number, "multi_query_group_num": groups,
        "kv_channels": width * 2, "hidden_size": random.randint(2, 20) * 4,
        "ffn_hidden_size": random.randint(1, 90), "num_layers": random.randint(1, 4),
        "multi_query_attention": random.random() < 0.7, "rmsnorm": random.random() < 0.7,
        "add_bias_linear": random.random() < 0.3, "add_qkv_bias": random.random() < 0.7,
        "post_layer_norm": random.random() < 0.7, "padded_vocab_size": random.randint(96, 200),
    }  # fmt: skip


def baichuan(random: Random) -> dict[str, Any]:
    number, _, width = heads(random)
    return {
        **random.choice([ROTARY, ALIBI]), "num_attention_heads": number,
        "hidden_size": number * width, "intermediate_size": random.randint(1, 90),
        "num_hidden_layers": random.randint(1, 4), "vocab_size": random.randint(96, 200),
        "tie_word_embeddings": random.random() < 0.3,
        "tokenizer_class": random.choice([None, "BaichuanTokenizer"]),
    }  # fmt: skip


def transformer(random: Random) -> dict[str, Any]:
    number, _, width = heads(random)
    return {
        "model_type": "original-transformer", "d_model": number * width,
        "num_attention_heads": number, "ffn_hidden_dim": random.randint(1, 90),
        "num_layers": random.randint(1, 3), "vocab_size": random.randint(96, 200),
        "tie_word_embeddings": random.random() < 0.5,
    }  # fmt: skip


def decoder(random: Random) -> dict[str, Any]:
    number, groups, width = heads(random)
    kind = random.choice(["llama", "mistral", "qwen2", "qwen3"])
    return {
        "model_type": kind, "num_attention_heads": number, "num_key_value_heads": groups,
        "head_dim": width, "hidden_size": random.choice([number * width, 24]),
        "intermediate_size": random.randint(1, 90), "num_hidden_layers": random.randint(1, 4),
        "vocab_size": random.randint(96, 200), "tie_word_embeddings": random.random() < 0.5,
        **({"attention_bias": random.random() < 0.5} if kind in ("llama", "qwen3") else {}),
    }  # fmt: skip


ORDINARY = ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")


def generic(random: Random) -> dict[str, Any]:
    """A family without a declaration here, by the names of its own config."""
    number, groups, width = heads(random)
    layers, hidden, ffn = random.randint(1, 4), number * width, 2 * random.randint(1, 40)
    common = {
        "vocab_size": random.randint(96, 200), "tie_word_embeddings": random.random() < 0.5,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    grouped = {
        "hidden_size": hidden, "num_attention_heads": number, "num_key_value_heads": groups,
        "head_dim": width, "intermediate_size": ffn, "num_hidden_layers": layers,
    }  # fmt: skip
    eights = {
        "hidden_size": 8 * random.randint(1, 6),
        "intermediate_size": 8 * random.randint(1, 6),
    }
    experts = {"num_experts": 4, "num_local_experts": 4, "moe_intermediate_size": 8, **eights}
    sizes = {
        "gpt2": {"n_embd": hidden, "n_head": number, "n_layer": layers, "n_inner": ffn},
        "gemma2": grouped | {"query_pre_attn_scalar": width},
        "gpt_neox": {key: grouped[key] for key in grouped if key in ORDINARY},
        "opt": {
            "hidden_size": hidden, "num_attention_heads": number, "ffn_dim": ffn,
            "num_hidden_layers": layers, "word_embed_proj_dim": hidden,
        },
        "phi3": grouped | {"pad_token_id": 0},
        "mixtral": grouped | experts,
        "qwen2_moe": grouped | experts | {"shared_expert_intermediate_size": 16},
        "starcoder2": grouped,
    }  # fmt: skip
    kind = random.choice(list(sizes))
    return {"model_type": kind, **common, **sizes[kind]}


FAMILIES = [chatglm, chatglm2, baichuan, transformer, decoder, generic]


def built(config: dict[str, Any], where: str = "meta") -> tuple[Shape, PreTrainedModel]:
    """The sizes by the config alone, and the model, without memory on "meta"."""
    architecture, _ = read_architecture(config)
    with torch.device(where):
        if architecture is not None and type(architecture) in native_families():
            family = type(architecture)
            model = native_model(family)(published_config(family).from_dict(config))
            return architecture.shape, model
        own = AutoConfig.for_model(**config)
        shape = built_shape(own) if architecture is None else architecture.shape
        return shape, AutoModelForCausalLM.from_config(own, dtype=torch.bfloat16)


def names_of(shape: Shape, random: Random) -> list[str]:
    """Some of the linears, by the last parts of their path, some in one block alone; at times the
    output layer or the embedding beside them; at times all.
    """
    if random.random() < 0.15:
        return ["all-linear"]
    paths = sorted({one.name for one in shape.linears})
    chosen = random.sample(paths, random.randint(1, len(paths)))
    chosen = [".".join(path.split(".")[-random.choice([1, 1, 2, 3]) :]) for path in chosen]
    chosen = [name.replace("{i}", "0") for name in chosen]
    others = [one.name for one in shape.weights if one.kind in ("embedding", "head")]
    if random.random() < 0.3:
        chosen.append(random.choice(others).removesuffix(".weight").rpartition(".")[2])
    return chosen


def part(shape: Shape, random: Random) -> dict[str, Any]:
    """Some of the first or the last blocks, whole or in part; at times modules outside of them."""
    paths = [one.name.partition(".{i}.") for one in shape.weights]
    inside, outside = (
        sorted({one for path in names for one in path.rpartition(".")[0].split(".") if one})
        for names in ([path[2] for path in paths], [path[0] for path in paths if not path[2]])
    )
    return {
        "method.freeze.layers": random.choice([1, 2, 3, -1, -2, 9, -9]),
        "method.freeze.modules": random.choice([None, random.sample(inside, 1), inside[:2]]),
        "method.freeze.extra": random.choice([None, None, random.sample(outside, 1)]),
    }


def settings(shape: Shape, random: Random) -> dict[str, Any]:
    """A method with its sizes."""
    kinds = ["full", "lora", "lora", "lora", "ptuning", "ptuning", "freeze", "freeze"]
    name = random.choice(kinds)
    if name == "freeze":
        return {"method.name": name, "precision.mixed": "bf16", **part(shape, random)}
    if name == "ptuning" and not shape.encoder_decoder:
        return {
            "method.name": name, "method.prefix.length": random.randint(1, 40),
            "method.prefix.projection": random.random() < 0.5,
        }  # fmt: skip
    if name == "full":
        return {"method.name": name}
    return {
        "method.name": "lora", "method.lora.rank": random.randint(1, 9),
        "method.lora.targets": None if random.random() < 0.2 else names_of(shape, random),
        "peft.use_dora": random.random() < 0.4,
    }  # fmt: skip


def cases(number: int, seed: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """So many configs, each family in turn, with a method for each."""
    random = Random(seed)
    for at in range(number):
        config = FAMILIES[at % len(FAMILIES)](random)
        shape, _ = built(config)
        yield config, settings(shape, random)


def plain(name: str) -> str:
    """A parameter's name as it is without an adapter around its module."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def assert_counted(config: dict[str, Any], chosen: dict[str, Any]) -> None:
    kept = config["model_type"] == "gpt2" and chosen["method.name"] == "ptuning"
    shape, model = built(config, "cpu" if kept else "meta")  # a token goes through it; GPT-2 looks
    told = f"{config}\n{chosen}"
    turned = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, Conv1D)}
    run = resolve(Run().set({"launch.train": True, **chosen}), shape, complete=False)
    tuned = method(str(run.method.name)).attach(model, run)
    parts = {n.replace(".default", ""): p for n, p in tuned.named_parameters()}
    trained = {name: tuple(p.shape) for name, p in parts.items() if p.requires_grad}
    rest = {plain(n): tuple(p.shape) for n, p in parts.items() if n not in trained}
    own = {n: w.shape[:: -1 if n in turned else 1] for w in shape.weights for n in w.names()
           if not w.tied}  # fmt: skip
    added = {n: w.shape for w in added_weights(run, shape) for n in w.names()}
    if run.method.name in ("full", "freeze"):
        mine = {n for w in weights_that_train(run, shape) for n in w.names()}
        assert trained == {n: s for n, s in own.items() if n in mine}, told
        assert rest == {n: s for n, s in own.items() if n not in mine}, told
    else:
        assert (trained, rest) == (added, own), told
    assert trainable_parameters(run, shape) == sum(p.numel() for p in tuned.parameters()
                                                   if p.requires_grad), told  # fmt: skip
    assert total_parameters(run, shape) == sum(p.numel() for p in tuned.parameters()), told


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_module_has_as_many_parameters_as_counted():
    seen = [assert_counted(*case) for case in cases(200, seed=1)]
    assert len(seen) == 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_module_of_hundreds_of_models_has_as_many_parameters_as_counted():
    seen = [assert_counted(*case) for case in cases(600, seed=2)]
    assert len(seen) == 600
