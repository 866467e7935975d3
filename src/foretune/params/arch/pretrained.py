"""What transformers reads of every config.json, whatever the model, beside the keys that stand in
``architecture``.

Source: transformers 5.23.0, configuration_utils.py (PreTrainedConfig) and modeling_rope_utils.py.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from ..declare import param
from .architecture import ModelKeys


class Pretrained(ModelKeys):
    """The keys of every config.json that a model class of transformers itself reads.

    凡是由 transformers 自带模型类读取的 config.json 都可以有的键。
    """

    model_config = ConfigDict(strict=True, defer_build=True)

    dtype: str | None = param(None, matters=2)
    """Number type in which the weights were saved, under the name that transformers 5 writes. What
    is computed in is decided where the model is loaded: it follows this value unless told
    otherwise.

    权重保存时的数据类型，这是 transformers 5 写出时用的名称。实际使用的类型在加载时决定，没有另外指
    定时就沿用它。
    """

    quantization_config: dict[str, Any] | None = param(None, matters=2)
    """How the weights were packed into fewer bits, and by which library. With it the model loads
    packed, and its packed weights cannot train: only what is added to them can.

    权重被哪个库、以何种方式压缩成更少的位数。有它时模型以压缩形式加载，压缩后的权重不能训练，只能
    训练附加在上面的部分。
    """

    attn_implementation: str | None = param(None, matters=2)
    """Kernel that attention asks for where whoever loads the model names none. Writing it into the
    file does not install the kernel.

    加载时没有指定、就采用的注意力实现。写在文件里并不会安装相应的算子库。
    """

    experts_implementation: str | None = param(None)
    """How the experts of a mixture are multiplied: one after the other, or as one grouped product.
    Without experts no effect.

    混合专家模型中各专家的计算方式：逐个相乘，或合并为一次分组乘法。没有专家的模型不受影响。
    """

    is_encoder_decoder: bool = param(False, matters=2)
    """There is an encoder that reads the prompt and a decoder that writes. Data is then prepared
    with the answer in the labels alone.

    由编码器读取提示、解码器生成回答。此时数据的标签里只放回答。
    """

    is_decoder: bool = param(False)
    """Makes a model of the BERT kind read from left to right. Models that only write ignore it.

    让 BERT 一类的模型只从左往右读。本来就只做生成的模型会忽略它。
    """

    add_cross_attention: bool = param(False)
    """Gives each block of a decoder an attention to an encoder's output; only models that can be
    joined to an encoder read it.

    让解码器的每个块多一个对编码器输出的注意力；只有能与编码器拼接的模型会读取。
    """

    cross_attention_hidden_size: int | None = param(None, at_least=1)
    """Width of the encoder's output where it is not the decoder's own.

    编码器输出的宽度，仅当它与解码器宽度不同时需要。
    """

    output_hidden_states: bool = param(False)
    """Return what every layer put out, too. It keeps all of it in memory; nothing in training needs
    it.

    同时返回每一层的输出。这些内容会一直占用内存，训练用不到。
    """

    output_attentions: bool = param(False)
    """Return the weights of attention, too. Fused kernels cannot, so it forces the slow way that
    holds a length by length matrix for each head.

    同时返回注意力权重。融合算子做不到，因此会强制使用较慢的实现，并为每个头保存“长度 × 长度”的矩
    阵。
    """

    return_dict: bool = param(True)
    """Return results by name instead of as a tuple. The trainer finds the loss either way.

    按名称而不是以元组返回结果。两种方式训练器都能取到损失。
    """

    chunk_size_feed_forward: int = param(0, at_least=0, unit="positions")
    """Compute the feed-forward block in pieces of so many positions, to save memory; zero means at
    once. Only models of the BERT kind read it: in Llama, Qwen and their like no effect.

    把前馈层按这么多个位置分段计算以节省内存，零表示一次算完。只有 BERT 一类的模型读取，在 Llama、
    Qwen 等模型中不起作用。
    """

    tie_last_hidden_states: bool | None = param(
        None, when_unset=("as the model's code does", "按模型代码的做法")
    )
    """Whether the last of the returned hidden states is the one after the final norm. The loss does
    not depend on it.

    所返回的最后一个隐藏状态是否取最终归一化之后的值。与损失无关。
    """

    per_layer_config: dict[str, Any] | None = param(None)
    """Keys that single layers have other values of, by the number of the layer. The counts of a
    model that has them are not those of its other keys.

    按层号给出个别层的不同取值。有它的模型，参数量不能只按其余的键计算。
    """

    tokenizer_class: str | None = param(None)
    """Class that reads the tokenizer where its own file names none.

    分词器自己的配置没有写明类别时，用它来读取分词器。
    """

    decoder_start_token_id: int | None = param(None, at_least=0)
    """Token id that the decoder of a model with an encoder starts from.

    带编码器的模型中，解码器起始的词元 id。
    """

    sep_token_id: int | None = param(None, at_least=0)
    """Token id between two texts, in models of the BERT kind.

    BERT 一类的模型中，分隔两段文本的词元 id。
    """

    prefix: str | None = param(None)
    """Text that a pipeline of transformers puts in front of every input. Training does not read it.

    transformers 流水线加在每个输入前面的文字。训练不会读取。
    """

    finetuning_task: str | None = param(None)
    """A note of what the model was tuned for. No effect.

    关于模型微调任务的备注，没有作用。
    """

    task_specific_params: dict[str, Any] | None = param(None)
    """Settings that pipelines of transformers 4 took for a task by its name. No effect in
    transformers 5.

    transformers 4 的流水线按任务名称取用的设置。在 transformers 5 中不起作用。
    """

    torchscript: bool | None = param(None)
    """Made transformers 4 return tuples and untie the output layer for export. No effect in
    transformers 5.

    在 transformers 4 中用于导出：返回元组、解除输出层绑定。在 transformers 5 中不起作用。
    """

    pruned_heads: dict[str, Any] | None = param(None)
    """Heads that were cut out of a model of the BERT kind. No effect in transformers 5.

    从 BERT 一类模型中剪掉的注意力头。在 transformers 5 中不起作用。
    """

    use_bfloat16: bool | None = param(None)
    """A switch of the TensorFlow models of transformers 4. No effect.

    transformers 4 的 TensorFlow 模型所用的开关，没有作用。
    """

    tf_legacy_loss: bool | None = param(None)
    """A switch of the TensorFlow models of transformers 4. No effect.

    transformers 4 的 TensorFlow 模型所用的开关，没有作用。
    """

    commit_hash: Annotated[str | None, Field(alias="_commit_hash")] = param(None)
    """Version of the repository that the file was saved from. No effect.

    保存该文件时所用的仓库版本，没有作用。
    """

    attn_was_chosen: Annotated[bool | None, Field(alias="_attn_implementation_autoset")] = param(
        None
    )
    """A mark that some versions of transformers 4 left of having chosen the kernel of attention
    themselves. No effect.

    部分 transformers 4 版本留下的标记，表示注意力实现由库自动选择。没有作用。
    """

    @classmethod
    def keys(cls) -> dict[str, str]:
        """The keys of the file that are declared here, each with the name of its field."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}
