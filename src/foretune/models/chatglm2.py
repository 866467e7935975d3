"""ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B, in the names of their published weights
(THUDM/chatglm2-6b, chatglm3-6b, glm-4-9b).

What sets them apart: few key heads serve many query heads; rotary positions turn neighbouring pairs
in the first half of every head and leave the rest; the feed-forward block has a gate.

B batch, T tokens of this call, S keys (prefix, past and new), P prefix positions, H hidden, N query
heads, K key heads, D width of a head, F frequencies (a quarter of D), V vocabulary, C classes.
"""

# ruff: noqa: RUF012 - transformers wants plain lists as class attributes
from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..params.arch.chatglm2 import ChatGLM2
from .dialogue import Speaks
from .hf import config_of
from .prefix import Prefix, PrefixEncoder, TakesPrefix, started_as_prefix, with_prefix
from .quantized import PACKED_NAMES, pack_linears


class ChatGLMConfig(config_of(ChatGLM2)):
    """Keys of the published config.json, and the names that transformers asks for."""

    attribute_map = {
        **ChatGLM2.second_names,
        "intermediate_size": "ffn_hidden_size",
        "max_position_embeddings": "seq_length",
        "head_dim": "kv_channels",
    }

    @property
    def num_key_value_heads(self) -> int:
        return (
            self.multi_query_group_num if self.multi_query_attention else self.num_attention_heads
        )


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide * scale).to(x.dtype)


def norm(config: ChatGLMConfig) -> nn.Module:
    make = RMSNorm if config.rmsnorm else nn.LayerNorm
    return make(config.hidden_size, eps=config.layernorm_epsilon)


def rotary_tables(
    positions_BT: Tensor, config: ChatGLMConfig, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, 1, T, F], computed in float32."""
    rotated = config.kv_channels // 2
    exponent_F = torch.arange(0, rotated, 2, device=positions_BT.device) / rotated
    frequency_F = 1 / (10000.0 * config.rope_ratio) ** exponent_F
    angle_B1TF = positions_BT[:, None, :, None] * frequency_F
    return angle_B1TF.cos().to(dtype), angle_B1TF.sin().to(dtype)


def rotate(x_BNTD: Tensor, cos_B1TF: Tensor, sin_B1TF: Tensor) -> Tensor:
    """Turns neighbouring pairs in the first half of each head."""
    rotated, rest = x_BNTD.chunk(2, dim=-1)
    # [B, N, T, D/2] -> [B, N, T, F, 2]
    a, b = rotated.unflatten(-1, (-1, 2)).unbind(-1)
    turned = (a * cos_B1TF - b * sin_B1TF, b * cos_B1TF + a * sin_B1TF)
    return torch.cat((torch.stack(turned, dim=-1).flatten(-2), rest), dim=-1)


def eager_attention(
    module: SelfAttention,
    q_BNTD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask_B1TS: Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention in plain steps, softmax in float32."""
    k_BNSD = k_BKSD.repeat_interleave(module.num_key_value_groups, dim=1)
    v_BNSD = v_BKSD.repeat_interleave(module.num_key_value_groups, dim=1)
    scores_BNTS = ((q_BNTD * scaling) @ k_BNSD.mT).float()
    if mask_B1TS is not None:
        scores_BNTS = scores_BNTS + mask_B1TS
    weights_BNTS = scores_BNTS.softmax(dim=-1).to(q_BNTD.dtype)
    return (weights_BNTS @ v_BNSD).transpose(1, 2), weights_BNTS


