"""Rows of a table of published runs, read as what the planner takes: a shape, a setup, hardware.

A row says what was run in the words of its source. What it leaves open is taken from the program
that it names: how that program computes is a fact about its code, given once for all its rows in
STACKS. Nothing here knows a single row or source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from foretune.errors import UserError
from foretune.params.arch.shape import Shape
from foretune.plan import setup as plan
from foretune.plan.decoder import decoder_shape
from foretune.plan.devices import Device, device_named
from foretune.plan.setup import Adapter, Kernels, Packing, Parallel, Precision, Setup
from foretune.plan.step_time import Hardware

Row = Mapping[str, Any]
Program = Literal["ddp", "fsdp", "deepspeed", "megatron"]

FULL_POWER = {"H100": 700}
"""Watts on the data sheet, for devices that are named by a lower limit."""

UNGATED = ("mpt", "gpt", "bert", "falcon", "phi-1", "phi-2", "stablelm-base-alpha", "pythia",
           "opt", "bloom")  # fmt: skip
"""Models whose feed-forward block has no gate."""
LAYER_NORM = (*UNGATED, "stablelm")
"""Models with LayerNorm instead of RMSNorm."""
ONE_NORM = ("falcon-7b", "phi-1", "phi-2")
"""Models whose attention and feed-forward block share a norm."""
TIED = ("mpt", "gpt", "gemma", "falcon", "llama-3.2", "bert")
"""Models whose output layer is the embedding."""

ABLATION = ("baseline", "+packed", "+compile", "+chunked CE", "+activation checkpointing",
            "+optimizer in backward", "+activation offloading", "+8-bit AdamW", "LoRA",
            "QLoRA")  # fmt: skip
"""Steps of a cumulative ablation, as torchtune's notes name them: each row has those before it."""

MIB, GIB = 2**20, 2**30
UNITS = {"GiB": GIB, "MiB": MIB, "GB": 1e9, "G": 1e9}
VOCABULARY = 51200
"""Of GPT-2 as Megatron pads it, where a row of GPT leaves it open."""


class SkippedError(Exception):
    """A row that cannot be planned, by its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How a program trains, where its rows do not say otherwise."""

    precision: Precision | None = None
    fused: bool = True
    repeats_keys: bool = False
    loss: plan.Loss = "full"
    compiled_loss: str = "9999"
    """Month since which torch.compile takes the loss as well."""
    compiles_float8: bool = False
    """True where float8 is said to need torch.compile."""
    adapter_bytes: int = 4
    keeps_gradients: bool = False
    old: bool = False
    dropout: bool = False
    program: Program = "ddp"
    nf4: Packing = plan.NF4
    checkpointing: plan.Checkpointing = "none"
    torchao: bool = False
    """True where an 8-bit AdamW that is not paged is torchao's."""
    sums_whole: bool = False
    """True where FSDP is kept from sharing out gradients until the last micro batch."""
    whole_micro: bool = False
    """True where a micro batch keeps its size, whatever that makes of a step."""
    unties: bool = False
    """True where the output layer is a copy of an embedding that it is tied to."""


STACKS: dict[str, Stack] = {
    "torchtune": Stack(
        repeats_keys=True,
        torchao=True,
        adapter_bytes=2,
        nf4=plan.NF4_DOUBLE,
        program="fsdp",
        checkpointing="full",
    ),
    "torchtitan": Stack(
        precision=plan.SHARDED_MIXED, compiled_loss="2025-01", program="fsdp", compiles_float8=True
    ),
    "litgpt": Stack(fused=False, adapter_bytes=2, loss="chunked", program="fsdp", unties=True, sums_whole=True,
                    whole_micro=True),
    "llm-foundry": Stack(precision=plan.SHARDED_MIXED, program="fsdp"),
    "IBM fms-fsdp": Stack(precision=plan.SHARDED_MIXED, program="fsdp"),
    "HF Trainer": Stack(fused=False, keeps_gradients=True, old=True, dropout=True),
    "Megatron": Stack(precision=plan.MASTER_16, program="megatron", checkpointing="full"),
    "DeepSpeed": Stack(precision=plan.MASTER_16, program="deepspeed"),
    "ms-swift": Stack(repeats_keys=True, loss="shifted"),
    "LLaMA-Factory": Stack(repeats_keys=True, loss="shifted", checkpointing="full"),
}
"""By the first words of a row's framework. Sources: torchtune 0.4 modules/attention.py (keys are
expanded) and utils of 2024-12; torchtitan train.py of 2024-12, with the loss compiled since
2025-01; litgpt finetune/*.py (chunks of 128 tokens); Trainer of early 2022 (gradients zeroed, not
freed; the scores before their division kept); modeling_llama.py of transformers before 4.48
(repeat_kv)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A row as the planner takes it."""

    shape: Shape
    setup: Setup
    hardware: Hardware | None


