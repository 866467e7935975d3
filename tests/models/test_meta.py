"""Llama 3 between Meta's files and transformers: the same arithmetic, the same bytes, and every
problem of the files told by key.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from foretune.errors import UserError
from foretune.models.loading import load_config, load_model
from foretune.models.meta import hf_weights, params_of, to_meta, width_keys
from foretune.models.meta_files import read_params
from foretune.params.arch.llama3 import ModelArgs, ffn_hidden_dim
from small_llama import ROWS, metas_logits, small_llama, weights_of

torch.set_num_threads(1)
FILES = (1, 2)


@pytest.fixture(scope="module", params=FILES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama in one consolidated file, and in two."""
    return small_llama(tmp_path_factory.mktemp("llama"), files=request.param)


def args_of(folder: Path) -> ModelArgs:
    return read_params(folder)[0]


def tensors_of(file: Path) -> dict[str, Tensor]:
    return torch.load(file, weights_only=True)


# --- reading ---


def test_the_model_computes_what_metas_code_computes(folder: Path):
    args, ids = args_of(folder), torch.arange(7, 40)
    want = metas_logits(args, weights_of(args), ids)
    for attention in ("sdpa", "eager"):
        model = load_model(folder, attn_implementation=attention)
        with torch.no_grad():
            got = model(ids[None]).logits[0]
        torch.testing.assert_close(got, want, atol=2e-4, rtol=0)
    assert want.std() > 0.5


def test_the_model_is_transformers_own_and_complete(folder: Path):
    model = load_model(folder)
    assert type(model) is LlamaForCausalLM
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == args_of(folder).shape.num_parameters
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert all(p.requires_grad for p in model.parameters())
    assert model.model.rotary_emb.inv_freq.device.type == "cpu"


def test_the_declared_weights_are_those_of_the_model(folder: Path):
    declared = {
        name: weight.shape for weight in args_of(folder).shape.weights for name in weight.names()
    }
    built = {key: tuple(tensor.shape) for key, tensor in load_model(folder).state_dict().items()}
    assert declared == built


def test_the_number_type_is_that_of_the_files_or_the_one_asked_for(folder: Path):
    assert load_model(folder).dtype == torch.float32
    model = load_model(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_what_from_pretrained_alone_can_do_is_left_to_it(folder: Path):
    placed = load_model(folder, device_map={"": "cpu"})
    own = load_model(folder).state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in placed.state_dict().items())


def test_the_config_is_that_of_llama_3(tmp_path: Path):
    config = load_config(small_llama(tmp_path))
    assert isinstance(config, LlamaConfig)
    assert config.max_position_embeddings == 8192
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 500000.0}
    assert (config.bos_token_id, config.eos_token_id) == (700, [701, 709])
    assert (config.vocab_size, config.num_key_value_heads) == (ROWS, 2)


def test_the_config_is_that_of_llama_3_1_where_the_angles_are_stretched(tmp_path: Path):
    config = load_config(small_llama(tmp_path, use_scaled_rope=True))
    assert config.max_position_embeddings == 131072
    assert config.rope_parameters == {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_theta": 500000.0,
    }  # fmt: skip
    assert config.eos_token_id == [701, 708, 709]


def test_it_is_saved_as_any_llama(folder: Path, tmp_path: Path):
    model = load_model(folder)
    model.save_pretrained(tmp_path)
    again = LlamaForCausalLM.from_pretrained(tmp_path)
    assert again.config.params_json == json.loads((folder / "params.json").read_text())
    assert all(
        torch.equal(tensor, again.state_dict()[k]) for k, tensor in model.state_dict().items()
    )


def test_the_embedding_may_be_cut_the_other_way_as_in_llama_2(tmp_path: Path):
    small_llama(tmp_path, files=2)
    whole = weights_of(args_of(tmp_path))["tok_embeddings.weight"]
    for i in range(2):
        file = tmp_path / f"consolidated.{i:02d}.pth"
        torch.save(tensors_of(file) | {"tok_embeddings.weight": whole.chunk(2, 1)[i].clone()}, file)
    assert torch.equal(load_model(tmp_path).model.embed_tokens.weight, whole)


def test_angles_in_the_files_are_ignored(tmp_path: Path):
    file = small_llama(tmp_path) / "consolidated.00.pth"
    torch.save(tensors_of(file) | {"rope.freqs": torch.ones(4)}, file)
    assert load_model(tmp_path).model.embed_tokens.weight.shape == (ROWS, 32)


# --- writing ---


@pytest.mark.parametrize("files", FILES)
def test_there_and_back_gives_the_same_bytes(folder: Path, tmp_path: Path, files: int):
    to_meta(load_model(folder), tmp_path / "one", shards=files)
    to_meta(dict(hf_weights(args_of(folder), folder)), tmp_path / "two", shards=files,
            config=load_config(folder))  # fmt: skip
    want = small_llama(tmp_path / "want", files=files)
    seen = 0
    for i in range(files):
        name = f"consolidated.{i:02d}.pth"
        expected = tensors_of(want / name)
        for written in (tmp_path / "one" / name, tmp_path / "two" / name):
            got = tensors_of(written)
            assert got.keys() == expected.keys()
            for key, tensor in expected.items():
                assert got[key].dtype == tensor.dtype and torch.equal(got[key], tensor), key
                seen += 1
            size = sum(tensor.nbytes for tensor in expected.values())
            assert written.stat().st_size < 1.2 * size  # a slice does not bring its whole along
    assert seen == 2 * files * (3 + 2 * 9)
    params = json.loads((tmp_path / "one" / "params.json").read_text())
    assert params == json.loads((folder / "params.json").read_text()) | {"vocab_size": ROWS}


