"""A resolved run as what the formulas of memory, FLOPs and time take: what foretune's own trainer
makes of its settings, on the libraries that are installed.

Read in transformers 5.23, accelerate 1.15, PEFT 0.21 and DeepSpeed 0.19.8. What a run leaves open
is assumed, and every assumption is told.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

from ..errors import refuse
from ..facts import Facts
from ..params.arch.shape import Shape
from ..params.declare import Words
from ..params.run import Run
from ..params.setting import COMMAND_LINE, Setting, derived
from ..text import Said
from .devices import device_called, measured_cpu
from .part import part_of
from .row_length import length_limit, longest, longest_source, pads, usual_length, usual_target
from .setup import (
    AMP,
    FP32,
    MASTER_16,
    NF4,
    NF4_DOUBLE,
    SHARDED_MIXED,
    Adapter,
    Kernels,
    Packing,
    Parallel,
    Precision,
    Setup,
    Sharding,
)
from .step_time import Hardware

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
Program = Literal["none", "deepspeed", "fsdp"]


def setup_of(run: Run, shape: Shape, facts: Facts, *, stored_bits: int = 0) -> Setup:
    """One training step of a resolved run, at the length of its longest batch.

    Args:
        run: resolved; what it is meant for is an accelerator, if it does not say ``use_cpu``.
        shape: the sizes of its model.
        facts: what was measured of its data, as far as anything was.
        stored_bits: bits in which config.json says that the weights are packed; 0 for full ones.
    """
    adapter = _adapter(run, shape)
    return Setup(
        length=longest(run, shape, facts),
        source=longest_source(run, shape, facts),
        micro=run.batch.micro,
        accumulation=run.batch.accumulation,
        adapter=adapter,
        part=part_of(run.method.freeze) if run.method.name == "freeze" else None,
        packing=_packing(run, shape, stored_bits),
        precision=precision_of(run),
        optimizer=optimizer_of(run),
        fused=is_fused(run),
        parallel=parallel_of(run, shape, facts.devices),
        checkpointing="full" if _checkpoints(run) else "none",
        offload_activations=run.accelerate.fsdp_config.fsdp_activation_checkpointing_offload
        and program_of(run) == "fsdp",
        kernels=_kernels(run, shape, adapter),
    )


def typical(setup: Setup, run: Run, facts: Facts) -> Setup:
    """The same step at the length of a usual batch: what its time and its operations hang on."""
    length = usual_length(run, facts)
    if length is None:
        return setup
    if setup.source:
        target = usual_target(facts)
        return setup if target is None else replace(setup, source=length, length=target)
    return replace(setup, length=length)


# What trains, and in which numbers


def mixed_of(run: Run) -> Literal["no", "fp16", "bf16"]:
    """The number type of autocast, from the arguments, DeepSpeed's file or accelerate's."""
    if run.precision.mixed != "no":
        return run.precision.mixed
    if run.deepspeed.bf16.enabled is True:
        return "bf16"
    if run.deepspeed.fp16.enabled is True:
        return "fp16"
    named = run.accelerate.mixed_precision
    return named if named in ("fp16", "bf16") else "no"


def precision_of(run: Run) -> Precision:
    """Bytes of the numbers of a run: what trains is float32, a frozen base is as it is loaded;
    DeepSpeed casts all of it where it computes in 16 bits, and keeps a float32 copy of what trains.
    """
    half = mixed_of(run) != "no"
    frozen = run.method.name != "full"
    program = program_of(run)
    if program == "deepspeed" and half:
        sums = 4 if mixed_of(run) == "bf16" and zero_stage(run) == 0 else 2
        return replace(MASTER_16, gradients=sums)
    if not frozen:
        if not half:
            return FP32
        return SHARDED_MIXED if program == "fsdp" else AMP
    each = BYTES.get(run.precision.dtype, 4)
    if each == 4 and half:
        return AMP
    return Precision(weights=each, compute=each)


def _adapter(run: Run, shape: Shape) -> Adapter | None:
    method = run.method
    cast = program_of(run) == "deepspeed" and mixed_of(run) != "no"
    if method.name == "ptuning":
        prefix = method.prefix
        return Adapter(
            prefix=prefix.length or 0,
            projection=prefix.projection,
            bytes_each=2 if cast else 4,
        )
    if method.name == "lora":
        named = method.lora.targets or shape.default_lora_targets
        every = tuple(one.name for one in shape.linears)
        return Adapter(
            rank=method.lora.rank,
            targets=every if named == ("all-linear",) else tuple(f".{name}" for name in named),
            dora=run.peft.use_dora,
            dropout=method.lora.dropout > 0,
            autocast=mixed_of(run) != "no",
            bytes_each=2 if cast else 4,
        )
    return None


def _packing(run: Run, shape: Shape, stored_bits: int) -> Packing | None:
    """How the frozen linears are packed: the ChatGLMs' rows with a scale each, or bitsandbytes'
    NF4.
    """
    bits = run.precision.quantize or (0 if run.precision.dequantize else stored_bits)
    if not bits or run.method.name in ("full", "freeze"):
        return None
    linears = shape.quantised_linears or shape.linears
    if bits == 4 and not any(one.name.endswith("query_key_value") for one in linears):
        if not stored_bits:
            return replace(NF4, names=shape.quantised)
        return replace(NF4_DOUBLE, names=shape.quantised, piece=PIECE * 3)
    rows = sum(one.outputs * one.copies for one in linears)
    return Packing(
        bits=bits,
        block=round(sum(one.num_parameters for one in linears) / max(rows, 1)),
        scale_bytes=2 if run.precision.dtype == "float16" else 4,
        names=shape.quantised,
        piece=PIECE * (2.5 if bits == 4 else 1),
    )


PIECE = 2**24
"""Weights that foretune unpacks at once on an accelerator (models/packed_product.py); what holds
their bits on the way counts beside them."""


# Programs and devices


def program_of(run: Run) -> Program:
    """What shards a run over its processes, where anything does."""
    kind = run.accelerate.distributed_type
    if kind == "DEEPSPEED" or run.launch.deepspeed is not None or zero_stage(run) > 0:
        return "deepspeed"
    return "fsdp" if kind == "FSDP" or run.launch.fsdp else "none"


def zero_stage(run: Run) -> int:
    """ZeRO's stage; accelerate turns "auto" into 2."""
    stage = run.deepspeed.zero_optimization.stage
    return 2 if stage == "auto" else stage


