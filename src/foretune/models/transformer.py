"""The original Transformer (arXiv:1706.03762): an encoder that reads, and a decoder that writes.

What sets it apart: every sub-layer is normed after it is added (post-norm), positions are sines and
cosines added to the embedding, and one matrix is the embedding of source and target and the output
layer. The layers compute what torch.nn.Transformer's do (norm_first=False, ReLU), but for dropout,
which is where the paper has it: on what a sub-layer puts out, and on embedding plus position.

B batch, T tokens of this call, S keys (of the source, or of the target so far), H hidden, N heads,
D width of a head, V vocabulary.
"""

# ruff: noqa: RUF012 - transformers wants plain lists as class attributes
from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..errors import refuse
from ..params.arch.transformer import Transformer
from .hf import config_of


class TransformerConfig(config_of(Transformer)):
    """The declared keys, and the names that transformers asks for."""

    attribute_map = {
        "hidden_size": "d_model",
        "num_hidden_layers": "num_layers",
        "intermediate_size": "ffn_hidden_dim",
        "max_position_embeddings": "max_seq_len",
    }

    @property
    def num_key_value_heads(self) -> int:
        return self.num_attention_heads

    @property
    def head_dim(self) -> int:
        return self.d_model // self.num_attention_heads


def sinusoids(positions_BT: Tensor, width: int) -> Tensor:
    """What is added for each position, float32 [B, T, H]: sines in the even places, cosines in the
    odd ones; from one pair to the next the wave gets longer, up to 10,000 times 2 pi.
    """
    exponent_F = torch.arange(0, width, 2, device=positions_BT.device) / width
    angle_BTF = positions_BT[..., None] / 10000.0**exponent_F
    return torch.stack((angle_BTF.sin(), angle_BTF.cos()), dim=-1).flatten(-2)


def with_positions(embedded_BTH: Tensor, positions_BT: Tensor) -> Tensor:
    """Embeddings times the square root of their width, and the sinusoids."""
    width = embedded_BTH.shape[-1]
    return embedded_BTH * width**0.5 + sinusoids(positions_BT, width).to(embedded_BTH.dtype)


def eager_attention(
    module: Attention,
    q_BNTD: Tensor,
    k_BNSD: Tensor,
    v_BNSD: Tensor,
    mask_B1TS: Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention in plain steps, softmax in float32."""
    scores_BNTS = ((q_BNTD * scaling) @ k_BNSD.mT).float()
    if mask_B1TS is not None:
        scores_BNTS = scores_BNTS + mask_B1TS
    weights_BNTS = scores_BNTS.softmax(dim=-1).to(q_BNTD.dtype)
    return (weights_BNTS @ v_BNSD).transpose(1, 2), weights_BNTS


class Attention(nn.Module):
    """Of a text to itself, or of the target to the source."""

    def __init__(self, config: TransformerConfig, layer_idx: int, *, causal: bool) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.is_causal = causal
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def forward(
        self,
        x_BTH: Tensor,
        source_BSH: Tensor | None,
        mask_B1TS: Tensor | None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """``source_BSH``: what the encoder put out; None where the text attends to itself."""
        q_BNTD = self.by_head(self.q_proj(x_BTH))
        if source_BSH is None:
            k_BNSD, v_BNSD = self.keys_and_values(x_BTH)
            if past_key_values is not None:
                own = past_key_values.self_attention_cache
                k_BNSD, v_BNSD = own.update(k_BNSD, v_BNSD, self.layer_idx)
        else:
            k_BNSD, v_BNSD = self.of_source(source_BSH, past_key_values)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention
        )
        scaling = self.config.head_dim**-0.5
        mixed_BTND, _ = attend(self, q_BNTD, k_BNSD, v_BNSD, mask_B1TS, scaling=scaling, **kwargs)
        return self.out_proj(mixed_BTND.flatten(2))

    def of_source(
        self, source_BSH: Tensor, past_key_values: EncoderDecoderCache | None
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of the source, made once for all that is written."""
        if past_key_values is None:
            return self.keys_and_values(source_BSH)
        if past_key_values.is_updated.get(self.layer_idx):
            made: Any = past_key_values.cross_attention_cache.layers[self.layer_idx]
            return made.keys, made.values
        past_key_values.is_updated[self.layer_idx] = True
        fresh = self.keys_and_values(source_BSH)
        return past_key_values.cross_attention_cache.update(*fresh, self.layer_idx)

    def keys_and_values(self, x_BSH: Tensor) -> tuple[Tensor, Tensor]:
        return self.by_head(self.k_proj(x_BSH)), self.by_head(self.v_proj(x_BSH))

    def by_head(self, x_BTH: Tensor) -> Tensor:
        """[B, T, H] to [B, N, T, D]."""
        return x_BTH.unflatten(-1, (self.config.num_attention_heads, -1)).transpose(1, 2)


def norm(config: TransformerConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.d_model, eps=config.norm_eps)


class EncoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: TransformerConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer_idx, causal=False)
        self.self_attn_norm = norm(config)
        self.fc1 = nn.Linear(config.d_model, config.ffn_hidden_dim)
        self.fc2 = nn.Linear(config.ffn_hidden_dim, config.d_model)
        self.fc_norm = norm(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTH: Tensor, mask_B1TT: Tensor | None, **kwargs: Any) -> Tensor:
        attended = self.self_attn(x_BTH, None, mask_B1TT, **kwargs)
        x_BTH = self.self_attn_norm(x_BTH + self.dropout(attended))
        fed = self.fc2(F.relu(self.fc1(x_BTH)))
        return self.fc_norm(x_BTH + self.dropout(fed))


class DecoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: TransformerConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer_idx, causal=True)
        self.self_attn_norm = norm(config)
        self.cross_attn = Attention(config, layer_idx, causal=False)
        self.cross_attn_norm = norm(config)
        self.fc1 = nn.Linear(config.d_model, config.ffn_hidden_dim)
        self.fc2 = nn.Linear(config.ffn_hidden_dim, config.d_model)
        self.fc_norm = norm(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x_BTH: Tensor,
        mask_B1TT: Tensor | None,
        source_BSH: Tensor,
        source_mask_B1TS: Tensor | None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        attended = self.self_attn(x_BTH, None, mask_B1TT, past_key_values, **kwargs)
        x_BTH = self.self_attn_norm(x_BTH + self.dropout(attended))
        read = self.cross_attn(x_BTH, source_BSH, source_mask_B1TS, past_key_values, **kwargs)
        x_BTH = self.cross_attn_norm(x_BTH + self.dropout(read))
        fed = self.fc2(F.relu(self.fc1(x_BTH)))
        return self.fc_norm(x_BTH + self.dropout(fed))


class TransformerPreTrainedModel(PreTrainedModel):
    config: TransformerConfig
    config_class = TransformerConfig
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def _init_weights(self, module: nn.Module) -> None:
        """Glorot's uniform for the matrices (arXiv:1706.03762 leaves it open; tensor2tensor's
        default), and embeddings that have length 1 before they are multiplied.
        """
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.d_model**-0.5)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class Encoder(TransformerPreTrainedModel):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(cast(int, config.vocab_size), config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config, i) for i in range(config.num_layers))
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """What the source says, [B, S, H]. Positions count from its first token, wherever the
        padding is.
        """
        if inputs_embeds is None:
            inputs_embeds = cast(Tensor, self.embed_tokens(input_ids))
        if attention_mask is not None and attention_mask.dim() == 2:
            positions_BT = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        else:
            positions_BT = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)[None]
        x_BTH = self.dropout(with_positions(inputs_embeds, positions_BT))
        mask_B1TT = create_bidirectional_mask(
            config=self.config, inputs_embeds=inputs_embeds, attention_mask=attention_mask
        )
        hidden = [x_BTH]
        for layer in self.layers:
            x_BTH = layer(x_BTH, mask_B1TT, **kwargs)
            hidden.append(x_BTH)
        return BaseModelOutput(
            last_hidden_state=cast(Any, x_BTH),
            hidden_states=cast(Any, tuple(hidden)) if output_hidden_states else None,
        )


