"""The activation_checkpointing, checkpoint and compile blocks of ds_config.json."""

from typing import Literal

from ..declare import Section, param


class ActivationCheckpointing(Section):
    """The activation_checkpointing block. Only models that call DeepSpeed's own checkpoint function
    read it; transformers' models do not, for them gradient checkpointing is the script's
    --gradient_checkpointing.

    activation_checkpointing 配置块。只有调用 DeepSpeed 自带检查点函数的模型才读取；transformers 的
    模型不读取，它们的梯度检查点由脚本的 --gradient_checkpointing 打开。
    """

    partition_activations: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/activation_checkpointing"
    )
    """Share kept activations out over the processes of tensor parallelism.

    把保留的激活分摊到张量并行的各进程。
    """

    cpu_checkpointing: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/activation_checkpointing"
    )
    """Keep them in main memory.

    把它们放在内存中。
    """

    contiguous_memory_optimization: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/activation_checkpointing"
    )
    """Copy them into one block, so that memory does not fragment.

    把它们复制到连续的内存中，避免碎片。
    """

    number_checkpoints: int | None = param(
        None,
        at_least=1,
        when_unset=(
            "needed for contiguous_memory_optimization",
            "使用 contiguous_memory_optimization 时必须写",
        ),
        source="DeepSpeed 0.19.8, runtime/activation_checkpointing",
    )
    """How many layers are checkpointed, for the size of that block.

    做检查点的层数，用来确定连续内存的大小。
    """

    synchronize_checkpoint_boundary: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/activation_checkpointing"
    )
    """Wait for the GPU at every checkpoint; for finding errors.

    在每个检查点处等待 GPU，用于查错。
    """

    profile: bool = param(False, source="DeepSpeed 0.19.8, runtime/activation_checkpointing")
    """Log the time of every checkpointed function.

    记录每个做检查点的函数的耗时。
    """


class ParallelWrite(Section):
    """The parallel_write block of checkpoint.

    checkpoint 中的 parallel_write 配置块。
    """

    pipeline_stage: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """With pipeline parallelism, let the stages write their layers at the same time.

    流水线并行时，让各阶段同时写各自的层。
    """


class Writer(Section):
    """The writer block of checkpoint: DeepSpeed's fast writer in place of torch.save. Writing the
    block turns it on.

    checkpoint 中的 writer 配置块：用 DeepSpeed 的快速写入代替 torch.save。写出该配置块即打开。
    """

    type: Literal["FAST", "PYTHON", "MOCK"] = param(
        "FAST", source="DeepSpeed 0.19.8, runtime/model_checkpointing"
    )
    """How files are written; the last one writes nothing and is for measuring.

    如何写文件；最后一种什么也不写，仅供测量。
    """

    io_buffer_size: int = param(
        67_108_864, at_least=1, unit="bytes", source="DeepSpeed 0.19.8, runtime/model_checkpointing"
    )
    """Size of the buffer in page-locked memory.

    锁页内存缓冲区的大小。
    """

    io_buffer_double: bool = param(True, source="DeepSpeed 0.19.8, runtime/model_checkpointing")
    """Fill one half of the buffer while the other is written.

    写出一半缓冲区的同时填充另一半。
    """

    io_multiplier: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/model_checkpointing"
    )
    """Files per process, to use more drives at once.

    每个进程写几个文件，以便同时使用多块盘。
    """

    show_statistics: bool = param(False, source="DeepSpeed 0.19.8, runtime/model_checkpointing")
    """Print how fast files were written.

    打印写入速度。
    """

    data_parallel: Literal["REPLICA", "SOCKET", "MACHINE"] | None = param(
        None,
        when_unset=("one process writes", "由一个进程写入"),
        source="DeepSpeed 0.19.8, runtime/model_checkpointing",
    )
    """Share the writing of a file out over all processes, one per processor socket, or one per
    machine.

    把一个文件的写入分摊到所有进程、每个处理器插槽一个进程，或每台机器一个进程。
    """

    decoupled: bool = param(False, source="DeepSpeed 0.19.8, runtime/model_checkpointing")
    """Write in a process of its own while training goes on.

    由单独的进程写入，训练同时继续。
    """


