"""How long a step takes: a roofline over its operations, on data-sheet rates and fitted shares.

Matrix products and attention are bound by the device's rate, what lies between them by its memory,
and a layer takes at least as long as its kernels take to start. What data-parallel ranks send
hides behind the computation up to a share of it; what tensor-parallel ranks send does not; a
pipeline waits for its first and last micro batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ..params.arch.shape import Shape
from ..text import Said
from .counts import all_parameters, unreached
from .devices import Device, devices
from .fitted import FITTED, Fitted
from .flops import attention_flops, flops, of_blocks, of_head, product_flops
from .formula import formula
from .memory.halves import halves
from .memory.states import trained
from .part import head_trains, passed, trained_linears
from .products import role
from .setup import Checkpointing, Setup

GPUS_A_NODE = 8
NETWORK_GBS = {8: 25.0, 9: 50.0}
"""GB/s of a GPU's share of the network, by the generation of the node: 200 Gbit/s beside an A100,
400 beside an H100 (NVIDIA's DGX of each)."""


@formula("seconds")
def product_seconds(operations: float, tera: float, share: float) -> float:
    """Matrix products at a share of the device's rate.

    按设备标称速率的一定比例计算矩阵乘法的时间。
    """
    return operations / (tera * 1e12 * share)


@formula("seconds")
def traffic_seconds(moved: float, gbs: float) -> float:
    """Bytes moved at the rate of the memory or of a link.

    按显存或链路的速率传输若干字节的时间。
    """
    return moved / (gbs * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The devices of a run and what joins them."""

    device: Device
    power: float = 1.0
    """Power limit as a share of the data sheet's."""
    network_gbs: float | None = None
    """GB/s of one GPU's share of the network between nodes; None for that of its generation."""
    gpus_a_node: int = GPUS_A_NODE
    """GPUs that links inside a machine join."""

    @property
    def generation(self) -> int:
        return (self.device.generation or (8, 0))[0]

    @property
    def clock(self) -> float:
        """What a power limit leaves of the rate: power grows with the cube of the clock."""
        return self.power ** (1 / 3)

    def tera(self, *, compute: int, fp8: bool = False, limited: bool = True) -> float:
        """TFLOP/s of products of numbers of so many bytes; ``limited`` by the power limit."""
        device = self.device if self.device.fp16 else _sibling(self.device)
        rate = device.fp8 if fp8 else None
        if compute == 4:
            rate = device.tf32 or device.fp32
        known = rate or device.bf16 or device.fp16 or device.fp32 or 1.0
        return known * (self.clock if limited else 1)


def _sibling(device: Device) -> Device:
    """A device of the same name whose rate the data sheet gives, for one that it leaves out."""
    name = device.name.split("-")[0]
    return next((one for one in devices() if one.name.startswith(name) and one.fp16), device)


BASIS = Said("roofline with rates fitted to published runs", "屋顶线模型，速率由已发表的运行拟合")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of one optimizer step, by what they go into."""

    products: float
    attention: float
    traffic: float
    """What lies between the products, the loss included."""
    starting: float
    """What the kernels of the layers take to start beyond their work."""
    communication: float
    """What is sent and not hidden."""
    waiting: float
    """Idle time of a pipeline."""
    optimizer: float
    factor: float = 1.0
    """By which a measured step of the same stack differed."""
    interval: float = FITTED.interval
    """Half of the interval, as a share."""
    basis: Said = BASIS

    @property
    def seconds(self) -> float:
        work = self.products + self.attention + self.traffic + self.starting
        return (work + self.communication + self.waiting + self.optimizer) * self.factor

    @property
    def low(self) -> float:
        return self.seconds * (1 - self.interval)

    @property
    def high(self) -> float:
        return self.seconds * (1 + self.interval)

    def calibrated(self, factor: float) -> StepTime:
        """The same after one measured step of this stack took ``factor`` times its forecast."""
        return replace(
            self,
            factor=self.factor * factor,
            interval=FITTED.interval_calibrated,
            basis=Said(
                "roofline, calibrated with a measured step",
                "屋顶线模型，已用实测的一步校准",
            ),
        )


def step_time(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted = FITTED) -> StepTime:
    """Seconds of one optimizer step."""
    parallel = setup.parallel
    rounds, stages = setup.accumulation, parallel.pipeline
    kinds = halves(shape, setup)
    products = sum(_products(*one, hardware, fitted) for one in kinds) / stages
    attention = sum(_attention(*one, hardware, fitted) for one in kinds) / stages
    traffic = sum(_traffic(*one, hardware, fitted) for one in kinds) / stages
    work = products + attention + traffic
    starting = max(fitted.launch * shape.layers / stages - work, 0.0)
    sent = _tensor_parallel(shape, setup, hardware, fitted) / stages
    sent += _context_parallel(shape, setup, hardware, fitted) / stages
    sent += _offloaded(shape, setup, hardware) / stages
    inside = work + starting + sent
    gathered = _sharded(shape, setup, hardware, fitted) / stages
    gathers = parallel.program == "fsdp" or parallel.sharding == "all"
    repeated = rounds if gathers and stages == 1 else 1
    hides = (
        fitted.overlap if parallel.program == "fsdp" and parallel.fsdp == 2 else fitted.overlap_1
    )
    exposed = _exposed(gathered, inside, hides)
    bubble = (stages - 1) / (2 if parallel.interleaved else 1) * inside
    return StepTime(
        products=rounds * products,
        attention=rounds * attention,
        traffic=rounds * traffic,
        starting=rounds * starting,
        communication=rounds * sent + repeated * exposed,
        waiting=bubble,
        optimizer=_optimizer(shape, setup, hardware),
    )


def utilisation(
    shape: Shape, setup: Setup, hardware: Hardware, seconds: float
) -> tuple[float, float]:
    """MFU and HFU of a step that takes so many seconds. Where a part of the model trains, of the
    products that are made: most of the 6 FLOPs a parameter are not.
    """
    counted = flops(shape, setup)
    if setup.part is not None:
        counted = replace(counted, model=counted.exact, hardware=counted.exact)
    most = hardware.tera(compute=min(setup.precision.compute, 2)) / hardware.clock * 1e12
    most *= setup.parallel.devices * seconds
    return counted.model / most, counted.hardware / most


def tokens_per_second(setup: Setup, seconds: float) -> float:
    """Tokens of one GPU in a second."""
    return setup.all_tokens / seconds / setup.parallel.devices


def _passes(shape: Shape, setup: Setup) -> float:
    """How often a weight of the blocks is multiplied with, the first time forward."""
    if setup.part is not None:
        own = trained_linears(shape, setup.part) / max(of_blocks(shape), 1)
        return 1 + _passed(shape, setup) + own
    return 3 if setup.full else 2


def _passed(shape: Shape, setup: Setup) -> float:
    """The share of the blocks through which gradients go."""
    if setup.part is None:
        return 1.0
    return passed(shape, setup.part, checkpointing=setup.checkpointing != "none")


@cache
def _made_again(shape: Shape, checkpointing: Checkpointing) -> float:
    """Share of the products of a block that are made again: with torchtitan's "selective op" every
    second one, the one that leads out of the feed-forward block apart, which nothing needs.
    """
    if checkpointing != "selective op":
        return {"none": 0.0, "full": 1.0, "selective layer": 0.5}[checkpointing]
    queries = shape.heads * shape.head_dim
    again = shape.hidden * (shape.kv_width + queries + shape.gated * shape.ffn)
    return again / (reached(shape) / shape.layers)


def reached(shape: Shape) -> float:
    """Weights of the blocks that a token is multiplied with."""
    return of_blocks(shape) - unreached(shape)


@cache
def narrowness(shape: Shape, split: int) -> float:
    """One over the width of the matrices of the blocks, the smaller of their two sides as a rank of
    tensor parallelism has them, on average over the operations.
    """
    found = 0.0
    for one in shape.linears:
        by_input = role(one) in ("out", "down")
        inputs, outputs = (split, 1) if by_input else (1, split)
        found += one.num_parameters / min(one.inputs / inputs, one.outputs / outputs)
    return found / max(of_blocks(shape), 1)


def _products(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    split, tokens = setup.parallel.tensor, setup.tokens
    numbers = setup.precision
    share = fitted.ampere_products if hardware.generation < 9 else fitted.hopper_products
    share *= tokens / (tokens + 128) / (1 + fitted.half_width * narrowness(shape, split))
    passes = _passes(shape, setup)
    again = _made_again(shape, setup.checkpointing) * _passed(shape, setup)
    tera = hardware.tera(compute=numbers.compute)
    head = 2 + head_trains(shape, setup.part) if setup.part is not None else passes
    of_scores = product_flops(tokens, of_head(shape) / split, head)
    of_layers = product_flops(tokens, reached(shape) / split, passes + again)
    seconds = product_seconds(of_scores, tera, share)
    if not numbers.fp8:
        return seconds + product_seconds(of_layers, tera, share)
    fp8 = fitted.fp8_products * tokens / (tokens + 128)
    fp8 /= 1 + 2 * fitted.half_width * narrowness(shape, split)
    return seconds + product_seconds(of_layers, hardware.tera(compute=2, fp8=True), fp8)


def _attention(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    """Causal: half of the scores. It leaves the tensor cores idle for most of the time, so a power
    limit does not slow it down.
    """
    split, tokens = setup.parallel.tensor, setup.tokens
    share = _attention_share(setup, hardware, fitted)
    share *= min(shape.head_dim / 128, 1) ** 0.25 * setup.length / (setup.length + 512)
    again = {"full": 1.0, "selective layer": 0.5}.get(setup.checkpointing, 0.0)
    width = shape.heads * shape.head_dim / split
    back = (2.5 + again) * _passed(shape, setup)
    work = attention_flops(tokens, setup.length, width, (1 + back) / 2) * shape.layers
    return product_seconds(
        work, hardware.tera(compute=setup.precision.compute, limited=False), share
    )


def _attention_share(setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    version = setup.kernels.flash
    if hardware.generation < 9:
        return fitted.ampere_flash_1 if version == 1 else fitted.ampere_attention
    shares = {1: fitted.hopper_flash_1, 2: fitted.hopper_attention, 3: fitted.hopper_flash_3}
    return shares[version]


@formula("bytes")
def block_traffic(
    tokens: float, hidden: int, per_hidden: float, ffn: float, per_ffn: float
) -> float:
    """Bytes that the operations between the products of a block move in its forward pass.

    一个块前向传播中、矩阵乘法以外的各运算读写的字节数。
    """
    return tokens * (hidden * per_hidden + ffn * per_ffn)


def _per_element(shape: Shape, setup: Setup) -> tuple[float, float]:
    """Bytes that a forward pass moves for an element of the hidden state and of the feed-forward
    block in 16 bits, counted from the code: reads and writes of norms, residual additions, rotary
    positions, copies of keys, and of the activation.
    """
    kernels, gated = setup.kernels, shape.gated
    if kernels.compiled:
        return 24.0, 6.0 if gated else 4.0
    copied = 8.0 * (1 - shape.kv_heads / shape.heads) if kernels.repeats_keys else 0.0
    if kernels.layer_norm:
        return 28.0 + copied, 10.0 if gated else 4.0
    rotated = (56.0 if kernels.stacks_positions else 20.0) * (1 + shape.kv_heads / shape.heads)
    return 36.0 * kernels.norms + 12 + rotated + copied, 10.0 if gated else 4.0


PER_SCORE = {"full": 36.0, "shifted": 48.0, "compiled": 12.0, "chunked": 36.0, "fused": 16.0}
"""Bytes moved for every score of the vocabulary, forward and backward, by how the loss is
computed (setup.Loss)."""


PER_WEIGHT_OF_DORA = 30.0
"""Bytes moved for every weight that DoRA adapts in a forward pass: the matrix of updates made,
cast, scaled and added, and its rows measured (PEFT 0.21, tuners/lora/dora.py)."""
FORWARD_AND_BACK = 2.5
"""Bytes between the products in both directions, as a multiple of those of the forward pass."""


def _traffic(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    split, tokens = setup.parallel.tensor, setup.tokens
    hidden, ffn = _per_element(shape, setup)
    wider = setup.precision.compute / 2 * (1.5 if setup.precision.autocast else 1)
    again = 0.5 if setup.checkpointing == "selective layer" else setup.checkpointing != "none"
    inner = shape.ffn * max(shape.experts_used, 1)
    once = block_traffic(tokens / split, shape.hidden, hidden, inner, ffn) * shape.layers
    moved = once * wider * (1 + (FORWARD_AND_BACK - 1 + again) * _passed(shape, setup))
    moved += tokens * (shape.vocab or 0) / split * PER_SCORE[setup.kernels.loss]
    moved *= fitted.traffic
    if setup.kernels.attention == "eager":
        moved += shape.layers * tokens * setup.length * shape.heads / split * 30
    if setup.adapter is not None and setup.adapter.dora:
        adapted = sum(one.num_parameters for one in setup.adapter.adapted(shape))
        moved += adapted * PER_WEIGHT_OF_DORA * (1 + again)
    if setup.packing is not None:
        moved += of_blocks(shape) * 2.5 * (_passes(shape, setup) + again) * 2
    return traffic_seconds(moved, hardware.device.bandwidth_gbs)


def _optimizer(shape: Shape, setup: Setup, hardware: Hardware) -> float:
    parallel = setup.parallel
    if setup.adapter is not None:
        return 0.0
    count = (
        trained(shape, setup) / parallel.tensor / parallel.pipeline / parallel.shared("optimizer")
    )
    moved = count * (4 * setup.precision.moments + 3 * setup.precision.weights)
    rate = hardware.device.bandwidth_gbs
    if parallel.offload_optimizer:
        rate = (hardware.device.pcie_gbs or 16) / 2
    return traffic_seconds(moved, rate * 0.8)


def _link(hardware: Hardware, fitted: Fitted, ranks: float) -> float:
    """GB/s of collectives among so many ranks of which each has a GPU."""
    inside = (hardware.device.link_gbs or hardware.device.pcie_gbs or 16) * fitted.node_links
    if ranks <= hardware.gpus_a_node:
        return inside
    own = hardware.network_gbs or NETWORK_GBS.get(hardware.generation, 25.0)
    return min(inside, own * hardware.gpus_a_node * fitted.network)


def _sharded(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    """Seconds of what data-parallel ranks send for one micro batch, or for a step of a pipeline."""
    parallel, numbers = setup.parallel, setup.precision
    ranks = parallel.shards
    if ranks == 1:
        return 0.0
    if setup.adapter is not None and parallel.sharding != "all":
        return 0.0
    split = parallel.tensor
    of_all = all_parameters(shape) / split
    gathered = (2 if parallel.sharding == "all" else 1) * (1 if numbers.fp8 else numbers.compute)
    reduced = 4 if parallel.program == "fsdp" else numbers.gradients
    if setup.adapter is not None:
        reduced = 0  # adapters and prefixes are small beside the weights
    elif setup.part is not None:
        reduced *= trained(shape, setup) / all_parameters(shape)
        gathered *= parallel.sharding == "all"
    moved = of_all * (gathered + reduced) * (ranks - 1) / ranks
    link = _link(hardware, fitted, ranks * split)
    if ranks * split > hardware.gpus_a_node:
        link /= split
    return traffic_seconds(moved, link)


def _offloaded(shape: Shape, setup: Setup, hardware: Hardware) -> float:
    """Seconds in which offloaded weights come from main memory for one micro batch, once forward
    and once backward; each rank brings its own part, and none of it is taken to be hidden.
    """
    parallel = setup.parallel
    if not parallel.offload_weights:
        return 0.0
    part = all_parameters(shape) / parallel.tensor / parallel.shared("all")
    moved = 2 * part * setup.precision.compute
    return traffic_seconds(moved, (hardware.device.pcie_gbs or 16) / 2)


def _exposed(sent: float, work: float, overlap: float) -> float:
    """What of the sending is not hidden: some of it never is, and none of it behind no work."""
    return sent - min(sent * overlap, work)


def _tensor_parallel(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    """Seconds of what tensor-parallel ranks send inside the blocks for one micro batch."""
    split = setup.parallel.tensor
    if split == 1:
        return 0.0
    directions = 3 if setup.checkpointing == "full" else 2
    gathered = 1 if setup.precision.fp8 else setup.precision.compute
    each = 2 * setup.tokens * shape.hidden * (gathered + setup.precision.compute)
    moved = each * (split - 1) / split * directions * shape.layers
    seconds = traffic_seconds(moved, _link(hardware, fitted, split))
    return seconds * (1 - fitted.overlapped if setup.parallel.overlapped else 1)


def _context_parallel(shape: Shape, setup: Setup, hardware: Hardware, fitted: Fitted) -> float:
    """Seconds of the keys and values that context-parallel ranks gather for one micro batch, before
    attention and again before its gradient; their gradients go round behind the computation.
    """
    parallel = setup.parallel
    ranks = parallel.context
    if ranks == 1:
        return 0.0
    width = shape.heads * shape.head_dim / parallel.tensor
    each = 2 * setup.tokens * width * setup.precision.compute * (ranks - 1)
    times = 3 if setup.checkpointing == "full" else 2
    link = _link(hardware, fitted, ranks * parallel.tensor)
    if ranks * parallel.tensor > hardware.gpus_a_node:
        link /= parallel.tensor
    return traffic_seconds(each * times * shape.layers, link)
