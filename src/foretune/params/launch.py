"""How a run is started: what it is to do, on which devices, in how many processes.

Source: transformers 5.23.0, training_args.py and trainer.py; torch 2.13, distributed/run.py; CUDA's
programming guide.
"""

from typing import Literal

from .declare import Section, param


class Launch(Section):
    """How a run is started: what it is to do, on which devices, in how many processes.

    如何启动：要做哪些事，用哪些设备，开多少个进程。
    """

    train: bool = param(False, matters=2)
    """Train the model. Without it a script reads its arguments and trains nothing.

    进行训练。不打开时脚本只读参数，什么也不训练。
    """

    evaluate: bool = param(False, matters=2)
    """Evaluate on the validation rows once training is over, or alone. Naming a validation file
    does not ask for it.

    训练结束后（或单独）在验证集上评估。仅写出验证集文件并不会触发评估。
    """

    predict: bool = param(False, matters=2)
    """Answer the test rows, score the answers and write them to a file. Naming a test file does not
    ask for it.

    对测试集逐行作答、打分并写入文件。仅写出测试集文件并不会触发预测。
    """

    launcher: Literal["python", "torchrun", "deepspeed", "accelerate"] = param("python")
    """The program in front of the script; it decides how many processes start and which variables
    they find.

    脚本前面的启动程序，由它决定启动多少个进程以及进程能看到哪些环境变量。
    """

    processes: int | None = param(
        None,
        at_least=1,
        matters=2,
        unit="processes per node",
        when_unset=(
            "one process; the launchers of deepspeed and accelerate start one for every GPU",
            "一个进程；deepspeed 和 accelerate 的启动器为每个 GPU 启动一个",
        ),
    )
    """Processes on each node, one per device. Each holds its own copy of the model unless the
    weights are sharded, and the total batch grows with their number. Accelerate's num_processes
    counts those of all machines.

    每个节点的进程数，一个进程对应一个设备。除非对权重分片，每个进程都有一份完整的模型；总批量随进程
    数增长。accelerate 的 num_processes 是所有机器合计的进程数。
    """

    nodes: int = param(1, at_least=1, unit="machines")
    """Machines that train together; the total batch grows with their number too.

    一起训练的机器数，总批量同样随之增长。
    """

    visible_devices: str | None = param(
        None, when_unset=("every device is visible", "所有设备都可见")
    )
    """CUDA_VISIBLE_DEVICES: the NVIDIA GPUs that the processes may use. The CUDA driver reads it
    when a process first touches a GPU, and numbers the visible ones anew from zero.

    CUDA_VISIBLE_DEVICES：允许进程使用哪些 NVIDIA GPU。CUDA 驱动在进程首次使用 GPU 时读取它，并把可
    见的 GPU 从零重新编号。
    """

    use_cpu: bool = param(False)
    """Train on the processor even where an accelerator is there.

    即使有加速卡也在 CPU 上训练。
    """

    seed: int = param(42, at_least=0, matters=2)
    """Start of the random numbers: initial weights of what is new, dropout, sampling, and the order
    of rows. The same seed repeats a run only on the same hardware and versions, and in the same
    number of processes.

    随机数的起点：新增参数的初始值、dropout、采样以及数据顺序都由它决定。只有硬件、版本和进程数都相
    同，同一个种子才能重现结果。
    """

    data_seed: int | None = param(None, at_least=0, when_unset="launch.seed")
    """A seed for the order of training rows alone, so that it stays the same while launch.seed
    changes.

    仅用于训练数据顺序的种子，改变 launch.seed 时数据顺序保持不变。
    """

    full_determinism: bool = param(False)
    """Use only deterministic kernels and start GPU kernels one at a time: exactly repeatable and
    slower. An operation that has no such kernel stops the run.

    只用确定性算子，并让 GPU 算子逐个同步启动：结果可精确重现，但更慢。遇到没有确定性实现的运算会直
    接报错停止。
    """

    workers: int = param(0, at_least=0, unit="processes per device")
    """Extra processes that assemble batches while the model computes. Rows that are tokens already
    need few.

    在模型计算的同时准备批次的额外进程数。数据已经转成词元时用不了几个。
    """

    ddp_backend: str | None = param(
        None,
        when_unset=(
            "nccl on CUDA, gloo on a CPU, as accelerate chooses",
            "由 accelerate 选择：CUDA 上为 nccl，CPU 上为 gloo",
        ),
    )
    """Library through which processes exchange gradients.

    进程之间交换梯度所用的通信库。
    """

    ddp_timeout: int = param(1800, above=0, unit="seconds")
    """How long a process waits for the others before it gives up. Preparing data on the first
    process alone counts as waiting for all the rest.

    一个进程等待其他进程多久后放弃。只由首个进程处理数据时，其余进程的等待也算在内。
    """

    ddp_find_unused_parameters: bool | None = param(
        None,
        when_unset=(
            "true; false for a transformers model with gradient checkpointing",
            "true；transformers 模型使用梯度检查点时为 false",
        ),
    )
    """Search the graph after every forward pass for parameters that got no part in it. Needed only
    where that happens, slower otherwise, and at odds with gradient checkpointing.

    每次前向之后在计算图里查找没有参与的参数。只在确有这种参数时才需要，否则只会变慢，并且与梯度检查
    点冲突。
    """

    ddp_bucket_cap_mb: int | None = param(
        None, above=0, unit="MiB", when_unset=("torch's own", "使用 torch 自己的设置")
    )
    """Size of the bundles in which gradients are exchanged while the backward pass goes on.

    反向传播过程中，梯度分组交换时每组的大小。
    """

    ddp_broadcast_buffers: bool | None = param(
        None, when_unset=("torch's own", "使用 torch 自己的设置")
    )
    """Copy buffers such as running statistics from the first process at every forward pass.

    每次前向时从首个进程复制缓冲区（例如滑动统计量）。
    """

    ddp_static_graph: bool | None = param(None, when_unset=("torch's own", "使用 torch 自己的设置"))
    """Promise that every step uses the same parameters, so that torch may plan the exchange once.

    声明每一步用到的参数都相同，torch 因此只需规划一次通信。
    """

    deepspeed: str | None = param(
        None, matters=2, when_unset=("DeepSpeed is not used", "不使用 DeepSpeed")
    )
    """DeepSpeed's configuration file. Where it says auto it takes the value from this run; where it
    gives a number of its own, that must be the same as here.

    DeepSpeed 的配置文件。其中写 auto 的项取自本次训练的参数；自己写了数值的项，必须与这里一致。
    """

    fsdp: str | None = param(
        None,
        matters=2,
        when_unset=("FSDP is not used", "不使用 FSDP"),
        source="transformers 5.23.0, training_args.py",
    )
    """Shard parameters, gradients and optimizer state over the processes with torch's FSDP. By
    itself it turns FSDP on, in its second version where launch.fsdp_config names no other; the
    words that older versions ask for (full_shard, shard_grad_op, offload, auto_wrap) are still
    read, and the settings behind them have moved to launch.fsdp_config.

    用 torch 的 FSDP 把参数、梯度和优化器状态分片到各进程。只写它就会打开 FSDP；
    launch.fsdp_config 没有写版本时使用第二版。旧版本所要求的词（full_shard、shard_grad_op、
    offload、auto_wrap）仍可读取，但这些设置如今写在 launch.fsdp_config 里。
    """

    fsdp_config: dict[str, object] | str | None = param(
        None, when_unset=("FSDP's own settings", "使用 FSDP 自己的设置")
    )
    """Settings of FSDP, or the JSON file that holds them. Without launch.fsdp nothing reads them.

    FSDP 的各项设置，或存放它们的 JSON 文件。不打开 launch.fsdp 时不会读取。
    """

    environment: dict[str, str] = param({})
    """Other environment variables that stood in front of the command. A variable that the shell has
    set already is left as it is.

    写在命令前面的其他环境变量。shell 里已经设置的变量保持不变。
    """

    @property
    def all_processes(self) -> int:
        """Processes on all nodes together, one for each device."""
        return (self.processes or 1) * self.nodes
