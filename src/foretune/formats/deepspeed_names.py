"""Second, old and lost names of ds_config.json, and where DeepSpeed is strict about names.

Read in DeepSpeed 0.18.9, 0.19.0, 0.19.4, 0.19.6, 0.19.7 and 0.19.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..text import Said

ALIASES = {
    f"zero_optimization.{name}": f"zero_optimization.stage3_{name}"
    for name in (
        "prefetch_bucket_size",
        "param_persistence_threshold",
        "model_persistence_threshold",
        "max_live_parameters",
        "max_reuse_distance",
        "gather_16bit_weights_on_model_save",
        "module_granularity_threshold",
        "use_all_reduce_for_fetch_params",
        "allgather_sequential",
    )
} | {
    "tensor_parallel.tensor_parallel": "tensor_parallel.tp",
    "tensor_parallel.kernel_inject": "tensor_parallel.replace_with_kernel_inject",
}
"""Second names under which DeepSpeed itself takes a key."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key of earlier versions: what it is now, and why."""

    key: str
    """The key of today; '' where nothing reads it any more."""
    why: Said
    turned_on: object = None
    """What a true stands for; None where the value is kept."""


OFFLOAD = Said(
    "DeepSpeed takes the old name for it still, with a warning",
    "DeepSpeed 仍接受它的旧名，但会警告",
)
RENAMED = {
    "zero_optimization.cpu_offload": Renamed(
        "zero_optimization.offload_optimizer.device", OFFLOAD, "cpu"
    ),
    "zero_optimization.cpu_offload_param": Renamed(
        "zero_optimization.offload_param.device", OFFLOAD, "cpu"
    ),
    "zero_optimization.cpu_offload_use_pin_memory": Renamed(
        "",
        Said(
            "DeepSpeed takes it and reads it nowhere; pin_memory of the offload sections is read",
            "DeepSpeed 接受它却从不读取；读取的是各卸载配置块中的 pin_memory",
        ),
    ),
    "zero_optimization.stage3_gather_fp16_weights_on_model_save": Renamed(
        "zero_optimization.stage3_gather_16bit_weights_on_model_save",
        Said(
            "DeepSpeed takes the old name still, with a warning; accelerate knows the new one only",
            "DeepSpeed 仍接受旧名，但会警告；accelerate 只认识新名",
        ),
    ),
    "aio.thread_count": Renamed(
        "aio.intra_op_parallelism",
        Said(
            "DeepSpeed's documentation has the old name still; its code reads the new one only, so "
            "as it stands the default holds",
            "DeepSpeed 的文档仍用旧名，代码只读取新名，因此照现在的写法取的是默认值",
        ),
    ),
}
BFLOAT16 = Said(
    "accelerate adds a bf16 block of its own, and DeepSpeed then ignores this one; without "
    "accelerate it is read as bf16",
    "accelerate 会自己加上 bf16 配置块，DeepSpeed 随即忽略这一个；不经 accelerate 时它读作 bf16",
)

REMOVED = {
    "nebula": "0.19.7",
    "compression_training": "0.19.7",
    "quantize_training": "0.19.7",
    "sparse_attention": "0.19.7",
    "zero_optimization.mics_shard_size": "0.19.7",
    "zero_optimization.mics_hierarchical_params_gather": "0.19.7",
    "amp": "0.19.8",
    "sparse_gradients": "0.19.8",
    "eigenvalue": "0.19.8",
    "elasticity": "0.19.8",
    "graph_harvesting": "0.19.8",
    "curriculum_learning": "0.19.8",
    "progressive_layer_drop": "0.19.8",
    "zero_optimization.zeropp_loco_param": "0.19.8",
}
"""Keys that DeepSpeed has no longer -> the first version that refuses a file with one."""

STRICT = (
    "zero_optimization",
    "fp16",
    "bf16",
    "comms_logger",
    "tensorboard",
    "wandb",
    "csv_monitor",
    "comet",
    "hybrid_engine",
    "weight_quantization",
    "compile",
    "timers.throughput",
    "tensor_parallel",
)
"""The sections in which DeepSpeed refuses an unknown key; elsewhere it ignores one silently."""

NULLABLE = (
    "bf16",
    "aio",
    "checkpoint",
    "checkpoint.writer",
    "zero_optimization.offload_param",
    "zero_optimization.offload_optimizer",
    "zero_optimization.zenflow",
    "zero_optimization.leaf_module",
    "autotuning.model_info",
)
"""Sections that may be null."""

TURNED_ON_BY_BEING_THERE = ("zero_optimization.zenflow", "checkpoint.writer")

OWN_OPTIMIZERS = ("adam", "adamw", "lamb", "lion", "adagrad", "muon")
OWN_SCHEDULES = ("WarmupLR", "WarmupDecayLR", "WarmupCosineLR", "OneCycle", "LRRangeTest")
"""What DeepSpeed builds itself; of any other name it takes the class of torch, and the params are
that class's."""

ANY_CASE = (
    "communication_data_type",
    "seq_parallel_communication_data_type",
    "gradient_allreduce_op",
    "checkpoint.tag_validation",
    "checkpoint.writer.type",
    "checkpoint.writer.data_parallel",
)
"""Keys whose words DeepSpeed takes in any case of letters."""
