"""The published int4/int8 weights: exact numbers, exact gradients, loading, LoRA on top."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel

from foretune.errors import UserError
from foretune.models.loading import load_model
from foretune.models.quantized import (
    PACKED_NAMES,
    PackedEmbedding,
    PackedLinear,
    PackWhileLoading,
    pack_linears,
    pack_weight,
    unpack_linears,
)
from small_models import small_model


class TinyConfig(PreTrainedConfig):
    """A stand-in for ChatGLM's: ``quantization_bit`` decides what is built."""

    model_type = "tiny_packed"

    def __init__(self, hidden=64, num_layers=2, quantization_bit=0, **kwargs):
        self.hidden, self.num_layers = hidden, num_layers
        self.quantization_bit = quantization_bit
        super().__init__(**kwargs)


class TinyLayer(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.dense = nn.Linear(hidden, hidden, bias=False)
        self.dense_h_to_4h = nn.Linear(hidden, 4 * hidden, bias=False)
        self.dense_4h_to_h = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        value = self.query_key_value(x).chunk(3, -1)[2]
        x = x + self.dense(value)
        return x + self.dense_4h_to_h(torch.tanh(self.dense_h_to_4h(x)))


class TinyModel(PreTrainedModel):
    config_class = TinyConfig
    base_model_prefix = "model"

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(11, config.hidden)
        self.layers = nn.ModuleList(TinyLayer(config.hidden) for _ in range(config.num_layers))
        self.output_layer = nn.Linear(config.hidden, 11, bias=False)
        if config.quantization_bit:
            pack_linears(self.layers, PACKED_NAMES, config.quantization_bit, empty=True)
        self.post_init()

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embedding(input_ids)
        for layer in self.layers:
            x = layer(x)
        return self.output_layer(x)


IDS = torch.arange(10).reshape(2, 5)


def packed_and_plain(bits: int, *, bias: bool = True, dtype=torch.float32, columns: int = 48):
    """A packed layer and an ordinary one with the very weights that it stands for."""
    torch.manual_seed(bits)
    packed = PackedLinear.from_linear(nn.Linear(columns, 20, bias=bias, dtype=dtype), bits)
    plain = nn.Linear(columns, 20, bias=bias, dtype=dtype)
    with torch.no_grad():
        plain.weight.copy_(packed.dequantize(dtype))
        if bias:
            plain.bias.copy_(packed.bias)
    return packed, plain


@pytest.mark.parametrize(
    "case", ["chatglm1_int4", "chatglm1_int8", "chatglm2_int4", "chatglm2_int8"]
)
def test_published_weights_dequantise_exactly_and_pack_back_to_the_same_bytes(shared, case):
    bits = int(case[-1])
    held = load_file(shared / "golden" / case / "model.safetensors")
    expected = load_file(shared / "golden" / case / "dequantized.safetensors")
    seen = 0
    for key in [key for key in held if key.endswith(".weight_scale")]:
        name = key.removesuffix("_scale")
        rows, columns = expected[name].shape
        layer = PackedLinear(columns, rows, bits=bits, bias=False, dtype=torch.float16)
        layer.load_state_dict({"weight": held[name], "weight_scale": held[key]})
        assert torch.equal(layer.dequantize(torch.float32), expected[name])
        for half_scale in (True, False):
            weight, scale = pack_weight(expected[name], bits, half_scale=half_scale)
            assert torch.equal(weight, held[name])
            assert torch.equal(scale.half(), held[key])
        seen += 1
    assert seen == {"chatglm1": 4 * 28, "chatglm2": 4 * 3}[case.split("_")[0]]


@pytest.mark.parametrize(
    "case", ["chatglm1_int4", "chatglm1_int8", "chatglm2_int4", "chatglm2_int8"]
)
def test_published_packed_models_compute_the_published_logits(shared, case):
    folder = shared / "golden" / case
    model = load_model(folder, dtype=torch.float32).eval()
    inputs = load_file(folder / "inputs.safetensors")
    passed = json.loads((folder / "meta.json").read_text())["scenarios"]["prompt"]
    with torch.no_grad():
        out = model(**{name: inputs[f"prompt.{name}"] for name in passed["passed_to_reference"]})
    expected = load_file(folder / "logits.safetensors")["prompt.logits"]
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "case", ["chatglm1_int4", "chatglm1_int8", "chatglm2_int4", "chatglm2_int8"]
)
def test_published_packed_models_are_dequantized_on_request(shared, case, tmp_path):
    folder = shared / "golden" / case
    model = load_model(folder, dtype=torch.float32, dequantize=True)
    expected = load_file(folder / "dequantized.safetensors")
    found = model.state_dict()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor.float()), key
    assert len(expected) == 4 * model.config.num_layers
    assert not any(isinstance(m, PackedLinear) for m in model.modules())
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    assert not again.config.quantization_bit and again.dtype == torch.float32
    inputs = load_file(folder / "inputs.safetensors")["prompt.input_ids"]
    logits = again.train()(input_ids=inputs).logits
    wanted = load_file(folder / "logits.safetensors")["prompt.logits"]
    torch.testing.assert_close(logits, wanted, rtol=0, atol=5e-5)
    logits.sum().backward()
    assert all(p.grad is not None for p in again.parameters())


