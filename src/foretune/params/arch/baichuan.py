"""Baichuan and Baichuan2, 7B and 13B, in the keys of their config.json.

Source: baichuan-inc/Baichuan-7B, Baichuan-13B-Base, Baichuan2-7B-Base and Baichuan2-13B-Base (and
their Chat models), config.json and configuration_baichuan.py.

No key of the published files names the variant, and all four have one model_type. Two things have
to be known: see ``has_alibi`` and ``has_norm_head``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from pydantic import model_validator

from ...text import Said
from ..declare import param
from .architecture import Remark
from .shape import Shape, Weight, linear, norm
from .traits import Traits
from .tunable import Prefixed

ROTARY_WIDTH, ALIBI_WIDTH = 4096, 5120
FIRST_VOCABULARY, SECOND_VOCABULARY = 64_000, 125_696


class Keys(Protocol):
    """What of a config.json tells the variants apart."""

    hidden_size: int
    vocab_size: int
    max_position_embeddings: int | None
    z_loss_weight: float | None
    tokenizer_class: str | None
    alibi: bool | None
    norm_head: bool | None


def has_alibi(config: Keys) -> bool:
    """Whether positions enter as ALiBi (the 13B models) and not as rotary angles (7B).

    ``alibi`` decides where it is given. Else the width of the published models does: 5120 or 4096.
    A model of another width is ALiBi where it has no max_position_embeddings, which only the
    configuration class of the 7B models has.
    """
    if config.alibi is not None:
        return config.alibi
    if config.hidden_size in (ROTARY_WIDTH, ALIBI_WIDTH):
        return config.hidden_size == ALIBI_WIDTH
    return config.max_position_embeddings is None


def has_norm_head(config: Keys) -> bool:
    """Whether the rows of the output layer are brought to length 1 (Baichuan2).

    ``norm_head`` decides where it is given. Else the published vocabularies do: 64,000 rows are
    Baichuan, 125,696 or more (tokens may have been added) Baichuan2. With another vocabulary it is
    Baichuan2 where config.json has z_loss_weight, which the first code does not know, or
    tokenizer_class, which only Baichuan2's files have.
    """
    if config.norm_head is not None:
        return config.norm_head
    if config.vocab_size == FIRST_VOCABULARY or config.vocab_size >= SECOND_VOCABULARY:
        return config.vocab_size >= SECOND_VOCABULARY
    return config.z_loss_weight is not None or config.tokenizer_class is not None


class Baichuan(Prefixed):
    """Baichuan and Baichuan2: pre-norm blocks as in Llama with one fused projection to queries,
    keys and values; rotary positions (7B) or ALiBi (13B); Baichuan2 normalises its output layer.

    Baichuan 与 Baichuan2：类似 Llama 的前置归一化块，查询、键、值共用一个融合投影；7B 用旋转位置编
    码，13B 用 ALiBi；Baichuan2 会归一化输出层。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "baichuan",
        "_name_or_path": "baichuan-inc/Baichuan2-13B-Base",
        "hidden_size": 5120,
        "intermediate_size": 13696,
        "num_attention_heads": 40,
        "num_hidden_layers": 40,
        "vocab_size": SECOND_VOCABULARY,
        "model_max_length": 4096,
        "tokenizer_class": "BaichuanTokenizer",
        "torch_dtype": "bfloat16",
    }

    model_type: str = param("baichuan")

    vocab_size: int = param(FIRST_VOCABULARY, at_least=1, matters=2)
    """Rows of the embedding and of the output layer. The size also tells Baichuan from Baichuan2,
    where norm_head is not given.

    词嵌入与输出层的行数。没有写 norm_head 时，也据此区分 Baichuan 与 Baichuan2。
    """

    hidden_size: int = param(4096, at_least=1, matters=2)
    """Width of the vector that runs through the layers. It also tells 7B from 13B, where alibi is
    not given.

    贯穿各层的向量宽度。没有写 alibi 时，也据此区分 7B 与 13B。
    """

    intermediate_size: int = param(11008, at_least=1)
    """Width inside the feed-forward block, for the gate and for the value.

    前馈层内部的宽度，门控与数值各占一份。
    """

    num_hidden_layers: int = param(32, at_least=1, matters=2)
    """Number of blocks.

    块的数量。
    """

    num_attention_heads: int = param(32, at_least=1, matters=2)
    """Number of attention heads; each is as wide as the hidden size divided by it. With ALiBi the
    number also makes the slopes.

    注意力头数；每个头的宽度等于隐藏宽度除以头数。使用 ALiBi 时，各头的斜率也由它决定。
    """

    hidden_act: str = param("silu")
    """Function that the gate of the feed-forward block goes through.

    前馈层门控所用的激活函数。
    """

    max_position_embeddings: int | None = param(
        None,
        at_least=1,
        matters=2,
        unit="positions",
        when_unset=("ALiBi needs none", "ALiBi 不需要"),
    )
    """Rows of the table of rotary positions that the published 7B code makes first; it makes a
    longer one when a text is longer, and foretune has no table. No text is cut to it. The 13B code
    does not read it.

    官方 7B 代码最初建立的旋转位置表的行数；文本更长时它会重建更长的表，foretune 则不使用表。文本不
    会按它截断。13B 的代码不读取它。
    """

    model_max_length: int | None = param(
        None, at_least=2, matters=2, unit="tokens", when_unset="max_position_embeddings"
    )
    """Prompt and answer together in a chat: older rounds are dropped to keep within it. It is no
    limit of the model, only the length it was trained for: ALiBi has no table, and the published
    13B code makes its buffer as long as the text. The training script cuts its texts by an argument
    of the same name, not by this key.

    对话中提示与回答合计的长度：为不超过它会丢弃较早的轮次。它不是模型的上限，只是训练时的长度：
    ALiBi 没有位置表，官方 13B 代码会把缓冲区延长到文本长度。训练脚本按同名参数截断文本，而不是按
    该键。
    """

    rms_norm_eps: float = param(1e-6, above=0)
    """Added to the mean square inside every norm.

    各归一化层中加在均方上的小数。
    """

    initializer_range: float = param(0.02, above=0)
    """Spread of the first values of a model that is trained from nothing. No effect on weights that
    are loaded.

    从零开始训练时初始值的标准差，对已加载的权重没有作用。
    """

    z_loss_weight: float | None = param(
        None,
        at_least=0,
        when_unset=("nothing is added", "不附加任何项"),
        source="Baichuan2 technical report",
    )
    """Weight of a term of the training loss that keeps the largest logit of every position small;
    padding and prompt count as well. Only Baichuan2 reads it.

    训练损失中附加项的权重，用来压低每个位置的最大 logit；填充和提示部分也计算在内。只有 Baichuan2
    读取它。
    """

    gradient_checkpointing: bool | list[bool] = param(False)
    """Recompute activations instead of keeping them. The published 13B code wraps the value into a
    list of one, and a list that is not empty counts as true, so it always recomputes in training,
    whatever stands here, and never says so. foretune does not read the key: the setting of the run
    decides.

    重新计算激活值而不保存它们。官方 13B 代码会把该值包进一个单元素列表，而非空列表即为真，因此无论
    这里写什么，训练时总会重新计算，且不作提示。foretune 不读取该键，由本次运行的设置决定。
    """

    tie_word_embeddings: bool = param(False)

    tokenizer_class: str | None = param(None)
    """Class that AutoTokenizer looks for where tokenizer_config.json names none.

    tokenizer_config.json 没有写明时，AutoTokenizer 所找的分词器类名。
    """

    alibi: bool | None = param(
        None,
        when_unset=(
            "hidden_size, or whether max_position_embeddings is there",
            "看 hidden_size，或是否有 max_position_embeddings",
        ),
    )
    """Positions enter as a bias that grows with the distance of query and key (ALiBi) and not as
    rotary angles. No published file has the key; it is for a model of a size of its own.

    位置以随查询与键的距离增大的偏置（ALiBi）进入模型，而不是旋转角。官方文件没有该键，供自定大小的
    模型使用。
    """

    norm_head: bool | None = param(
        None,
        when_unset=(
            "vocab_size, or whether z_loss_weight or tokenizer_class is there",
            "看 vocab_size，或是否有 z_loss_weight、tokenizer_class",
        ),
    )
    """Bring every row of the output layer to length one before the logits are made. The files hold
    the rows as they were trained. No published file has the key; it is for a vocabulary of a size
    of its own.

    计算 logits 之前把输出层的每一行归一化为单位长度；权重文件中保存的是未归一化的行。官方文件没有该
    键，供自定词表大小的模型使用。
    """

    quantization_config: dict[str, Any] | None = param(
        None, matters=2, when_unset=("the weights are full ones", "权重是完整的")
    )
    """How the weights of the files are quantised. Where its load_in_4bit is true, the five matrices
    of every block are held in 4 bits (NF4 with scales in 8 bits), as in the published 4bits models;
    foretune reads them without bitsandbytes. Its other entries have no effect here.

    权重文件的量化方式。其中 load_in_4bit 为真时，每个块的五个矩阵以 4 位存放（NF4，缩放系数占 8
    位），即官方 4bits 模型的格式；foretune 不需要 bitsandbytes 即可读取。其余各项在这里不起作用。
    """

    @model_validator(mode="after")
    def _heads_divide_the_hidden_size(self) -> Self:
        parts = 1 if has_alibi(self) else 2
        if self.hidden_size % (self.num_attention_heads * parts):
            pairs = "" if parts == 1 else " times 2 halves that rotary positions turn"
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into num_attention_heads"
                f" {self.num_attention_heads}{pairs}"
            )
        return self

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """All variants have one model_type; people write it in two ways."""
        return config.get("model_type") in ("baichuan", "BaiChuan")

    def remarks(self) -> Iterator[Remark]:
        """Which of the four it is read as; what an odd value of the published files does."""
        key = "norm_head" if self.norm_head is not None else "vocab_size"
        yield Remark(
            key,
            Said(f"read as {self.variant}", f"读作 {self.variant}"),
            Said(
                "no key of the published files says it: alibi and norm_head do where they are "
                "given, else hidden_size and vocab_size",
                "官方文件中没有键说明这一点：写了 alibi 和 norm_head 就看它们，否则看 hidden_size "
                "和 vocab_size",
            ),
        )
        if isinstance(self.gradient_checkpointing, list):
            yield Remark(
                "gradient_checkpointing",
                Said(
                    f"gradient_checkpointing = {self.gradient_checkpointing} is not read",
                    f"不读取 gradient_checkpointing = {self.gradient_checkpointing}",
                ),
                Said(
                    "the published code takes a list that is not empty for true and recomputes "
                    "activations in every training; here the setting of the run decides",
                    "官方代码把非空列表当作真，每次训练都重新计算激活；在这里由本次运行的设置决定",
                ),
            )

    @property
    def variant(self) -> str:
        """The model of this kind that was published."""
        name = "Baichuan2" if has_norm_head(self) else "Baichuan"
        return f"{name}-13B (ALiBi)" if has_alibi(self) else f"{name}-7B (rotary positions)"

    @property
    def shape(self) -> Shape:
        return Shape(
            hidden=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            kv_heads=self.num_attention_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            ffn=self.intermediate_size,
            gated=True,
            vocab=self.vocab_size,
            max_positions=self.max_position_embeddings or self.model_max_length,
            tied=self.tie_word_embeddings,
            weights=self._weights(),
            prefix_inputs=self.hidden_size,
            prefix_place="model",
            default_lora_targets=("W_pack",),
            alibi=has_alibi(self),
            quantised=("W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"),
        )

    @property
    def traits(self) -> Traits:
        own = "normalised" if has_norm_head(self) else "own"
        return Traits(
            keys={
                "hidden": "hidden_size",
                "layers": "num_hidden_layers",
                "heads": "num_attention_heads",
                "ffn": "intermediate_size",
                "vocab": "vocab_size",
                "positions": "max_position_embeddings"
                if self.max_position_embeddings
                else "model_max_length",
                "norm_eps": "rms_norm_eps",
                "tied": "tie_word_embeddings",
            },
            choices={
                "norm place": "pre-norm",
                "norm": "RMSNorm",
                "positions": "ALiBi" if has_alibi(self) else "RoPE",
                "feed-forward": "SwiGLU",
                "attention": "one each",
                "sight": "causal",
                "output": "tied" if self.tie_word_embeddings else own,
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, inner, copies = self.hidden_size, self.intermediate_size, self.num_hidden_layers
        table, block = (self.vocab_size, h), "model.layers.{i}"
        attention, mlp = f"{block}.self_attn", f"{block}.mlp"
        return (
            Weight("model.embed_tokens.weight", table, "embedding"),
            *linear(f"{attention}.W_pack", h, 3 * h, bias=False, copies=copies),
            *linear(f"{attention}.o_proj", h, h, bias=False, copies=copies),
            *linear(f"{mlp}.gate_proj", h, inner, bias=False, copies=copies),
            *linear(f"{mlp}.up_proj", h, inner, bias=False, copies=copies),
            *linear(f"{mlp}.down_proj", inner, h, bias=False, copies=copies),
            *norm(f"{block}.input_layernorm", h, bias=False, copies=copies),
            *norm(f"{block}.post_attention_layernorm", h, bias=False, copies=copies),
            *norm("model.norm", h, bias=False),
            Weight("lm_head.weight", table, "head", tied=self.tie_word_embeddings),
        )
