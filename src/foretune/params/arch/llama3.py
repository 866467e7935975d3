"""Llama 3 in the keys of Meta's own params.json.

Source: meta-llama/llama3, llama/model.py; meta-llama/llama-models, models/llama3/args.py and
model.py (use_scaled_rope). The class keeps Meta's name. The weights are counted under the names
that they have in transformers, where they are trained.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from ...errors import Problem
from ...text import Said, size
from ..declare import param
from .architecture import Family, Remark
from .shape import Shape, Weight, linear, norm
from .traits import Traits

NAME = "params.json"
TOKENIZER = "tokenizer.model"
SPECIAL_TOKENS = 256
"""Special tokens of Llama 3, numbered after the ranks of tokenizer.model."""

CONTEXT, SCALED_CONTEXT = 8192, 131072
"""Positions that Llama 3 and Llama 3.1 were trained for; no key of params.json says it."""

RANK = re.compile(rb"[A-Za-z0-9+/]+=* +[0-9]+")


class ModelArgs(Family):
    """Llama 3: pre-norm blocks, rotary positions over the whole head, few key and value heads, a
    gated feed-forward block whose width follows from three keys.

    Llama 3：前置归一化、对整个头旋转的位置编码、少量键值头，以及宽度由三个键算出的门控前馈层。
    """

    saved_in: ClassVar[str] = "bfloat16"
    """Meta's consolidated files; params.json does not say it."""

    published: ClassVar[dict[str, Any]] = {
        "dim": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 128256,
        "multiple_of": 1024,
        "ffn_dim_multiplier": 1.3,
    }

    dim: int = param(4096, at_least=1, matters=2)
    """Width of the vector that runs through the layers.

    贯穿各层的向量宽度。
    """

    n_layers: int = param(32, at_least=1, matters=2)
    """Number of blocks.

    块的数量。
    """

    n_heads: int = param(32, at_least=1, matters=2)
    """Number of query heads; each is as wide as dim divided by it.

    查询头的数量；每个头的宽度等于 dim 除以它。
    """

    n_kv_heads: int | None = param(
        None, at_least=1, matters=2, when_unset="n_heads", instead="n_heads"
    )
    """Number of key heads, and of value heads, that the query heads share; the key-value cache
    shrinks in proportion. Left out, every query head has its own: plain multi-head attention.

    查询头所共用的键头（以及值头）的数量，键值缓存按比例缩小。不写时每个查询头各有自己的键和值，即普
    通的多头注意力。
    """

    vocab_size: int = param(-1, at_least=-1, matters=2)
    """Rows of the embedding and of the output layer. A negative number leaves it to the tokenizer:
    the ranks in tokenizer.model and the special tokens numbered after them.

    词嵌入与输出层的行数。取负数时由分词器决定：tokenizer.model 中的词元数加上排在其后的特殊词元数。
    """

    multiple_of: int = param(256, at_least=1)
    """The width inside the feed-forward block is rounded up to a multiple of it.

    前馈层内部的宽度向上取整到它的倍数。
    """

    ffn_dim_multiplier: float | None = param(None, above=0, when_unset=("no factor", "没有系数"))
    """Multiplies the width inside the feed-forward block before it is rounded up.

    前馈层内部的宽度先乘以它，再向上取整。
    """

    norm_eps: float = param(1e-5, above=0)
    """Added to the mean square, inside the root, in every norm (RMSNorm).

    各归一化层（RMSNorm）中，在开方之前加在均方上的小数。
    """

    rope_theta: float | int = param(500000, above=0)
    """Base of the rotary angles. Llama 1 and 2 have another one and do not write it into their
    params.json.

    旋转角的底数。Llama 1 和 2 使用另一个底数，而且不写在 params.json 里。
    """

    use_scaled_rope: bool = param(False, matters=2)
    """Stretch the slow rotary angles, as Llama 3.1 and its successors were trained with for long
    texts. Weights trained with it give wrong answers without it.

    拉伸变化较慢的旋转角；Llama 3.1 及其后续版本为支持长文本以此训练。用它训练的权重，关掉它
    结果就会出错。
    """

    max_batch_size: int = param(32, at_least=1)
    """Rows for which Meta's code sets its key-value cache aside before it runs. No effect on
    training, and none here: transformers' cache grows as it is filled.

    Meta 的代码在运行前按此行数预留键值缓存。它不影响训练，在这里也不起作用：transformers 的缓存
    随使用增长。
    """

    max_seq_len: int = param(2048, at_least=1, unit="positions")
    """Positions for which Meta's code sets its key-value cache and its table of rotary angles aside
    before it runs. No text is cut to it here, and it does not say what the model was trained for.

    Meta 的代码在运行前按此位置数预留键值缓存和旋转角表。在这里文本不会按它截断，它也不代表模型
    训练时的长度。
    """

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """As Meta's dataclass prints them; use_scaled_rope, which came later, only where it is
        true.
        """
        for name, value in super().__repr_args__():
            if name != "use_scaled_rope" or value:
                yield name, value

    def __str__(self) -> str:
        return repr(self)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % (2 * self.n_heads):
            raise ValueError(
                f"dim {self.dim} does not divide into n_heads {self.n_heads} times pairs that"
                " rotary positions turn"
            )
        if self.n_heads % self.key_value_heads:
            raise ValueError(
                f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}"
            )
        if self.vocab_size == 0:
            raise ValueError("vocab_size 0 is no vocabulary; -1 leaves it to the tokenizer")
        return self

    @property
    def key_value_heads(self) -> int:
        """Key heads, and value heads, that are stored per token."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.n_heads

    @property
    def ffn_hidden_dim(self) -> int:
        """Width inside the feed-forward block (SwiGLU)."""
        return ffn_hidden_dim(self.dim, self.multiple_of, self.ffn_dim_multiplier)

    @property
    def context(self) -> int:
        """Positions that the model was trained for."""
        return SCALED_CONTEXT if self.use_scaled_rope else CONTEXT

    def kv_cache_bytes(self, bytes_per_element: int = 2) -> int:
        """Memory that Meta's code sets aside for keys and values: those of ``max_batch_size`` rows
        of ``max_seq_len`` positions in every layer; two bytes an element in bfloat16.
        """
        per_position = 2 * self.n_layers * self.key_value_heads * self.head_dim
        return self.max_batch_size * self.max_seq_len * per_position * bytes_per_element

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Meta's file names no family; these two keys nobody else has together."""
        return {"dim", "n_layers"} <= config.keys() and "model_type" not in config

    @property
    def shape(self) -> Shape:
        """The sizes of the model; without a vocabulary where that is left to the tokenizer."""
        return Shape(
            hidden=self.dim,
            layers=self.n_layers,
            heads=self.n_heads,
            kv_heads=self.key_value_heads,
            head_dim=self.head_dim,
            ffn=self.ffn_hidden_dim,
            gated=True,
            vocab=self.vocab_size if self.vocab_size > 0 else None,
            max_positions=self.context,
            tied=False,
            weights=self._weights(),
            prefix_inputs=self.dim,
            default_lora_targets=("q_proj", "v_proj"),
            quantised=(),
        )

    @property
    def traits(self) -> Traits:
        shared = self.key_value_heads < self.n_heads
        return Traits(
            keys={
                "hidden": "dim",
                "layers": "n_layers",
                "heads": "n_heads",
                "kv_heads": "n_kv_heads",
                "vocab": "vocab_size",
                "norm_eps": "norm_eps",
                "rope_base": "rope_theta",
            },
            choices={
                "norm place": "pre-norm",
                "norm": "RMSNorm",
                "positions": "RoPE",
                "feed-forward": "SwiGLU",
                "attention": "shared" if shared else "one each",
                "sight": "causal",
                "output": "own",
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, ffn, copies = self.dim, self.ffn_hidden_dim, self.n_layers
        kv, block = self.key_value_heads * self.head_dim, "model.layers.{i}"
        attention, mlp = f"{block}.self_attn", f"{block}.mlp"
        table, known = (self.vocab_size, h), self.vocab_size > 0
        return (
            *((Weight("model.embed_tokens.weight", table, "embedding"),) if known else ()),
            *norm(f"{block}.input_layernorm", h, bias=False, copies=copies),
            *linear(f"{attention}.q_proj", h, h, bias=False, copies=copies),
            *linear(f"{attention}.k_proj", h, kv, bias=False, copies=copies),
            *linear(f"{attention}.v_proj", h, kv, bias=False, copies=copies),
            *linear(f"{attention}.o_proj", h, h, bias=False, copies=copies),
            *norm(f"{block}.post_attention_layernorm", h, bias=False, copies=copies),
            *linear(f"{mlp}.gate_proj", h, ffn, bias=False, copies=copies),
            *linear(f"{mlp}.up_proj", h, ffn, bias=False, copies=copies),
            *linear(f"{mlp}.down_proj", ffn, h, bias=False, copies=copies),
            *norm("model.norm", h, bias=False),
            *((Weight("lm_head.weight", table, "head"),) if known else ()),
        )

    def remarks(self) -> Iterator[Remark]:
        """Counts without a vocabulary; what the two keys of Meta's cache come to."""
        if self.vocab_size < 0:
            yield Remark(
                "vocab_size",
                Said(
                    f"vocab_size = {self.vocab_size}: every count is without the vocabulary",
                    f"vocab_size = {self.vocab_size}：所有参数量都不含词表",
                ),
                Said(
                    f"it is left to the tokenizer, and there is no {TOKENIZER} of Llama 3 beside "
                    f"{NAME}; each token adds {2 * self.dim:,} parameters, embedding and output "
                    "layer",
                    f"它由分词器决定，而 {NAME} 旁边没有 Llama 3 的 {TOKENIZER}；每个词元增加 "
                    f"{2 * self.dim:,} 个参数（词嵌入和输出层）",
                ),
            )
        if {"max_batch_size", "max_seq_len"} & self.model_fields_set:
            yield Remark(
                "max_seq_len" if "max_seq_len" in self.model_fields_set else "max_batch_size",
                Said(
                    f"max_batch_size = {self.max_batch_size} and max_seq_len = "
                    f"{self.max_seq_len:,} limit nothing here",
                    f"max_batch_size = {self.max_batch_size} 和 max_seq_len = "
                    f"{self.max_seq_len:,} 在这里不限制任何东西",
                ),
                Said(
                    f"Meta's code sets {size(self.kv_cache_bytes())} of keys and values aside for "
                    "them (bfloat16); nothing else reads them",
                    f"Meta 的代码按它们预留 {size(self.kv_cache_bytes())} 的键和值"
                    "（bfloat16），此外没有代码读取",
                ),
            )


def ffn_hidden_dim(dim: int, multiple_of: int, multiplier: float | None) -> int:
    """Width inside the feed-forward block: two thirds of four times ``dim``, times ``multiplier``,
    rounded up to a multiple of ``multiple_of``.

    前馈层内部的宽度：四倍 ``dim`` 的三分之二乘以 ``multiplier``，再向上取整到 ``multiple_of`` 的
    倍数。
    """
    return multiple_of * math.ceil(
        (int(2 * 4 * dim / 3) if multiplier is None else int(multiplier * int(2 * 4 * dim / 3)))
        / multiple_of
    )


def with_vocabulary(args: ModelArgs, folder: Path) -> ModelArgs:
    """``args`` with the size of the vocabulary in ``folder``, where they leave it to the tokenizer
    and it is there; else as they are.
    """
    file = folder / TOKENIZER
    if args.vocab_size > 0 or not file.is_file():
        return args
    lines = file.read_bytes().split(b"\n")
    if not all(RANK.fullmatch(line.strip()) or not line.strip() for line in lines):
        return args  # a SentencePiece model, which is Llama 2's, or a pointer of Git LFS
    ranks = sum(1 for line in lines if line.strip())
    return args.model_copy(update={"vocab_size": ranks + SPECIAL_TOKENS})


def unknown_vocabulary(args: ModelArgs, where: str) -> Problem:
    """What to say where a model is to be built and the size of its vocabulary is not known."""
    return Problem(
        what=f"vocab_size = {args.vocab_size}, and there is no {TOKENIZER} of Llama 3 to ask",
        where=where,
        why="the embedding and the output layer have a row for every token; without their number "
        "the model cannot be built or trained",
        fix=f"put Meta's {TOKENIZER} beside {NAME}, or write the number of tokens as vocab_size",
    )
