"""How the programs of published runs train, where their rows do not say it.

Each entry is a fact about the code of a program, the same for all its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from foretune.plan import setup as plan
from foretune.plan.setup import Packing, Precision

Row = Mapping[str, Any]
Program = Literal["ddp", "fsdp", "deepspeed", "megatron"]


class SkippedError(Exception):
    """A row that cannot be planned, by its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How a program trains, where its rows do not say otherwise."""

    precision: Precision | None = None
    transformers: bool = False
    """True where it runs the models of transformers, whose code has changed with the years."""
    fused: bool = True
    flash: Literal[1, 2, 3] = 2
    compiled: bool = False
    """True where its kernels do what compiled blocks do."""
    stacks_positions: bool = False
    repeats_keys: bool = False
    loss: plan.Loss = "full"
    compiled_loss: str = "9999"
    """Month since which torch.compile takes the loss as well."""
    compiles_float8: bool = False
    """True where float8 is said to need torch.compile."""
    pieces_by_run: str = "9999"
    """Month since which a step has as many micro batches as the pipeline has runs of blocks; before
    it, as many as it has stages."""
    adapter_bytes: int = 4
    keeps_gradients: bool = False
    old: bool = False
    dropout: bool = False
    program: Program = "ddp"
    sharding: plan.Sharding = "none"
    fsdp: Literal[1, 2] = 2
    nf4: Packing = plan.NF4
    checkpointing: plan.Checkpointing = "none"
    torchao: bool = False
    """True where an 8-bit AdamW that is not paged is torchao's."""
    sums_whole: bool = False
    """True where FSDP is kept from sharing out gradients until the last micro batch."""
    packs_in_float32: bool = False
    """True where float32 numbers run between packed linears, and the embedding has a gradient."""
    whole_micro: bool = False
    """True where a micro batch keeps its size, whatever that makes of a step."""
    unties: bool = False
    """True where the output layer is a copy of an embedding that it is tied to."""
    overlapped: bool = False


TRANSFORMERS = Stack(transformers=True, fused=False, sums_whole=True, fsdp=1)
NEMO = Stack(
    precision=plan.MASTER_16, program="megatron", sharding="optimizer", compiled=True, flash=3,
    overlapped=True,
)  # fmt: skip

STACKS: dict[str, Stack] = {
    "torchtune": Stack(
        repeats_keys=True, torchao=True, stacks_positions=True, adapter_bytes=2,
        nf4=plan.NF4_DOUBLE, program="fsdp", checkpointing="full",
    ),
    "torchtitan": Stack(
        precision=plan.SHARDED_MIXED, compiled_loss="2025-01", program="fsdp",
        compiles_float8=True, pieces_by_run="2025-01",
    ),
    "litgpt": Stack(
        fused=False, adapter_bytes=2, loss="chunked", program="fsdp", fsdp=1, unties=True,
        sums_whole=True, whole_micro=True, packs_in_float32=True,
    ),
    "llm-foundry": Stack(precision=plan.SHARDED_MIXED, program="fsdp", flash=1, fsdp=1),
    "IBM fms-fsdp": Stack(precision=plan.SHARDED_MIXED, program="fsdp", fsdp=1),
    "NeMo": NEMO,
    "Megatron-Bridge": NEMO,
    "Megatron": Stack(
        precision=plan.MASTER_16, program="megatron", checkpointing="full", flash=1
    ),
    "InternEvo": Stack(precision=plan.MASTER_16, sharding="optimizer", program="deepspeed"),
    "InternLM": Stack(precision=plan.MASTER_16, sharding="optimizer", program="deepspeed"),
    "DeepSpeed": Stack(precision=plan.MASTER_16, program="deepspeed", flash=1),
    "LLaMA-Factory": replace(TRANSFORMERS, checkpointing="full"),
    "Qwen": replace(TRANSFORMERS, checkpointing="full"),
}  # fmt: skip
"""By the first words of a row's framework; whatever is not named here is taken to train the models
of transformers. Sources: torchtune 0.4 modules/attention.py (keys are expanded),
position_embeddings.py and training/memory.py of 2024-12; torchtitan train.py of 2024-12, with the
loss compiled since 2025-01 and as many micro batches as the pipeline has stages,
parallelisms/pipelining_utils.py; litgpt finetune/*.py (chunks of 128 tokens, no_backward_sync; a
quantised model gets a StableEmbedding, in float32, after the rest was frozen); Megatron's and
NeMo's own fused kernels with cuDNN's attention; InternEvo with FlashAttention 2."""

WRITTEN_OUT = "2023-01"
"""Month before which transformers kept the scores before their division as well, and its Trainer
zeroed gradients instead of freeing them; optimizers stepped one tensor after the other (torch 1:
lists at once are the default since 2.0, torch/optim/optimizer.py, _default_to_fused_or_foreach)."""
SHIFTED = "2024-11"
"""Month before which transformers (4.46) shifted the scores of the vocabulary by a copy."""
REPEATED = "2025-01"
"""Month before which transformers (4.48) copied shared keys for every query head."""


def stack_of(row: Row) -> Stack:
    """How the program of a row trains, at the time of the row."""
    name, date = row.get("framework") or "", row.get("date") or "9999"
    found = next((stack for key, stack in STACKS.items() if name.startswith(key)), TRANSFORMERS)
    if not found.transformers:
        return found
    early = date < WRITTEN_OUT
    return replace(
        found,
        fused=found.fused or early, keeps_gradients=early, old=early, dropout=early,
        repeats_keys=date < REPEATED,
        loss="shifted" if not early and date < SHIFTED else "full",
    )  # fmt: skip