def test_dequantizing_full_weights_is_refused(tmp_path):
    small_model(tmp_path, "chatglm2")
    with pytest.raises(UserError, match="no weight is packed"):
        load_model(tmp_path, dequantize=True)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_packed_embedding_and_head_are_read_as_chatglm_6b_int4_qe_has_them(tmp_path, bits, dtype):
    small_model(tmp_path, "chatglm")
    full = load_model(tmp_path, dtype=torch.float16)
    found = dict(full.state_dict())
    names = [f"{n}.weight" for n, m in full.named_modules() if n.rpartition(".")[2] in PACKED_NAMES]
    for name in (*names, "transformer.word_embeddings.weight", "lm_head.weight"):
        found[name], found[f"{name}_scale"] = pack_weight(found[name], bits)
    for file in tmp_path.glob("*.safetensors*"):
        file.unlink()
    torch.save(found, tmp_path / "pytorch_model.bin")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"quantization_bit": bits, "quantization_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))

    packed = load_model(tmp_path, dtype=dtype)
    embedding = packed.get_input_embeddings()
    assert isinstance(embedding, PackedEmbedding) and isinstance(packed.lm_head, PackedLinear)
    ids = torch.tensor([[5, 319, 92, 1601, 1604, 7]])
    assert torch.equal(embedding(ids), embedding.dequantize(dtype)[ids])
    assert embedding(ids).dtype == dtype
    unpacked = load_model(tmp_path, dtype=dtype, dequantize=True)
    assert type(unpacked.get_input_embeddings()) is nn.Embedding
    assert not unpacked.config.quantization_embeddings
    with torch.no_grad():
        first, second = packed(input_ids=ids).logits, unpacked(input_ids=ids).logits
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)
    packed.save_pretrained(tmp_path / "again")
    again = load_model(tmp_path / "again", dtype=dtype).state_dict()
    assert again.keys() == packed.state_dict().keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in packed.state_dict().items())


@pytest.mark.parametrize("case", ["chatglm1_2d_a", "chatglm2_a"])
def test_a_published_full_model_is_packed_while_it_is_loaded(shared, case):
    folder = shared / "golden" / case
    packing = PackWhileLoading(bits=8)
    model = load_model(folder, dtype=torch.float32, quantization_config=packing)
    packed = [name for name, module in model.named_modules() if isinstance(module, PackedLinear)]
    assert len(packed) == 4 * model.config.num_layers
    assert model.config.quantization_bit == 8
    full = load_model(folder, dtype=torch.float32)
    pack_linears(full, PACKED_NAMES, 8)
    for name, tensor in full.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_the_high_four_bits_are_the_even_column():
    weight, scale = pack_weight(torch.tensor([[-7.0, 3.0, 1.0, -2.0]]), 4)
    assert scale.tolist() == [1.0]
    assert [byte & 0xFF for byte in weight[0].tolist()] == [0x93, 0x1E]


def test_a_row_of_zeros_stays_zero():
    for bits in (4, 8):
        weight, scale = pack_weight(torch.tensor([[0.0, 0.0], [1.0, -1.0]]), bits)
        assert weight[0].count_nonzero() == 0 and scale[0] == 0
        assert scale[1] > 0


def test_a_scale_rounded_down_never_wraps_the_largest_weight_round():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        generator = torch.Generator().manual_seed(0)
        full = torch.randn(500, 16, generator=generator).to(dtype) * 1e-5
        for half_scale in (False, True):
            weight, _ = pack_weight(full, 8, half_scale=half_scale)
            wrapped = (weight != 0) & (weight.sign() != full.sign())
            assert not wrapped.any()


