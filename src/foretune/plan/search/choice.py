"""What a search may change of a run: the place of one candidate in each dimension of the space, and
the settings that put a run there.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ...params.declare import Words
from ...params.run import Run, parameters
from ..of_run import mixed_of, program_of, zero_stage
from ..setup import Setup
from .offer import Offer

Shards = Literal["none", "zero-1", "zero-2", "zero-3", "fsdp"]
Offload = Literal["none", "optimizer", "all"]
Mixed = Literal["no", "fp16", "bf16"]
Method = Literal["ptuning", "lora", "freeze", "full"]

DIMENSIONS: dict[str, Words] = {
    "batch": Words("micro batch and accumulation", "微批次与累积次数"),
    "checkpointing": Words("gradient checkpointing", "梯度检查点"),
    "sharding": Words("ZeRO stage or FSDP", "ZeRO 阶段或 FSDP"),
    "offload": Words("offload to main memory", "卸载到内存"),
    "precision": Words("mixed precision", "混合精度"),
    "quant": Words("quantisation of the frozen base", "冻结基座的量化"),
    "padding": Words("padding of rows", "填充"),
    "method": Words("method", "训练方法"),
    "gpus": Words("number of GPUs", "GPU 数量"),
    "parallel": Words("tensor, pipeline and context parallel", "张量、流水线与上下文并行"),
}
"""What is gone through, by the name that ``--keep`` holds it by."""


class Choice(NamedTuple):
    """One place in the space."""

    gpus: int
    """Of all machines."""
    method: Method
    mixed: Mixed
    quantize: int | None
    sharding: Shards
    offload: Offload
    checkpointing: bool
    padding: bool
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    micro: int = 1
    accumulation: int = 1

    @property
    def data(self) -> int:
        """Groups of GPUs that see different rows."""
        return self.gpus // (self.tensor * self.pipeline * self.context)

    @property
    def total(self) -> int:
        """Rows of one optimizer step."""
        return self.micro * self.accumulation * self.data

    @property
    def runnable(self) -> bool:
        """Whether foretune's own trainer can run it: it shares out no matrix and no row."""
        return self.tensor == self.pipeline == self.context == 1


def choice_of(run: Run, setup: Setup) -> Choice:
    """Where a resolved run stands itself; ``setup`` is the one of this run."""
    program, away = program_of(run), setup.parallel
    sharding: Shards = "none"
    if program == "fsdp":
        sharding = "fsdp"
    elif program == "deepspeed" and zero_stage(run):
        stages: tuple[Shards, ...] = ("none", "zero-1", "zero-2", "zero-3")
        sharding = stages[zero_stage(run)]
    return Choice(
        gpus=run.launch.all_processes,
        method=run.method.name or "full",
        mixed=mixed_of(run),
        quantize=run.precision.quantize,
        sharding=sharding,
        offload="all"
        if away.offload_weights
        else "optimizer"
        if away.offload_optimizer
        else "none",
        checkpointing=setup.checkpointing != "none",
        padding=run.data.pad_to_max_length,
        tensor=away.tensor,
        context=away.context,
        micro=run.batch.micro,
        accumulation=run.batch.accumulation,
    )


ZERO = "deepspeed.zero_optimization."
DS_CONFIG = "ds_config.json"
BUCKET = 50_000_000
"""Elements of DeepSpeed's buckets: a tenth of its default, whose buffers fill a small GPU (rule
Z206), and more than transformers' hidden_size x hidden_size.
"""
USUAL_RATES: dict[str, tuple[float, float, float]] = {
    "ptuning": (1e-3, 1.0, 2e-2),
    "lora": (1e-6, 2e-3, 2e-4),
    "freeze": (0.0, 2e-4, 2e-5),
    "full": (0.0, 2e-4, 2e-5),
}
"""Method -> rates below and above which ``check`` warns (M101, M102), and one that is usual."""
PREFIX_LENGTH = 128


