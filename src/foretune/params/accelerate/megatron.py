"""The megatron_lm_config block of accelerate's file."""

from typing import Literal

from ..declare import Section, param


class MegatronLm(Section):
    """The megatron_lm_config block, read where distributed_type is MEGATRON_LM. The Trainer cannot
    use it; scripts written for accelerate can.

    megatron_lm_config 配置块，distributed_type 为 MEGATRON_LM 时读取。Trainer 不能使用，
    为 accelerate 编写的脚本可以。
    """

    megatron_lm_tp_degree: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, utils/dataclasses.py"
    )
    """Processes that split every layer.

    切分每一层的进程数。
    """

    megatron_lm_pp_degree: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, utils/dataclasses.py"
    )
    """Processes that hold different layers.

    分别持有不同层的进程数。
    """

    megatron_lm_num_micro_batches: int | None = param(
        None, at_least=1, when_unset=("one", "一个"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Micro batches that are in the pipeline for one step.

    每一步流水线中的微批次数。
    """

    megatron_lm_gradient_clipping: float = param(
        1.0, at_least=0, source="accelerate 1.15, utils/dataclasses.py"
    )
    """Longest gradient allowed, as one L2 norm; zero does not clip.

    允许的最大梯度长度（L2 范数）；写零表示不裁剪。
    """

    megatron_lm_sequence_parallelism: bool | None = param(
        None, when_unset=("off", "关闭"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Split norms and dropouts over the length among the processes of a layer.

    把归一化和 dropout 按长度分摊到切分同一层的进程。
    """

    megatron_lm_recompute_activations: bool | None = param(
        None, when_unset=("off", "关闭"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Compute the large activations of attention again in the backward pass.

    反向时重新计算注意力中较大的激活。
    """

    megatron_lm_use_distributed_optimizer: bool | None = param(
        None, when_unset=("off", "关闭"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Shard the optimizer's state over data parallel processes.

    把优化器状态分片到数据并行的各进程。
    """

    megatron_lm_recompute_granularity: Literal["full", "selective"] | None = param(
        None, when_unset=("full", "full"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """How much is computed again: whole layers, or attention alone.

    重新计算多少：整层，或仅注意力。
    """

    megatron_lm_recompute_method: Literal["uniform", "block"] | None = param(
        None, when_unset=("uniform", "uniform"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Which layers are computed again: all in equal groups, or the first ones.

    重新计算哪些层：平均分组的全部层，或最前面的若干层。
    """

    megatron_lm_recompute_num_layers: int | None = param(
        None, at_least=1, when_unset=("one", "一层"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Size of those groups, or number of those layers.

    每组的层数，或重新计算的层数。
    """

    megatron_lm_decoder_last_pipeline_num_layers: int | None = param(
        None,
        at_least=1,
        when_unset=("layers are dealt out evenly", "各阶段平均分配"),
        source="accelerate 1.15, utils/dataclasses.py",
    )
    """Layers of the last stage of the pipeline.

    流水线最后一个阶段的层数。
    """

    megatron_lm_attention_backend: bool | str | None = param(
        None, when_unset=("on", "打开"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Let Megatron choose the kernel of attention.

    由 Megatron 选择注意力算子。
    """

    megatron_lm_attention_dropout: float | None = param(
        None,
        at_least=0,
        at_most=1,
        when_unset=("none", "无"),
        source="accelerate 1.15, utils/dataclasses.py",
    )
    """Dropout inside attention.

    注意力内部的 dropout。
    """

    megatron_lm_hidden_dropout: float | None = param(
        None,
        at_least=0,
        at_most=1,
        when_unset=("none", "无"),
        source="accelerate 1.15, utils/dataclasses.py",
    )
    """Dropout between layers.

    层与层之间的 dropout。
    """

    megatron_lm_attention_softmax_in_fp32: bool | None = param(
        None, when_unset=("on", "打开"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Compute the softmax of attention in float32.

    用 float32 计算注意力的 softmax。
    """

    megatron_lm_use_rotary_position_embeddings: bool | None = param(
        None, when_unset=("on", "打开"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Rotary positions.

    使用旋转位置编码。
    """

    megatron_lm_calculate_per_token_loss: bool | None = param(
        None, when_unset=("on", "打开"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Weigh every token the same, and not every micro batch.

    每个词元权重相同，而不是每个微批次权重相同。
    """

    megatron_lm_expert_model_parallel_size: int | None = param(
        None, at_least=1, when_unset=("one", "一个"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Processes that experts are dealt out to.

    专家分配到的进程数。
    """

    megatron_lm_expert_tensor_parallel_size: int | None = param(
        None, at_least=1, when_unset=("one", "一个"), source="accelerate 1.15, utils/dataclasses.py"
    )
    """Processes that split each expert.

    切分每个专家的进程数。
    """

    megatron_lm_context_parallel_size: int | None = param(
        None,
        at_least=1,
        when_unset=(
            "two, by what looks like an oversight of accelerate 1.15",
            "两个；这像是 accelerate 1.15 的疏忽",
        ),
        source="accelerate 1.15, utils/dataclasses.py",
    )
    """Processes that split the length of a sequence.

    按长度切分序列的进程数。
    """

    megatron_lm_optimizer_cpu_offload: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py"
    )
    """Keep the optimizer's state in main memory. As a flag any word behind it counts as true, false
    included.

    把优化器状态放在内存中。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_overlap_cpu_optimizer_d2h_h2d: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py"
    )
    """Copy to and from main memory while the optimizer works. As a flag any word behind it counts
    as true, false included.

    优化器工作的同时与内存交换数据。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_use_precision_aware_optimizer: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py"
    )
    """Keep parts of the optimizer's state in half precision. As a flag any word behind it counts as
    true, false included.

    优化器状态的一部分用半精度保存。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_use_custom_fsdp: bool = param(False, source="accelerate 1.15, utils/dataclasses.py")
    """Use Megatron's own kind of FSDP. As a flag any word behind it counts as true, false included.

    使用 Megatron 自己的 FSDP。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_no_load_optim: bool = param(False, source="accelerate 1.15, utils/dataclasses.py")
    """Do not load the optimizer's state from a checkpoint. As a flag any word behind it counts as
    true, false included.

    不从检查点读取优化器状态。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_no_save_optim: bool = param(False, source="accelerate 1.15, utils/dataclasses.py")
    """Do not save the optimizer's state. As a flag any word behind it counts as true, false
    included.

    不保存优化器状态。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    megatron_lm_eod_mask_loss: bool = param(False, source="accelerate 1.15, utils/dataclasses.py")
    """Leave the token that ends a document out of the loss. As a flag any word behind it counts as
    true, false included.

    文档结束词元不计入损失。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """
