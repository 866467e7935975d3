"""ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B, in the keys of their config.json.

Source: THUDM/chatglm2-6b, THUDM/chatglm3-6b and THUDM/glm-4-9b-chat, config.json and
configuration_chatglm.py. The defaults are those of the published configuration class: what holds
where config.json does not say it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import model_validator

from ..declare import param
from .shape import Shape, Weight, linear, norm
from .traits import Traits
from .tunable import Tunable


class ChatGLM2(Tunable):
    """ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B: pre-norm blocks, few key and value heads, a gated
    feed-forward block, rotary positions on half of every head.

    ChatGLM2-6B、ChatGLM3-6B 与 GLM-4-9B：前置归一化、少量键值头、带门控的前馈层、只旋转每个头的
    一半。
    """

    second_names: ClassVar[dict[str, str]] = {
        "num_hidden_layers": "num_layers",
        "vocab_size": "padded_vocab_size",
    }
    """Keys that newer versions of transformers write beside a key of the family."""

    published: ClassVar[dict[str, Any]] = {
        "model_type": "chatglm",
        "_name_or_path": "THUDM/chatglm2-6b",
        "padded_vocab_size": 65024,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "add_qkv_bias": True,
        "seq_length": 32768,
        "torch_dtype": "float16",
    }

    model_type: str = param("chatglm")

    padded_vocab_size: int = param(65024, at_least=1, matters=2)
    """Rows of the embedding and of the output layer: the vocabulary rounded up so that it divides
    well. The rows above the vocabulary are never a token of the tokenizer, but they are logits and
    cost memory.

    词嵌入与输出层的行数：词表大小向上取整到便于整除的数。多出的行不对应分词器的任何词元，但仍
    是 logits，仍占显存。
    """

    vocab_size: int | None = param(None, at_least=1)
    """The padded vocabulary once more, as newer versions of transformers write it when they save
    the model. The model is built from padded_vocab_size, and the two may not differ.

    取整后词表大小的另一个名称，较新版本的 transformers 保存模型时会写出。模型按
    padded_vocab_size 构建，两者不得不同。
    """

    hidden_size: int = param(4096, at_least=1, matters=2)
    """Width of the vector that runs through the layers.

    贯穿各层的向量宽度。
    """

    num_layers: int = param(28, at_least=1, matters=2)
    """Number of blocks.

    块的数量。
    """

    num_hidden_layers: int | None = param(None, at_least=1)
    """The number of blocks once more, under the name by which transformers asks for it. The model
    is built from num_layers, and the two may not differ.

    块数的另一个名称，供 transformers 查询。模型按 num_layers 构建，两者不得不同。
    """

    num_attention_heads: int = param(32, at_least=1, matters=2)
    """Number of query heads.

    查询头的数量。
    """

    kv_channels: int = param(128, at_least=1)
    """Width of one head. Heads times this width need not be the hidden size.

    单个注意力头的宽度。头数乘以它不必等于隐藏宽度。
    """

    multi_query_attention: bool = param(False, matters=2)
    """Let groups of query heads share one key head and one value head. Without it every query head
    has its own.

    让一组查询头共用一个键头和一个值头；关闭时每个查询头各有自己的键和值。
    """

    multi_query_group_num: int = param(1, at_least=1, matters=2, instead="num_attention_heads")
    """Number of key heads, and of value heads, that the query heads share; read only with
    multi_query_attention. The key-value cache and the prefix of P-Tuning v2 shrink in proportion.

    查询头所共用的键头（以及值头）的数量；仅在 multi_query_attention 打开时生效。键值缓存
    与 P-Tuning v2 前缀按比例缩小。
    """

    ffn_hidden_size: int = param(13696, at_least=1)
    """Width inside the feed-forward block. The first matrix is twice as wide: it makes the gate and
    the value of SwiGLU.

    前馈层内部的宽度。第一个矩阵的宽度是它的两倍：分别产生 SwiGLU 的门控与数值。
    """

    seq_length: int = param(2048, at_least=1, matters=2, unit="positions")
    """Rows of the table of rotary positions. No text is cut to it or padded up to it and no
    tokenizer reads it: what cuts a text is max_source_length and max_target_length of the training
    script. A position beyond it is an error in the published code; foretune computes the angles
    without a table, and only the quality falls.

    旋转位置表的行数。文本不会按它截断或补齐，分词器也不读取它：截断文本的是训练脚本
    的 max_source_length 和 max_target_length。官方代码中超过它的位置会报错；foretune 不用表而直接
    计算角度，超过后只是质量下降。
    """

    rope_ratio: float = param(1.0, above=0)
    """Multiplies the base of the rotary angles, which stretches the positions for long texts.

    旋转角底数的倍数，用于拉伸位置以支持长文本。
    """

    original_rope: bool = param(True)
    """Rotate neighbouring pairs in the first half of each head and leave the other half as it is.
    The other reading cannot run in the published code.

    旋转每个头前半部分的相邻元素对，后半部分保持不变。另一种取值在官方代码中无法运行。
    """

    rmsnorm: bool = param(True)
    """Normalise by the root mean square; otherwise LayerNorm with a bias.

    使用均方根归一化；否则使用带偏置的 LayerNorm。
    """

    layernorm_epsilon: float = param(1e-5, above=0)
    """Added to the mean square (or the variance) inside every norm.

    各归一化层中加在均方（或方差）上的小数。
    """

    post_layer_norm: bool = param(True)
    """Add one norm after the last block. The blocks themselves stay pre-norm either way.

    在最后一个块之后再加一个归一化层。无论如何，各块本身都是前置归一化。
    """

    apply_residual_connection_post_layernorm: bool = param(False)
    """The residual carries what the norm put out instead of what went into it. There is a residual
    either way.

    残差传递归一化的输出，而不是归一化的输入。两种情况都有残差连接。
    """

    add_bias_linear: bool = param(False)
    """Give every linear layer of the blocks a bias.

    块中的所有线性层都带偏置。
    """

    add_qkv_bias: bool = param(False)
    """Give the fused projection to queries, keys and values a bias, even where the other layers
    have none.

    仅让查询、键、值的融合投影带偏置，即使其他线性层没有。
    """

    hidden_dropout: float = param(0.0, at_least=0, at_most=1)
    """Share of elements set to zero in training behind the attention and behind the feed-forward
    block.

    训练时注意力与前馈层输出中被置零的比例。
    """

    attention_dropout: float = param(0.0, at_least=0, at_most=1)
    """Dropout inside attention. The published code does not apply it with torch 2 or later,
    whatever the value; foretune does as the published code.

    注意力内部的 dropout。torch 2 及以上的官方代码无论取值都不使用它；foretune 与官方代码一致。
    """

    classifier_dropout: float | None = param(None, at_least=0, at_most=1)
    """Dropout in front of the classifier head of ChatGLMForSequenceClassification. A model that
    generates text has no such head.

    ChatGLMForSequenceClassification 的分类头之前的 dropout。生成文本的模型没有分类头。
    """

    apply_query_key_layer_scaling: bool = param(True)
    """No effect: fused attention never reaches it, and the older path divides the factor out again
    before the softmax.

    没有作用：融合注意力不会用到它，旧路径在 softmax 之前又把该系数除掉。
    """

    attention_softmax_in_fp32: bool = param(True)
    """No effect: fused attention never reaches it.

    没有作用：融合注意力不会用到它。
    """

    bias_dropout_fusion: bool = param(True)
    """No effect: a left-over of Megatron that the published model code does not read.

    没有作用：Megatron 遗留的键，官方模型代码不读取。
    """

    fp32_residual_connection: bool = param(False)
    """Turn the embeddings into float32. No published checkpoint does, half-precision weights cannot
    follow it, and foretune does not read it.

    把词嵌入转为 float32。官方发布的权重都没有使用，半精度权重无法配合它，foretune 也不读取它。
    """

    pad_token_id: int | None = param(None, at_least=0, matters=2)
    """Token id that fills the finished rows of a batch while generating. In training it does
    nothing with the published scripts: they pad, and mask the padding in the labels, by the
    tokenizer's own pad token, which in ChatGLM2 is id 0. Only with a script that masks labels by
    this key, and only where it is the end token, does the model never learn to stop.

    批量生成时填充已结束行的词元 id。用官方脚本训练时它不起作用：官方脚本填充数据、在标签中屏蔽填充
    位置，用的都是分词器自己的填充词元，在 ChatGLM2 中编号为 0。只有按这个键屏蔽标签的脚本，并且它恰
    好是结束词元时，模型才会学不会停下。
    """

    tie_word_embeddings: bool = param(False)
    """No effect: in this family the output layer is always a tensor of its own.

    没有作用：该模型族的输出层始终是独立的张量。
    """

    @model_validator(mode="after")
    def _both_names_say_the_same(self) -> Self:
        for second, name in self.second_names.items():
            if getattr(self, second) not in (None, getattr(self, name)):
                raise ValueError(
                    f"{second} {getattr(self, second)} is not {name} {getattr(self, name)}"
                )
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.num_attention_heads % self.key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of"
                f" multi_query_group_num {self.multi_query_group_num}"
            )
        if self.kv_channels % 4:
            raise ValueError(f"kv_channels {self.kv_channels} has no half that consists of pairs")
        return self

    @property
    def key_value_heads(self) -> int:
        """Key heads, and value heads, that are stored per token."""
        if self.multi_query_attention:
            return self.multi_query_group_num
        return self.num_attention_heads

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """ChatGLM-6B has the same model_type, with other keys."""
        own = {"padded_vocab_size", "kv_channels", "seq_length"}
        return config.get("model_type") == "chatglm" and not own.isdisjoint(config)

    @property
    def shape(self) -> Shape:
        return Shape(
            hidden=self.hidden_size,
            layers=self.num_layers,
            heads=self.num_attention_heads,
            kv_heads=self.key_value_heads,
            head_dim=self.kv_channels,
            ffn=self.ffn_hidden_size,
            gated=True,
            vocab=self.padded_vocab_size,
            max_positions=self.seq_length,
            tied=False,
            weights=self._weights(),
            prefix_inputs=2 * self.num_layers * self.key_value_heads * self.kv_channels,
            default_lora_targets=("query_key_value",),
            quantised=("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        )

    @property
    def traits(self) -> Traits:
        after = self.apply_residual_connection_post_layernorm
        return Traits(
            keys={
                "hidden": "hidden_size",
                "layers": "num_layers",
                "heads": "num_attention_heads",
                "kv_heads": "multi_query_group_num",
                "head_dim": "kv_channels",
                "ffn": "ffn_hidden_size",
                "vocab": "padded_vocab_size",
                "positions": "seq_length",
                "norm_eps": "layernorm_epsilon",
                "dropout": "hidden_dropout",
                "tied": "tie_word_embeddings",
            },
            choices={
                "norm place": "residual of the norm" if after else "pre-norm",
                "norm": "RMSNorm" if self.rmsnorm else "LayerNorm",
                "positions": "half RoPE",
                "feed-forward": "SwiGLU",
                "attention": "shared" if self.multi_query_attention else "one each",
                "sight": "causal",
                "output": "own",
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, ffn, copies = self.hidden_size, self.ffn_hidden_size, self.num_layers
        q = self.num_attention_heads * self.kv_channels
        kv = self.key_value_heads * self.kv_channels
        table, block, centred = (
            (self.padded_vocab_size, h),
            "transformer.encoder.layers.{i}",
            not self.rmsnorm,
        )
        bias, qkv_bias = self.add_bias_linear, self.add_bias_linear or self.add_qkv_bias
        attention, mlp = f"{block}.self_attention", f"{block}.mlp"
        last = norm("transformer.encoder.final_layernorm", h, bias=centred)
        return (
            Weight("transformer.embedding.word_embeddings.weight", table, "embedding"),
            *norm(f"{block}.input_layernorm", h, bias=centred, copies=copies),
            *linear(f"{attention}.query_key_value", h, q + 2 * kv, bias=qkv_bias, copies=copies),
            *linear(f"{attention}.dense", q, h, bias=bias, copies=copies),
            *norm(f"{block}.post_attention_layernorm", h, bias=centred, copies=copies),
            *linear(f"{mlp}.dense_h_to_4h", h, 2 * ffn, bias=bias, copies=copies),
            *linear(f"{mlp}.dense_4h_to_h", ffn, h, bias=bias, copies=copies),
            *(last if self.post_layer_norm else ()),
            Weight("transformer.output_layer.weight", table, "head"),
        )