def settings_of(choice: Choice, run: Run, written: Choice, offer: Offer) -> dict[str, Any]:
    """What must be set on top of a written run, by dotted path, to bring it to a place.

    ``written`` is where the run stands itself: a dimension in which the two agree is left as it is.
    """
    found: dict[str, Any] = {}
    if choice.method != written.method:
        found |= _method(choice, run)
    if choice.mixed != written.mixed:
        found["precision.mixed"] = choice.mixed
    if choice.quantize != written.quantize:
        found["precision.quantize"] = choice.quantize
    if choice.checkpointing != written.checkpointing:
        found |= _checkpointing(choice, run)
    if choice.padding != written.padding:
        found["data.pad_to_max_length"] = choice.padding
    if choice.micro != written.micro:
        found["batch.micro"] = choice.micro
    if choice.accumulation != written.accumulation:
        found["batch.accumulation"] = choice.accumulation
    spread = (choice.sharding, choice.offload) != (written.sharding, written.offload)
    if spread:
        found |= _sharding(choice, run)
    if choice.gpus != run.launch.all_processes or spread:
        found |= _launch(choice, run, offer)
    return {path: value for path, value in found.items() if run.get(path) != value}


def _method(choice: Choice, run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"method.name": choice.method}
    low, high, usual = USUAL_RATES[choice.method]
    if not low <= run.optim.learning_rate <= high:
        found["optim.learning_rate"] = usual
    if choice.method == "ptuning" and run.method.prefix.length is None:
        found["method.prefix.length"] = PREFIX_LENGTH
    return found


def _checkpointing(choice: Choice, run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"batch.gradient_checkpointing": choice.checkpointing}
    if not choice.checkpointing:
        found["batch.gradient_checkpointing_kwargs"] = None
        found["accelerate.fsdp_config.fsdp_activation_checkpointing"] = False
    return found


OF_SHARDING = (
    "deepspeed.",
    "accelerate.fsdp_config.",
    "accelerate.deepspeed_config.",
    "launch.deepspeed",
    "launch.fsdp",
)
"""Beginnings of the parameters of the programs that shard."""


def _sharding(choice: Choice, run: Run) -> dict[str, Any]:
    """The program that shards, with what it shards; whatever another one had is taken back."""
    stays = choice.sharding.startswith("zero") and program_of(run) == "deepspeed"
    taken_back = (f"{ZERO}offload",) if stays else OF_SHARDING
    found: dict[str, Any] = {
        path: field.default
        for path, field in parameters().items()
        if path.startswith(taken_back) and run.get(path) != field.default
    }
    kind = "MULTI_GPU" if choice.gpus > 1 else "NO"
    if choice.sharding == "fsdp":
        kind = "FSDP"
        offload = " offload" if choice.offload == "all" else ""
        found["launch.fsdp"] = f"full_shard{offload} auto_wrap"
    elif choice.sharding != "none":
        kind = "DEEPSPEED"
        found |= _zero(choice, own=stays)
    if run.accelerate.distributed_type is not None:
        found["accelerate.distributed_type"] = kind
    return found


def _zero(choice: Choice, *, own: bool) -> dict[str, Any]:
    """DeepSpeed's settings; ``own`` where the run has some already, which stay as they are."""
    stage = int(choice.sharding[-1])
    found: dict[str, Any] = {f"{ZERO}stage": stage}
    if not own:
        found |= {
            "launch.deepspeed": DS_CONFIG,
            f"{ZERO}overlap_comm": True,
            f"{ZERO}reduce_bucket_size": BUCKET,
            "deepspeed.bf16.enabled": "auto",
            "deepspeed.fp16.enabled": "auto",
        }
    if stage == 3:
        found[f"{ZERO}stage3_gather_16bit_weights_on_model_save"] = True
    if choice.offload != "none":
        found[f"{ZERO}offload_optimizer.device"] = "cpu"
        found[f"{ZERO}offload_optimizer.pin_memory"] = True
    if choice.offload == "all":
        found[f"{ZERO}offload_param.device"] = "cpu"
        found[f"{ZERO}offload_param.pin_memory"] = True
    return found


def _launch(choice: Choice, run: Run, offer: Offer) -> dict[str, Any]:
    each, nodes = offer.spread(choice.gpus)
    found: dict[str, Any] = {"launch.processes": each, "launch.nodes": nodes}
    others = ("python",) if choice.sharding.startswith("zero") else ("python", "deepspeed")
    if choice.gpus > 1 or choice.sharding != "none":
        if run.launch.launcher in others:
            found["launch.launcher"] = "torchrun"
    else:
        found["launch.launcher"] = "python"
    visible = [one for one in (run.launch.visible_devices or "").split(",") if one.strip()]
    if visible and len(visible) != each:
        found["launch.visible_devices"] = ",".join(visible[:each]) if len(visible) > each else None
    return found
