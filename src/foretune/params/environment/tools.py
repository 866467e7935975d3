"""Environment variables about trackers, DeepSpeed and accelerate."""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class Tools(Section):
    """Variables of trackers, DeepSpeed and accelerate.

    日志平台、DeepSpeed 与 accelerate 的变量。
    """

    wandb_project: Annotated[Text, Field(alias="WANDB_PROJECT")] = param(
        None, source="transformers 5.23.0, integrations/integration_utils.py"
    )
    """Project that Weights & Biases files the run under.

    在 Weights & Biases 中归入的项目。
    """

    wandb_mode: Annotated[Text, Field(alias="WANDB_MODE")] = param(None, source="wandb")
    """Whether Weights & Biases sends what it records, keeps it on disk, or does nothing.

    Weights & Biases 是上传记录、只存本地，还是什么也不做。
    """

    wandb_disabled: Annotated[Text, Field(alias="WANDB_DISABLED")] = param(
        None, matters=2, source="transformers 5.23.0"
    )
    """Turned Weights & Biases off in transformers 4. transformers 5 does not read it: use
    report_to.

    在 transformers 4 中用于关闭 Weights & Biases。transformers 5 不再读取，应使用 report_to。
    """

    wandb_log_model: Annotated[Text, Field(alias="WANDB_LOG_MODEL")] = param(
        None, source="transformers 5.23.0, integrations/integration_utils.py"
    )
    """Whether checkpoints are uploaded to Weights & Biases, each of them whole.

    是否把检查点（完整文件）上传到 Weights & Biases。
    """

    wandb_watch: Annotated[Text, Field(alias="WANDB_WATCH")] = param(
        None, source="transformers 5.23.0, integrations/integration_utils.py"
    )
    """Whether gradients and weights are recorded too. It slows every step.

    是否同时记录梯度和权重，会拖慢每一步。
    """

    wandb_api_key: Annotated[Text, Field(alias="WANDB_API_KEY")] = param(
        None, source="wandb", secret=True
    )
    """Key of Weights & Biases. In a script that is shared it is given away.

    Weights & Biases 的密钥。写在共享的脚本里就等于泄露。
    """

    ds_accelerator: Annotated[Text, Field(alias="DS_ACCELERATOR")] = param(
        None, source="DeepSpeed, accelerator/real_accelerator.py"
    )
    """The kind of device that DeepSpeed uses, where it does not find it by itself.

    DeepSpeed 使用的设备种类，无法自动识别时设置。
    """

    ds_build_ops: Annotated[Text, Field(alias="DS_BUILD_OPS")] = param(
        None, source="DeepSpeed, setup.py"
    )
    """Compile DeepSpeed's operations when it is installed instead of when they are first used. No
    effect on a run.

    安装时就编译 DeepSpeed 的算子，而不是首次使用时编译。对训练本身没有作用。
    """

    ds_skip_cuda_check: Annotated[Text, Field(alias="DS_SKIP_CUDA_CHECK")] = param(
        None, source="DeepSpeed, op_builder/builder.py"
    )
    """Build DeepSpeed's operations although the CUDA of the compiler is not torch's.

    即使编译器的 CUDA 版本与 torch 不一致，也编译 DeepSpeed 的算子。
    """

    accelerate_mixed_precision: Annotated[Text, Field(alias="ACCELERATE_MIXED_PRECISION")] = param(
        None, matters=2, source="accelerate 1.15, state.py"
    )
    """Half precision that is computed in. accelerate launch sets it from its configuration; the
    run's own bf16 or fp16 counts before it, and where neither is given the trainer takes it.

    计算所用的半精度。由 accelerate launch 根据配置设置；训练参数中的 bf16、fp16 优先，两者都没有时
    训练器采用它。
    """

    accelerate_use_deepspeed: Annotated[Text, Field(alias="ACCELERATE_USE_DEEPSPEED")] = param(
        None, matters=2, source="accelerate 1.15, state.py"
    )
    """Use DeepSpeed. accelerate launch sets it from its configuration.

    使用 DeepSpeed。由 accelerate launch 根据配置设置。
    """

    accelerate_use_fsdp: Annotated[Text, Field(alias="ACCELERATE_USE_FSDP")] = param(
        None, matters=2, source="accelerate 1.15, accelerator.py"
    )
    """Use torch's FSDP. accelerate launch sets it from its configuration, and the trainer from
    fsdp.

    使用 torch 的 FSDP。由 accelerate launch 根据配置、或由训练器根据 fsdp 设置。
    """

    accelerate_deepspeed_zero_stage: Annotated[
        Text, Field(alias="ACCELERATE_DEEPSPEED_ZERO_STAGE")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py")
    """Stage of ZeRO where there is no ds_config.json.

    没有 ds_config.json 时 ZeRO 的级别。
    """

    accelerate_gradient_accumulation_steps: Annotated[
        Text, Field(alias="ACCELERATE_GRADIENT_ACCUMULATION_STEPS")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py")
    """Micro batches of an optimizer step, for programs that use accelerate without a trainer. The
    trainer's own number counts before it.

    每个优化器步的微批次数，供不经训练器直接使用 accelerate 的程序读取。训练器自己的数值优先。
    """

    accelerate_log_level: Annotated[Text, Field(alias="ACCELERATE_LOG_LEVEL")] = param(
        None, source="accelerate 1.15, logging.py"
    )
    """How much accelerate says.

    accelerate 输出信息的详细程度。
    """

    accelerate_debug_mode: Annotated[Text, Field(alias="ACCELERATE_DEBUG_MODE")] = param(
        None, source="accelerate 1.15, state.py"
    )
    """Check that all processes exchange tensors of one shape.

    检查各进程交换的张量形状是否一致。
    """

    flash_attention_deterministic: Annotated[Text, Field(alias="FLASH_ATTENTION_DETERMINISTIC")] = (
        param(None, source="transformers 5.23.0, modeling_flash_attention_utils.py")
    )
    """Let the backward pass of FlashAttention add in one order: repeatable, slower, and with more
    memory. full_determinism sets it.

    让 FlashAttention 的反向按固定顺序累加：结果可重现，但更慢、更占显存。full_determinism 会设置
    它。
    """

    use_hub_kernels: Annotated[Text, Field(alias="USE_HUB_KERNELS")] = param(
        None, source="transformers 5.23.0, integrations/hub_kernels.py"
    )
    """Whether kernels may be taken from the hub in place of a model's own code.

    是否允许用 hub 上的算子代替模型自身的代码。
    """

    transformers_disable_torch_check: Annotated[
        Text, Field(alias="TRANSFORMERS_DISABLE_TORCH_CHECK")
    ] = param(None, source="transformers 5.23.0, utils/import_utils.py")
    """Do not look whether torch is new enough for a feature.

    不检查 torch 版本是否满足某项功能。
    """

    tensorboard_logging_dir: Annotated[Text, Field(alias="TENSORBOARD_LOGGING_DIR")] = param(
        None, source="transformers 5.23.0, integrations/integration_utils.py"
    )
    """Folder for TensorBoard's files; without it, a folder inside of the output folder.

    TensorBoard 文件所在文件夹；不设置则在输出文件夹内。
    """

    accelerate_use_cpu: Annotated[Text, Field(alias="ACCELERATE_USE_CPU")] = param(
        None, matters=2, source="accelerate 1.15, state.py"
    )
    """Train on the processor even where there is a GPU; transformers reads it as well. `accelerate
    launch` sets it from --cpu.

    即使有 GPU 也在 CPU 上训练，transformers 也读取它。`accelerate launch` 由 --cpu 设置它。
    """

    accelerate_cpu_affinity: Annotated[Text, Field(alias="ACCELERATE_CPU_AFFINITY")] = param(
        None, source="accelerate 1.15, state.py"
    )
    """Keep every process on the CPU cores near its GPU. `accelerate launch` sets it from
    --enable_cpu_affinity.

    把每个进程绑定到靠近其 GPU 的 CPU 核。`accelerate launch` 由 --enable_cpu_affinity 设置它。
    """

    accelerate_config_ds_fields: Annotated[Text, Field(alias="ACCELERATE_CONFIG_DS_FIELDS")] = (
        param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    )
    """Names of the settings about DeepSpeed that accelerate's own file has: beside a file of
    DeepSpeed they are an error. `accelerate launch` sets it from what stands in its file.

    accelerate 自己的配置文件里写了哪些 DeepSpeed 设置；与 DeepSpeed 配置文件并存时报错。
    `accelerate launch` 由 what stands in its file 设置它。
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
