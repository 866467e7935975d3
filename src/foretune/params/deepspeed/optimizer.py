"""The optimizer and scheduler blocks of ds_config.json."""

from typing import Literal

from ..declare import Section, param


class OptimizerParams(Section):
    """What the optimizer of ds_config.json is built with, beside its learning rate, betas, epsilon
    and weight decay.

    ds_config.json 中优化器的参数，学习率、beta、epsilon 和权重衰减之外的部分。
    """

    torch_adam: bool = param(False, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Use torch's Adam in place of DeepSpeed's own fused one.

    使用 torch 的 Adam，而不是 DeepSpeed 自己的融合版本。
    """

    adam_w_mode: bool = param(True, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Take weight decay off the weights, as AdamW does, and not through the gradient. So the type
    Adam is AdamW here unless this is false.

    按 AdamW 的方式直接衰减权重，而不经过梯度。因此类型写 Adam 时实际就是 AdamW，除非把它写
    成 false。
    """

    bias_correction: bool = param(True, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Divide Adam's running means by how full they are; without it the first steps are too small.
    Torch's own Adam does not take it.

    用滑动平均已积累的程度来修正 Adam；不修正时最初几步过小。torch 自己的 Adam 不接受它。
    """

    amsgrad: bool = param(False, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Adam with the largest mean square so far. DeepSpeed's fused Adam and Lamb refuse it.

    使用历史最大均方的 Adam 变体。DeepSpeed 的融合 Adam 和 Lamb 会拒绝。
    """

    set_grad_none: bool = param(True, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Drop gradients after a step instead of filling them with zeros.

    更新之后直接丢弃梯度，而不是填零。
    """

    foreach: bool | None = param(
        None,
        when_unset=("torch's own choice", "由 torch 决定"),
        source="DeepSpeed 0.19.8, runtime/engine.py and ops",
    )
    """With torch_adam: update all tensors in one go, which takes more memory.

    使用 torch_adam 时：一次更新所有张量，占用更多显存。
    """

    fp32_optimizer_states: bool | None = param(
        None,
        when_unset=(
            "true, or false where bf16.bf16_optimizer_states says so",
            "true；bf16.bf16_optimizer_states 打开时为 false",
        ),
        source="DeepSpeed 0.19.8, runtime/engine.py and ops",
    )
    """On the CPU, keep the optimizer's state in float32 whatever the parameters are.

    在 CPU 上，无论参数是什么类型都用 float32 保存优化器状态。
    """

    eps_inside_sqrt: bool = param(False, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Lamb: add epsilon under the root.

    Lamb：把 epsilon 加在根号内。
    """

    max_coeff: float = param(10.0, above=0, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Lamb: largest factor by which the step of a layer is stretched.

    Lamb：每层步长放大倍数的上限。
    """

    min_coeff: float = param(0.01, above=0, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Lamb: smallest such factor.

    Lamb：该倍数的下限。
    """

    momentum: float | None = param(
        None,
        at_least=0,
        when_unset=("the optimizer's own", "该优化器自己的默认值"),
        source="DeepSpeed 0.19.8, runtime/engine.py and ops",
    )
    """Share of the running direction that Muon or SGD keeps at each step.

    Muon 或 SGD 每一步保留的方向动量比例。
    """

    muon_lr: float | None = param(
        None,
        at_least=0,
        when_unset=("optimizer.params.lr", "optimizer.params.lr"),
        source="DeepSpeed 0.19.8, runtime/engine.py and ops",
    )
    """Learning rate of the matrices that Muon updates.

    由 Muon 更新的矩阵的学习率。
    """

    adam_lr: float | None = param(
        None,
        at_least=0,
        when_unset=("optimizer.params.lr", "optimizer.params.lr"),
        source="DeepSpeed 0.19.8, runtime/engine.py and ops",
    )
    """Learning rate of what Muon leaves to Adam: embeddings, norms, biases.

    Muon 留给 Adam 的部分（词嵌入、归一化、偏置）的学习率。
    """

    ns_method: Literal["gram", "standard"] = param(
        "gram", source="DeepSpeed 0.19.8, runtime/engine.py and ops"
    )
    """How Muon makes its step orthogonal: a faster iteration, or the original one for when training
    is unstable.

    Muon 用哪种迭代把步长正交化：较快的版本，或训练不稳定时用的原始版本。
    """

    per_head_muon: bool = param(False, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Muon: treat every attention head as a matrix of its own. The run stops where no projection of
    that form is found.

    Muon：把每个注意力头当作单独的矩阵。找不到这种投影时会报错停止。
    """

    other: dict[str, object] = param({}, source="DeepSpeed 0.19.8, runtime/engine.py and ops")
    """Whatever else stands among the params: arguments of the class of torch.optim that
    optimizer.type names. DeepSpeed hands them over without looking.

    params 中的其余内容：optimizer.type 所指的 torch.optim 类的参数。DeepSpeed 原样转交，不做检查。
    """


class Optimizer(Section):
    """The optimizer block. Where it is written the Trainer leaves the optimizer to DeepSpeed, and
    --optim has no effect.

    optimizer 配置块。写出后由 DeepSpeed 创建优化器，--optim 不再起作用。
    """

    type: str | None = param(
        None,
        matters=2,
        when_unset=(
            "the Trainer makes the optimizer that --optim names",
            "由 Trainer 创建 --optim 所指的优化器",
        ),
        source="DeepSpeed 0.19.8, runtime/engine.py",
    )
    """The optimizer: one of DeepSpeed's own, in any case of letters (adam, adamw, lamb, lion, muon,
    adagrad, and mup's), or a class of torch.optim spelt exactly. Adam means AdamW unless
    adam_w_mode is false; with the optimizer offloaded, DeepSpeed runs its CPU version.

    优化器：DeepSpeed 自带的（adam、adamw、lamb、lion、muon、adagrad 以及 mup 的，大小写不限），或拼
    写完全一致的 torch.optim 类名。除非 adam_w_mode 为 false，写 Adam 就是 AdamW；优化器卸载时使用
    其 CPU 版本。
    """

    params: OptimizerParams = param(OptimizerParams.model_construct())
    legacy_fusion: bool = param(False, source="DeepSpeed 0.19.8, runtime/engine.py")
    """Another way in which the old float16 optimizer joins tensors, without ZeRO; kept for
    comparisons.

    不使用 ZeRO 时旧的 float16 优化器合并张量的另一种方式，仅供对比。
    """


class SchedulerParams(Section):
    """What the schedule of ds_config.json is built with.

    ds_config.json 中学习率调度的参数。
    """

    warmup_min_lr: float | tuple[float, ...] | Literal["auto"] = param(
        0.0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """Learning rate at which the warm-up begins. The word auto becomes zero.

    预热开始时的学习率。auto 会换成零。
    """

    warmup_type: Literal["log", "linear"] = param(
        "log", matters=2, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """How the rate rises. Unlike the schedules of transformers, which rise in a straight line, this
    one jumps up at first and then flattens unless linear is written.

    学习率如何升高。与 transformers 直线上升的调度不同，除非写 linear，这里是先快后慢的对数曲线。
    """

    total_num_steps: int | Literal["auto"] | None = param(
        None,
        above=0,
        unit="optimizer steps",
        when_unset=("needed by the schedules that fall", "下降型的调度必须写"),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """Steps over which the rate falls to its end. The Trainer still ends where its own arguments
    say, and refuses a number that is not its own; the word auto becomes that.

    学习率降到终点所用的总步数。训练何时结束仍由 Trainer 的参数决定，数值与其不一致会被拒绝；auto 会
    换成 Trainer 算出的步数。
    """

    warmup_min_ratio: float = param(
        0.0, at_least=0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """WarmupCosineLR: share of the learning rate at which the warm-up begins.

    WarmupCosineLR：预热开始时占学习率的比例。
    """

    cos_min_ratio: float = param(
        0.0001, at_least=0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """WarmupCosineLR: share of the learning rate at which the cosine ends.

    WarmupCosineLR：余弦结束时占学习率的比例。
    """

    lr_range_test_min_lr: float | tuple[float, ...] = param(
        0.001, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """LRRangeTest: the rate to begin with. This schedule looks for a usable rate; it is not for
    training.

    LRRangeTest：起始学习率。这种调度用来寻找可用的学习率，不用于正式训练。
    """

    lr_range_test_step_size: int = param(
        2000, at_least=1, unit="steps", source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """LRRangeTest: steps between two rises.

    LRRangeTest：每次升高相隔的步数。
    """

    lr_range_test_step_rate: float = param(1.0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """LRRangeTest: how fast the rate rises.

    LRRangeTest：学习率升高的快慢。
    """

    lr_range_test_staircase: bool = param(False, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """LRRangeTest: rise in stairs instead of continuously.

    LRRangeTest：阶梯式升高，而不是连续升高。
    """

    cycle_min_lr: float | tuple[float, ...] | None = param(
        None,
        when_unset=("OneCycle needs it", "OneCycle 必须写"),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """OneCycle: the lower of the two rates between which it moves.

    OneCycle：变化范围中较低的学习率。
    """

    cycle_max_lr: float | tuple[float, ...] | None = param(
        None,
        when_unset=("OneCycle needs it", "OneCycle 必须写"),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """OneCycle: the higher of the two.

    OneCycle：变化范围中较高的学习率。
    """

    decay_lr_rate: float = param(0.0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """OneCycle: how fast the rate falls once the cycle is over.

    OneCycle：循环结束之后学习率下降的快慢。
    """

    cycle_first_step_size: int = param(
        2000, at_least=1, unit="steps", source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """OneCycle: steps of the rising half.

    OneCycle：上升阶段的步数。
    """

    cycle_second_step_size: int | None = param(
        None,
        at_least=1,
        unit="steps",
        when_unset=("as many as in the rising half", "与上升阶段相同"),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """OneCycle: steps of the falling half.

    OneCycle：下降阶段的步数。
    """

    cycle_first_stair_count: int = param(
        0, at_least=0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """OneCycle: stairs in the rising half; without any it is continuous.

    OneCycle：上升阶段的台阶数；没有台阶则连续变化。
    """

    cycle_second_stair_count: int | None = param(
        None,
        at_least=0,
        when_unset=("as many as in the rising half", "与上升阶段相同"),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """OneCycle: stairs in the falling half.

    OneCycle：下降阶段的台阶数。
    """

    decay_step_size: int = param(
        0, at_least=0, unit="steps", source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """OneCycle: steps between two falls once the cycle is over.

    OneCycle：循环结束之后每次下降相隔的步数。
    """

    cycle_momentum: bool = param(True, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """OneCycle: move the momentum against the learning rate.

    OneCycle：动量与学习率反向变化。
    """

    cycle_min_mom: float = param(
        0.8, at_least=0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """OneCycle: the lower momentum.

    OneCycle：较低的动量。
    """

    cycle_max_mom: float = param(
        0.9, at_least=0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py"
    )
    """OneCycle: the higher momentum.

    OneCycle：较高的动量。
    """

    decay_mom_rate: float = param(0.0, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """OneCycle: how fast the momentum changes once the cycle is over.

    OneCycle：循环结束之后动量变化的快慢。
    """

    last_batch_iteration: int = param(-1, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """Step to carry on from. A checkpoint sets it; nobody writes it.

    从哪一步继续。由检查点设置，不需要手写。
    """

    other: dict[str, object] = param({}, source="DeepSpeed 0.19.8, runtime/lr_schedules.py")
    """Whatever else stands among the params: arguments of the class of torch.optim.lr_scheduler
    that scheduler.type names.

    params 中的其余内容：scheduler.type 所指的 torch.optim.lr_scheduler 类的参数。
    """


class Scheduler(Section):
    """The scheduler block. Where it is written DeepSpeed moves the learning rate, and
    --lr_scheduler_type has no effect.

    scheduler 配置块。写出后由 DeepSpeed 改变学习率，--lr_scheduler_type 不再起作用。
    """

    type: str | None = param(
        None,
        matters=2,
        when_unset=(
            "the Trainer makes the schedule of --lr_scheduler_type",
            "由 Trainer 创建 --lr_scheduler_type 所指的调度",
        ),
        source="DeepSpeed 0.19.8, runtime/lr_schedules.py",
    )
    """The schedule: WarmupLR stays at the top after its warm-up, WarmupDecayLR falls in a straight
    line, WarmupCosineLR along a cosine; OneCycle, LRRangeTest, or a class of
    torch.optim.lr_scheduler.

    调度方式：WarmupLR 预热后保持不变，WarmupDecayLR 直线下降，WarmupCosineLR 按余弦下降；还
    有 OneCycle、LRRangeTest，或 torch.optim.lr_scheduler 中的类。
    """

    params: SchedulerParams = param(SchedulerParams.model_construct())
