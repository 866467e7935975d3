"""ChatGLM-6B (the first one), in the keys of its config.json.

Source: THUDM/chatglm-6b, config.json and configuration_chatglm.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import model_validator

from ..declare import param
from .shape import Shape, Weight, linear, norm
from .traits import Traits
from .tunable import Tunable


class ChatGLM(Tunable):
    """ChatGLM-6B: post-norm blocks with a scaled residual, two-dimensional rotary positions, a
    prompt that sees itself in both directions.

    ChatGLM-6B：残差带缩放系数的 Transformer 块、二维旋转位置编码、提示部分双向可见。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "chatglm",
        "_name_or_path": "THUDM/chatglm-6b",
        "inner_hidden_size": 16384,
        "torch_dtype": "float16",
    }

    model_type: str = param("chatglm")

    vocab_size: int = param(130528, at_least=1, matters=2)
    """Rows of the embedding and of the output layer. The first release had more: it held image
    tokens that were later cut off.

    词嵌入与输出层的行数。最初发布的版本更大，其中的图像词元后来被删去。
    """

    hidden_size: int = param(4096, at_least=1, matters=2)
    """Width of the vector that runs through the layers.

    贯穿各层的向量宽度。
    """

    num_layers: int = param(28, at_least=1, matters=2)
    """Number of blocks. The scale of the residual is made for the published number of blocks and
    does not follow this key: the published code never passes it on.

    块的数量。残差的缩放系数按官方发布的层数固定，不随该键变化：官方代码没有把它传进去。
    """

    num_attention_heads: int = param(32, at_least=1, matters=2)
    """Number of attention heads; each is as wide as the hidden size divided by it.

    注意力头数；每个头的宽度等于隐藏宽度除以头数。
    """

    inner_hidden_size: int = param(16384, at_least=1)
    """Width inside the feed-forward block, whose two matrices have GELU between them and no gate.

    前馈层内部的宽度；两个矩阵之间是 GELU，没有门控。
    """

    layernorm_epsilon: float = param(1e-5, above=0)
    """Added to the variance inside LayerNorm so that nothing is divided by zero.

    LayerNorm 中加在方差上的小数，防止除以零。
    """

    max_sequence_length: int = param(2048, at_least=1, matters=2, unit="tokens")
    """Length that the model was trained for. No table is made from it and nothing is cut to it: the
    rotary positions go on beyond, and the quality falls.

    模型训练时的长度。它不决定任何表的大小，也不截断文本：旋转位置可以继续往后，只是质量下降。
    """

    position_encoding_2d: bool = param(True)
    """The two halves of every head are rotated by two different positions: the place in the prompt,
    and the place in the answer.

    每个注意力头的两半分别按两种位置旋转：在提示中的位置和在回答中的位置。
    """

    bos_token_id: int | None = param(130004, at_least=0)
    """Token that closes the prompt and opens the answer; positions and the mask are counted from
    it.

    结束提示、开始回答的词元；位置与注意力掩码都从它算起。
    """

    eos_token_id: int | list[int] | None = param(130005)

    pad_token_id: int | None = param(3, at_least=0)

    mask_token_id: int = param(130000, at_least=0)
    """Token for a short blank to fill in. Where it stands instead of the one for long answers, its
    place is the position of the whole answer.

    表示待填短空的词元。若用它代替长文生成的词元，则整个回答的位置就是它所在的位置。
    """

    gmask_token_id: int = param(130001, at_least=0)
    """Token for a long answer, put behind the prompt by the tokenizer; its place is the position of
    the whole answer.

    表示长文生成的词元，由分词器加在提示之后；整个回答的位置就是它所在的位置。
    """

    quantization_embeddings: bool = param(False)
    """Hold the embedding and the output layer in quantization_bit bits too, as chatglm-6b-int4-qe
    does. No effect where that is zero.

    词嵌入和输出层是否也以 quantization_bit 位存放，chatglm-6b-int4-qe 即是如此。该值为零时不起作
    用。
    """

    @model_validator(mode="after")
    def _heads_divide_the_hidden_size(self) -> Self:
        parts = 4 if self.position_encoding_2d else 2
        if self.hidden_size % (self.num_attention_heads * parts):
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into num_attention_heads"
                f" {self.num_attention_heads} times {parts} parts that rotary positions turn"
            )
        return self

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Its successors took the same model_type, with other keys."""
        own = {"inner_hidden_size", "position_encoding_2d", "max_sequence_length"}
        return config.get("model_type") == "chatglm" and not own.isdisjoint(config)

    @property
    def shape(self) -> Shape:
        return Shape(
            hidden=self.hidden_size,
            layers=self.num_layers,
            heads=self.num_attention_heads,
            kv_heads=self.num_attention_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            ffn=self.inner_hidden_size,
            gated=False,
            vocab=self.vocab_size,
            max_positions=self.max_sequence_length,
            tied=self.tie_word_embeddings,
            weights=self._weights(),
            prefix_inputs=self.hidden_size,
            default_lora_targets=("query_key_value",),
            quantised=("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        )

    @property
    def traits(self) -> Traits:
        return Traits(
            keys={
                "hidden": "hidden_size",
                "layers": "num_layers",
                "heads": "num_attention_heads",
                "ffn": "inner_hidden_size",
                "vocab": "vocab_size",
                "positions": "max_sequence_length",
                "norm_eps": "layernorm_epsilon",
                "tied": "tie_word_embeddings",
            },
            choices={
                "norm place": "scaled residual",
                "norm": "LayerNorm",
                "positions": "two-dimensional RoPE" if self.position_encoding_2d else "RoPE",
                "feed-forward": "GELU",
                "attention": "one each",
                "sight": "prompt in both directions",
                "output": "tied" if self.tie_word_embeddings else "own",
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, inner, copies = self.hidden_size, self.inner_hidden_size, self.num_layers
        table, block = (self.vocab_size, h), "transformer.layers.{i}"
        return (
            Weight("transformer.word_embeddings.weight", table, "embedding"),
            *norm(f"{block}.input_layernorm", h, bias=True, copies=copies),
            *linear(f"{block}.attention.query_key_value", h, 3 * h, bias=True, copies=copies),
            *linear(f"{block}.attention.dense", h, h, bias=True, copies=copies),
            *norm(f"{block}.post_attention_layernorm", h, bias=True, copies=copies),
            *linear(f"{block}.mlp.dense_h_to_4h", h, inner, bias=True, copies=copies),
            *linear(f"{block}.mlp.dense_4h_to_h", inner, h, bias=True, copies=copies),
            *norm("transformer.final_layernorm", h, bias=True),
            Weight("lm_head.weight", table, "head", tied=self.tie_word_embeddings),
        )
