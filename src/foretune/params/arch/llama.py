"""Llama, Qwen2, Qwen3 and Mistral, which transformers has itself: their sizes and every parameter.

Source: transformers 5.23.0, configuration_*.py and modeling_*.py of the four. They differ in a few
biases and norms alone, so they are counted by one function.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import model_validator

from ...text import Said
from ..declare import param
from .architecture import Architecture, Remark
from .decoder import Decoder
from .shape import Shape, Weight, linear, norm
from .traits import Traits

WINDOW_KEYS = ("sliding_window", "max_window_layers")
WINDOW_OFF = Said("use_sliding_window is off", "没有打开 use_sliding_window")
NOT_READ = Said("transformers 5 does not read it there", "transformers 5 在那里不读取它")


class Llama(Decoder, Architecture):
    """Llama as transformers has it: pre-norm blocks, rotary positions, a gated feed-forward block.

    transformers 中的 Llama：前置归一化、旋转位置编码、带门控的前馈层。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "llama",
        "_name_or_path": "meta-llama/Meta-Llama-3-8B",
        "vocab_size": 128256,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rope_theta": 500000.0,
        "torch_dtype": "bfloat16",
    }

    model_type: str = param("llama")
    tie_word_embeddings: bool = param(False, matters=2)
    vocab_size: int = param(32000, at_least=1, matters=2)  # pyright: ignore[reportIncompatibleVariableOverride]
    hidden_size: int = param(4096, at_least=1, matters=2)  # pyright: ignore[reportIncompatibleVariableOverride]
    intermediate_size: int = param(11008, at_least=1, matters=2)  # pyright: ignore[reportIncompatibleVariableOverride]
    num_hidden_layers: int = param(32, at_least=1, matters=2)  # pyright: ignore[reportIncompatibleVariableOverride]
    num_attention_heads: int = param(32, at_least=1, matters=2)  # pyright: ignore[reportIncompatibleVariableOverride]
    max_position_embeddings: int | None = param(2048, at_least=1, matters=2, unit="positions")
    attention_bias: bool | None = param(False)
    mlp_bias: bool | None = param(False)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model_type alone: everything else may be left out."""
        return config.get("model_type") == cls.model_fields["model_type"].default

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}, and there is no head_dim"
            )
        if self.num_attention_heads % self.key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        return self

    @property
    def key_value_heads(self) -> int:
        """Key heads, and value heads, that are stored per token."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def biases(self) -> tuple[bool, bool, bool]:
        """Whether there are biases at queries, keys and values; behind attention; in the
        feed-forward block.
        """
        asked = bool(self.attention_bias)
        return asked, asked, bool(self.mlp_bias)

    @property
    def normed_heads(self) -> bool:
        """Whether each head's query and key go through a norm."""
        return False

    @property
    def shape(self) -> Shape:
        """The sizes of the model and every parameter it has."""
        return Shape(
            hidden=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            kv_heads=self.key_value_heads,
            head_dim=self.head_width,
            ffn=self.intermediate_size,
            gated=True,
            vocab=self.vocab_size,
            max_positions=self.max_position_embeddings,
            tied=self.tie_word_embeddings,
            weights=self._weights(),
            prefix_inputs=self.hidden_size,
            prefix_place="model",
            default_lora_targets=("q_proj", "v_proj"),
            quantised=(),
        )

    @property
    def traits(self) -> Traits:
        shared = self.key_value_heads < self.num_attention_heads
        return Traits(
            keys={
                "hidden": "hidden_size",
                "layers": "num_hidden_layers",
                "heads": "num_attention_heads",
                "kv_heads": "num_key_value_heads",
                "head_dim": "head_dim",
                "ffn": "intermediate_size",
                "vocab": "vocab_size",
                "positions": "max_position_embeddings",
                "norm_eps": "rms_norm_eps",
                "rope_base": "rope_theta",
                "tied": "tie_word_embeddings",
            },
            choices={
                "norm place": "pre-norm",
                "norm": "RMSNorm",
                "positions": "RoPE",
                "feed-forward": "SwiGLU",
                "attention": "shared" if shared else "one each",
                "sight": "causal",
                "output": "tied" if self.tie_word_embeddings else "own",
            },
        )

    def _weights(self) -> tuple[Weight, ...]:
        h, ffn, copies = self.hidden_size, self.intermediate_size, self.num_hidden_layers
        q = self.num_attention_heads * self.head_width
        kv = self.key_value_heads * self.head_width
        qkv_bias, out_bias, ffn_bias = self.biases
        block, table = "model.layers.{i}", (self.vocab_size, h)
        attention, mlp = f"{block}.self_attn", f"{block}.mlp"
        heads = self.head_width if self.normed_heads else 0
        return (
            Weight("model.embed_tokens.weight", table, "embedding"),
            *norm(f"{block}.input_layernorm", h, bias=False, copies=copies),
            *linear(f"{attention}.q_proj", h, q, bias=qkv_bias, copies=copies),
            *linear(f"{attention}.k_proj", h, kv, bias=qkv_bias, copies=copies),
            *linear(f"{attention}.v_proj", h, kv, bias=qkv_bias, copies=copies),
            *linear(f"{attention}.o_proj", q, h, bias=out_bias, copies=copies),
            *(norm(f"{attention}.q_norm", heads, bias=False, copies=copies) if heads else ()),
            *(norm(f"{attention}.k_norm", heads, bias=False, copies=copies) if heads else ()),
            *norm(f"{block}.post_attention_layernorm", h, bias=False, copies=copies),
            *linear(f"{mlp}.gate_proj", h, ffn, bias=ffn_bias, copies=copies),
            *linear(f"{mlp}.up_proj", h, ffn, bias=ffn_bias, copies=copies),
            *linear(f"{mlp}.down_proj", ffn, h, bias=ffn_bias, copies=copies),
            *norm("model.norm", h, bias=False),
            Weight("lm_head.weight", table, "head", tied=self.tie_word_embeddings),
        )

    def remarks(self) -> Iterator[Remark]:
        """Keys that this family's code does not read, and what says a thing twice."""
        if self.rope_scaling and self.rope_parameters:
            what = Said(
                "rope_scaling and rope_parameters are both given; the first counts",
                "rope_scaling 与 rope_parameters 都写了；以前者为准",
            )
            why = Said(
                "the second is its name in transformers 5", "后者是它在 transformers 5 中的名字"
            )
            yield Remark("rope_scaling", what, why)
        for key in sorted(self.unread & self.model_fields_set):
            if getattr(self, key) is not None:
                what = Said(
                    f"{key} has no effect in a {self.model_type} model",
                    f"{key} 在 {self.model_type} 模型中不起作用",
                )
                off = key in WINDOW_KEYS and self.use_sliding_window is False
                yield Remark(key, what, WINDOW_OFF if off else NOT_READ)

    @property
    def unread(self) -> set[str]:
        """Keys that this family's code does not read."""
        window = {"sliding_window", "use_sliding_window", "max_window_layers", "layer_types"}
        return {"pretraining_tp", *window}


