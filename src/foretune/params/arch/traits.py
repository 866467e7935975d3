"""How a model is built: the choices that every family makes in one way or another, by which models
of different families can be held side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..declare import Words

Concept = Literal[
    "hidden", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "positions",
    "norm_eps", "rope_base", "dropout", "tied",
]  # fmt: skip

CONCEPTS: Mapping[Concept, Words] = {
    "hidden": Words("width of the vector between layers", "贯穿各层的向量宽度"),
    "layers": Words("blocks", "块数"),
    "heads": Words("query heads", "查询头数"),
    "kv_heads": Words("key heads, and value heads", "键头数（以及值头数）"),
    "head_dim": Words("width of one head", "单个头的宽度"),
    "ffn": Words("width inside the feed-forward block", "前馈层内部的宽度"),
    "vocab": Words("rows of the embedding", "词嵌入的行数"),
    "positions": Words("positions it was made or trained for", "所支持或训练时的位置数"),
    "norm_eps": Words("number added inside every norm", "归一化层中所加的小数"),
    "rope_base": Words("base of the rotary angles", "旋转角的底数"),
    "dropout": Words("share of elements dropped in training", "训练时随机置零的比例"),
    "tied": Words("output layer is the embedding", "输出层就是词嵌入"),
}
"""The sizes that every family has, under whatever key."""

Question = Literal[
    "norm place", "norm", "positions", "feed-forward", "attention", "sight", "output"
]

QUESTIONS: Mapping[Question, Words] = {
    "norm place": Words("where the norms stand", "归一化的位置"),
    "norm": Words("kind of norm", "归一化的种类"),
    "positions": Words("how positions enter", "位置如何进入模型"),
    "feed-forward": Words("feed-forward block", "前馈层"),
    "attention": Words("heads of keys and values", "键值头"),
    "sight": Words("what a token sees", "一个词元能看到什么"),
    "output": Words("output layer", "输出层"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, and what it changes."""

    name: Words
    changes: Words


