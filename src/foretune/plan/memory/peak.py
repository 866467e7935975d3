"""What a device holds in each phase of a run, part by part, and the peak of it.

The training step peaks at one of four moments, and which one depends on the run: while the loss is
computed (all activations, no gradient yet), in the backward pass of the last block (almost all
activations, a gradient), at its end (all gradients), or in the optimizer (all states, temporaries).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ...params.arch.shape import Shape
from ..counts import all_parameters, embedding
from ..devices import Device
from ..fitted import FITTED
from ..flops import of_blocks
from ..part import Part, begins_at, head_trains, trained_linears, trains_in_front
from ..setup import Setup
from . import buffers
from .activations import (
    block_inputs,
    first_norm,
    kept_by_blocks,
    loss,
    made_prefix,
    outside,
    working,
)
from .attention import made_mask
from .collectives import idle
from .halves import embedded, halves
from .stages import Stage, part_of_model, stages
from .states import (
    bytes_of_model,
    gradient_bytes,
    kv_cache_bytes,
    largest_tensor,
    master_bytes,
    optimizer_bytes,
    trained,
    unpacked_bytes,
)

GIB = 2**30


@dataclass(slots=True, kw_only=True)  # frozen ones take twice as long to make
class Parts:
    """Bytes inside the allocator at one moment, by what they are."""

    weights: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    master: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    cache: float = 0.0
    communication: float = 0.0
    temporary: float = 0.0

    @property
    def total(self) -> float:
        held = self.weights + self.gradients + self.optimizer + self.master
        passing = self.activations + self.logits + self.cache
        return held + passing + self.communication + self.temporary

    def and_(
        self,
        *,
        gradients: float = 0.0,
        activations: float = 0.0,
        logits: float = 0.0,
        cache: float = 0.0,
        temporary: float = 0.0,
    ) -> Parts:
        """With so much more of some parts."""
        return Parts(
            weights=self.weights,
            gradients=self.gradients + gradients,
            optimizer=self.optimizer,
            master=self.master,
            activations=self.activations + activations,
            logits=self.logits + logits,
            cache=self.cache + cache,
            communication=self.communication,
            temporary=self.temporary + temporary,
        )


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of one device: the most of any rank.

    ``allocated`` is what tensors take (torch's max_memory_allocated), ``reserved`` what the
    allocator took from the device for them (max_memory_reserved), ``used`` what nvidia-smi shows.
    """

    moments: Mapping[str, Parts]
    """Parts at each moment of the training step."""
    load: Parts
    evaluate: Parts
    save: Parts
    fragmentation: float
    """Bytes that the allocator holds and that no tensor has."""
    context: float
    """Bytes outside the allocator: CUDA's context and NCCL's buffers."""

    @cached_property
    def moment(self) -> str:
        """When the training step peaks."""
        return max(self.moments, key=lambda name: self.moments[name].total)

    @property
    def step(self) -> Parts:
        """Parts at the peak of the training step."""
        return self.moments[self.moment]

    @property
    def phases(self) -> dict[str, Parts]:
        """Parts at the peak of each phase of the run."""
        return {
            "load": self.load, "step": self.step, "evaluate": self.evaluate, "save": self.save
        }  # fmt: skip

    @cached_property
    def allocated(self) -> float:
        """Most bytes in tensors, over all phases."""
        return max(parts.total for parts in self.phases.values())

    @property
    def reserved(self) -> float:
        """Most bytes that the allocator took."""
        return self.allocated + self.fragmentation

    @property
    def used(self) -> float:
        """Most bytes that nvidia-smi shows."""
        return self.reserved + self.context


