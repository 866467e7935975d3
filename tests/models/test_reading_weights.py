"""Weights are read as from_pretrained reads them, into no more memory than they take; and what is
wrong with them is told by key before anything is read.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from foretune.errors import Problem, UserError
from foretune.models.loading import load_config, load_model
from foretune.models.quantized import PackWhileLoading
from tiny_chatglm import CHATGLM, CHATGLM2, Build


def written(model: Any, folder: Path, **changes: Any) -> dict[str, Tensor]:
    """The folder of a model in float16, sharded; returns the tensors of its first file."""
    model.half().save_pretrained(folder, max_shard_size="20KB")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return load_file(first(folder))


def first(folder: Path) -> Path:
    return sorted(folder.glob("model-*.safetensors"))[0]


def told(folder: Path) -> list[Problem]:
    with pytest.raises(UserError) as error:
        load_model(folder)
    return list(error.value.problems)


def tensors(model: Any) -> dict[str, Tensor]:
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())


# --- as from_pretrained


DTYPES: list[Any] = ["auto", torch.float16, torch.bfloat16, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_is_the_one_that_from_pretrained_gives(
    family: dict[str, Any], build: Build, tmp_path: Path, dtype: Any
):
    loaded_as_by_transformers(build(family), tmp_path, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("config", "bits"), [(CHATGLM, 4), (CHATGLM, 8), (CHATGLM2, 4)])
def test_a_model_packed_while_it_is_read_is_the_one_that_from_pretrained_gives(
    config: dict[str, Any], bits: int, build: Build, tmp_path: Path, dtype: Any
):
    packing = PackWhileLoading(bits=bits, half_scale=bits == 4)
    loaded_as_by_transformers(build(config), tmp_path, dtype=dtype, quantization_config=packing)


def loaded_as_by_transformers(model: Any, folder: Path, **asked: Any) -> None:
    """Asserts that both ways of loading the model give the same."""
    written(model, folder)
    (folder / "generation_config.json").write_text('{"temperature": 0.5, "do_sample": true}')
    config = load_config(folder)
    config.pre_seq_len = 3  # no file has it: it is drawn
    torch.manual_seed(5)
    theirs = type(model).from_pretrained(folder, config=config, **asked)
    torch.manual_seed(5)
    ours = load_model(folder, config=config, **asked)
    expected = tensors(theirs)
    got = tensors(ours)
    assert got.keys() == expected.keys() and len(got) > 15
    for key, tensor in expected.items():
        assert got[key].dtype == tensor.dtype and torch.equal(got[key], tensor), key
        assert got[key].requires_grad == tensor.requires_grad, key
    assert ours.config.to_dict() == theirs.config.to_dict()
    assert ours.generation_config.temperature == 0.5 and not ours.training
    assert ours.name_or_path == theirs.name_or_path == str(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="mappings of other systems differ")
def test_what_needs_no_change_is_the_file_itself(build: Build, tmp_path: Path):
    held = written(build(CHATGLM2), tmp_path)
    mapped, own = (load_model(tmp_path, dtype=kind).state_dict() for kind in ("auto", "float32"))
    key = max(held)  # the last of the file
    with first(tmp_path).open("r+b") as file:
        file.seek(-held[key].nbytes, 2)
        file.write(bytes(held[key].nbytes))
    assert not mapped[key].any() and own[key].any()


def test_a_model_can_be_saved_over_the_files_that_it_is_mapped_from(build: Build, tmp_path: Path):
    written(build(CHATGLM2), tmp_path)
    before = {key: tensor.clone() for key, tensor in tensors(load_model(tmp_path)).items()}
    model: Any = load_model(tmp_path)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert all(torch.equal(before[key], tensor) for key, tensor in tensors(model).items())
    again = tensors(load_model(tmp_path))
    assert all(torch.equal(before[key], again[key]) for key in before)


def test_what_is_trained_does_not_reach_the_file(build: Build, tmp_path: Path):
    written(build(CHATGLM2), tmp_path)
    content = first(tmp_path).read_bytes()
    with torch.no_grad():
        for parameter in load_model(tmp_path).parameters():
            parameter.add_(1)
    assert first(tmp_path).read_bytes() == content


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_file_has_a_bar_on_a_terminal_and_none_elsewhere(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written(build(CHATGLM2), tmp_path)
    shown: dict[tuple[type, bool], str] = {}
    for terminal in (Terminal, io.StringIO):
        for progress in (True, False):
            monkeypatch.setattr(sys, "stderr", place := terminal())
            load_model(tmp_path, progress=progress)
            shown[terminal, progress] = place.getvalue()
    files = [file.name for file in tmp_path.glob("model-*")]
    assert len(files) > 2 and all(name in shown[Terminal, True] for name in files)
    assert "100%" in shown[Terminal, True] and "B/s" in shown[Terminal, True]
    del shown[Terminal, True]
    assert set(shown.values()) == {""}


# --- what is wrong


def test_a_truncated_file_is_told_with_the_tensors_that_it_has_lost(build: Build, tmp_path: Path):
    held = written(build(CHATGLM2), tmp_path)
    file = first(tmp_path)
    last = max(held)
    file.write_bytes(file.read_bytes()[:-1])
    (problem,) = told(tmp_path)
    assert "is cut off: 1 tensor of it is damaged" in problem.what and last in problem.what
    assert "its header describes" in problem.why and problem.where == str(file)


@pytest.mark.parametrize("length", [0, 4, 100])
def test_a_file_without_a_whole_header_is_told(build: Build, tmp_path: Path, length: int):
    written(build(CHATGLM2), tmp_path)
    file = first(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    (problem,) = told(tmp_path)
    assert "damaged" in problem.what


def test_damage_of_every_kind_is_told_at_once(build: Build, tmp_path: Path):
    held = written(build(CHATGLM2), tmp_path)
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(files) >= 4
    embedding = "transformer.embedding.word_embeddings.weight"
    changed = {**held, embedding: held[embedding].to(torch.float8_e4m3fn), "extra": torch.ones(2)}
    moved = next(key for key in held if key != embedding)
    changed[moved] = held[moved][..., :-1].contiguous()
    save_file(changed, files[0])
    files[1].write_bytes(files[1].read_bytes()[:-1])
    files[2].unlink()
    double = next(iter(load_file(files[3])))
    save_file({**load_file(files[3]), moved: held[moved]}, files[3])
    what = [problem.what for problem in told(tmp_path)]
    assert what[0] == f"{files[2].name} is missing"
    assert f"{files[1].name} is cut off" in what[1]
    assert what[2] == f"{moved} is in two files: {files[0].name} and {files[3].name}"
    assert what[3] == "extra is in the weights, and not in the model"
    assert what[4:] == [f"{embedding} holds float8_e4m3fn"] and double


def test_numbers_of_another_kind_are_told_by_key(build: Build, tmp_path: Path):
    model = build(CHATGLM2).half()
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    packed = {
        key: tensor.to(torch.int8) if "dense_4h" in key else tensor
        for key, tensor in load_file(file).items()
    }
    save_file(packed, file)
    (problem,) = told(tmp_path)
    assert problem.what == (
        "transformer.encoder.layers.{i}.mlp.dense_4h_to_h.weight holds int8 (in 3 layers: 0, 1, 2)"
    )
    assert "full weights" in problem.why


def test_full_weights_under_a_config_of_packed_ones_are_told(build: Build, tmp_path: Path):
    written(build(CHATGLM2), tmp_path, quantization_bit=8)
    problems = told(tmp_path)
    kinds = [problem for problem in problems if "holds float16" in problem.what]
    scales = [problem for problem in problems if "weight_scale is missing" in problem.what]
    assert len(kinds) == len(scales) == 4 == len(problems) / 2
    assert kinds[0].fix == "take the quantization_bit out of config.json"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_is_cut_off_is_told(build: Build, tmp_path: Path, zipped: bool):
    model = build(CHATGLM)
    model.config.save_pretrained(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), file, _use_new_zipfile_serialization=zipped)
    assert tensors(load_model(tmp_path, dtype=torch.float32))
    file.write_bytes(file.read_bytes()[:-9000])
    (problem,) = told(tmp_path)
    assert "damaged" in problem.what or "cut off" in problem.what
    assert problem.where == str(file)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"model": {"weight": torch.ones(1)}}])
def test_a_pickle_of_something_else_is_told(build: Build, tmp_path: Path, content: Any):
    build(CHATGLM).config.save_pretrained(tmp_path)
    torch.save(content, tmp_path / "pytorch_model.bin")
    (problem,) = told(tmp_path)
    assert "something else than tensors by name" in problem.why


def test_tied_weights_of_different_content_are_not_tied_in_silence(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    model = build(CHATGLM).half()
    model.config.save_pretrained(tmp_path)
    content = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    content["lm_head.weight"] += 1
    save_file(content, tmp_path / "model.safetensors")
    loaded: Any = load_model(tmp_path)
    assert torch.equal(loaded.lm_head.weight, content["lm_head.weight"])
    assert torch.equal(
        loaded.transformer.word_embeddings.weight, content["transformer.word_embeddings.weight"]
    )
