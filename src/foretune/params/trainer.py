"""What else transformers' Trainer takes, under its own names.

Source: transformers 5.23.0, training_args.py, training_args_seq2seq.py and trainer.py.
"""

from typing import Literal

from .declare import Section, param


class Trainer(Section):
    """What else transformers' Trainer takes, under the names that it has there.

    transformers 的 Trainer 接受的其余参数，名称与那里相同。
    """

    average_tokens_across_devices: bool = param(True)
    """Divide the loss by the trained tokens of all devices together, so that every token weighs the
    same. Otherwise a device with few of them counts as much as one with many.

    损失除以所有设备的训练词元总数，使每个词元权重相同。否则训练词元少的设备与多的设备分量一样。
    """

    length_column_name: str = param("length")
    """Column with ready lengths for grouping by length; without it every row is measured first.

    按长度分组时使用的现成长度列；没有该列就先逐行测量。
    """

    sortish_sampler: bool = param(False)
    """No effect: a left-over of transformers' old sequence-to-sequence scripts that nothing reads.

    没有作用：transformers 早期序列到序列脚本的遗留参数，没有代码读取它。
    """

    remove_unused_columns: bool = param(True)
    """Drop columns that the model's forward method does not name before rows are batched.

    组成批次之前，去掉模型 forward 方法没有的列。
    """

    label_names: tuple[str, ...] | None = param(
        None, when_unset=("the model's own labels", "模型自己的标签")
    )
    """Columns that hold labels, for models that do not call them labels.

    标签所在的列，供标签列不叫 labels 的模型使用。
    """

    prediction_loss_only: bool = param(False)
    """Keep only the loss in evaluation and throw predictions away; no other metric can then be
    computed.

    评估时只保留损失、丢弃预测结果，此时无法计算其他指标。
    """

    eval_accumulation_steps: int | None = param(
        None,
        at_least=1,
        unit="batches",
        when_unset=("all stay on the device until the end", "全部留在设备上直到结束"),
    )
    """Move predictions to main memory after so many batches. Where evaluation keeps logits, they
    are rows x length x vocabulary numbers and fill a GPU quickly.

    每隔这么多个批次把预测结果移到内存。评估若保留 logits，其大小是“行数 × 长度 × 词表”，很快就会占
    满显存。
    """

    eval_do_concat_batches: bool = param(True)
    """Join the predictions of all batches into one array, padded to the longest.

    把所有批次的预测结果拼成一个数组，填充到最长的一条。
    """

    eval_use_gather_object: bool = param(False)
    """Collect predictions from the processes as Python objects, for predictions that are not
    tensors; slow.

    以 Python 对象的形式从各进程收集预测结果，用于不是张量的预测；速度慢。
    """

    batch_eval_metrics: bool = param(False)
    """Compute metrics batch by batch, so that the predictions of the whole set are never held at
    once.

    逐批计算指标，从而不必同时保存整个数据集的预测结果。
    """

    include_for_metrics: tuple[str, ...] = param(())
    """What the metrics get beside predictions and labels: the inputs, or the loss of each batch.

    除预测和标签外还传给指标函数的内容：输入，或各批次的损失。
    """

    logging_nan_inf_filter: bool = param(True, matters=2)
    """Log the mean of the losses before in place of one that is NaN or infinite. The gradients stay
    as bad as they are: a run that has failed then looks healthy. Recent versions of transformers
    leave such rows out of the mean loss of an evaluation too.

    损失为 NaN 或无穷时，日志改记此前损失的平均值。梯度并没有变好：训练已经崩了，日志却看起来正常。
    较新的 transformers 计算评估的平均损失时也会略去这样的行。
    """

    log_on_each_node: bool = param(True)
    """Log on the first process of every machine instead of on one in all.

    每台机器的首个进程都输出日志，而不是总共只有一个进程输出。
    """

    log_level_replica: Literal[
        "passive", "debug", "detail", "info", "warning", "error", "critical"
    ] = param("warning")
    """How much transformers says on the processes that are not the main one.

    非主进程上 transformers 输出日志的详细程度。
    """

    skip_memory_metrics: bool = param(True)
    """Do not measure memory around training and evaluation; measuring slows both.

    不在训练和评估前后测量内存；测量会拖慢两者。
    """

    debug: tuple[str, ...] = param(())
    """Debugging aids: find the first module whose values overflow, or print TPU figures.

    调试手段：找出数值最先溢出的模块，或打印 TPU 指标。
    """

    save_on_each_node: bool = param(False)
    """Write checkpoints on every machine, for machines that share no disk. On a shared disk they
    would overwrite each other.

    每台机器都写检查点，用于不共享磁盘的多机。若磁盘共享，它们会互相覆盖。
    """

    enable_jit_checkpoint: bool = param(False)
    """On SIGTERM write one more checkpoint before the process ends, as clusters send it to jobs
    they preempt.

    收到 SIGTERM 时在进程结束前再写一个检查点；集群抢占任务时会发送该信号。
    """

    ignore_data_skip: bool = param(False)
    """When resuming, start an epoch's rows over instead of skipping those already seen. Faster, but
    some rows are then seen once more and others once less.

    继续训练时从头读取该 epoch 的数据，而不跳过已经训练过的部分。启动更快，但有的数据会多训练一次，
    有的会少一次。
    """

    restore_callback_states_from_checkpoint: bool = param(False)
    """When resuming, restore the state of callbacks, such as an early stopper's patience.

    继续训练时恢复回调的状态，例如早停已等待的次数。
    """

    torch_compile: bool = param(False, matters=2)
    """Compile the model with torch.compile: slow first steps, faster ones after, and a new
    compilation for new shapes of batches.

    用 torch.compile 编译模型：最初几步很慢，之后变快；批次形状变化时会重新编译。
    """

    torch_compile_backend: str | None = param(
        None, when_unset=("inductor, once compiling is on", "打开编译后为 inductor")
    )
    """Backend of torch.compile; naming one turns compiling on.

    torch.compile 的后端；写出即打开编译。
    """

    torch_compile_mode: str | None = param(
        None, when_unset=("torch's own", "使用 torch 自己的设置")
    )
    """Mode of torch.compile, a trade of compile time against speed; naming one turns compiling on.

    torch.compile 的模式，在编译时间与运行速度之间取舍；写出即打开编译。
    """

    use_liger_kernel: bool = param(False)
    """Replace parts of the model by the fused kernels of liger-kernel, which must be installed and
    must know the model's architecture.

    用 liger-kernel 的融合算子替换模型的一部分；需要安装该库，并且它支持这种模型结构。
    """

    liger_kernel_config: dict[str, object] | None = param(
        None, when_unset=("liger-kernel's own", "使用 liger-kernel 自己的设置")
    )
    """Which of liger-kernel's replacements to apply.

    启用 liger-kernel 的哪些替换。
    """

    use_cache: bool = param(False)
    """Let the model keep keys and values during training; the backward pass has no use for them.

    训练时让模型保留键值缓存；反向传播用不到它。
    """

    neftune_noise_alpha: float | None = param(
        None, at_least=0, source="arXiv:2310.05914", when_unset=("no noise", "不加噪声")
    )
    """Add uniform noise to the input embeddings in training, of this size divided by the root of
    length times width.

    训练时给输入词嵌入加均匀噪声，幅度为该值除以“长度 × 宽度”的平方根。
    """

    torch_empty_cache_steps: int | None = param(
        None, at_least=1, unit="optimizer steps", when_unset=("never", "从不")
    )
    """Give unused GPU memory back to the driver every so many steps. It helps against fragmentation
    and costs time.

    每隔这么多步把闲置的显存还给驱动。可以缓解碎片，但会变慢。
    """

    dataloader_pin_memory: bool = param(True)
    """Assemble batches in page-locked memory, from which a GPU copies faster.

    在锁页内存中组成批次，GPU 从中复制更快。
    """

    dataloader_persistent_workers: bool = param(False)
    """Keep the processes of launch.workers alive between epochs.

    epoch 之间保留 launch.workers 的进程，不重新启动。
    """

    dataloader_prefetch_factor: int | None = param(
        None,
        at_least=1,
        unit="batches per worker",
        when_unset=("torch's own", "使用 torch 自己的设置"),
    )
    """Batches that each process of launch.workers prepares ahead; without such processes it is an
    error.

    launch.workers 的每个进程提前准备的批次数；没有这些进程时写它会报错。
    """

    dataloader_multiprocessing_context: str | None = param(
        None, when_unset=("torch's own", "使用 torch 自己的设置")
    )
    """How the processes of launch.workers are started: forked or spawned anew.

    launch.workers 的进程如何启动：复制当前进程，或全新启动。
    """

    dataloader_in_order: bool = param(True)
    """Take batches in the order in which they were handed to the processes of launch.workers, not
    as they get ready.

    按派发给 launch.workers 各进程的顺序取批次，而不是谁先准备好就先取谁。
    """

    accelerator_config: dict[str, object] | str | None = param(
        None, when_unset=("accelerate's own settings", "使用 accelerate 自己的设置")
    )
    """Settings handed to accelerate, or the JSON file that holds them: how batches are split over
    processes, and whether the last one is filled up with repeated rows.

    交给 accelerate 的设置，或存放它们的 JSON 文件：批次如何分到各进程，最后不足的批次是否用重复数据
    补齐。
    """

    parallelism_config: dict[str, object] | None = param(
        None, when_unset=("data parallel only", "只做数据并行")
    )
    """Sizes of accelerate's other kinds of parallelism: tensor, context, sequence. They take
    processes away from data parallelism, and so make the total batch smaller.

    accelerate 其他并行方式（张量、上下文、序列）的规模。它们占用本可做数据并行的进程，总批量因此变
    小。
    """

    local_rank: int = param(-1)
    """Number of the process on its machine, written on the command line by the deepspeed launcher
    and by old torch launchers. Nobody sets it by hand.

    进程在本机上的编号，由 deepspeed 启动器和旧版 torch 启动器写到命令行上，不需要手工设置。
    """

    project: str = param("huggingface")
    """Project under which Trackio files the run. Other trackers do not read it.

    Trackio 归档该训练所用的项目名，其他跟踪工具不读取。
    """

    trackio_space_id: str | None = param(
        None, when_unset=("Trackio logs to a local folder", "Trackio 记录到本地文件夹")
    )
    """Hub Space that shows Trackio's logs while the run goes on.

    训练期间展示 Trackio 日志的 hub Space。
    """

    trackio_bucket_id: str | None = param(
        None, when_unset=("Trackio derives one", "由 Trackio 推出")
    )
    """Hub bucket that holds Trackio's logs for a Space.

    为 Space 存放 Trackio 日志的 hub bucket。
    """

    trackio_static_space_id: str | Literal[False] | None = param(
        None, when_unset=("one is made when the model is pushed", "上传模型时自动建立")
    )
    """Hub Space that keeps a frozen copy of Trackio's logs after training, or false for none.

    训练结束后保存 Trackio 日志静态副本的 hub Space；写 false 表示不要。
    """

    push_to_hub: bool = param(False, matters=2)
    """Upload what was trained to the hub: here the last checkpoint when training is done, with
    transformers' own Trainer at every save. The repository is public unless told otherwise.

    把训练结果上传到 hub：foretune 在训练结束后上传最后的检查点，transformers 自带的 Trainer 则每次
    保存都上传。如不另行指定，仓库是公开的。
    """

    hub_model_id: str | None = param(
        None, when_unset=("the name of the output folder", "输出文件夹的名称")
    )
    """Name of the hub repository to upload to.

    上传到的 hub 仓库名称。
    """

    hub_token: str | None = param(
        None, when_unset=("the stored login", "本机保存的登录信息"), secret=True
    )
    """Token to upload with. It is a secret: in a script it is readable for everybody who reads the
    script.

    上传所用的凭据。它是机密：写进脚本，凡能读到脚本的人都能看到。
    """

    hub_private_repo: bool | None = param(
        None, when_unset=("public, or as the organisation has set", "公开，或按所属组织的设置")
    )
    """Make the hub repository private when it is created; an existing one is left as it is.

    新建 hub 仓库时设为私有；已有的仓库不受影响。
    """

    hub_strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints"] = param(
        "every_save"
    )
    """What transformers' own Trainer uploads, and when: the model at the end, the model at every
    save, that with the last checkpoint to resume from, or all checkpoints. No effect: foretune
    uploads the last checkpoint, once, when training is done.

    transformers 自带的 Trainer 上传什么、何时上传：结束时上传模型，每次保存都上传模型，再加上可用于
    继续训练的最新检查点，或上传全部检查点。在 foretune 中无作用：训练结束后只上传一次最后的检查点。
    """

    hub_always_push: bool = param(False)
    """In transformers' own Trainer: upload every checkpoint, even while the upload of the one
    before is still going on. No effect: foretune uploads once.

    在 transformers 自带的 Trainer 中：即使上一个检查点还没传完，也照样上传下一个。在 foretune 中无
    作用：只上传一次。
    """

    hub_revision: str | None = param(
        None, when_unset=("the repository's main branch", "仓库的主分支")
    )
    """Branch of the hub repository to upload to.

    上传到 hub 仓库的哪个分支。
    """