def memory(
    shape: Shape,
    setup: Setup,
    device: Device | None = None,
    *,
    answers: int = 0,
    eval_batch: int = 0,
) -> Memory:
    """Memory of one device through the run.

    ``answers`` is the length up to which evaluation generates, in ``eval_batch`` rows at once.
    """
    first, *others = stages(shape, setup)
    held = _held(shape, setup, first)
    of_stages = [_moments(shape, setup, first, held)]
    of_stages += [_moments(shape, setup, one, _held(shape, setup, one)) for one in others]
    moments = max(of_stages, key=lambda one: max(parts.total for parts in one.values()))
    rest = Parts(weights=held.weights)
    cache = kv_cache_bytes(shape, eval_batch, answers, setup.precision.compute)
    scores = eval_batch * (shape.vocab or 0) * 4
    peak = max(moments.values(), key=lambda parts: parts.total)
    gathered = buffers.gathers(setup) and setup.parallel.program == "fsdp"
    whole = bytes_of_model(shape, setup) if gathered and not setup.parallel.pipeline > 1 else 0.0
    share = FITTED.allocator_waste
    hidden = setup.tokens * shape.hidden * setup.precision.compute
    scores_left = buffers.largest_scores(shape, setup) if not buffers.keeps_whole(setup) else 0.0
    return Memory(
        moments=moments,
        load=rest,
        evaluate=held.and_(cache=cache, logits=scores),
        save=held.and_(temporary=min(whole, buffers.block_parameters(shape) * 4)),
        fragmentation=buffers.other_streams(shape, setup, _gradients(shape, setup))
        + buffers.loss_waste(shape, setup, moments["loss"].logits)
        + buffers.reducing_waste(shape, setup, max(hidden, scores_left))
        + idle(shape, setup, scores_left)
        + buffers.allocator_waste(peak.activations + peak.temporary, share),
        context=buffers.context(device, setup.parallel.devices),
    )


def _gradients(shape: Shape, setup: Setup) -> float:
    """Bytes of all gradients that one rank keeps. Where DeepSpeed has the optimizer in main memory,
    stages 2 and 3 hand each bucket of them on (stage_1_and_2.py, copy_grads_in_partition); FSDP2's
    CPUOffloadPolicy hands them on with the weights.
    """
    parallel = setup.parallel
    handed_on = parallel.program == "deepspeed" and parallel.sharding in ("gradients", "all")
    if (parallel.offload_optimizer and handed_on) or parallel.offload_weights:
        return 0.0
    return _whole_gradients(shape, setup) / setup.parallel.shared("gradients")


def _whole_gradients(shape: Shape, setup: Setup) -> float:
    """The same before they are shared out among data-parallel ranks."""
    parallel = setup.parallel
    bytes_each = setup.precision.gradients if setup.full else _adapter_bytes(setup)
    count = trained(shape, setup) / parallel.tensor / parallel.pipeline
    return gradient_bytes(1, bytes_each) * count


def _kept_gradients(shape: Shape, setup: Setup) -> float:
    """Bytes of gradients that stay from step to step."""
    kept = _gradients(shape, setup) if setup.gradients_stay else 0.0
    if setup.adapter is not None and setup.adapter.embedding_gradient:
        kept += gradient_bytes(embedding(shape), setup.precision.weights)
    return kept


def _adapter_bytes(setup: Setup) -> int:
    """Of a number that trains beside frozen ones: float32, where DeepSpeed does not cast it."""
    if setup.part is not None and not setup.precision.master:
        return 4
    return setup.adapter.bytes_each if setup.adapter is not None else setup.precision.weights


def _held(shape: Shape, setup: Setup, stage: Stage) -> Parts:
    """What is there between the steps."""
    parallel, numbers = setup.parallel, setup.precision
    share = part_of_model(shape, stage) / parallel.tensor
    count = trained(shape, setup)
    weights = bytes_of_model(shape, setup)
    if setup.adapter is not None:
        weights += count * _adapter_bytes(setup)
    elif setup.part is not None:  # of the model itself, and wider than what is frozen
        weights += count * (_adapter_bytes(setup) - numbers.weights)
    if parallel.offload_weights:
        weights = 0.0
    states = optimizer_bytes(shape, setup, count)
    if not setup.full and "8bit" not in setup.optimizer and not numbers.master:
        states *= _adapter_bytes(setup) / numbers.moments
    master = master_bytes(count) if numbers.master else 0.0
    if parallel.offload_optimizer or "paged" in setup.optimizer:
        states, master = 0.0, 0.0 if parallel.offload_optimizer else master
    sharded = parallel.shared("optimizer")
    together = 0.0
    if buffers.keeps_whole(setup):
        summed = 4 * stage.summed * setup.full  # float32, until the last micro batch
        together = share * all_parameters(shape) * (numbers.compute + summed)
        together += buffers.stage_bytes(shape, setup, head=stage.head)
    return Parts(
        weights=weights * share / parallel.shared("all"),
        optimizer=states * share / sharded,
        master=master * share / sharded,
        gradients=_kept_gradients(shape, setup),
        communication=buffers.communication(shape, setup, count) + together,
    )


