"""In which number types the model is held and computed.

Source: transformers 5.23.0, training_args.py and trainer.py; THUDM/ChatGLM2-6B, quantization.py.
"""

from typing import Literal

from .declare import Section, param


class Precision(Section):
    """In which number types the model is held and computed.

    模型以什么数值类型存放和计算。
    """

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = param("auto", matters=2)
    """Number type of the frozen weights in memory; what trains is float32 whatever this says. Left
    to itself it follows from method, mixed precision and device, and the report says how.

    冻结权重在显存中的数值类型；参与训练的参数无论如何都是 float32。不指定时由训练方法、混合精度和设
    备推出，报告会写明依据。
    """

    mixed: Literal["no", "fp16", "bf16"] = param("no", matters=3)
    """Number type in which autocast computes matrix products; the weights keep their own. Float16
    overflows easily, so losses are scaled and steps with infinite gradients skipped; bfloat16 has
    float32's range and needs neither.

    autocast 计算矩阵乘法所用的数值类型，权重本身的类型不变。float16 容易溢出，因此要缩放损失，并跳
    过梯度为无穷的步；bfloat16 的范围与 float32 相同，两者都不需要。
    """

    full_eval: Literal["no", "fp16", "bf16"] = param("no")
    """Cast the whole model before evaluation and prediction, and leave it so. Evaluation during
    training is not touched.

    评估和预测之前把整个模型转换为该类型，之后也不转回来。训练过程中的评估不受影响。
    """

    tf32: bool | None = param(None, when_unset=("as torch is set", "保持 torch 的设置"))
    """Let NVIDIA GPUs since Ampere round the inputs of float32 matrix products to ten bits of
    mantissa: several times faster, about as exact as float16. Elsewhere asking for it is an error.

    允许 Ampere 及以后的 NVIDIA GPU 在计算 float32 矩阵乘法时把输入舍入到十位尾数：快数倍，精度
    与 float16 相当。在其他硬件上打开会报错。
    """

    quantize: Literal[4, 8] | None = param(
        None,
        matters=3,
        unit="bits per weight",
        when_unset=("weights are not quantised", "权重不量化"),
    )
    """Hold the weights of the frozen linear layers in so few bits. It saves memory, not time: they
    are expanded again for every product. What trains is not quantised, so this does not train a
    model of so few bits.

    把冻结线性层的权重压到这么少的位数存放。省的是显存而不是时间：每次相乘都要先还原。参与训练的参数
    不量化，所以这并不是在训练一个低比特模型。
    """

    dequantize: bool = param(False, matters=2)
    """Expand weights that the model's folder holds in few bits to full ones while they are loaded,
    so that all of them can train. What packing rounded away does not come back, and the memory is
    that of a full model.

    模型文件夹中以低比特存放的权重，在加载时还原成完整权重，这样才能训练全部参数。量化时舍去的精度不会
    恢复，占用的显存与完整模型相同。
    """
