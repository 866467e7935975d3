"""What every test may use. The shared folder of reference material is not part of the project:
tests that need it skip.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small products are many times slower in threads
os.environ["COLUMNS"] = "100"  # lines wrap at the terminal; a test that cares says how wide it is


@pytest.fixture(scope="session", autouse=True)
def the_home_of_whoever_tests_is_left_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """What foretune keeps for its user (records, calibrations, history) goes into a folder of this
    session.
    """
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CACHE", "CONFIG", "STATE"):
            patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp(kind.lower())))
        yield


@pytest.fixture(scope="session", autouse=True)
def imports_are_never_garbage() -> Iterator[None]:
    """accelerate collects garbage at the end of every training: half of the time of a small run
    goes into looking through what importing transformers has made.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared(repository: Path) -> Path:
    """The folder of reference material beside the checkout (or FORETUNE_SHARED); skips when it is
    not there.
    """
    folder = Path(os.environ.get("FORETUNE_SHARED", repository.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no reference material at {folder}")
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small random "chatglm" or "chatglm2", made once and not to be changed."""

    @cache
    def made(family: str) -> Path:
        from small_models import small_model

        return small_model(tmp_path_factory.mktemp(family) / "base", family, spread=24)

    return made
