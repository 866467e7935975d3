"""Baichuan and Baichuan2, 7B and 13B, in the names of their published weights.

Blocks as in Llama, with one fused projection to queries, keys and values. The four differ in two
things, which ``params/arch/baichuan.py`` reads from config.json: positions are rotary (7B) or ALiBi
(13B, arXiv:2108.12409), and Baichuan2 brings the rows of its output layer to length 1.

B batch, T tokens of this call, S keys (prefix, past and new), P prefix positions, H hidden, N
heads, D width of a head, V vocabulary.
"""

# ruff: noqa: RUF012 - transformers wants plain lists as class attributes
from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..params.arch.baichuan import Baichuan, has_alibi, has_norm_head
from .chatglm2 import RMSNorm, eager_attention
from .hf import config_of
from .messages import AnswersMessages
from .nf4 import NF4Linear
from .prefix import Prefix, PrefixEncoder, TakesPrefix, started_as_prefix, with_prefix
from .quantized import pack_linears, packed_bits

ALIGNED = 8  # columns: attention on a GPU copies a mask whose rows do not start at a multiple


PACKED_NAMES = ("W_pack", "o_proj", "gate_proj", "up_proj", "down_proj")  # in the -4bits models


class BaichuanConfig(config_of(Baichuan)):
    """Keys of the published config.json, and the names that transformers asks for."""

    @property
    def has_alibi(self) -> bool:
        return has_alibi(cast(Any, self))

    @property
    def has_norm_head(self) -> bool:
        return has_norm_head(cast(Any, self))

    @property
    def num_key_value_heads(self) -> int:
        return self.num_attention_heads

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def to_diff_dict(self) -> dict[str, Any]:
        """What is saved: no key that nobody gave, and the published name of the class, by which
        other programs know the variant.
        """
        output = super().to_diff_dict()
        first_7b = not self.has_alibi and not self.has_norm_head
        if output.get("architectures"):
            output["architectures"] = ["BaiChuanForCausalLM" if first_7b else "BaichuanForCausalLM"]
        return {key: value for key, value in output.items() if value is not None}


