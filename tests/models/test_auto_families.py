"""The three lines of a model card, for every family, in a process that knows nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from foretune.models.hf import module_name, native_families, native_model, published_config
from foretune.params.arch import family_of
from foretune.tokenizers import FAMILIES
from foretune.tokenizers.transformer import VOCABULARY, train_vocabulary
from small_models import FIXTURES, small_model
from tiny_baichuan import ALIBI, FIRST, ROTARY

THREE_LINES = """
import json, sys
import transformers
import foretune.auto
for folder, auto in json.loads(sys.argv[1]):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True).float()
    inputs = tokenizer(["你好"], return_tensors="pt")
    made = model.generate(**inputs, min_new_tokens=1, max_new_tokens=1, do_sample=False)
    started_from = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    new = made.shape[1] - started_from
    print(json.dumps([type(model).__name__, type(tokenizer).__name__, new]))
"""
CHATGLM, BAICHUAN = "ChatGLMForConditionalGeneration", "BaichuanForCausalLM"
TOLD = {
    "chatglm": ("AutoModel", CHATGLM, "ChatGLM1Tokenizer"),
    "chatglm2": ("AutoModel", CHATGLM, "ChatGLM2Tokenizer"),
    "chatglm3": ("AutoModel", CHATGLM, "ChatGLM3Tokenizer"),
    "glm4": ("AutoModelForCausalLM", CHATGLM, "ChatGLM4Tokenizer"),
    "baichuan": ("AutoModelForCausalLM", BAICHUAN, "BaichuanTokenizer"),
    "baichuan2": ("AutoModelForCausalLM", BAICHUAN, "BaichuanTokenizer"),
    "transformer": (
        "AutoModelForSeq2SeqLM",
        "TransformerForConditionalGeneration",
        "TransformerTokenizer",
    ),
}
"""The Auto class of the model card, and the classes of the model and the tokenizer it gives."""


def baichuan(folder: Path, release: int) -> Path:
    shutil.copy(FIXTURES / "baichuan2" / "tokenizer.model", folder)
    fixture = (FIXTURES / f"baichuan{release}_fixture.json").read_text("utf-8")
    settings = json.loads(fixture)["tokenizer_config"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    sizes = {**ROTARY, **FIRST} if release == 1 else ALIBI
    return with_model(folder, {**sizes, "vocab_size": 1700})


def transformer(folder: Path) -> Path:
    text = ["你好，世界。", "hello, world. how are you? we are fine."]
    rows = len(train_vocabulary(text, folder / VOCABULARY, 300))
    settings = {"tokenizer_class": "TransformerTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    sizes = {"d_model": 16, "num_layers": 1, "num_attention_heads": 2, "ffn_hidden_dim": 16}
    return with_model(folder, {"model_type": "original-transformer", "vocab_size": rows, **sizes})


def with_model(folder: Path, config: dict[str, Any]) -> Path:
    """The folder with a small random model of a config.json; its Python files raise."""
    architecture = family_of(config)
    assert architecture is not None
    torch.manual_seed(0)
    native_model(architecture)(published_config(architecture).from_dict(config)).save_pretrained(
        folder
    )
    autos = ("AutoModel", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
    remote = dict.fromkeys(autos, "modeling_own.OwnModel")
    remote["AutoConfig"] = "configuration_own.OwnConfig"
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": remote}))
    for module in ("configuration_own", "modeling_own", "tokenization_baichuan"):
        (folder / f"{module}.py").write_text("raise RuntimeError('code of the folder ran')\n")
    return folder


def folder_of(family: str, folder: Path) -> Path:
    """A folder in the published layout of a family."""
    folder.mkdir()
    if family.startswith("baichuan"):
        return baichuan(folder, 2 if family == "baichuan2" else 1)
    return transformer(folder) if family == "transformer" else small_model(folder, family)


def test_the_three_lines_load_every_family_and_run_nothing_of_its_folder(tmp_path: Path):
    asked = [(str(folder_of(family, tmp_path / family)), TOLD[family][0]) for family in TOLD]
    ran = subprocess.run(
        [sys.executable, "-c", THREE_LINES, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
    assert told == [[model, tokenizer, 1] for _, model, tokenizer in TOLD.values()]
    assert len(told) == 7


def test_no_family_is_left_out():
    assert {module_name(family).rpartition(".")[2] for family in native_families()} == {
        "baichuan", "chatglm", "chatglm2", "transformer",
    }  # fmt: skip
    assert FAMILIES.keys() >= TOLD.keys() - {"baichuan2"}
