"""ChatGLM-6B, the first one, in the names of its published weights (THUDM/chatglm-6b).

What sets it apart: the prompt sees itself in both directions; every head is rotated by two
positions, the place in the prompt and the place in the answer; the residual carries the normed
input, scaled.

B batch, T tokens of this call, S keys (prefix, past and new), H hidden, N heads, D width of a head,
R rotary parts of a head (2, or 1 where positions have one dimension), F frequencies of a part, V
vocabulary.
"""

# ruff: noqa: RUF012 - transformers wants plain lists as class attributes
from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..errors import refuse
from ..params.arch.chatglm import ChatGLM
from .dialogue import Speaks
from .hf import config_of
from .prefix import Prefix, PrefixEncoder, TakesPrefix, started_as_prefix, with_prefix
from .quantized import PACKED_NAMES, PackedEmbedding, pack_linears

PUBLISHED_LAYERS = 28
"""The residual's scale is made from this and not from num_layers, which the published code never
passes on.
"""


class ChatGLMConfig(config_of(ChatGLM)):
    """Keys of the published config.json, and the names that transformers asks for."""

    attribute_map = {
        "num_hidden_layers": "num_layers",
        "intermediate_size": "inner_hidden_size",
        "max_position_embeddings": "max_sequence_length",
        "num_key_value_heads": "num_attention_heads",
    }

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def rotary_parts(self) -> int:
        """Parts of a head that are rotated by a position of their own."""
        return 2 if self.position_encoding_2d else 1


def known(input_ids: Tensor | None) -> Tensor:
    """The token ids, which positions and mask are made from."""
    if input_ids is None:
        raise refuse(
            what="inputs_embeds came without position_ids or without a 4-D attention_mask",
            where="ChatGLMModel.forward",
            why="both are made from the places of [gMASK] and bos among the token ids",
            fix="pass position_ids and attention_mask as the tokenizer makes them, or input_ids",
        )
    return input_ids


def extended(positions_BRT: Tensor, length: int) -> Tensor:
    """Positions of a prompt, carried on over the tokens generated behind it up to ``length``."""
    steps = torch.arange(1, length - positions_BRT.shape[-1] + 1, device=positions_BRT.device)
    following = positions_BRT[..., -1:].repeat_interleave(len(steps), dim=-1)
    if positions_BRT.ndim == 3:
        following[:, 1] += steps
    return torch.cat((positions_BRT, following), dim=-1)


def rotary_tables(positions_BRT: Tensor, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, 1, T, R, F] for parts of ``width`` elements.

    The frequencies are rounded to float16, as the model was trained with; in float16 so is the
    angle.
    """
    exponent_F = torch.arange(0, width, 2, device=positions_BRT.device) / width
    frequency_F = (1 / 10000.0**exponent_F).half()
    precision = dtype if dtype == torch.float16 else torch.float32
    angle_BTRF = positions_BRT.mT[..., None].to(precision) * frequency_F.to(precision)
    return angle_BTRF.cos().to(dtype)[:, None], angle_BTRF.sin().to(dtype)[:, None]


def rotate(x_BNTD: Tensor, cos_B1TRF: Tensor, sin_B1TRF: Tensor) -> Tensor:
    """Turns the first half of each rotary part against its second half."""
    # [B, N, T, D] -> [B, N, T, R, 2, F]
    parts = x_BNTD.unflatten(-1, (cos_B1TRF.shape[-2], 2, cos_B1TRF.shape[-1]))
    a, b = parts.unbind(-2)
    turned = (a * cos_B1TRF - b * sin_B1TRF, b * cos_B1TRF + a * sin_B1TRF)
    return torch.stack(turned, dim=-2).flatten(-3)


def eager_attention(
    module: SelfAttention,
    q_BNTD: Tensor,
    k_BNSD: Tensor,
    v_BNSD: Tensor,
    mask_B1TS: Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention in plain steps. Scores of deep layers overflow float16, so their product is made
    smaller by the number of the layer, which float32 gives back.
    """
    depth = module.layer_idx + 1
    scores_BNTS = ((q_BNTD * (scaling / depth)) @ k_BNSD.mT).float() * depth
    if mask_B1TS is not None:
        scores_BNTS = scores_BNTS + mask_B1TS
    weights_BNTS = scores_BNTS.softmax(dim=-1).to(q_BNTD.dtype)
    return (weights_BNTS @ v_BNSD).transpose(1, 2), weights_BNTS


