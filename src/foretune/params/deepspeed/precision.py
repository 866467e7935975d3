"""Number types in ds_config.json: fp16, bf16, torch_autocast, data_types, weight_quantization."""

from typing import Literal

from ..declare import Section, param


class Fp16(Section):
    """The fp16 block: weights, activations and gradients in float16, with a float32 copy of the
    trained weights and a scaled loss.

    fp16 配置块：权重、激活和梯度用 float16，另存一份 float32 的训练权重，并对损失做缩放。
    """

    enabled: bool | Literal["auto"] = param(
        False, matters=2, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Hold and compute the model itself in float16; that is more than autocast, which leaves the
    weights as they are. The word auto becomes true where the script has --fp16 or --fp16_full_eval,
    and a value of its own must agree with them.

    让模型本身以 float16 存放和计算；这比 autocast 更进一步，autocast 不改变权重的类型。写 auto 时，
    若脚本有 --fp16 或 --fp16_full_eval 就成为 true；自己写了值，则必须与它们一致。
    """

    auto_cast: bool = param(False, source="DeepSpeed 0.19.8, runtime/precision_config.py")
    """Turn the floating inputs of the model into float16 before every forward pass. Rows of tokens
    have none, so for a language model it changes nothing.

    每次前向之前把模型的浮点输入转换为 float16。语言模型的输入是词元编号，没有浮点输入，因此不起作
    用。
    """

    loss_scale: float = param(0, at_least=0, source="DeepSpeed 0.19.8, runtime/precision_config.py")
    """A fixed number that the loss is multiplied by, so that small gradients do not vanish in
    float16; they are divided by it again before the optimizer steps. Zero looks for the largest
    scale that works while training.

    损失乘以这个固定的数，避免很小的梯度在 float16 中变成零；优化器更新之前再除回去。写零表示训练中
    动态寻找可用的最大倍数。
    """

    initial_scale_power: int = param(
        16, at_least=0, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Dynamic scaling starts at two to this power. A large one costs a few skipped steps at the
    beginning, each of which the log calls OVERFLOW; that is the search and no fault.

    动态缩放从 2 的这么多次方开始。取得大，开头会跳过几步，日志中显示 OVERFLOW；这是在寻找合适的倍
    数，并不是故障。
    """

    loss_scale_window: int = param(
        1000, at_least=1, unit="steps", source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Steps without an overflow after which dynamic scaling doubles the scale.

    连续这么多步没有溢出，动态缩放就把倍数翻一番。
    """

    hysteresis: int = param(2, at_least=1, source="DeepSpeed 0.19.8, runtime/precision_config.py")
    """Overflows that are tolerated before dynamic scaling halves the scale; the step is skipped
    each time.

    动态缩放在把倍数减半之前容许的溢出次数；每次溢出都会跳过该步。
    """

    consecutive_hysteresis: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Count the overflows of fp16.hysteresis anew after every step that went well.

    每有一步正常，就重新计算 fp16.hysteresis 的溢出次数。
    """

    min_loss_scale: int = param(
        1, at_least=1, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Dynamic scaling goes no lower. An overflow at this scale ends the run: the gradients
    themselves are infinite or no number.

    动态缩放的下限。倍数已到下限仍然溢出时训练会中止：说明梯度本身已经是无穷或非数。
    """

    fp16_master_weights_and_grads: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Keep the optimizer's own copy of weights and gradients in float16 as well. It saves memory
    and exactness; it needs ZeRO with the optimizer offloaded to the CPU.

    优化器自己保存的权重和梯度也用 float16。既省内存也损失精度；需要 ZeRO 并把优化器卸载到 CPU。
    """


class Bf16(Section):
    """The bf16 block: weights, activations and gradients in bfloat16, with a float32 copy of the
    trained weights; no loss scaling is needed.

    bf16 配置块：权重、激活和梯度用 bfloat16，另存一份 float32 的训练权重；不需要损失缩放。
    """

    enabled: bool | Literal["auto"] = param(
        False, matters=2, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Hold and compute the model itself in bfloat16. The word auto decides nothing by itself: it
    becomes true where the script has --bf16 or --bf16_full_eval. Both precisions at once are
    refused.

    让模型本身以 bfloat16 存放和计算。auto 本身不做任何判断：脚本有 --bf16 或 --bf16_full_eval 时它
    才成为 true。两种半精度不能同时打开。
    """

    immediate_grad_update: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Add each gradient to its float32 sum as soon as it is there, instead of after the backward
    pass. Only the optimizer for ZeRO off or ZeRO-1 with float32 accumulation reads it.

    梯度一算出就累加到 float32 的总和里，而不是等反向结束之后。只有不用 ZeRO、或 ZeRO-1 且
    以 float32 累积梯度时的优化器读取它。
    """

    check_grad_overflow: bool = param(True, source="DeepSpeed 0.19.8, runtime/precision_config.py")
    """Look for infinite or undefined gradients before every step, and skip the step when one is
    found. It was off up to DeepSpeed 0.18.

    每一步更新之前检查梯度是否有无穷或非数，发现就跳过这一步。DeepSpeed 0.18 及以前默认不检查。
    """

    bf16_master_weights_and_grads: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Keep the optimizer's own copy of weights and gradients in bfloat16 as well: less memory, and
    updates smaller than a rounding step are lost. It needs ZeRO, and the optimizer on the CPU
    unless its states are bfloat16 too.

    优化器自己保存的权重和梯度也用 bfloat16：更省内存，但小于舍入间隔的更新会丢失。需要 ZeRO；除非优
    化器状态也用 bfloat16，否则还要把优化器卸载到 CPU。
    """

    bf16_optimizer_states: bool = param(
        False, source="DeepSpeed 0.19.8, runtime/precision_config.py"
    )
    """Keep the two running means of Adam in bfloat16. It is refused without
    bf16_master_weights_and_grads.

    Adam 的两个滑动平均也用 bfloat16 存放。没有打开 bf16_master_weights_and_grads 时会被拒绝。
    """


class TorchAutocast(Section):
    """torch.autocast run by DeepSpeed: weights stay in float32 and each operation picks its number
    type.

    由 DeepSpeed 启用的 torch.autocast：权重保持 float32，每个运算自行选择数值类型。
    """

    enabled: bool = param(False, source="DeepSpeed 0.19.8, runtime/torch_autocast.py")
    """Wrap every forward pass in torch.autocast. It is meant for weights in float32;
    zero_quantized_weights beside it is refused.

    每次前向都在 torch.autocast 中进行。它适用于 float32 的权重；与 zero_quantized_weights 同时打开
    会被拒绝。
    """

    dtype: (
        Literal["bfloat16", "float16", "bf16", "fp16", "torch.bfloat16", "torch.float16", "half"]
        | None
    ) = param(
        None,
        when_unset=("torch.autocast's own for the device", "torch.autocast 在该设备上的默认类型"),
        source="DeepSpeed 0.19.8, runtime/torch_autocast.py",
    )
    """Number type of the operations that autocast lowers, and of the gradients that are exchanged
    for the modules counted as safe.

    autocast 降精度运算所用的数值类型，也是那些视为安全的模块交换梯度时所用的类型。
    """

    lower_precision_safe_modules: tuple[str, ...] | None = param(
        None,
        when_unset=("linear and convolution layers", "线性层和卷积层"),
        source="DeepSpeed 0.19.8, runtime/torch_autocast.py",
    )
    """Classes of modules, by their full Python name, whose gradients and weights may be exchanged
    in the lower precision.

    哪些模块类（写完整的 Python 名称）的梯度和权重可以用较低的精度交换。
    """


class DataTypes(Section):
    """The data_types block: number types apart from those that fp16 and bf16 choose.

    data_types 配置块：fp16、bf16 之外另行指定的数值类型。
    """

    grad_accum_dtype: Literal["fp32", "fp16", "bf16"] | None = param(
        None,
        when_unset=("that of the model", "与模型相同"),
        source="DeepSpeed 0.19.8, runtime/config.py and engine.py",
    )
    """Number type in which gradients are added up over micro batches and held. In bfloat16 many
    small gradients added to a large sum are rounded away; float32 prevents that and takes twice the
    memory.

    跨微批次累加并保存梯度所用的数值类型。用 bfloat16 时，很多小梯度加到大的总和上会被舍入掉；
    float32 可以避免，但占用翻倍。
    """

    param_dtype: Literal["fp32", "fp16", "bf16"] | None = param(
        None,
        when_unset=("as fp16.enabled or bf16.enabled say", "由 fp16.enabled 或 bf16.enabled 决定"),
        source="DeepSpeed 0.19.8, runtime/config.py and engine.py",
    )
    """Number type of the parameters. It can only repeat what the blocks for half precision say;
    anything else is refused.

    参数的数值类型。只能与半精度的配置块一致，否则会被拒绝。
    """

    buffer_dtype: Literal["fp32", "fp16", "bf16"] | None = param(
        None,
        when_unset=("as the buffers were loaded", "与加载时相同"),
        source="DeepSpeed 0.19.8, runtime/config.py and engine.py",
    )
    """Number type of the model's buffers, such as the table of rotary frequencies. Lowering it
    makes positions inexact.

    模型缓冲区（例如旋转位置编码的频率表）的数值类型。降低它会使位置编码不准确。
    """

    keep_in_fp32_modules: Literal["auto"] | tuple[str, ...] = param(
        "auto", source="DeepSpeed 0.19.8, runtime/config.py and engine.py"
    )
    """Buffers that stay in float32 under half precision: those that the transformers model names
    itself, or those that match these patterns. Accelerate refuses the word auto where it is written
    out; leave the key out instead.

    半精度下仍保持 float32 的缓冲区：由 transformers 的模型自己指定，或按这里的名称模式。
    accelerate 会拒绝明确写出的 auto，不写这个键即可。
    """


class WeightQuantization(Section):
    """The weight_quantization block, read when a model is built under ZeRO-3 for inference.

    weight_quantization 配置块，在 ZeRO-3 下为推理构建模型时读取。
    """

    enabled: bool = param(True, source="DeepSpeed 0.19.8, inference/config.py")
    """No effect: nothing reads it. What counts are quantized_initialization and post_init_quant.

    没有作用：没有代码读取它。起作用的是 quantized_initialization 和 post_init_quant。
    """

    num_bits: int = param(8, at_least=1, source="DeepSpeed 0.19.8, inference/config.py")
    """No effect: nothing reads it here. The bits are given inside quantized_initialization and
    post_init_quant.

    没有作用：写在这里没有代码读取。位数写在 quantized_initialization 和 post_init_quant 里。
    """

    q_type: Literal["asymmetric", "symmetric"] = param(
        "symmetric", source="DeepSpeed 0.19.8, inference/config.py"
    )
    """No effect: nothing reads it here, but only inside post_init_quant.

    没有作用：写在这里没有代码读取，只有 post_init_quant 里的才会读取。
    """

    q_groups: int = param(1, at_least=1, source="DeepSpeed 0.19.8, inference/config.py")
    """No effect: nothing reads it here, but only inside post_init_quant.

    没有作用：写在这里没有代码读取，只有 post_init_quant 里的才会读取。
    """

    quantized_initialization: dict[str, object] = param(
        {}, source="DeepSpeed 0.19.8, inference/config.py"
    )
    """Quantise the weights of linear and embedding layers as they are created: num_bits,
    group_size, group_dim and symmetric. Training has no use for it.

    在创建线性层和词嵌入时即量化权重：可写 num_bits、group_size、group_dim、symmetric。训练用不到。
    """

    post_init_quant: dict[str, object] = param({}, source="DeepSpeed 0.19.8, inference/config.py")
    """Quantise a ready model for inference: settings by the name of the module. Only a call of
    DeepSpeed's quantisation function reads it; training does not.

    为推理量化已建好的模型：按模块名称给出设置。只有调用 DeepSpeed 的量化函数时才读取，训练不读取。
    """
