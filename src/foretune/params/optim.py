"""How the trained weights move.

Source: transformers 5.23.0, training_args.py and trainer.py.
"""

from .declare import Section, param


class Optim(Section):
    """How the trained weights move: the optimizer and its numbers.

    训练的权重如何更新：优化器及其参数。
    """

    name: str = param("adamw_torch_fused", matters=2, instead="adafactor")
    """The optimizer, by transformers' name for it. It decides how many bytes of state every trained
    parameter costs: AdamW keeps two running means, Adafactor far less, the 8-bit kinds a byte each.

    优化器，用 transformers 的名称书写。它决定每个可训练参数要付出多少字节的状态：AdamW 保存两个滑动
    平均，Adafactor 少得多，8 位的变体每个平均只占一个字节。
    """

    learning_rate: float = param(5e-5, at_least=0, matters=3)
    """The highest learning rate of the run; warm-up leads to it and the schedule away from it. What
    suits a P-Tuning prefix is about a hundred to a thousand times too large for LoRA or for full
    tuning.

    全程最高的学习率：预热升到它，之后由调度方式降下来。适合 P-Tuning 前缀的学习率，用于 LoRA 或全参
    数微调大约高出一百到一千倍。
    """

    weight_decay: float = param(0.0, at_least=0, source="arXiv:1711.05101")
    """With AdamW every step takes this times the learning rate off each weight, apart from the
    gradient. Biases and normalisation weights are left out; a prefix is not.

    使用 AdamW 时，每一步在梯度之外把每个权重按“该值 × 学习率”缩小。偏置和归一化层的权重不衰减，前缀
    则会衰减。
    """

    beta1: float = param(0.9, at_least=0, below=1, source="arXiv:1412.6980")
    """Share of the running mean of gradients that Adam keeps at each step: how far back the
    direction of a step looks.

    Adam 每一步保留多少梯度的滑动平均，即更新方向回看多远。
    """

    beta2: float = param(0.999, at_least=0, below=1, source="arXiv:1412.6980")
    """Share of the running mean of squared gradients that Adam keeps at each step: how far back the
    size of a step looks. In short runs a value near one has hardly forgotten the beginning.

    Adam 每一步保留多少梯度平方的滑动平均，即步长大小回看多远。步数很少的训练里，接近一的取值到最后
    也没怎么忘掉开头。
    """

    epsilon: float = param(1e-8, at_least=0, source="arXiv:1412.6980")
    """Added to the root of the mean square before Adam divides by it. In half precision a small one
    rounds to zero.

    Adam 做除法之前加在均方根上的小量。在半精度下，太小的值会舍入为零。
    """

    max_grad_norm: float = param(1.0, at_least=0, matters=2)
    """Longest gradient allowed, as one L2 norm over all trained parameters together; a longer one
    is scaled down with its direction kept. Zero turns clipping off; a DeepSpeed file must say the
    same number.

    允许的最大梯度长度，取全部可训练参数合在一起的 L2 范数；超过时整体缩小，方向不变。写零表示不裁
    剪；DeepSpeed 配置里的数值必须与它一致。
    """

    arguments: str | None = param(None)
    """Further arguments of the chosen optimizer, as name=value pairs with commas between; plain
    AdamW takes none.

    所选优化器的其他参数，写成逗号分隔的 name=value；普通的 AdamW 不需要。
    """

    target_modules: str | tuple[str, ...] | None = param(None)
    """Linear layers whose gradients GaLore or APOLLO project to a low rank: names, or one regular
    expression. Other optimizers do not read it.

    GaLore 或 APOLLO 对哪些线性层的梯度做低秩投影：名称列表，或一个正则表达式。其他优化器不读取它。
    """

    label_smoothing: float = param(0.0, at_least=0, below=1, source="arXiv:1512.00567 sec. 7")
    """Share of each target's probability that is spread evenly over the whole vocabulary. The
    Trainer then computes the loss in place of the model, so losses of runs with and without it do
    not compare.

    每个目标的概率中均摊到整个词表的比例。打开后损失由 Trainer 代替模型计算，因此与不使用时的损失不
    可比较。
    """