def _moments(shape: Shape, setup: Setup, stage: Stage, held: Parts) -> dict[str, Parts]:
    """Parts of one stage at each moment of the training step, given what it holds between them."""
    numbers = setup.precision
    gradients = 0.0 if setup.in_backward else _gradients(shape, setup)
    summed = setup.accumulation > 1 and not (setup.gradients_stay or buffers.keeps_whole(setup))
    earlier = gradients if summed else 0.0
    later = 0.0 if setup.gradients_stay else gradients - earlier
    if summed and setup.parallel.sums_whole:
        earlier, later = _whole_gradients(shape, setup), 0.0
    outer = _outer_gradients(shape, setup, stage)
    kept_each, (first_whole, last_whole) = kept_by_blocks(shape, setup)
    kinds = halves(shape, setup)
    insides = [working(*one) for one in kinds]
    unpacked = 0.0
    if setup.packing is not None:
        largest = min(buffers.largest_matrix(shape), setup.packing.piece or math.inf)
        unpacked = buffers.dequantised_bytes(largest, numbers.compute)
    if setup.adapter is not None and setup.adapter.dora:
        widest = max((one.inputs * one.outputs for one in setup.adapter.adapted(shape)), default=0)
        each = setup.adapter.bytes_each
        held = held.and_(temporary=buffers.dora_bytes(widest, numbers.compute, each))
    kept = kept_each * stage.blocks * stage.waiting
    edge = _edge(shape, setup, stage)
    begun = held.and_(gradients=earlier, activations=kept + edge)
    last = held.and_(gradients=earlier + later)
    done = held.and_(gradients=gradients if not setup.gradients_stay else 0.0)
    of_head, casts = _casts(shape, setup, stage)
    own = 0.0 if buffers.gathers(setup) else _of_block(kinds[0][0], setup)
    again, one_block = setup.checkpointing != "none", casts / max(stage.blocks, 1)
    chunked = setup.kernels.loss in ("chunked", "fused")
    scores = loss(shape, setup) if stage.head else 0.0
    return {
        "loss": begun.and_(
            logits=scores,
            temporary=of_head + (max(casts - scores / 6, 0.0) if again else casts)
            + (2 * outer.head if chunked else 0.0),
        ),
        "last block": begun.and_(
            activations=last_whole if again else 0.0,
            temporary=(one_block if again else casts) + insides[-1] + unpacked + outer.head,
        ),
        "first block": last.and_(
            gradients=-min(outer.not_yet + own, later), activations=first_whole,
            temporary=insides[0] + unpacked + one_block,
        ),
        "embedding": done.and_(temporary=outer.twice),
        "optimizer": done.and_(temporary=_stepping(shape, setup)),
    }  # fmt: skip


def _edge(shape: Shape, setup: Setup, stage: Stage) -> float:
    """What is kept in front of the blocks of a stage and behind them."""
    if shape.encoder_decoder:
        head = setup.precision.compute if setup.full and setup.precision.autocast else 0
        return embedded(shape, setup) + block_inputs(setup.tokens, shape.hidden, 1, head)
    unneeded = first_norm(shape, setup) if stage.embedding else 0.0
    made = made_mask(shape, setup) + made_prefix(shape, setup)
    return outside(shape, setup) + made - unneeded


