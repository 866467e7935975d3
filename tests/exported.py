"""Exporting, and what was written, for the tests of both files on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import foretune
from foretune.errors import Problem, UserError

OWN = Path(__file__).parent / "golden" / "cases"
BUFFERS = ("rotary_pos_emb.inv_freq", "rotary_emb.inv_freq")


def export(model: Any, out: Path, **options: Any) -> Any:
    return foretune.export(model, out, progress=False, **options)


def refused(model: Any, out: Path, **options: Any) -> list[Problem]:
    with pytest.raises(UserError) as error:
        export(model, out, **options)
    for problem in error.value.problems:
        assert problem.what and problem.where and problem.why and problem.fix
    assert not out.exists() and not list(out.parent.glob(f".{out.name}*"))
    return list(error.value.problems)


def weights(folder: Path) -> dict[str, Tensor]:
    return {
        key: tensor
        for file in sorted(folder.glob("model*.safetensors"))
        for key, tensor in load_file(file).items()
    }


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text("utf-8"))


def same(got: dict[str, Tensor], want: dict[str, Tensor]) -> bool:
    return got.keys() == want.keys() and all(
        got[key].dtype == want[key].dtype and torch.equal(got[key], want[key]) for key in want
    )
