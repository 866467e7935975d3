"""Accelerate's own settings: what its YAML file and `accelerate launch` have for themselves."""

from typing import Literal

from ..declare import Section, param
from .command import Command, Mpirun
from .kernels import Dynamo, Fp8
from .megatron import MegatronLm
from .sagemaker import SageMaker
from .sharding import DeepSpeedPlugin, FsdpPlugin, Parallelism


class Accelerate(Section):
    """Accelerate's YAML file and the flags of `accelerate launch`: how many processes start, and
    what shards the model.

    accelerate 的 YAML 配置文件以及 `accelerate launch` 的参数：启动多少进程，用什么对模型分片。
    """

    compute_environment: Literal["LOCAL_MACHINE", "AMAZON_SAGEMAKER"] = param(
        "LOCAL_MACHINE",
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Machines of your own, or machines rented from Amazon.

    自己的机器，还是向 Amazon 租用的机器。
    """

    distributed_type: (
        Literal[
            "NO",
            "MULTI_CPU",
            "MULTI_GPU",
            "MULTI_NPU",
            "MULTI_MLU",
            "MULTI_SDAA",
            "MULTI_MUSA",
            "MULTI_XPU",
            "MULTI_HPU",
            "MULTI_NEURON",
            "DEEPSPEED",
            "FSDP",
            "XLA",
            "MEGATRON_LM",
            "DATA_PARALLEL",
            "MODEL_PARALLEL",
        ]
        | None
    ) = param(
        None,
        matters=2,
        when_unset=("the file is refused without it", "缺少它时文件会被拒绝"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """What makes many processes one run: nothing, plain data parallelism on some kind of device, or
    a program that shards the model; the block of that program is then read and the others are not.

    用什么把多个进程组织成一次训练：不组织、某类设备上的普通数据并行，或对模型分片的程序；此时只读取
    该程序的配置块。
    """

    mixed_precision: Literal["no", "fp16", "bf16", "fp8"] | None = param(
        None,
        matters=2,
        when_unset=("no", "no"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Number type in which autocast computes. The script's own flags for half precision replace it.
    In the file the word for none must stand in quotes: YAML reads a bare one as false, and
    accelerate then fails.

    autocast 计算所用的数值类型。脚本自己的半精度参数会取代它。在文件中写“不使用”的那个词要加引号：
    YAML 会把不加引号的读成 false，accelerate 随即出错。
    """

    debug: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """Compare the shapes of tensors over processes before every exchange, so that a mistake fails
    with a message instead of waiting for ever; slower.

    每次通信之前比较各进程张量的形状，出错时给出提示而不是一直等待；较慢。
    """

    machine_rank: int = param(
        0,
        at_least=0,
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Number of this machine, from zero; it differs from machine to machine.

    本机的编号，从零开始；每台机器不同。
    """

    main_process_ip: str | None = param(
        None,
        when_unset=("this machine", "本机"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Address of the first machine; needed with several.

    第一台机器的地址；多机时必须写。
    """

    main_process_port: int | None = param(
        None,
        at_least=0,
        when_unset=("29500, or a free one where that is taken", "29500，被占用时另选空闲端口"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Port on the first machine; zero chooses a free one.

    第一台机器上的端口；写零表示自动选择空闲端口。
    """

    rdzv_backend: str = param(
        "static", source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """How machines find each other. Accelerate 1.15 takes it from the flag only: in the file it has
    no effect.

    各机器如何会合。accelerate 1.15 只从命令行参数读取：写在文件里不起作用。
    """

    same_network: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """With several machines: they reach the first one by its address and port directly. Accelerate
    1.15 takes it from the flag only: in the file it has no effect.

    多机时：各机器可直接用地址和端口访问第一台机器。accelerate 1.15 只从命令行参数读取：写在文件里不
    起作用。
    """

    main_training_function: str = param(
        "main", source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """Function of the script to call on TPUs. Elsewhere the script is run as it is.

    在 TPU 上要调用的脚本函数。其他设备直接运行脚本。
    """

    enable_cpu_affinity: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """Bind each process to the processor cores near its NVIDIA GPU. Accelerate 1.15 takes it from
    the flag only: in the file it has no effect.

    把每个进程绑定到靠近其 NVIDIA GPU 的处理器核心。accelerate 1.15 只从命令行参数读取：写在文件里不
    起作用。
    """

    downcast_bf16: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """On TPUs with bfloat16: turn double precision into float32 and float32 into bfloat16.
    Accelerate 1.15 takes it from the flag only: in the file it has no effect.

    在 TPU 上使用 bfloat16 时：双精度转为 float32，float32 转为 bfloat16。accelerate 1.15 只从命令行
    参数读取：写在文件里不起作用。
    """

    deepspeed_config: DeepSpeedPlugin = param(DeepSpeedPlugin.model_construct())
    fsdp_config: FsdpPlugin = param(FsdpPlugin.model_construct())
    parallelism_config: Parallelism = param(Parallelism.model_construct())
    megatron_lm_config: MegatronLm = param(MegatronLm.model_construct())
    dynamo_config: Dynamo = param(Dynamo.model_construct())
    fp8_config: Fp8 = param(Fp8.model_construct())
    mpirun_config: Mpirun = param(Mpirun.model_construct())
    tpu_name: str | None = param(
        None,
        when_unset=("no TPU pod", "没有 TPU pod"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Name of the TPU pod to train on.

    进行训练的 TPU pod 的名称。
    """

    tpu_zone: str | None = param(
        None,
        when_unset=("as gcloud is set", "按 gcloud 的设置"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Zone of the TPU pod, for `accelerate tpu-config`.

    TPU pod 所在区域，供 `accelerate tpu-config` 使用。
    """

    tpu_use_cluster: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """Train on a whole TPU pod.

    在整个 TPU pod 上训练。
    """

    tpu_use_sudo: bool = param(
        False, source="accelerate 1.15, commands/config/config_args.py and commands/launch.py"
    )
    """Start with sudo on its machines. Accelerate 1.15 takes it from the flag only: in the file it
    has no effect.

    在其机器上用 sudo 启动。accelerate 1.15 只从命令行参数读取：写在文件里不起作用。
    """

    command_file: str | None = param(
        None,
        when_unset=("no commands", "没有命令"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """File of commands that `accelerate tpu-config` runs on the pod. Launching does not read it.

    `accelerate tpu-config` 在 pod 上执行的命令文件。启动训练时不读取。
    """

    commands: tuple[str, ...] | None = param(
        None,
        when_unset=("no commands", "没有命令"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Those commands themselves. Launching does not read them.

    上述命令本身。启动训练时不读取。
    """

    tpu_vm: tuple[str, ...] | None = param(
        None,
        when_unset=("a group of instances", "使用实例组"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Machines of the pod by name.

    pod 中各机器的名称。
    """

    tpu_env: tuple[str, ...] | None = param(
        None,
        when_unset=("none", "无"),
        source="accelerate 1.15, commands/config/config_args.py and commands/launch.py",
    )
    """Environment variables meant for the pod. No effect: the launcher sends those of its own
    instead.

    本意是传给 pod 的环境变量。没有作用：启动器发送的是它自己的变量。
    """

    sagemaker: SageMaker = param(SageMaker.model_construct())
    command: Command = param(Command.model_construct())
