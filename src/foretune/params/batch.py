"""What goes through the model at once.

Source: transformers 5.23.0, training_args.py and trainer.py.
"""

from typing import Literal

from .declare import Section, param


class Batch(Section):
    """What goes through the model at once, and what of it is kept for the backward pass.

    一次送入模型的数据量，以及为反向传播保留的内容。
    """

    micro: int = param(8, at_least=1, matters=3, unit="examples per device")
    """Examples in one forward and backward pass on one device. Activation memory grows linearly
    with it; the number that the optimizer sees per step is this times the accumulation times the
    number of devices.

    单个设备上一次前向与反向所处理的样本数。激活显存随它线性增长；优化器每一步看到的样本数等于它乘以
    梯度累积次数再乘以设备数。
    """

    accumulation: int = param(1, at_least=1, matters=3, unit="micro batches per optimizer step")
    """Micro batches whose gradients are averaged before the optimizer makes one step. It enlarges
    the batch with the activations of one micro batch, while gradients stay between them; each micro
    batch's loss is divided first (since transformers 4.46 by the number of trained tokens of all of
    them), so the gradient is a mean and not a sum.

    优化器更新一步之前累积的微批次个数。它增大总批量，激活显存仍是一个微批次的，只是梯度要一直保
    留；每个微批次的损失会先被除以总数（transformers 4.46 起除以全部微批次的训练词元数），因此得到的
    是平均梯度，而不是梯度之和。
    """

    eval: int = param(8, at_least=1, matters=2, unit="examples per device")
    """Examples per device in evaluation and prediction; a run that asks for neither does not read
    it. When text is generated, the key-value cache of all of them is held at once.

    评估与预测时每个设备上的样本数；两者都没有打开时不会读取它。生成文本时，这些样本的键值缓存会同时
    占用显存。
    """

    drop_last: bool = param(False, matters=1)
    """Leave out the last batch of an epoch when it is not full. With few rows this loses examples
    in every epoch.

    每个 epoch 最后一个不满的批次是否丢弃。数据行数很少时，每个 epoch 都会丢掉一部分样本。
    """

    auto_find: bool = param(False)
    """On running out of memory, start again with a smaller micro batch. The total batch, and with
    it the number of steps, then differs from what was written.

    显存不足时自动减小微批次并重新开始。此时总批量以及步数都会与所写的不同。
    """

    gradient_checkpointing: bool = param(False, matters=2, source="arXiv:1604.06174")
    """Keep only the input of every layer and compute its inside again during the backward pass:
    much less activation memory for about one more forward pass of time. The gradients are the same.

    只保留每一层的输入，反向传播时重新计算层内的激活：以大约多一次前向的时间换取少得多的激活显存，梯
    度不变。
    """

    gradient_checkpointing_kwargs: dict[str, object] | None = param(None)
    """Passed to torch.utils.checkpoint, for example use_reentrant.

    传给 torch.utils.checkpoint 的参数，例如 use_reentrant。
    """

    order: Literal["random", "sequential", "group_by_length", "batch_rebalance"] = param("random")
    """Order of the training examples: shuffled anew in every epoch; as in the file; examples of
    similar length together, which pads less and shuffles less; or shuffled and spread so that
    devices get similar amounts of tokens.

    训练样本的顺序：每个 epoch 重新打乱；按文件顺序；长度相近的放在一起（填充更少，但随机性降
    低）；或打乱后再分配，使各设备的词元数相近。
    """
