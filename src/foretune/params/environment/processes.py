"""Environment variables about how several processes find each other and exchange gradients."""

from typing import Annotated

from pydantic import Field

from ..declare import Section, param

Text = str | None


class Processes(Section):
    """Variables by which several processes find each other and exchange gradients.

    多个进程借以互相找到并交换梯度的变量。
    """

    master_addr: Annotated[Text, Field(alias="MASTER_ADDR")] = param(
        None, matters=2, source="torch 2.13, distributed/rendezvous.py"
    )
    """Address of the first process, which all others connect to. torchrun sets it for the processes
    that it starts, and takes its own from an option: in front of torchrun it has no effect.

    首个进程的地址，其余进程都连到它。torchrun 会为所启动的进程设置它，自己则从命令行选项读取：写
    在 torchrun 前面不起作用。
    """

    master_port: Annotated[Text, Field(alias="MASTER_PORT")] = param(
        None, matters=2, source="torch 2.13, distributed/rendezvous.py"
    )
    """Port of the first process. torchrun takes its own from an option. A second run on the same
    machine needs another one.

    首个进程的端口。torchrun 自己从命令行选项读取。同一台机器上的第二个训练需要换一个端口。
    """

    rank: Annotated[Text, Field(alias="RANK")] = param(
        None, matters=2, source="torch 2.13, distributed/run.py"
    )
    """Number of a process among all. Launchers set it. Left over in a shell together with
    LOCAL_RANK and WORLD_SIZE, it makes a single process wait for others that never come.

    进程在全部进程中的编号，由启动器设置。若与 LOCAL_RANK、WORLD_SIZE 一起残留在 shell 里，会让单个
    进程一直等待其他进程。
    """

    local_rank: Annotated[Text, Field(alias="LOCAL_RANK")] = param(
        None, matters=2, source="torch 2.13, distributed/run.py"
    )
    """Number of a process on its machine, and so of its GPU. Launchers set it.

    进程在本机中的编号，也就是它所用 GPU 的编号，由启动器设置。
    """

    world_size: Annotated[Text, Field(alias="WORLD_SIZE")] = param(
        None, matters=2, source="torch 2.13, distributed/run.py"
    )
    """Number of all processes. Launchers set it; the total batch grows with it.

    进程总数，由启动器设置；总批量随它增长。
    """

    local_world_size: Annotated[Text, Field(alias="LOCAL_WORLD_SIZE")] = param(
        None, source="torch 2.13, distributed/run.py"
    )
    """Number of processes on this machine. torchrun sets it.

    本机的进程数，由 torchrun 设置。
    """

    node_rank: Annotated[Text, Field(alias="NODE_RANK")] = param(
        None, source="accelerate 1.15, commands/launch.py"
    )
    """Number of this machine. accelerate reads it where it starts processes itself; torchrun takes
    an option instead.

    本机的编号。accelerate 自行启动进程时读取；torchrun 以命令行选项接收。
    """

    nccl_debug: Annotated[Text, Field(alias="NCCL_DEBUG")] = param(
        None, matters=2, source="NVIDIA NCCL"
    )
    """How much NCCL says of itself; at its information level it names the networks that it found,
    which is the first thing to read where a run hangs at its start.

    NCCL 输出信息的详细程度。信息级别会列出找到的网络，训练在启动时卡住应首先查看。
    """

    nccl_p2p_disable: Annotated[Text, Field(alias="NCCL_P2P_DISABLE")] = param(
        None, matters=2, source="NVIDIA NCCL"
    )
    """GPUs do not speak to each other directly, but through main memory: slower. The way out where
    direct access hangs, as on some desktop GPUs.

    GPU 之间不直接通信，改经内存中转，速度较慢。用于直接访问会卡死的机器，例如某些桌面显卡。
    """

    nccl_ib_disable: Annotated[Text, Field(alias="NCCL_IB_DISABLE")] = param(
        None, matters=2, source="NVIDIA NCCL"
    )
    """Do not use InfiniBand; machines then speak over ordinary networks, many times slower.

    不使用 InfiniBand，机器之间改走普通网络，慢很多倍。
    """

    nccl_shm_disable: Annotated[Text, Field(alias="NCCL_SHM_DISABLE")] = param(
        None, source="NVIDIA NCCL"
    )
    """Do not use shared memory between processes of one machine. Containers with little of it need
    it.

    同一台机器的进程之间不使用共享内存；共享内存很小的容器需要它。
    """

    nccl_socket_ifname: Annotated[Text, Field(alias="NCCL_SOCKET_IFNAME")] = param(
        None, matters=2, source="NVIDIA NCCL"
    )
    """Network card over which machines speak. Where the wrong one is found they wait for each other
    until the time is over.

    机器之间通信所用的网卡。选错网卡时会一直等待直到超时。
    """

    nccl_ib_hca: Annotated[Text, Field(alias="NCCL_IB_HCA")] = param(None, source="NVIDIA NCCL")
    """InfiniBand cards that are used.

    所用的 InfiniBand 网卡。
    """

    nccl_ib_gid_index: Annotated[Text, Field(alias="NCCL_IB_GID_INDEX")] = param(
        None, source="NVIDIA NCCL"
    )
    """Entry of the address table that InfiniBand over Ethernet uses.

    RoCE 所用的地址表条目。
    """

    nccl_ib_timeout: Annotated[Text, Field(alias="NCCL_IB_TIMEOUT")] = param(
        None, source="NVIDIA NCCL"
    )
    """How long InfiniBand waits for an answer, as a power of two.

    InfiniBand 等待应答的时间，以二的幂表示。
    """

    nccl_net_gdr_level: Annotated[Text, Field(alias="NCCL_NET_GDR_LEVEL")] = param(
        None, source="NVIDIA NCCL"
    )
    """Up to which distance a network card writes into a GPU's memory directly.

    网卡与 GPU 相距多远以内可直接读写显存。
    """

    nccl_timeout: Annotated[Text, Field(alias="NCCL_TIMEOUT")] = param(
        None, source="nothing in torch 2.13 or NCCL"
    )
    """No effect: neither NCCL nor torch reads it. The time is ddp_timeout of the run.

    没有作用：NCCL 和 torch 都不读取它。等待时间由训练参数 ddp_timeout 决定。
    """

    nccl_blocking_wait: Annotated[Text, Field(alias="NCCL_BLOCKING_WAIT")] = param(
        None, source="torch 2.13, ProcessGroupNCCL"
    )
    """The older name of TORCH_NCCL_BLOCKING_WAIT.

    TORCH_NCCL_BLOCKING_WAIT 的旧名称。
    """

    nccl_async_error_handling: Annotated[Text, Field(alias="NCCL_ASYNC_ERROR_HANDLING")] = param(
        None, source="torch 2.13, ProcessGroupNCCL"
    )
    """The older name of TORCH_NCCL_ASYNC_ERROR_HANDLING.

    TORCH_NCCL_ASYNC_ERROR_HANDLING 的旧名称。
    """

    torch_nccl_blocking_wait: Annotated[Text, Field(alias="TORCH_NCCL_BLOCKING_WAIT")] = param(
        None, source="torch 2.13, ProcessGroupNCCL"
    )
    """A process waits for every exchange to end, and fails after the time of ddp_timeout.

    进程等待每次通信完成，超过 ddp_timeout 就报错。
    """

    torch_nccl_async_error_handling: Annotated[
        Text, Field(alias="TORCH_NCCL_ASYNC_ERROR_HANDLING")
    ] = param(None, source="torch 2.13, ProcessGroupNCCL")
    """What happens when an exchange takes too long: by default the process ends, so that the run
    does not hang for ever.

    通信超时后怎么办：默认结束进程，避免训练一直卡住。
    """

    torch_distributed_debug: Annotated[Text, Field(alias="TORCH_DISTRIBUTED_DEBUG")] = param(
        None, matters=2, source="torch 2.13"
    )
    """Checks that all processes do the same exchange, and names parameters that got no gradient.
    Slow; for a run that hangs.

    检查各进程的通信是否一致，并指出没有梯度的参数。速度慢，用于排查卡住的训练。
    """

    torch_cpp_log_level: Annotated[Text, Field(alias="TORCH_CPP_LOG_LEVEL")] = param(
        None, source="torch 2.13"
    )
    """How much torch's inner parts say.

    torch 内部组件输出信息的详细程度。
    """

    gloo_socket_ifname: Annotated[Text, Field(alias="GLOO_SOCKET_IFNAME")] = param(
        None, source="torch 2.13"
    )
    """Network card over which processes on CPUs speak.

    CPU 进程之间通信所用的网卡。
    """

    loglevel: Annotated[Text, Field(alias="LOGLEVEL")] = param(
        None, source="torch 2.13, distributed/elastic/utils/logging.py"
    )
    """How much torchrun says of itself.

    torchrun 自身日志的详细程度。
    """

    python_exec: Annotated[Text, Field(alias="PYTHON_EXEC")] = param(
        None, source="torch 2.13, distributed/run.py"
    )
    """The python that torchrun starts its processes with; without it, its own.

    torchrun 启动进程所用的 python；不设置则用它自己的。
    """

    torchelastic_log_line_prefix_template: Annotated[
        Text, Field(alias="TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE")
    ] = param(None, source="torch 2.13, distributed/run.py")
    """What stands in front of every line that torchrun passes on from its processes.

    torchrun 转发各进程输出时每行的前缀。
    """

    torchelastic_signals_to_handle: Annotated[
        Text, Field(alias="TORCHELASTIC_SIGNALS_TO_HANDLE")
    ] = param(None, source="torch 2.13, distributed/elastic/multiprocessing/api.py")
    """Signals that torchrun passes on to its processes; its option signals_to_handle sets it.

    torchrun 转发给各进程的信号，由选项 signals_to_handle 设置。
    """

    torch_elastic_shutdown_timeout: Annotated[
        Text, Field(alias="TORCH_ELASTIC_SHUTDOWN_TIMEOUT")
    ] = param(None, source="torch 2.13, distributed/run.py")
    """Seconds that torchrun gives its processes to end.

    torchrun 等待各进程退出的秒数。
    """

    use_libuv: Annotated[Text, Field(alias="USE_LIBUV")] = param(
        None, source="torch 2.13, distributed/rendezvous.py"
    )
    """Whether processes meet by a faster server. Off, it helps where torch was built without it, as
    on Windows.

    会合时是否使用更快的服务端。torch 编译时不含它（例如 Windows）时应关闭。
    """
