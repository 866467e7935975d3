"""The original Transformer: an encoder that reads, and a decoder that writes (arXiv:1706.03762).

The paper's code (tensorflow/tensor2tensor) has no config.json; the keys are those of
`base.json` files as people write them for it. The defaults are the paper's base model.

Source: arXiv:1706.03762.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from ...text import Said
from ..declare import param
from .architecture import Architecture, Remark
from .shape import Shape, Weight, linear, norm
from .traits import Traits

PAPER_BASE = 65_000_000
"""Parameters of the base model in the paper's table 3, which gives whole millions.

Its rows fit together: those that vary the base model's sizes all come to an embedding of 40,932 to
41,160 rows, and the big model's 213 million to 35,297 to 36,271. Which vocabulary was counted it
does not say.
"""


class Transformer(Architecture):
    """The original Transformer: an encoder and a decoder of post-norm blocks, sinusoidal positions,
    ReLU, one matrix for both embeddings and the output layer.

    原始 Transformer：由后置归一化块组成的编码器和解码器，正弦位置编码，ReLU，源词嵌入、目标词嵌入与
    输出层共用一个矩阵。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "original-transformer",
        "vocab_size": 37000,
    }

    model_type: str = param("original-transformer")

    vocab_size: int | None = param(
        None,
        at_least=1,
        matters=2,
        when_unset=("unknown: counts leave the embedding out", "未知：参数量不含词嵌入"),
    )
    """Rows of the one embedding that source and target share, and of the output layer. Without it
    the model cannot be built.

    源语言和目标语言共用的词嵌入的行数，也是输出层的行数。没有它就无法建立模型。
    """

    d_model: int = param(512, at_least=2, matters=2, source="arXiv:1706.03762 table 3")
    """Width of the vector that runs through the layers, and of the embedding, which is multiplied
    by its square root.

    贯穿各层的向量宽度，也是词嵌入的宽度；词嵌入会乘以它的平方根。
    """

    num_layers: int = param(6, at_least=1, matters=2, source="arXiv:1706.03762 table 3")
    """Number of blocks of the encoder, and again of the decoder.

    编码器的块数；解码器的块数与之相同。
    """

    num_attention_heads: int = param(8, at_least=1, matters=2, source="arXiv:1706.03762 table 3")
    """Number of heads of every attention; each has its share of the width.

    每个注意力层的头数，各头平分宽度。
    """

    ffn_hidden_dim: int = param(2048, at_least=1, matters=2, source="arXiv:1706.03762 table 3")
    """Width inside the feed-forward block, between its two matrices.

    前馈层内部、两个矩阵之间的宽度。
    """

    dropout: float = param(0.1, at_least=0, below=1, source="arXiv:1706.03762 sec. 5.4")
    """Share of elements set to zero in training: of what each sub-layer puts out, before it is
    added, and of the sum of embedding and position. The weights of attention and the inside of the
    feed-forward block have none.

    训练时被置零的比例：用于每个子层的输出（相加之前），以及词嵌入与位置编码之和。注意力权重和前馈层
    内部不使用。
    """

    norm_eps: float = param(1e-6, above=0, source="tensor2tensor layers/common_layers.py")
    """Added to the variance inside every norm. The paper does not give it.

    各归一化层中加在方差上的小数。论文没有给出该值。
    """

    max_seq_len: int = param(512, at_least=1, unit="positions")
    """Longest text that the model is meant for. It limits nothing: no text is cut to it, and the
    sinusoids are computed for any position instead of being read from a table of this length. A
    text longer than those trained on meets positions that the model has not seen.

    模型打算处理的最长文本。它不限制任何东西：文本不会按它截断，正弦值也不是从这么长的表里读取，而是
    对任何位置现算。比训练数据更长的文本会遇到模型没有见过的位置。
    """

    is_encoder_decoder: Literal[True] = param(True)
    """Tells transformers that there is a decoder that writes and an encoder that reads. It cannot
    be otherwise.

    告诉 transformers：模型由负责读的编码器和负责写的解码器组成。不能取其他值。
    """

    tie_word_embeddings: bool = param(True, matters=2, source="arXiv:1706.03762 sec. 3.4")
    """The output layer is the embedding itself: one matrix, counted and trained once. Source and
    target share the embedding either way.

    输出层就是词嵌入本身：同一个矩阵，只计数、只训练一次。无论如何，源语言和目标语言都共用词嵌入。
    """

    pad_token_id: int = param(0, at_least=0)  # pyright: ignore[reportIncompatibleVariableOverride]
    """Token id that fills up the shorter rows of a batch. Attention does not see it.

    批次中较短的行用该词元补齐，注意力看不到它。
    """

    bos_token_id: int = param(1, at_least=0)  # pyright: ignore[reportIncompatibleVariableOverride]
    """Token id that the decoder starts from: what it has read when it writes its first token.

    解码器的起始词元 id：写第一个词元时，它读到的就是这个。
    """

    eos_token_id: int | list[int] | None = param(2)
    """Token id that ends source and target; generation stops at it.

    源文本和目标文本结尾的词元 id，生成到它时停止。
    """

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d_model % self.num_attention_heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of"
                f" num_attention_heads {self.num_attention_heads}"
            )
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is odd; sines and cosines come in pairs")
        return self

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By its model_type, or by its keys where none is given."""
        own = {"d_model", "ffn_hidden_dim", "num_attention_heads"}
        return config.get("model_type") == "original-transformer" or (
            "model_type" not in config and own <= config.keys()
        )

    @property
    def shape(self) -> Shape:
        return Shape(
            hidden=self.d_model,
            layers=self.num_layers,
            heads=self.num_attention_heads,
            kv_heads=self.num_attention_heads,
            head_dim=self.d_model // self.num_attention_heads,
            ffn=self.ffn_hidden_dim,
            gated=False,
            vocab=self.vocab_size,
            max_positions=self.max_seq_len,
            tied=self.tie_word_embeddings,
            weights=self._weights(),
            prefix_inputs=2 * self.num_layers * self.d_model,
            default_lora_targets=("q_proj", "v_proj"),
            quantised=(),
            encoder_decoder=True,
            relu=True,
            dropout=self.dropout > 0,
        )

    @property
    def traits(self) -> Traits:
        return Traits(
            keys={
                "hidden": "d_model",
                "layers": "num_layers",
                "heads": "num_attention_heads",
                "ffn": "ffn_hidden_dim",
                "vocab": "vocab_size",
                "positions": "max_seq_len",
                "norm_eps": "norm_eps",
                "dropout": "dropout",
                "tied": "tie_word_embeddings",
            },
            choices={
                "norm place": "post-norm",
                "norm": "LayerNorm",
                "positions": "sinusoids",
                "feed-forward": "ReLU",
                "attention": "one each",
                "sight": "encoder and decoder",
                "output": "tied" if self.tie_word_embeddings else "own",
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, ffn, copies = self.d_model, self.ffn_hidden_dim, self.num_layers
        table = (self.vocab_size or 0, h)

        def attention(name: str) -> tuple[Weight, ...]:
            layers = (f"{name}.{one}_proj" for one in ("q", "k", "v", "out"))
            return (
                *(one for layer in layers for one in linear(layer, h, h, bias=True, copies=copies)),
                *norm(f"{name}_norm", h, bias=True, copies=copies),
            )

        def feed_forward(block: str) -> tuple[Weight, ...]:
            return (
                *linear(f"{block}.fc1", h, ffn, bias=True, copies=copies),
                *linear(f"{block}.fc2", ffn, h, bias=True, copies=copies),
                *norm(f"{block}.fc_norm", h, bias=True, copies=copies),
            )

        reader, writer = "encoder.layers.{i}", "decoder.layers.{i}"
        embedding = Weight("encoder.embed_tokens.weight", table, "embedding")
        head = Weight("lm_head.weight", table, "head", tied=self.tie_word_embeddings)
        known = self.vocab_size is not None
        return (
            *((embedding,) if known else ()),
            *attention(f"{reader}.self_attn"),
            *feed_forward(reader),
            *attention(f"{writer}.self_attn"),
            *attention(f"{writer}.cross_attn"),
            *feed_forward(writer),
            *((head,) if known else ()),
        )

    def remarks(self) -> Iterator[Remark]:
        """A count without the vocabulary; the paper's count, for its base model."""
        if self.vocab_size is None:
            each = self.d_model if self.tie_word_embeddings else 2 * self.d_model
            yield Remark(
                "vocab_size",
                Said(
                    "vocab_size is not given: every count is without the vocabulary",
                    "没有写 vocab_size：所有参数量都不含词表",
                ),
                Said(
                    f"each token adds {each:,} parameters, embedding and output layer; without "
                    "their number the model cannot be built or trained",
                    f"每个词元增加 {each:,} 个参数（词嵌入和输出层）；不知道词元数就无法建立和训"
                    "练模型",
                ),
            )
        sizes = ("d_model", "num_layers", "num_attention_heads", "ffn_hidden_dim")
        base = Transformer()
        if self.tie_word_embeddings and all(
            getattr(self, size) == getattr(base, size) for size in sizes
        ):
            blocks = base.shape.num_parameters
            rows = round((PAPER_BASE - blocks) / self.d_model, -3)
            yield Remark(
                "d_model",
                Said(
                    f"the paper counts {PAPER_BASE:,} parameters at these sizes",
                    f"论文称这样的尺寸有 {PAPER_BASE:,} 个参数",
                ),
                Said(
                    f"{blocks:,} are in the blocks, so that is an embedding of about {rows:,.0f} "
                    "rows; the text of the paper says about 37,000 tokens, and so many make "
                    f"{blocks + 37_000 * self.d_model:,}",
                    f"块中有 {blocks:,} 个，由此推出词嵌入约 {rows:,.0f} 行；论文正文说约 37,000 个"
                    f"词元，那样是 {blocks + 37_000 * self.d_model:,} 个参数",
                ),
            )
