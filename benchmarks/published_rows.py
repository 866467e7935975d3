"""Rows of a table of published runs, read as what the planner takes: a shape, a setup, hardware.

A row says what was run in the words of its source. What it leaves open is taken from the program
that it names: how that program computes is a fact about its code, given once for all its rows in
STACKS. Nothing here knows a single row or source.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from published_models import dims_of, is_named
from published_stacks import Program, Row, SkippedError, Stack, stack_of

from foretune.errors import UserError
from foretune.params.arch.shape import Shape
from foretune.plan import setup as plan
from foretune.plan.decoder import decoder_shape
from foretune.plan.devices import Device, device_named
from foretune.plan.setup import Adapter, Kernels, Packing, Parallel, Precision, Setup
from foretune.plan.step_time import Hardware

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A row as the planner takes it."""

    shape: Shape
    setup: Setup
    hardware: Hardware | None


def read(row: Row) -> Planned:
    """A row as the planner takes it. Raises SkippedError with the reason where it cannot be."""
    dims_of(row)
    for key in ("quality", "source", "framework", "model", "method"):
        if not isinstance(row.get(key), str):
            raise SkippedError(f"no {key}")
    if not is_positive(row.get("gpus")):
        raise SkippedError("no number of devices")
    if not is_positive(row.get("seq_len")) or not is_positive(row.get("micro_batch")):
        raise SkippedError("no length or batch")
    if "not packed, variable" in (row.get("seq_note") or ""):
        raise SkippedError("lengths vary and are not given")
    if row.get("framework", "").startswith("LLaMA-Factory") and "Unsloth" in (
        row.get("attention") or ""
    ):
        return replace(_read(row), setup=_unsloth(_read(row).setup))
    return _read(row)


def is_positive(value: object) -> bool:
    """Whether a value is a number above nothing."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


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


def _shape(row: Row, kernels: Kernels) -> Shape:
    dims = dims_of(row)
    tied = dims.get("tied", is_named(row, TIED)) and not stack_of(row).unties
    learned = row["seq_len"] if is_named(row, ("mpt", "gpt", "bert")) else 0
    classifies = "Classification" in row["model"]
    shape = decoder_shape(
        hidden=dims["hidden"], layers=dims["layers"], heads=dims["heads"],
        kv_heads=dims.get("kv_heads"), head_dim=dims.get("head_dim"), ffn=dims["ffn"],
        vocab=dims.get("vocab") or VOCABULARY, gated=kernels.gated, tied=tied or classifies,
        bias=dims.get("bias", is_named(row, ("gpt", "bert", "phi"))),
        positions=dims.get("positions", learned), experts=dims.get("experts", 0),
        experts_used=dims.get("experts_used", 0),
    )  # fmt: skip
    return replace(shape, vocab=0) if classifies else shape


def _kernels(row: Row, stack: Stack) -> Kernels:
    attention = (row.get("attention") or "flash").lower()
    words = (row.get("precision") or "").lower()
    told = row.get("compile")
    compiled = stack.compiled or (stack.compiles_float8 and "float8" in words)
    compiled = compiled if told is None else bool(told) or stack.compiled
    loss = stack.loss
    if compiled and (row.get("date") or "") >= stack.compiled_loss:
        loss = "compiled"
    if _has(row, "+chunked CE"):
        loss = "chunked"
    return Kernels(
        attention="eager" if attention == "eager" else "flash", flash=stack.flash,
        stacks_positions=stack.stacks_positions,
        repeats_keys=stack.repeats_keys, compiled=compiled,
        layer_norm=is_named(row, LAYER_NORM),
        gated=dims_of(row).get("gated", not is_named(row, UNGATED)),
        norms=1 if is_named(row, ONE_NORM) else 2, loss=loss,
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
    if stack.packs_in_float32 and _packing(row, stack) is not None:
        return Precision(weights=2, compute=4, gradients=2, moments=2)
    fp8 = re.search("float8|fp8|f8", words.lower()) is not None
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
        embedding_gradient=stack.packs_in_float32 and _packing(row, stack) is not None,
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
    sharding = stack.sharding if data > 1 else "none"
    if "GRAD_OP" in words or "ZeRO-2" in words:
        sharding = "gradients"
    elif "ZeRO-1" in words or "distributed optimizer" in words.lower():
        sharding = "optimizer"
    elif "FSDP" in words or "ZeRO-3" in words or (stack.program == "fsdp" and _blockwise(row)):
        sharding = "all"
    program: Program = stack.program
    if "ZeRO" in words and program == "ddp":
        program = "deepspeed"
    elif "FSDP" in words:
        program = "fsdp"
    kept = row.get("offload") or ""
    return Parallel(
        data=data, context=context, tensor=tensor, pipeline=stages,
        interleaved="Interleaved" in (row.get("notes") or ""), sharding=sharding,
        sums_whole=stack.sums_whole, fsdp=2 if "FSDP2" in words else stack.fsdp,
        offload_weights="params" in kept, offload_optimizer="opt" in kept,
        overlapped=stack.overlapped or re.search("async.?tp", words_of(row), re.I) is not None,
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
        by_run = parallel.interleaved and (row.get("date") or "") >= stack_of(row).pieces_by_run
        pieces = parallel.pipeline * (2 if by_run else 1)
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
    if re.search(
        r"\b(mean|average|avg|minimum)\b|after (the )?step", kind
    ):  # not the most of the run
        return None
    shared = row["gpus"] if re.search(r"\b(total|sum|all gpus)\b", kind) else 1
    if re.search("nvidia-smi|nvml|vram|unknown", kind):
        number = "used"
    elif "reserved" in kind or "titan log" in kind or "per-process" in kind:
        number = "reserved"
    else:
        number = "allocated"
    return row["peak_mem"] * unit / shared, number


def measured_seconds(row: Row, setup: Setup) -> float | None:
    """Seconds of a step that a row reports, None where its tokens are not known."""
    note = (row.get("seq_note") or "").lower()
    if "variable" in note or "max" in note.split("_")[0] or "unpacked" in note:
        return None
    if row.get("step_time_s"):
        return row["step_time_s"]
    if row.get("tokens_per_s_per_gpu"):
        return setup.step_tokens / setup.parallel.devices / row["tokens_per_s_per_gpu"]
    if row.get("tokens_per_s"):
        return setup.step_tokens / row["tokens_per_s"]
    if row.get("samples_per_s") and note.startswith("dense"):
        return setup.micro * setup.accumulation * setup.parallel.data / row["samples_per_s"]
    return None
