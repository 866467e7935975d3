"""Tokenizers with small vocabularies (in the repository) and full ones (reference material)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from foretune.params.data import Data
from foretune.tokenizers import FAMILIES

Write = Callable[..., str]

SMALL = {
    "chatglm": "chatglm1/ice_text.model",
    "chatglm2": "chatglm2/tokenizer.model",
    "chatglm3": "chatglm2/tokenizer.model",
    "glm4": "glm4/tokenizer.model",
}
FULL = {
    "chatglm": "chatglm-6b-standin/ice_text.model",
    "chatglm2": "chatglm3-6b/tokenizer.model",
    "chatglm3": "chatglm3-6b/tokenizer.model",
}


def data_of(**settings: Any) -> Data:
    """A data section with the columns of the tests' rows."""
    return Data(**{"prompt_column": "prompt", "response_column": "response"} | settings)


@pytest.fixture(scope="session")
def small(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The tokenizer of a family with its small vocabulary."""
    return _tokenizers(repository / "tests" / "golden" / "tokenizers", SMALL, tmp_path_factory)


@pytest.fixture(scope="session")
def full(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The tokenizer of a family with its full vocabulary."""
    return _tokenizers(shared / "tokenizers", FULL, tmp_path_factory)


def _tokenizers(
    root: Path, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    @cache
    def load(family: str) -> Any:
        folder = tmp_path_factory.mktemp(family)
        shutil.copy(root / files[family], folder)
        published = {"name_or_path": f"THUDM/{family}-6b", "num_image_tokens": 0}
        (folder / "tokenizer_config.json").write_text(json.dumps(published))
        return FAMILIES[family].from_pretrained(folder)

    return load


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of the given name: rows become one JSON object per line; gives its path."""

    def make(name: str, content: Any) -> str:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            lines = (json.dumps(row, ensure_ascii=False) for row in content)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    return make
