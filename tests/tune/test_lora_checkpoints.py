"""LoRA checkpoints are PEFT's, both ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from foretune.errors import UserError
from foretune.models.loading import load_model
from small_runs import trained, trainer_of, training, words

LORA = {"pre_seq_len": None, "lora_rank": 2}


@pytest.fixture(scope="module", params=["chatglm", "chatglm2"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory, base) -> Path:
    """An adapter that a run of each family has written."""
    folder = tmp_path_factory.mktemp("lora")
    trained(folder, base(request.param), max_steps=2, **LORA)
    return folder / "out" / "checkpoint-2"


def adapter_config(folder: Path) -> dict:
    return json.loads((folder / "adapter_config.json").read_text())


def changed(checkpoint: Path, folder: Path, **keys: object) -> Path:
    """A copy of an adapter whose adapter_config.json says something else."""
    shutil.copytree(checkpoint, folder)
    (folder / "adapter_config.json").write_text(json.dumps({**adapter_config(folder), **keys}))
    return folder


def predicting(folder: Path, model: Path, **flags: object) -> list[str]:
    told = {"model_name_or_path": model, "output_dir": folder / "out", "do_predict": True}
    rows = folder / "test.json"
    rows.write_text('{"content": "类型#裙", "summary": "裙子"}\n', encoding="utf-8")
    return words(**{**told, "test_file": rows, **LORA, **flags})


def test_peft_reads_the_adapter_onto_the_native_model(checkpoint: Path, tmp_path: Path):
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {
        file.name for file in checkpoint.iterdir()
    }
    base = Path(adapter_config(checkpoint)["base_model_name_or_path"])
    assert base.is_absolute()
    plain = load_model(base, dtype=torch.float32).eval()
    ids = torch.tensor([[5, 6, 7, 8, plain.config.eos_token_id]])
    if "inner_hidden_size" in plain.config.to_dict():
        ids = torch.tensor([[5, 6, plain.config.gmask_token_id, plain.config.bos_token_id, 8]])
    with torch.no_grad():
        untuned = plain(ids).logits
        by_peft = PeftModel.from_pretrained(plain, str(checkpoint)).eval()(ids).logits
        ours = trainer_of(predicting(tmp_path, checkpoint, lora_rank=None)).model.eval()(ids).logits
    torch.testing.assert_close(ours, by_peft)
    assert (untuned - by_peft).abs().max() > 1e-3


def test_the_adapter_says_with_which_rank_and_targets_it_is_read(checkpoint: Path, tmp_path: Path):
    flags = {"lora_rank": None, "lora_target": None}
    trainer = trainer_of(predicting(tmp_path, checkpoint, **flags))
    told = trainer.model.peft_config["default"]
    assert (told.r, told.lora_alpha, told.target_modules) == (2, 16, {"query_key_value"})


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"use_rslora": True}, "use_rslora"),
        ({"lora_alpha": 99}, "lora_alpha"),
        ({"alpha_pattern": {"dense": 3}}, "alpha_pattern"),
        ({"peft_type": "IA3"}, "peft_type"),
    ],
)
def test_another_kind_of_adapter_is_not_read_as_plain_lora(
    checkpoint: Path, tmp_path: Path, keys, what
):
    folder = changed(checkpoint, tmp_path / "adapter", **keys)
    base = adapter_config(checkpoint)["base_model_name_or_path"]
    with pytest.raises(UserError, match=f"{what} of the adapter is"):
        trainer_of(predicting(tmp_path, base, ptuning_checkpoint=folder))


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ({"lora_rank": 3}, "the adapter does not fit"),
        ({"lora_target": "dense"}, "the adapter does not fit"),
        ({"lora_target": "query_key_values"}, "no module of the model is called"),
    ],
)
def test_other_ranks_and_targets_than_the_adapters_are_refused(
    checkpoint: Path, tmp_path: Path, flags, what
):
    base = adapter_config(checkpoint)["base_model_name_or_path"]
    with pytest.raises(UserError, match=what) as refused:
        trainer_of(predicting(tmp_path, base, ptuning_checkpoint=checkpoint, **flags))
    assert all((one.where, one.why, one.fix) for one in refused.value.problems)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, base):
    with pytest.raises(UserError, match="holds no LoRA adapter"):
        trainer_of(predicting(tmp_path, base("chatglm2"), ptuning_checkpoint=tmp_path))


def test_an_adapter_is_not_read_as_whole_weights(checkpoint: Path, tmp_path: Path):
    base = adapter_config(checkpoint)["base_model_name_or_path"]
    line = predicting(tmp_path, base, ptuning_checkpoint=checkpoint, lora_rank=None)
    with pytest.raises(UserError, match="what lora has trained beside it") as refused:
        trainer_of(line)
    assert "method.name to 'lora'" in refused.value.problems[0].fix


def test_an_adapter_that_is_cut_off_is_told_of(checkpoint: Path, tmp_path: Path):
    folder = tmp_path / "adapter"
    shutil.copytree(checkpoint, folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors"):
        trainer_of(predicting(tmp_path, folder))


def test_a_packed_base_trains_no_weight_of_its_own(tmp_path: Path, base):
    line = training(tmp_path, base("chatglm"), pre_seq_len=None, quantization_bit=4)
    with pytest.raises(UserError, match="every weight is to train, and they are held in 4 bits"):
        trainer_of(line)