def read(row: Row) -> Planned:
    """A row as the planner takes it. Raises SkippedError with the reason where it cannot be."""
    if not all((row.get("dims") or {}).get(key) for key in ("hidden", "layers", "heads", "ffn")):
        raise SkippedError("no dimensions")
    if not row.get("seq_len") or not row.get("micro_batch"):
        raise SkippedError("no length or batch")
    if "not packed, variable" in (row.get("seq_note") or ""):
        raise SkippedError("lengths vary and are not given")
    if row.get("framework", "").startswith("LLaMA-Factory") and "Unsloth" in (
        row.get("attention") or ""
    ):
        return replace(_read(row), setup=_unsloth(_read(row).setup))
    return _read(row)


def _unsloth(setup: Setup) -> Setup:
    """Unsloth: checkpoints in host memory, fused loss."""
    kernels = replace(setup.kernels, loss="fused", compiled=True)
    return replace(setup, kernels=kernels, checkpointing="full", offload_activations=True)


def _read(row: Row) -> Planned:
    stack = stack_of(row)
    kernels = _kernels(row, stack)
    shape = _shape(row, kernels)
    parallel = _parallel(row, stack)
    micro, accumulation = _batches(row, parallel)
    setup = Setup(
        length=row["seq_len"], micro=1, accumulation=accumulation,
        adapter=_adapter(row, stack), packing=_packing(row, stack),
        precision=_precision(row, stack), optimizer=_optimizer(row, stack),
        fused=stack.fused, in_backward=_has(row, "+optimizer in backward"),
        keeps_gradients=stack.keeps_gradients, parallel=parallel,
        checkpointing=_checkpointing(row, stack),
        offload_activations="activations" in (row.get("offload") or ""), kernels=kernels,
    )  # fmt: skip
    return Planned(shape=shape, setup=replace(setup, micro=micro), hardware=_hardware(row))


def stack_of(row: Row) -> Stack:
    """How the program of a row trains."""
    name = row.get("framework") or ""
    return next((stack for key, stack in STACKS.items() if name.startswith(key)), Stack())


def _named(row: Row, names: tuple[str, ...]) -> bool:
    return row["model"].lower().split("/")[-1].startswith(names)


def _shape(row: Row, kernels: Kernels) -> Shape:
    dims = row["dims"]
    tied = dims.get("tied", _named(row, TIED)) and not stack_of(row).unties
    learned = row["seq_len"] if _named(row, ("mpt", "gpt", "bert")) else 0
    classifies = "Classification" in row["model"]
    shape = decoder_shape(
        hidden=dims["hidden"], layers=dims["layers"], heads=dims["heads"],
        kv_heads=dims.get("kv_heads"), head_dim=dims.get("head_dim"), ffn=dims["ffn"],
        vocab=dims.get("vocab") or VOCABULARY, gated=kernels.gated, tied=tied or classifies,
        bias=_named(row, ("gpt", "bert", "phi")), positions=learned,
    )  # fmt: skip
    return replace(shape, vocab=0) if classifies else shape