def test_half_precision_goes_there_and_back(tmp_path: Path):
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=40, num_hidden_layers=1,
        num_attention_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    to_meta(model, tmp_path)
    back = load_model(tmp_path)
    assert back.dtype == torch.bfloat16
    assert all(
        torch.equal(tensor, back.state_dict()[k]) for k, tensor in model.state_dict().items()
    )
    assert back.config.rope_parameters["rope_theta"] == 1e4


def test_an_output_layer_that_is_the_embedding_is_written_out(tmp_path: Path):
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=40, num_hidden_layers=1,
        num_attention_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    tensors = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    to_meta(tensors, tmp_path, config=config)
    assert torch.equal(load_model(tmp_path).lm_head.weight, model.lm_head.weight)


@pytest.mark.parametrize(
    ("dim", "width"), [(4096, 14336), (8192, 28672), (4096, 11008), (2048, 8192), (64, 225), (3, 1)]
)
def test_any_width_has_keys_that_make_it_up(dim: int, width: int):
    keys = width_keys(dim, width)
    assert ffn_hidden_dim(dim, keys["multiple_of"], keys["ffn_dim_multiplier"]) == width


def test_keys_of_a_model_that_was_changed_are_written_anew(tmp_path: Path):
    config = load_config(small_llama(tmp_path, someones_note=1))
    assert params_of(config)["multiple_of"] == 8
    config.intermediate_size = 80
    changed = params_of(config)
    assert changed.pop("someones_note") == 1
    assert ModelArgs.model_validate(changed).ffn_hidden_dim == 80


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention_bias", True),
        ("mlp_bias", True),
        ("hidden_act", "gelu"),
        ("head_dim", 32),
        ("rope_parameters", {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
    ],
)
def test_what_metas_code_does_not_compute_is_not_written(tmp_path: Path, key: str, value: Any):
    config = load_config(small_llama(tmp_path / "from"))
    setattr(config, key, value)
    with pytest.raises(UserError, match=f"{key} = .* cannot be written in Meta's layout"):
        to_meta({}, tmp_path / "to", config=config)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("files", [0, 3, 4])
def test_a_model_that_does_not_divide_is_not_written(tmp_path: Path, files: int):
    model = load_model(small_llama(tmp_path / "from"))
    with pytest.raises(UserError, match=f"does not divide into {files} consolidated files"):
        to_meta(model, tmp_path / "to", shards=files)
    assert not (tmp_path / "to").exists()


# --- what is wrong with the files ---

Edit = Callable[[dict[str, Tensor]], Any]


def told(folder: Path) -> dict[str, str]:
    """What a folder is refused for, with the place of each."""
    with pytest.raises(UserError) as error:
        load_model(folder)
    return {problem.what: problem.where for problem in error.value.problems}


def edited(folder: Path, edit: Edit, file: int = 0) -> Path:
    path = folder / f"consolidated.{file:02d}.pth"
    tensors = tensors_of(path)
    edit(tensors)
    torch.save(tensors, path)
    return folder


def test_everything_that_is_wrong_with_the_keys_is_told_at_once(tmp_path: Path):
    def edit(tensors: dict[str, Tensor]) -> None:
        del tensors["norm.weight"], tensors["layers.0.attention.wo.weight"]
        tensors["layers.1.attention.wq.bias"] = torch.ones(32)
        tensors["output.weight"] = torch.ones(ROWS, 16)

    problems = told(edited(small_llama(tmp_path), edit))
    at = str(tmp_path / "consolidated.00.pth")
    assert problems == {
        "norm.weight is missing": at,
        "layers.{i}.attention.wo.weight is missing (in 1 layer: 0)": at,
        "layers.{i}.attention.wq.bias is in the weights (in 1 layer: 1), and not in the model": at,
        f"output.weight has the shape ({ROWS}, 16)": str(tmp_path),
    }


def test_another_number_of_layers_is_told_once(tmp_path: Path):
    small_llama(tmp_path, n_layers=3)
    (tmp_path / "params.json").write_text(
        (tmp_path / "params.json").read_text().replace('"n_layers": 3', '"n_layers": 2')
    )
    assert list(told(tmp_path)) == ["there are 3 layers in the weights"]


def test_a_file_that_is_missing_is_told(tmp_path: Path):
    small_llama(tmp_path, files=2)
    (tmp_path / "consolidated.00.pth").unlink()
    assert list(told(tmp_path)) == ["consolidated.00.pth is missing"]


