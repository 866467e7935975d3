"""Environment variables that accelerate's launcher sets for the processes that it starts. Exported by
hand, they do the same for a program that is started without it.
"""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class OfAccelerate(Section):
    """Variables by which accelerate tells its processes what they are to do.

    accelerate 用来告诉各进程如何工作的变量。
    """

    accelerate_use_cpu: Annotated[Text, Field(alias="ACCELERATE_USE_CPU")] = param(
        None, matters=2, source="accelerate 1.15, state.py"
    )
    """Train on the processor even where there is a GPU; transformers reads it as well. `accelerate
    launch` sets it from --cpu.

    即使有 GPU 也在 CPU 上训练，transformers 也读取它。 `accelerate launch` 由 --cpu 设置它。
    """

    accelerate_use_megatron_lm: Annotated[Text, Field(alias="ACCELERATE_USE_MEGATRON_LM")] = param(
        None, source="accelerate 1.15, accelerator.py"
    )
    """Turn on what accelerate has for Megatron-LM. `accelerate launch` sets it from
    --use_megatron_lm.

    启用 accelerate 对 Megatron-LM 的支持。 `accelerate launch` 由 --use_megatron_lm 设置它。
    """

    accelerate_use_parallelism_config: Annotated[
        Text, Field(alias="ACCELERATE_USE_PARALLELISM_CONFIG")
    ] = param(None, source="accelerate 1.15, accelerator.py")
    """Read the sizes of the groups that share a model from the variables that begin with
    PARALLELISM_CONFIG. `accelerate launch` sets it from --use_parallelism_config.

    从以 PARALLELISM_CONFIG 开头的变量读取各并行组的大小。 `accelerate launch` 由
    --use_parallelism_config 设置它。
    """

    accelerate_cpu_affinity: Annotated[Text, Field(alias="ACCELERATE_CPU_AFFINITY")] = param(
        None, source="accelerate 1.15, state.py"
    )
    """Keep every process on the CPU cores near its GPU. `accelerate launch` sets it from
    --enable_cpu_affinity.

    把每个进程绑定到靠近其 GPU 的 CPU 核。 `accelerate launch` 由 --enable_cpu_affinity 设置它。
    """

    accelerate_dynamo_backend: Annotated[Text, Field(alias="ACCELERATE_DYNAMO_BACKEND")] = param(
        None, matters=2, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Compile the model with this backend of torch.compile. TrainingArguments' torch_compile sets
    it, too. `accelerate launch` sets it from --dynamo_backend.

    用 torch.compile 的这个后端编译模型。TrainingArguments 的 torch_compile 也会设置它。 `accelerate
    launch` 由 --dynamo_backend 设置它。
    """

    accelerate_dynamo_mode: Annotated[Text, Field(alias="ACCELERATE_DYNAMO_MODE")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Whether torch.compile saves time or memory, or tries out kernels first. `accelerate launch`
    sets it from --dynamo_mode.

    torch.compile 是侧重省时、省显存，还是先逐一试验算子。 `accelerate launch` 由 --dynamo_mode 设置
    它。
    """

    accelerate_gradient_clipping: Annotated[Text, Field(alias="ACCELERATE_GRADIENT_CLIPPING")] = (
        param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    )
    """Length at which DeepSpeed cuts gradients, where no file of DeepSpeed says it. `accelerate
    launch` sets it from --gradient_clipping.

    没有 DeepSpeed 配置文件时，DeepSpeed 的梯度裁剪阈值。 `accelerate launch` 由 --gradient_clipping
    设置它。
    """

    accelerate_deepspeed_config_file: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_CONFIG_FILE")
    ] = param(None, matters=2, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """File of DeepSpeed; with it the other variables about ZeRO must not be set. `accelerate
    launch` sets it from --deepspeed_config_file.

    DeepSpeed 的配置文件；设置它之后，不得再设置其他与 ZeRO 有关的变量。 `accelerate launch` 由
    --deepspeed_config_file 设置它。
    """

    accelerate_config_ds_fields: Annotated[Text, Field(alias="ACCELERATE_CONFIG_DS_FIELDS")] = (
        param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    )
    """Names of the settings about DeepSpeed that accelerate's own file has: beside a file of
    DeepSpeed they are an error. `accelerate launch` sets it from what stands in its file.

    accelerate 自己的配置文件里写了哪些 DeepSpeed 设置；与 DeepSpeed 配置文件并存时报错。
    `accelerate launch` 由 what stands in its file 设置它。
    """

    accelerate_deepspeed_offload_optimizer_device: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Where ZeRO keeps the state of the optimizer. `accelerate launch` sets it from
    --offload_optimizer_device.

    ZeRO 把优化器状态放在哪里。 `accelerate launch` 由 --offload_optimizer_device 设置它。
    """

    accelerate_deepspeed_offload_optimizer_nvme_path: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_NVME_PATH")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Folder on a disk for the state of the optimizer. `accelerate launch` sets it from
    --offload_optimizer_nvme_path.

    存放优化器状态的磁盘文件夹。 `accelerate launch` 由 --offload_optimizer_nvme_path 设置它。
    """

    accelerate_deepspeed_offload_param_device: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Where ZeRO in its third stage keeps the weights. `accelerate launch` sets it from
    --offload_param_device.

    ZeRO 第 3 阶段把权重放在哪里。 `accelerate launch` 由 --offload_param_device 设置它。
    """

    accelerate_deepspeed_offload_param_nvme_path: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_NVME_PATH")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Folder on a disk for the weights. `accelerate launch` sets it from --offload_param_nvme_path.

    存放权重的磁盘文件夹。 `accelerate launch` 由 --offload_param_nvme_path 设置它。
    """

    accelerate_deepspeed_zero3_init: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_ZERO3_INIT")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Cut the weights while the model is being made, so that no process ever holds all of them.
    `accelerate launch` sets it from --zero3_init_flag.

    构建模型时就切分权重，任何进程都不会持有全部权重。 `accelerate launch` 由 --zero3_init_flag 设置
    它。
    """

    accelerate_deepspeed_zero3_save_16bit_model: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Gather the weights of the third stage when a model is saved. `accelerate launch` sets it from
    --zero3_save_16bit_model.

    保存模型时把第 3 阶段切分的权重收集完整。 `accelerate launch` 由 --zero3_save_16bit_model 设置
    它。
    """

    accelerate_deepspeed_moe_layer_cls_names: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_MOE_LAYER_CLS_NAMES")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Classes of layers that ZeRO must gather as a whole, as mixtures of experts need. `accelerate
    launch` sets it from --deepspeed_moe_layer_cls_names.

    ZeRO 必须整体收集的层的类名，混合专家模型需要。 `accelerate launch` 由
    --deepspeed_moe_layer_cls_names 设置它。
    """

    accelerate_fp8_backend: Annotated[Text, Field(alias="ACCELERATE_FP8_BACKEND")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Library that computes in eight bits. `accelerate launch` sets it from --fp8_backend.

    用哪个库做 8 位计算。 `accelerate launch` 由 --fp8_backend 设置它。
    """

    accelerate_fp8_opt_level: Annotated[Text, Field(alias="ACCELERATE_FP8_OPT_LEVEL")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """How much MS-AMP holds in eight bits. `accelerate launch` sets it from --fp8_opt_level.

    MS-AMP 把哪些内容存成 8 位。 `accelerate launch` 由 --fp8_opt_level 设置它。
    """

    accelerate_torch_device: Annotated[Text, Field(alias="ACCELERATE_TORCH_DEVICE")] = param(
        None, source="accelerate 1.15, state.py"
    )
    """Device that every process takes where no launcher says which, as cpu or cuda:1.

    没有启动器指定时各进程使用的设备，例如 cpu 或 cuda:1。
    """

    accelerate_bypass_device_map: Annotated[Text, Field(alias="ACCELERATE_BYPASS_DEVICE_MAP")] = (
        param(None, source="accelerate 1.15, accelerator.py")
    )
    """Allow a model that is spread over several GPUs to train in several processes, which is
    refused otherwise.

    允许分布在多块 GPU 上的模型以多进程训练；默认会被拒绝。
    """

    accelerate_allow_cp_standalone: Annotated[
        Text, Field(alias="ACCELERATE_ALLOW_CP_STANDALONE")
    ] = param(None, source="accelerate 1.15, state.py")
    """Allow texts to be cut among processes without FSDP, which is refused otherwise.

    允许不用 FSDP 而单独切分文本；默认会被拒绝。
    """

    accelerate_enable_rich: Annotated[Text, Field(alias="ACCELERATE_ENABLE_RICH")] = param(
        None, source="accelerate 1.15, utils/imports.py"
    )
    """Print errors and logs in colour, by the package rich.

    用 rich 以彩色输出错误和日志。
    """