ONE_PER_GPU = ("deepspeed", "accelerate", "torchrun")
"""Launchers that start a process on every GPU where they are told no number."""


def counts_gpus(run: Run) -> bool:
    """Whether a run is started by a launcher that starts as many processes as it finds GPUs."""
    launch = run.launch
    told = run.written("launch.processes") or (launch.processes or 1) > 1
    return launch.launcher in ONE_PER_GPU and not told


def hardware_of(run: Run, device: str | None, gpus: str | None = None) -> Hardware | None:
    """The devices that ``--device`` and ``--gpus`` name ('RTX 4090', a file; '2', '8xH100'); this
    machine's CPU, where it was measured, for a run that says ``use_cpu``; else None.

    Raises:
        UserError: where no device of that name is known, or the file is none.
    """
    named = asked_gpus(gpus)[1] if device is None else device
    if named is None:
        cpu = measured_cpu() if run.launch.use_cpu else None
        return None if cpu is None else Hardware(device=cpu)
    return Hardware(device=device_called(named))


def asked_gpus(gpus: str | None) -> tuple[int | None, str | None]:
    """How many devices ``--gpus`` asks for, and of which name: '8' -> (8, None), '8xH100' ->
    (8, 'H100').
    """
    if gpus is None:
        return None, None
    found = re.fullmatch(r"([1-9]\d*)(?:\s*[xX*]\s*(.+))?", gpus.strip())
    if found is None:
        raise refuse(
            what=f"--gpus {gpus} is no number of devices",
            where=COMMAND_LINE,
            why="it takes how many there are, and with an x between them which",
            fix="write --gpus 1, or --gpus 8xH100",
        )
    return int(found[1]), found[2]


def on_gpus(run: Run, gpus: str | None) -> Run:
    """The run with as many processes as ``--gpus`` has devices; unchanged where it says nothing.

    Raises:
        UserError: where they are not the same on every machine of the run.
    """
    count, _ = asked_gpus(gpus)
    if count is None or count == run.launch.all_processes:
        return run
    if count % run.launch.nodes:
        raise refuse(
            what=f"--gpus {count} does not go round {run.launch.nodes} machines",
            where=COMMAND_LINE,
            why="every machine starts as many processes",
            fix=f"write a multiple of {run.launch.nodes}",
        )
    each = count // run.launch.nodes
    return run.add(
        [Setting("launch.processes", each, derived(Said(words := f"--gpus {gpus}", words)))]
    )


