"""What DeepSpeed measures, prints and logs, in ds_config.json: profiler, monitors, loggers."""

from typing import Literal

from ..declare import Section, param


class FlopsProfiler(Section):
    """The flops_profiler block: counts operations, parameters and time of one forward pass by
    module.

    flops_profiler 配置块：统计一次前向中各模块的运算量、参数量和耗时。
    """

    enabled: bool = param(
        False, source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py"
    )
    """Profile one step on the first process. It turns wall_clock_breakdown on as well, which stays
    on for the whole run.

    在首个进程上剖析一步。它同时打开 wall_clock_breakdown，并在整个训练期间保持打开。
    """

    recompute_fwd_factor: float = param(
        0.0, at_least=0, source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py"
    )
    """Share of the forward pass that is computed again in the backward pass, for the estimate of
    its operations: 1 with full gradient checkpointing.

    估算反向运算量时，前向被重新计算的比例：完全使用梯度检查点时写 1。
    """

    profile_step: int = param(
        1,
        at_least=0,
        unit="optimizer steps",
        source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py",
    )
    """Optimizer step to profile, counted from zero: the default is the second step, so that the
    slow first one is left out. With accumulation the report is on one micro batch of it.

    剖析哪一个优化器步，从零开始数：默认是第二步，以避开较慢的第一步。有梯度累积时报告的是其中一个微
    批次。
    """

    module_depth: int = param(
        -1, at_least=-1, source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py"
    )
    """Depth of nested modules at which the summary is printed; below zero it goes down to the
    innermost.

    汇总打印到第几层嵌套模块；负数表示一直到最内层。
    """

    top_modules: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py"
    )
    """How many modules the summary lists at each depth, the most expensive first. It has nothing to
    do with top-level modules.

    汇总中每一层列出几个模块，开销最大的在前。与“顶层模块”无关。
    """

    detailed: bool = param(
        True, source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py"
    )
    """Print every module of the model with its figures too.

    另外逐个打印模型中的每个模块及其数据。
    """

    output_file: str | None = param(
        None,
        when_unset=("printed to the log", "打印到日志"),
        source="DeepSpeed 0.19.8, profiling/config.py and runtime/engine.py",
    )
    """File for the report.

    报告写入的文件。
    """


class TensorBoard(Section):
    """DeepSpeed's own TensorBoard log, apart from the Trainer's report_to.

    DeepSpeed 自己的 TensorBoard 日志，与 Trainer 的 report_to 无关。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, monitor/config.py")
    """Write loss, learning rate and loss scale for TensorBoard.

    为 TensorBoard 记录损失、学习率和损失缩放倍数。
    """

    output_path: str = param(
        "",
        when_unset=("the folder that the run was started in", "启动训练时所在的文件夹"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Folder for the log.

    日志所在文件夹。
    """

    job_name: str = param("DeepSpeedJobName", source="DeepSpeed 0.19.8, monitor/config.py")
    """Name of the folder in it for this run.

    其中本次训练的文件夹名。
    """


class WeightsAndBiases(Section):
    """DeepSpeed's own log to Weights & Biases, apart from the Trainer's report_to.

    DeepSpeed 自己写往 Weights & Biases 的日志，与 Trainer 的 report_to 无关。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, monitor/config.py")
    """Log loss, learning rate and loss scale there.

    把损失、学习率和损失缩放倍数记录到那里。
    """

    group: str | None = param(
        None, when_unset=("no group", "不分组"), source="DeepSpeed 0.19.8, monitor/config.py"
    )
    """Group that the run belongs to.

    训练所属的分组。
    """

    team: str | None = param(
        None,
        when_unset=("your own account", "自己的账户"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Team whose account is used.

    使用哪个团队的账户。
    """

    project: str = param("deepspeed", source="DeepSpeed 0.19.8, monitor/config.py")
    """Project that the run is filed under.

    训练归入的项目。
    """


class CsvMonitor(Section):
    """DeepSpeed's own log in CSV files, one per quantity.

    DeepSpeed 自己的 CSV 日志，每个量一个文件。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, monitor/config.py")
    """Write loss, learning rate and loss scale to CSV files.

    把损失、学习率和损失缩放倍数写入 CSV 文件。
    """

    output_path: str = param(
        "",
        when_unset=("the folder that the run was started in", "启动训练时所在的文件夹"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Folder for the files.

    文件所在文件夹。
    """

    job_name: str = param("DeepSpeedJobName", source="DeepSpeed 0.19.8, monitor/config.py")
    """Name of the folder in it for this run.

    其中本次训练的文件夹名。
    """


