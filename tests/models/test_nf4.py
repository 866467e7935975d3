"""Baichuan2's published 4-bit weights: exact numbers, loading, and refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from foretune.errors import UserError
from foretune.models.checkpoint import read_header, read_tensors
from foretune.models.loading import load_model
from foretune.models.nf4 import LEVELS, NF4Linear
from foretune.models.quantized import PackedLinear, packed_bits
from small_models import small_model

MADE = Path(__file__).parent / "nf4"
LINEARS = ("W_pack", "o_proj", "gate_proj", "up_proj", "down_proj")


def fixture_layer(dtype: torch.dtype = torch.float16) -> NF4Linear:
    found = read_tensors(MADE / "packed.bin")
    layer = NF4Linear(256, 66, bits=4, bias=False, dtype=dtype)
    held = {k.removeprefix("linear."): v for k, v in found.items() if k.startswith("linear.")}
    layer.load_state_dict(held)
    return layer


def packed_as_published(weight: Tensor) -> dict[str, Any]:
    """A weight in NF4 with the lists of the published pickles, worked out value by value."""
    table = torch.linspace(-1, 1, 256)
    groups = weight.float().view(-1, 64)
    scales = groups.abs().amax(1)
    nearest = (groups / scales[:, None]).unsqueeze(-1) - torch.tensor(LEVELS)
    code = nearest.abs().argmin(-1).flatten().to(torch.uint8)
    mean = scales.mean()
    off = nn.functional.pad(scales - mean, (0, -len(scales) % 256)).view(-1, 256)
    second = off.abs().amax(1)
    scale_bytes = ((off / second[:, None]).unsqueeze(-1) - table).abs().argmin(-1).flatten()
    scale_bytes = scale_bytes[: len(scales)].to(torch.uint8)
    nested = [second, table, 256, False, torch.float32, None, None]
    return {
        "data": (code[0::2] << 4 | code[1::2])[:, None],
        "quant_state": [
            scale_bytes, weight.shape, torch.float16, 64, [mean, nested], "nf4",
            torch.tensor(LEVELS),
        ],
    }  # fmt: skip


QUANTIZATION = {
    "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "float16",
}  # fmt: skip


@pytest.fixture(scope="module", params=["baichuan2", "baichuan2_7b"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Baichuan2 in the form of the -4bits repositories."""
    folder = tmp_path_factory.mktemp(request.param)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "alibi": request.param == "baichuan2"}
    small_model(folder, request.param, **sizes, norm_head=True)
    model = load_model(folder, dtype=torch.float16)
    found: dict[str, Any] = {}
    for key, tensor in model.state_dict().items():
        name = key.removesuffix(".weight")
        if name.rpartition(".")[2] in LINEARS:
            found |= {f"{key}.{part}": of for part, of in packed_as_published(tensor).items()}
        else:
            found[key] = nn.Parameter(tensor.clone())
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    torch.save(found, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {
        "quantization_config": QUANTIZATION, "torch_dtype": "float16"
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


IDS = torch.tensor([[5, 9, 12, 30, 7], [8, 4, 2, 61, 3]])


def test_weights_are_those_of_bitsandbytes():
    expected = load_file(MADE / "dequantized.safetensors")["linear.weight"]
    assert torch.equal(fixture_layer().dequantize(torch.float16), expected)
    header = {name: tensor.shape for name, tensor in read_header(MADE / "packed.bin").items()}
    tensors = {name: tensor.shape for name, tensor in read_tensors(MADE / "packed.bin").items()}
    assert header == tensors and len(header) == 6
    held = sum(b.nbytes for b in fixture_layer().state_dict().values())
    assert held * 8 < 4.7 * 66 * 256  # the table of 256 values weighs most in so small a layer


def test_the_levels_are_the_normal_quantiles_of_the_paper():
    """arXiv:2305.14314, section 3: quantiles of a normal distribution, each half by itself."""
    offset = 0.9677083
    normal = torch.distributions.Normal(0.0, 1.0)
    above = normal.icdf(torch.linspace(offset, 0.5, 9)[:-1])
    below = -normal.icdf(torch.linspace(offset, 0.5, 8)[:-1])
    levels = torch.cat((below, torch.zeros(1), above)).sort().values
    assert torch.allclose(levels / levels.max(), torch.tensor(LEVELS), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_products_and_gradients_are_those_of_the_unpacked_weight(dtype: torch.dtype):
    layer = fixture_layer(dtype)
    weight = layer.dequantize(dtype)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 256, generator=generator).to(dtype).requires_grad_()
    out = layer(x)
    assert torch.equal(out, x.detach().reshape(6, 256).mm(weight.t()).view(2, 3, 66))
    out.sum().backward()
    expected = torch.ones(6, 66, dtype=dtype).mm(weight).view(2, 3, 256)
    assert torch.equal(x.grad, expected)
    assert not [name for name, p in layer.named_parameters() if p.requires_grad]


def test_large_layers_are_the_same_in_chunks():
    weight = torch.randn(700, 1088, generator=torch.Generator().manual_seed(0))
    packed = packed_as_published(weight)
    layer = NF4Linear(1088, 700, bits=4, bias=False)
    (scale_bytes, _, _, _, (mean, (second, table, *_)), *_) = packed["quant_state"]
    layer.load_state_dict(
        {
            "weight": packed["data"].view(700, 544),
            "scale_bytes": scale_bytes.view(700, 17),
            "scale_table": table,
            "scale_second": second,
            "scale_mean": mean,
        }
    )
    full = layer.dequantize(torch.float32)
    assert (full - weight).abs().max() < 0.6
    x = torch.randn(3, 1088, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(layer(x), x @ full.T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x.grad, full.sum(0).expand(3, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_published_folder_computes_the_same_packed_and_dequantized(
    published: Path, dtype: torch.dtype
):
    packed = load_model(published, dtype=dtype)
    full = load_model(published, dtype=dtype, dequantize=True)
    layers = [name for name, of in packed.named_modules() if isinstance(of, NF4Linear)]
    assert {name.rpartition(".")[2] for name in layers} == set(LINEARS)
    assert len(layers) == 5 * packed.config.num_hidden_layers
    for name in layers:
        weight = full.get_submodule(name).weight
        assert weight.dtype == dtype and weight.requires_grad
        assert torch.equal(weight, packed.get_submodule(name).dequantize(dtype))
    with torch.no_grad():
        first, second = packed(input_ids=IDS).logits, full(input_ids=IDS).logits
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)
    assert (packed_bits(packed.config), packed_bits(full.config)) == (4, 0)


def test_dequantized_weights_are_saved_as_a_full_model(published: Path, tmp_path: Path):
    full = load_model(published, dtype=torch.float32, dequantize=True)
    full.save_pretrained(tmp_path)
    again = load_model(tmp_path, dtype=torch.float32)
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    assert not [module for module in again.modules() if isinstance(module, PackedLinear)]
    for key, tensor in full.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key
    again.train()(input_ids=IDS, labels=IDS).loss.backward()
    assert all(p.grad is not None for p in again.parameters())


def test_a_packed_model_is_saved_and_loaded_here(published: Path, tmp_path: Path):
    packed = load_model(published)
    packed.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    for key, tensor in packed.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key
    assert packed.dtype == again.dtype == torch.float16


def test_lora_trains_on_a_packed_base(published: Path):
    model = load_model(published, dtype=torch.float32)
    asked = peft.LoraConfig(r=2, target_modules=["W_pack"], task_type="CAUSAL_LM")
    tuned = peft.get_peft_model(model, asked)
    tuned(input_ids=IDS, labels=IDS).loss.backward()
    trained = [name for name, p in tuned.named_parameters() if p.grad is not None]
    assert len(trained) == 2 * model.config.num_hidden_layers
    assert all("lora_" in name for name in trained)


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def damaged(published: Path, folder: Path, change: Any) -> Path:
    for name in ("config.json", "tokenizer.model"):
        (folder / name).write_bytes((published / name).read_bytes())
    found = torch.load(published / "pytorch_model.bin", weights_only=True)
    change(found)
    torch.save(found, folder / "pytorch_model.bin")
    return folder


FIRST = "model.layers.0.self_attn.W_pack.weight"


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        (5, "fp4", "'fp4'"),
        (3, 128, "128"),
        (4, None, "8 bits"),
        (0, "words", "something else than tensors"),
        (1, torch.Size([7, 64]), "not readable"),
    ],
)
def test_another_form_is_told(published: Path, tmp_path: Path, part: int, value: Any, told: str):
    def change(found: dict[str, Any]) -> None:
        found[f"{FIRST}.quant_state"][part] = value

    with pytest.raises(UserError, match=told):
        load_model(damaged(published, tmp_path, change))


def test_a_missing_state_is_told(published: Path, tmp_path: Path):
    folder = damaged(published, tmp_path, lambda found: found.pop(f"{FIRST}.quant_state"))
    with pytest.raises(UserError, match="a list of 7"):
        load_model(folder)


def test_nothing_in_the_pickle_is_run(published: Path, tmp_path: Path):
    def change(found: dict[str, Any]) -> None:
        found[f"{FIRST}.quant_state"][6] = Runs(tmp_path / "run")

    with pytest.raises(UserError, match="damaged or no weight file"):
        load_model(damaged(published, tmp_path, change))
    assert not (tmp_path / "run").exists()


def test_ways_that_only_transformers_has_are_refused(published: Path):
    with pytest.raises(UserError, match="transformers"):
        load_model(published, device_map="cpu")


def test_columns_that_are_no_whole_groups_are_refused():
    with pytest.raises(UserError, match="96 input columns"):
        NF4Linear(96, 8, bits=4, bias=False)


@pytest.mark.gpu
def test_cuda_computes_what_the_cpu_computes():
    layer, x = fixture_layer(torch.float32), torch.randn(4, 256, requires_grad=True)
    expected = layer(x)
    (expected_grad,) = torch.autograd.grad(expected.sum(), x)
    layer, x = layer.cuda(), x.detach().cuda().requires_grad_()
    out = layer(x)
    out.sum().backward()
    assert torch.equal(layer.dequantize().cpu(), fixture_layer().dequantize())
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad.cpu(), expected_grad, rtol=1e-4, atol=1e-5)
