"""What is held beside the model and its step: buffers of communication, temporaries of the
optimizer, what the allocator cannot give back, what CUDA takes for itself.
"""

from __future__ import annotations

from functools import cache

from ...params.arch.shape import Shape
from ..counts import all_parameters, blocks, embedding, output_layer
from ..devices import Device
from ..fitted import FITTED
from ..formula import formula
from ..setup import Setup

CHUNKS = 8
"""Pieces that a loss in chunks is computed in (torchtune's default)."""


@formula("bytes")
def gathered_bytes(root: float, block: float, bytes_each: int, ahead: int = 2) -> float:
    """Weights gathered from the other ranks: those outside the blocks, and of so many blocks.

    从其他进程收集来的权重：块以外的部分，以及若干个块。
    """
    return (root + ahead * block) * bytes_each


@formula("bytes")
def ddp_bucket_bytes(trainable: int, bytes_each: int) -> int:
    """Copies of the gradients that DistributedDataParallel reduces from.

    DistributedDataParallel 做规约所用的梯度副本。
    """
    return trainable * bytes_each


@formula("bytes")
def deepspeed_bucket_bytes(bucket: float, bytes_each: int, buckets: int = 2) -> float:
    """Buckets that DeepSpeed reduces gradients in, two of them where it overlaps.

    DeepSpeed 规约梯度的桶；与计算重叠时有两个。
    """
    return bucket * bytes_each * buckets


@formula("bytes")
def live_bytes(live: float, prefetched: float, bytes_each: int) -> float:
    """Weights that ZeRO's third stage has gathered: those that it keeps because they are needed
    again soon, and those that it gathers ahead (runtime/zero/partitioned_param_coordinator.py).

    ZeRO 第三阶段已收集的权重：因很快再次用到而保留的，以及预取的。
    """
    return (live + prefetched) * bytes_each


@formula("bytes")
def foreach_bytes(trainable: float, bytes_each: int) -> float:
    """Temporary of an optimizer that works through all weights at once (foreach).

    一次处理全部权重的优化器（foreach）的临时空间。
    """
    return trainable * bytes_each


@formula("bytes")
def stepped_gradients(trainable: float, bytes_each: int) -> float:
    """Gradients of the weights that DeepSpeed steps at once: brought into one piece, and that in
    float32 (stage_1_and_2.py, step; stage3.py, _prepare_fp32_grad_for_sub_group).

    DeepSpeed 一次更新的权重的梯度：先连成一片，再转为 float32。
    """
    return trainable * (bytes_each + 4)


@formula("bytes")
def allocator_waste(allocated: float, share: float) -> float:
    """Pieces of memory that the allocator holds and cannot use.

    分配器占住却无法利用的零碎空间。
    """
    return allocated * share


@formula("bytes")
def dequantised_bytes(largest: float, bytes_each: int) -> float:
    """A packed matrix, unpacked for its product.

    为相乘而解包的一个量化矩阵。
    """
    return largest * bytes_each


@formula("bytes")
def dora_bytes(largest: float, bytes_each: int, adapter_bytes: int) -> float:
    """A whole matrix of updates, cast, scaled and added to the weight, while DoRA takes the lengths
    of its rows.

    DoRA 计算各行长度时的整块更新矩阵：转换类型、缩放并加到权重上。
    """
    return largest * (adapter_bytes + 3 * bytes_each)


@cache
def root_parameters(shape: Shape) -> int:
    """Parameters outside the blocks."""
    return all_parameters(shape) - blocks(shape)


def head_parameters(shape: Shape) -> int:
    """Parameters of the output layer, the embedding where they are one."""
    return output_layer(shape) or embedding(shape)


@cache
def block_parameters(shape: Shape) -> float:
    """Parameters of one block."""
    return blocks(shape) / max(shape.layers, 1)


@cache
def largest_matrix(shape: Shape) -> int:
    """Elements of the largest matrix inside a block."""
    return max((one.inputs * one.outputs for one in shape.linears), default=0)


def gathers(setup: Setup) -> bool:
    """True where whole weights come together only for their product."""
    return setup.parallel.shared("all") > 1


def keeps_whole(setup: Setup) -> bool:
    """True where a stage of a pipeline keeps its weights and their gradients whole between micro
    batches, and shares them out after the last (torchtitan, torch's pipelines with FSDP2).
    """
    parallel = setup.parallel
    return gathers(setup) and parallel.program == "fsdp" and parallel.pipeline > 1