def rotary_tables(positions_BT: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, 1, T, D / 2], in float32."""
    exponent_F = torch.arange(0, width, 2, device=positions_BT.device) / width
    angle_B1TF = positions_BT[:, None, :, None] * (1 / 10000.0**exponent_F)
    return angle_B1TF.cos(), angle_B1TF.sin()


def rotate(x_BNTD: Tensor, cos_B1TF: Tensor, sin_B1TF: Tensor) -> Tensor:
    """Turns the first half of each head against the second, in float32."""
    a, b = x_BNTD.float().chunk(2, dim=-1)
    turned = (a * cos_B1TF - b * sin_B1TF, b * cos_B1TF + a * sin_B1TF)
    return torch.cat(turned, dim=-1).to(x_BNTD.dtype)


def alibi_slopes(heads: int, device: torch.device | None = None) -> Tensor:
    """What one position of distance costs in each head, [N].

    For 2^k heads the powers of 2^(-8 / heads); for another number those of the power of two below
    it, then every second one of the power above.
    """
    below = 1 << (heads.bit_length() - 1)
    first = torch.arange(1, below + 1, device=device) / below
    further = (2 * torch.arange(heads - below, device=device) + 1) / (2 * below)
    return torch.exp2(-8 * torch.cat((first, further)))


def alibi_mask(visible_B1TS: Tensor, heads: int, past: int, prefix: int, dtype: Any) -> Tensor:
    """The bias of every head, with the lowest number where a key is hidden: [B, N, T, P + S].

    It is made once for all layers. The distance is taken before anything is rounded: as slope x
    (key - query) a bias in half precision is off by at most its own last digit, and small where the
    weight is large. The same bias as slope x key, which the softmax cannot tell from it, would
    reach thousands and lose whole positions: on random values at position 4,096 of 40 heads the
    output of the attention is off by 0.01 and by 4.0 (bfloat16), 0.001 and 1.5 (float16).

    A prefix has no place in the text: it is visible to everybody, at distance 0. Padding sees
    itself, so that no row is hidden altogether.
    """
    rows, _, tokens, keys = visible_B1TS.shape
    device = visible_B1TS.device
    query_T1 = past + torch.arange(tokens, device=device)[:, None]
    distance_TS = torch.arange(keys, device=device) - query_T1
    hidden_B1TS = ~visible_B1TS & (distance_TS != 0)
    width = -(-(prefix + keys) // ALIGNED) * ALIGNED
    mask = torch.zeros(rows, heads, tokens, width, dtype=dtype, device=device)[..., : prefix + keys]
    of_text = mask[..., prefix:]
    slopes_N11 = alibi_slopes(heads, device)[:, None, None]
    torch.mul(slopes_N11, distance_TS.expand(rows, 1, -1, -1), out=of_text)
    of_text.masked_fill_(hidden_B1TS, torch.finfo(dtype).min)
    return mask


class Attention(nn.Module):
    is_causal = True
    num_key_value_groups = 1

    def __init__(self, config: BaichuanConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.W_pack = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self,
        x_BTH: Tensor,
        prefix: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        rotary: tuple[Tensor, Tensor] | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> Tensor:
        # [B, T, 3ND] -> 3 x [B, N, T, D]
        qkv = self.W_pack(x_BTH).unflatten(-1, (3, self.config.num_attention_heads, -1))
        q_BNTD, k_BNSD, v_BNSD = qkv.permute(2, 0, 3, 1, 4)
        if rotary is not None:
            q_BNTD, k_BNSD = rotate(q_BNTD, *rotary), rotate(k_BNSD, *rotary)
        if past_key_values is not None:
            k_BNSD, v_BNSD = past_key_values.update(k_BNSD, v_BNSD, self.layer_idx)
        k_BNSD, v_BNSD = with_prefix(prefix, k_BNSD, v_BNSD)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention
        )
        scaling = self.config.head_dim**-0.5
        mixed_BTND, _ = attend(self, q_BNTD, k_BNSD, v_BNSD, mask, scaling=scaling, **kwargs)
        return self.o_proj(mixed_BTND.flatten(2))


class MLP(nn.Module):
    def __init__(self, config: BaichuanConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.act_fn = ACT2FN[config.hidden_act]

    def forward(self, x_BTH: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x_BTH)) * self.up_proj(x_BTH))


class BaichuanLayer(GradientCheckpointingLayer):
    def __init__(self, config: BaichuanConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer_idx)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x_BTH: Tensor,
        prefix_k: Tensor | None,
        prefix_v: Tensor | None,
        mask: Tensor | None,
        cos_B1TF: Tensor | None,
        sin_B1TF: Tensor | None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        # each tensor an argument of its own: reentrant checkpointing finds no gradient in a tuple
        prefix = None if prefix_k is None or prefix_v is None else (prefix_k, prefix_v)
        rotary = None if cos_B1TF is None or sin_B1TF is None else (cos_B1TF, sin_B1TF)
        normed = self.input_layernorm(x_BTH)
        x_BTH = x_BTH + self.self_attn(normed, prefix, mask, rotary, past_key_values, **kwargs)
        return x_BTH + self.mlp(self.post_attention_layernorm(x_BTH))


def folded_head(weight: Tensor) -> Tensor:
    """The matrix [V, H] with which a plain linear layer gives Baichuan2's logits: each row at
    length 1, in the number type of ``weight``. For layouts that have no normalised head.
    """
    return F.normalize(weight.float(), dim=1).to(weight.dtype)


class NormHead(nn.Linear):
    """Baichuan2's output layer: logits of rows at length 1, of a matrix stored as it was trained.

    Where the matrix trains, the gradient goes through the lengths. Elsewhere the rows stay as they
    are and the logits are divided by their lengths, which are taken once and kept: no second matrix
    is held, nothing is changed in the stored one. They are taken anew when the matrix is another
    one or was written to, and after every ``train()`` and ``eval()``, for an optimizer may write
    past torch's count of changes.
    """

    lengths: tuple[tuple[Any, ...], Tensor] | None = None

    def forward(self, x_BTH: Tensor) -> Tensor:
        if torch.is_grad_enabled() and self.weight.requires_grad:
            return F.linear(x_BTH, F.normalize(self.weight, dim=1))
        # in place: the factor is float32, and another tensor of this size would be, too
        return F.linear(x_BTH, self.weight).mul_(self.inverse_lengths())

    @torch.no_grad()
    def inverse_lengths(self) -> Tensor:
        """One over the length of each row, [V], in float32 at least."""
        weight = self.weight
        if torch.compiler.is_compiling():
            return _inverse_lengths(weight)
        written = None if weight.is_inference() else weight._version
        inferring = torch.is_inference_mode_enabled()  # what is made in it cannot serve a gradient
        state = (weight.data_ptr(), written, weight.dtype, weight.device, inferring)
        if self.lengths is None or self.lengths[0] != state:
            self.lengths = (state, _inverse_lengths(weight))
        return self.lengths[1]

    def train(self, mode: bool = True) -> NormHead:
        self.lengths = None
        return super().train(mode)


def _inverse_lengths(weight_VH: Tensor) -> Tensor:
    wide = torch.promote_types(weight_VH.dtype, torch.float32)
    return 1 / torch.linalg.vector_norm(weight_VH, dim=1, dtype=wide).clamp_min(1e-12)


class BaichuanPreTrainedModel(PreTrainedModel):
    config: BaichuanConfig
    config_class = BaichuanConfig
    base_model_prefix = "model"
    _no_split_modules = ["BaichuanLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]
    _keep_in_fp32_modules_strict = ["prefix_encoder"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def _init_weights(self, module: nn.Module) -> None:
        if not started_as_prefix(self, module):
            super()._init_weights(module)

    def _backward_compatibility_gradient_checkpointing(self) -> None:
        """Nothing: transformers would read ``gradient_checkpointing`` of the published config.json,
        ``[false]``, as true, and take it out of the config.
        """


class BaichuanModel(BaichuanPreTrainedModel):
    def __init__(self, config: BaichuanConfig) -> None:
        super().__init__(config)
        padding = config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding)
        self.layers = nn.ModuleList(
            BaichuanLayer(config, i) for i in range(config.num_hidden_layers)
        )
        if packed_bits(config):
            pack_linears(self.layers, PACKED_NAMES, 4, empty=True, kind=NF4Linear)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.prefix_encoder = PrefixEncoder(config) if config.pre_seq_len else None
        self.gradient_checkpointing = False
        self.post_init()

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
        """As BaichuanForCausalLM.forward, without the output layer."""
        if inputs_embeds is None:
            inputs_embeds = cast(Tensor, self.embed_tokens(input_ids))
        x_BTH = inputs_embeds
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if prefix is None and self.prefix_encoder is not None:
            prefix = self.prefix_encoder(len(x_BTH))
        mask = self.mask(x_BTH, attention_mask, position_ids, past_key_values, prefix)
        cos, sin = self.rotary(x_BTH, position_ids, past_key_values)
        hidden: list[Tensor] = []
        for layer, (prefix_k, prefix_v) in zip(
            self.layers, prefix or [(None, None)] * len(self.layers), strict=True
        ):
            if output_hidden_states:
                hidden.append(x_BTH)
            x_BTH = layer(
                x_BTH, prefix_k, prefix_v, mask, cos, sin,
                past_key_values=past_key_values, **kwargs,
            )  # fmt: skip
        x_BTH = self.norm(x_BTH)
        return BaseModelOutputWithPast(
            last_hidden_state=cast(Any, x_BTH),
            past_key_values=past_key_values,
            hidden_states=cast(Any, (*hidden, x_BTH)) if output_hidden_states else None,
        )

    def rotary(
        self, x_BTH: Tensor, position_ids: Tensor | None, past_key_values: Cache | None
    ) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Cosines and sines of the positions; none with ALiBi."""
        if self.config.has_alibi:
            return None, None
        if position_ids is None:
            past = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = past + torch.arange(x_BTH.shape[1], device=x_BTH.device)[None]
        return rotary_tables(position_ids, self.config.head_dim)

    def mask(
        self,
        x_BTH: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: Cache | None,
        prefix: Prefix | None,
    ) -> Tensor | None:
        """The causal mask in the form that the attention function takes, with the prefix visible to
        everybody; with ALiBi the biases in it.

        Without padding and cache, ``position_ids`` that start again from 0 keep packed texts apart.
        """
        asked = {
            "config": self.config,
            "inputs_embeds": x_BTH,
            "past_key_values": past_key_values,
            "position_ids": position_ids,
        }
        skip = prefix is None or self.config.has_alibi
        mask_B1TS = create_causal_mask(
            **asked, attention_mask=attention_mask, allow_is_causal_skip=skip
        )
        length = 0 if prefix is None else prefix[0][0].shape[-2]
        if not self.config.has_alibi:
            if mask_B1TS is None or not length:
                return mask_B1TS
            visible = True if mask_B1TS.dtype == torch.bool else 0.0
            return F.pad(mask_B1TS, (length, 0), value=visible)
        if mask_B1TS is None:  # nothing but causal: the biases of one row are those of all
            causal = create_causal_mask(**asked, attention_mask=None, allow_is_causal_skip=False)
            mask_B1TS = cast(Tensor, causal)[:1]
        visible_B1TS = mask_B1TS if mask_B1TS.dtype == torch.bool else mask_B1TS >= 0
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        heads = self.config.num_attention_heads
        return alibi_mask(visible_B1TS, heads, past, length, x_BTH.dtype)


