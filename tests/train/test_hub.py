"""What a run uploads, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import filter_repo_objects

from foretune.errors import UserError
from small_runs import trained


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Stands in for the hub, and keeps what is asked of it."""
    asked: list[tuple[str, Any]] = []

    def create_repo(self: HfApi, name: str, **how: Any) -> Any:
        asked.append((name, how))
        return SimpleNamespace(repo_id=f"somebody/{name}")

    def upload_folder(
        self: HfApi, *, repo_id: str, folder_path: Path, ignore_patterns: list[str], **how: Any
    ) -> str:
        files = sorted(path.name for path in folder_path.iterdir())
        asked.append((repo_id, list(filter_repo_objects(files, ignore_patterns=ignore_patterns))))
        return f"https://hub/{repo_id}"

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    return asked


def test_the_last_checkpoint_is_uploaded_once_when_training_is_done(tmp_path: Path, base, hub):
    flags = {"push_to_hub": True, "hub_model_id": "mine", "hub_private_repo": True, "save_steps": 1}
    report = trained(tmp_path, base("chatglm"), max_steps=2, **flags)
    assert len(report.checkpoints) == 2
    (made, how), (repository, files) = hub
    assert (made, how["private"], repository) == ("mine", True, "somebody/mine")
    assert {"prefix_encoder.safetensors", "config.json"} <= set(files)
    assert not {"optimizer.pt", "scheduler.pt", "rng_state.pth"} & set(files)


def test_a_hub_that_does_not_answer_is_told_before_anything_is_loaded(
    tmp_path: Path, base, monkeypatch
):
    def create_repo(self: HfApi, name: str, **how: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    with pytest.raises(UserError) as told:
        trained(tmp_path, base("chatglm"), push_to_hub=True)
    (problem,) = told.value.problems
    assert "no route to host" in problem.why
    assert "hf auth login" in problem.fix
    assert not (tmp_path / "output").exists()


def test_what_was_not_uploaded_is_still_there(tmp_path: Path, base, hub, monkeypatch):
    def upload_folder(self: HfApi, **how: Any) -> None:
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    with pytest.raises(UserError, match="is saved, but was not uploaded"):
        trained(tmp_path, base("chatglm"), push_to_hub=True)
    assert list(tmp_path.rglob("checkpoint-*/trainer_state.json"))
    assert list(tmp_path.rglob("report.json"))
