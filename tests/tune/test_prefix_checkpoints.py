"""Prefix checkpoints: what is in them, and which are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from foretune.errors import UserError
from foretune.tune import prefix
from small_runs import prefix_of, run_of, trained, trainer_of, training, words

EMBEDDING = "transformer.prefix_encoder.embedding.weight"
LINEARS = [f"transformer.prefix_encoder.trans.{i}.{name}" for i in (0, 2)
           for name in ("weight", "bias")]  # fmt: skip


@pytest.fixture(scope="module", params=["chatglm", "chatglm2"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory, base) -> Path:
    """A checkpoint that a run of each family has written."""
    folder = tmp_path_factory.mktemp("prefix")
    trained(folder, base(request.param), max_steps=2)
    return folder / "out" / "checkpoint-2"


def base_of(checkpoint: Path) -> Path:
    return Path(json.loads((checkpoint / "config.json").read_text())["_name_or_path"])


def predicting(folder: Path, model: Path, **flags: object):
    told = {"model_name_or_path": model, "output_dir": folder / "out", "do_predict": True}
    rows = folder / "test.json"
    rows.write_text('{"content": "类型#裙", "summary": "裙子"}\n', encoding="utf-8")
    return words(**{**told, "test_file": rows, "predict_with_generate": True, **flags})


@pytest.mark.parametrize("projection", [None, True])
def test_both_forms_hold_the_same_tensors_under_the_published_names(
    tmp_path: Path, base, projection
):
    trained(tmp_path, base("chatglm"), max_steps=1, prefix_projection=projection)
    folder = tmp_path / "out" / "checkpoint-1"
    published = torch.load(folder / "pytorch_model.bin", weights_only=True)
    safe = prefix_of(folder)
    assert sorted(published) == sorted(safe) == sorted([EMBEDDING] + LINEARS * bool(projection))
    for name, tensor in published.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, safe[name])


def test_the_config_builds_the_prefix_and_names_the_base(checkpoint: Path):
    config = json.loads((checkpoint / "config.json").read_text())
    assert (config["pre_seq_len"], config["prefix_projection"]) == (4, False)
    assert base_of(checkpoint).is_absolute() and (base_of(checkpoint) / "config.json").is_file()


@pytest.mark.parametrize("named", ["as the model", "as the checkpoint"])
def test_a_checkpoint_of_the_authors_own_scripts_is_read(checkpoint: Path, tmp_path: Path, named):
    official = tmp_path / "checkpoint-3000"
    official.mkdir()
    for name in ("pytorch_model.bin", "config.json"):
        shutil.copy(checkpoint / name, official)
    if named == "as the model":
        line = predicting(tmp_path, official, pre_seq_len=None)
    else:
        line = predicting(tmp_path, base_of(checkpoint), ptuning_checkpoint=official)
    encoder = prefix.encoder(trainer_of(line).model)
    expected = prefix_of(checkpoint)
    assert encoder.state_dict().keys() == {"embedding.weight"}
    assert torch.equal(encoder.state_dict()["embedding.weight"], expected[EMBEDDING])


def test_training_can_start_from_the_weights_of_a_prefix(checkpoint: Path, tmp_path: Path):
    line = training(tmp_path, base_of(checkpoint), ptuning_checkpoint=checkpoint)
    start = prefix.encoder(trainer_of(line).model).state_dict()["embedding.weight"]
    assert torch.equal(start, prefix_of(checkpoint)[EMBEDDING])


@pytest.mark.parametrize(
    ("flags", "what", "why"),
    [
        ({"pre_seq_len": 5}, EMBEDDING, "(4, "),
        ({"pre_seq_len": 4, "prefix_projection": True}, LINEARS[0], "absent in the checkpoint"),
    ],
)
def test_a_prefix_of_another_shape_is_refused(checkpoint: Path, tmp_path: Path, flags, what, why):
    line = predicting(tmp_path, base_of(checkpoint), ptuning_checkpoint=checkpoint, **flags)
    with pytest.raises(UserError) as refused:
        trainer_of(line)
    problem = next(one for one in refused.value.problems if what in one.what)
    assert why in problem.why and problem.where == str(checkpoint)
    assert "pre_seq_len" in problem.fix
    assert not (tmp_path / "out").exists()


def damaged(checkpoint: Path, folder: Path, *names: str, keep: float) -> Path:
    """A copy of a checkpoint with only these weight files, cut off."""
    shutil.copytree(checkpoint, folder)
    for name in ("pytorch_model.bin", "prefix_encoder.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        if name in names:
            (folder / name).write_bytes(content[: int(len(content) * keep)])
    return folder


@pytest.mark.parametrize(
    ("names", "keep", "what"),
    [
        (["pytorch_model.bin"], 0.5, "pytorch_model.bin is damaged"),
        (["prefix_encoder.safetensors"], 0.5, "prefix_encoder.safetensors is damaged"),
        (["prefix_encoder.safetensors"], 0.0, "prefix_encoder.safetensors is damaged"),
        ([], 1.0, "holds no prefix"),
    ],
)
def test_a_damaged_prefix_is_told_of(checkpoint: Path, tmp_path: Path, names, keep, what):
    folder = damaged(checkpoint, tmp_path / "checkpoint-9", *names, keep=keep)
    line = predicting(tmp_path, base_of(checkpoint), ptuning_checkpoint=folder)
    with pytest.raises(UserError, match=what):
        trainer_of(line)


def test_a_checkpoint_of_something_else_is_no_prefix(base, tmp_path: Path):
    line = predicting(tmp_path, base("chatglm"), ptuning_checkpoint=tmp_path)
    torch.save({"lm_head.weight": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="no tensor of it belongs to a prefix_encoder"):
        trainer_of(line)


def test_a_checkpoint_that_names_no_base_is_refused(checkpoint: Path, tmp_path: Path):
    folder = tmp_path / "checkpoint-7"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["_name_or_path"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not say in '_name_or_path' where the base is"):
        trainer_of(predicting(tmp_path, folder))


def test_a_prefix_needs_an_attention_that_can_be_replaced(tmp_path: Path):
    from transformers import BloomConfig, BloomForCausalLM

    model = BloomForCausalLM(BloomConfig(hidden_size=8, n_layer=1, n_head=2, vocab_size=9))
    with pytest.raises(UserError, match="BloomForCausalLM takes no prefix") as refused:
        prefix.attach(model, run_of(training(tmp_path, tmp_path)))
    assert "command line (--pre_seq_len 4)" in refused.value.problems[0].where