def _kernels(row: Row, stack: Stack) -> Kernels:
    attention = (row.get("attention") or "flash").lower()
    words = (row.get("precision") or "").lower()
    compiled = bool(row.get("compile", stack.compiles_float8 and "float8" in words))
    loss = stack.loss
    if compiled and (row.get("date") or "") >= stack.compiled_loss:
        loss = "compiled"
    if _has(row, "+chunked CE"):
        loss = "chunked"
    return Kernels(
        attention="eager" if attention == "eager" else "flash",
        repeats_keys=stack.repeats_keys, compiled=compiled,
        layer_norm=_named(row, LAYER_NORM), gated=not _named(row, UNGATED),
        norms=1 if _named(row, ONE_NORM) else 2, loss=loss,
        dropout=stack.dropout, old_scores=stack.old and attention == "eager",
    )  # fmt: skip


def _has(row: Row, step: str) -> bool:
    """True where a row of a cumulative ablation has a step behind it."""
    found = re.search(r"cumulative ablation step: ([^;]+)", row.get("notes") or "")
    if found is None:
        return False
    if row["method"] != "full" and step in ("+optimizer in backward", "+8-bit AdamW"):
        return False
    at = found[1].strip()
    return at in ABLATION and ABLATION.index(at) >= ABLATION.index(step)


def _precision(row: Row, stack: Stack) -> Precision:
    words = row.get("precision") or "bf16"
    fp8 = "float8" in words.lower() or "fp8" in words
    if stack.precision is not None and "PURE" not in words:
        return replace(stack.precision, fp8=fp8)
    if words.startswith("fp32"):
        return plan.FP32
    if "amp" in words or "mixed" in words:
        return plan.AMP
    return plan.PURE_16


def _adapter(row: Row, stack: Stack) -> Adapter | None:
    if row["method"] in ("full", "pretrain"):
        return None
    if "tuning" in row["method"]:
        return Adapter(prefix=(row.get("adapter") or {}).get("pre_seq_len", 128))
    adapter = row.get("adapter") or {}
    return Adapter(
        rank=adapter.get("r", 8),
        targets=_targets(adapter.get("targets", "q,v,o")),
        dropout=adapter.get("dropout", 0) > 0,
        bytes_each=stack.adapter_bytes,
    )


def _targets(words: str | list[str]) -> tuple[str, ...]:
    text = (",".join(words) if isinstance(words, list) else words).lower()
    parts = {
        "q_proj": r"query|\bq\b|qkv|c_attn|all|default",
        "k_proj": r"key|\bk\b|qkv|c_attn|all|default",
        "v_proj": r"value|\bv\b|qkv|c_attn|all|default",
        "o_proj": r"projection|\bo\b|all lin",
        "up_proj": r"mlp|all lin", "gate_proj": r"mlp|all lin", "down_proj": r"mlp|all lin",
    }  # fmt: skip
    return tuple(name for name, pattern in parts.items() if re.search(pattern, text))


def _packing(row: Row, stack: Stack) -> Packing | None:
    quant = (row.get("quant") or ("nf4" if row["method"] == "qlora" else "")).lower()
    if not quant:
        return None
    if "gptq" in quant:
        return plan.GPTQ8 if "8" in quant else plan.GPTQ4
    if "8" in quant:
        return plan.INT8
    return plan.NF4_DOUBLE if "dq" in quant else stack.nf4


def _optimizer(row: Row, stack: Stack) -> str:
    words = (row.get("optimizer") or "AdamW").lower()
    paged = "paged " if "paged" in words else ""
    if re.search("8.?bit", words) or _has(row, "+8-bit AdamW"):
        return f"{paged}adamw 8bit" if paged or not stack.torchao else "adamw 8bit torchao"
    kinds = ("adafactor", "lion", "sgd")
    return next((kind for kind in kinds if kind in words), f"{paged}adamw")


def _checkpointing(row: Row, stack: Stack) -> plan.Checkpointing:
    words = row.get("checkpointing") or stack.checkpointing
    if words.startswith("block"):
        return "full" if row["gpus"] > 1 else "none"
    if words.startswith("selective"):
        return "selective layer" if "layer" in words else "selective op"
    return "full" if words.startswith("full") else "none"


