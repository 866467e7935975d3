"""What one step allocates and frees, and how much it multiplies: every storage of the traced device
with its size, when it came and went, and what the program was doing.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from .device import DEVICE, Casts

aten: Any = torch.ops.aten
Stage = Literal["load", "forward", "recompute", "backward", "optimizer"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A storage that came."""

    key: int
    size: int
    """Bytes."""
    stage: Stage
    place: str
    """The block that computes; before and after the blocks "inputs" and "loss"."""
    step: int
    scores: bool
    """Whether it holds something for every entry of the vocabulary."""
    op: str
    """The operation that made it."""


@dataclass(frozen=True, slots=True)
class Given:
    """A storage that went."""

    key: int


@dataclass(slots=True)
class Record:
    """The events of a traced run, in their order."""

    events: list[Taken | Given] = field(default_factory=list)
    gradients: set[int] = field(default_factory=set)
    """Storages that were the gradient of a parameter."""
    flops: dict[int, int] = field(default_factory=dict)
    """Step -> floating-point operations, as torch's FlopCounterMode counts them."""


class Recorder(TorchDispatchMode):
    """Writes the record while it is active; the program says where it is."""

    def __init__(self, casts: Casts, vocab: int | None) -> None:
        super().__init__()
        self.record = Record()
        self.casts, self.vocab = casts, vocab
        self.stage: Stage = "load"
        self.place = "inputs"
        self.step = 0
        self._keys: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next = 0
        self._repeats = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        if func is aten._local_scalar_dense.default:  # the values that nobody has: all is well
            return args[0].dtype.is_floating_point or True
        self._notice_recomputation()
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.see(tensor, func.__name__)
        self._workspace(func, args)
        if (packet := func._overloadpacket) in flop_registry:
            counted = flop_registry[packet](*args, **kwargs, out_val=out)
            self.record.flops[self.step] = self.record.flops.get(self.step, 0) + counted
        return out

    def see(self, tensor: Tensor, op: str) -> None:
        """Notes a tensor's storage, if it is on the traced device and new."""
        if tensor.device.type != DEVICE:
            return
        storage = tensor.untyped_storage()
        if storage not in self._keys:
            key = self._take(storage.nbytes(), op, self._of_scores(tensor))
            self._keys[storage] = key
            weakref.finalize(storage, self.record.events.append, Given(key))

    def stopped(self) -> Record:
        """The record up to now: the end of the program is none of it."""
        return replace(self.record, events=list(self.record.events))

    def gradients_are(self, parameters: Iterable[Tensor]) -> None:
        """Notes which storages are gradients now."""
        for one in parameters:
            if one.grad is not None and (key := self._keys.get(one.grad.untyped_storage())):
                self.record.gradients.add(key)

    def _take(self, size: int, op: str, scores: bool = False) -> int:
        self._next += 1
        stage = "recompute" if self._repeats else self.stage
        taken = Taken(self._next, size, stage, self.place, self.step, scores, op)
        self.record.events.append(taken)
        return self._next

    def _of_scores(self, tensor: Tensor) -> bool:
        return self.stage in ("forward", "backward") and tensor.shape[-1:] == (self.vocab,)

    def _notice_recomputation(self) -> None:
        """In the backward pass gradients are computed without gradients of their own, and what is
        computed again with them. Autocast's casts go when that ends.
        """
        repeats = self.stage == "backward" and torch.is_grad_enabled()
        if self._repeats and not repeats:
            self.casts.kept.clear()
        self._repeats = repeats

    def _workspace(self, func: Any, args: Any) -> None:
        """What the kernels of attention allocate for themselves in the backward pass: the queries'
        gradient and a sum for every query in float32, and gradients of keys and values for every
        query head where those are shared (torch 2.13, flash_api.cpp and attention_backward.cu).
        """
        if "attention_backward" not in func.__name__:
            return
        query, key = args[1], args[2]
        batch, heads, length, width = query.shape
        rows = batch * heads * (-(-length // 128) * 128)
        size = rows * (-(-width // 32) * 32) * 4 + rows * 4
        if key.shape[1] != heads:
            size += 2 * batch * heads * key.shape[2] * width * query.element_size()
        self.record.events.append(Given(self._take(size, "workspace")))
