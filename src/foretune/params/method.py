"""What trains: a prefix, low-rank adapters, some of the weights, or every one.

Source: THUDM/ChatGLM2-6B, ptuning/arguments.py; PEFT 0.21.2, tuners/lora/config.py;
hiyouga/LLaMA-Factory, src/llamafactory/hparams/finetuning_args.py and model/adapter.py (2026).
"""

from typing import Literal

from .declare import Section, param


class Prefix(Section):
    """P-Tuning v2: trained keys and values in front of every layer's own; the model is frozen.

    P-Tuning v2：在每一层的键和值之前放上可训练的键和值，模型本身冻结。
    """

    length: int | None = param(
        None,
        above=0,
        matters=3,
        unit="positions",
        source="arXiv:2110.07602",
        when_unset=("there is no prefix", "没有前缀"),
    )
    """Trained positions that every layer's attention sees in front of the text. Trainable
    parameters and key-value cache grow with it; it is no limit on the input and takes nothing away
    from it.

    每一层注意力在正文之前看到的可训练位置数。可训练参数和键值缓存随它增长；它不是输入长度的上限，也
    不占用输入长度。
    """

    projection: bool = param(False, matters=2, source="arXiv:2110.07602")
    """Compute the prefix with a two-layer MLP from an embedding instead of training it directly.
    The MLP trains as well and is far larger than the prefix, in memory and in every checkpoint.

    不直接训练前缀，而是由一层嵌入经两层 MLP 算出前缀。MLP 也参与训练，比前缀本身大得多，占用显存并
    写进每个检查点。
    """

    dropout: float = param(0.1, at_least=0, at_most=1)
    """Share of the prefix's keys and values that is zeroed in each training step. The authors' code
    fixes it inside the model and has no flag for it.

    训练中每一步把前缀的键和值随机置零的比例。官方代码把它写死在模型里，没有对应的命令行参数。
    """


class Lora(Section):
    """Low-rank adapters: train W + B A instead of W.

    低秩适配器：训练 W + B A 而不是 W。
    """

    rank: int = param(8, at_least=1, matters=3, source="arXiv:2106.09685 sec. 4.1")
    """Rank of the update; trainable parameters grow linearly with it.

    更新矩阵的秩；可训练参数量随它线性增长。
    """

    alpha: float = param(16.0, above=0, matters=2, source="arXiv:2106.09685 sec. 4.1")
    """The update is scaled by alpha / rank, or by alpha / sqrt(rank) with peft.use_rslora; keep
    that ratio when changing the rank.

    更新按 alpha / rank 缩放，打开 peft.use_rslora 时按 alpha / sqrt(rank)；改变秩时应保持该比值。
    """

    dropout: float = param(0.0, at_least=0, below=1, source="arXiv:2106.09685")
    """Share of the input of each adapter that is zeroed in training; the frozen path beside it sees
    the whole input.

    训练时随机置零的适配器输入比例；与之并行的冻结通路仍看到完整输入。
    """

    targets: tuple[str, ...] | None = param(
        None,
        matters=2,
        instead=("all-linear",),
        source="arXiv:2106.09685 sec. 7.1",
        when_unset=(
            "the linears this family is tuned on, query_key_value in the ChatGLM families",
            "该模型族惯用的线性层，ChatGLM 系列为 query_key_value",
        ),
    )
    """Names of the linear layers that get an adapter; a name stands for every module whose path
    ends in it, and all-linear for every linear layer but the output layer. For the same number of
    trainable parameters the paper does better with more kinds of layers at a smaller rank than with
    few at a larger one.

    加适配器的线性层名称；一个名称代表路径以它结尾的所有模块，all-linear 代表除输出层外的所有线性
    层。论文的结果是：可训练参数量相同时，多加几种层、用较小的秩，好过只加少数层而用较大的秩。
    """


class Freeze(Section):
    """Training of a part: some blocks of the model train whole or in part, the rest is frozen.

    部分训练：模型的若干块（整块或其中一部分）参与训练，其余冻结。
    """

    layers: int = param(
        2,
        matters=3,
        unit="blocks",
        source="LLaMA-Factory, hparams/finetuning_args.py, freeze_trainable_layers",
    )
    """How many of the model's blocks train: counted from the last one, a negative number from the
    first one; 0 for none. Trained parameters, their gradients and the optimizer's states grow with
    it; in front of the first block that trains no activations are kept and no gradient is computed.

    参与训练的块数：正数从最后一块数起，负数从第一块数起，0 表示没有。可训练参数、梯度和优化器状态随
    它增长；第一个参与训练的块之前，不保留激活，也不计算梯度。
    """

    modules: tuple[str, ...] | None = param(
        None,
        matters=2,
        source="LLaMA-Factory, hparams/finetuning_args.py, freeze_trainable_modules",
        when_unset=("everything in those blocks", "这些块中的全部模块"),
    )
    """Names of the modules that train in those blocks; a name stands for every module of a block
    whose path it is a part of, with all that is inside (mlp, self_attn.q_proj).

    这些块中参与训练的模块名称；一个名称代表块内路径包含它的所有模块及其内部的一切（如 mlp、
    self_attn.q_proj）。
    """

    extra: tuple[str, ...] | None = param(
        None,
        matters=2,
        source="LLaMA-Factory, hparams/finetuning_args.py, freeze_extra_modules",
        when_unset=("nothing outside the blocks", "块以外都不训练"),
    )
    """Names of modules outside the blocks that train as well: embedding, output layer, last norm.
    With the embedding, gradients go through every block again.

    块以外另外参与训练的模块名称：词嵌入、输出层、最后的归一化层。写了词嵌入，梯度就要穿过所有的块。
    """


class Method(Section):
    """What trains, and what it starts from.

    训练哪些参数，从哪里开始。
    """

    name: Literal["ptuning", "lora", "freeze", "full"] | None = param(
        None,
        matters=3,
        instead="full",
        when_unset=(
            "ptuning when method.prefix.length is written, else full",
            "写了 method.prefix.length 时为 ptuning，否则为 full",
        ),
    )
    """What trains: a prefix (P-Tuning v2), low-rank adapters (LoRA), some blocks of the model
    (freeze), or every weight. Learning rates that suit one are wrong for another by orders of
    magnitude.

    训练什么：前缀（P-Tuning v2）、低秩适配器（LoRA）、模型的若干块（freeze），或者全部权重。适合其
    中一种的学习率，对另一种可能差好几个数量级。
    """

    checkpoint: str | None = param(None, matters=2, when_unset=("a fresh start", "从头开始"))
    """Folder with a tuned prefix, adapter or model: training goes on from its weights with a new
    optimizer, prediction uses it as it is. That of a prefix or an adapter holds only what was
    trained; the authors' trainer.py is transformers' own, changed to save no more than that.

    已训练好的前缀、适配器或模型所在的文件夹：训练时从这些权重出发、优化器重新开始，预测时直接使用。
    前缀或适配器的检查点只含训练过的参数；官方的 trainer.py 是改过的 transformers 训练器，同样只保存
    这些参数。
    """

    prefix: Prefix = param(Prefix.model_construct())
    lora: Lora = param(Lora.model_construct())
    freeze: Freeze = param(Freeze.model_construct())
