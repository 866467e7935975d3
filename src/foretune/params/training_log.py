"""What a Trainer prints: the block before the first step, and the values that it logs on the way.

Source: transformers 5.23.0, trainer.py (_log_training_start, evaluation_loop, log) and
trainer_utils.py (speed_metrics); PEFT 0.21, peft_model.py (print_trainable_parameters).
"""

from typing import Annotated, Any

from pydantic import Field

from .declare import Section, param


class TrainingLog(Section):
    """The block that a Trainer logs before its first step, under the names that it has there.

    训练器在第一步之前打印的一段日志，名称与日志中相同。
    """

    num_examples: Annotated[int | None, Field(alias="Num examples")] = param(
        None, at_least=0, matters=2, unit="examples"
    )
    """Examples in the training set after preparation: rows that were left out are gone, and rows
    that were cut into several count as several.

    预处理之后训练集中的样本数：被丢弃的行不在内，一行切成几条就算几条。
    """

    num_epochs: Annotated[int | None, Field(alias="Num Epochs")] = param(
        None, at_least=0, matters=2, unit="passes over the data"
    )
    """Passes over the training set that are begun. Where max_steps decides, it is worked out from
    the steps, and the last pass may be a small part of one.

    会开始的训练遍数。由 max_steps 决定步数时，该值由步数反推，最后一遍可能只跑一小部分。
    """

    steps_per_epoch: Annotated[int | None, Field(alias="Num update steps per epoch")] = param(
        None, at_least=0, matters=2, unit="steps"
    )
    """Optimizer steps in one pass. Older versions of transformers do not print it.

    每遍数据的优化器步数。较早的 transformers 不打印该行。
    """

    micro: Annotated[int | None, Field(alias="Instantaneous batch size per device")] = param(
        None, at_least=0, matters=2, unit="examples per device"
    )
    """Examples that go through the model at once on each device.

    每个设备一次送入模型的样本数。
    """

    data_parallel: Annotated[
        int | None,
        Field(alias="Training with DataParallel so batch size has been adjusted to"),
    ] = param(None, at_least=0, unit="examples")
    """Printed where one process drives several GPUs by torch's DataParallel: what they see at once
    together. A launcher with a process for each GPU is faster.

    一个进程用 torch 的 DataParallel 驱动多块 GPU 时打印：它们合计一次处理的样本数。改用每块 GPU 一
    个进程的启动器会更快。
    """

    total_batch: Annotated[
        int | None,
        Field(alias="Total train batch size (w. parallel, distributed & accumulation)"),
    ] = param(None, at_least=0, matters=2, unit="examples")
    """Examples in one optimizer step: those of a device at once, times the accumulation, times the
    devices. Divided by the other two it tells how many devices there were.

    每个优化器步的样本数：单设备批量 × 累积次数 × 设备数。除以前两者即可知道当时有几个设备。
    """

    accumulation: Annotated[int | None, Field(alias="Gradient Accumulation steps")] = param(
        None, at_least=0, matters=2, unit="micro batches per optimizer step"
    )
    """Micro batches whose gradients make one optimizer step together.

    合成一个优化器步的微批次数。
    """

    steps: Annotated[int | None, Field(alias="Total optimization steps")] = param(
        None, at_least=0, matters=2, unit="steps"
    )
    """Optimizer steps of the whole run; the learning rate's schedule is stretched over them. How a
    remainder at the end of a pass counts depends on the version of transformers.

    整个训练的优化器步数，学习率调度按它展开。每遍末尾不足一步的部分如何计数，取决于 transformers 的
    版本。
    """

    trainable: Annotated[int | None, Field(alias="Number of trainable parameters")] = param(
        None, at_least=0, matters=2, unit="parameters"
    )
    """Parameters that get gradients. The number alone often tells the method and its setting. Where
    FSDP has cut the weights already, it may be that of one shard.

    有梯度的参数量。单凭这个数字往往就能推断出微调方法及其设置。若 FSDP 已经切分权重，它可能只是一个
    分片的数目。
    """

    eval_examples: Annotated[int | None, Field(alias="Evaluation: Num examples")] = param(
        None, at_least=0, unit="examples"
    )
    """Examples that were evaluated or predicted.

    评估或预测的样本数。
    """

    eval_batch: Annotated[int | None, Field(alias="Evaluation: Batch size")] = param(
        None, at_least=0, unit="examples"
    )
    """Examples that go through the model at once in evaluation, on one process.

    评估时一个进程一次送入模型的样本数。
    """

    peft_trainable: Annotated[int | None, Field(alias="trainable params")] = param(
        None, at_least=0, unit="parameters"
    )
    """Parameters that train, as PEFT prints them.

    PEFT 打印的可训练参数量。
    """

    peft_all: Annotated[int | None, Field(alias="all params")] = param(
        None, at_least=0, unit="parameters"
    )
    """Parameters of the model with its adapters, as PEFT prints them. Weights that are packed into
    four bits are counted as what they stand for.

    PEFT 打印的模型总参数量，含适配器。压缩为四位的权重按其所代表的个数计算。
    """

    peft_share: Annotated[float | None, Field(alias="trainable%")] = param(None)
    """The first of the two as a percentage of the second.

    前者占后者的百分比。
    """

    log_history: tuple[dict[str, Any], ...] = param((), matters=2)
    """The values that were logged on the way, one entry for each time.

    训练途中记录的数值，每次一条。
    """