class Decoder(TransformerPreTrainedModel):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_layers))
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        inputs_embeds: Tensor,
        source_BSH: Tensor,
        attention_mask: Tensor | None = None,
        source_mask_BS: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """What to write behind each target token, [B, T, H], with the source in sight."""
        own = None if past_key_values is None else past_key_values.self_attention_cache
        past = 0 if own is None else own.get_seq_length()
        new = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)
        x_BTH = self.dropout(with_positions(inputs_embeds, (past + new)[None]))
        mask_B1TT = create_causal_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=own,
        )
        source_mask_B1TS = create_bidirectional_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=source_mask_BS,
            encoder_hidden_states=source_BSH,
        )
        hidden = [x_BTH]
        for layer in self.layers:
            x_BTH = layer(
                x_BTH, mask_B1TT, source_BSH, source_mask_B1TS,
                past_key_values=past_key_values, **kwargs,
            )  # fmt: skip
            hidden.append(x_BTH)
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=cast(Any, x_BTH),
            past_key_values=past_key_values,
            hidden_states=cast(Any, tuple(hidden)) if output_hidden_states else None,
        )


class TransformerForConditionalGeneration(TransformerPreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "encoder.embed_tokens.weight"}

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        if config.vocab_size is None:
            raise refuse(
                what="vocab_size is not given",
                where=f"{config.name_or_path or 'the model'}, config.json",
                why="it is the number of rows of the embedding, without which there is no model",
                fix='write "vocab_size": the number of pieces of the vocabulary, into config.json',
            )
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.loss_type = "ForMaskedLM"  # a label stands beside its logits: nothing is shifted
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.encoder.embed_tokens = value

    def get_encoder(self, modality: str | None = None) -> Encoder:
        return self.encoder

    def get_decoder(self) -> Decoder:
        return self.decoder

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads while it learns to write ``labels`` [B, T]: the start, and all of
        them but the last.
        """
        return shifted_right(labels, self.config.bos_token_id, self.config.pad_token_id)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Logits [B, T, V] of the target, and the loss where labels [B, T] are given (-100: not
        trained; not shifted: a label is what is to be written there).

        attention_mask: [B, S] of 0 and 1, with 0 on the padding of the source.
        decoder_input_ids: [B, T]; where they are not given, the labels shifted right.
        encoder_outputs: of a call before, in place of the source.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids, attention_mask, inputs_embeds, output_hidden_states, **kwargs
            )
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if decoder_inputs_embeds is None:
            decoder_inputs_embeds = cast(Tensor, self.encoder.embed_tokens(decoder_input_ids))
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            own, cross = (DynamicCache(config=self.config) for _ in range(2))
            past_key_values = EncoderDecoderCache(own, cross)
        outputs = self.decoder(
            decoder_inputs_embeds,
            encoder_outputs[0],
            attention_mask=decoder_attention_mask,
            source_mask_BS=attention_mask,
            past_key_values=past_key_values,
            output_hidden_states=output_hidden_states,
            **kwargs,
        )
        kept = slice(-logits_to_keep or None, None)
        if not isinstance(logits_to_keep, int):
            kept = logits_to_keep
        logits_BTV = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BTV, labels, vocab_size=logits_BTV.shape[-1], **kwargs)
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits_BTV,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.hidden_states,
            encoder_last_hidden_state=encoder_outputs[0],
            encoder_hidden_states=getattr(encoder_outputs, "hidden_states", None),
        )


def shifted_right(labels_BT: Tensor, start: int, pad: int) -> Tensor:
    """The start token and all labels but the last; where there is no label, padding."""
    read_BT = labels_BT.roll(1, dims=-1)
    read_BT[:, 0] = start
    return read_BT.masked_fill(read_BT < 0, pad)
