"""PEFT's adapter_config.json: what it holds beside rank, alpha, dropout, targets and prefix length,
which are parameters of ``method``.

Source: PEFT 0.21.2, config.py, tuners/lora/config.py, tuners/lora/layer.py, tuners/lora/model.py,
tuners/prefix_tuning, tuners/tuners_utils.py.
"""

from typing import Any, Literal

from .declare import Section, param

LORA = "PEFT 0.21.2, tuners/lora/config.py"


class Peft(Section):
    """What PEFT's adapter_config.json says beside what method.lora and method.prefix say, under the
    names that it has there.

    PEFT 的 adapter_config.json 中，除 method.lora 与 method.prefix 之外的各项，名称与那里相同。
    """

    task_type: (
        Literal[
            "SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS",
            "FEATURE_EXTRACTION",
        ]
        | None
    ) = param(None, source="PEFT 0.21.2, mapping_func.py and utils/peft_types.py")  # fmt: skip
    """What the model is used for; CAUSAL_LM for one that goes on with a text. It chooses the class
    that PEFT wraps the model in. A prefix needs it: PEFT fails with a KeyError where it is missing.
    LoRA works without, in a wrapper that hands every call on to the model.

    模型的用途，续写文本的模型为 CAUSAL_LM。PEFT 据此选择包装类。前缀必须写它，否
    则 PEFT 报 KeyError；LoRA 不写也能用，包装类会把调用原样交给模型。
    """

    auto_mapping: dict[str, Any] | None = param(None)
    """The class that the base model had when the adapter was saved, for models that come without a
    task type.

    保存适配器时底座模型所属的类，用于没有写任务类型的模型。
    """

    peft_version: str | None = param(None)
    """Version of PEFT that wrote the file. PEFT itself does not check it: a newer file loads with a
    warning about keys it does not know.

    写出该文件的 PEFT 版本。PEFT 不做检查：遇到新文件中不认识的键只会警告并忽略。
    """

    inference_mode: bool = param(False, matters=2)
    """The adapter is loaded frozen, for use alone. Every saved adapter says so; who trains on must
    ask for a trainable one when loading, or nothing learns.

    以冻结方式加载适配器，仅供使用。所有保存下来的适配器都写着它；要继续训练，加载时必须声明可训练，
    否则什么也不学。
    """

    target_pattern: str | None = param(None)
    """Target modules given as one text: a regular expression that must match the whole path of a
    module. A list of names matches by their ends instead.

    以单个文本给出的目标模块：必须与模块完整路径匹配的正则表达式。而列表形式按名称结尾匹配。
    """

    exclude_modules: tuple[str, ...] | str | None = param(None)
    """Modules that get no adapter although they are targets; matched as the targets are.

    虽在目标之内但不加适配器的模块，匹配方式与目标相同。
    """

    modules_to_save: tuple[str, ...] | None = param(None, matters=2)
    """Modules that are copied whole, trained and saved beside the adapter, such as the embedding
    and the output layer after tokens were added. Each copy is as large as its original, in memory
    and in every checkpoint.

    完整复制、一同训练并随适配器保存的模块，例如新增词元后的词嵌入和输出层。每份副本与原模块一样大，
    占用显存并写进每个检查点。
    """

    bias: Literal["none", "all", "lora_only"] = param("none")
    """Which biases of the base train too. Once any do, turning the adapter off does not give the
    base model back.

    底座中哪些偏置一同训练。一旦训练了偏置，关闭适配器也无法还原底座模型。
    """

    use_rslora: bool = param(False, matters=2, source="arXiv:2312.03732")
    """Scale the update by alpha over the square root of the rank instead of by alpha over the rank:
    large ranks then learn as fast as small ones. An alpha chosen for the other rule is then much
    too large.

    更新的缩放系数取 alpha 除以秩的平方根，而不是除以秩：大秩与小秩学得一样快。按另一种规则选
    的 alpha，在此会大得多。
    """

    use_dora: bool = param(False, matters=2, source="arXiv:2402.09353")
    """Train the length of every row of the weight apart from its direction (DoRA). Better at small
    ranks, slower, and more memory.

    把权重各行的长度与方向分开训练（DoRA）。小秩时效果更好，但更慢、更占显存。
    """

    init_lora_weights: bool | str = param(True, matters=2, source=LORA)
    """What the matrices start from. On: A random and B zero, so that the model begins as it was.
    Off: both random, for tests of PEFT alone. A name starts them from the base's own weights or
    from data; some of those change the base's weights too, and what is saved then fits only a base
    that was changed the same way.

    矩阵的初值。打开：A 随机、B 为零，模型一开始与原来相同。关闭：两者都随机，只供 PEFT 自测。写名称
    则由底座权重或数据得出初值；其中有些会同时改动底座权重，保存的结果只适用于经过同样改动的底座。
    """

    fan_in_fan_out: bool = param(False)
    """The weights of the targets lie the other way round, inputs by outputs, as in GPT-2's Conv1D.
    PEFT corrects it for ordinary linears, with a warning.

    目标权重按“输入 × 输出”存放，如 GPT-2 的 Conv1D。对普通线性层写错时，PEFT 会警告并纠正。
    """

    layers_to_transform: tuple[int, ...] | int | None = param(None, matters=2)
    """Numbers of the layers that get adapters, counted from zero; the others get none. It needs
    targets given as a list.

    加适配器的层号，从零算起，其余层不加。要求目标以列表给出。
    """

    layers_pattern: tuple[str, ...] | str | None = param(None)
    """What the model calls its list of layers, where PEFT does not find it by itself. Read only
    together with layers_to_transform.

    模型中层列表的名称，PEFT 自己找不到时才需要。只与 layers_to_transform 一起使用。
    """

    rank_pattern: dict[str, int] = param({}, matters=2)
    """Other ranks for single modules, by name or regular expression.

    个别模块的不同的秩，以名称或正则表达式为键。
    """

    alpha_pattern: dict[str, float] = param({}, matters=2)
    """Other alphas for single modules, by name or regular expression.

    个别模块的不同的 alpha，以名称或正则表达式为键。
    """

    trainable_token_indices: tuple[int, ...] | dict[str, Any] | None = param(None, matters=2)
    """Rows of the embedding that train, by token id, and no others: the cheap way to teach new
    tokens. Where the output layer is the embedding, its rows follow.

    词嵌入中参与训练的行（按词元 id），其余行不动：学习新词元的省钱办法。输出层与词嵌入绑定时随之
    更新。
    """

    ensure_weight_tying: bool = param(False)
    """Keep the output layer tied to the embedding where one of the two is trained or saved by
    itself.

    词嵌入与输出层中有一个单独训练或保存时，仍保持两者绑定。
    """

    target_parameters: tuple[str, ...] | None = param(None)
    """Bare tensors that get an adapter, by name: the way to the experts of mixtures, which stand in
    no linear layer.

    以名称指定加适配器的张量：混合专家模型的专家权重不在线性层里，只能这样指定。
    """

    lora_bias: bool = param(False)
    """Gives B a bias. Meant for adapters that were cut out of fully tuned weights.

    给 B 加偏置，用于从全量微调权重中提取的适配器。
    """

    layer_replication: tuple[tuple[int, int], ...] | None = param(None)
    """Ranges of layers that are stacked into a deeper model; the copies share the base's weights
    and differ by their adapters.

    把若干层区间堆叠成更深的模型；副本共用底座权重，只有适配器不同。
    """

    alora_invocation_tokens: tuple[int, ...] | None = param(None)
    """Token ids that switch the adapter on: before them the model is the base, and its key-value
    cache can be shared. Such an adapter cannot be merged.

    启用适配器的词元 id 序列：在它之前就是底座模型，键值缓存可以共用。这种适配器无法合并。
    """

    use_qalora: bool = param(False)
    """Pool the inputs of A in groups, so that the adapter can be merged into GPTQ weights. Only for
    a base packed by GPTQ.

    把 A 的输入按组合并，使适配器能并入 GPTQ 权重。仅用于 GPTQ 压缩的底座。
    """

    qalora_group_size: int = param(16, at_least=1)
    """Inputs in such a group. Read only where use_qalora is on.

    每组的输入个数，只有打开 use_qalora 时才使用。
    """

    use_bdlora: dict[str, Any] | None = param(None)
    """Makes A or B block-diagonal, so that several GPUs can serve the adapter without exchange
    (BD-LoRA).

    使 A 或 B 成为块对角矩阵，多块 GPU 部署时适配器无需通信（BD-LoRA）。
    """

    loftq_config: dict[str, Any] = param({}, source="arXiv:2310.08659")
    """Bits and rounds of LoftQ, which packs the base itself and starts the adapter from the
    rounding error. Ignored unless the initial weights are asked to be LoftQ's.

    LoftQ 的位数和轮数：由它压缩底座，并用舍入误差作为适配器初值。只有初值选择 LoftQ 时才使用。
    """

    eva_config: dict[str, Any] | None = param(None, source="arXiv:2410.07170")
    """Settings of EVA, which starts A from the data's own main directions. Ignored with any other
    initial weights.

    EVA 的设置：以数据的主方向作为 A 的初值。选择其他初值时忽略。
    """

    corda_config: dict[str, Any] | None = param(None, source="arXiv:2406.05223")
    """Settings of CorDA, which starts the adapter from the base's weights as seen through data.
    Ignored with any other initial weights.

    CorDA 的设置：结合数据从底座权重中分解出适配器初值。选择其他初值时忽略。
    """

    lora_ga_config: dict[str, Any] | None = param(None, source="arXiv:2407.05000")
    """Settings of LoRA-GA, which starts the adapter along the first gradient of full tuning.

    LoRA-GA 的设置：以全量微调的首个梯度方向作为适配器初值。
    """

    velora_config: dict[str, Any] | None = param(None, source="arXiv:2405.17991")
    """Keep the inputs of A compressed for the backward pass (VeLoRA): less memory, an approximate
    gradient.

    以压缩形式保存 A 的输入供反向传播使用（VeLoRA）：更省显存，梯度为近似值。
    """

    kasa_config: dict[str, Any] | None = param(None, source="arXiv:2412.06071")
    """Cut the smallest singular parts out of the base and train a diagonal between A and B (KaSA).
    It changes the base for good, and its extra losses count only where a script adds them.

    从底座中去掉最小的奇异分量，并在 A 与 B 之间训练一个对角阵（KaSA）。它会永久改变底座；附加损失要
    由脚本自行加入。
    """

    monteclora_config: dict[str, Any] | None = param(None)
    """Draw the adapter's first matrix at random around its mean in every forward pass of training,
    with a spread that is learnt. The loss needs a term of its own for it, which only a trainer that
    knows of it adds.

    训练时每次前向都围绕均值随机采样适配器的第一个矩阵，离散程度也一并学习。损失要为此加上一项，只有
    支持它的训练器才会加。
    """

    arrow_config: dict[str, Any] | None = param(None)
    """Route every token to the adapters that suit it, among several that were trained before.

    在多个已训练的适配器之间，为每个词元选择合适的适配器。
    """

    megatron_config: dict[str, Any] | None = param(None)
    """Settings of Megatron's own parallel linears, where the base is built from them.

    底座由 Megatron 并行线性层构成时所用的设置。
    """

    megatron_core: str = param("megatron.core")
    """The Python module that those linears come from. Without megatron_config no effect.

    这些线性层所在的 Python 模块。没有 megatron_config 时不起作用。
    """

    runtime_config: dict[str, Any] = param({})
    """Settings for loading alone, which PEFT does not save: whether weights that lie in main memory
    are moved to the GPU for the start of DoRA.

    仅加载时使用、PEFT 不保存的设置：初始化 DoRA 时是否把内存中的权重临时移到 GPU。
    """

    init_weights: Literal["zero"] | None = param(
        None, when_unset=("random", "随机"), source="PEFT 0.21.2, tuners/prefix_tuning/config.py"
    )
    """What a prefix starts from.

    前缀的初值。
    """

    encoder_hidden_size: int | None = param(None, at_least=1, when_unset=("token_dim", "token_dim"))
    """Width inside the network that makes a prefix. Without a projection no effect.

    生成前缀的网络的内部宽度。没有投影时不起作用。
    """

    token_dim: int | None = param(None, at_least=1, when_unset=("the model's width", "模型的宽度"))
    """Width of the keys of one layer that a prefix fills. PEFT takes it from the model and corrects
    it where key heads are shared.

    前缀在每层中键的宽度。PEFT 从模型取得，键值头共用时会自动修正。
    """

    num_transformer_submodules: int | None = param(
        None, at_least=1, when_unset=("one, or two with an encoder", "一个；带编码器时为两个")
    )
    """Stacks of blocks that get virtual tokens.

    加虚拟词元的块堆叠数。
    """

    num_attention_heads: int | None = param(
        None, at_least=1, when_unset=("the model's", "模型自己的")
    )
    """Heads that a prefix is divided among. PEFT takes it from the model.

    前缀所分到的头数，由 PEFT 从模型取得。
    """

    num_layers: int | None = param(None, at_least=1, when_unset=("the model's", "模型自己的"))
    """Layers that get a prefix. PEFT takes it from the model.

    加前缀的层数，由 PEFT 从模型取得。
    """
