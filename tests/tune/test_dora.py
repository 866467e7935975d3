"""DoRA: PEFT's LoRA that also trains the lengths of the outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from foretune.errors import UserError
from small_runs import run_of, trained, trainer_of, training

DORA = {"pre_seq_len": None, "lora_rank": 2, "peft.use_dora": True}


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "baichuan2"])
def test_dora_trains_what_was_forecast_and_its_checkpoint_is_gone_on_from(tmp_path, base, family):
    report = trained(tmp_path, base(family), max_steps=2, save_steps=2, **DORA)
    assert report.disagreements == [] and report.actual["trainable parameters"] > 0
    checkpoint = tmp_path / "out" / "checkpoint-2"
    assert json.loads((checkpoint / "adapter_config.json").read_text())["use_dora"] is True
    names = load_file(checkpoint / "adapter_model.safetensors").keys()
    assert len([name for name in names if "magnitude" in name]) == 2  # a target in each block
    line = training(tmp_path, base(family), max_steps=4, resume_from_checkpoint=checkpoint, **DORA)
    trainer = trainer_of(line)
    trainer.train(str(checkpoint))
    assert trainer.state.global_step == 4


def test_a_dora_checkpoint_says_itself_that_it_is_one(tmp_path, base):
    trained(tmp_path, base("chatglm2"), max_steps=2, save_steps=2, **DORA)
    checkpoint = tmp_path / "out" / "checkpoint-2"
    line = training(tmp_path / "next", checkpoint, pre_seq_len=None, max_steps=1)
    trainer = trainer_of(line)
    assert trainer.model.peft_config["default"].use_dora


def test_a_dora_adapter_is_not_read_as_plain_lora(tmp_path, base):
    trained(tmp_path, base("chatglm2"), max_steps=2, save_steps=2, **DORA)
    plain = training(
        tmp_path / "next", base("chatglm2"), pre_seq_len=None, lora_rank=2,
        ptuning_checkpoint=tmp_path / "out" / "checkpoint-2",
    )  # fmt: skip
    with pytest.raises(UserError) as refusal:
        trainer_of(plain)
    assert "use_dora of the adapter is True" in str(refusal.value)


def test_dora_on_packed_weights_is_refused(tmp_path: Path, base):
    line = training(tmp_path, base("chatglm2"), quantization_bit=4, **DORA)
    assert run_of(line).peft.use_dora
    with pytest.raises(UserError) as refusal:
        trainer_of(line)
    assert "use_dora is asked for on packed weights" in str(refusal.value)
