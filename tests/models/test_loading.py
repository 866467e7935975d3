"""Folders in published layout: read and written back without a change, and refused with all that is
wrong.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from foretune.errors import Problem, UserError
from foretune.models.loading import load_config, load_model, load_weights
from tiny_chatglm import CHATGLM, CHATGLM2, Build, prompt_ids

BUFFERS = {"chatglm": "layers.0.attention.rotary_emb", "chatglm2": "rotary_pos_emb"}


def published(model: Any, folder: Path, form: str) -> dict[str, torch.Tensor]:
    """Writes a model as its authors publish it: auto_map and code, a buffer, the tied head."""
    folder.mkdir(exist_ok=True)
    name = "chatglm" if hasattr(model, "lm_head") else "chatglm2"
    config = {
        **model.config.to_diff_dict(),
        "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"},
        "a_key_of_others": [1, 2],
        "torch_dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_chatglm.py").write_text("raise RuntimeError('the code of the folder ran')")
    tensors = {key: tensor.clone().half() for key, tensor in model.state_dict().items()}
    buffer = {f"transformer.{BUFFERS[name]}.inv_freq": torch.ones(2)}
    if form == "safetensors":
        save_file(tensors | buffer, folder / "model.safetensors", metadata={"format": "pt"})
    elif form == "pickle":
        torch.save(tensors | buffer, folder / "pytorch_model.bin")
    else:
        library = save_file if form == "sharded safetensors" else torch.save
        stem, end = ("model", "safetensors") if library is save_file else ("pytorch_model", "bin")
        keys, index = list(tensors), {}
        for i, part in enumerate((keys[::2], keys[1::2]), start=1):
            file = f"{stem}-{i:05}-of-00002.{end}"
            library({key: tensors[key] for key in part}, folder / file)
            index |= dict.fromkeys(part, file)
        content = {"metadata": {"total_size": 1}, "weight_map": index}
        (folder / f"{stem}.{end}.index.json").write_text(json.dumps(content))
    return tensors


FORMS = ["safetensors", "sharded safetensors", "pickle", "sharded pickle"]


@pytest.mark.parametrize("form", FORMS)
def test_the_published_layout_is_read_and_written_back_bit_by_bit(
    family: dict[str, Any], build: Build, tmp_path: Path, form: str
):
    tensors = published(build(family, pre_seq_len=4), tmp_path / "in", form)
    model = load_model(tmp_path / "in")
    assert model.dtype == torch.float16
    for key, tensor in tensors.items():
        want = tensor.float() if "prefix_encoder" in key else tensor
        assert torch.equal(model.state_dict()[key], want), key
    model.save_pretrained(tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    tied = set(model.all_tied_weights_keys)  # one tensor: written once, as the embedding
    assert written.keys() == tensors.keys() - tied
    assert all(torch.equal(written[key], tensors[key].to(written[key].dtype)) for key in written)
    again = load_model(tmp_path / "out")
    assert all(torch.equal(t, model.state_dict()[key]) for key, t in again.state_dict().items())


def test_the_buffers_of_the_published_code_are_passed_over_in_silence(
    family: dict[str, Any], build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    published(build(family), tmp_path, "safetensors")
    assert any("inv_freq" in key for key in load_file(tmp_path / "model.safetensors"))
    load_model(tmp_path)
    assert not caplog.records


def test_a_model_is_written_in_shards_that_load(
    family: dict[str, Any], build: Build, tmp_path: Path
):
    model = build(family)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    again = load_model(tmp_path, dtype=torch.float32)
    assert all(torch.equal(t, model.state_dict()[key]) for key, t in again.state_dict().items())


def test_keys_of_others_go_through_a_config_unchanged(
    family: dict[str, Any], build: Build, tmp_path: Path
):
    published(build(family), tmp_path, "safetensors")
    before = json.loads((tmp_path / "config.json").read_text())
    config = load_config(tmp_path)
    assert config.a_key_of_others == [1, 2]
    config.save_pretrained(tmp_path / "again")
    after = json.loads((tmp_path / "again" / "config.json").read_text())
    del before["transformers_version"], after["transformers_version"]
    assert after == before  # torch_dtype, auto_map and model_type among them


def test_a_missing_prefix_is_made_anew(family: dict[str, Any], build: Build, tmp_path: Path):
    published(build(family), tmp_path, "safetensors")
    config = load_config(tmp_path)
    config.pre_seq_len = 6
    model = load_model(tmp_path, config=config)
    assert model.base_model.prefix_encoder.embedding.num_embeddings == 6
    assert model(prompt_ids(family, 6)).logits.isfinite().all()


def test_the_dtype_is_the_one_asked_for(family: dict[str, Any], build: Build, tmp_path: Path):
    published(build(family), tmp_path, "safetensors")
    assert load_model(tmp_path, dtype="bfloat16").dtype == torch.bfloat16
    assert load_model(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_either_half_of_a_tied_pair_is_enough(build: Build, tmp_path: Path):
    model = build(CHATGLM)
    tensors = published(model, tmp_path, "safetensors")
    for absent in ("lm_head.weight", "transformer.word_embeddings.weight"):
        kept = {key: tensor for key, tensor in tensors.items() if key != absent}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        loaded = load_model(tmp_path)
        assert torch.equal(loaded.lm_head.weight, tensors["lm_head.weight"])
        assert loaded.lm_head.weight is loaded.transformer.word_embeddings.weight


def test_weights_are_read_into_a_model_that_is_there(
    family: dict[str, Any], build: Build, tmp_path: Path
):
    tensors = published(build(family, seed=1), tmp_path, "sharded pickle")
    model = build(family)
    load_weights(model, tmp_path)
    assert model.dtype == torch.float32
    assert all(torch.equal(model.state_dict()[key], tensors[key].float()) for key in tensors)


# --- what is wrong ---


@pytest.fixture
def broken(build: Build, tmp_path: Path) -> Iterator[Path]:
    published(build(CHATGLM2), tmp_path, "safetensors")
    yield tmp_path


def told(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(UserError) as error:
        load_model(folder)
    for problem in error.value.problems:
        assert problem.what and problem.where and problem.why and problem.fix
    return error.value.problems


def test_a_folder_without_weights_is_told(broken: Path):
    (broken / "model.safetensors").unlink()
    (problem,) = told(broken)
    assert "holds no weights" in problem.what


def test_another_number_of_layers_is_told_once(broken: Path):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"num_layers": 5}))
    (problem,) = told(broken)
    assert problem.what == "there are 3 layers in the weights"
    assert problem.why == "config.json describes a model of 5"


def test_a_missing_folder_and_a_missing_config_are_told(tmp_path: Path):
    for folder in (tmp_path / "nowhere", tmp_path):
        (problem,) = told(folder)
        assert problem.what == f"there is no model at {folder}"


def test_a_name_of_the_hub_without_a_connection_is_told():
    (problem,) = told("owner/no-such-model-anywhere")  # type: ignore[arg-type]
    assert "could not be downloaded" in problem.what


def test_a_truncated_file_is_told(broken: Path):
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    (problem,) = told(broken)
    assert "damaged" in problem.what and problem.where == str(file)


def test_a_truncated_pickle_is_told(build: Build, tmp_path: Path):
    published(build(CHATGLM), tmp_path, "pickle")
    file = tmp_path / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:5000])
    (problem,) = told(tmp_path)
    assert "damaged" in problem.what


def test_a_pickle_with_code_in_it_is_not_run(build: Build, tmp_path: Path):
    published(build(CHATGLM), tmp_path, "pickle")
    torch.save({"weight": Evil(tmp_path)}, tmp_path / "pytorch_model.bin")
    (problem,) = told(tmp_path)
    assert "no weight file" in problem.what
    assert not (tmp_path / "ran").exists()


class Evil:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.folder / "ran",))


def test_missing_shards_are_told_one_by_one(build: Build, tmp_path: Path):
    published(build(CHATGLM), tmp_path, "sharded safetensors")
    for file in tmp_path.glob("model-*"):
        file.unlink()
    assert [problem.what for problem in told(tmp_path)] == [
        "model-00001-of-00002.safetensors is missing",
        "model-00002-of-00002.safetensors is missing",
    ]


def test_an_index_that_is_no_index_is_told(build: Build, tmp_path: Path):
    published(build(CHATGLM), tmp_path, "sharded safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    (problem,) = told(tmp_path)
    assert "cannot be read" in problem.what


def test_every_key_that_does_not_fit_is_told(broken: Path):
    file = broken / "model.safetensors"
    tensors = load_file(file)
    block = "transformer.encoder.layers"
    del tensors["transformer.output_layer.weight"]
    for layer in range(3):
        tensors[f"{block}.{layer}.mlp.gate.weight"] = torch.ones(1)
    tensors[f"{block}.1.mlp.dense_4h_to_h.weight"] = torch.ones(32, 39)
    save_file(tensors, file, metadata={"format": "pt"})
    what = [problem.what for problem in told(broken)]
    assert what == [
        "transformer.output_layer.weight is missing",
        f"{block}.{{i}}.mlp.gate.weight is in the weights (in 3 layers: 0, 1, 2), "
        "and not in the model",
        f"{block}.{{i}}.mlp.dense_4h_to_h.weight has the shape (32, 39) (in 1 layer: 1)",
    ]


def test_half_a_prefix_is_told(build: Build, tmp_path: Path):
    tensors = published(build(CHATGLM2, pre_seq_len=4, prefix_projection=True), tmp_path, FORMS[0])
    del tensors["transformer.prefix_encoder.trans.0.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (problem,) = told(tmp_path)
    assert problem.what == "transformer.prefix_encoder.trans.0.bias is missing"


def test_weights_that_do_not_fit_leave_a_model_as_it_was(build: Build, tmp_path: Path):
    published(build(CHATGLM2, hidden_size=40), tmp_path, "safetensors")
    model = build(CHATGLM2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_weights(model, tmp_path)
    assert len(error.value.problems) == 9
    assert all(torch.equal(t, before[key]) for key, t in model.state_dict().items())


def test_a_config_that_is_no_json_is_told_with_its_line(broken: Path):
    (broken / "config.json").write_text('{\n  "model_type": "chatglm",\n  oops\n}')
    (problem,) = told(broken)
    assert problem.where == f"{broken / 'config.json'}:3"


def test_sizes_that_cannot_be_are_told_before_anything_is_built(broken: Path):
    file = broken / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "num_layers": -1, "kv_channels": "8"}))
    assert {problem.what for problem in told(broken)} == {"num_layers = -1", "kv_channels = '8'"}


# --- other models ---


def test_models_of_transformers_are_loaded_by_transformers(tmp_path: Path):
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert isinstance(load_model(tmp_path, dtype=torch.float32), LlamaForCausalLM)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    config.save_pretrained(tmp_path)
    (problem,) = told(tmp_path)
    assert "holds no weights" in problem.what


def test_a_model_that_only_its_folder_has_code_for_is_refused(tmp_path: Path):
    config = {
        "model_type": "never-heard-of",
        "auto_map": {"AutoConfig": "configuration_x.XConfig", "AutoModel": "modeling_x.X"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("configuration_x.py", "modeling_x.py"):
        (tmp_path / name).write_text("raise RuntimeError('the code of the folder ran')")
    (problem,) = told(tmp_path)
    assert problem.what == "model_type 'never-heard-of' is not known"