class SelfAttention(nn.Module):
    is_causal = False  # the mask says it all: the prompt is not causal
    num_key_value_groups = 1

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        x_BTH: Tensor,
        prefix: tuple[Tensor, Tensor] | None,
        mask_B1TS: Tensor | None,
        rotary: tuple[Tensor, Tensor],
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> Tensor:
        heads, width = self.config.num_attention_heads, self.config.head_dim
        # rows of the fused matrix go head by head: q, k and v of a head stand together
        qkv_BNT3D = self.query_key_value(x_BTH).unflatten(-1, (heads, 3 * width)).transpose(1, 2)
        q_BNTD, k_BNSD, v_BNSD = qkv_BNT3D.chunk(3, dim=-1)
        q_BNTD, k_BNSD = rotate(q_BNTD, *rotary), rotate(k_BNSD, *rotary)
        if past_key_values is not None:
            k_BNSD, v_BNSD = past_key_values.update(k_BNSD, v_BNSD, self.layer_idx)
        k_BNSD, v_BNSD = with_prefix(prefix, k_BNSD, v_BNSD)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention
        )
        mixed_BTND, _ = attend(
            self, q_BNTD, k_BNSD, v_BNSD, mask_B1TS, scaling=width**-0.5, **kwargs
        )
        return self.dense(mixed_BTND.flatten(2))


