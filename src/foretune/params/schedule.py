"""How long training lasts, and how the learning rate moves meanwhile.

Source: transformers 5.23.0, training_args.py and trainer.py; optimization.py.
"""

from typing import Literal

from .declare import Section, param


class Schedule(Section):
    """How long training lasts, and how the learning rate moves meanwhile.

    训练多久，以及学习率在此期间如何变化。
    """

    epochs: float = param(3.0, above=0, matters=3, unit="passes over the data")
    """Passes over the training data; the last may be a part of one. It decides nothing once
    max_steps is given.

    训练数据过几遍，最后一遍可以不完整。一旦给出 max_steps，它就不再起作用。
    """

    max_steps: int | None = param(
        None,
        above=0,
        matters=3,
        unit="optimizer steps",
        when_unset=("schedule.epochs decide", "由 schedule.epochs 决定"),
    )
    """Optimizer steps of the whole run, whatever the epochs say; the data is begun again as often
    as needed, or left before it is used up. Each step takes a whole accumulation of micro batches
    on every device.

    整个训练的优化器步数，不论 epoch 数写了多少；数据不够就从头再来，够了就提前停。每一步都要在每个
    设备上用掉一整轮累积的微批次。
    """

    name: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
        "reduce_lr_on_plateau",
        "cosine_with_min_lr",
        "cosine_warmup_with_min_lr",
        "warmup_stable_decay",
        "greedy",
    ] = param("linear", matters=2)
    """How the learning rate moves after the warm-up. A schedule that falls is stretched over all
    steps of the run, so a run stopped early has trained at higher rates than one planned that
    short.

    预热之后学习率如何变化。下降型的调度会铺满全部步数，因此提前停下的训练，用的学习率比本来就计划这
    么短的训练要高。
    """

    arguments: dict[str, object] | None = param(None)
    """Further arguments of the chosen schedule, such as the lowest rate or the number of restarts.

    所选调度方式的其他参数，例如最低学习率或重启次数。
    """

    warmup: float = param(0.0, at_least=0, matters=2, unit="optimizer steps")
    """Steps over which the learning rate rises in a straight line from zero; a value below one is a
    share of all steps, rounded up. The schedules that stay constant throughout, or follow the
    evaluation, do not read it; DeepSpeed's own rise along a logarithm unless told otherwise.

    学习率从零直线上升所用的步数；小于一的值表示占总步数的比例，向上取整。始终不变的调度和跟随评估结
    果的调度不读取它；DeepSpeed 自己的调度默认按对数曲线上升。
    """
