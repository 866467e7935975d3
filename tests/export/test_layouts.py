"""Models in another layout: the same logits by transformers' own classes, and the same bytes on
the way back.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from exported import BUFFERS, OWN, config_of, export, refused, same, weights
from foretune.export.layouts import convertible
from foretune.models.hf import native_model, published_config
from foretune.models.loading import load_model
from foretune.params.arch.chatglm2 import ChatGLM2
from foretune.tune import prefix
from small_llama import small_llama
from small_models import small_model

torch.set_num_threads(1)


def logits_by_transformers(case: Path, folder: Path) -> tuple[type, float, int]:
    """The class that loads the folder, how far its logits are from the published ones, and how many
    inputs that was looked at for.
    """
    model, told = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(told.values())
    meta = json.loads((case / "meta.json").read_text())
    inputs, want = load_file(case / "inputs.safetensors"), load_file(case / "logits.safetensors")
    worst, seen = 0.0, 0
    for scenario, passed in meta["scenarios"].items():
        names = [name for name in passed["passed_to_reference"] if name != "labels"]
        with torch.no_grad():
            got = model(**{name: inputs[f"{scenario}.{name}"] for name in names}).logits
        ids = inputs[f"{scenario}.input_ids"]
        where = inputs.get(f"{scenario}.compare_mask", torch.ones_like(ids)).bool()
        difference = got[where] - want[f"{scenario}.logits"][where]
        worst = max(worst, difference.abs().max().item())
        seen += 1
    return type(model), worst, seen


# --- transformers' own architectures


def convert_and_back(case: Path, tmp_path: Path, architecture: type) -> dict[str, Tensor]:
    export(case, tmp_path / "hf", layout="hf", max_shard_size="50KB")
    kind, worst, seen = logits_by_transformers(case, tmp_path / "hf")
    assert kind is architecture and worst < 5e-5 and seen >= 5
    export(tmp_path / "hf", tmp_path / "back", layout="published")
    assert config_of(tmp_path / "back") == config_of(case)
    return weights(tmp_path / "back")


def test_chatglm3_is_a_glm_of_transformers_and_itself_again(tmp_path: Path):
    case = OWN / "chatglm3_a"
    back = convert_and_back(case, tmp_path, GlmForCausalLM)
    published = load_file(case / "model.safetensors")
    assert same(back, {k: t for k, t in published.items() if not k.endswith(BUFFERS)})


@pytest.mark.parametrize("name", ["chatglm2_a", "chatglm3_a", "glm4_a"])
def test_every_published_glm_is_one_of_transformers(name: str, shared: Path, tmp_path: Path):
    case = shared / "golden" / name
    back = convert_and_back(case, tmp_path, GlmForCausalLM)
    published = load_file(case / "model.safetensors")
    assert same(back, {k: t for k, t in published.items() if not k.endswith(BUFFERS)})


@pytest.mark.parametrize("name", ["baichuan_7b_a", "baichuan2_7b_a", "baichuan2_7b_zloss"])
def test_baichuan_7b_is_a_llama_of_transformers(name: str, shared: Path, tmp_path: Path):
    case = shared / "golden" / name
    back = convert_and_back(case, tmp_path, LlamaForCausalLM)
    published = load_file(case / "model.safetensors")
    if name.startswith("baichuan2"):  # the lengths of the head's rows are gone, and mean nothing
        head = published.pop("lm_head.weight")
        unit = back.pop("lm_head.weight")
        torch.testing.assert_close(unit, torch.nn.functional.normalize(head))
    assert same(back, {k: t for k, t in published.items() if not k.endswith(BUFFERS)})
    ids = torch.tensor([[5, 9, 17, 23]])
    first, again = (load_model(folder, dtype=torch.float32) for folder in (case, tmp_path / "back"))
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, first(ids).logits, atol=1e-5, rtol=0)


def test_heads_that_stand_one_by_one_are_told_apart(shared: Path, tmp_path: Path):
    case = shared / "golden" / "chatglm2_variant_mha_bias_layernorm"
    model: Any = load_model(case, dtype=torch.float32)
    assert not model.config.multi_query_attention
    config = {**config_of(case), "rmsnorm": True, "add_bias_linear": False, "add_qkv_bias": True}
    folder = tmp_path / "mha"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    kept = ("weight", "query_key_value.bias")
    tensors = load_file(case / "model.safetensors")
    save_file({k: t for k, t in tensors.items() if k.endswith(kept)}, folder / "model.safetensors")
    export(folder, tmp_path / "hf", layout="hf")
    ours = load_model(folder, dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32)
    ids = torch.tensor([[5, 9, 17, 23]])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours(ids).logits, atol=1e-5, rtol=0)


def test_the_tokenizer_of_glm4_is_one_that_transformers_loads_by_itself(
    shared: Path, tmp_path: Path
):
    fixture = json.loads((shared / "golden/tokenizers/glm4_fixture.json").read_text("utf-8"))
    config = {**config_of(shared / "golden/glm4_a"), "padded_vocab_size": 768}
    config |= {"eos_token_id": [700, 707, 709], "pad_token_id": 700}
    base = tmp_path / "glm4"
    native_model(ChatGLM2)(published_config(ChatGLM2).from_dict(config)).save_pretrained(base)
    (base / "tokenizer_config.json").write_text(json.dumps(fixture["tokenizer_config"]))
    shutil.copy(shared / "golden/tokenizers/files/glm4/tokenizer.model", base)
    export(base, tmp_path / "hf", layout="hf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.is_fast
    for case in fixture["encode"]:
        assert tokenizer.encode(case["text"]) == case["ids"]
    assert len(fixture["encode"]) > 20
    for chat in fixture["chat"]:
        said = {"role": chat["role"], "content": chat["query"]}
        messages = [{**turn, "metadata": turn.get("metadata", "")} for turn in chat["history"]]
        ids = tokenizer.apply_chat_template(
            [*messages, said], add_generation_prompt=True, return_dict=False
        )
        assert [ids] == chat["out"]["input_ids"]
    assert len(fixture["chat"]) >= 2
    export(tmp_path / "hf", tmp_path / "back", layout="published")
    assert not (tmp_path / "back" / "tokenizer.json").exists()
    files = ("tokenizer_config.json", "tokenizer.model")
    for name in files:
        assert (tmp_path / "back" / name).read_bytes() == (base / name).read_bytes()


def llama(folder: Path) -> dict[str, Tensor]:
    config = LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rope_parameters={
            "rope_type": "default", "rope_theta": 500000.0,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).bfloat16()
    model.save_pretrained(folder)
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


def test_a_llama_goes_into_metas_files_and_comes_back(tmp_path: Path):
    before = llama(tmp_path / "llama")
    export(tmp_path / "llama", tmp_path / "meta", layout="meta")
    names = {file.name for file in (tmp_path / "meta").iterdir()}
    assert {"params.json", "consolidated.00.pth"} <= names and "config.json" not in names
    export(tmp_path / "meta", tmp_path / "hf", layout="hf", max_shard_size="30KB")
    assert same(weights(tmp_path / "hf"), before)
    assert len(list((tmp_path / "hf").glob("model-*"))) > 2
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path / "hf"), LlamaForCausalLM)


def test_a_model_keeps_its_layout_where_none_is_named(tmp_path: Path):
    chatglm3 = small_model(tmp_path / "chatglm3", "chatglm3")
    export(chatglm3, tmp_path / "glm", layout="hf")
    kept = {name: export(tmp_path / name, tmp_path / f"{name}-2") for name in ("chatglm3", "glm")}
    types = {name: config_of(done.folder)["model_type"] for name, done in kept.items()}
    assert types == {"chatglm3": "chatglm", "glm": "glm"}
    export(small_llama(tmp_path / "base"), tmp_path / "out")
    read = [torch.load(folder / "consolidated.00.pth", weights_only=True)
            for folder in (tmp_path / "base", tmp_path / "out")]  # fmt: skip
    assert same(read[1], read[0])


def test_a_prefix_on_a_llama_is_never_left_behind_in_silence(tmp_path: Path):
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    save_file({"model.prefix_encoder.embedding.weight": torch.ones(2, 8)}, tuned / prefix.SAFE)
    base = small_llama(tmp_path / "base")
    for layout in (None, "hf", "meta"):
        (problem,) = refused(base, tmp_path / "out", layout=layout, checkpoint=str(tuned))
        assert problem.what == "a prefix cannot be exported with a model of LlamaConfig"


@pytest.mark.parametrize("name", ["llama3_a", "llama3_mp2", "llama3_1_scaled_rope"])
def test_metas_published_files_give_the_weights_of_the_hub(name: str, shared: Path, tmp_path: Path):
    case = shared / "golden" / name
    export(case, tmp_path / "hf", layout="hf")
    assert same(weights(tmp_path / "hf"), load_file(case / "hf" / "model.safetensors"))


def test_every_family_of_two_layouts_is_found():
    assert {family.__name__ for family, _ in convertible()} == {"ChatGLM2", "Baichuan"}
