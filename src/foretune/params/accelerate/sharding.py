"""The blocks of accelerate's file that shard a model: DeepSpeed, FSDP, parallelism."""

from typing import Literal

from ..declare import Section, param


class DeepSpeedPlugin(Section):
    """The deepspeed_config block, read where distributed_type is DEEPSPEED. Accelerate makes a
    ds_config.json of it; beside deepspeed_config_file it refuses the keys that such a file holds
    itself.

    deepspeed_config 配置块，distributed_type 为 DEEPSPEED 时读取。accelerate 据此生
    成 ds_config.json；同时写 deepspeed_config_file 时，会拒绝那个文件里已有的键。
    """

    zero3_init_flag: bool | None = param(
        None,
        when_unset=("true with ZeRO-3", "ZeRO-3 时为 true"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Build the model in shards from the start, so that no process ever holds it whole. Only with
    ZeRO-3; otherwise it is turned off with a warning.

    从一开始就按分片构建模型，任何进程都不必持有完整模型。仅 ZeRO-3 有效，否则会警告并关闭。
    """

    offload_optimizer_nvme_path: str | None = param(
        None,
        when_unset=("no path", "没有路径"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Folder on NVMe for the optimizer's state. No effect: the launcher of accelerate 1.15 does not
    hand it on, so DeepSpeed is given the word none as a path. Write a ds_config.json instead.

    优化器状态所在的 NVMe 文件夹。没有作用：accelerate 1.15 的启动器没有把它传下去，DeepSpeed 得到的
    路径是单词 none。请改写 ds_config.json。
    """

    offload_param_nvme_path: str | None = param(
        None,
        when_unset=("no path", "没有路径"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Folder on NVMe for parameters. No effect: the launcher of accelerate 1.15 does not hand it
    on. Write a ds_config.json instead.

    参数所在的 NVMe 文件夹。没有作用：accelerate 1.15 的启动器没有把它传下去。请改
    写 ds_config.json。
    """

    deepspeed_hostfile: str | None = param(
        None,
        when_unset=(
            "needed with several machines, unless the launcher is standard or nossh",
            "多机时需要，除非启动方式为 standard 或 nossh",
        ),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """File with the machines and their numbers of GPUs.

    列出各机器及其 GPU 数的文件。
    """

    deepspeed_exclusion_filter: str | None = param(
        None,
        when_unset=("none is left out", "不排除"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Machines or GPUs of the hostfile not to use.

    不使用 hostfile 中的哪些机器或 GPU。
    """

    deepspeed_inclusion_filter: str | None = param(
        None,
        when_unset=("all are used", "全部使用"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """The only machines or GPUs of the hostfile to use. It is ignored where something is left out
    already.

    只使用 hostfile 中的哪些机器或 GPU。已写排除项时忽略它。
    """

    deepspeed_multinode_launcher: (
        Literal["pdsh", "standard", "openmpi", "mvapich", "mpich", "nossh", "slurm"] | None
    ) = param(
        None,
        when_unset=("pdsh", "pdsh"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """How processes on other machines are started; with standard the command is typed on each
    machine.

    如何在其他机器上启动进程；写 standard 时要在每台机器上分别执行命令。
    """

    deepspeed_moe_layer_cls_names: str | None = param(
        None,
        when_unset=("none", "无"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Classes of expert layers, with commas between, that ZeRO-3 must gather whole.

    ZeRO-3 必须整体收集的专家层类名，用逗号分隔。
    """


class FsdpPlugin(Section):
    """The fsdp_config block, read where distributed_type is FSDP: torch's own sharding of
    parameters, gradients and optimizer state. Keys may leave out the leading fsdp_.

    fsdp_config 配置块，distributed_type 为 FSDP 时读取：torch 自带的参数、梯度和优化器状态分片。键
    名可以省略开头的 fsdp_。
    """

    fsdp_version: Literal[1, 2] = param(
        1, matters=2, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Which of torch's two implementations: wrapped modules, or the newer one that shards every
    parameter by itself. Several keys below belong to one of them only.

    使用 torch 的哪一种实现：包裹模块的旧版，或逐个参数分片的新版。下面有些键只属于其中一种。
    """

    fsdp_sharding_strategy: Literal[
        "FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD", "HYBRID_SHARD_ZERO2"
    ] = param(
        "FULL_SHARD", matters=2, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """With version 1: what is sharded, as ZeRO-3, as ZeRO-2, nothing, or either of the first two
    inside machines only. The newer version does not read it.

    版本 1：分片哪些内容，相当于 ZeRO-3、ZeRO-2、不分片，或前两种仅在机器内部分片。新版不读取它。
    """

    fsdp_reshard_after_forward: bool | str = param(
        True, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """With version 2: give gathered parameters back after the forward pass and gather them again
    for the backward pass, as ZeRO-3 does; false keeps them, as ZeRO-2 does. With version 1 it has
    no effect, since the launcher always sets a sharding strategy.

    版本 2：前向之后释放收集到的参数，反向时再收集，相当于 ZeRO-3；写 false 则保留，相当于 ZeRO-2。
    版本 1 中不起作用，因为启动器总会设置分片策略。
    """

    fsdp_offload_params: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Keep parameters and gradients in main memory and run the optimizer on the CPU.

    把参数和梯度放在内存中，并在 CPU 上执行优化器。
    """

    fsdp_auto_wrap_policy: (
        Literal["TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", "NO_WRAP"] | None
    ) = param(
        None,
        when_unset=("no wrapping: the whole model is gathered at once", "不包裹：一次收集整个模型"),
        matters=2,
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """What is gathered together: each layer, each module above a size, or the whole model, which
    saves hardly anything.

    哪些参数一起收集：每一层、超过一定大小的每个模块，或整个模型（几乎不省显存）。
    """

    fsdp_transformer_layer_cls_to_wrap: str | None = param(
        None,
        when_unset=(
            "as the transformers model says in _no_split_modules",
            "取自 transformers 模型的 _no_split_modules",
        ),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Class of the model's layers, or several with commas between.

    模型的层的类名，多个用逗号分隔。
    """

    fsdp_min_num_params: int = param(
        100_000_000,
        at_least=0,
        unit="parameters",
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Modules with at least so many parameters are wrapped by size.

    按大小包裹时，参数达到这么多的模块才包裹。
    """

    fsdp_backward_prefetch: Literal["BACKWARD_PRE", "BACKWARD_POST", "NO_PREFETCH"] | None = param(
        None,
        when_unset=("no prefetch", "不提前收集"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """With version 1: when the parameters for the next part of the backward pass are gathered.
    Earlier is faster and holds two parts at once.

    版本 1：何时收集反向传播下一部分的参数。越早越快，但会同时占用两部分。
    """

    fsdp_forward_prefetch: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """With version 1: gather the next layer during the forward pass. Version 2 refuses it.

    版本 1：前向时提前收集下一层。版本 2 拒绝它。
    """

    fsdp_state_dict_type: (
        Literal["FULL_STATE_DICT", "LOCAL_STATE_DICT", "SHARDED_STATE_DICT"] | None
    ) = param(
        None,
        when_unset=("full with version 1, sharded with version 2", "版本 1 为完整，版本 2 为分片"),
        matters=2,
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """What a checkpoint holds: whole weights, gathered on one process, or one file per process,
    which other programs cannot load as they are.

    检查点里存什么：收集到一个进程的完整权重，或每个进程一个文件（其他程序不能直接读取）。
    """

    fsdp_use_orig_params: bool = param(
        True, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """With version 1: let the optimizer see the parameters themselves, so that frozen and trained
    ones may lie in one module, as with LoRA. Version 2 always does.

    版本 1：让优化器看到原始参数，从而同一模块内可以既有冻结也有训练的参数（例如 LoRA）。版本 2 总是
    如此。
    """

    fsdp_cpu_ram_efficient_loading: bool = param(
        True, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Only one process loads the weights from disk; the others receive them. It needs
    fsdp_sync_module_states with version 1.

    只有一个进程从磁盘读取权重，其他进程接收。版本 1 中需要打开 fsdp_sync_module_states。
    """

    fsdp_sync_module_states: bool = param(
        True, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """With version 1: start from the weights of the first process.

    版本 1：以首个进程的权重为起点。
    """

    fsdp_activation_checkpointing: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Gradient checkpointing by FSDP. The script's --gradient_checkpointing beside it is refused by
    the Trainer.

    由 FSDP 做梯度检查点。同时写脚本的 --gradient_checkpointing 会被 Trainer 拒绝。
    """

    fsdp_activation_checkpointing_offload: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py and utils/launch.py"
    )
    """Keep what is checkpointed in main memory; with version 2.

    把检查点内容放在内存中；用于版本 2。
    """

    fsdp_ignored_modules: str | None = param(
        None,
        when_unset=("none", "无"),
        source="accelerate 1.15, utils/dataclasses.py and utils/launch.py",
    )
    """Regular expression for modules that are not sharded. Only the file has it; there is no flag.

    不分片的模块的正则表达式。只能写在文件里，没有对应的命令行参数。
    """


class Parallelism(Section):
    """The parallelism_config block: how many processes each kind of parallelism takes. Writing it
    needs FSDP in its second version.

    parallelism_config 配置块：各种并行方式各占多少进程。需要第二版 FSDP。
    """

    parallelism_config_dp_replicate_size: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, parallelism_config.py"
    )
    """Copies of the whole arrangement that see different rows.

    处理不同数据的整套副本数。
    """

    parallelism_config_dp_shard_size: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that shard one copy between them and see different rows.

    共同分片一份模型并处理不同数据的进程数。
    """

    parallelism_config_tp_size: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that split every layer and see the same rows.

    切分每一层、处理相同数据的进程数。
    """

    parallelism_config_cp_size: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that split the length of a sequence, by torch.

    按长度切分序列的进程数，由 torch 实现。
    """

    parallelism_config_cp_backend: Literal["torch"] = param(
        "torch", source="accelerate 1.15, parallelism_config.py"
    )
    """What does that; there is one choice.

    由什么实现；只有一种。
    """

    parallelism_config_cp_comm_strategy: Literal["allgather", "alltoall"] = param(
        "allgather", source="accelerate 1.15, parallelism_config.py"
    )
    """How those processes exchange keys and values.

    这些进程如何交换键和值。
    """

    parallelism_config_sp_size: int = param(
        1, at_least=1, unit="processes", source="accelerate 1.15, parallelism_config.py"
    )
    """Processes that split the length of a sequence, by DeepSpeed.

    按长度切分序列的进程数，由 DeepSpeed 实现。
    """

    parallelism_config_sp_backend: Literal["deepspeed"] = param(
        "deepspeed", source="accelerate 1.15, parallelism_config.py"
    )
    """What does that; there is one choice.

    由什么实现；只有一种。
    """

    parallelism_config_sp_seq_length: str | int | None = param(
        None,
        when_unset=("needed where the length is fixed", "长度固定时必须写"),
        source="accelerate 1.15, parallelism_config.py",
    )
    """Length of every batch where it is always the same.

    每批长度固定时的长度。
    """

    parallelism_config_sp_seq_length_is_variable: bool = param(
        True, source="accelerate 1.15, parallelism_config.py"
    )
    """Lengths differ from batch to batch. As a flag any word behind it counts as true, false
    included.

    各批长度不同。作为命令行参数时，后面写任何词（包括 false）都算 true。
    """

    parallelism_config_sp_attn_implementation: str = param(
        "sdpa", source="accelerate 1.15, parallelism_config.py"
    )
    """Kind of attention used with it; eager and flex attention are refused.

    与之配合的注意力实现；拒绝 eager 和 flex attention。
    """
