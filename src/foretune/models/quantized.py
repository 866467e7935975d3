"""The int4 and int8 weights that ChatGLM-6B and ChatGLM2-6B are published in, and what every packed
weight has in common.

A linear layer keeps its weight as whole numbers q and one scale for each output row::

    scale = max|row| / (2**(bits - 1) - 1)      q = round(weight / scale)      weight = q * scale

``X.weight`` is int8 [out, in], or [out, in/2] for 4 bits: the high four bits of a byte are an even
column, the low four the odd column after it, both in two's complement. ``X.weight_scale`` is [out].
Source: quantization.py of THUDM/chatglm-6b and THUDM/chatglm2-6b.

The four linears of every layer are held this way; the embedding and the head only in
chatglm-6b-int4-qe, where config.json says ``quantization_embeddings``. A packed base is frozen:
gradients pass through it to LoRA matrices or a prefix. Everything here is plain torch; the kernels
that lie beside the published weights (cpm_kernels, quantization_kernels.c) are not used.

Letters: N output rows, K input columns, M rows of the activations (all leading dimensions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from ..errors import refuse
from .packed_product import PackedProduct, Scheme, Whole, chunks_of, unpacked

PACKED_NAMES = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")


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
    for chunk in chunks_of(rows, columns, weight.device):
        part = weight[chunk].to(work)
        scale_N[chunk] = part.abs().amax(1) / largest
        divisor = scale_N[chunk, None]
        divisor = torch.where(divisor == 0, torch.ones_like(divisor), divisor)
        # A scale that was rounded down would carry the largest weight past what the bits can hold.
        q = (part / divisor).round_().clamp_(-largest, largest).to(torch.int8)
        packed[chunk] = q if bits == 8 else (q[:, 0::2] << 4) | (q[:, 1::2] & 0xF)
    return packed, scale_N


class PackedLinear(nn.Linear):
    """``nn.Linear`` with a frozen int4 or int8 weight, unpacked piece by piece in each product.

    An ``nn.Linear`` by inheritance, so that PEFT wraps it in its ordinary LoRA layer; before LoRA
    is merged, call :func:`unpack_linears`. ``weight`` is a parameter (int8: it can never train, and
    data parallel does not send it round at each step), ``weight_scale`` a buffer in ``dtype``, or
    in float32 where that is bfloat16. Neither ``half`` nor ``float`` touches ``weight``.
    """

    weight_scale: Tensor
    scheme: Scheme

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
        self._make_room(dtype, device)
        zeros = torch.zeros(out_features, dtype=dtype, device=device) if bias else None
        self.bias = nn.Parameter(zeros) if zeros is not None else None
        self._is_hf_initialized = True  # transformers must not draw random numbers into it

    def _make_room(self, dtype: torch.dtype, device: torch.device | str | None) -> None:
        """The packed weight and its scale, zero."""
        self.scheme = Whole(self.bits)
        _make_room(self, (self.out_features, self.in_features), self.bits, dtype, device)

    def scales(self) -> tuple[Tensor, ...]:
        """What the packed weight is scaled by, as the scheme wants it."""
        return (self.weight_scale,)

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
        out_MN = PackedProduct.apply(x_MK, self.scheme, self.weight, *self.scales())
        if self.bias is not None:
            out_MN = out_MN + self.bias.to(out_MN.dtype)
        return out_MN.view(*x.shape[:-1], self.out_features)

    @torch.no_grad()
    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight [N, K] in ``dtype``: in float32 exactly q * scale."""
        return unpacked(self.scheme, dtype, self.weight, *self.scales())

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bits={self.bits}"