def test_half_scale_changes_nothing_for_half_weights():
    full = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)).half()
    for bits in (4, 8):
        first, second = pack_weight(full, bits), pack_weight(full, bits, half_scale=True)
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_rounding_is_to_the_nearest_step_of_the_row():
    full = torch.randn(300, 2000, generator=torch.Generator().manual_seed(2))  # several chunks
    for bits in (4, 8):
        linear = nn.Linear(2000, 300, bias=False)
        linear.weight = nn.Parameter(full)
        packed = PackedLinear.from_linear(linear, bits)
        error = (packed.dequantize(torch.float32) - full).abs()
        assert (error <= packed.weight_scale[:, None] * 0.5001).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_forward_and_gradient_are_those_of_the_unpacked_weights(bits, dtype):
    packed, plain = packed_and_plain(bits, dtype=dtype)
    x = torch.randn(3, 5, 48, generator=torch.Generator().manual_seed(3)).to(dtype)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = packed(ours), plain(theirs)
    assert out.dtype == dtype and out.shape == expected.shape
    full = dtype == torch.float32  # else: the bias is added to a rounded product
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if full else {"rtol": 1e-2, "atol": 1e-3}
    torch.testing.assert_close(out, expected, **tolerance)
    out.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **tolerance)
    torch.testing.assert_close(packed.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_gradient_is_exact(bits):
    packed, _ = packed_and_plain(bits, columns=6)
    x = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(packed, x)


@pytest.mark.parametrize("bits", [4, 8])
def test_large_layers_are_the_same_in_chunks(bits):
    torch.manual_seed(0)
    packed = PackedLinear.from_linear(nn.Linear(1030, 700, bias=False), bits)
    x = torch.randn(3, 1030, requires_grad=True)
    out = packed(x)
    out.sum().backward()
    weight = packed.dequantize(torch.float32)
    torch.testing.assert_close(out, x @ weight.T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad, weight.sum(0).expand(3, -1), rtol=1e-4, atol=1e-5)


def test_only_the_packed_weight_waits_for_the_backward_pass():
    packed, _ = packed_and_plain(4)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        packed(torch.randn(2, 48, requires_grad=True))
    assert len(kept) == 2
    assert {t.data_ptr() for t in kept} == {
        packed.weight.data_ptr(),
        packed.weight_scale.data_ptr(),
    }


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(reentrant):
    packed, _ = packed_and_plain(4)
    block = nn.Sequential(packed, nn.Tanh())
    x = torch.randn(4, 48, requires_grad=True)
    (plain,) = torch.autograd.grad(block(x).sum(), x)
    checkpoint(block, x, use_reentrant=reentrant).sum().backward()
    assert torch.equal(x.grad, plain)


def test_autocast_decides_the_dtype_of_the_product():
    packed, plain = packed_and_plain(8)
    x = torch.randn(4, 48, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, expected = packed(x), plain(x)
    assert out.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected, rtol=2e-2, atol=2e-2)
    out.float().sum().backward()
    assert x.grad.dtype == torch.float32


def test_a_published_half_scale_works_with_float32_activations():
    packed, _ = packed_and_plain(4, dtype=torch.float16)
    x = torch.randn(4, 48)
    assert packed.weight_scale.dtype == packed.bias.dtype == torch.float16
    torch.testing.assert_close(packed(x), x @ packed.dequantize().T + packed.bias.float())


def test_casting_the_module_leaves_the_packed_bytes_alone():
    for cast in (nn.Module.half, nn.Module.float, lambda m: m.to(torch.bfloat16)):
        packed, _ = packed_and_plain(4)
        before = packed.weight.clone()
        cast(packed)
        assert packed.weight.dtype == torch.int8 and torch.equal(packed.weight, before)
        assert set(packed.state_dict()) == {"weight", "weight_scale", "bias"}


def test_a_bfloat16_layer_on_meta_keeps_its_scale_in_float32():
    packed = PackedLinear(8, 4, bits=8, bias=True, dtype=torch.bfloat16, device="meta")
    assert packed.weight_scale.dtype == torch.float32
    assert packed.bias.dtype == torch.bfloat16
    assert packed.weight.is_meta and packed.weight_scale.is_meta
    assert packed(torch.empty(3, 8, dtype=torch.bfloat16, device="meta")).shape == (3, 4)


def test_nothing_packed_can_be_trained():
    packed, _ = packed_and_plain(4)
    assert [name for name, p in packed.named_parameters() if p.requires_grad] == ["bias"]
    with pytest.raises(RuntimeError, match="floating point"):
        packed.weight.requires_grad_()


def test_packing_a_model_takes_the_four_linears_of_each_layer_and_no_other():
    model = TinyModel(TinyConfig())
    replaced = pack_linears(model, PACKED_NAMES, 8)
    assert len(replaced) == 2 * 4
    assert {name.rpartition(".")[2] for name in replaced} == set(PACKED_NAMES)
    assert type(model.output_layer) is nn.Linear
    assert unpack_linears(model, torch.float32) == replaced
    assert not any(isinstance(m, PackedLinear) for m in model.modules())


@pytest.mark.parametrize("bits", [3, 16])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(UserError, match="4 or 8"):
        PackedLinear(8, 8, bits=bits, bias=False)


def test_an_odd_number_of_columns_is_refused_at_four_bits():
    with pytest.raises(UserError, match="even"):
        PackedLinear(7, 8, bits=4, bias=False)


def test_a_model_without_such_linears_is_refused():
    with pytest.raises(UserError, match="query_key_value"):
        pack_linears(nn.Sequential(nn.Linear(4, 4)), PACKED_NAMES, 4)


@pytest.fixture(params=["one file", "shards"])
def full_checkpoint(request, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    folder = tmp_path / "full"
    size = "5GB" if request.param == "one file" else "100KB"
    TinyModel(TinyConfig(hidden=64)).save_pretrained(folder, max_shard_size=size)
    shards = len(list(folder.glob("*.safetensors")))
    assert shards == 1 if request.param == "one file" else shards > 3
    return folder


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_packing_while_loading_equals_packing_after(full_checkpoint, bits, dtype):
    after = TinyModel.from_pretrained(full_checkpoint, dtype=dtype)
    pack_linears(after, PACKED_NAMES, bits)
    model, info = TinyModel.from_pretrained(
        full_checkpoint,
        dtype=dtype,
        quantization_config=PackWhileLoading(bits=bits),
        output_loading_info=True,
    )
    assert not any(info.values())
    expected, found = after.state_dict(), model.state_dict()
    assert expected.keys() == found.keys()
    for key in expected:
        assert expected[key].dtype == found[key].dtype, key
        assert torch.equal(expected[key], found[key]), key
    layer = model.layers[0].query_key_value
    assert isinstance(layer, PackedLinear) and layer.weight.dtype == torch.int8
    assert torch.equal(model(IDS), after(IDS))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_packed_model_is_saved_and_loaded_in_the_published_layout(tmp_path, bits):
    TinyModel(TinyConfig()).save_pretrained(tmp_path / "full")
    packing = PackWhileLoading(bits=bits, half_scale=True)
    model = TinyModel.from_pretrained(
        tmp_path / "full", dtype=torch.float16, quantization_config=packing
    )
    model.save_pretrained(tmp_path / "packed")
    config = json.loads((tmp_path / "packed" / "config.json").read_text())
    assert config["quantization_bit"] == bits
    assert "quantization_config" not in config
    tensors = load_file(tmp_path / "packed" / "model.safetensors")
    assert tensors["layers.1.dense.weight"].dtype == torch.int8
    assert tensors["layers.1.dense.weight_scale"].dtype == torch.float16

    again, info = TinyModel.from_pretrained(
        tmp_path / "packed", dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values())
    layer = again.layers[1].dense
    assert layer.weight.dtype == torch.int8
    assert torch.equal(layer.dequantize(), model.layers[1].dense.dequantize())
    assert not any(p.requires_grad for n, p in again.named_parameters() if "dense.weight" in n)


def test_lora_on_a_packed_base_trains_saves_and_reloads(tmp_path):
    torch.manual_seed(0)
    model = TinyModel(TinyConfig())
    pack_linears(model, PACKED_NAMES, 4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tuned = peft.get_peft_model(model, lora)
    trainable = {name: p for name, p in tuned.named_parameters() if p.requires_grad}
    assert len(trainable) == 2 * 2 * 2
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trainable.items())

    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(tuned(IDS).flatten(0, 1), IDS.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    for key, value in before.items():
        assert any(
            torch.equal(value, now)
            for name, now in tuned.state_dict().items()
            if name.replace("base_model.model.", "").replace("base_layer.", "") == key
        ), key

    tuned.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert len(saved) == len(trainable)
    assert saved["base_model.model.layers.0.dense.lora_A.weight"].shape == (4, 64)
    base = TinyModel(TinyConfig(quantization_bit=4))
    base.load_state_dict(before)
    again = peft.PeftModel.from_pretrained(base, tmp_path)
    assert torch.equal(again(IDS), tuned.eval()(IDS))

    # Merged into the weights that the packed ones stand for, it computes the same.
    expected = again(IDS)
    assert len(unpack_linears(again, torch.float32)) == 8
    torch.testing.assert_close(again.merge_and_unload()(IDS), expected, rtol=1e-4, atol=1e-5)


def test_packed_layers_survive_safetensors(tmp_path):
    packed, _ = packed_and_plain(4)
    save_file(packed.state_dict(), tmp_path / "layer.safetensors")
    again = PackedLinear(48, 20, bits=4, bias=True)
    again.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    assert torch.equal(again.dequantize(), packed.dequantize())


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [4, 8])
def test_cuda_computes_what_the_cpu_computes(bits):
    packed, _ = packed_and_plain(bits)
    x = torch.randn(4, 48, requires_grad=True)
    expected = packed(x)
    (expected_grad,) = torch.autograd.grad(expected.sum(), x)
    packed, x = packed.cuda(), x.detach().cuda().requires_grad_()
    out = packed(x)
    out.sum().backward()
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad.cpu(), expected_grad, rtol=1e-4, atol=1e-5)
