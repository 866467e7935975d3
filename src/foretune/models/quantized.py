"""The int4 and int8 weights that ChatGLM-6B and ChatGLM2-6B are published in.

A linear layer keeps its weight as whole numbers q and one scale for each output row::

    scale = max|row| / (2**(bits - 1) - 1)      q = round(weight / scale)      weight = q * scale

``X.weight`` is int8 [out, in], or [out, in/2] for 4 bits: the high four bits of a byte are an even
column, the low four the odd column after it, both in two's complement. ``X.weight_scale`` is [out].
Source: quantization.py of THUDM/chatglm-6b and THUDM/chatglm2-6b.

The four linears of every layer are held this way, the embedding and the head are not. A packed base
is frozen: gradients pass through it to LoRA matrices or a prefix. Everything here is plain torch.

Letters: N output rows, K input columns, M rows of the activations (all leading dimensions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from ..errors import refuse

PACKED_NAMES = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")

# How many weights are unpacked at a time: on a CPU what stays in its second-level cache, on an
# accelerator enough to keep it busy (32 MiB in half precision).
_CHUNK_CPU = 2**18
_CHUNK_ACCELERATOR = 2**24


def _chunks(count: int, size: int, device: torch.device) -> list[slice]:
    """Slices over ``count`` rows (or columns) of ``size`` weights each."""
    limit = _CHUNK_CPU if device.type == "cpu" else _CHUNK_ACCELERATOR
    step = max(2, limit // size // 2 * 2)  # even: a byte holds two columns
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


@torch.no_grad()
def pack_weight(weight: Tensor, bits: int, *, half_scale: bool = False) -> tuple[Tensor, Tensor]:
    """Rounds ``weight`` [N, K] to ``bits`` (4 or 8): returns (int8 [N, K] or [N, K/2], scale [N]).

    The arithmetic runs in the weight's dtype, as ChatGLM2-6B's does, except that bfloat16 (whose 8
    bits are too few) is worked in float32. ``half_scale`` rounds the scale to float16 before the
    division, as ChatGLM-6B does; on float16 weights the two agree. A row of zeros packs to zeros.
    """
    rows, columns = weight.shape
    _check(bits, columns)
    work = torch.float32 if weight.dtype == torch.bfloat16 else weight.dtype
    largest = 2 ** (bits - 1) - 1
    scale_N = torch.empty(rows, dtype=torch.float16 if half_scale else work, device=weight.device)
    packed = weight.new_empty(rows, columns * bits // 8, dtype=torch.int8)
    for chunk in _chunks(rows, columns, weight.device):
        part = weight[chunk].to(work)
        scale_N[chunk] = part.abs().amax(1) / largest
        divisor = scale_N[chunk, None]
        divisor = torch.where(divisor == 0, torch.ones_like(divisor), divisor)
        # A scale that was rounded down would carry the largest weight past what the bits can hold.
        q = (part / divisor).round_().clamp_(-largest, largest).to(torch.int8)
        packed[chunk] = q if bits == 8 else (q[:, 0::2] << 4) | (q[:, 1::2] & 0xF)
    return packed, scale_N


def _unpack_into(out: Tensor, packed: Tensor, unit: Tensor, bits: int) -> Tensor:
    """Writes q * scale into ``out``, each weight rounded once to its dtype; ``unit`` from _unit."""
    if bits == 4:
        # Both columns of a byte as the two bytes of a 16-bit word (the low byte lies first), each
        # sixteen times its value: a third of the time of writing every second column.
        words = packed.to(torch.int16)
        odd = words << 12
        packed = words.bitwise_and_(0xF0).bitwise_or_(odd).view(torch.int8)
    return out.copy_(packed).mul_(unit[:, None])


def _unit(weight_scale: Tensor, bits: int) -> Tensor:
    """What one step of the bytes that ``_unpack_into`` reads is worth, in float32 or wider."""
    scale = weight_scale.to(torch.promote_types(weight_scale.dtype, torch.float32))
    return scale / 16 if bits == 4 else scale


class _PackedProduct(torch.autograd.Function):
    """x [M, K] times the packed weight's transpose; only packed tensors wait for the backward."""

    @staticmethod
    def forward(ctx: Any, x_MK: Tensor, weight: Tensor, weight_scale: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(weight, weight_scale)
        ctx.bits = bits
        N, K = weight.shape[0], x_MK.shape[1]
        unit = _unit(weight_scale, bits)
        chunks = _chunks(N, K, x_MK.device)
        scratch = x_MK.new_empty(chunks[0].stop, K)
        out_MN = x_MK.new_empty(x_MK.shape[0], N)
        for rows in chunks:
            part = scratch[: rows.stop - rows.start]
            _unpack_into(part, weight[rows], unit[rows], bits)
            torch.mm(x_MK, part.t(), out=out_MN[:, rows])
        return out_MN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MN: Tensor) -> tuple[Tensor | None, None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        weight, weight_scale = ctx.saved_tensors
        per_byte = 8 // ctx.bits
        N, K = weight.shape[0], weight.shape[1] * per_byte
        unit = _unit(weight_scale, ctx.bits)
        # By columns, so that each sum over the rows is one product, as exact as an unpacked one.
        chunks = _chunks(K, N, grad_MN.device)
        scratch = grad_MN.new_empty(N, chunks[0].stop)
        grad_MK = grad_MN.new_empty(grad_MN.shape[0], K)
        for columns in chunks:
            part = scratch[:, : columns.stop - columns.start]
            held = weight[:, columns.start // per_byte : columns.stop // per_byte]
            _unpack_into(part, held, unit, ctx.bits)
            torch.mm(grad_MN, part, out=grad_MK[:, columns])
        return grad_MK, None, None, None


class PackedLinear(nn.Linear):
    """``nn.Linear`` with a frozen int4 or int8 weight, unpacked piece by piece in each product.

    An ``nn.Linear`` by inheritance, so that PEFT wraps it in its ordinary LoRA layer; before LoRA
    is merged, call :func:`unpack_linears`. ``weight`` is a parameter (int8: it can never train, and
    data parallel does not send it round at each step), ``weight_scale`` a buffer in ``dtype``, or
    in float32 where that is bfloat16. Neither ``half`` nor ``float`` touches ``weight``.
    """

    weight_scale: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bits: int,
        bias: bool,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        nn.Module.__init__(self)  # not Linear's, which would draw a full weight
        _check(bits, in_features)
        self.in_features, self.out_features, self.bits = in_features, out_features, bits
        dtype = dtype or torch.get_default_dtype()
        scale_dtype = torch.float32 if dtype == torch.bfloat16 else dtype
        held = torch.zeros(out_features, in_features * bits // 8, dtype=torch.int8, device=device)
        self.weight = nn.Parameter(held, requires_grad=False)
        self.register_buffer(
            "weight_scale", torch.zeros(out_features, dtype=scale_dtype, device=device)
        )
        zeros = torch.zeros(out_features, dtype=dtype, device=device) if bias else None
        self.bias = nn.Parameter(zeros) if zeros is not None else None
        self._is_hf_initialized = True  # transformers must not draw random numbers into it

    @classmethod
    def from_linear(cls, linear: nn.Linear, bits: int, *, half_scale: bool = False) -> PackedLinear:
        """Packs the weight of ``linear`` (see :func:`pack_weight`) and takes over its bias."""
        packed = cls._shaped_like(linear, bits, device="meta")
        weight, packed.weight_scale = pack_weight(linear.weight, bits, half_scale=half_scale)
        packed.weight = nn.Parameter(weight, requires_grad=False)
        packed.bias = linear.bias
        return packed.train(linear.training)

    @classmethod
    def _shaped_like(cls, linear: nn.Linear, bits: int, device: torch.device | str) -> PackedLinear:
        return cls(
            linear.in_features,
            linear.out_features,
            bits=bits,
            bias=linear.bias is not None,
            dtype=linear.weight.dtype,
            device=device,
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [..., K] to [..., N] in x's dtype, or in autocast's where it is on."""
        kind = x.device.type
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        x_MK = x.reshape(-1, self.in_features)
        out_MN = _PackedProduct.apply(x_MK, self.weight, self.weight_scale, self.bits)
        if self.bias is not None:
            out_MN = out_MN + self.bias.to(out_MN.dtype)
        return out_MN.view(*x.shape[:-1], self.out_features)

    @torch.no_grad()
    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight [N, K] in ``dtype``: in float32 exactly q * scale."""
        unit = _unit(self.weight_scale, self.bits)
        out = self.weight.new_empty(self.out_features, self.in_features, dtype=dtype)
        for chunk in _chunks(self.out_features, self.in_features, self.weight.device):
            _unpack_into(out[chunk], self.weight[chunk], unit[chunk], self.bits)
        return out

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bits={self.bits}"


def _check(bits: int, columns: int) -> None:
    if bits not in (4, 8):
        raise refuse(
            what=f"quantization_bit = {bits}",
            where="the model's configuration or the bits asked for",
            why="the published scheme holds weights in 4 or in 8 bits",
            fix="use 4 or 8, or none for full weights",
        )
    if bits == 4 and columns % 2:
        raise refuse(
            what=f"a linear layer with {columns} input columns",
            where="the model's configuration",
            why="at 4 bits a byte holds two columns, so their number must be even",
            fix="use 8 bits",
        )


def pack_linears(
    module: nn.Module,
    names: Sequence[str],
    bits: int,
    *,
    empty: bool = False,
    half_scale: bool = False,
) -> list[str]:
    """Replaces each ``nn.Linear`` in ``module`` whose last name is in ``names``, one at a time.

    Each full weight is freed before the next is packed. ``empty`` packs nothing and leaves layers
    of zeros, on the device and in the dtype of those replaced, for a checkpoint that is packed
    already. Returns the dotted names of what was replaced; refuses a module that has none.
    """
    found = [
        name
        for name, child in module.named_modules()
        if name.rpartition(".")[2] in names
        and isinstance(child, nn.Linear)
        and not isinstance(child, PackedLinear)
    ]
    if not found:
        raise refuse(
            what=f"{bits}-bit weights for {type(module).__name__}",
            where="the model's configuration or the bits asked for",
            why=f"it has no linear layer called {', '.join(names)}: the scheme is ChatGLM's",
            fix="load it with full weights",
        )
    for name in found:
        linear = module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        if empty:
            packed = PackedLinear._shaped_like(linear, bits, linear.weight.device)
        else:
            packed = PackedLinear.from_linear(linear, bits, half_scale=half_scale)
        module.set_submodule(name, packed)
        del linear
    return found


def unpack_linears(module: nn.Module, dtype: torch.dtype) -> list[str]:
    """Replaces each :class:`PackedLinear` by an ``nn.Linear`` of the weights it stands for.

    Needed before LoRA is merged: a sum of packed weights and LoRA's would be neither.
    """
    found = [name for name, child in module.named_modules() if isinstance(child, PackedLinear)]
    for name in found:
        packed = module.get_submodule(name)
        assert isinstance(packed, PackedLinear)
        linear = nn.Linear(packed.in_features, packed.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(packed.dequantize(dtype), requires_grad=False)
        linear.register_parameter("bias", packed.bias)
        module.set_submodule(name, linear.train(packed.training))
        del packed
    return found


_METHOD = "foretune_packed"


@dataclass(kw_only=True)
class PackWhileLoading(QuantizationConfigMixin):
    """``from_pretrained(..., quantization_config=PackWhileLoading(bits=4))`` packs what it reads.

    Each weight is packed as it is read, so loading needs little more memory than the packed model.
    What comes back is as if it had been published so: ``config.quantization_bit`` is set, and
    ``save_pretrained`` writes the published layout. ``half_scale`` as in :func:`pack_weight`.
    """

    bits: int = 4
    names: tuple[str, ...] = PACKED_NAMES
    half_scale: bool = False
    quant_method: str = _METHOD


class PackingQuantizer(HfQuantizer):
    """What transformers calls while it loads; read and run with 5.17 and 5.23."""

    def __init__(self, quantization_config: PackWhileLoading, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self.asked = quantization_config

    def _process_model_before_weight_loading(self, model: Any, **kwargs: Any) -> None:
        for name in pack_linears(model, self.asked.names, self.asked.bits, empty=True):
            # A full weight's place until it is packed: transformers 5.17 casts what it reads to the
            # dtype that it finds here, and int8 would leave nothing of it.
            packed = model.get_submodule(name)
            shape = (packed.out_features, packed.in_features)
            full = torch.empty(shape, dtype=model.config.dtype, device="meta")
            packed.weight = nn.Parameter(full, requires_grad=False)

    def param_needs_quantization(self, model: Any, param_name: str, **kwargs: Any) -> bool:
        owner, _, name = param_name.rpartition(".")
        return name == "weight" and isinstance(model.get_submodule(owner), PackedLinear)

    def param_element_size(self, model: Any, param_name: str, param: Tensor) -> float:
        if self.param_needs_quantization(model, param_name):
            return self.asked.bits / 8
        return super().param_element_size(model, param_name, param)

    def get_quantize_ops(self) -> ConversionOps:
        return _PackAsRead(self.asked)

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        # From here on it is a model in the published layout, which no quantizer has to accompany.
        self.remove_quantization_config(model)
        del model.config._is_quantized
        model.config.quantization_bit = self.asked.bits
        return model

    def is_serializable(self) -> bool:
        return True

    @property
    def is_trainable(self) -> bool:
        return True


class _PackAsRead(ConversionOps):
    """One weight as it was read in, its packed form and scale out."""

    def __init__(self, asked: PackWhileLoading) -> None:
        self.asked = asked

    def convert(self, input_dict: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        out = {}
        for name, read in input_dict.items():
            full = read[0] if isinstance(read, list) else read
            weight, scale = pack_weight(full, self.asked.bits, half_scale=self.asked.half_scale)
            out[name] = nn.Parameter(weight, requires_grad=False)
            out[f"{name}_scale"] = scale
        return out


register_quantization_config(_METHOD)(PackWhileLoading)
register_quantizer(_METHOD)(PackingQuantizer)
