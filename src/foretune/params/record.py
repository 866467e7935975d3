"""What a run writes down: checkpoints, evaluations, logs.

Source: transformers 5.23.0, training_args.py and trainer.py.
"""

from typing import Literal

from .declare import Section, param

MEASURED = ("loss", "perplexity")
"""What every evaluation measures; the smaller the better."""

TRACKERS = (
    "azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow",
    "mlflow", "neptune", "swanlab", "tensorboard", "trackio", "wandb",
)  # fmt: skip
"""The trackers that transformers 5.23.0 reports to."""


class Record(Section):
    """What a run writes down: checkpoints, evaluations and logs, and how often.

    训练过程记录什么：检查点、评估结果和日志，以及间隔多久。
    """

    output: str | None = param(None, matters=2)
    """Folder for checkpoints, metrics and predictions. It is made when it is not there.

    存放检查点、指标和预测结果的文件夹，不存在时自动创建。
    """

    overwrite: bool = param(False, matters=2)
    """Allow a fresh start in a folder that holds checkpoints of an earlier run. They stay until the
    new run has written a checkpoint of its own.

    允许在已有旧检查点的文件夹里重新开始训练。新训练写出自己的第一个检查点之前，旧的不会被删除。
    """

    resume: str | None = param(None, matters=2, when_unset=("a fresh start", "从头开始"))
    """Checkpoint to go on from, with its optimizer, schedule and place in the data; the word true
    means the last one in the output folder. To take over weights alone, see method.checkpoint.

    从哪个检查点继续训练，优化器、学习率调度和数据位置一并恢复；写 true 表示输出文件夹里最后一个。若
    只想沿用权重，见 method.checkpoint。
    """

    log_strategy: Literal["no", "steps", "epoch"] = param("steps")
    """Whether the training loss is logged never, after a number of steps, or after every epoch.

    训练损失从不记录、每隔若干步记录，还是每个 epoch 结束时记录。
    """

    log_steps: float = param(500, above=0, unit="optimizer steps")
    """Steps between two log lines; below one, a share of all steps. Each line shows the mean loss
    since the one before it, so a short run with a long interval shows no curve at all.

    两次日志之间的步数；小于一表示占总步数的比例。每条日志给出的是上一条以来的平均损失，因此训练短而
    间隔长时根本看不到曲线。
    """

    log_first_step: bool = param(False)
    """Log the very first step as well, to see the loss before anything is learnt.

    第一步也记录，用来看学习之前的损失。
    """

    save_strategy: Literal["no", "steps", "epoch", "best"] = param("steps", matters=2)
    """Whether a checkpoint is written never, after a number of steps, after every epoch, or
    whenever evaluation finds a new best. With steps, the end of training is saved too.

    检查点从不保存、每隔若干步保存、每个 epoch 结束时保存，还是每当评估出现新的最好成绩时保存。按步
    数保存时，训练结束也会保存一次。
    """

    save_steps: float = param(500, at_least=0, matters=2, unit="optimizer steps")
    """Steps between two checkpoints; below one, a share of all steps. What was trained since the
    last one is lost when a run breaks off.

    两个检查点之间的步数；小于一表示占总步数的比例。训练中断时，最后一个检查点之后的结果会丢失。
    """

    save_total_limit: int | None = param(
        None,
        at_least=1,
        matters=2,
        unit="checkpoints",
        when_unset=("every checkpoint is kept", "保留所有检查点"),
    )
    """Checkpoints to keep; older ones are deleted as new ones come. The newest and, where best ones
    are tracked, the best are always kept.

    保留多少个检查点，有新的写出时删除较旧的。最新的一个始终保留；若跟踪最好成绩，最好的一个也始终保
    留。
    """

    save_only_model: bool = param(False, matters=2)
    """Leave optimizer, schedule and random state out of checkpoints. In full fine-tuning that is
    most of their size; such a checkpoint cannot be resumed from.

    检查点不含优化器、调度器和随机数状态。全参数微调时这部分占了大头；但这样的检查点无法用来继续训
    练。
    """

    eval_strategy: Literal["no", "steps", "epoch"] = param("no", matters=2)
    """Whether the validation rows are evaluated during training: never, after a number of steps, or
    after every epoch.

    训练过程中是否评估验证集：不评估、每隔若干步评估，或每个 epoch 结束时评估。
    """

    eval_steps: float | None = param(
        None, above=0, unit="optimizer steps", when_unset="record.log_steps"
    )
    """Steps between two evaluations; below one, a share of all steps. Every evaluation goes through
    all validation rows.

    两次评估之间的步数；小于一表示占总步数的比例。每次评估都要跑完全部验证数据。
    """

    eval_delay: float = param(0.0, at_least=0)
    """No evaluation before this step, or this epoch where evaluation goes by epochs.

    在这一步之前不评估；按 epoch 评估时则指这一个 epoch 之前。
    """

    eval_on_start: bool = param(False)
    """Evaluate once before the first step: it shows where the model starts from, and that
    evaluation works at all.

    第一步之前先评估一次：既能看到起点，也能确认评估本身跑得通。
    """

    load_best: bool = param(False, matters=2)
    """At the end of training go back to the checkpoint with the best evaluation. Only checkpoints
    that exist can be best, so saving and evaluation must fall on the same steps.

    训练结束时回到评估最好的检查点。只有保存下来的检查点才可能成为最好的，因此保存与评估必须落在相同
    的步上。
    """

    best_metric: str | None = param(None, when_unset=("loss", "取损失 loss"))
    """Name of the evaluation figure by which checkpoints are compared.

    按哪一项评估指标比较检查点。
    """

    greater_is_better: bool | None = param(
        None,
        when_unset=(
            "true unless the name of record.best_metric ends in loss",
            "true，除非 record.best_metric 的名称以 loss 结尾",
        ),
    )
    """Whether the best checkpoint is the one with the largest figure; set wrongly, the worst is
    kept.

    最好的检查点是否取指标最大的那个；设反了，留下的就是最差的。
    """

    report_to: tuple[str, ...] = param(())
    """Experiment trackers that get the logs as well, such as tensorboard or wandb; all means every
    one that is installed.

    同时把日志发给哪些实验跟踪工具，例如 tensorboard、wandb；写 all 表示所有已安装的。
    """

    run_name: str | None = param(None, when_unset=("the tracker invents one", "由跟踪工具自行命名"))
    """Name under which trackers show the run. Nothing else reads it.

    实验跟踪工具里显示的训练名称，别处都不读取。
    """

    num_input_tokens: Literal["no", "all", "non_padding"] = param("no")
    """Whether input tokens are counted and logged: not, with padding, or without it. With several
    devices the count costs one more exchange per micro batch.

    是否统计并记录输入词元数：不统计、连填充一起统计，或不含填充。多设备时，每个微批次要为此多通信一
    次。
    """

    log_level: Literal["passive", "debug", "detail", "info", "warning", "error", "critical"] = (
        param("passive")
    )
    """How much transformers says on the main process; the passive setting leaves its level as it
    is.

    主进程上 transformers 输出日志的详细程度；passive 表示不改动现有级别。
    """

    disable_tqdm: bool | None = param(
        None,
        when_unset=("true where transformers logs errors only", "transformers 只记录错误时为 true"),
    )
    """Print plain lines instead of a progress bar, which reads better in a log file.

    不用进度条而输出普通文本行，写进日志文件时更易读。
    """
