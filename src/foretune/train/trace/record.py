"""What one step allocates and frees, and how much it multiplies: every storage of the traced device
with its size, when it came and went, and what the program was doing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from .device import DEVICE, Assenting, Casts
from .places import INPUTS

Stage = Literal["load", "forward", "recompute", "backward", "optimizer"]


Passes = Literal["forward", "backward", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to a storage."""

    key: int
    at: str
    """The place where the program is: see ``places``."""
    passes: Passes
    """Which way it goes through the model, if it does."""
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(Event):
    """It comes."""

    size: int
    """Bytes."""
    stage: Stage
    place: str
    """The place that it belongs to: where it comes, or that of the weight it is made for."""
    scores: bool
    """Whether it holds something for every entry of the vocabulary."""
    op: str
    """The operation that makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Event):
    """It goes."""


@dataclass(slots=True)
class Record:
    """The events of a traced run, in their order."""

    events: list[Event] = field(default_factory=list)
    gradients: set[int] = field(default_factory=set)
    """Storages that were the gradient of a parameter."""
    flops: dict[tuple[int, str], int] = field(default_factory=dict)
    """Step and place -> floating-point operations, as torch's FlopCounterMode counts them."""


@dataclass(frozen=True, slots=True)
class Grows:
    """The prefix of P-Tuning v2, which is made for all layers at once."""

    layout: tuple[int, int, int]
    """Keys and values of the traced layers, key heads, width of a head."""
    factor: float
    """Layers of the whole model to those that are traced."""

    def has(self, shape: torch.Size) -> bool:
        """Whether a tensor is as many times as large as there are layers."""
        if len(shape) > 2:
            return len(shape) == 5 and all(size in shape for size in self.layout)
        return math.prod(self.layout) in shape


class Recorder(Assenting):
    """Writes the record while it is active; the program says where it is."""

    def __init__(self, casts: Casts, vocab: int | None, grows: Grows | None = None) -> None:
        super().__init__()
        self.record = Record()
        self.casts, self.vocab, self.grows = casts, vocab, grows
        self.stage: Stage = "load"
        self.place = INPUTS
        self.step = 0
        self._keys: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._places: dict[int, str] = {}
        self._next = 0
        self._repeats = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            return super().__torch_dispatch__(func, types, args, kwargs)
        self._notice_recomputation()
        out = func(*args, **kwargs)
        owners = self._owners(args)
        for number, tensor in enumerate(tree_leaves(out)):
            if isinstance(tensor, Tensor):
                self.see(tensor, func.__name__, owners[min(number, len(owners) - 1)])
        self._workspace(func, args)
        if (packet := func._overloadpacket) in flop_registry:
            counted = flop_registry[packet](*args, **kwargs, out_val=out)
            counted = round(counted * self._growth(*tree_leaves((args, out))))
            here = (self.step, self.place)
            self.record.flops[here] = self.record.flops.get(here, 0) + counted
        return out

    def see(self, tensor: Tensor, op: str, place: str) -> None:
        """Notes a tensor's storage, if it is on the traced device and new."""
        if tensor.device.type != DEVICE:
            return
        storage = tensor.untyped_storage()
        if storage not in self._keys:
            size = round(storage.nbytes() * self._growth(tensor))
            key = self._take(size, op, place, self._of_scores(tensor))
            self._keys[storage] = key
            weakref.finalize(storage, self._give, key)

    def _owners(self, args: Any) -> list[str]:
        """To which places belong what comes out: the optimizer works for the blocks whose weights
        it is given, one by one or in lists.
        """
        if self.stage != "optimizer":
            return [self.place]
        given = args[0] if args and isinstance(args[0], list | tuple) else args[:1]
        storages = [one.untyped_storage() for one in given if isinstance(one, Tensor)]
        return [self._places.get(self._keys.get(one, 0), self.place) for one in storages] or [
            self.place
        ]

    def stopped(self) -> Record:
        """The record up to now: the end of the program is none of it."""
        return replace(self.record, events=list(self.record.events))

    def gradients_are(self, parameters: Iterable[Tensor]) -> None:
        """Notes which storages are gradients now."""
        for one in parameters:
            if one.grad is not None and (key := self._keys.get(one.grad.untyped_storage())):
                self.record.gradients.add(key)

    def _take(self, size: int, op: str, place: str, scores: bool = False) -> int:
        self._next += 1
        self._places[self._next] = place
        taken = Taken(
            key=self._next, size=size, op=op, place=place, scores=scores, **self._now(),
            stage="recompute" if self._repeats else self.stage,
        )  # fmt: skip
        self.record.events.append(taken)
        return self._next

    def _give(self, key: int) -> None:
        self.record.events.append(Given(key=key, **self._now()))

    def _now(self) -> dict[str, Any]:
        passes = self.stage if self.stage in ("forward", "backward") else ""
        return {"at": self.place, "passes": passes, "step": self.step}

    def _growth(self, *tensors: Any) -> float:
        """How much larger it is in the whole model, where it is not in the blocks."""
        if self.grows is None:
            return 1.0
        has = (isinstance(one, Tensor) and self.grows.has(one.shape) for one in tensors)
        return self.grows.factor if any(has) else 1.0

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
        self._give(self._take(size, "workspace", self.place))