class PackedEmbedding(nn.Embedding):
    """``nn.Embedding`` with a frozen int4 or int8 table, as PackedLinear holds one; each row is
    unpacked when it is looked up.
    """

    weight_scale: Tensor
    like: Tensor
    """Empty: the dtype of the rows that are looked up, which bfloat16 scales do not tell."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        bits: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        nn.Module.__init__(self)
        _check(bits, embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = self.max_norm = None
        self.norm_type, self.scale_grad_by_freq, self.sparse = 2.0, False, False
        self.scheme = Whole(bits)
        dtype = dtype or torch.get_default_dtype()
        _make_room(self, (num_embeddings, embedding_dim), bits, dtype, device)
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=device), persistent=False)
        self._is_hf_initialized = True

    def forward(self, input: Tensor) -> Tensor:
        """ids [...] to rows [..., K]."""
        ids, K = input.flatten(), self.embedding_dim
        out = self.like.new_empty(len(ids), K)
        self.scheme.unpack(out, self.weight[ids], self.scheme.unit(self.weight_scale[ids]))
        return out.view(*input.shape, K)

    @torch.no_grad()
    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The table in ``dtype``."""
        return unpacked(self.scheme, dtype, self.weight, self.weight_scale)


def _make_room(
    module: nn.Module,
    shape: tuple[int, int],
    bits: int,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> None:
    rows, columns = shape
    scale_dtype = torch.float32 if dtype == torch.bfloat16 else dtype
    held = torch.zeros(rows, columns * bits // 8, dtype=torch.int8, device=device)
    module.weight = nn.Parameter(held, requires_grad=False)
    scale = torch.zeros(rows, dtype=scale_dtype, device=device)
    module.register_buffer("weight_scale", scale)


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
    kind: type[PackedLinear] = PackedLinear,
) -> list[str]:
    """Replaces each ``nn.Linear`` in ``module`` whose last name is in ``names``, one at a time.

    Each full weight is freed before the next is packed. ``empty`` packs nothing and leaves layers
    of zeros, on the device and in the dtype of those replaced, for a checkpoint that is packed
    already, whose layers may be of another ``kind``. Returns the dotted names of what was replaced;
    refuses a module that has none.
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
            packed = kind._shaped_like(linear, bits, linear.weight.device)
        else:
            packed = PackedLinear.from_linear(linear, bits, half_scale=half_scale)
        module.set_submodule(name, packed)
        del linear
    return found


def unpack_linears(module: nn.Module, dtype: torch.dtype) -> list[str]:
    """Replaces each packed linear (and embedding) by an ordinary one of the weights it stands for,
    frozen still.

    Needed before LoRA is merged: a sum of packed weights and LoRA's would be neither.
    """
    kinds = (PackedLinear, PackedEmbedding)
    found = [name for name, child in module.named_modules() if isinstance(child, kinds)]
    for name in found:
        packed = module.get_submodule(name)
        if isinstance(packed, PackedLinear):
            full = nn.Linear(packed.in_features, packed.out_features, bias=False, device="meta")
            full.register_parameter("bias", packed.bias)
        else:
            assert isinstance(packed, PackedEmbedding)
            full = nn.Embedding(packed.num_embeddings, packed.embedding_dim, device="meta")
        full.weight = nn.Parameter(packed.dequantize(dtype), requires_grad=False)
        module.set_submodule(name, full.train(packed.training))
        del packed
    return found


def packed_bits(config: Any) -> int:
    """In how many bits the weights that belong to ``config`` are published; 0 for full weights."""
    if bits := getattr(config, "quantization_bit", 0):
        return bits
    other = getattr(config, "quantization_config", None)
    return 4 if isinstance(other, dict) and other.get("load_in_4bit") else 0


def refuse_unpacked(config: Any, name: str) -> None:
    """Raises UserError where there is nothing to dequantize."""
    if not packed_bits(config):
        raise refuse(
            what="dequantize is asked for, and no weight is packed",
            where=name,
            why="its config.json describes full weights",
            fix="leave dequantize out",
        )


def unpack_model(model: Any, dtype: torch.dtype) -> Any:
    """The ``model`` with full weights, which may train, in place of packed ones, and with a config
    that says so.
    """
    unpack_linears(model, dtype)
    for key in ("quantization_bit", "quantization_embeddings"):
        if getattr(model.config, key, None):
            setattr(model.config, key, type(getattr(model.config, key))(0))
    vars(model.config).pop("quantization_config", None)
    model.tie_weights()
    return model.requires_grad_()


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