class Mistral(Llama):
    """Mistral as transformers has it: Llama with a window of attention, and no biases.

    transformers 中的 Mistral：带滑动窗口、没有偏置的 Llama。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "mistral",
        "_name_or_path": "mistralai/Mistral-7B-v0.1",
        "torch_dtype": "bfloat16",
    }

    model_type: str = param("mistral")
    intermediate_size: int = param(14336, at_least=1, matters=2)
    num_key_value_heads: int | None = param(
        8, at_least=1, matters=2, when_unset="num_attention_heads", instead="num_attention_heads"
    )
    max_position_embeddings: int | None = param(131072, at_least=1, matters=2, unit="positions")
    sliding_window: int | None = param(4096, at_least=1, unit="positions", matters=2)

    @property
    def biases(self) -> tuple[bool, bool, bool]:
        return False, False, False

    @property
    def unread(self) -> set[str]:
        others = {"use_sliding_window", "max_window_layers", "layer_types"}
        return {"attention_bias", "mlp_bias", "pretraining_tp", *others}


class Qwen2(Llama):
    """Qwen2 and Qwen2.5 as transformers has them: Llama with biases at queries, keys and values.

    transformers 中的 Qwen2、Qwen2.5：查询、键、值投影带偏置的 Llama。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "qwen2",
        "_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rope_theta": 1000000.0,
        "torch_dtype": "bfloat16",
    }

    model_type: str = param("qwen2")
    vocab_size: int = param(151936, at_least=1, matters=2)
    intermediate_size: int = param(22016, at_least=1, matters=2)
    num_key_value_heads: int | None = param(
        32, at_least=1, matters=2, when_unset="num_attention_heads", instead="num_attention_heads"
    )
    max_position_embeddings: int | None = param(32768, at_least=1, matters=2, unit="positions")
    use_sliding_window: bool | None = param(False)
    sliding_window: int | None = param(4096, at_least=1, unit="positions", matters=2)
    max_window_layers: int | None = param(28, at_least=0)

    @property
    def biases(self) -> tuple[bool, bool, bool]:
        return True, False, False

    @property
    def unread(self) -> set[str]:
        window = () if self.use_sliding_window else WINDOW_KEYS
        return {"attention_bias", "mlp_bias", "pretraining_tp", *window}


class Qwen3(Qwen2):
    """Qwen3 as transformers has it: Qwen2 without its biases, with a norm over each head's query
    and key, and heads whose width is a key of its own.

    transformers 中的 Qwen3：没有 Qwen2 的偏置，对每个头的查询和键做归一化，单头宽度单独给出。
    """

    published: ClassVar[dict[str, Any]] = {
        "model_type": "qwen3",
        "_name_or_path": "Qwen/Qwen3-8B",
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "max_position_embeddings": 40960,
        "rope_theta": 1000000,
        "torch_dtype": "bfloat16",
    }

    model_type: str = param("qwen3")
    head_dim: int | None = param(128, at_least=1, matters=2)

    @property
    def biases(self) -> tuple[bool, bool, bool]:
        asked = bool(self.attention_bias)
        return asked, asked, False

    @property
    def normed_heads(self) -> bool:
        return True

    @property
    def unread(self) -> set[str]:
        return {key for key in super().unread if key != "attention_bias"}
