"""Models under their hub names, from a cache as the hub's own client lays it out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from small_models import small_model

SNIPPET = """
import foretune.auto
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THUDM/chatglm-6b", trust_remote_code=True)
model = AutoModel.from_pretrained("THUDM/chatglm-6b", trust_remote_code=True).half()
model = model.eval().float()
response, history = model.chat(tokenizer, "你好", history=[], max_length=24)
print(type(model).__module__, type(tokenizer).__module__, model.num_parameters(), len(history))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with THUDM/chatglm-6b in it, whose Python files raise when they are run."""
    cache = tmp_path_factory.mktemp("hub")
    repository = cache / "models--THUDM--chatglm-6b"
    small_model(repository / "snapshots" / "0123abc", "chatglm")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    return cache


def test_the_snippet_in_circulation_runs_as_it_stands(cache: Path):
    done = subprocess.run(
        [sys.executable, "-c", SNIPPET],
        env={"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[:2] == ["foretune.models.chatglm", "foretune.tokenizers.chatglm"]


def test_a_run_of_a_hub_model_knows_its_sizes(cache: Path, monkeypatch: pytest.MonkeyPatch):
    from foretune.formats.model_config import model_file
    from foretune.params.run import Run
    from foretune.train.base import with_hub_config

    run = Run().set({"model.path": "THUDM/chatglm-6b", "model.cache": str(cache)})
    assert model_file(run) is None
    found = with_hub_config(run)
    file = model_file(found)
    assert file is not None and file.shape.layers == 2
    assert str(found.origin("model.config")) == "the hub's cache"
