"""Golden cases of the ChatGLM tokenizers, and the folders they are loaded from.

The cases were made by running each family's published code on transformers 4.30.2. Those with a
small synthetic vocabulary are in tests/golden/tokenizers; those with a full one are with the
reference material.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foretune.tokenizers import ChatGLMTokenizer

FIXTURES = ("chatglm1_fixture", "chatglm2_fixture", "chatglm3_fixture")
FULL = ("chatglm1_standin_fullvocab", "chatglm2_fullvocab", "chatglm3_fullvocab")


@dataclass(frozen=True)
class Golden:
    """One golden case with the tokenizer that has to reproduce it."""

    expected: dict[str, Any]
    folder: Path
    tokenizer: Any

    @property
    def family(self) -> str:
        return "chatglm" if self.expected["family"] == "chatglm1" else self.expected["family"]

    @property
    def vocabulary(self) -> Path:
        return self.folder / Path(self.expected["file"]["path"]).name


@pytest.fixture(scope="session")
def golden_folder(repository: Path) -> Path:
    return repository / "tests" / "golden" / "tokenizers"


@pytest.fixture(scope="session")
def load_golden(
    golden_folder: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Golden]:
    """Loads a golden case by name, once; skips a full vocabulary that is not there."""
    loaded: dict[str, Golden] = {}

    def load(name: str) -> Golden:
        if name not in loaded:
            root = cases = golden_folder
            if name in FULL:
                shared = request.getfixturevalue("shared")
                root, cases = shared.parent, shared / "golden" / "tokenizers"
            expected = json.loads((cases / f"{name}.json").read_text(encoding="utf-8"))
            vocabulary = root / expected["file"]["path"]
            folder = tmp_path_factory.mktemp(name)
            write(folder, vocabulary, {"tokenizer_config.json": expected["tokenizer_config"]})
            loaded[name] = Golden(expected, folder, ChatGLMTokenizer.from_pretrained(folder))
        return loaded[name]

    return load


@pytest.fixture(params=FIXTURES + FULL)
def case(request: pytest.FixtureRequest, load_golden: Callable[[str], Golden]) -> Golden:
    """Each golden case."""
    return load_golden(request.param)


@pytest.fixture(params=FIXTURES)
def small(request: pytest.FixtureRequest, load_golden: Callable[[str], Golden]) -> Golden:
    """Each golden case with a small vocabulary."""
    return load_golden(request.param)


@pytest.fixture
def model_folder(tmp_path: Path, golden_folder: Path) -> Callable[..., Path]:
    """Writes a model folder: a family's small vocabulary and JSON files or texts by their names."""

    def make(vocabulary: str | None, files: dict[str, Any] | None = None) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        write(folder, golden_folder / vocabulary if vocabulary else None, files or {})
        return folder

    return make


def write(folder: Path, vocabulary: Path | None, files: dict[str, Any]) -> None:
    if vocabulary is not None:
        shutil.copyfile(vocabulary, folder / vocabulary.name)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        (folder / name).write_text(text, encoding="utf-8")
