"""A device that computes nothing: torch takes it for an accelerator, its tensors have no memory.

It is torch's own place for devices of others (PrivateUse1), registered from Python, as tensors are
on it only under FakeTensorMode. What an NVIDIA device does with attention and with autocast is said
here once more, for the dispatcher asks the device: which kernel attention takes (torch 2.13,
aten/src/ATen/native/transformers/cuda/sdp_utils.cpp), and which operations autocast computes in 16
and in 32 bits (aten/src/ATen/autocast_mode.h).

This module changes the process it is imported in: it is for the process that traces, and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

DEVICE = "traced"
"""The device's name."""
KEY = "AutocastPrivateUse1"
"""Where torch looks for what autocast does on it."""

aten: Any = torch.ops.aten

LOW = (
    "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "addbmm", "prelu",
)  # fmt: skip
"""What autocast computes in 16 bits."""
HIGH = (
    "layer_norm", "native_layer_norm", "group_norm", "nll_loss", "cross_entropy_loss", "exp", "log",
    "rsqrt", "reciprocal", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "softplus", "norm.Scalar",
    "softmax.int", "log_softmax.int", "cumsum", "prod", "logsumexp",
)  # fmt: skip
"""What autocast computes in float32."""


def register() -> Casts:
    """Makes the device known to this process; what autocast has cast is in the answer."""
    _setup_privateuseone_for_python_backend(DEVICE)
    module: Any = getattr(torch, DEVICE)
    module.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    torch._C._set_only_lift_cpu_tensors(True)
    torch.autograd.set_multithreading_enabled(False)  # an error in another thread ends the process
    casts = Casts()
    for name in LOW:
        _autocasts(name, casts, torch.get_autocast_dtype)
    for name in HIGH:
        _autocasts(name, casts, lambda _: torch.float32)
    LIBRARIES[1].fallback(torch.library.fallthrough_kernel, dispatch_key=KEY)
    attention = casts.wrapped(aten.scaled_dot_product_attention.default, torch.get_autocast_dtype)
    LIBRARIES[0].impl("scaled_dot_product_attention", attention, KEY)
    LIBRARIES[0].impl("scaled_dot_product_attention", attend, "AutogradPrivateUse1")
    return casts


LIBRARIES = (torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL"))
"""They take back what they have registered when they are gone."""


class Casts:
    """Autocast's casts; those of weights are kept until its context ends, as torch keeps them."""

    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    def cast(self, value: Any, dtype: torch.dtype) -> Any:
        """A floating-point tensor in ``dtype``; anything else as it is."""
        if not (isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype):
            return value
        if not (value.is_leaf and value.requires_grad and value.dtype == torch.float32):
            return value.to(dtype)
        if id(value) not in self.kept:
            self.kept[id(value)] = value.to(dtype)
        return self.kept[id(value)]

    def wrapped(self, op: Any, dtype_of: Callable[[str], torch.dtype]) -> Callable[..., Any]:
        """The operation behind casts of all it is given."""
        inner = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, KEY))

        def casting(*args: Any, **kwargs: Any) -> Any:
            with torch._C._ExcludeDispatchKeyGuard(inner):
                dtype = dtype_of(DEVICE)
                cast = [self.cast(one, dtype) for one in args]
                return op(*cast, **{name: self.cast(one, dtype) for name, one in kwargs.items()})

        return casting


def _autocasts(name: str, casts: Casts, dtype_of: Callable[[str], torch.dtype]) -> None:
    packet, _, overload = name.partition(".")
    op = getattr(getattr(aten, packet), overload or "default")
    LIBRARIES[0].impl(name, casts.wrapped(op, dtype_of), KEY)


class Assenting(TorchDispatchMode):
    """Where a program looks at the value of a tensor that has none, it finds True, or 1: all texts
    are whole, all checks hold.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is aten._local_scalar_dense.default:
            return args[0].dtype.is_floating_point or True
        return func(*args, **kwargs or {})


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention by the kernel that an NVIDIA device of compute capability 8.0 or later takes: flash
    without a mask in 16 bits, memory-efficient with one or in 32, else in plain steps.
    """
    same = query.shape[-1] == value.shape[-1] and query.dtype == key.dtype == value.dtype
    half = query.dtype in (torch.float16, torch.bfloat16)
    if attn_mask is None and half and same and query.shape[-1] <= 256:
        return Flash.apply(query, key, value, dropout_p, is_causal, scale)  # type: ignore[no-any-return]
    shared = enable_gqa and query.shape[1] != key.shape[1]
    if not shared and query.shape[-1] % (8 if half else 4) == 0:
        bias = aligned(attn_mask, query)
        return Efficient.apply(query, key, value, bias, dropout_p, is_causal, scale)  # type: ignore[no-any-return]
    return aten._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )[0]


def aligned(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """A mask as the kernel wants it: added to the scores, rows of a multiple of 8 numbers."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        hidden = torch.zeros_like(mask, dtype=query.dtype)
        mask = hidden.masked_fill_(mask.logical_not(), float("-inf"))
    short = -mask.shape[-1] % 8
    if short:
        mask = torch.nn.functional.pad(mask, (0, short))[..., : mask.shape[-1]]
    return mask.expand(*query.shape[:-1], mask.shape[-1])


class Flash(torch.autograd.Function):
    """FlashAttention, which keeps what goes in and what comes out."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, p: float, causal: bool, scale: Any
    ) -> Any:
        out, lse, _, _, max_q, max_k, seed, offset, _ = aten._scaled_dot_product_flash_attention(
            q, k, v, p, causal, False, scale=scale
        )
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.rest = (None, None, max_q, max_k, p, causal, seed, offset)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        found = aten._scaled_dot_product_flash_attention_backward(
            gradients[0], *ctx.saved_tensors, *ctx.rest, scale=ctx.scale
        )
        return *found, None, None, None


class Efficient(torch.autograd.Function):
    """Memory-efficient attention (xFormers'), which keeps the same, and takes a mask."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Any, p: float, causal: bool, scale: Any
    ) -> Any:
        out, lse, seed, offset = aten._scaled_dot_product_efficient_attention(
            q, k, v, bias, True, p, causal, scale=scale
        )
        ctx.save_for_backward(q, k, v, bias, out, lse, seed, offset)
        ctx.rest = (p, [True, True, True, False], causal)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        found = aten._scaled_dot_product_efficient_attention_backward(
            gradients[0], *ctx.saved_tensors, *ctx.rest, scale=ctx.scale
        )
        return *found[:3], None, None, None, None