class Comet(Section):
    """DeepSpeed's own log to Comet, apart from the Trainer's report_to.

    DeepSpeed 自己写往 Comet 的日志，与 Trainer 的 report_to 无关。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, monitor/config.py")
    """Log loss, learning rate and loss scale there.

    把损失、学习率和损失缩放倍数记录到那里。
    """

    samples_log_interval: int = param(
        100, at_least=1, unit="examples", source="DeepSpeed 0.19.8, monitor/config.py"
    )
    """Examples between two records.

    每隔多少个样本记录一次。
    """

    project: str | None = param(
        None,
        when_unset=("Comet's own setting", "Comet 自己的设置"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Project that the run is filed under.

    训练归入的项目。
    """

    workspace: str | None = param(
        None,
        when_unset=("Comet's own setting", "Comet 自己的设置"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Workspace of the project.

    项目所在的工作区。
    """

    api_key: str | None = param(
        None,
        secret=True,
        when_unset=("Comet's own setting", "Comet 自己的设置"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Key of the account. It is a secret: in a file it is readable for everybody who reads the
    file.

    账户密钥。它是机密：写进文件，凡能读到文件的人都能看到。
    """

    experiment_name: str | None = param(
        None,
        when_unset=("Comet makes one up", "由 Comet 生成"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Name under which the experiment is listed.

    实验列表中显示的名称。
    """

    experiment_key: str | None = param(
        None,
        when_unset=("a new experiment", "新建实验"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Key of an experiment to go on with.

    要继续的实验的标识。
    """

    online: bool | None = param(
        None,
        when_unset=("sent while training", "训练时即发送"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Send records at once, or keep them in a file to be sent later.

    立即发送记录，还是先存入文件以后再发送。
    """

    mode: Literal["get", "create", "get_or_create"] | None = param(
        None,
        when_unset=("goes on with an experiment where there is one", "有实验就继续，没有就新建"),
        source="DeepSpeed 0.19.8, monitor/config.py",
    )
    """Whether to go on with an experiment, to make a new one, or whichever fits.

    继续已有实验、新建实验，还是视情况而定。
    """


class CommsLogger(Section):
    """The comms_logger block: every exchange between processes with its size and time. Measuring
    waits for each of them, so the run is slower.

    comms_logger 配置块：记录进程间每次通信的大小和耗时。测量会等待每次通信完成，因此训练变慢。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, comm/config.py")
    """Record what processes send each other.

    记录进程之间的通信。
    """

    verbose: bool = param(False, source="DeepSpeed 0.19.8, comm/config.py")
    """Print each as it happens.

    发生时立即打印。
    """

    prof_all: bool = param(True, source="DeepSpeed 0.19.8, comm/config.py")
    """Record every kind of exchange; otherwise those of prof_ops.

    记录所有种类的通信；否则只记录 prof_ops 中列出的。
    """

    prof_ops: tuple[str, ...] = param((), source="DeepSpeed 0.19.8, comm/config.py")
    """Kinds to record, such as all_reduce.

    要记录的种类，例如 all_reduce。
    """

    debug: bool = param(False, source="DeepSpeed 0.19.8, comm/config.py")
    """Add the name of the calling function to each record.

    在每条记录中加上调用函数的名称。
    """


class Throughput(Section):
    """The timer behind the samples per second that DeepSpeed prints.

    DeepSpeed 打印每秒样本数所用的计时器。
    """

    enabled: bool = param(True, source="DeepSpeed 0.19.8, utils/config.py")
    """Measure throughput.

    测量吞吐量。
    """

    synchronized: bool = param(True, source="DeepSpeed 0.19.8, utils/config.py")
    """Wait for the GPU before every reading: exact, and a little slower.

    每次读数前等待 GPU：更准确，但略慢。
    """


class Timers(Section):
    """The timers block.

    timers 配置块。
    """

    throughput: Throughput = param(Throughput.model_construct())
