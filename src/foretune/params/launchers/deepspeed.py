"""Options of the deepspeed launcher, read in DeepSpeed 0.19.8 (launcher/runner.py)."""

from typing import Literal

from ..declare import Section, param

RUNNER = "DeepSpeed 0.19.8, launcher/runner.py"
ELASTIC = "DeepSpeed 0.18.9 to 0.19.7, launcher/runner.py"
LAUNCH = "DeepSpeed 0.19.8, launcher/launch.py"


class DeepSpeedCommand(Section):
    """Options of the deepspeed launcher, which starts processes here or, by ssh, on other machines.

    deepspeed 启动器的选项；它在本机或（经 ssh）在其他机器上启动各进程。
    """

    hostfile: str = param("/job/hostfile", matters=2, source=RUNNER)
    """File with the machines, one a line as `name slots=4`. Where there is no such file, the
    launcher says so and goes on with this machine alone.

    机器列表文件，每行写成 `名称 slots=4`。文件不存在时，启动器只提示一句，然后仅用本机继续。
    """

    include: str = param("", matters=2, source=RUNNER)
    """Machines and their GPUs to use, as `worker-0@worker-1:0,2`; localhost:0,1 for this machine.
    Beside num_nodes, num_gpus or exclude it is refused; CUDA_VISIBLE_DEVICES is then ignored.

    要使用的机器和 GPU，例如 `worker-0@worker-1:0,2`；本机写 localhost:0,1。
    与 num_nodes、num_gpus 或 exclude 同时写会被拒绝；写了它，CUDA_VISIBLE_DEVICES 就被忽略。
    """

    exclude: str = param("", source=RUNNER)
    """Machines and GPUs to leave out, written like include. Beside num_nodes, num_gpus or include
    it is refused.

    不使用的机器和 GPU，写法同 include。与 num_nodes、num_gpus 或 include 同时写会被拒绝。
    """

    master_port: int = param(29500, at_least=1, at_most=65535, source=RUNNER)
    """Port of the first process. A second job on the same machine needs another one.

    首个进程的端口。同一台机器上的第二个作业需要换一个端口。
    """

    master_addr: str = param("", source=RUNNER)
    """Address of the first machine. Empty, the first machine of the list is asked for it by ssh; on
    one machine alone it is always 127.0.0.1, whatever is written.

    首台机器的地址。不写时经 ssh 向列表中第一台机器查询；只有本机时恒为 127.0.0.1，写了也不算。
    """

    node_rank: int = param(-1, source=RUNNER)
    """Number of this machine among all, from zero; read only with no_ssh, which needs it.

    本机在所有机器中的编号，从零开始；仅在写了 no_ssh 时读取，且必须写。
    """

    no_ssh: bool = param(False, source=RUNNER)
    """Start only the processes of this machine: the same command is to be given on every machine,
    each with its own node_rank.

    只启动本机的进程：需在每台机器上执行同样的命令，并各自写好 node_rank。
    """

    no_ssh_check: bool = param(False, source=RUNNER)
    """Do not try beforehand whether the first machine can be reached by ssh.

    启动前不检查能否经 ssh 连上第一台机器。
    """

    ssh_port: int | None = param(
        None, when_unset=("ssh's own", "ssh 自己的默认端口"), source=RUNNER
    )
    """Port of ssh on the other machines.

    其他机器的 ssh 端口。
    """

    launcher: Literal["pdsh", "openmpi", "mpich", "impi", "mvapich", "slurm"] = param(
        "pdsh", source=RUNNER
    )
    """The program that starts processes on several machines, which must be installed. On one
    machine it is not used.

    在多台机器上启动进程所用的程序，必须已安装。只有一台机器时不使用它。
    """

    launcher_args: str = param("", source=RUNNER)
    """Words for that program, all of them in one pair of quotes.

    传给上述程序的参数，整体写在一对引号里。
    """

    force_multi: bool = param(False, source=RUNNER)
    """Take the way of several machines even where there is only one, which then may be another than
    this.

    即使只有一台机器也按多机方式启动，这台机器可以不是本机。
    """

    module: bool = param(False, source=RUNNER)
    """What follows is a module's name, as with python -m.

    后面写的是模块名，相当于 python -m。
    """

    no_python: bool = param(False, source=RUNNER)
    """Start the program itself and not python with it.

    直接执行程序，不在前面加 python。
    """

    no_local_rank: bool = param(False, matters=2, source=LAUNCH)
    """Do not add a local_rank argument to those of the script. By default the launcher adds one,
    which a script has to know: transformers' arguments do.

    不向脚本追加 local_rank 参数。默认会追加，脚本必须认识它；transformers 的参数认识。
    """

    save_pid: bool = param(False, source=RUNNER)
    """Write the number of the launcher's process into a file under /tmp.

    把启动器的进程号写入 /tmp 下的文件。
    """

    enable_each_rank_log: str = param("None", source=LAUNCH)
    """Folder in which every process gets files for its outputs; the word None stands for no such
    files.

    为每个进程单独写输出文件的文件夹；写 None 表示不写。
    """

    autotuning: Literal["tune", "run"] | None = param(
        None, when_unset=("the script runs as it is", "直接运行脚本"), source=RUNNER
    )
    """Try settings of DeepSpeed out before the run: tune stops with the best, run goes on with it.
    Every trial starts the script anew for a few steps.

    运行前先试验 DeepSpeed 的各种设置：tune 找到最好的便停下，run 则用它继续训练。每次试验都要重新启
    动脚本跑若干步。
    """

    bind_cores_to_rank: bool = param(False, source=LAUNCH)
    """Give every process CPU cores of its own.

    为每个进程分配各自的 CPU 核。
    """

    bind_core_list: str | None = param(None, when_unset=("all cores", "所有核"), source=LAUNCH)
    """The cores that are handed out, as 1,3-5.

    可分配的核，例如 1,3-5。
    """

    venv_script: str | None = param(None, when_unset=("none is run", "不执行"), source=RUNNER)
    """Script that is sourced on every other machine before its processes start.

    在其他机器启动进程之前先执行的虚拟环境激活脚本。
    """

    log_level: Literal["debug", "info", "warning", "error", "critical"] = param(
        "info", source=RUNNER
    )
    """How much the launcher says of itself. In front of the script it is the launcher's; behind it,
    it is the script's own argument.

    启动器自身的日志级别。写在脚本前面属于启动器，写在脚本后面则是脚本自己的参数。
    """

    quiet: bool = param(False, source=RUNNER)
    """The same as log_level error.

    相当于把 log_level 设为 error。
    """

    elastic_training: bool = param(False, source=ELASTIC)
    """Let machines come and go while training. Removed in DeepSpeed 0.19.8, which refuses it.

    训练过程中允许机器加入或退出。DeepSpeed 0.19.8 已删除，写了会报错。
    """

    min_elastic_nodes: int = param(-1, source=ELASTIC)
    """Fewest machines of an elastic run. Removed in DeepSpeed 0.19.8, which refuses it.

    弹性训练的最少机器数。DeepSpeed 0.19.8 已删除，写了会报错。
    """

    max_elastic_nodes: int = param(-1, source=ELASTIC)
    """Most machines of an elastic run. Removed in DeepSpeed 0.19.8, which refuses it.

    弹性训练的最多机器数。DeepSpeed 0.19.8 已删除，写了会报错。
    """
