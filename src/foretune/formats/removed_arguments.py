"""Arguments that transformers 4 took and transformers 5 refuses, and what they stand for today.

Found by comparing the fields of Seq2SeqTrainingArguments in 33 releases, 4.0.1 to 5.23.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..text import Said
from .argument_text import Kind, Values, boolean, number


@dataclass(frozen=True, slots=True)
class Removed:
    """A name that some transformers 4 took and 5.23 refuses."""

    kind: Kind
    why: Said
    """What became of it, as the reason in a note."""
    read: Callable[[object], Values] = lambda value: {}
    """What it stands for today; nothing where it has no effect any more."""


def _same(path: str) -> Callable[[object], Values]:
    return lambda value: {path: value}


def _if_true(path: str, meaning: object) -> Callable[[object], Values]:
    return lambda value: {path: meaning} if boolean(value) is True else {}


def _read_warmup_ratio(value: object) -> Values:
    ratio = number(value)
    if ratio == 0:
        return {}
    if ratio == 1:
        return {"schedule.warmup": math.nextafter(1, 0)}  # 1 would be a single step
    return {"schedule.warmup": value}


def _read_min_num_params(value: object) -> Values:
    if not number(value) > 0:
        return {}
    policy = {"auto_wrap_policy": "SIZE_BASED_WRAP", "min_num_params": int(number(value))}
    return {"launch.fsdp_config": policy}


def _accelerator(key: str) -> Callable[[object], Values]:
    return lambda value: {"trainer.accelerator_config": {key: boolean(value)}}


RENAMED = Said("transformers renamed it", "transformers 改了它的名字")
CHOSEN_ALONE = Said(
    "transformers finds the device by itself and has no such flag any more",
    "transformers 会自己找到设备，不再有这个参数",
)
NO_APEX = Said(
    "transformers left NVIDIA apex for torch's own mixed precision",
    "transformers 已改用 torch 自己的混合精度，不再使用 NVIDIA apex",
)
SAFETENSORS = Removed(
    "boolean",
    Said(
        "transformers writes weights as safetensors and has no other way any more",
        "transformers 只以 safetensors 保存权重，不再有别的方式",
    ),
)
WITHIN_ACCELERATOR = Said("it moved into accelerator_config", "已移入 accelerator_config")
WITHIN_FSDP = Said("it moved into fsdp_config", "已移入 fsdp_config")

REMOVED: dict[str, Removed] = {
    "overwrite_output_dir": Removed(
        "boolean",
        Said(
            "transformers 5 has no such flag and writes into any folder; foretune keeps the "
            "question",
            "transformers 5 没有这个参数，任何文件夹都直接写入；foretune 仍会先问",
        ),
        _same("record.overwrite"),
    ),
    "evaluation_strategy": Removed("scalar", RENAMED, _same("record.eval_strategy")),
    "no_cuda": Removed("boolean", RENAMED, _same("launch.use_cpu")),
    "per_gpu_train_batch_size": Removed("scalar", RENAMED, _same("batch.micro")),
    "per_gpu_eval_batch_size": Removed("scalar", RENAMED, _same("batch.eval")),
    "push_to_hub_token": Removed("scalar", RENAMED, _same("trainer.hub_token")),
    "push_to_hub_model_id": Removed("scalar", RENAMED, _same("trainer.hub_model_id")),
    "push_to_hub_organization": Removed(
        "scalar",
        Said(
            "the organisation is now part of the name: hub_model_id organisation/model",
            "组织名如今写在名称里：hub_model_id 组织/模型",
        ),
    ),
    "xpu_backend": Removed("scalar", RENAMED, _same("launch.ddp_backend")),
    "torchdynamo": Removed("scalar", RENAMED, _same("trainer.torch_compile_backend")),
    "warmup_ratio": Removed(
        "scalar",
        Said(
            "transformers 5 takes the share as warmup_steps below one",
            "在 transformers 5 中，比例写成小于一的 warmup_steps",
        ),
        _read_warmup_ratio,
    ),
    "group_by_length": Removed(
        "boolean",
        Said(
            "transformers 5 has it as train_sampling_strategy group_by_length",
            "在 transformers 5 中写作 train_sampling_strategy group_by_length",
        ),
        _if_true("batch.order", "group_by_length"),
    ),
    "adafactor": Removed(
        "boolean",
        Said(
            "transformers 5 has it as optim adafactor", "在 transformers 5 中写作 optim adafactor"
        ),
        _if_true("optim.name", "adafactor"),
    ),
    "tpu_metrics_debug": Removed(
        "boolean",
        Said(
            "transformers 5 has it as debug tpu_metrics_debug",
            "在 transformers 5 中写作 debug tpu_metrics_debug",
        ),
        _if_true("trainer.debug", ("tpu_metrics_debug",)),
    ),
    "include_inputs_for_metrics": Removed(
        "boolean",
        Said(
            "transformers 5 has it as include_for_metrics inputs",
            "在 transformers 5 中写作 include_for_metrics inputs",
        ),
        _if_true("trainer.include_for_metrics", ("inputs",)),
    ),
    "include_tokens_per_second": Removed(
        "boolean",
        Said(
            "transformers 5 logs tokens per second where input tokens are counted",
            "transformers 5 在统计输入词元数时一并记录每秒词元数",
        ),
        _if_true("record.num_input_tokens", "all"),
    ),
    "dispatch_batches": Removed("boolean", WITHIN_ACCELERATOR, _accelerator("dispatch_batches")),
    "split_batches": Removed("boolean", WITHIN_ACCELERATOR, _accelerator("split_batches")),
    "fsdp_min_num_params": Removed("scalar", WITHIN_FSDP, _read_min_num_params),
    "fsdp_transformer_layer_cls_to_wrap": Removed(
        "scalar",
        WITHIN_FSDP,
        lambda value: {"launch.fsdp_config": {"transformer_layer_cls_to_wrap": [value]}},
    ),
    "logging_dir": Removed(
        "scalar",
        Said(
            "TensorBoard's folder is taken from the variable TENSORBOARD_LOGGING_DIR, or lies in "
            "the output folder",
            "TensorBoard 的文件夹取自环境变量 TENSORBOARD_LOGGING_DIR，否则位于输出文件夹中",
        ),
    ),
    "save_safetensors": SAFETENSORS,
    "no_save_safetensors": SAFETENSORS,
    "use_mps_device": Removed("boolean", CHOSEN_ALONE),
    "tpu_num_cores": Removed("scalar", CHOSEN_ALONE),
    "half_precision_backend": Removed("scalar", NO_APEX),
    "fp16_backend": Removed("scalar", NO_APEX),
    "fp16_opt_level": Removed("scalar", NO_APEX),
    "jit_mode_eval": Removed(
        "boolean",
        Said(
            "transformers no longer traces models for evaluation",
            "transformers 评估时不再追踪编译模型",
        ),
    ),
    "use_ipex": Removed(
        "boolean",
        Said(
            "transformers no longer uses Intel's extension for PyTorch",
            "transformers 不再使用 Intel 的 PyTorch 扩展",
        ),
    ),
    "sharded_ddp": Removed(
        "scalar",
        Said(
            "FairScale's sharding is gone; DeepSpeed or FSDP shards today (deepspeed, fsdp)",
            "FairScale 分片已不再支持，如今用 DeepSpeed 或 FSDP 分片（deepspeed、fsdp）",
        ),
    ),
    "tp_size": Removed(
        "scalar",
        Said("tensor parallelism is set where the model is loaded", "张量并行改在加载模型处设置"),
    ),
    "past_index": Removed(
        "scalar",
        Said(
            "the trainer carries no memory of a model from batch to batch any more",
            "训练器不再把模型的记忆从一个批次带到下一个",
        ),
    ),
    "use_legacy_prediction_loop": Removed(
        "boolean", Said("there is one prediction loop only", "预测循环如今只有一种")
    ),
    "mp_parameters": Removed(
        "scalar",
        Said(
            "only SageMaker's launcher wrote it, and the trainer never read it",
            "只有 SageMaker 的启动器写它，训练器从不读取",
        ),
    ),
    "ray_scope": Removed(
        "scalar",
        Said("it belonged to hyperparameter search with Ray", "它属于用 Ray 做的超参数搜索"),
    ),
}
"""Every name of 4.0.1 to 5.12.0 that 5.23.0 does not take."""
