"""A config.json of a family that has no file here: the keys that many families share, explained one
by one. Their sizes are not counted: what they add up to, only the family's code knows.

Source: transformers 5.23.0, models/*/configuration_*.py.
"""

from typing import Any

from ..declare import param
from .decoder import Decoder


class AnyModel(Decoder):
    """A model of transformers whose family has no declaration of its own here.

    这里没有专门声明其模型族的 transformers 模型。
    """

    n_embd: int | None = param(None, at_least=1, matters=2)
    """Width of the vector that runs through the layers, as GPT-2 calls it.

    贯穿各层的向量宽度（GPT-2 的叫法）。
    """

    n_layer: int | None = param(None, at_least=0, matters=2)
    """Number of blocks, as GPT-2 calls it.

    块的数量，GPT-2 的叫法。
    """

    n_head: int | None = param(None, at_least=1, matters=2)
    """Number of heads, as GPT-2 calls it.

    头的数量，GPT-2 的叫法。
    """

    n_inner: int | None = param(None, at_least=1, when_unset=("four times n_embd", "n_embd 的四倍"))
    """Width inside the feed-forward block, as GPT-2 calls it.

    前馈层内部的宽度，GPT-2 的叫法。
    """

    n_positions: int | None = param(None, at_least=1, matters=2, unit="positions")
    """Rows of the trained table of positions, as GPT-2 calls it: a text that is longer fails.

    可训练位置表的行数，GPT-2 的叫法：更长的文本会直接报错。
    """

    n_ctx: int | None = param(None, at_least=1, unit="positions")
    """The same as n_positions, left over in old files. No effect.

    与 n_positions 相同，是旧文件的遗留，没有作用。
    """

    num_layers: int | None = param(None, at_least=0, matters=2)
    """Number of blocks, as T5, GLM and others call it.

    块的数量，T5、GLM 等的叫法。
    """

    d_model: int | None = param(None, at_least=1, matters=2)
    """Width of the vector that runs through the layers, as T5, BART and others call it.

    贯穿各层的向量宽度，T5、BART 等的叫法。
    """

    d_ff: int | None = param(None, at_least=1)
    """Width inside the feed-forward block, as T5 calls it.

    前馈层内部的宽度，T5 的叫法。
    """

    hidden_activation: str | None = param(None)
    """Function between the matrices of the feed-forward block, as Gemma 2 and 3 call it; there a
    hidden_act beside it is not read.

    前馈层各矩阵之间的函数，Gemma 2、3 的叫法；那里不读取同时写出的 hidden_act。
    """

    activation_function: str | None = param(None)
    """Function between the matrices of the feed-forward block, as GPT-2 and BART call it.

    前馈层各矩阵之间的函数，GPT-2、BART 的叫法。
    """

    layer_norm_eps: float | None = param(None, above=0)
    """Added to the variance inside every norm.

    各归一化层中加在方差上的小数。
    """

    layer_norm_epsilon: float | None = param(None, above=0)
    """Added to the variance inside every norm, as GPT-2 and Bloom call it.

    各归一化层中加在方差上的小数，GPT-2、Bloom 的叫法。
    """

    norm_eps: float | None = param(None, above=0)
    """Added inside the root of every norm.

    各归一化层根号内所加的小数。
    """

    hidden_dropout_prob: float | None = param(None, at_least=0, at_most=1)
    """Share of a layer's output set to zero in training, as BERT calls it.

    训练时每层输出中被置零的比例，BERT 的叫法。
    """

    attention_probs_dropout_prob: float | None = param(None, at_least=0, at_most=1)
    """Share of attention weights set to zero in training, as BERT calls it.

    训练时被置零的注意力权重比例，BERT 的叫法。
    """

    hidden_dropout: float | None = param(None, at_least=0, at_most=1)
    """Share of a layer's output set to zero in training.

    训练时每层输出中被置零的比例。
    """

    resid_pdrop: float | None = param(None, at_least=0, at_most=1)
    """Share of what each sub-layer adds set to zero in training, as GPT-2 calls it.

    训练时每个子层输出中被置零的比例，GPT-2 的叫法。
    """

    embd_pdrop: float | None = param(None, at_least=0, at_most=1)
    """Share of the embedding's output set to zero in training, as GPT-2 calls it.

    训练时词嵌入输出中被置零的比例，GPT-2 的叫法。
    """

    attn_pdrop: float | None = param(None, at_least=0, at_most=1)
    """Share of attention weights set to zero in training, as GPT-2 calls it.

    训练时被置零的注意力权重比例，GPT-2 的叫法。
    """

    dropout: float | None = param(None, at_least=0, at_most=1)
    """Share of a layer's output set to zero in training.

    训练时每层输出中被置零的比例。
    """

    dropout_rate: float | None = param(None, at_least=0, at_most=1)
    """Share of a layer's output set to zero in training, as T5 calls it.

    训练时每层输出中被置零的比例，T5 的叫法。
    """

    type_vocab_size: int | None = param(None, at_least=0)
    """Number of kinds of text that a model of the BERT kind tells apart, such as question and
    passage.

    BERT 一类模型所区分的文本种类数，例如问题与段落。
    """

    rotary_pct: float | None = param(None, above=0, at_most=1)
    """Share of each head that is turned, as GPT-NeoX calls it.

    每个头中被旋转的比例，GPT-NeoX 的叫法。
    """

    use_parallel_residual: bool | None = param(None)
    """Attention and feed-forward block read the same input and are added together, instead of one
    after the other.

    注意力与前馈层读取同一输入、结果相加，而不是依次进行。
    """

    parallel_attn: bool | None = param(None)
    """Falcon's name for attention and feed-forward block side by side.

    注意力与前馈层并行计算，Falcon 的叫法。
    """

    multi_query: bool | None = param(None)
    """All query heads share one key head and one value head.

    所有查询头共用一个键头和一个值头。
    """

    alibi: bool | None = param(None)
    """Positions enter as a penalty on distance instead of by rotation.

    位置以距离惩罚的形式进入，而不是旋转。
    """

    final_logit_softcapping: float | None = param(None)
    """Presses the logits into a range by a tangent, as Gemma 2 does.

    用双曲正切把 logits 压到一定范围内，Gemma 2 的做法。
    """

    attn_logit_softcapping: float | None = param(None)
    """Presses the scores of attention into a range, as Gemma 2 does. Kernels that cannot must not
    be used with it.

    把注意力分数压到一定范围内，Gemma 2 的做法。不支持它的算子不能使用。
    """

    query_pre_attn_scalar: float | int | None = param(None)
    """Scores are divided by the root of this instead of by that of head_dim.

    注意力分数除以它的平方根，而不是 head_dim 的平方根。
    """

    num_experts: int | None = param(None, at_least=0, matters=2)
    """Feed-forward blocks that stand side by side in a layer. All of them are in memory; a token
    goes through few.

    一层中并列的前馈层（专家）数。全部占用内存，但每个词元只经过其中少数几个。
    """

    num_local_experts: int | None = param(None, at_least=0, matters=2)
    """Feed-forward blocks that stand side by side in a layer, as Mixtral calls it. All of them are
    in memory.

    一层中并列的前馈层（专家）数，Mixtral 的叫法。全部占用内存。
    """

    n_routed_experts: int | None = param(None, at_least=0, matters=2)
    """Feed-forward blocks that a token is sent to by choice, as DeepSeek calls it.

    按路由选择的专家数，DeepSeek 的叫法。
    """

    n_shared_experts: int | None = param(None, at_least=0)
    """Feed-forward blocks that every token goes through beside the chosen ones.

    除所选专家外，每个词元都会经过的专家数。
    """

    num_experts_per_tok: int | None = param(None, at_least=1, matters=2)
    """Experts that a token goes through. They decide the arithmetic; all of them together decide
    the memory.

    每个词元经过的专家数。它决定计算量，而全部专家决定内存。
    """

    moe_intermediate_size: int | None = param(None, at_least=1)
    """Width inside one expert.

    单个专家内部的宽度。
    """

    shared_expert_intermediate_size: int | None = param(None, at_least=1)
    """Width inside the expert that every token goes through.

    每个词元都经过的那个专家的内部宽度。
    """

    router_aux_loss_coef: float | None = param(None)
    """Weight of a second loss that keeps the experts evenly busy. It counts in training only where
    output_router_logits is on.

    使各专家负载均衡的辅助损失的权重。只有打开 output_router_logits 时训练才计入。
    """

    output_router_logits: bool | None = param(None)
    """Return how tokens were sent to experts, and add the second loss to the loss of training.

    返回词元的路由结果，并在训练损失中加上辅助损失。
    """

    norm_topk_prob: bool | None = param(None)
    """Weights of the chosen experts are made to add up to one.

    将所选专家的权重归一化为总和一。
    """

    decoder_sparse_step: int | None = param(None, at_least=1)
    """Every how many layers there is a layer with experts.

    每隔多少层设一个专家层。
    """

    text_config: dict[str, Any] | None = param(None, matters=2)
    """The config of the part that writes, in a model that also sees or hears. Its keys are not
    looked into here.

    多模态模型中负责生成文本的部分的配置。这里不读取其中的键。
    """

    vision_config: dict[str, Any] | None = param(None)
    """The config of the part that sees.

    多模态模型中视觉部分的配置。
    """

    audio_config: dict[str, Any] | None = param(None)
    """The config of the part that hears.

    多模态模型中音频部分的配置。
    """