def communication(shape: Shape, setup: Setup, trained: int) -> float:
    """Bytes of gathered weights and buckets inside the allocator's main pool."""
    parallel, numbers = setup.parallel, setup.precision
    split = parallel.tensor
    if keeps_whole(setup):
        return 0.0
    if gathers(setup) and parallel.program == "fsdp":
        return gathered_bytes(
            root_parameters(shape) / split, block_parameters(shape) / split, numbers.compute
        )
    if parallel.program == "deepspeed" and (parallel.shards > 1 or parallel.offload_optimizer):
        bucket = min(parallel.bucket, trained)
        held = deepspeed_bucket_bytes(bucket, numbers.gradients, parallel.buckets)
        if gathers(setup):
            live = min(all_parameters(shape), parallel.live)
            ahead = min(all_parameters(shape) - live, parallel.prefetch)
            held += live_bytes(live, ahead, numbers.compute)
        return held
    if parallel.program == "ddp" and parallel.shards > 1:
        return ddp_bucket_bytes(trained, numbers.gradients)
    return 0.0


@formula("bytes")
def sent_bytes(tokens: float, hidden: int, bytes_each: int, batches: float, ways: int) -> float:
    """What the stages of a pipeline send each other: an output for every micro batch, and in the
    other direction its gradient.

    流水线各级之间传递的内容：每个微批一份输出，反方向一份梯度。
    """
    return tokens * hidden * bytes_each * batches * ways


def stage_bytes(shape: Shape, setup: Setup, *, head: bool) -> float:
    """Bytes that a stage of torch's pipelines holds for every micro batch: a buffer to receive its
    gradient in and the output that it sent; the scores, where it is the last. Read in torch 2.13,
    distributed/pipelining/stage.py.
    """
    parallel, numbers = setup.parallel, setup.precision
    if head:
        wide = (shape.vocab or 0) // parallel.tensor
        return sent_bytes(setup.tokens, wide, numbers.compute, setup.accumulation, 1)
    local = setup.tokens / parallel.tensor if parallel.sequence else setup.tokens
    ways = 4 if parallel.interleaved else 2
    return sent_bytes(local, shape.hidden, numbers.residual, setup.accumulation, ways)


def other_streams(shape: Shape, setup: Setup, gradients: float) -> float:
    """Bytes that FSDP2 allocates on its own streams: a pool of each, which the others cannot use.

    The outputs of all-gathers (the weights outside the blocks and those of a block), and the
    outputs of reduce-scatters, which are the sharded gradients. Read in torch 2.6 and 2.13,
    torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py.
    """
    if not (gathers(setup) and setup.parallel.program == "fsdp"):
        return 0.0
    split, stages = setup.parallel.tensor, setup.parallel.pipeline
    outside = root_parameters(shape) / split / (2 if stages > 1 else 1)
    one = block_parameters(shape) / split
    gathered = gathered_bytes(outside, one, setup.precision.compute, ahead=1)
    return gathered + (gradients if setup.full else 0.0)


def loss_waste(shape: Shape, setup: Setup, loss: float) -> float:
    """What lies idle while the loss is computed, in pieces too small for its float32 tensors: the
    16-bit scores, freed before the gradients came, and what the last block had in its forward pass
    and did not keep.
    """
    compute, split = setup.precision.compute, setup.parallel.tensor
    if setup.kernels.loss != "full" or compute == 4 or not loss:
        return 0.0
    scores = loss * compute / (16 if split > 1 else 12)
    if setup.checkpointing == "none":
        return scores
    wide = (3 if setup.checkpointing == "full" else 2) * shape.ffn / split + shape.hidden
    if split > 1 and not setup.parallel.overlapped:  # gathered, not yet in order; sums in parts
        wide += 2 * shape.hidden
    return scores + setup.tokens * compute * wide


@formula("bytes")
def reduced_bytes(parameters: float) -> float:
    """Gradients of a block, or of what is outside the blocks, in float32 and in one piece, from
    which they are summed over the ranks.

    一个块（或块以外部分）的 float32 梯度，连成一片，用于在各进程间求和。
    """
    return parameters * 4


def reducing_waste(shape: Shape, setup: Setup, largest: float) -> float:
    """What FSDP2 needs one piece for when it sums gradients, where no tensor of the step (the
    ``largest`` of them in bytes) has left one as large.
    """
    if not (gathers(setup) and setup.parallel.program == "fsdp" and setup.full):
        return 0.0
    outside = 0.0 if keeps_whole(setup) else root_parameters(shape)
    most = max(outside, block_parameters(shape)) / setup.parallel.tensor
    piece = reduced_bytes(most)
    return piece if piece > largest else 0.0


def largest_scores(shape: Shape, setup: Setup) -> float:
    """Bytes of the largest tensor of the loss."""
    each = 4 if setup.kernels.loss in ("full", "shifted") else setup.precision.compute
    each /= CHUNKS if setup.kernels.loss in ("chunked", "fused") else 1
    return setup.tokens * (shape.vocab or 0) / setup.parallel.tensor * each


def context(device: Device | None, devices: int) -> float:
    """Bytes that CUDA and NCCL take outside the allocator."""
    if device is not None and device.is_cpu:
        return 0.0
    capability = device.generation if device is not None else None
    own = (
        FITTED.context_gib if capability is None or capability >= (8, 0) else FITTED.old_context_gib
    )
    return (own + (FITTED.nccl_gib if devices > 1 else 0.0)) * 2**30
