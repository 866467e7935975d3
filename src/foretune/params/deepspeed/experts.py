"""The expert_parallel block of ds_config.json: the experts of a mixture dealt out to processes."""

from typing import Literal

from ..declare import Section, param


class ExpertParallel(Section):
    """The expert_parallel block: the experts of a mixture are dealt out to processes, and tokens
    travel to them. A model without experts is left as it is.

    expert_parallel 配置块：把混合专家模型的专家分配到各进程，由词元前往所在进程。没有专家的模型不受
    影响。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py")
    """Turn it on; without it nothing else of the block is read.

    打开；否则该配置块的其余内容都不读取。
    """

    autoep_size: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Processes that the experts are dealt out to; it must divide their number.

    专家分配到多少个进程；必须整除专家个数。
    """

    expert_tensor_parallel_size: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Reserved; any other number is refused.

    保留参数，写其他数会被拒绝。
    """

    validate_folding_routing: bool = param(
        False, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Check that processes of one tensor parallel group route alike; for finding errors.

    检查同一张量并行组内路由是否一致，用于查错。
    """

    async_split_plan: bool = param(
        False, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Read how many tokens go where while they are being packed.

    打包词元的同时读取各处的词元数。
    """

    preset_model: str | None = param(
        None,
        when_unset=("by the model's type", "按模型类型判断"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Family whose names of modules are used.

    使用哪个模型家族的模块名称。
    """

    moe_layer_pattern: str | None = param(
        None,
        when_unset=("the preset's", "取自预设"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Regular expression for the modules that hold experts.

    匹配专家所在模块的正则表达式。
    """

    expert_pattern: str | None = param(
        None,
        when_unset=("the preset's, or experts without one", "取自预设，没有预设时为 experts"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of the child that holds the experts.

    存放专家的子模块名称。
    """

    router_pattern: str | None = param(
        None,
        when_unset=("the preset's, or gate without one", "取自预设，没有预设时为 gate"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of the child that chooses among them.

    负责选择专家的子模块名称。
    """

    use_grouped_mm: bool = param(True, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py")
    """Multiply for all experts in one kernel instead of one after the other.

    用一个算子完成所有专家的乘法，而不是逐个进行。
    """

    disable_triton_grouped_mm: bool = param(
        False, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Use torch's kernel even on GPUs where DeepSpeed's is faster.

    即使 DeepSpeed 的算子更快，也使用 torch 的。
    """

    route_norm: bool | None = param(
        None,
        when_unset=("the model's config", "取自模型配置"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Divide the weights of the chosen experts by their sum.

    把选中专家的权重除以它们的和。
    """

    route_scale: float = param(1.0, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py")
    """Factor on those weights.

    这些权重再乘的系数。
    """

    score_apply: Literal["auto", "pre", "post"] = param(
        "auto", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Weigh tokens before or after the experts.

    在专家计算之前还是之后加权。
    """

    combine_impl: Literal["auto", "weighted_sum", "fused_weighted_sum", "legacy_bmm"] = param(
        "auto", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Which code puts the answers of the experts together.

    用哪种实现合并各专家的结果。
    """

    row_weighting_impl: Literal["auto", "eager", "fused"] = param(
        "auto", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Which code weighs them under DeepEP.

    使用 DeepEP 时用哪种实现加权。
    """

    gate_up_impl: Literal["separate", "fused"] = param(
        "separate", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Multiply by gate and value of an expert in one call or in two.

    专家的门控与数值两个矩阵合成一次乘法，还是分两次。
    """

    comm_backend: Literal["comm", "deepep"] = param(
        "comm", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """What carries tokens between processes.

    用什么在进程之间传送词元。
    """

    comm_num_sm: int = param(
        12, at_least=1, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Parts of the GPU that DeepEP may use for it.

    DeepEP 为此可占用的 GPU 计算单元数。
    """

    comm_qp_margin: int = param(
        4, at_least=0, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Further connections that DeepEP opens.

    DeepEP 额外建立的连接数。
    """

    comm_max_tokens_per_rank: int = param(
        0, at_least=0, unit="tokens", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Most tokens of one process, which DeepEP needs to know: micro batch times length.

    一个进程的词元上限，DeepEP 需要知道：微批次乘以长度。
    """

    num_expert_groups: int | None = param(
        None,
        at_least=1,
        when_unset=("no groups", "不分组"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Groups of experts, of which a token may use only some.

    专家分成多少组，每个词元只能使用其中几组。
    """

    num_limited_groups: int | None = param(
        None,
        at_least=1,
        when_unset=("no limit", "不限"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """How many of them it may use.

    每个词元可用的组数。
    """

    score_func: Literal["auto", "softmax", "sigmoid"] = param(
        "auto", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Function behind the choice of experts.

    选择专家所用的函数。
    """

    top_k: int | Literal["auto"] = param(
        "auto", at_least=1, source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Experts per token.

    每个词元使用的专家数。
    """

    load_balance_coeff: None = param(
        None,
        when_unset=("not supported", "不支持"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Reserved; any value is refused.

    保留参数，写任何值都会被拒绝。
    """

    routed_scaling_factor: float | Literal["auto"] = param(
        "auto", source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py"
    )
    """Factor on what the experts answer.

    专家结果再乘的系数。
    """

    expert_w1: str | None = param(
        None,
        when_unset=(
            "the preset's, or gate_up_proj without one",
            "取自预设，没有预设时为 gate_up_proj",
        ),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of the experts' gate matrix.

    专家门控矩阵的名称。
    """

    expert_w2: str | None = param(
        None,
        when_unset=("the preset's, or down_proj without one", "取自预设，没有预设时为 down_proj"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of their second matrix.

    专家第二个矩阵的名称。
    """

    expert_w3: str | None = param(
        None,
        when_unset=(
            "the preset's; a written null means that gate and value are one matrix",
            "取自预设；写 null 表示门控与数值是一个矩阵",
        ),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of their value matrix.

    专家数值矩阵的名称。
    """

    num_experts_attr: str | None = param(
        None,
        when_unset=(
            "the preset's, or num_local_experts without one",
            "取自预设，没有预设时为 num_local_experts",
        ),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Key of the model's config that holds the number of experts.

    模型配置中专家个数的键名。
    """

    top_k_attr: str | None = param(
        None,
        when_unset=(
            "the preset's, or num_experts_per_tok without one",
            "取自预设，没有预设时为 num_experts_per_tok",
        ),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Key of the model's config that holds the experts per token.

    模型配置中每个词元专家数的键名。
    """

    has_shared_experts: bool | None = param(
        None,
        when_unset=("the preset's", "取自预设"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Whether some experts see every token.

    是否有对所有词元都生效的共享专家。
    """

    shared_experts_pattern: str | None = param(
        None,
        when_unset=("the preset's", "取自预设"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of the child that holds those.

    共享专家所在的子模块名称。
    """

    shared_experts_gate_pattern: str | None = param(
        None,
        when_unset=("the preset's", "取自预设"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Name of the child that weighs those.

    为共享专家加权的子模块名称。
    """

    expert_activation: str | None = param(
        None,
        when_unset=("the preset's, or swiglu without one", "取自预设，没有预设时为 swiglu"),
        source="DeepSpeed 0.19.8, module_inject/auto_ep_config.py",
    )
    """Activation inside an expert.

    专家内部的激活函数。
    """
