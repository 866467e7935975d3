"""DeepSpeed's own settings: every key of ds_config.json that no concept of ours has."""

from typing import Literal

from ..declare import Section, param
from .autotuning import Autotuning
from .checkpoint import ActivationCheckpointing, Checkpoint, Compile
from .data import DataEfficiency
from .experts import ExpertParallel
from .logs import (
    Comet,
    CommsLogger,
    CsvMonitor,
    FlopsProfiler,
    TensorBoard,
    Timers,
    WeightsAndBiases,
)
from .offload import Aio
from .optimizer import Optimizer, Scheduler
from .parallel import HybridEngine, Pipeline, TensorParallel
from .precision import Bf16, DataTypes, Fp16, TorchAutocast, WeightQuantization
from .zero import ZeroOptimization


class DeepSpeed(Section):
    """ds_config.json: what DeepSpeed does beside what the script's arguments say. Where it writes a
    value that an argument has too, both must say the same; auto takes the argument's.

    ds_config.json：在脚本参数之外由 DeepSpeed 完成的设置。与参数重复的项必须一致；写 auto 则取参数
    的值。
    """

    train_batch_size: int | Literal["auto"] | None = param(
        None,
        above=0,
        unit="examples",
        matters=2,
        when_unset=("micro batch x accumulation x processes", "微批次 × 累积次数 × 进程数"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Examples per optimizer step over all processes. It decides nothing: it must be the product of
    micro batch, accumulation and processes, and auto has transformers write that product in.
    Without transformers DeepSpeed takes no auto, and works out whichever of the three numbers is
    missing.

    所有进程合计每个优化器步的样本数。它不决定任何事：必须等于微批次、累积次数与进程数的乘积；
    写 auto 则由 transformers 填入这个乘积。不经 transformers 时 DeepSpeed 不接受 auto，三个数缺哪个
    就推出哪个。
    """

    managed_gradient_accumulation: bool = param(True, source="DeepSpeed 0.19.8, runtime/config.py")
    """Let DeepSpeed count micro batches and step at the last one. Otherwise whoever calls it
    decides; accelerate tells it the boundary itself.

    由 DeepSpeed 数微批次，到最后一个时更新。否则由调用者决定；accelerate 会自己告知边界。
    """

    zero_optimization: ZeroOptimization = param(ZeroOptimization.model_construct())
    fp16: Fp16 = param(Fp16.model_construct())
    bf16: Bf16 = param(Bf16.model_construct())
    torch_autocast: TorchAutocast = param(TorchAutocast.model_construct())
    data_types: DataTypes = param(DataTypes.model_construct())
    optimizer: Optimizer = param(Optimizer.model_construct())
    scheduler: Scheduler = param(Scheduler.model_construct())
    zero_allow_untested_optimizer: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Let ZeRO work with an optimizer that DeepSpeed's authors have not tried; otherwise it
    refuses. Transformers and accelerate turn it on wherever they bring the optimizer, so under them
    it has no effect.

    允许 ZeRO 与 DeepSpeed 作者没有测试过的优化器一起使用，否则拒绝。
    由 transformers 或 accelerate 提供优化器时会自动打开，因此在那里写它不起作用。
    """

    zero_force_ds_cpu_optimizer: bool = param(True, source="DeepSpeed 0.19.8, runtime/config.py")
    """With the optimizer offloaded, insist on DeepSpeed's own CPU optimizer, which accelerate puts
    in place of torch's AdamW. Turned off, any optimizer runs on the CPU, many times slower.

    优化器卸载时，必须使用 DeepSpeed 自己的 CPU 优化器；accelerate 会用它替换 torch 的 AdamW。关闭后
    任何优化器都可在 CPU 上运行，但慢很多倍。
    """

    communication_data_type: Literal["fp16", "bf16", "fp32"] | None = param(
        None,
        when_unset=(
            "that of the model; accelerate writes fp32 for bf16 on AMD GPUs",
            "与模型相同；AMD GPU 上使用 bf16 时 accelerate 会写 fp32",
        ),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Number type in which gradients are summed over processes. In float16 the sum of many can
    overflow; float32 cannot, and is twice the traffic.

    跨进程对梯度求和所用的数值类型。float16 在进程多时求和可能溢出；float32 不会，但通信量翻倍。
    """

    seq_parallel_communication_data_type: Literal["fp16", "bf16", "fp32"] = param(
        "fp32", source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """The same for the exchanges of sequence parallelism.

    序列并行通信所用的数值类型。
    """

    prescale_gradients: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Divide gradients by the number of processes before they are summed instead of after: against
    overflow in float16. ZeRO-2 and ZeRO-3 refuse it together with reduce_scatter.

    求和之前（而不是之后）把梯度除以进程数，防止 float16 溢出。ZeRO-2 和 ZeRO-3 在打
    开 reduce_scatter 时拒绝它。
    """

    gradient_predivide_factor: float = param(
        1.0, above=0, source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Divide gradients by this before they are summed, and by the rest of the number of processes
    after. ZeRO-2 and ZeRO-3 refuse any other number together with reduce_scatter.

    求和之前先把梯度除以该值，求和之后再除以进程数的剩余部分。ZeRO-2 和 ZeRO-3 在打
    开 reduce_scatter 时拒绝其他取值。
    """

    gradient_allreduce_op: Literal["mean", "sum"] = param(
        "mean", source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Average gradients over processes, or only add them, which makes each step as many times
    longer. ZeRO-3 refuses sums.

    对各进程的梯度取平均，或只相加（每一步因此放大进程数倍）。ZeRO-3 拒绝相加。
    """

    activation_checkpointing: ActivationCheckpointing = param(
        ActivationCheckpointing.model_construct()
    )
    aio: Aio = param(Aio.model_construct())
    dataloader_drop_last: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Leave out the last batch of an epoch in DeepSpeed's own data loader. The Trainer brings its
    own, so under it this has no effect.

    DeepSpeed 自己的数据加载器丢弃每个 epoch 最后不满的一批。Trainer 用的是自己的加载器，因此在那里
    不起作用。
    """

    steps_per_print: int | None = param(
        None,
        at_least=1,
        unit="optimizer steps",
        when_unset=(
            "nothing is printed; the documentation says every 10 steps",
            "不打印；文档写的是每 10 步",
        ),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Print loss scale, skipped steps and throughput every so many steps. Accelerate, and so the
    Trainer, replaces any number by infinity: under them nothing is printed.

    每隔这么多步打印损失缩放倍数、跳过的步数和吞吐量。accelerate（Trainer 也经过它）会把任何数值换成
    无穷大，因此在那里什么也不打印。
    """

    wall_clock_breakdown: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Time the forward pass, the backward pass, the exchange and the step, and log it. Every
    reading waits for the GPU, so the run is slower.

    分别测量前向、反向、通信和更新的时间并写入日志。每次读数都要等待 GPU，训练因此变慢。
    """

    memory_breakdown: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Log memory before and after each of these parts.

    在这些阶段前后记录显存占用。
    """

    dump_state: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Print the settings that DeepSpeed arrived at when it starts.

    启动时打印 DeepSpeed 最终采用的设置。
    """

    log_level: str | None = param(
        None,
        when_unset=("that of the Trainer", "与 Trainer 相同"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """How much DeepSpeed logs: debug, info, warning, error or critical. The Trainer sets it to its
    own level afterwards.

    DeepSpeed 输出日志的详细程度：debug、info、warning、error 或 critical。之后 Trainer 会改成自己的
    级别。
    """

    disable_python_gc: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """Turn off Python's search for cyclic garbage while the engine lives; steps then take more even
    times.

    引擎存在期间关闭 Python 的循环垃圾回收，各步耗时更均匀。
    """

    disable_allgather: bool = param(False, source="DeepSpeed 0.19.8, runtime/config.py")
    """No effect: nothing reads it.

    没有作用：没有代码读取它。
    """

    vocabulary_size: int | None = param(
        None,
        at_least=1,
        when_unset=("nothing is checked", "不检查"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Warn when the number cannot be divided by eight. Nothing else reads it.

    该数不能被 8 整除时给出警告，此外没有代码读取它。
    """

    flops_profiler: FlopsProfiler = param(FlopsProfiler.model_construct())
    comms_logger: CommsLogger = param(CommsLogger.model_construct())
    timers: Timers = param(Timers.model_construct())
    tensorboard: TensorBoard = param(TensorBoard.model_construct())
    wandb: WeightsAndBiases = param(WeightsAndBiases.model_construct())
    csv_monitor: CsvMonitor = param(CsvMonitor.model_construct())
    comet: Comet = param(Comet.model_construct())
    checkpoint: Checkpoint = param(Checkpoint.model_construct())
    datastates_ckpt: dict[str, object] | None = param(
        None,
        when_unset=("checkpoints are written as usual", "照常写检查点"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Settings of the DataStates library, which writes checkpoints in the background; it must be
    installed.

    DataStates 库的设置，由它在后台写检查点；需要安装该库。
    """

    tensor_parallel: TensorParallel = param(TensorParallel.model_construct())
    expert_parallel: ExpertParallel = param(ExpertParallel.model_construct())
    use_data_before_expert_parallelism: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """With experts, number processes by data parallelism first and by experts second.

    有专家并行时，进程先按数据并行编号，再按专家编号。
    """

    sequence_parallel_size: int | None = param(
        None,
        at_least=1,
        when_unset=("sequences are not split", "不切分序列"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Processes that share each sequence. Read only where data_parallel_size is written too;
    accelerate has parallelism_config for it.

    共同处理一条序列的进程数。与 data_parallel_size 一起写才会读取；
    accelerate 用 parallelism_config 设置。
    """

    data_parallel_size: int | None = param(
        None,
        at_least=1,
        when_unset=("all processes", "全部进程"),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Processes with different rows, for a mesh of processes together with sequence_parallel_size.

    处理不同数据的进程数，与 sequence_parallel_size 一起组成进程网格。
    """

    pipeline: Pipeline = param(Pipeline.model_construct())
    hybrid_engine: HybridEngine = param(HybridEngine.model_construct())
    compile: Compile = param(Compile.model_construct())
    weight_quantization: WeightQuantization = param(WeightQuantization.model_construct())
    data_efficiency: DataEfficiency = param(DataEfficiency.model_construct())
    autotuning: Autotuning = param(Autotuning.model_construct())
    msamp: dict[str, object] | None = param(
        None,
        when_unset=(
            "accelerate writes it for its fp8 backend MS-AMP",
            "accelerate 的 fp8 后端为 MS-AMP 时由它写入",
        ),
        source="DeepSpeed 0.19.8, runtime/config.py",
    )
    """Settings of MS-AMP, which replaces DeepSpeed's start with its own: enabled and opt_level.
    DeepSpeed itself does not read it.

    MS-AMP 的设置：enabled 和 opt_level；它会替换 DeepSpeed 的启动函数。DeepSpeed 本身不读取。
    """

    nebula: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Checkpoints in the background on Azure. Removed: DeepSpeed since 0.19.7 refuses a file that
    has it.

    在 Azure 上后台写检查点。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    compression_training: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Quantisation and pruning while training. Removed: DeepSpeed since 0.19.7 refuses a file that
    has it.

    训练中的量化与剪枝。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    quantize_training: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Mixture of quantisation. Removed: DeepSpeed since 0.19.7 refuses a file that has it.

    混合量化训练。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    sparse_attention: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Block-sparse attention kernels. Removed: DeepSpeed since 0.19.7 refuses a file that has it.

    块稀疏注意力算子。已移除：DeepSpeed 0.19.7 起拒绝含有它的文件。
    """

    amp: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Mixed precision by NVIDIA's Apex. Removed: DeepSpeed since 0.19.8 refuses a file that has it;
    fp16, bf16 and torch_autocast are left.

    NVIDIA Apex 的混合精度。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件；可改用 fp16、
    bf16 或 torch_autocast。
    """

    sparse_gradients: bool | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Send the gradients of embeddings as the rows that are not zero. Removed: DeepSpeed since
    0.19.8 refuses a file that has it, false included.

    只传输词嵌入梯度中非零的行。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件，写 false 也不行。
    """

    eigenvalue: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Eigenvalues for the mixture of quantisation. Removed: DeepSpeed since 0.19.8 refuses a file
    that has it.

    混合量化所用的特征值。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件。
    """

    elasticity: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Batch sizes that keep their product when the number of GPUs changes. Removed: DeepSpeed since
    0.19.8 refuses a file that has it.

    GPU 数变化时保持总批量不变。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件。
    """

    graph_harvesting: bool | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """CUDA graphs around the optimizer. Removed: DeepSpeed since 0.19.8 refuses a file that has it.

    把优化器做成 CUDA 图。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件。
    """

    curriculum_learning: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Curriculum learning at the top level, as it was written once. Removed: DeepSpeed since 0.19.8
    refuses a file that has it; data_efficiency.data_sampling.curriculum_learning is what is left.

    旧写法：写在最外层的课程学习。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件；改
    用 data_efficiency.data_sampling.curriculum_learning。
    """

    progressive_layer_drop: dict[str, object] | None = param(
        None, when_unset=("not used", "不使用"), source="DeepSpeed 0.19.8, runtime/config.py"
    )
    """Skip layers more often as training goes on. Removed: DeepSpeed since 0.19.8 refuses a file
    that has it.

    训练过程中逐渐更多地跳过层。已移除：DeepSpeed 0.19.8 起拒绝含有它的文件。
    """