class Checkpoint(Section):
    """The checkpoint block: how DeepSpeed saves and loads the state of a run.

    checkpoint 配置块：DeepSpeed 如何保存和读取训练状态。
    """

    tag_validation: Literal["WARN", "IGNORE", "FAIL"] = param(
        "WARN", source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """What happens where processes disagree on the name of a checkpoint.

    各进程的检查点名称不一致时如何处理。
    """

    load_universal: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Load a checkpoint that was converted to the universal layout, which fits any number of
    processes and any stage. The documentation's words for it, the latest checkpoint, describe
    something else.

    读取已转换为通用格式的检查点，它适用于任意进程数和任意 ZeRO 阶段。官方文档把它说成读取最新检查
    点，并不是这个意思。
    """

    use_node_local_storage: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Every machine writes its own part, for machines that share no disk. The Trainer turns it on
    with --save_on_each_node.

    每台机器各写各的部分，用于不共享磁盘的多机。Trainer 在有 --save_on_each_node 时会打开它。
    """

    parallel_write: ParallelWrite = param(ParallelWrite.model_construct())
    checkpoint_serialization: bool = param(True, source="DeepSpeed 0.19.8, runtime/config.py")
    """Write files in torch's zip format; turned off, in the older format that every version of
    torch reads too. What is saved is the same.

    以 torch 的 zip 格式写文件；关闭则用更早的格式，各版本的 torch 同样能读取。保存的内容相同。
    """

    writer: Writer = param(Writer.model_construct())


class Compile(Section):
    """The compile block: DeepCompile, which compiles the model together with ZeRO's exchanges. It
    needs a call of engine.compile.

    compile 配置块：DeepCompile，把模型与 ZeRO 的通信一起编译。需要调用 engine.compile。
    """

    deepcompile: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Compile the model with DeepCompile.

    使用 DeepCompile 编译模型。
    """

    autoep_non_moe: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Compile what surrounds the expert layers and leave those as they are.

    只编译专家层之外的部分。
    """

    free_activation: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Free large activations as early as possible; not with the inductor backend.

    尽早释放较大的激活；inductor 后端不适用。
    """

    free_activation_threshold: int = param(
        10_485_760, at_least=0, unit="bytes", source="DeepSpeed 0.19.8, compile/config.py"
    )
    """From which size an activation counts as large.

    激活达到多大才算较大。
    """

    offload_activation: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Move activations to main memory until the backward pass; it works only with a schedule that
    has this pass, which the usual ones have not.

    把激活移到内存直到反向时取回；只有含有该步骤的编译日程才生效，默认日程不含。
    """

    offload_activation_pin_memory: bool = param(True, source="DeepSpeed 0.19.8, compile/config.py")
    """Use page-locked memory for them.

    为其使用锁页内存。
    """

    offload_opt_states: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Move the optimizer's state to main memory during forward and backward pass.

    前向和反向期间把优化器状态移到内存。
    """

    double_buffer: bool = param(True, source="DeepSpeed 0.19.8, compile/config.py")
    """Fill a second buffer of gradients while the first is exchanged.

    交换第一个梯度缓冲区的同时填充第二个。
    """

    symmetric_memory: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Exchange through memory that the GPUs of a machine share.

    通过机器内各 GPU 共享的内存进行通信。
    """

    debug_log: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Write the compiled graphs to files.

    把编译出的计算图写入文件。
    """

    offload_parameters: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Move parameters to main memory between their uses.

    参数不使用时移到内存。
    """

    sync_before_reduce: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Wait before gradients are exchanged; for finding errors.

    交换梯度之前等待，用于查错。
    """

    sync_after_reduce: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Wait after gradients are exchanged; for finding errors.

    交换梯度之后等待，用于查错。
    """

    sync_before_allgather: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Wait before parameters are gathered; for finding errors.

    收集参数之前等待，用于查错。
    """

    sync_after_allgather: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Wait after parameters are gathered; for finding errors.

    收集参数之后等待，用于查错。
    """

    keep_int_input_tensors: bool = param(True, source="DeepSpeed 0.19.8, compile/config.py")
    """Keep the real values of integer inputs, such as token ids, for the profiling of the graph.

    剖析计算图时保留整数输入（例如词元编号）的真实值。
    """

    keep_all_input_tensors: bool = param(False, source="DeepSpeed 0.19.8, compile/config.py")
    """Keep the real values of all inputs for it.

    剖析计算图时保留所有输入的真实值。
    """

    passes: tuple[Literal["z1", "z3", "autosp", "autotp"], ...] | None = param(
        None,
        when_unset=("those of the ZeRO stage", "由 ZeRO 阶段决定"),
        source="DeepSpeed 0.19.8, compile/config.py",
    )
    """Which transformations of the graph to apply.

    对计算图做哪些变换。
    """