class LoggedValues(Section):
    """What a Trainer logs on the way and at the end; the last value of each is shown.

    训练器在途中和结束时记录的数值；这里显示每一项的最后一个值。
    """

    loss: float | None = param(None, matters=2)
    """Mean loss of a token with a label since the line before, over all devices. Exactly zero means
    that no token had a label, or that the loss was not a number and was filtered out.

    自上一条以来、所有设备上有标签词元的平均损失。恰好为零说明没有任何词元带标签，或者损失不是数字而
    被过滤掉了。
    """

    grad_norm: float | None = param(None, matters=2)
    """Length of the whole gradient before it was clipped. Zero means that nothing learns; not a
    number means that the step was skipped or has ruined the weights.

    裁剪之前整个梯度的长度。为零说明什么也没学；不是数字说明该步被跳过，或权重已被破坏。
    """

    learning_rate: float | None = param(None, matters=2)
    """Learning rate at that step, after warm-up and schedule.

    该步经过预热与调度后的学习率。
    """

    epoch: float | None = param(None, unit="passes over the data")
    """How often the data has been gone through so far.

    到此为止数据已过的遍数。
    """

    step: int | None = param(None, unit="steps")
    """Optimizer steps made so far.

    到此为止的优化器步数。
    """

    train_loss: float | None = param(None, matters=2)
    """Mean of the loss over the whole run, its high beginning included: larger than the last loss,
    and no measure of the model that came out.

    整个训练过程的平均损失，包括开头较高的部分：它大于最后的损失，不能衡量最终模型的好坏。
    """

    train_runtime: float | None = param(None, unit="seconds")
    """Time that training took, evaluations and saving on the way included.

    训练用时，包括途中的评估与保存。
    """

    train_samples_per_second: float | None = param(None)
    """Examples divided by the time. Older versions of transformers take all that were planned, so
    that a run which was resumed or stopped early looks faster than it was.

    样本数除以用时。较早的 transformers 用的是计划总数，因此中断后继续或提前停止的训练看起来会更快。
    """

    train_steps_per_second: float | None = param(None)
    """Optimizer steps divided by the time.

    优化器步数除以用时。
    """

    train_tokens_per_second: float | None = param(None)
    """Tokens divided by the time, where the run counts them.

    词元数除以用时，仅在训练统计词元数时有。
    """

    num_input_tokens_seen: int | None = param(None, unit="tokens")
    """Tokens that went through the model, padding included unless it was asked to leave it out.

    送入模型的词元数；除非要求排除，否则包括填充。
    """

    total_flos: float | None = param(None)
    """Floating-point operations by a rule of thumb: a fixed number for each parameter and each
    token, padding included, the embedding left out. Attention, frozen weights and checkpointing are
    not considered.

    按经验公式估算的浮点运算数：每个参数（不含词嵌入）、每个词元（含填充）固定若干次。不考虑注意力、
    冻结的权重和梯度检查点。
    """

    eval_loss: float | None = param(None, matters=2)
    """Mean loss on the validation rows. Where it rises while loss falls, the model is learning its
    rows by heart.

    验证集上的平均损失。训练损失下降而它上升，说明模型在死记训练数据。
    """

    eval_runtime: float | None = param(None, unit="seconds")
    """Time that the evaluation took.

    评估用时。
    """

    eval_samples_per_second: float | None = param(None)
    """Evaluated examples divided by the time.

    评估样本数除以用时。
    """

    eval_steps_per_second: float | None = param(None)
    """Evaluation batches divided by the time.

    评估批次数除以用时。
    """
