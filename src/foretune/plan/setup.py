"""What of a run decides its memory and its speed, whatever program runs it.

A ``Setup`` beside a ``Shape`` is all that the formulas of memory, FLOPs and time read. A run file,
a row of somebody's benchmark table and a candidate of a search are each turned into one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from ..params.arch.shape import Linear, Shape
from .part import Part

Checkpointing = Literal["none", "full", "selective op", "selective layer"]
"""Which activations are computed again in the backward pass: none, all inside a block, the outputs
of every second matrix product (torchtitan's "selective op"), those of every second block."""

Loss = Literal["full", "shifted", "compiled", "chunked", "fused"]
"""How the scores of the vocabulary become a loss: all at once in float32; the same with copies for
the shift by a token and for amp (transformers before 4.46); in one compiled kernel; in chunks of
tokens whose scores stay; in chunks that never exist together (Liger, Unsloth, cut cross-entropy).
"""

Sharding = Literal["none", "optimizer", "gradients", "all"]
"""What data-parallel ranks share out among them: ZeRO's stages 0 to 3."""


STAGES: dict[Sharding, int] = {"none": 0, "optimizer": 1, "gradients": 2, "all": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """How many devices there are and what each of them holds a part of."""

    data: int = 1
    """Groups that see different rows."""
    context: int = 1
    """Ranks that share the length of a row; their parameters are shared out like those of data."""
    tensor: int = 1
    """Ranks that share every matrix of a block."""
    pipeline: int = 1
    """Stages that share the blocks."""
    interleaved: bool = False
    """True where a stage holds several runs of blocks instead of one."""
    sequence: bool = True
    """True where tensor-parallel ranks also share the tokens between their matrices."""
    overlapped: bool = False
    """True where tensor-parallel ranks send while they multiply (asynchronous tensor parallel)."""
    sharding: Sharding = "none"
    sums_whole: bool = False
    """True where FSDP sums gradients over micro batches before it shares them out (no_sync)."""
    program: Literal["ddp", "fsdp", "deepspeed", "megatron"] = "ddp"
    fsdp: Literal[1, 2] = 2
    """Version of FSDP: the first hides less of what it sends."""
    offload_optimizer: bool = False
    offload_weights: bool = False
    bucket: int = 500_000_000
    """Elements that DeepSpeed reduces, or gathers, at once."""
    buckets: int = 2
    """Such buckets: two where it sends while it computes (overlap_comm)."""
    live: int = 1_000_000_000
    """Weights that ZeRO's third stage leaves gathered where they are needed again soon
    (stage3_max_live_parameters)."""
    prefetch: int = 50_000_000
    """Weights that it gathers ahead (stage3_prefetch_bucket_size)."""
    sub_group: int = 1_000_000_000
    """Weights that it steps at once (sub_group_size)."""

    @property
    def devices(self) -> int:
        """All devices together."""
        return self.data * self.context * self.tensor * self.pipeline

    @property
    def shards(self) -> int:
        """Ranks among which a sharded tensor is shared out."""
        return self.data * self.context

    def shared(self, what: Sharding) -> int:
        """Parts into which ``what`` is cut: 1 where it is not."""
        return self.shards if STAGES[self.sharding] >= STAGES[what] > 0 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Bytes of the numbers of a run."""

    weights: int = 4
    """Of a weight as the optimizer sees it (frozen ones: as they are loaded)."""
    compute: int = 4
    """Of an activation inside a matrix product."""
    gradients: int = 4
    moments: int = 4
    """Of each number that the optimizer keeps."""
    master: bool = False
    """True where the optimizer steps a float32 copy of 16-bit weights."""
    autocast: bool = False
    """True where float32 weights are cast for each product (amp)."""
    fp8: bool = False
    """True where the large products run in float8."""

    @property
    def residual(self) -> int:
        """Bytes of a number that runs between the blocks."""
        return 4 if self.autocast else self.compute


FP32 = Precision()
AMP = Precision(compute=2, autocast=True)
PURE_16 = Precision(weights=2, compute=2, gradients=2, moments=2)
MASTER_16 = Precision(weights=2, compute=2, gradients=2, master=True)
SHARDED_MIXED = Precision(compute=2)
"""FSDP's mixed precision: float32 shards, gathered and computed in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What is trained beside a frozen base."""

    rank: int = 0
    """Of LoRA; 0 where there is none."""
    targets: tuple[str, ...] = ()
    """Ends of the names of the linears that LoRA adapts."""
    embedding_gradient: bool = False
    """True where the embedding takes a gradient that no optimizer steps and nothing frees."""
    dora: bool = False
    """True where LoRA's update is scaled to the length that each row of the matrix learns."""
    dropout: bool = False
    bytes_each: int = 4
    """Of a weight of the adapter and of its input; PEFT keeps both in float32."""
    autocast: bool = False
    """True where its products are cast to 16 bits (amp), and keep their inputs so."""
    prefix: int = 0
    """Positions that P-Tuning v2 puts before the keys and values of every layer."""
    projection: bool = False

    def adapted(self, shape: Shape) -> tuple[Linear, ...]:
        """The linears that LoRA adapts."""
        return _adapted(shape, self.targets)


@cache
def _adapted(shape: Shape, targets: tuple[str, ...]) -> tuple[Linear, ...]:
    return tuple(one for one in shape.linears if one.name.endswith(targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How the frozen linears are packed."""

    bits: float
    """Of a packed weight."""
    block: int
    """Weights that share a scale."""
    scale_bytes: float
    """Of a scale."""
    names: tuple[str, ...] = ()
    """Ends of the names of the packed linears; all in the blocks where there are none."""
    piece: float | None = None
    """Weights that are unpacked at once for a product; None for a whole matrix."""

    @property
    def bytes_each(self) -> float:
        """Of a packed weight with its part of the scale."""
        return self.bits / 8 + self.scale_bytes / self.block


NF4 = Packing(bits=4, block=64, scale_bytes=4)
NF4_DOUBLE = Packing(bits=4, block=64, scale_bytes=1 + 4 / 256)
INT8 = Packing(bits=8, block=4096, scale_bytes=2)
GPTQ4 = Packing(bits=4, block=128, scale_bytes=2.5)
GPTQ8 = Packing(bits=8, block=128, scale_bytes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """How the model's code computes: what it keeps for the backward pass hangs on it."""

    attention: Literal["eager", "flash"] = "flash"
    """With the scores in memory, or without."""
    flash: Literal[1, 2, 3] = 2
    """Version of FlashAttention; the second is in torch since 2.2, cuDNN's is like the third."""
    repeats_keys: bool = False
    """True where shared keys and values are copied for every query head."""
    compiled: bool = False
    """True where each block is one compiled graph (torch.compile)."""
    stacks_positions: bool = False
    """True where rotary positions turn pairs of numbers one by one in float32 (torchtune)."""
    layer_norm: bool = False
    """True for LayerNorm's one kernel; RMSNorm written out keeps more."""
    gated: bool = True
    norms: int = 2
    """Norms in a block."""
    loss: Loss = "full"
    dropout: bool = False
    """True where dropout follows attention and feed-forward block, and the attention weights."""
    old_scores: bool = False
    """True before 2023: the scores before their division are kept as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One training step, as far as memory and time hang on it."""

    length: int
    """Tokens of a row, padding included; of what the decoder reads, where there is an encoder."""
    source: int = 0
    """Tokens of a row that an encoder reads; 0 where there is none, or where it reads as many."""
    micro: int = 1
    accumulation: int = 1
    adapter: Adapter | None = None
    """None where the model's own weights train."""
    part: Part | None = None
    """Which of them, where not all do."""
    packing: Packing | None = None
    precision: Precision = FP32
    optimizer: str = "adamw"
    fused: bool = True
    """False where the optimizer works through lists of tensors at once (foreach)."""
    in_backward: bool = False
    """True where each weight is stepped as soon as its gradient is there."""
    keeps_gradients: bool = False
    """True where gradients stay between the steps, zeroed (torch before 2.0)."""
    parallel: Parallel = Parallel()
    checkpointing: Checkpointing = "none"
    offload_activations: bool = False
    kernels: Kernels = Kernels()

    @property
    def tokens(self) -> float:
        """Tokens of one micro batch that one rank works on."""
        return self.micro * self.length / self.parallel.context

    @property
    def step_tokens(self) -> float:
        """Tokens of one optimizer step, over all devices."""
        return self.micro * self.length * self.accumulation * self.parallel.data

    @property
    def all_tokens(self) -> float:
        """Those of a step that go through the model: what an encoder reads counted too."""
        return self.step_tokens + self.micro * self.source * self.accumulation * self.parallel.data

    @property
    def gradients_stay(self) -> bool:
        """True where gradients have their place between the steps too: DeepSpeed's third stage
        makes it once (stage3.py, grad_partitions_flat_buffer).
        """
        third = self.parallel.program == "deepspeed" and self.parallel.sharding == "all"
        return self.keeps_gradients or third

    @property
    def full(self) -> bool:
        """True where every weight trains."""
        return self.adapter is None and self.part is None
