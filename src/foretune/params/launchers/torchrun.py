"""Options of torchrun, read in torch 2.13 (distributed/run.py)."""

from typing import Literal

from ..declare import Section, param

TORCH = "torch 2.13, distributed/run.py"
ELASTIC = "torch 2.13, distributed/elastic"


class Torchrun(Section):
    """Options of torchrun, which starts the processes of a machine and watches over them.

    torchrun 的选项；它在每台机器上启动各进程并负责看护。
    """

    standalone: bool = param(False, source=TORCH)
    """Let the processes of a single machine meet at a free port. The options about meeting
    (rdzv_backend, rdzv_endpoint, rdzv_id) are then ignored. On one machine torchrun does the same
    by itself as long as no port or endpoint is written.

    让单机上的各进程在一个空闲端口会合，此时 rdzv_backend、rdzv_endpoint、rdzv_id 均被忽略。单机训练
    只要没有写端口或会合地址，torchrun 也会自动这样做。
    """

    rdzv_backend: str = param("static", source=TORCH)
    """How machines find each other: static takes the address of the first one from master_addr and
    expects every machine to say its own node_rank; c10d lets them meet at rdzv_endpoint in any
    order, and lets them come and go.

    各机器如何会合：static 从 master_addr 取首台机器的地址，并要求每台机器写明自己的 node_rank；
    c10d 让它们以任意顺序在 rdzv_endpoint 会合，也允许中途加入或退出。
    """

    rdzv_endpoint: str = param("", source=TORCH)
    """Address and port where machines meet, with a colon between. Where it is written, master_addr
    and master_port are not read.

    会合的地址和端口，中间用半角冒号隔开。写了它，就不再读取 master_addr 和 master_port。
    """

    rdzv_id: str = param("none", source=TORCH)
    """Name of the job: machines with the same name meet. Two jobs at one endpoint need two names.

    作业名，同名的机器才会会合。共用一个会合地址的两个作业必须取不同的名字。
    """

    rdzv_conf: str = param("", source=TORCH)
    """Further settings of the meeting, as key=value pairs between commas, such as timeouts.

    会合的其他设置（例如超时），写成以逗号分隔的 键=值。
    """

    node_rank: int = param(0, at_least=0, matters=2, source=TORCH)
    """Number of this machine among all, from zero. Every machine of a static job needs its own; the
    same number twice makes the job wait for ever. Other backends ignore it.

    本机在所有机器中的编号，从零开始。static 方式下每台机器必须各不相同，编号重复会让作业一直等待。
    其他会合方式忽略它。
    """

    master_addr: str = param("127.0.0.1", matters=2, source=TORCH)
    """Address of the first machine; the default reaches no other machine than this one. Read by the
    static backend alone.

    首台机器的地址。默认值只能到达本机。仅 static 会合方式读取。
    """

    master_port: int | None = param(None, when_unset=("29500", "29500"), source=TORCH)
    """Port of the first machine, read by the static backend alone. A second job on the same
    machine needs another one, or none at all: then a free port is taken.

    首台机器的端口，仅 static 会合方式读取。同一台机器上的第二个作业需要换一个端口，或者干脆不写：
    单机时会自动选用空闲端口。
    """

    local_addr: str | None = param(
        None,
        when_unset=("the machine's own name is looked up", "查找本机自己的名称"),
        source=TORCH,
    )
    """Address under which the other machines reach this one.

    其他机器访问本机所用的地址。
    """

    max_restarts: int = param(0, at_least=0, source=ELASTIC)
    """How often all processes are started anew after one of them failed. The script begins from its
    start: without a checkpoint to resume from, every restart repeats the whole run.

    某个进程失败后，全部进程最多重启多少次。脚本会从头执行：若没有可恢复的检查点，每次重启都要从头
    训练。
    """

    monitor_interval: float = param(0.1, above=0, unit="seconds", source=ELASTIC)
    """How often torchrun looks whether its processes are alive.

    torchrun 检查各进程是否存活的间隔。
    """

    shutdown_timeout: int | None = param(
        None,
        at_least=0,
        unit="seconds",
        when_unset=(
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT, else 30",
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT，否则为 30",
        ),
        source=TORCH,
    )
    """How long processes may take to end before they are killed; a checkpoint that is being written
    then stays unfinished.

    终止时等待各进程自行退出的时间，超时即强行结束；此时正在写的检查点会不完整。
    """

    signals_to_handle: str = param("SIGTERM,SIGINT,SIGHUP,SIGQUIT", source=TORCH)
    """Signals that torchrun passes on to its processes. Slurm's warnings before the end of a job
    (SIGUSR1, SIGUSR2) are not among them by default.

    torchrun 转发给各进程的信号。默认不含 Slurm 在作业到期前发送的 SIGUSR1、SIGUSR2。
    """

    start_method: Literal["spawn", "fork", "forkserver"] = param("spawn", source=ELASTIC)
    """How processes are made where a function is started and not a script: a script is always a
    process of its own, and this has no effect on it.

    以函数方式启动时创建进程的方法；启动脚本时总是新建独立进程，它不起作用。
    """

    role: str = param("default", source=ELASTIC)
    """Name of the processes in logs.

    各进程在日志中的名称。
    """

    event_log_handler: str = param("null", source=ELASTIC)
    """Who takes torchrun's own events; by default nobody does.

    由谁接收 torchrun 自身的事件，默认不接收。
    """

    module: bool = param(False, source=TORCH)
    """What follows is a module's name, as with python -m.

    后面写的是模块名，相当于 python -m。
    """

    no_python: bool = param(False, source=TORCH)
    """Start the program itself and not python with it. Together with module it is refused.

    直接执行程序，不在前面加 python。与 module 同时写会被拒绝。
    """

    run_path: bool = param(False, source=TORCH)
    """Run the script inside of the process that torchrun makes; it must be an absolute path.

    在 torchrun 创建的进程内直接运行脚本，必须写绝对路径。
    """

    use_env: bool = param(False, source="torch 2.13, distributed/launch.py")
    """Hand a process its local number in LOCAL_RANK alone. torchrun always does so; only the old
    torch.distributed.launch has a choice, and without this passes a local-rank argument that a
    script may not know.

    只通过环境变量 LOCAL_RANK 告诉进程其本机编号。torchrun 总是如此；只有旧
    的 torch.distributed.launch 可以选择，不写它时会传入 local-rank 参数，脚本未必认识。
    """

    virtual_local_rank: bool = param(False, source=TORCH)
    """Show each process one GPU alone, as device zero, and number every process zero on its
    machine. Code that takes device LOCAL_RANK still finds its own.

    让每个进程只看到一块 GPU（编号 0），本机编号也都为 0。按 LOCAL_RANK 取设备的代码仍能找到自己的
    那块。
    """

    numa_binding: Literal["node", "socket", "exclusive", "core-complex"] | None = param(
        None, when_unset=("processes are not bound", "不绑定"), source="torch 2.13, numa/binding.py"
    )
    """Keep each process on the CPU cores near its GPU, as narrowly as the word says.

    把每个进程绑定到靠近其 GPU 的 CPU 核上，绑定范围由所写的词决定。
    """

    log_dir: str | None = param(None, when_unset=("a temporary folder", "临时文件夹"), source=TORCH)
    """Folder for the outputs of the processes, where redirects or tee ask for files.

    存放各进程输出的文件夹，需由 redirects 或 tee 指定写文件。
    """

    redirects: str = param("0", source=TORCH)
    """Which outputs of the processes go into files instead of the terminal: 1 the usual one, 2 that
    of errors, 3 both, or by process as 0:3,1:1.

    把各进程的哪些输出写入文件而不显示在终端：1 为标准输出，2 为错误输出，3 为两者；也可按进程写
    成 0:3,1:1。
    """

    tee: str = param("0", source=TORCH)
    """The same as redirects, and the terminal shows them as well.

    同 redirects，但终端也照样显示。
    """

    local_ranks_filter: str = param("", source=TORCH)
    """Only the outputs of these processes are shown in the terminal, as 0,1; files hold all.

    终端只显示这些进程的输出，例如 0,1；文件里仍有全部。
    """

    duplicate_stdout_filters: tuple[str, ...] = param((), source=TORCH)
    """Lines with one of these words are collected in a file of their own, from the usual outputs of
    all processes.

    从全部进程的标准输出中，把含有这些词的行另外汇集到一个文件。
    """

    duplicate_stderr_filters: tuple[str, ...] = param((), source=TORCH)
    """The same for the outputs of errors.

    同上，对应错误输出。
    """

    logs_specs: str | None = param(None, when_unset=("torch's own", "torch 自带的"), source=TORCH)
    """Name of an installed class that decides where logs go.

    决定日志去向的已安装的类的名称。
    """
