"""After ``import foretune.auto`` transformers' Auto classes load the families, and run nothing of
their folders.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

import foretune.auto
from foretune.models import chatglm, chatglm2
from foretune.tokenizers import (
    ChatGLM1Tokenizer,
    ChatGLM2Tokenizer,
    ChatGLM3Tokenizer,
    ChatGLM4Tokenizer,
)
from small_models import small_model

EXPECTED = {
    "chatglm": (chatglm, ChatGLM1Tokenizer),
    "chatglm2": (chatglm2, ChatGLM2Tokenizer),
    "chatglm3": (chatglm2, ChatGLM3Tokenizer),
    "glm4": (chatglm2, ChatGLM4Tokenizer),
}
TRUST = [{}, {"trust_remote_code": False}, {"trust_remote_code": True}]


@pytest.fixture(scope="module", params=list(EXPECTED))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder in published layout whose Python files raise, and the classes that have to load
    it.
    """
    folder = small_model(tmp_path_factory.mktemp(request.param), request.param)
    return folder, *EXPECTED[request.param]


@pytest.mark.parametrize("trust", TRUST, ids=str)
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM])
def test_models_are_loaded_by_the_class_that_is_here(loaded: Any, auto: Any, trust: dict[str, Any]):
    folder, module, _ = loaded
    model = auto.from_pretrained(folder, **trust)
    assert type(model) is module.ChatGLMForConditionalGeneration
    assert type(model.config) is module.ChatGLMConfig
    assert model.half().dtype == torch.float16


@pytest.mark.parametrize("trust", TRUST, ids=str)
def test_configs_and_tokenizers_are_loaded_by_the_class_that_is_here(
    loaded: Any, trust: dict[str, Any]
):
    folder, module, tokenizer = loaded
    assert type(AutoConfig.from_pretrained(folder, **trust)) is module.ChatGLMConfig
    assert type(AutoTokenizer.from_pretrained(folder, **trust)) is tokenizer


def asked(history: list[Any]) -> list[str]:
    """The questions in a history of pairs, or of messages with roles."""
    if isinstance(history[0], tuple):
        return [query for query, _ in history]
    return [message["content"] for message in history if message["role"] == "user"]


def test_the_published_quick_start_runs(loaded: Any):
    folder, *_ = loaded
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).float().eval()
    _, history = model.chat(tokenizer, "你好", history=[], max_length=40)
    assert asked(history) == ["你好"]
    _, history = model.chat(tokenizer, "再见", history=history, max_length=120)
    assert asked(history) == ["你好", "再见"]


def test_registering_twice_does_no_harm():
    assert importlib.reload(foretune.auto).AutoConfig is AutoConfig


def test_a_saved_model_is_loaded_again_without_its_authors_code(loaded: Any, tmp_path: Path):
    folder, module, _ = loaded
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(again) is module.ChatGLMForConditionalGeneration
    assert not list(tmp_path.glob("*.py"))


def test_what_a_config_says_under_two_names_is_saved_under_both(tmp_path: Path):
    small_model(tmp_path / "glm4", "glm4")
    config = AutoConfig.from_pretrained(tmp_path / "glm4")
    assert config.num_hidden_layers == config.num_layers == 2
    config.num_layers = 1
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["num_hidden_layers"] == saved["num_layers"] == 1
    assert "vocab_size" not in saved and "said_twice" not in saved