CHOICES: Mapping[str, Choice] = {
    "pre-norm": Choice(
        Words("pre-norm", "前置归一化"),
        Words(
            "each sub-layer reads a normalised copy, and the residual runs through untouched: "
            "gradients reach the first layers whole, so deep models train with little warm-up; a "
            "last norm in front of the output is needed",
            "每个子层读取归一化后的副本，残差原样贯穿：梯度能完整传到最前面的层，深模型只需很少预热即可"
            "训练；输出之前需要再加一个归一化",
        ),
    ),
    "post-norm": Choice(
        Words("post-norm", "后置归一化"),
        Words(
            "the norm comes after the sum, so the residual itself is normalised in every "
            "sub-layer: gradients of the first layers shrink with depth, and training needs a "
            "long warm-up; no last norm is needed",
            "归一化在相加之后，残差本身在每个子层都被归一化：前面各层的梯度随深度变小，训练需要较长的预"
            "热；末尾不需要再归一化",
        ),
    ),
    "scaled residual": Choice(
        Words("norm first, residual carries what it put out", "先归一化，残差传递归一化后的值"),
        Words(
            "the residual is the norm's output times a fixed number that grows with the root of "
            "the depth, which keeps deep post-norm models stable",
            "残差是归一化的输出乘以一个随深度平方根增长的固定系数，使深层的后置归一化模型保持稳定",
        ),
    ),
    "residual of the norm": Choice(
        Words("norm first, residual carries what it put out", "先归一化，残差传递归一化后的值"),
        Words(
            "nothing runs through the layers untouched: every block normalises the residual too",
            "没有任何值原样贯穿各层：每个块都会归一化残差",
        ),
    ),
    "LayerNorm": Choice(
        Words("LayerNorm", "LayerNorm"),
        Words(
            "subtracts the mean and divides by the standard deviation; a weight and a bias",
            "减去均值再除以标准差；有权重和偏置",
        ),
    ),
    "RMSNorm": Choice(
        Words("RMSNorm", "RMSNorm"),
        Words(
            "divides by the root of the mean square and subtracts nothing; a weight and no bias, "
            "a little cheaper",
            "除以均方根，不减均值；只有权重没有偏置，计算略省",
        ),
    ),
    "sinusoids": Choice(
        Words("sinusoids added to the embedding", "加在词嵌入上的正弦位置编码"),
        Words(
            "absolute places, added once at the bottom; nothing is trained and any position can "
            "be computed, yet texts longer than those trained on meet values never seen",
            "绝对位置，只在最底层加一次；不需训练，任何位置都能计算，但超过训练长度的文本会遇到没见过的值",
        ),
    ),
    "RoPE": Choice(
        Words("RoPE over the whole head", "对整个头旋转（RoPE）"),
        Words(
            "queries and keys are turned in every layer, so that places enter a score as the "
            "distance of two tokens alone; the cache keeps turned keys, and a larger base of the "
            "angles stretches to longer texts",
            "每一层都旋转查询和键，位置只以两个词元的距离进入注意力分数；缓存中保存旋转后的键，增大角度的"
            "底数可以支持更长的文本",
        ),
    ),
    "half RoPE": Choice(
        Words("RoPE over half of each head", "只旋转每个头的一半（RoPE）"),
        Words(
            "the first half of each head depends on the distance, the other half carries content "
            "alone",
            "每个头的前一半取决于距离，另一半只承载内容",
        ),
    ),
    "two-dimensional RoPE": Choice(
        Words("two-dimensional RoPE", "二维 RoPE"),
        Words(
            "one half of each head is turned by the place in the prompt, the other by the place "
            "in the answer; positions count from special tokens, so a row without them cannot be "
            "read",
            "每个头的一半按在提示中的位置旋转，另一半按在回答中的位置旋转；位置从特殊词元算起，缺少它们就"
            "无法读取",
        ),
    ),
    "ALiBi": Choice(
        Words("ALiBi", "ALiBi"),
        Words(
            "scores fall in a straight line with the distance, each head at a slope of its own; "
            "no table and nothing trained, and longer texts work to a degree",
            "注意力分数随距离线性下降，各头斜率不同；没有位置表，也不需训练，更长的文本在一定程度上可用",
        ),
    ),
    "ReLU": Choice(
        Words("ReLU, no gate", "ReLU，无门控"),
        Words(
            "two matrices; about half of the inner values are zero", "两个矩阵；内部约一半的值为零"
        ),
    ),
    "GELU": Choice(
        Words("GELU, no gate", "GELU，无门控"),
        Words("two matrices and a smooth step between them", "两个矩阵，中间是平滑的阶跃函数"),
    ),
    "SwiGLU": Choice(
        Words("SwiGLU (gate and value)", "SwiGLU（门控与数值）"),
        Words(
            "three matrices instead of two: one makes a gate that the value is multiplied by; "
            "better at the same number of parameters, so the width is chosen smaller",
            "三个矩阵而不是两个：其中一个产生门控，与数值相乘；参数量相同时效果更好，因此宽度取得小一些",
        ),
    ),
    "one each": Choice(
        Words("one for each query head", "每个查询头各有一个"),
        Words(
            "plain multi-head attention: the largest key-value cache",
            "普通的多头注意力：键值缓存最大",
        ),
    ),
    "shared": Choice(
        Words("shared by groups of query heads", "由多个查询头共用"),
        Words(
            "the key-value cache, and a prefix of P-Tuning v2, shrink in proportion",
            "键值缓存和 P-Tuning v2 前缀按比例缩小",
        ),
    ),
    "causal": Choice(
        Words("what stands before it", "它之前的内容"),
        Words(
            "prompt and answer are one text read in one direction; every position can be trained",
            "提示与回答是同一段文字，只朝一个方向读；每个位置都可以训练",
        ),
    ),
    "prompt in both directions": Choice(
        Words("the whole prompt, and what stands before it", "整个提示，以及它之前的内容"),
        Words(
            "tokens of the prompt see each other in both directions, so the prompt carries no loss",
            "提示中的词元双向可见，因此提示部分不能计算损失",
        ),
    ),
    "encoder and decoder": Choice(
        Words("source in both directions; answer so far", "整个源文本；已生成的回答"),
        Words(
            "the source is read once by an encoder; a decoder writes and looks at it in every "
            "layer (cross-attention): three attentions and two stacks of blocks",
            "源文本由编码器读一次；解码器逐词生成，并在每一层回看源文本（交叉注意力）：三种注意力、两叠块",
        ),
    ),
    "tied": Choice(
        Words("the embedding itself", "就是词嵌入"),
        Words("one tensor, counted and trained once", "同一个张量，只计数、只训练一次"),
    ),
    "own": Choice(
        Words("a matrix of its own", "独立的矩阵"),
        Words("vocabulary times width more parameters", "多出“词表 × 宽度”个参数"),
    ),
    "normalised": Choice(
        Words(
            "a matrix of its own, rows brought to length one", "独立的矩阵，每行归一化为单位长度"
        ),
        Words(
            "logits are cosines times the length of the vector: no token wins by a long row",
            "logits 等于夹角余弦乘以向量长度：不会有词元因为行向量长而占优",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Traits:
    """How one model is built."""

    keys: Mapping[Concept, str]
    """The key of its file that says a size; a size without one follows from others."""
    choices: Mapping[Question, str]
    """The answer to each question, as a key of ``CHOICES``."""
