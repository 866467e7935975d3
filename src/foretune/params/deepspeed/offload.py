"""What ZeRO moves out of the GPU, in ds_config.json: offloading, ZenFlow, and how NVMe is read."""

from typing import Literal

from ..declare import Section, param


class OffloadParam(Section):
    """Keep the partitioned parameters in main memory or on NVMe and fetch them layer by layer; only
    with ZeRO-3.

    把切分后的参数放在内存或 NVMe 上，用到哪层取哪层；仅 ZeRO-3 可用。
    """

    device: Literal["none", "cpu", "nvme", "auto"] = param(
        "none", matters=2, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Where the parameters wait. A section that names no device does nothing in the code, although
    the documentation gives the CPU as the default. Accelerate turns the word auto into none.

    参数存放在哪里。配置块里不写设备就等于没有卸载，尽管官方文档写默认是 CPU。accelerate 会
    把 auto 换成不卸载。
    """

    nvme_path: str | None = param(
        None,
        when_unset=(
            "needed for nvme; the documented path is no default in the code",
            "用 nvme 时必须写；文档里的路径在代码中并不是默认值",
        ),
        source="DeepSpeed 0.19.8, runtime/zero/offload_config.py",
    )
    """Folder on the NVMe drive, the same on every machine.

    NVMe 盘上的文件夹，每台机器都要有。
    """

    buffer_count: int = param(
        5, at_least=0, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Buffers in page-locked memory through which parameters pass to and from NVMe.

    参数进出 NVMe 所经过的锁页内存缓冲区个数。
    """

    buffer_size: int = param(
        100_000_000,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/offload_config.py",
    )
    """Size of each of these buffers; the largest single parameter must fit, which with a big
    vocabulary is the embedding.

    每个缓冲区的大小；必须装得下最大的单个参数，词表大时就是词嵌入。
    """

    max_in_cpu: int = param(
        1_000_000_000,
        at_least=0,
        unit="elements",
        source="DeepSpeed 0.19.8, runtime/zero/offload_config.py",
    )
    """With NVMe: elements of the trained parameters that keep a place in page-locked main memory;
    what goes beyond it lies on NVMe alone. With the CPU as device nothing is limited.

    使用 NVMe 时：训练参数中可以一直占有锁页内存的元素个数，超出的部分只放在 NVMe 上。设备为 CPU 时
    没有限制。
    """

    pin_memory: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """Use page-locked main memory, from which the GPU copies faster and while it computes. Such
    memory cannot be swapped out and counts against ulimit -l; it was off up to DeepSpeed 0.19.6.

    使用锁页内存，GPU 从中复制更快，而且可以与计算同时进行。锁页内存不能换出，并受 ulimit -l 限制；
    DeepSpeed 0.19.6 及以前默认不使用。
    """


class OffloadOptimizer(Section):
    """Keep the optimizer's state in main memory or on NVMe and run the optimizer on the CPU: 12
    bytes per trained parameter less on the GPUs with Adam, and a slower step.

    把优化器状态放在内存或 NVMe，并在 CPU 上执行优化器：使用 Adam 时每个训练参数在 GPU 上少占 12 字
    节，但每步更慢。
    """

    device: Literal["none", "cpu", "nvme", "auto"] = param(
        "none", matters=2, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Where the state waits; the arithmetic of the optimizer runs on the CPU for either. NVMe needs
    ZeRO-3. A section that names no device does nothing in the code, although the documentation
    gives the CPU as the default. Accelerate turns the word auto into none.

    状态存放在哪里；无论哪一种，优化器的运算都在 CPU 上进行。NVMe 需要 ZeRO-3。配置块里不写设备就等
    于没有卸载，尽管官方文档写默认是 CPU。accelerate 会把 auto 换成不卸载。
    """

    nvme_path: str | None = param(
        None,
        when_unset=(
            "needed for nvme; the documented path is no default in the code",
            "用 nvme 时必须写；文档里的路径在代码中并不是默认值",
        ),
        source="DeepSpeed 0.19.8, runtime/zero/offload_config.py",
    )
    """Folder on the NVMe drive, the same on every machine.

    NVMe 盘上的文件夹，每台机器都要有。
    """

    buffer_count: int = param(
        4, at_least=0, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Buffers through which the state passes to and from NVMe; at least as many as tensors per
    parameter: weight, gradient and the two means of Adam.

    状态进出 NVMe 所经过的缓冲区个数；至少与每个参数的张量数相同：权重、梯度以及 Adam 的两个平均。
    """

    pin_memory: bool = param(True, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """Use page-locked main memory, so that gradients are copied there while the backward pass goes
    on. Such memory cannot be swapped out and counts against ulimit -l; it was off up to DeepSpeed
    0.19.6.

    使用锁页内存，使梯度在反向传播的同时复制过去。锁页内存不能换出，并受 ulimit -l 限制；
    DeepSpeed 0.19.6 及以前默认不使用。
    """

    pipeline_read: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """With NVMe, read the next tile of the state while this one is updated.

    使用 NVMe 时，更新当前分块的同时读取下一块状态。
    """

    pipeline_write: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """With NVMe, write the last tile of the state while the next one is updated.

    使用 NVMe 时，更新下一块的同时写回上一块状态。
    """

    fast_init: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """Create the state on NVMe in fewer passes at the start.

    启动时用更少的遍数在 NVMe 上建立状态。
    """

    ratio: float = param(
        1.0, at_least=0, at_most=1, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Share of the trained parameters whose optimizer runs on the CPU; the rest stays on the GPU.
    Anything below the whole needs ZeRO-3.

    在 CPU 上执行优化器的参数所占比例，其余留在 GPU。小于全部时需要 ZeRO-3。
    """

    super_offload: bool = param(False, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py")
    """Another way of offloading made for machines in which CPU and GPU share a fast link, such as
    GH200. Only with ZeRO-3.

    为 CPU 与 GPU 之间有高速互连的机器（例如 GH200）准备的另一种卸载方式，仅 ZeRO-3 可用。
    """

    cpuadam_cores_perc: float = param(
        0.8, at_least=0, at_most=1, source="DeepSpeed 0.19.8, runtime/zero/offload_config.py"
    )
    """Share of the processor's cores that run Adam under super_offload; nothing else reads it.

    super_offload 下用于运行 Adam 的处理器核心比例；别处不读取。
    """


class ZenFlow(Section):
    """ZenFlow: with the optimizer offloaded, update the columns with the largest gradients on the
    GPU at every step and the rest on the CPU now and then. Writing the section turns it on.

    ZenFlow：优化器已卸载时，梯度最大的列每步都在 GPU 上更新，其余的隔一段时间在 CPU 上更新。写出该
    配置块即打开。
    """

    topk_ratio: float = param(
        0.1, above=0, below=1, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Share of columns that count as important and are updated on the GPU.

    视为重要、在 GPU 上更新的列所占比例。
    """

    select_strategy: Literal["auto", "step", "epoch"] = param(
        "auto", source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Whether important columns are chosen anew by steps or by epochs. Left to itself it does so
    once per epoch and refuses an interval of yours.

    按步还是按 epoch 重新挑选重要的列。交给它自动决定时每个 epoch 挑选一次，并且不接受自己写的间隔。
    """

    select_interval: int | Literal["auto"] = param(
        "auto", at_least=1, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Steps or epochs between two such choices.

    两次挑选之间的步数或 epoch 数。
    """

    update_interval: int | Literal["auto"] = param(
        "auto", at_least=1, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Steps over which the gradients of the other columns are collected before the CPU applies
    them.

    其余列的梯度累积多少步后由 CPU 更新一次。
    """

    overlap_step: bool = param(False, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py")
    """Let the CPU update while the GPU goes on with the next steps; those steps then use weights
    that are a little old.

    让 CPU 更新与 GPU 的后续计算同时进行；这些步用到的权重会略旧。
    """

    offload: bool = param(False, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py")
    """Keep the state of the important columns in main memory too.

    重要列的状态也放在内存中。
    """

    auto_ratio: float = param(
        0.99, at_least=0, at_most=1, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """With update_interval left open: how much of the gradient norm the important columns must hold
    for the update of the rest to wait.

    不指定 update_interval 时：重要列的梯度范数占比达到多少，其余列就可以推迟更新。
    """

    full_warm_up_rounds: int = param(
        0, at_least=0, unit="steps", source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Steps at the beginning in which every column is updated.

    开头有多少步更新所有的列。
    """

    pt_reserved_cores_perc: float = param(
        0.5, at_least=0, at_most=1, source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py"
    )
    """Share of the processor's cores left to PyTorch; the others run the CPU's part of the updates.

    留给 PyTorch 的处理器核心比例，其余核心执行 CPU 端的更新。
    """

    steps_per_epoch: int | None = param(
        None,
        at_least=1,
        unit="steps",
        when_unset=("DeepSpeed fills it in while training", "训练过程中由 DeepSpeed 填写"),
        source="DeepSpeed 0.19.8, runtime/zenflow/zenflow_config.py",
    )
    """Optimizer steps in one epoch. DeepSpeed sets it; its authors ask not to write it.

    一个 epoch 的优化器步数。由 DeepSpeed 自己设置，作者要求不要手写。
    """


class LeafModule(Section):
    """Modules that ZeRO-3 gathers whole instead of parameter by parameter; mixtures of experts need
    it, because which experts run differs from process to process and a fetch would wait for ever.

    ZeRO-3 整体收集而不逐个参数收集的模块；混合专家模型需要它，否则各进程选中的专家不同，收集时会一
    直等待。
    """

    classes: tuple[str, ...] | None = param(
        None,
        when_unset=(
            "the expert blocks of Mixtral, Qwen2-MoE and Qwen3-MoE",
            "Mixtral、Qwen2-MoE、Qwen3-MoE 的专家块",
        ),
        source="DeepSpeed 0.19.8, runtime/zero/leaf_module_config.py",
    )
    """Such modules by class, with or without the Python path.

    按类指定，可带完整的 Python 路径。
    """

    names: tuple[str, ...] = param(
        (), source="DeepSpeed 0.19.8, runtime/zero/leaf_module_config.py"
    )
    """Such modules by their name in the model.

    按在模型中的名称指定。
    """

    name_suffixes: tuple[str, ...] = param(
        (), source="DeepSpeed 0.19.8, runtime/zero/leaf_module_config.py"
    )
    """Such modules by the end of their name.

    按名称的结尾指定。
    """


class Aio(Section):
    """How files on NVMe are read and written. Without a device nvme nothing reads it.

    如何读写 NVMe 上的文件。没有把设备写成 nvme 时不会读取。
    """

    block_size: int = param(
        1_048_576,
        at_least=1,
        unit="bytes",
        source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py",
    )
    """Size of one request.

    一次请求的大小。
    """

    queue_depth: int = param(
        8, at_least=1, source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py"
    )
    """Requests under way at once.

    同时进行的请求数。
    """

    intra_op_parallelism: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py"
    )
    """Threads that share one read or write. The documentation still calls it thread_count, which
    nothing reads any more.

    共同完成一次读写的线程数。官方文档仍称它为 thread_count，而那个名称已经没有代码读取。
    """

    single_submit: bool = param(False, source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py")
    """Hand requests to the drive one by one instead of many at a time.

    逐个而不是成批地提交请求。
    """

    overlap_events: bool = param(True, source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py")
    """Hand over new requests before earlier ones are done.

    不等前面的请求完成就提交新的请求。
    """

    use_gds: bool = param(False, source="DeepSpeed 0.19.8, runtime/swap_tensor/aio_config.py")
    """Read from the drive straight into GPU memory, with GPUDirect Storage; CUDA only.

    通过 GPUDirect Storage 从盘直接读入显存，仅限 CUDA。
    """
