"""How accelerate compiles and computes: its blocks for torch.compile and for eight bits."""

from typing import Literal

from ..declare import Section, param


class Dynamo(Section):
    """The dynamo_config block: torch.compile by way of accelerate. Keys may leave out the leading
    dynamo_.

    dynamo_config 配置块：经由 accelerate 使用 torch.compile。键名可以省略开头的 dynamo_。
    """

    dynamo_backend: str | None = param(
        None,
        when_unset=("nothing is compiled", "不编译"),
        source="accelerate 1.15, utils/launch.py",
    )
    """Backend of torch.compile, as a rule inductor. The Trainer's --torch_compile_backend replaces
    it.

    torch.compile 的后端，通常为 inductor。Trainer 的 --torch_compile_backend 会取代它。
    """

    dynamo_mode: Literal["default", "reduce-overhead", "max-autotune"] = param(
        "default", source="accelerate 1.15, utils/launch.py"
    )
    """A trade of compile time against speed.

    在编译时间与运行速度之间取舍。
    """

    dynamo_use_fullgraph: bool = param(False, source="accelerate 1.15, utils/launch.py")
    """Refuse models that cannot be compiled in one piece.

    拒绝不能整体编译的模型。
    """

    dynamo_use_dynamic: bool = param(False, source="accelerate 1.15, utils/launch.py")
    """Compile for lengths that change, instead of anew for each.

    为变化的长度编译一次，而不是每种长度重新编译。
    """

    dynamo_use_regional_compilation: bool = param(False, source="accelerate 1.15, utils/launch.py")
    """Compile one layer and use it for all that are alike; much faster to compile.

    只编译一层，供相同的层共用；编译快得多。
    """


class Fp8(Section):
    """The fp8_config block, read where mixed_precision is fp8. Keys may leave out the leading fp8_.

    fp8_config 配置块，mixed_precision 为 fp8 时读取。键名可以省略开头的 fp8_。
    """

    fp8_backend: Literal["ao", "te", "msamp"] | None = param(
        None,
        when_unset=("the first that is installed", "已安装的第一个"),
        source="accelerate 1.15, utils/dataclasses.py",
    )
    """Library that computes in eight bits: torchao, TransformerEngine or MS-AMP.

    用哪个库做 8 位计算：torchao、TransformerEngine 或 MS-AMP。
    """

    fp8_use_autocast_during_eval: bool = param(
        False, source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: eight bits in evaluation too.

    TransformerEngine：评估时也使用 8 位。
    """

    fp8_margin: int = param(0, source="accelerate 1.15, utils/dataclasses.py")
    """TransformerEngine: head room of the scaling, as a power of two.

    TransformerEngine：缩放留出的余量，以 2 的幂计。
    """

    fp8_interval: int = param(
        1, at_least=1, unit="steps", source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: how often the scaling is computed anew.

    TransformerEngine：每隔多少步重新计算缩放。
    """

    fp8_format: Literal["HYBRID", "E4M3", "E5M2"] = param(
        "HYBRID", source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: how the eight bits are divided; the first takes more exact numbers forward
    and a wider range backward.

    TransformerEngine：8 位如何分配；第一种前向用精度更高的格式，反向用范围更大的格式。
    """

    fp8_amax_history_len: int = param(
        1024, at_least=1, unit="steps", source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: how far back the scaling looks. `accelerate config` writes
    amax_history_length, which nothing reads.

    TransformerEngine：缩放参考多少步的历史。`accelerate config` 写出的 amax_history_length 没有代码
    读取。
    """

    fp8_amax_compute_algo: Literal["max", "most_recent"] = param(
        "most_recent", source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: whether the largest or the latest of these values counts. `accelerate
    config` writes amax_compute_algorithm, which nothing reads.

    TransformerEngine：取历史中的最大值还是最近值。`accelerate config` 写出
    的 amax_compute_algorithm 没有代码读取。
    """

    fp8_override_linear_precision: str | tuple[bool, ...] = param(
        (False, False, False), source="accelerate 1.15, utils/dataclasses.py"
    )
    """TransformerEngine: which of the three products of a linear layer stay in higher precision:
    forward, gradient of inputs, gradient of weights.

    TransformerEngine：线性层的三个乘法（前向、输入梯度、权重梯度）中哪些保持较高精度。
    """

    fp8_use_mxfp8_block_scaling: bool = param(False, source="accelerate 1.15, utils/dataclasses.py")
    """TransformerEngine: a scale for every block of numbers; Blackwell GPUs. Only the file has it;
    there is no flag.

    TransformerEngine：每一小块数值单独缩放，用于 Blackwell GPU。只能写在文件里，没有对应的命令行参
    数。
    """

    fp8_opt_level: Literal["O1", "O2"] = param("O2", source="accelerate 1.15, utils/dataclasses.py")
    """MS-AMP: how much is kept in eight bits. `accelerate config` writes optimization_level, which
    nothing reads.

    MS-AMP：有多少内容用 8 位保存。`accelerate config` 写出的 optimization_level 没有代码读取。
    """

    fp8_enable_fsdp_float8_all_gather: bool = param(
        True, source="accelerate 1.15, utils/dataclasses.py"
    )
    """torchao: gather FSDP's parameters in eight bits.

    torchao：以 8 位收集 FSDP 的参数。
    """

    fp8_pad_inner_dim: bool = param(True, source="accelerate 1.15, utils/dataclasses.py")
    """torchao: pad matrices to the sizes that the eight-bit product needs.

    torchao：把矩阵补齐到 8 位乘法要求的大小。
    """