def _parallel(row: Row, stack: Stack) -> Parallel:
    tensor, stages, context = (row.get(key) or 1 for key in ("tp", "pp", "cp"))
    data = row.get("dp") or row["gpus"] // (tensor * stages * context)
    words = row.get("sharding") or ""
    sharding: plan.Sharding = "none"
    if "GRAD_OP" in words or "ZeRO-2" in words:
        sharding = "gradients"
    elif "FSDP" in words or "ZeRO-3" in words or (stack.program == "fsdp" and _blockwise(row)):
        sharding = "all"
    program: Program = "deepspeed" if "ZeRO" in words else stack.program
    kept = row.get("offload") or ""
    return Parallel(
        data=data, context=context, tensor=tensor, pipeline=stages,
        interleaved="Interleaved" in (row.get("notes") or ""), sharding=sharding,
        sums_whole=stack.sums_whole,
        offload_weights="params" in kept, offload_optimizer="opt" in kept,
        overlapped=re.search("async ?tp", words_of(row), re.I) is not None,
        program=program if sharding != "none" or program == "megatron" else "ddp",
    )  # fmt: skip


def words_of(row: Row) -> str:
    """What a row says in free words."""
    return f"{row.get('precision')} {row.get('notes')}"


def _blockwise(row: Row) -> bool:
    return row["gpus"] > 1 and (row.get("checkpointing") or "").startswith("block")


def _batches(row: Row, parallel: Parallel) -> tuple[float, int]:
    """Rows of a micro batch, and micro batches of a step."""
    micro, whole = row["micro_batch"], row.get("global_batch")
    if "split in PP" in (row.get("notes") or "") or (
        parallel.pipeline > 1 and stack_of(row).program == "fsdp"
    ):
        pieces = parallel.pipeline
        return micro / pieces, pieces
    if not whole:
        return micro, row.get("grad_accum") or 1
    if stack_of(row).whole_micro:
        return micro, max(int(whole / parallel.data / micro), 1)
    accumulation = math.ceil(whole / parallel.data / micro - 1e-9)
    return whole / parallel.data / accumulation, accumulation


def device_of(row: Row) -> Device | None:
    """The device of a row, None where it is not named."""
    words = row.get("gpu_type")
    if not words:
        return None
    name = re.match(r"[A-Za-z]*[0-9]+[A-Za-z]*", words.replace("RTX", ""))
    size = re.search(r"(\d+) ?GB", words)
    tries = [f"{name[0] if name else words} {size[1]}GB"] if size else []
    tries += [f"{name[0]} hbm2e"] if name and "HBM2e" in words else []
    for one in (*tries, name[0] if name else words):
        try:
            return device_named(one)
        except UserError:
            continue
    return None


def _hardware(row: Row) -> Hardware | None:
    device = device_of(row)
    if device is None:
        return None
    watts = re.search(r"(\d+)W", device.name)
    full = FULL_POWER.get(device.name.split("-")[0])
    network = re.search(r"(\d+) Gbps node-node", row.get("section") or "")
    return Hardware(
        device=device,
        power=int(watts[1]) / full if watts and full else 1.0,
        network_gbs=int(network[1]) / 64 if network else None,
    )


def measured_memory(row: Row) -> tuple[float, str] | None:
    """Bytes that a row reports, and which of the three numbers they are."""
    if row.get("peak_mem") is None:
        return None
    unit = UNITS.get((row.get("peak_mem_unit") or "GB").split()[0], 1e9)
    kind = (row.get("peak_mem_kind") or "").lower()
    if "nvidia-smi" in kind or "vram" in kind or "unknown" in kind:
        number = "used"
    elif "reserved" in kind or "titan log" in kind or "per-process" in kind:
        number = "reserved"
    else:
        number = "allocated"
    return row["peak_mem"] * unit, number


def measured_seconds(row: Row, setup: Setup) -> float | None:
    """Seconds of a step that a row reports, None where its tokens are not known."""
    note = row.get("seq_note") or ""
    if "variable" in note or "max" in note.split("_")[0] or "unpacked" in note:
        return None
    if row.get("step_time_s"):
        return row["step_time_s"]
    if row.get("tokens_per_s_per_gpu"):
        return setup.step_tokens / setup.parallel.devices / row["tokens_per_s_per_gpu"]
    if row.get("samples_per_s") and note.startswith("dense"):
        return setup.micro * setup.accumulation * setup.parallel.data / row["samples_per_s"]
    return None