class GLU(nn.Module):
    """The feed-forward block; it has no gate, in spite of its published name."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.inner_hidden_size)
        self.dense_4h_to_h = nn.Linear(config.inner_hidden_size, config.hidden_size)

    def forward(self, x_BTH: Tensor) -> Tensor:
        return self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x_BTH), approximate="tanh"))


class GLMBlock(GradientCheckpointingLayer):
    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.layernorm_epsilon
        self.input_layernorm = nn.LayerNorm(hidden, eps=eps)
        self.attention = SelfAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(hidden, eps=eps)
        self.mlp = GLU(config)
        self.alpha = (2 * PUBLISHED_LAYERS) ** 0.5

    def forward(
        self,
        x_BTH: Tensor,
        prefix_k: Tensor | None,
        prefix_v: Tensor | None,
        mask_B1TS: Tensor | None,
        cos_B1TRF: Tensor,
        sin_B1TRF: Tensor,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> Tensor:
        # each tensor an argument of its own: reentrant checkpointing finds no gradient in a tuple
        prefix = None if prefix_k is None or prefix_v is None else (prefix_k, prefix_v)
        rotary = (cos_B1TRF, sin_B1TRF)
        normed = self.input_layernorm(x_BTH)
        attended = self.attention(normed, prefix, mask_B1TS, rotary, past_key_values, **kwargs)
        normed = self.post_attention_layernorm(normed * self.alpha + attended)
        return normed * self.alpha + self.mlp(normed)


class ChatGLMPreTrainedModel(PreTrainedModel):
    config: ChatGLMConfig
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    _input_embed_layer = "word_embeddings"
    _no_split_modules = ["GLMBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]
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
        V, H, bits = config.vocab_size, config.hidden_size, config.quantization_bit
        packed = bits and config.quantization_embeddings
        self.word_embeddings = PackedEmbedding(V, H, bits=bits) if packed else nn.Embedding(V, H)
        self.layers = nn.ModuleList(GLMBlock(config, i) for i in range(config.num_layers))
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        if bits:
            pack_linears(self.layers, PACKED_NAMES, bits, empty=True)
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
        """As ChatGLMForConditionalGeneration.forward, without the language head."""
        x_BTH = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            position_ids = self.positions(known(input_ids), attention_mask)
        if position_ids.ndim == 2:
            position_ids = position_ids[:, None]
        if prefix is None and self.prefix_encoder is not None:
            prefix = self.prefix_encoder(len(x_BTH))
        mask_B1TS = self.mask(x_BTH, input_ids, attention_mask, past_key_values)
        if mask_B1TS is not None and prefix is not None:
            mask_B1TS = F.pad(mask_B1TS, (prefix[0][0].shape[-2], 0), value=0.0)
        width = self.config.head_dim // self.config.rotary_parts
        cos, sin = rotary_tables(position_ids, width, x_BTH.dtype)
        hidden: list[Tensor] = []
        for layer, (prefix_k, prefix_v) in zip(
            self.layers, prefix or [(None, None)] * len(self.layers), strict=True
        ):
            if output_hidden_states:
                hidden.append(x_BTH)
            x_BTH = layer(
                x_BTH, prefix_k, prefix_v, mask_B1TS, cos, sin,
                past_key_values=past_key_values, **kwargs,
            )  # fmt: skip
        x_BTH = self.final_layernorm(x_BTH)
        return BaseModelOutputWithPast(
            last_hidden_state=cast(Any, x_BTH),
            past_key_values=past_key_values,
            hidden_states=cast(Any, (*hidden, x_BTH)) if output_hidden_states else None,
        )

    def positions(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Positions [B, R, T] of whole texts, counted from the first token that is not padding.

        In the prompt the first row counts and the second is 0; from bos on the first row stays at
        the place of [gMASK] (or of [MASK], where there is no [gMASK]) and the second counts from 1.
        """
        place_B1, answer_B1, has_gmask_B1 = self.landmarks(input_ids)
        index_T = torch.arange(input_ids.shape[1], device=input_ids.device)
        start_B1: Tensor | int = 0
        if attention_mask is not None and attention_mask.ndim == 2:
            start_B1 = attention_mask.argmax(dim=1, keepdim=True)
        in_answer_BT = index_T >= answer_B1
        if self.config.position_encoding_2d:
            context_BT = torch.where(in_answer_BT, place_B1, index_T) - start_B1
            return torch.stack((context_BT, index_T - answer_B1 + 1), dim=1).clamp(min=0)
        # with one dimension, a long answer counts on and only a short blank keeps its place
        context_BT = torch.where(in_answer_BT & ~has_gmask_B1, place_B1, index_T) - start_B1
        return context_BT[:, None].clamp(min=0)

    def landmarks(self, input_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each row [B, 1]: the place of its [gMASK] or [MASK], that of its bos, and whether it
        has a [gMASK].
        """
        bos_BT = input_ids == self.config.bos_token_id
        gmask_BT = input_ids == self.config.gmask_token_id
        has_gmask_B1 = gmask_BT.any(dim=1, keepdim=True)
        mask_BT = torch.where(has_gmask_B1, gmask_BT, input_ids == self.config.mask_token_id)
        complete_B = bos_BT.any(dim=1) & mask_BT.any(dim=1)
        if not complete_B.all():
            ids = (self.config.gmask_token_id, self.config.mask_token_id, self.config.bos_token_id)
            raise refuse(
                what=f"row {int(complete_B.int().argmin())} of input_ids lacks [gMASK] or bos",
                where=f"{type(self).__name__}.forward",
                why="positions and mask are counted from [gMASK] (or [MASK]) and bos: ids "
                + ", ".join(map(str, ids)),
                fix="encode with the model's own tokenizer, which puts both behind the prompt",
            )
        place_B1 = mask_BT.int().argmax(dim=1, keepdim=True)
        return place_B1, bos_BT.int().argmax(dim=1, keepdim=True), has_gmask_B1

    def mask(
        self,
        x_BTH: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        past_key_values: Cache | None,
    ) -> Tensor | None:
        """What is added to the scores, [B or 1, 1, T, S]: 0, or the lowest number where a key is
        hidden. None: nothing is.

        A row with all keys hidden, as the padding of a 4-D mask has, then attends to all alike; it
        is never NaN.
        """
        new = x_BTH.shape[1]
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        keys = new if past_key_values is None else past_key_values.get_mask_sizes(new, 0)[0]
        if attention_mask is not None and attention_mask.ndim == 4:
            hidden = attention_mask.bool()
        elif attention_mask is None and new == 1 and keys == past + 1:
            return None
        else:
            key_S = torch.arange(keys, device=x_BTH.device)
            query_T1 = past + torch.arange(new, device=x_BTH.device)[:, None]
            hidden = (key_S > query_T1)[None, None]
            if past == 0:  # the prompt sees itself in both directions, without bos
                answer_B1 = self.landmarks(known(input_ids))[1]
                hidden = hidden & (key_S >= answer_B1[:, None, None])
            if attention_mask is not None:
                padding_BS = F.pad(attention_mask == 0, (0, keys - attention_mask.shape[1]))
                hidden = hidden | padding_BS[:, None, None]
        dtype, device = x_BTH.dtype, x_BTH.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)  # the lowest number of another would be -inf
        return torch.zeros_like(hidden, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)


class ChatGLMForConditionalGeneration(Speaks, TakesPrefix, ChatGLMPreTrainedModel, GenerationMixin):
    published_sampling = {"max_length": 2048, "top_p": 0.7, "temperature": 0.95}
    _tied_weights_keys = {"lm_head.weight": "transformer.word_embeddings.weight"}

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.quantization_bit and config.quantization_embeddings:
            pack_linears(self, ["lm_head"], config.quantization_bit, empty=True)
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
        logits_to_keep: int | Tensor = 0,
        prefix: Prefix | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, V], and the loss where labels [B, T] are given (-100: not trained; shifted
        here).

        attention_mask: [B, 1, T, S] as the tokenizer makes it, True where a key is hidden; or [B,
        S] of 0 and 1, with 0 on padding; or none, which hides no padding (right padding needs no
        hiding, for nothing looks ahead to it). position_ids: [B, 2, T]. Whatever is not given is
        made from the places of [gMASK] and bos in ``input_ids``. ``hidden_states`` are the
        embeddings, what each layer puts out, and of the last layer its normed output.
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
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
        )

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers. Takes the tokenizer's 4-D mask and positions; a 2-D mask hides
        padding, and positions are then counted from the first real token (the published code drops
        such a mask). Without a mask padding is attended to.
        """
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.ndim == 4:
            # the last token sees all but padding; the rest of the mask is made again from the ids
            kwargs["attention_mask"] = (~mask[:, 0, -1]).long()
        return super().generate(*args, prompt_positions=kwargs.pop("position_ids", None), **kwargs)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, prompt_positions: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The inputs of a step, with positions from all ids so far.

        A new token has the place of its answer in the first row, and counts on in the second. With
        one dimension the published code gives it the place of [gMASK] or [MASK].
        """
        inputs = cast(Any, super()).prepare_inputs_for_generation(input_ids, *args, **kwargs)
        new = inputs["input_ids"].shape[1]
        if prompt_positions is not None:
            positions = extended(prompt_positions, input_ids.shape[1])
        elif self.config.position_encoding_2d or new == input_ids.shape[1]:
            positions = self.transformer.positions(input_ids, kwargs.get("attention_mask"))
        else:
            positions = self.transformer.landmarks(input_ids)[0][:, None]
        return {**inputs, "position_ids": positions[..., -new:]}

    def _prepare_position_ids_for_generation(self, *_: Any) -> None:
        """None here: they are made for each step, above."""

    def _prepare_attention_mask_for_generation(self, inputs_tensor: Tensor, *_: Any) -> Tensor:
        """Nothing is hidden: the published code attends to padding where no mask is given."""
        return torch.ones(inputs_tensor.shape[:2], dtype=torch.long, device=inputs_tensor.device)

    @staticmethod
    def create_masks_for_generate(attention_mask: Tensor | None = None, **_: Any) -> Tensor | None:
        """Nothing is prepared for a static cache: the model makes its own mask."""
        return attention_mask