class BaichuanForCausalLM(AnswersMessages, TakesPrefix, BaichuanPreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: BaichuanConfig) -> None:
        super().__init__(config)
        self.model = BaichuanModel(config)
        head = NormHead if config.has_norm_head else nn.Linear
        self.lm_head = head(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Takes the matrix alone (resize_token_embeddings makes a plain layer): a normalised head
        stays one, and the config says so, for the size of the vocabulary may not any more.
        """
        self.config.norm_head = isinstance(self.lm_head, NormHead)
        self.lm_head.weight = new_embeddings.weight
        self.lm_head.out_features = len(new_embeddings.weight)

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

        attention_mask: [B, S] of 0 and 1, with 0 on padding. position_ids: [B, T]; where they are
        not given they are counted from the start of the row, padding included (generate counts from
        the first token that is none). With ALiBi they do no more than keep packed texts apart. A
        prefix takes up neither. ``prefix`` is one made before; else it is made anew.
        ``hidden_states`` are the embeddings, what each layer puts out, and of the last layer its
        normed output.
        """
        outputs = self.model(
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
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
            if self.config.z_loss_weight and self.config.has_norm_head:
                loss = loss + self.z_loss(logits, labels, kwargs.get("num_items_in_batch"))
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
        )

    def z_loss(self, logits_BTV: Tensor, labels_BT: Tensor, num_items: Any) -> Tensor:
        """Baichuan2's z-loss: the mean square of the largest logit over all positions that have a
        next one, padding and prompt included, times ``z_loss_weight``.

        ``num_items`` counts the trained tokens of all micro batches of a step where transformers'
        Trainer sums instead of averaging. This batch then counts by its share of them, as its cross
        entropy does, and the step has the mean of its micro batches. (What the 13B models see from
        padding is not what the published code sees, and only this term looks there.)
        """
        z_loss = logits_BTV[:, :-1].float().amax(dim=-1).square().mean()
        share: Any = 1
        if num_items is not None:
            share = (labels_BT[:, 1:] != -100).sum() / num_items
        return self.config.z_loss_weight * share * z_loss
