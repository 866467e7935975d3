"""The zero_optimization block of ds_config.json: what ZeRO shares out, and in what portions."""

from typing import Literal

from ..declare import Section, param
from .offload import LeafModule, OffloadOptimizer, OffloadParam, ZenFlow


class ZeroOptimization(Section):
    """ZeRO: the processes share out what each of them would otherwise hold whole.

    ZeRO：把每个进程本来都要完整保存的内容分摊到各进程。
    """

    stage: Literal[0, 1, 2, 3, "auto"] = param(
        0, matters=3, source="arXiv:1910.02054; DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """What is shared out: nothing, the optimizer's state, the gradients too, or the parameters as
    well. The last takes least memory and about half as much traffic again as the two before it; it
    is no better in any other way, and generating text then needs all processes at every token.
    Accelerate turns the word auto into ZeRO-2.

    分摊哪些内容：不分摊；优化器状态；再加上梯度；再加上参数。最后一种最省显存，通信量约为前两种的一
    倍半；除此之外并没有更好，而且生成每个词元都要所有进程参与。accelerate 会把 auto 换成 ZeRO-2。
    """

    contiguous_gradients: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Copy gradients into one block as they appear, so that memory does not fragment. ZeRO-1 and
    ZeRO-2 do so whatever this says once the optimizer is on the CPU.

    梯度一产生就复制到连续的内存中，避免显存碎片。优化器卸载到 CPU 时，ZeRO-1 和 ZeRO-2 无论写什么都
    会这样做。
    """

    reduce_scatter: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Send each process only the part of the averaged gradients that it owns instead of all of
    them.

    平均梯度时，每个进程只收到自己负责的部分，而不是全部。
    """

    reduce_bucket_size: int | Literal["auto"] = param(
        500_000_000,
        above=0,
        unit="elements",
        matters=2,
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """Elements whose gradients are exchanged together. A buffer of this many is allocated, and a
    second one with overlap_comm; in half precision that is two bytes each. The word auto becomes
    hidden size times hidden size.

    每次一起交换的梯度元素个数。会分配这么大的缓冲区，打开 overlap_comm 时再加一个；半精度下每个元素
    占两个字节。auto 会换成隐藏维度的平方。
    """

    use_multi_rank_bucket_allreduce: bool = param(
        True, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Exchange the buckets of several processes in one call instead of one by one; ZeRO-1 and
    ZeRO-2.

    把多个进程的分桶合在一次通信中，而不是逐个进行；用于 ZeRO-1 和 ZeRO-2。
    """

    allgather_partitions: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """No effect: it was meant as a choice between one gathering call and a series of broadcasts
    after each step, and nothing reads it any more.

    没有作用：本意是选择更新之后用一次收集还是逐个广播，现在没有代码读取它。
    """

    allgather_bucket_size: int = param(
        500_000_000, at_least=0, unit="elements", source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Elements of updated parameters that are gathered at a time after a step, with ZeRO-1 and
    ZeRO-2. Fewer take less memory at that moment and more calls.

    ZeRO-1 和 ZeRO-2 在更新之后一次收集的参数元素个数。调小可降低当时的显存，通信次数随之增多。
    """

    overlap_comm: bool | None = param(
        None,
        when_unset=(
            "true with ZeRO-3, false otherwise; the documentation says false",
            "ZeRO-3 为 true，其余为 false；文档写的是 false",
        ),
        matters=2,
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """Exchange gradients while the backward pass goes on. It pays in memory: a second buffer of
    reduce_bucket_size at ZeRO-1 and ZeRO-2, for which transformers' documentation reckons with 4.5
    times the bucket sizes in all.

    反向传播的同时交换梯度。代价是显存：ZeRO-1 和 ZeRO-2 要多一个 reduce_bucket_size 大小的缓冲区，
    transformers 的文档估计共需分桶大小的 4.5 倍。
    """

    compute_grad_norm: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Compute the norm of all gradients at ZeRO-1 and ZeRO-2. It can be turned off only where
    nothing clips gradients or logs their norm; the Trainer logs it.

    在 ZeRO-1 和 ZeRO-2 下计算全部梯度的范数。只有既不裁剪也不记录梯度范数时才可以关闭；Trainer 会记
    录它。
    """

    load_from_fp32_weights: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """When a checkpoint is loaded, take the float32 copies of the weights in it rather than the
    half precision ones.

    读取检查点时，使用其中的 float32 权重，而不是半精度权重。
    """

    elastic_checkpoint: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Write the optimizer's state so that another number of processes can load it; ZeRO-1 and
    ZeRO-2. ZeRO-3 no longer does and only warns; there checkpoint.load_universal replaces it.

    保存优化器状态时使其可以用不同的进程数读取；用于 ZeRO-1 和 ZeRO-2。ZeRO-3 已不再支持，只给出警
    告，应改用 checkpoint.load_universal。
    """

    offload_param: OffloadParam = param(OffloadParam.model_construct())
    offload_optimizer: OffloadOptimizer = param(OffloadOptimizer.model_construct())
    zenflow: ZenFlow = param(ZenFlow.model_construct())
    sub_group_size: int = param(
        1_000_000_000,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """ZeRO-3 runs the optimizer over so many elements at a time. Smaller ones help when the step
    itself runs out of memory; larger ones are faster.

    ZeRO-3 每次对这么多元素执行优化器。更新这一步显存不足时可调小；调大更快。
    """

    stage3_prefetch_bucket_size: int | Literal["auto"] = param(
        50_000_000, at_least=0, unit="elements", source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Elements of parameters that ZeRO-3 fetches ahead of the layer that needs them. The
    documentation gives ten times the default that the code has. The word auto becomes 0.9 times
    hidden size times hidden size.

    ZeRO-3 提前收集的参数元素个数。官方文档写的默认值是代码中的十倍。auto 会换成隐藏维度平方
    的 0.9 倍。
    """

    stage3_param_persistence_threshold: int | Literal["auto"] = param(
        100_000, at_least=0, unit="elements", source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """ZeRO-3 leaves parameters smaller than this whole on every process: norms and biases, whose
    fetching costs more time than it saves memory. The word auto becomes ten times the hidden size.

    小于此大小的参数 ZeRO-3 不切分，每个进程都完整保存：归一化和偏置这类参数，收集它们所花的时间得不
    偿失。auto 会换成隐藏维度的十倍。
    """

    stage3_model_persistence_threshold: int = param(
        9_223_372_036_854_775_807,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """Most elements that may stay whole in that way, all together.

    以这种方式保持完整的元素总数上限。
    """

    stage3_max_live_parameters: int = param(
        1_000_000_000,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """Most elements of gathered parameters that one GPU holds at once. At two bytes each the
    default is more than many GPUs can spare; fewer means fetching some of them again.

    一个 GPU 上同时保留的已收集参数元素上限。每个元素两个字节，默认值对许多 GPU 来说太大；调小会使一
    部分参数要重新收集。
    """

    stage3_max_reuse_distance: int = param(
        1_000_000_000,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """A gathered parameter is kept when it is needed again within so many elements, as with
    gradient checkpointing.

    已收集的参数如果在这么多元素之内还会用到就不释放，例如使用梯度检查点时。
    """

    stage3_gather_16bit_weights_on_model_save: bool | Literal["auto"] = param(
        False, matters=2, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Gather the whole half precision weights on one process when the Trainer saves a ZeRO-3 model.
    Without it a checkpoint holds shards only, which zero_to_fp32.py turns into weights; with it
    that process needs main memory for the whole model. Accelerate turns the word auto into false.

    Trainer 保存 ZeRO-3 模型时，把完整的半精度权重收集到一个进程。不打开则检查点里只有分片，要
    用 zero_to_fp32.py 合成权重；打开则该进程的内存要放得下整个模型。accelerate 会把 auto 换
    成 false。
    """

    stage3_module_granularity_threshold: int = param(
        0, at_least=0, unit="elements", source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """ZeRO-3 fetches a module as one where its parameters, shared out over it and its descendants,
    are fewer than this; for models of very many small modules.

    模块的参数数除以它及其子模块的个数，若小于该值，ZeRO-3 就把该模块作为整体收集；用于由大量小模块
    组成的模型。
    """

    stage3_use_all_reduce_for_fetch_params: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Fetch the parameters of a module by a sum over processes; less work for the host, more
    traffic.

    用求和通信收集模块的参数；主机工作更少，通信更多。
    """

    stage3_allgather_sequential: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Fetch parameters one after the other without a common buffer: less memory at the peak, more
    calls.

    逐个收集参数而不使用公共缓冲区：峰值显存更低，通信次数更多。
    """

    ignore_unused_parameters: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Carry on when a trained parameter got no gradient. Turned off, ZeRO-2 stops with an error
    there.

    训练参数没有得到梯度时照常继续。关闭后 ZeRO-2 会报错停止。
    """

    legacy_stage1: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """The ZeRO-1 of DeepSpeed before 0.5.9. Turning it on stops the run with an error.

    DeepSpeed 0.5.9 之前的 ZeRO-1。打开会直接报错。
    """

    round_robin_gradients: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """With the optimizer on the CPU, let the processes copy their parts of the gradients at the
    same time; ZeRO-1 and ZeRO-2. It pays with many GPUs or much accumulation.

    优化器在 CPU 上时，让各进程同时复制各自的梯度；用于 ZeRO-1 和 ZeRO-2。GPU 多或累积次数多时有好
    处。
    """

    parameter_alignment: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Let every parameter begin at an address divisible by sixteen in the flat buffers of ZeRO-1
    and ZeRO-2, for kernels that need it; checkpoints with and without it do not mix.

    在 ZeRO-1 和 ZeRO-2 的连续缓冲区里让每个参数从 16 的倍数地址开始，供有此要求的算子使用；开与不开
    的检查点不能混用。
    """

    zero_hpz_partition_size: int = param(
        1, at_least=0, unit="processes", source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """ZeRO++: keep a second copy of the parameters shared out over so many processes only, as a
    rule those of one machine, so that the backward pass fetches them without the network.

    ZeRO++：另存一份只在这么多进程（通常为一台机器）之间切分的参数，反向传播就不必走网络。
    """

    zero_quantized_weights: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """ZeRO++: send parameters in eight bits when they are gathered; the weights that are kept stay
    as they are.

    ZeRO++：收集参数时用 8 位传输，保存的权重不变。
    """

    zero_quantized_nontrainable_weights: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """ZeRO++: hold frozen weights in eight bits, for LoRA. Unlike zero_quantized_weights it changes
    what is kept.

    ZeRO++：把冻结的权重以 8 位存放，用于 LoRA。与 zero_quantized_weights 不同，它改变保存的内容。
    """

    zero_quantized_gradients: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """ZeRO++: send gradients in few bits; less traffic, less exact.

    ZeRO++：用较少的位数传输梯度；通信更少，精度更低。
    """

    memory_efficient_linear: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """ZeRO-3 replaces torch's linear function by one that does not keep the gathered weight for the
    backward pass.

    ZeRO-3 把 torch 的线性函数换成不为反向保留已收集权重的版本。
    """

    pipeline_loading_checkpoint: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """Under ZeRO-3, let the processes load a checkpoint one after the other, so that main memory
    holds fewer copies at once.

    ZeRO-3 下让各进程依次读取检查点，减少同时占用的内存。
    """

    override_module_apply: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """While a model is built under ZeRO-3, gather parameters around the functions that initialise
    them.

    在 ZeRO-3 下构建模型时，调用初始化函数前后自动收集参数。
    """

    log_trace_cache_warnings: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Warn when the order of modules differs from the one that ZeRO-3 recorded, which makes its
    fetching ahead useless.

    模块的执行顺序与 ZeRO-3 记录的不一致时给出警告；此时提前收集会失效。
    """

    enable_sanity_checks: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/config.py")
    """Check ZeRO-3's own bookkeeping on the way; for its developers.

    运行中检查 ZeRO-3 自身的记录，供其开发者使用。
    """

    save_muon_momentum_buffer_in_memory: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """With Muon and ZeRO-3 on NVMe, keep its momentum in memory.

    使用 Muon 和 NVMe 上的 ZeRO-3 时，把动量留在内存中。
    """

    leaf_module: LeafModule = param(LeafModule.model_construct())
    mics_shard_size: int | None = param(
        None,
        at_least=0,
        when_unset=("not used", "不使用"),
        source="DeepSpeed 0.19.8, runtime/zero/config.py",
    )
    """MiCS: partition over groups of so many processes. Removed: DeepSpeed since 0.19.7 refuses a
    file that has it.

    MiCS：在这么多进程组成的小组内切分。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    mics_hierarchical_params_gather: bool | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """MiCS: gather inside machines first. Removed: DeepSpeed since 0.19.7 refuses a file that has
    it.

    MiCS：先在机器内部收集。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    zeropp_loco_param: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/zero/config.py"
    )
    """LoCo: error feedback for the quantised gradients of ZeRO++. Removed: DeepSpeed since 0.19.8
    refuses a file that has it.

    LoCo：对 ZeRO++ 量化梯度的误差补偿。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件。
    """