class SelfAttention(nn.Module):
    is_causal = True

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        heads = config.num_attention_heads + 2 * config.num_key_value_heads
        self.query_key_value = nn.Linear(
            config.hidden_size,
            heads * config.kv_channels,
            bias=config.add_bias_linear or config.add_qkv_bias,
        )
        self.dense = nn.Linear(
            config.num_attention_heads * config.kv_channels,
            config.hidden_size,
            bias=config.add_bias_linear,
        )

    def forward(
        self,
        x_BTH: Tensor,
        prefix: tuple[Tensor, Tensor] | None,
        mask_B1TS: Tensor | None,
        rotary: tuple[Tensor, Tensor],
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> Tensor:
        q_BNTD, k_BKSD, v_BKSD = self.split(self.query_key_value(x_BTH))
        q_BNTD, k_BKSD = rotate(q_BNTD, *rotary), rotate(k_BKSD, *rotary)
        if past_key_values is not None:
            k_BKSD, v_BKSD = past_key_values.update(k_BKSD, v_BKSD, self.layer_idx)
        k_BKSD, v_BKSD = with_prefix(prefix, k_BKSD, v_BKSD)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention
        )
        scaling = self.config.kv_channels**-0.5
        mixed_BTND, _ = attend(self, q_BNTD, k_BKSD, v_BKSD, mask_B1TS, scaling=scaling, **kwargs)
        return self.dense(mixed_BTND.flatten(2))

    def split(self, qkv_BTX: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each [B, heads, T, D]."""
        heads, width = self.config.num_attention_heads, self.config.kv_channels
        if not self.config.multi_query_attention:
            # rows go head by head: q, k and v of a head stand together
            return qkv_BTX.unflatten(-1, (heads, -1)).transpose(1, 2).chunk(3, dim=-1)
        # all query heads, then all key heads, then all value heads
        groups = self.config.num_key_value_heads
        by_head = qkv_BTX.unflatten(-1, (-1, width)).transpose(1, 2)
        return by_head.split((heads, groups, groups), dim=1)


class MLP(nn.Module):
    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        hidden, inner, bias = config.hidden_size, config.ffn_hidden_size, config.add_bias_linear
        self.dense_h_to_4h = nn.Linear(hidden, 2 * inner, bias=bias)
        self.dense_4h_to_h = nn.Linear(inner, hidden, bias=bias)

    def forward(self, x_BTH: Tensor) -> Tensor:
        gate, value = self.dense_h_to_4h(x_BTH).chunk(2, dim=-1)
        return self.dense_4h_to_h(F.silu(gate) * value)


class GLMBlock(GradientCheckpointingLayer):
    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.input_layernorm = norm(config)
        self.self_attention = SelfAttention(config, layer_idx)
        self.post_attention_layernorm = norm(config)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.residual_is_normed = config.apply_residual_connection_post_layernorm

    def forward(
        self,
        x_BTH: Tensor,
        prefix_k: Tensor | None,
        prefix_v: Tensor | None,
        mask_B1TS: Tensor | None,
        cos_B1TF: Tensor,
        sin_B1TF: Tensor,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        # each tensor an argument of its own: reentrant checkpointing finds no gradient in a tuple
        prefix = None if prefix_k is None or prefix_v is None else (prefix_k, prefix_v)
        rotary = (cos_B1TF, sin_B1TF)
        normed = self.input_layernorm(x_BTH)
        attended = self.self_attention(normed, prefix, mask_B1TS, rotary, past_key_values, **kwargs)
        x_BTH = (normed if self.residual_is_normed else x_BTH) + self.dropout(attended)
        normed = self.post_attention_layernorm(x_BTH)
        fed = self.mlp(normed)
        return (normed if self.residual_is_normed else x_BTH) + self.dropout(fed)


class Embedding(nn.Module):
    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.padded_vocab_size, config.hidden_size)


class GLMTransformer(nn.Module):
    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GLMBlock(config, i) for i in range(config.num_layers))
        if config.quantization_bit:
            pack_linears(self.layers, PACKED_NAMES, config.quantization_bit, empty=True)
        self.final_layernorm = norm(config) if config.post_layer_norm else None


class ChatGLMPreTrainedModel(PreTrainedModel):
    config: ChatGLMConfig
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    _no_split_modules = ["GLMBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _keys_to_ignore_on_load_unexpected = [r"rotary_pos_emb\.inv_freq$"]
    _keep_in_fp32_modules_strict = ["prefix_encoder"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def _init_weights(self, module: nn.Module) -> None:
        if not started_as_prefix(self, module):
            super()._init_weights(module)


class ChatGLMModel(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.embedding = Embedding(config)
        self.encoder = GLMTransformer(config)
        self.output_layer = nn.Linear(config.hidden_size, config.padded_vocab_size, bias=False)
        self.prefix_encoder = PrefixEncoder(config) if config.pre_seq_len else None
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        prefix: Prefix | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """As ChatGLMForConditionalGeneration.forward, without the output layer."""
        if inputs_embeds is None:
            inputs_embeds = cast(Tensor, self.embedding.word_embeddings(input_ids))
        x_BTH = inputs_embeds
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if prefix is None and self.prefix_encoder is not None:
            prefix = self.prefix_encoder(len(x_BTH))
        mask_B1TS = self.mask(x_BTH, attention_mask, position_ids, past_key_values, prefix)
        if position_ids is None:
            past = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = past + torch.arange(x_BTH.shape[1], device=x_BTH.device)[None]
        cos, sin = rotary_tables(position_ids, self.config, x_BTH.dtype)
        hidden: list[Tensor] = []
        for layer, (prefix_k, prefix_v) in zip(
            self.encoder.layers, prefix or [(None, None)] * self.config.num_layers, strict=True
        ):
            if output_hidden_states:
                hidden.append(x_BTH)
            x_BTH = layer(
                x_BTH, prefix_k, prefix_v, mask_B1TS, cos, sin,
                past_key_values=past_key_values, **kwargs,
            )  # fmt: skip
        if self.encoder.final_layernorm is not None:
            x_BTH = self.encoder.final_layernorm(x_BTH)
        return BaseModelOutputWithPast(
            last_hidden_state=cast(Any, x_BTH),
            past_key_values=past_key_values,
            hidden_states=cast(Any, (*hidden, x_BTH)) if output_hidden_states else None,
        )

    def mask(
        self,
        x_BTH: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: Cache | None,
        prefix: Prefix | None,
    ) -> Tensor | None:
        """The causal mask in the form that the attention function takes, with the prefix visible to
        everybody.

        Without padding and cache, ``position_ids`` that start again from 0 keep packed texts apart.
        """
        mask_B1TS = create_causal_mask(
            config=self.config,
            inputs_embeds=x_BTH,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
            allow_is_causal_skip=prefix is None,
        )
        if mask_B1TS is None or prefix is None:
            return mask_B1TS
        visible = True if mask_B1TS.dtype == torch.bool else 0.0
        return F.pad(mask_B1TS, (prefix[0][0].shape[-2], 0), value=visible)


class ChatGLMForConditionalGeneration(Speaks, TakesPrefix, ChatGLMPreTrainedModel, GenerationMixin):
    published_sampling = {"max_length": 8192, "top_p": 0.8, "temperature": 0.8}

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.transformer.output_layer

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.transformer.output_layer = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        prefix: Prefix | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, V], and the loss where labels [B, T] are given (-100: not trained; shifted
        here).

        attention_mask: [B, S] of 0 and 1, with 0 on padding. position_ids: [B, T], counted from the
        start of the row where they are not given. A prefix takes up neither. ``prefix`` is one made
        before; else it is made anew. ``hidden_states`` are the embeddings, what each layer puts
        out, and of the last layer its normed output.
        """
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            prefix=prefix,
            **kwargs,
        )
        kept = logits_to_keep
        if isinstance(kept, int):
            kept = slice(-kept or None, None)
        logits = self.transformer.output_layer(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            vocab_size = self.config.padded_vocab_size
            loss = self.loss_function(logits, labels, vocab_size=vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
        )


class ChatGLMForSequenceClassification(ChatGLMPreTrainedModel):
    """Sorts texts into classes by what stands in their last position."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout or 0.0)
        self.classifier_head = nn.Linear(config.hidden_size, cast(int, config.num_labels))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Logits [B, C], and the loss where labels are given.

        Padding has to be on the left, as the families' tokenizers put it: the last position of a
        row is read. labels: class ids [B], or with ``config.problem_type`` (found from the labels
        where it is not set) numbers [B] or [B, C] for a regression, 0.0 and 1.0 [B, C] for several
        classes at once.
        """
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            **kwargs,
        )
        logits_BC = self.classifier_head(self.dropout(outputs.last_hidden_state[:, -1]))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits_BC, config=self.config)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits_BC,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
        )