def test_too_few_files_are_told_by_their_shapes(tmp_path: Path):
    small_llama(tmp_path, files=2)
    (tmp_path / "consolidated.01.pth").unlink()
    problems = told(tmp_path)
    assert "output.weight has the shape (478, 32)" in problems
    assert len(problems) == 2 + 7  # but for the norms, every tensor is cut


def test_no_file_at_all_is_told(tmp_path: Path):
    (small_llama(tmp_path) / "consolidated.00.pth").unlink()
    assert list(told(tmp_path)) == [f"{tmp_path} holds no weights"]


def test_files_of_different_models_are_told(tmp_path: Path):
    def another(tensors: dict[str, Tensor]) -> None:
        tensors["norm.weight"] += 1
        tensors["layers.1.ffn_norm.weight"] += 1

    problems = told(edited(small_llama(tmp_path, files=2), another, file=1))
    assert list(problems) == [
        "layers.{i}.ffn_norm.weight is not the same in all files (in 1 layer: 1)",
        "norm.weight is not the same in all files",
    ]


def test_files_in_different_number_types_are_told(tmp_path: Path):
    def halve(tensors: dict[str, Tensor]) -> None:
        for key, tensor in tensors.items():
            tensors[key] = tensor if "norm" in key else tensor.half()

    problems = told(edited(small_llama(tmp_path, files=2), halve, file=1))
    assert list(problems) == ["the files are in different number types"]


@pytest.mark.parametrize("damage", ["cut", "text", "object"])
def test_a_damaged_file_is_told(tmp_path: Path, damage: str):
    file = small_llama(tmp_path) / "consolidated.00.pth"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-5000])
    elif damage == "text":
        file.write_text("version https://git-lfs.github.com/spec/v1\nsize 16060617592\n")
    else:
        torch.save([1, 2], file)
    assert told(tmp_path) == {"consolidated.00.pth is damaged or no weight file": str(file)}


def test_a_vocabulary_that_nobody_knows_is_refused_with_the_way_out(tmp_path: Path):
    (small_llama(tmp_path) / "tokenizer.model").unlink()
    with pytest.raises(UserError) as error:
        load_config(tmp_path)
    (problem,) = error.value.problems
    assert problem.what.startswith("vocab_size = -1, and there is no tokenizer.model")
    assert "put Meta's tokenizer.model beside params.json" in problem.fix


def test_a_vocabulary_of_another_size_is_told_by_the_shapes(tmp_path: Path):
    small_llama(tmp_path, vocab_size=900, ranks=False)
    params = (tmp_path / "params.json").read_text()
    (tmp_path / "params.json").write_text(params.replace("900", "901"))
    assert list(told(tmp_path)) == [
        "output.weight has the shape (900, 32)",
        "tok_embeddings.weight has the shape (900, 32)",
    ]


def test_llama_2_must_say_the_base_of_its_angles(tmp_path: Path):
    small_llama(tmp_path, vocab_size=32000, ranks=False, dim=8, n_layers=1)
    params = json.loads((tmp_path / "params.json").read_text())
    theta = params.pop("rope_theta")
    (tmp_path / "params.json").write_text(json.dumps(params))
    assert list(told(tmp_path)) == ["rope_theta is not given, and vocab_size is 32000"]
    (tmp_path / "params.json").write_text(json.dumps(params | {"rope_theta": theta}))
    assert load_model(tmp_path).config.bos_token_id == 32000 - 256


@pytest.mark.parametrize("text", ["{", "[]", '{"n_layers": 2}', '{"dim": 64, "n_layers": 0}'])
def test_a_damaged_params_file_is_told(tmp_path: Path, text: str):
    (small_llama(tmp_path) / "params.json").write_text(text)
    with pytest.raises(UserError) as error:
        load_config(tmp_path)
    assert "params.json" in error.value.problems[0].where


def test_a_folder_with_a_config_of_transformers_is_read_by_it(tmp_path: Path):
    load_model(small_llama(tmp_path)).save_pretrained(tmp_path)
    (tmp_path / "consolidated.00.pth").unlink()
    assert load_model(tmp_path).config.hidden_size == 32


# --- the golden cases ---


@pytest.mark.parametrize("name", ["llama3_a", "llama3_mp2", "llama3_1_scaled_rope"])
def test_weights_are_those_of_the_case_in_transformers_layout(
    shared: Path, tmp_path: Path, name: str
):
    from safetensors.torch import load_file

    case = shared / "golden" / name
    args = args_of(case)
    want = load_file(case / "hf" / "model.safetensors")
    got = dict(hf_weights(args, case))
    assert got.keys() == want.keys() and len(want) == 30
    assert all(torch.equal(got[key], want[key]) for key in want)
    original = [tensors_of(file) for file in sorted(case.glob("*.pth"))]
    to_meta(load_model(case), tmp_path, shards=len(original))
    for i, shard in enumerate(original):
        written = tensors_of(tmp_path / f"consolidated.{i:02d}.pth")
        assert written.keys() == shard.keys()
        assert all(torch.equal(written[key], shard[key]) for key in shard)
    shutil.copytree(case / "hf", tmp_path / "hf")
    assert params_of(load_config(tmp_path / "hf"))["dim"] == 64
