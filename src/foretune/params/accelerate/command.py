"""What only the command line of `accelerate launch` has, and its block for mpirun."""

from ..declare import Section, param


class Mpirun(Section):
    """The mpirun_config block, for training on the CPUs of several machines.

    mpirun_config 配置块，用于多机 CPU 训练。
    """

    mpirun_hostfile: str | None = param(
        None,
        when_unset=("mpirun is not used", "不使用 mpirun"),
        source="accelerate 1.15, utils/launch.py",
    )
    """File with the machines for mpirun.

    供 mpirun 使用的机器列表文件。
    """


class Command(Section):
    """Flags of `accelerate launch` that its file does not have.

    `accelerate launch` 独有、配置文件中没有的命令行参数。
    """

    config_file: str | None = param(
        None,
        when_unset=(
            "default_config.yaml of the user's cache folder, where `accelerate config` wrote one",
            "用户缓存目录中由 `accelerate config` 写出的 default_config.yaml",
        ),
        source="accelerate 1.15, commands/launch.py",
    )
    """Accelerate's YAML file. Flags count more than what it says. Without this flag a file that was
    once made by `accelerate config` on the machine is read all the same, unless --cpu is given.

    accelerate 的 YAML 配置文件。命令行参数优先于它。即使不写这个参数，也会读取机器上曾
    由 `accelerate config` 生成的文件，除非写了 --cpu。
    """

    quiet: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """End without the launcher's own error when the script fails, so that the script's is the last
    one printed. Read where one process is started, and by DeepSpeed's launcher on several machines.

    脚本出错时启动器不再另外报错，最后看到的就是脚本自己的错误。只在启动单个进程，或多机使
    用 DeepSpeed 的启动器时读取。
    """

    multi_gpu: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Start one process per GPU with torch's launcher. Beside use_deepspeed or use_fsdp it is
    refused.

    用 torch 的启动器为每个 GPU 启动一个进程。与 use_deepspeed 或 use_fsdp 同时写会被拒绝。
    """

    tpu: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Start on TPUs.

    在 TPU 上启动各进程。
    """

    use_deepspeed: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Shard with DeepSpeed. Without it, or the file's distributed_type, the flags about ZeRO have
    no effect.

    用 DeepSpeed 分片。不写它（文件的 distributed_type 也没有）时，与 ZeRO 有关的参数不起作用。
    """

    use_fsdp: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Shard with FSDP. Without it, or the file's distributed_type, the flags about FSDP have no
    effect.

    用 FSDP 分片。不写它（文件的 distributed_type 也没有）时，与 FSDP 有关的参数不起作用。
    """

    use_parallelism_config: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Use the sizes of parallelism_config. It needs FSDP in its second version.

    使用 parallelism_config 的各项大小。需要第二版 FSDP。
    """

    use_megatron_lm: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """Train with Megatron-LM.

    使用 Megatron-LM 进行训练。
    """

    num_cpu_threads_per_process: int | None = param(
        None,
        at_least=1,
        when_unset=(
            "OMP_NUM_THREADS where it is set, otherwise one",
            "已设置 OMP_NUM_THREADS 则用它，否则为一",
        ),
        source="accelerate 1.15, commands/launch.py",
    )
    """Threads of each process on the CPU, set as OMP_NUM_THREADS. One is little where rows are
    prepared on the CPU.

    每个进程的 CPU 线程数，以 OMP_NUM_THREADS 设置。在 CPU 上准备数据时，一个线程太少。
    """

    tee: str = param("0", source="accelerate 1.15, commands/launch.py")
    """Which output of the processes is printed and also written below log_dir: of all, or of some
    by their number.

    哪些进程的输出既打印又写入 log_dir：全部，或按编号指定。
    """

    log_dir: str | None = param(
        None,
        when_unset=("no files are written", "不写文件"),
        source="accelerate 1.15, commands/launch.py",
    )
    """Folder for the output of the processes.

    各进程输出所在文件夹。
    """

    role: str = param("default", source="accelerate 1.15, commands/launch.py")
    """Name of the group of processes in torch's launcher.

    在 torch 启动器中这组进程的名称。
    """

    rdzv_conf: str = param("", source="accelerate 1.15, commands/launch.py")
    """Further settings of the meeting point, as key=value with commas between.

    会合点的其他设置，写成逗号分隔的 key=value。
    """

    max_restarts: int = param(0, at_least=0, source="accelerate 1.15, commands/launch.py")
    """How often all processes are started again after one failed. The script must resume by itself.

    有进程失败后整体重启的次数。脚本需要自己继续训练。
    """

    monitor_interval: float = param(
        0.1, above=0, unit="seconds", source="accelerate 1.15, commands/launch.py"
    )
    """How often the launcher looks after the processes.

    启动器每隔多久检查各进程。
    """

    module: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """What follows is a module's name, as with python -m.

    后面写的是模块名，与 python -m 相同。
    """

    no_python: bool = param(False, source="accelerate 1.15, commands/launch.py")
    """What follows is a program by itself, not a Python script.

    后面写的是可直接运行的程序，而不是 Python 脚本。
    """

    aws_access_key_id: str | None = param(
        None,
        secret=True,
        when_unset=("profile of the file", "使用文件中的 profile"),
        source="accelerate 1.15, commands/launch.py",
    )
    """Key for Amazon SageMaker. It is a secret: on a command line it is readable for everybody on
    the machine.

    Amazon SageMaker 的密钥。它是机密：写在命令行上，机器上的所有人都能看到。
    """

    aws_secret_access_key: str | None = param(
        None,
        secret=True,
        when_unset=("profile of the file", "使用文件中的 profile"),
        source="accelerate 1.15, commands/launch.py",
    )
    """The secret half of that key. On a command line it is readable for everybody on the machine.

    该密钥的机密部分。写在命令行上，机器上的所有人都能看到。
    """
