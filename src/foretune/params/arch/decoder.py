"""What the config.json of most models that write has in common: the names of Llama, which Qwen,
Mistral and dozens of others took over.

Source: transformers 5.23.0, models/llama, qwen2, qwen3, mistral and modeling_rope_utils.py.
"""

from typing import Any

from ..declare import param
from .pretrained import Pretrained


class Decoder(Pretrained):
    """A model that writes from left to right, in the keys that Llama gave them.

    从左往右生成的模型，键名沿用 Llama。
    """

    vocab_size: int | None = param(None, at_least=1, matters=2)
    """Rows of the embedding and of the output layer. It may be larger than the tokenizer's
    vocabulary, rounded up so that it divides well; the rows above are never a token.

    词嵌入与输出层的行数。可以比分词器的词表大（为便于整除而向上取整），多出的行不对应任何词元。
    """

    hidden_size: int | None = param(None, at_least=1, matters=2)
    """Width of the vector that runs through the layers.

    贯穿各层的向量宽度。
    """

    intermediate_size: int | None = param(None, at_least=1, matters=2)
    """Width inside the feed-forward block. Where it has a gate there are three matrices of this
    width instead of two.

    前馈层内部的宽度。带门控时有三个这样宽的矩阵，而不是两个。
    """

    num_hidden_layers: int | None = param(None, at_least=0, matters=2)
    """Number of blocks.

    块的数量。
    """

    num_attention_heads: int | None = param(None, at_least=1, matters=2)
    """Number of query heads.

    查询头的数量。
    """

    num_key_value_heads: int | None = param(
        None, at_least=1, matters=2, when_unset="num_attention_heads", instead="num_attention_heads"
    )
    """Number of key heads, and of value heads, that the query heads share. The key-value cache
    shrinks in proportion; the scores do not get cheaper.

    查询头所共用的键头（以及值头）的数量。键值缓存按比例缩小，注意力分数的计算量不变。
    """

    head_dim: int | None = param(
        None,
        at_least=1,
        matters=2,
        when_unset=(
            "hidden_size divided by num_attention_heads",
            "hidden_size 除以 num_attention_heads",
        ),
    )
    """Width of one head. Heads times this width need not be the width of the model: the projections
    in and out of attention then are no squares.

    单个头的宽度。头数乘以它不必等于模型宽度，此时注意力前后的投影矩阵不是方阵。
    """

    hidden_act: str | None = param(None)
    """Function between the matrices of the feed-forward block; with silu and a gate it is SwiGLU.

    前馈层各矩阵之间的函数；silu 加门控就是 SwiGLU。
    """

    max_position_embeddings: int | None = param(None, at_least=1, matters=2, unit="positions")
    """Positions that the model was trained for, or is stretched to. With rotary positions there is
    no table that ends there, and no text is cut to it by itself: beyond it answers get worse. A
    tokenizer, a server and rope scaling take their length from it.

    模型训练时（或扩展后）支持的位置数。旋转位置编码没有到此为止的表，文本也不会自动按它截断；超过之
    后效果会变差。分词器、推理服务和 RoPE 缩放会以它为准。
    """

    initializer_range: float | None = param(None, at_least=0)
    """Spread of the random numbers that new weights start from. Weights that are loaded do not feel
    it; a resized embedding or a new head does.

    新权重随机初始化的标准差。加载已有权重时不起作用，扩充词嵌入或新增输出头时才用到。
    """

    rms_norm_eps: float | None = param(None, above=0)
    """Added to the mean square inside every norm.

    各归一化层中加在均方上的小数。
    """

    rope_theta: float | int | None = param(None, above=0, matters=2)
    """Base of the rotary angles: the larger, the slower the slow angles turn, and the longer the
    texts it is good for. Weights trained with one base give nonsense with another. transformers 5
    writes it into rope_parameters.

    旋转角的底数：越大，慢速角转得越慢，适用的文本越长。换一个底数，用原底数训练的权重就会输出乱码。
    transformers 5 把它写进 rope_parameters。
    """

    rope_scaling: dict[str, Any] | None = param(None, matters=2)
    """How the rotary angles are stretched beyond the trained length: the kind, its factor, and the
    length that was trained for. It counts before rope_parameters, which is its name in
    transformers 5.

    旋转角如何扩展到训练长度之外：方式、倍数以及原训练长度。它优先
    于 rope_parameters（transformers 5 中的名称）。
    """

    rope_parameters: dict[str, Any] | None = param(None, matters=2)
    """Everything about the rotary angles in one place, as transformers 5 writes it: base, kind of
    stretching and its numbers. Older versions do not know it and take their own base.

    transformers 5 把旋转角的底数、扩展方式及其数值写在一起。更早的版本不认识它，会使用自己的底数。
    """

    partial_rotary_factor: float | None = param(None, above=0, at_most=1)
    """Share of each head that is turned; the rest carries content alone.

    每个头中被旋转的比例，其余部分只承载内容。
    """

    attention_bias: bool | None = param(None)
    """Biases in the projections of attention. They are read only by the families whose code asks
    for this key: Qwen2 has biases at queries, keys and values whatever is written.

    注意力各投影是否带偏置。只有代码会读取该键的模型族才有效；Qwen2 的查询、键、值投影无论写什么都
    带偏置。
    """

    attention_dropout: float | None = param(None, at_least=0, at_most=1)
    """Share of attention weights set to zero in training.

    训练时被置零的注意力权重比例。
    """

    mlp_bias: bool | None = param(None)
    """Biases in the feed-forward block, where the family's code asks for the key.

    前馈层是否带偏置，仅对代码读取该键的模型族有效。
    """

    sliding_window: int | None = param(None, at_least=1, unit="positions", matters=2)
    """How far back a token sees in the layers that look through a window. Their part of the
    key-value cache stops growing there. Qwen ignores it unless use_sliding_window is on.

    使用滑动窗口的层中，一个词元能往回看多远；这些层的键值缓存到此不再增长。Qwen 只有打
    开 use_sliding_window 才使用它。
    """

    use_sliding_window: bool | None = param(None)
    """Turns the window of the Qwen families on, for the layers from max_window_layers upwards.

    打开 Qwen 系列的滑动窗口，从 max_window_layers 起的各层生效。
    """

    max_window_layers: int | None = param(None, at_least=0)
    """Number of first layers that see everything while the others look through the window. Without
    a window no effect.

    前这么多层看到全部内容，其余层使用滑动窗口。没有窗口时不起作用。
    """

    layer_types: list[str] | None = param(None)
    """The kind of attention of every layer, one word each: the whole text, or a window of it.

    逐层写出注意力的种类：看全部文本，或只看窗口内。
    """

    pretraining_tp: int | None = param(None)
    """A left-over of the machine that Llama 2 was trained on: transformers 4 could cut its products
    into so many pieces to repeat that machine's rounding. No effect in transformers 5.

    Llama 2 预训练环境的遗留：transformers 4 可按它把矩阵乘法切成若干份，以重现当时的舍入误差。
    在 transformers 5 中不起作用。
    """
