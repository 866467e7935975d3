"""Arguments that transformers 4 took and transformers 5 refuses, and what they stand for today.

Found by comparing the fields of Seq2SeqTrainingArguments in 33 releases, 4.0.1 to 5.23.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .argument_text import Kind, Values, boolean, number


@dataclass(frozen=True, slots=True)
class Removed:
    """A name that some transformers 4 took and 5.23 refuses."""

    kind: Kind
    why: str
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


RENAMED = "transformers renamed it"
CHOSEN_ALONE = "transformers finds the device by itself and has no such flag any more"
NO_APEX = "transformers left NVIDIA apex for torch's own mixed precision"
SAFETENSORS = Removed(
    "boolean", "transformers writes weights as safetensors and has no other way any more"
)

REMOVED: dict[str, Removed] = {
    "overwrite_output_dir": Removed(
        "boolean",
        "transformers 5 has no such flag and writes into any folder; foretune keeps the question",
        _same("record.overwrite"),
    ),
    "evaluation_strategy": Removed("scalar", RENAMED, _same("record.eval_strategy")),
    "no_cuda": Removed("boolean", RENAMED, _same("launch.use_cpu")),
    "per_gpu_train_batch_size": Removed("scalar", RENAMED, _same("batch.micro")),
    "per_gpu_eval_batch_size": Removed("scalar", RENAMED, _same("batch.eval")),
    "push_to_hub_token": Removed("scalar", RENAMED, _same("trainer.hub_token")),
    "push_to_hub_model_id": Removed("scalar", RENAMED, _same("trainer.hub_model_id")),
    "push_to_hub_organization": Removed(
        "scalar", "the organisation is now part of the name: hub_model_id organisation/model"
    ),
    "xpu_backend": Removed("scalar", RENAMED, _same("launch.ddp_backend")),
    "torchdynamo": Removed("scalar", RENAMED, _same("trainer.torch_compile_backend")),
    "warmup_ratio": Removed(
        "scalar", "transformers 5 takes the share as warmup_steps below one", _read_warmup_ratio
    ),
    "group_by_length": Removed(
        "boolean",
        "transformers 5 has it as train_sampling_strategy group_by_length",
        _if_true("batch.order", "group_by_length"),
    ),
    "adafactor": Removed(
        "boolean", "transformers 5 has it as optim adafactor", _if_true("optim.name", "adafactor")
    ),
    "tpu_metrics_debug": Removed(
        "boolean",
        "transformers 5 has it as debug tpu_metrics_debug",
        _if_true("trainer.debug", ("tpu_metrics_debug",)),
    ),
    "include_inputs_for_metrics": Removed(
        "boolean",
        "transformers 5 has it as include_for_metrics inputs",
        _if_true("trainer.include_for_metrics", ("inputs",)),
    ),
    "include_tokens_per_second": Removed(
        "boolean",
        "transformers 5 logs tokens per second where input tokens are counted",
        _if_true("record.num_input_tokens", "all"),
    ),
    "dispatch_batches": Removed(
        "boolean", "it moved into accelerator_config", _accelerator("dispatch_batches")
    ),
    "split_batches": Removed(
        "boolean", "it moved into accelerator_config", _accelerator("split_batches")
    ),
    "fsdp_min_num_params": Removed("scalar", "it moved into fsdp_config", _read_min_num_params),
    "fsdp_transformer_layer_cls_to_wrap": Removed(
        "scalar",
        "it moved into fsdp_config",
        lambda value: {"launch.fsdp_config": {"transformer_layer_cls_to_wrap": [value]}},
    ),
    "logging_dir": Removed(
        "scalar",
        "TensorBoard's folder is taken from the variable TENSORBOARD_LOGGING_DIR, or lies in the "
        "output folder",
    ),
    "save_safetensors": SAFETENSORS,
    "no_save_safetensors": SAFETENSORS,
    "use_mps_device": Removed("boolean", CHOSEN_ALONE),
    "tpu_num_cores": Removed("scalar", CHOSEN_ALONE),
    "half_precision_backend": Removed("scalar", NO_APEX),
    "fp16_backend": Removed("scalar", NO_APEX),
    "fp16_opt_level": Removed("scalar", NO_APEX),
    "jit_mode_eval": Removed("boolean", "transformers no longer traces models for evaluation"),
    "use_ipex": Removed("boolean", "transformers no longer uses Intel's extension for PyTorch"),
    "sharded_ddp": Removed(
        "scalar", "FairScale's sharding is gone; DeepSpeed or FSDP shards today (deepspeed, fsdp)"
    ),
    "tp_size": Removed("scalar", "tensor parallelism is set where the model is loaded"),
    "past_index": Removed(
        "scalar", "the trainer carries no memory of a model from batch to batch any more"
    ),
    "use_legacy_prediction_loop": Removed("boolean", "there is one prediction loop only"),
    "mp_parameters": Removed(
        "scalar", "only SageMaker's launcher wrote it, and the trainer never read it"
    ),
    "ray_scope": Removed("scalar", "it belonged to hyperparameter search with Ray"),
}
"""Every name of 4.0.1 to 5.12.0 that 5.23.0 does not take."""