def parallel_of(run: Run, shape: Shape, devices: int) -> Parallel:
    """How a run is spread over so many devices."""
    tensor, context = _degree(run, "tp"), _degree(run, "cp") * _degree(run, "sp")
    tensor = max(tensor, run.deepspeed.tensor_parallel.autotp_size)
    data = max(devices // (tensor * context), 1)
    spread = Parallel(data=data, context=context, tensor=tensor)
    program = program_of(run)
    if program == "deepspeed":
        return _zero(spread, run, shape)
    return _fsdp(spread, run) if program == "fsdp" else spread


def _degree(run: Run, kind: str) -> int:
    """Processes of one kind of parallelism, from accelerate's file or the trainer's argument."""
    asked: dict[str, Any] = run.trainer.parallelism_config or {}
    named = getattr(run.accelerate.parallelism_config, f"parallelism_config_{kind}_size")
    found = asked.get(f"{kind}_size")
    return max(found if isinstance(found, int) else 1, named, 1)


def _zero(spread: Parallel, run: Run, shape: Shape) -> Parallel:
    zero = run.deepspeed.zero_optimization
    stages: tuple[Sharding, ...] = ("none", "optimizer", "gradients", "all")
    bucket, ahead = zero.reduce_bucket_size, zero.stage3_prefetch_bucket_size
    overlaps = zero.overlap_comm
    return replace(
        spread,
        sharding=stages[zero_stage(run)],
        program="deepspeed",
        bucket=shape.hidden * shape.hidden if bucket == "auto" else bucket,
        buckets=2 if (zero_stage(run) == 3 if overlaps is None else overlaps) else 1,
        live=round(zero.stage3_max_live_parameters),
        prefetch=round(0.9 * shape.hidden**2) if ahead == "auto" else ahead,
        sub_group=round(zero.sub_group_size),
        offload_optimizer=zero.offload_optimizer.device in ("cpu", "nvme"),
        offload_weights=zero.offload_param.device in ("cpu", "nvme") and zero_stage(run) == 3,
    )


def _fsdp(spread: Parallel, run: Run) -> Parallel:
    words = (run.launch.fsdp or "full_shard").lower()
    plugin = run.accelerate.fsdp_config
    by_file = run.launch.fsdp is None
    keeps = "shard_grad_op" in words or "zero2" in words
    unshared = "no_shard" in words
    if by_file:
        keeps = plugin.fsdp_sharding_strategy in ("SHARD_GRAD_OP", "HYBRID_SHARD_ZERO2")
        unshared = plugin.fsdp_sharding_strategy == "NO_SHARD"
        if plugin.fsdp_version == 2:
            keeps, unshared = str(plugin.fsdp_reshard_after_forward).lower() == "false", False
    offloads = "offload" in words or (by_file and plugin.fsdp_offload_params)
    asked = run.trainer.accelerator_config
    kept = asked.get("gradient_accumulation_kwargs") if isinstance(asked, dict) else None
    return replace(
        spread,
        sums_whole=not (isinstance(kept, dict) and "sync_each_batch" in kept),
        sharding="none" if unshared else "gradients" if keeps else "all",
        program="ddp" if unshared else "fsdp",
        fsdp=2 if by_file and plugin.fsdp_version == 2 else 1,
        offload_optimizer=offloads,
        offload_weights=offloads,
    )


# Optimizer, checkpointing, kernels

OPTIMIZERS = {
    "adafactor": "adafactor",
    "sgd": "sgd",
    "lion": "lion",
    "adamw": "adamw",
    "ademamix": "adamw",
    "adagrad": "sgd momentum",
    "rmsprop": "sgd momentum",
    "lomo": "sgd",
    "adalomo": "adafactor",
    "schedule_free": "adamw",
    "stable_adamw": "adamw",
}
"""Beginnings of transformers' names -> by what the optimizer keeps."""


def optimizer_of(run: Run) -> str:
    """The optimizer by what it keeps of a parameter, with "8bit" and "paged" where it is so."""
    name = run.optim.name.lower()
    kind = next((kept for word, kept in OPTIMIZERS.items() if word in name), "adamw")
    if kind == "sgd" and "momentum" in (run.optim.arguments or ""):
        kind = "sgd momentum"
    packed = " 8bit" if "8bit" in name or "8_bit" in name else ""
    return f"{'paged ' if 'paged' in name else ''}{kind}{packed}"


def is_fused(run: Run) -> bool:
    """Whether the optimizer steps without temporaries of the size of the model: torch's fused
    kernel, DeepSpeed's, and those of bitsandbytes.
    """
    name = run.optim.name.lower()
    own = ("fused", "8bit", "paged", "bnb", "lion", "4bit")
    return program_of(run) == "deepspeed" or any(word in name for word in own)


def _checkpoints(run: Run) -> bool:
    fsdp = run.accelerate.fsdp_config.fsdp_activation_checkpointing
    return run.batch.gradient_checkpointing or (program_of(run) == "fsdp" and fsdp)


def _kernels(run: Run, shape: Shape, adapter: Adapter | None) -> Kernels:
    """How the models compute: attention by torch's own kernels unless it is asked for in plain
    steps; with a mask (a prefix needs one) they take every shared key and value once for each
    query head. In float32 no kernel takes shared keys, and torch takes plain steps (torch 2.13,
    sdp_utils.cpp).
    """
    asked = run.model.attention
    masked = adapter is not None and adapter.prefix > 0 and asked != "flash_attention_2"
    shares = shape.kv_heads < shape.heads
    wide = precision_of(run).compute == 4 and asked != "flash_attention_2"
    written_out = asked == "eager" or (shares and wide and not masked)
    compiles = run.trainer.torch_compile or run.trainer.torch_compile_backend is not None
    return Kernels(
        attention="eager" if written_out else "flash",
        repeats_keys=shares and (masked or written_out),
        compiled=compiles or run.trainer.torch_compile_mode is not None,
        layer_norm=any(one.kind == "norm" and one.name.endswith(".bias") for one in shape.weights),
        gated=shape.gated,
        loss="fused" if run.trainer.use_liger_kernel else "full",
    )


# What is assumed


def _at_the_limits(run: Run, shape: Shape) -> Words:
    data, length = run.data, length_limit(run, shape)
    long = Words(f"{length:,} tokens", f"{length:,} 个词元")
    if shape.encoder_decoder:
        source, target = f"{data.max_source_length:,}", f"{data.max_target_length:,}"
        long = Words(
            f"{source} tokens of the source and {target} of the target",
            f"源文本 {source} 个词元、目标文本 {target} 个词元",
        )
    return Words(
        f"every row is as long as its limit allows, {long.en}: the data were not measured "
        "(foretune plan --tokens)",
        f"每行都达到长度上限 {long.zh}：没有测量数据（foretune plan --tokens）",
    )


def assumptions(run: Run, shape: Shape, facts: Facts) -> tuple[Words, ...]:
    """What is not known of a run, and what was taken in its place."""
    found: list[Words] = []
    measured = facts.train is not None and facts.train.tokens is not None
    if not measured and not pads(run):
        found.append(_at_the_limits(run, shape))
    if counts_gpus(run) and facts.devices == 1:
        found.append(
            Words(
                f"{run.launch.launcher} starts a process on one GPU only: it is not told how many "
                "(foretune plan --gpus)",
                f"{run.launch.launcher} 只在一块 GPU 上启动进程："
                "没有写明数量（foretune plan --gpus）",
            )
        )
    if shape.vocab is None:
        found.append(
            Words(
                "embedding and output layer are not counted: the size of the vocabulary is not "
                "given",
                "没有给出词表大小，因此未计入词嵌入和输出层",
            )
        )
    if run.trainer.use_liger_kernel:
        found.append(
            Words(
                "liger-kernel knows this model and fuses its loss",
                "liger-kernel 支持该模型并融合其损失",
            )
        )
    if run.precision.quantize and not shape.quantised:
        found.append(
            Words(
                "weights are packed as bitsandbytes packs them: this family has no packing of its "
                "own",
                "权重按 bitsandbytes 的方式打包：该模型族没有自己的打包方式",
            )
        )
    return tuple(found)
