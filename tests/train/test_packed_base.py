"""A base that is published in 4 bits: what of it trains, and how all of it can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from foretune.errors import UserError
from foretune.models.loading import load_model
from foretune.models.quantized import PackedLinear, PackWhileLoading
from small_models import small_model
from small_runs import trained, trainer_of, training

FULL = {"pre_seq_len": None, "method.name": "full"}
EXPANDED = {**FULL, "precision.dequantize": "true"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ChatGLM2 as its int4 repository has it."""
    folder = tmp_path_factory.mktemp("base")
    small_model(folder, "chatglm2")
    packing = PackWhileLoading(bits=4)
    model = load_model(folder, dtype=torch.float16, quantization_config=packing)
    model.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["quantization_bit"] == 4
    return folder


def test_all_of_a_packed_base_trains_once_it_is_dequantized(packed: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"precision\.dequantize"):
        trainer_of(training(tmp_path, packed, **FULL))
    trainer = trainer_of(training(tmp_path, packed, **EXPANDED))
    assert not [m for m in trainer.model.modules() if isinstance(m, PackedLinear)]
    assert all(p.requires_grad and p.dtype == torch.float32 for p in trainer.model.parameters())
    trained(tmp_path, packed, save_steps=3, **EXPANDED)
    tuned = load_model(tmp_path / "out" / "checkpoint-3")
    before = load_model(packed, dequantize=True, dtype=torch.float32).state_dict()
    assert not tuned.config.quantization_bit
    assert tuned.state_dict().keys() == before.keys()
    moved = [key for key, tensor in tuned.state_dict().items() if not tensor.equal(before[key])]
    assert sum("query_key_value.weight" in key for key in moved) == 2


def test_dequantizing_is_refused_where_nothing_is_to_be_expanded(packed: Path, tmp_path: Path):
    full = tmp_path / "full"
    full.mkdir()
    small_model(full, "chatglm2")
    asked = {"precision.dequantize": "true"}
    for base, flags, told in (
        (full, asked, "no weight of the model is packed"),
        (packed, {**asked, "quantization_bit": 4}, r"precision\.quantize is asked for as well"),
    ):
        with pytest.raises(UserError, match=told):
            trainer_of(training(tmp_path, base, **flags))
