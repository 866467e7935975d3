"""The space that a search goes through: which values each dimension takes, and which of their
combinations a trainer can run at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product

from ...errors import refuse
from ...params.arch.shape import Shape
from ...params.run import Run
from ...params.setting import COMMAND_LINE
from ...text import nearest, sentence_list
from .choice import DIMENSIONS, Choice, Method, Mixed, Offload, Shards
from .offer import Offer

MICRO = (1, 2, 4, 8, 16, 32, 64, 128)
"""Micro batches that are tried where the total batch is free."""
ROUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Accumulations, likewise."""
LARGEST_TOTAL = 65_536
MOST_A_MICRO = 1024

MOST_COUNTS = 6
"""Numbers of GPUs that are tried, from all of those offered down."""

SPREAD_FROM = 16
"""GPUs from which on tensor, pipeline and context parallel are forecast as well."""
TENSOR = (1, 2, 4, 8)
PIPELINE = (1, 2, 4, 8, 16, 32)
CONTEXT = (1, 2, 4, 8, 16)
SHORTEST_PART = 1024
"""Tokens of a row that a context-parallel rank has at least."""

STAGES: tuple[Shards, ...] = ("zero-1", "zero-2", "zero-3")


def held_dimensions(keep: str | None) -> frozenset[str]:
    """The dimensions that ``--keep`` names.

    Raises:
        UserError: where it names one that there is not.
    """
    names = [one.strip() for one in (keep or "").split(",") if one.strip()]
    wrong = [one for one in names if one not in DIMENSIONS]
    if wrong:
        like = nearest(wrong[0], DIMENSIONS)
        raise refuse(
            what=f"--keep {wrong[0]}: there is no such dimension",
            where=COMMAND_LINE,
            why=f"the search goes through {sentence_list(DIMENSIONS, most=20)}",
            fix=f"write {like}" if like else "name some of these, with commas between",
        )
    return frozenset(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The candidates on one offer."""

    run: Run
    """Resolved, as it is written."""
    shape: Shape
    length: int
    """Tokens of the longest row."""
    written: Choice
    offer: Offer
    held: frozenset[str]
    """Dimensions that stay as they are written."""
    total: int | None
    """Rows of an optimizer step; None where it may be any number."""
    rows: int | None = None
    """Rows of the data, where they are known."""
    packed: bool = False
    """True where the weights of the model's folder are packed already."""

    def bases(self) -> Iterator[Choice]:
        """Every place in the space but for the batch."""
        for gpus, (mixed, padding, checkpointing) in product(
            self._gpus(), product(self._mixed(), self._padding(), self._switch("checkpointing"))
        ):
            for method in self._methods():
                for quantize in self._quantize(method):
                    for sharding, offload in self._spread(gpus, method, mixed, quantize):
                        one = Choice(
                            gpus=gpus, method=method, mixed=mixed, quantize=quantize,
                            sharding=sharding, offload=offload, checkpointing=checkpointing,
                            padding=padding,
                        )  # fmt: skip
                        yield from self._parallel(one)

    @property
    def free(self) -> frozenset[str]:
        """The dimensions that have more than one value here."""
        several = {
            "batch": self.total is None or self.total > 1,
            "checkpointing": True,
            "sharding": True,
            "offload": True,
            "precision": len(self._mixed()) > 1,
            "quant": any(len(self._quantize(one)) > 1 for one in self._methods()),
            "padding": len(self._padding()) > 1,
            "method": len(self._methods()) > 1,
            "gpus": len(self._gpus()) > 1,
            "parallel": self.offer.count >= SPREAD_FROM and "full" in self._methods(),
        }
        return frozenset(name for name, is_so in several.items() if is_so) - self.held

    def batches(self, base: Choice) -> list[tuple[int, int]]:
        """(micro, accumulation) that may be used at a place; none where its GPUs cannot share out
        the total batch.
        """
        if "batch" in self.held:
            return [(self.written.micro, self.written.accumulation)]
        if self.total is None:
            most = min(LARGEST_TOTAL, self.rows or LARGEST_TOTAL)
            most = max(most, base.data)
            micros = sorted({*MICRO, self.written.micro})
            rounds = sorted({*ROUNDS, self.written.accumulation})
            if not base.runnable:  # a pipeline is full from as many micro batches as stages on
                micros = MICRO[:3]
                rounds = [times for times in ROUNDS if 1 <= times / base.pipeline <= 8]
            return [
                (micro, times)
                for micro in micros
                for times in rounds
                if micro * times * base.data <= most
            ]
        each, rest = divmod(self.total, base.data)
        if rest:
            return []
        return [
            (micro, each // micro)
            for micro in range(1, min(each, MOST_A_MICRO) + 1)
            if each % micro == 0
        ]

    def _gpus(self) -> Collection[int]:
        if "gpus" in self.held:
            return [self.written.gpus] if self.written.gpus <= self.offer.count else []
        counts = list(self.offer.counts())
        if self.total is None:
            return counts[-MOST_COUNTS:]
        even = [one for one in counts if self.total % one == 0][-MOST_COUNTS:]
        return sorted({*even, *counts[-MOST_COUNTS:]})

    def _switch(self, name: str) -> tuple[bool, ...]:
        return (self.written.checkpointing,) if name in self.held else (False, True)

    def _padding(self) -> Collection[bool]:
        """Rows that are padded to the limit may as well be padded to the longest of their batch;
        the other way round is never better.
        """
        return {self.written.padding} if "padding" in self.held else {self.written.padding, False}

    def _mixed(self) -> list[Mixed]:
        """As it is written, and in the 16 bits that the GPU has; bfloat16 where it has none is
        left out.
        """
        written = self.written.mixed
        if "precision" in self.held:
            return [written]
        half: Mixed = "bf16" if self.offer.device.has_bf16 else "fp16"
        if written == "bf16" and half == "fp16":
            return [half]
        return [written] if written != "no" else ["no", half]

    def _methods(self) -> list[Method]:
        written = self.run.written("method.name") or self.run.written("method.prefix.length")
        if "method" in self.held or written or self.run.model.fresh or self.run.method.checkpoint:
            return [self.written.method]
        others: list[Method] = ["full", "lora"]
        if not self.shape.encoder_decoder:
            others.append("ptuning")
        return others

    def _quantize(self, method: Method) -> list[int | None]:
        """Full weights, and packed ones where the family packs: what trains is never packed."""
        own = self.written.quantize
        if method in ("full", "freeze"):
            return [] if "quant" in self.held and own else [None]
        if "quant" in self.held or self.packed or not self.shape.quantised:
            return [own]
        return [None, 8, 4]

    def _spread(
        self, gpus: int, method: Method, mixed: Mixed, quantize: int | None
    ) -> Iterator[tuple[Shards, Offload]]:
        """Programs that shard, and what they offload."""
        written = self.written
        ways: set[tuple[Shards, Offload]] = {(written.sharding, written.offload)}
        if "sharding" not in self.held:
            ways |= set(self._sharded(gpus, method, mixed))
            ways |= {("none", "none")}
        if "offload" not in self.held:
            ways |= {
                (stage, away)
                for stage, _ in ways
                for away in offloads(stage, gpus)
                if method == "full" or away != "optimizer"
            }
        else:
            ways = {one for one in ways if one[1] == written.offload}
        packed = quantize is not None or self.packed
        for stage, away in sorted(ways):
            if packed and stage in ("zero-3", "fsdp"):  # which cut floating point numbers
                continue
            if away not in offloads(stage, gpus):
                continue
            if away != "none" and stage != "fsdp" and not self._offloads_its_optimizer():
                continue
            yield stage, away

    def _sharded(self, gpus: int, method: Method, mixed: Mixed) -> Iterator[tuple[Shards, Offload]]:
        """FSDP holds trained and frozen numbers of one type only; DeepSpeed computes in 16 bits, or
        is of no use. Beside a frozen base the optimizer is small: only its weights are worth
        sharing out.
        """
        if mixed != "no":
            for stage in STAGES if method == "full" else STAGES[2:]:
                yield stage, "none"
        if gpus > 1 and method == "full":
            yield "fsdp", "none"

    def _offloads_its_optimizer(self) -> bool:
        """DeepSpeed puts its own Adam in the place of whatever optimizer is offloaded."""
        return self.run.optim.name.startswith("adamw_torch")

    def _parallel(self, base: Choice) -> Iterator[Choice]:
        """The place itself, and what only other programs can run there: matrices, blocks and rows
        shared out as well.
        """
        written = self.written
        yield base._replace(tensor=written.tensor, context=written.context)
        if "parallel" in self.held or base.gpus < SPREAD_FROM:
            return
        if (base.sharding, base.offload, base.method) != ("fsdp", "none", "full"):
            return
        for tensor, pipeline, context in product(TENSOR, PIPELINE, CONTEXT):
            shared = tensor * pipeline * context
            if shared > 1 and base.gpus % shared == 0 and self._divides(tensor, pipeline, context):
                yield base._replace(tensor=tensor, pipeline=pipeline, context=context)

    def _divides(self, tensor: int, pipeline: int, context: int) -> bool:
        """Whether heads, blocks and rows of the model come out even."""
        shape = self.shape
        heads = shape.heads % tensor == 0 == shape.kv_heads % tensor
        long = context == 1 or self.length >= SHORTEST_PART * context
        return heads and shape.layers % pipeline == 0 and tensor <= self.offer.gpus and long


def offloads(stage: Shards, gpus: int) -> tuple[Offload, ...]:
    """What each program can offload. On one GPU it shards nothing, and offloading is all that it is
    for.
    """
    if stage == "none":
        return ("none",)
    if stage == "fsdp":
        return ("none", "all")
    if gpus == 1:
        alone: dict[Shards, tuple[Offload, ...]] = {"zero-2": ("optimizer",), "zero-3": ("all",)}
        return alone.get(stage, ())
    return ("none", "optimizer", "all") if stage == "zero-3" else ("none", "optimizer")
