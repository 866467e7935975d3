"""Environment variables by which accelerate's launcher tells its processes how a model is shared out.
Exported by hand, they do the same for a program that is started without it.
"""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class Sharing(Section):
    """Variables that say how a model is shared out among processes.

    说明如何在各进程之间切分模型的变量。
    """

    fsdp_version: Annotated[Text, Field(alias="FSDP_VERSION")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Which of torch's two implementations of FSDP is used. `accelerate launch` sets it from
    --fsdp_version.

    使用 torch 的哪一版 FSDP。 `accelerate launch` 由 --fsdp_version 设置它。
    """

    fsdp_sharding_strategy: Annotated[Text, Field(alias="FSDP_SHARDING_STRATEGY")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """What the first version of FSDP shares out: everything, all but the weights, or nothing.
    `accelerate launch` sets it from --fsdp_sharding_strategy.

    第一版 FSDP 切分哪些内容：全部、除权重外、或不切分。 `accelerate launch` 由
    --fsdp_sharding_strategy 设置它。
    """

    fsdp_reshard_after_forward: Annotated[Text, Field(alias="FSDP_RESHARD_AFTER_FORWARD")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Whether weights that were gathered for the forward pass are let go until the backward pass.
    `accelerate launch` sets it from --fsdp_reshard_after_forward.

    前向时收集的权重是否立即释放，到反向时再收集。 `accelerate launch` 由
    --fsdp_reshard_after_forward 设置它。
    """

    fsdp_offload_params: Annotated[Text, Field(alias="FSDP_OFFLOAD_PARAMS")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Keep weights and gradients in main memory. `accelerate launch` sets it from
    --fsdp_offload_params.

    把权重和梯度放在内存中。 `accelerate launch` 由 --fsdp_offload_params 设置它。
    """

    fsdp_backward_prefetch: Annotated[Text, Field(alias="FSDP_BACKWARD_PREFETCH")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """When the weights of the next layer are gathered in the backward pass. `accelerate launch`
    sets it from --fsdp_backward_prefetch.

    反向时何时预取下一层的权重。 `accelerate launch` 由 --fsdp_backward_prefetch 设置它。
    """

    fsdp_forward_prefetch: Annotated[Text, Field(alias="FSDP_FORWARD_PREFETCH")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Gather the weights of the next layer while this one computes. `accelerate launch` sets it
    from --fsdp_forward_prefetch.

    计算本层时预取下一层的权重。 `accelerate launch` 由 --fsdp_forward_prefetch 设置它。
    """

    fsdp_auto_wrap_policy: Annotated[Text, Field(alias="FSDP_AUTO_WRAP_POLICY")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """How the model is cut into units that are gathered one by one. `accelerate launch` sets it
    from --fsdp_auto_wrap_policy.

    如何把模型分成逐个收集的单元。 `accelerate launch` 由 --fsdp_auto_wrap_policy 设置它。
    """

    fsdp_transformer_cls_to_wrap: Annotated[Text, Field(alias="FSDP_TRANSFORMER_CLS_TO_WRAP")] = (
        param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    )
    """Classes of layers that each become a unit. `accelerate launch` sets it from
    --fsdp_transformer_layer_cls_to_wrap.

    哪些类的层各自成为一个单元。 `accelerate launch` 由 --fsdp_transformer_layer_cls_to_wrap 设置
    它。
    """

    fsdp_min_num_params: Annotated[Text, Field(alias="FSDP_MIN_NUM_PARAMS")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Size from which on a module becomes a unit. `accelerate launch` sets it from
    --fsdp_min_num_params.

    模块达到多大时单独成为一个单元。 `accelerate launch` 由 --fsdp_min_num_params 设置它。
    """

    fsdp_state_dict_type: Annotated[Text, Field(alias="FSDP_STATE_DICT_TYPE")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Whether checkpoints hold whole weights or pieces. `accelerate launch` sets it from
    --fsdp_state_dict_type.

    检查点保存完整权重还是切分后的各部分。 `accelerate launch` 由 --fsdp_state_dict_type 设置它。
    """

    fsdp_use_orig_params: Annotated[Text, Field(alias="FSDP_USE_ORIG_PARAMS")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Keep the model's own weights beside the flat ones; frozen and trained weights in one unit
    need it. `accelerate launch` sets it from --fsdp_use_orig_params.

    在展平的参数之外保留模型原有参数；同一单元里既有冻结又有可训练权重时需要。 `accelerate launch`
    由 --fsdp_use_orig_params 设置它。
    """

    fsdp_cpu_ram_efficient_loading: Annotated[
        Text, Field(alias="FSDP_CPU_RAM_EFFICIENT_LOADING")
    ] = param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    """Only the first process of a machine reads the weights; the others get theirs from it.
    `accelerate launch` sets it from --fsdp_cpu_ram_efficient_loading.

    每台机器只有首个进程读取权重，其余进程从它获得。 `accelerate launch` 由
    --fsdp_cpu_ram_efficient_loading 设置它。
    """

    fsdp_sync_module_states: Annotated[Text, Field(alias="FSDP_SYNC_MODULE_STATES")] = param(
        None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Send the weights of the first process to all others at the start; needed where only that one
    read them. `accelerate launch` sets it from --fsdp_sync_module_states.

    开始时把首个进程的权重发送给其他进程；仅首个进程读取权重时必需。 `accelerate launch` 由
    --fsdp_sync_module_states 设置它。
    """

    fsdp_activation_checkpointing: Annotated[Text, Field(alias="FSDP_ACTIVATION_CHECKPOINTING")] = (
        param(None, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py")
    )
    """Recompute activations inside of FSDP's units. Beside gradient_checkpointing of the arguments
    it is refused. `accelerate launch` sets it from --fsdp_activation_checkpointing.

    在 FSDP 单元内重算激活。与训练参数的 gradient_checkpointing 同时打开会报错。 `accelerate launch`
    由 --fsdp_activation_checkpointing 设置它。
    """

    parallelism_config_dp_replicate_size: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_DP_REPLICATE_SIZE")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """Copies of the model. `accelerate launch` sets it from --parallelism_config_dp_replicate_size.

    模型的副本数。 `accelerate launch` 由 --parallelism_config_dp_replicate_size 设置它。
    """

    parallelism_config_dp_shard_size: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_DP_SHARD_SIZE")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """Processes that share out one copy of the model. `accelerate launch` sets it from
    --parallelism_config_dp_shard_size.

    共同切分一份模型的进程数。 `accelerate launch` 由 --parallelism_config_dp_shard_size 设置它。
    """

    parallelism_config_tp_size: Annotated[Text, Field(alias="PARALLELISM_CONFIG_TP_SIZE")] = param(
        None, source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that cut every matrix among them. `accelerate launch` sets it from
    --parallelism_config_tp_size.

    共同切分每个矩阵的进程数。 `accelerate launch` 由 --parallelism_config_tp_size 设置它。
    """

    parallelism_config_cp_size: Annotated[Text, Field(alias="PARALLELISM_CONFIG_CP_SIZE")] = param(
        None, source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that cut every text among them. `accelerate launch` sets it from
    --parallelism_config_cp_size.

    共同切分每条文本的进程数。 `accelerate launch` 由 --parallelism_config_cp_size 设置它。
    """

    parallelism_config_cp_backend: Annotated[Text, Field(alias="PARALLELISM_CONFIG_CP_BACKEND")] = (
        param(None, source="accelerate 1.15, parallelism_config.py")
    )
    """Whose code cuts the texts. `accelerate launch` sets it from --parallelism_config_cp_backend.

    由谁的代码切分文本。 `accelerate launch` 由 --parallelism_config_cp_backend 设置它。
    """

    parallelism_config_cp_comm_strategy: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_CP_COMM_STRATEGY")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """How the pieces of a text exchange keys and values. `accelerate launch` sets it from
    --parallelism_config_cp_comm_strategy.

    文本各段之间如何交换键和值。 `accelerate launch` 由 --parallelism_config_cp_comm_strategy 设置
    它。
    """

    parallelism_config_sp_size: Annotated[Text, Field(alias="PARALLELISM_CONFIG_SP_SIZE")] = param(
        None, source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that share the positions of a text, by DeepSpeed. `accelerate launch` sets it from
    --parallelism_config_sp_size.

    由 DeepSpeed 分摊一条文本各位置的进程数。 `accelerate launch` 由 --parallelism_config_sp_size 设
    置它。
    """

    parallelism_config_sp_backend: Annotated[Text, Field(alias="PARALLELISM_CONFIG_SP_BACKEND")] = (
        param(None, source="accelerate 1.15, parallelism_config.py")
    )
    """Whose code shares the positions. `accelerate launch` sets it from
    --parallelism_config_sp_backend.

    由谁的代码分摊位置。 `accelerate launch` 由 --parallelism_config_sp_backend 设置它。
    """

    parallelism_config_sp_seq_length: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_SP_SEQ_LENGTH")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """Length of all texts, where it does not vary. `accelerate launch` sets it from
    --parallelism_config_sp_seq_length.

    文本长度固定时的长度。 `accelerate launch` 由 --parallelism_config_sp_seq_length 设置它。
    """

    parallelism_config_sp_seq_length_is_variable: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_SP_SEQ_LENGTH_IS_VARIABLE")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """Whether texts differ in length. `accelerate launch` sets it from
    --parallelism_config_sp_seq_length_is_variable.

    各文本长度是否不同。 `accelerate launch` 由 --parallelism_config_sp_seq_length_is_variable 设置
    它。
    """

    parallelism_config_sp_attn_implementation: Annotated[
        Text, Field(alias="PARALLELISM_CONFIG_SP_ATTN_IMPLEMENTATION")
    ] = param(None, source="accelerate 1.15, parallelism_config.py")
    """Kernel of attention below it. `accelerate launch` sets it from
    --parallelism_config_sp_attn_implementation.

    其下使用的注意力实现。 `accelerate launch` 由 --parallelism_config_sp_attn_implementation 设置
    它。
    """