def _casts(shape: Shape, setup: Setup, stage: Stage) -> tuple[float, float]:
    """The 16-bit copies that amp makes of the weights of products: of the output layer's, and of
    those in the blocks. The backward pass needs them; each goes with that of its product. With
    checkpointing those of the blocks go with the forward pass, before the last of the scores come,
    a sixth of them, and come again block by block.
    """
    if setup.part is not None:
        return _casts_of_part(shape, setup, setup.part)
    if not setup.precision.autocast:
        return 0.0, 0.0
    each = setup.precision.compute / setup.parallel.tensor
    head = buffers.head_parameters(shape) if stage.head and shape.vocab else 0
    return head * each, of_blocks(shape) / max(shape.layers, 1) * stage.blocks * each


def _casts_of_part(shape: Shape, setup: Setup, part: Part) -> tuple[float, float]:
    """The same where a part trains: its float32 weights are cast, and frozen ones where they are
    float32 too and a gradient goes through them.
    """
    numbers = setup.precision
    if numbers.compute == 4 or numbers.master:
        return 0.0, 0.0
    head = buffers.head_parameters(shape) if shape.vocab else 0
    if not numbers.autocast:
        own = head if head_trains(shape, part) else 0
        return own * numbers.compute, trained_linears(shape, part) * numbers.compute
    first = begins_at(shape, part, checkpointing=setup.checkpointing != "none")
    through = of_blocks(shape) * (1 - first / max(shape.layers, 1))
    return head * numbers.compute, through * numbers.compute


def _of_block(shape: Shape, setup: Setup) -> float:
    """Gradients of the weights of one block, which are not there while it is taken back."""
    if not setup.full:
        return 0.0
    return buffers.block_parameters(shape) * setup.precision.gradients / setup.parallel.tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterGradients:
    """Gradients of the embedding and the output layer, in bytes."""

    head: float
    not_yet: float
    """Those that the backward pass comes to last."""
    twice: float
    """Those that are added to another of the same weight."""


def _outer_gradients(shape: Shape, setup: Setup, stage: Stage) -> OuterGradients:
    part = setup.part
    if setup.adapter is not None or (part is not None and not head_trains(shape, part)):
        return OuterGradients(head=0.0, not_yet=0.0, twice=0.0)
    whole = buffers.gathers(setup)
    each = setup.precision.compute if whole else setup.precision.gradients
    each /= setup.parallel.tensor
    head = buffers.head_parameters(shape) * each if stage.head and shape.vocab else 0.0
    table = stage.embedding and (part is None or trains_in_front(shape, part))
    inputs = embedding(shape) * each if table else 0.0
    return OuterGradients(
        head=head,
        not_yet=0.0 if (shape.tied and shape.vocab) or whole else inputs,
        twice=inputs if shape.tied and shape.vocab else 0.0,
    )


def _stepping(shape: Shape, setup: Setup) -> float:
    """Temporaries of the optimizer: with torchao, those of one tensor, and its gradient where it
    is stepped in the backward pass.
    """
    if "torchao" in setup.optimizer:
        count = largest_tensor(shape) if setup.full else 0
        own = gradient_bytes(count, setup.precision.gradients) if setup.in_backward else 0
        return unpacked_bytes(count) + own
    if setup.optimizer.startswith("adafactor") and setup.full:  # an update and its square
        return 2 * gradient_bytes(largest_tensor(shape), setup.precision.moments)
    parallel, numbers = setup.parallel, setup.precision
    count = trained(shape, setup) / parallel.tensor / parallel.pipeline
    count /= parallel.shared("optimizer")
    if parallel.program == "deepspeed" and numbers.master and numbers.gradients < 4:
        at_once = min(count, parallel.sub_group) if parallel.sharding == "all" else count
        return (
            0.0
            if parallel.offload_optimizer
            else buffers.stepped_gradients(at_once, numbers.gradients)
        )
    if setup.fused or setup.in_backward or "8bit" in setup.optimizer:
        return 0.0
    return buffers.foreach_bytes(count, 4 if numbers.master else numbers.moments)
