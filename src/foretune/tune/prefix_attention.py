"""P-Tuning v2 (arXiv:2110.07602) on models of transformers' own, by two of its public hooks.

The prefix of each layer is put in front of its keys and values in an attention function that is
registered with transformers; what the function puts there is given to it with each call of the
model, as an argument that transformers passes down to it. So the prefix stands outside the cache of
keys and values: positions count from 0 as without it, generation needs to know nothing of it, and
activations can be recomputed (gradient checkpointing).

B batch, H heads, K key heads, L new tokens, S tokens with those before, P prefix positions, D width
of a head.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..errors import refuse
from ..models.hf import PublishedConfig
from ..models.prefix import Prefix, PrefixEncoder, with_prefix
from ..params.arch.shape import Shape

NAME = "behind_prefix"
"""The attention implementation, as transformers knows it."""
ARGUMENT = "prefix_of_layers"
"""Under which name the attention function is given the prefix."""


class Handed:
    """The prefix of all layers, and which of them have taken theirs."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self.taken: set[int] = set()

    def of(self, layer: int) -> tuple[Tensor, Tensor]:
        """The keys and values [B, K, P, D] of a layer."""
        self.taken.add(layer)
        return self.prefix[layer]


def attend(
    module: nn.Module,
    q_BHLD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, Any]:
    """Attention [B, L, H, D] with the layer's prefix in front, which every token sees."""
    handed: Handed | None = kwargs.pop(ARGUMENT, None)
    if handed is not None:
        mask_BHLS = attention_mask
        if mask_BHLS is None:
            mask_BHLS = causal_mask(q_BHLD.shape[2], k_BKSD.shape[2], q_BHLD.device)
        k_BKSD, v_BKSD = with_prefix(handed.of(cast(Any, module).layer_idx), k_BKSD, v_BKSD)
        seen = True if mask_BHLS.dtype == torch.bool else 0.0
        attention_mask = F.pad(mask_BHLS, (k_BKSD.shape[2] - mask_BHLS.shape[-1], 0), value=seen)
    if kwargs.get("softcap") is not None:
        return capped(module, q_BHLD, k_BKSD, v_BKSD, attention_mask, **kwargs)
    return sdpa_attention_forward(module, q_BHLD, k_BKSD, v_BKSD, attention_mask, **kwargs)


def causal_mask(new: int, all_: int, device: torch.device) -> Tensor:
    """bool [1, 1, L, S]: each new token sees itself and what is before it."""
    return torch.ones(new, all_, dtype=torch.bool, device=device).tril(all_ - new)[None, None]


def capped(
    module: nn.Module,
    q_BHLD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask: Tensor | None,
    *,
    softcap: float,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention whose scores are bounded by a tanh, which no fused kernel of torch has (Gemma 2,
    arXiv:2408.00118).
    """
    groups = q_BHLD.shape[1] // k_BKSD.shape[1]
    k_BHSD, v_BHSD = (part.repeat_interleave(groups, 1) for part in (k_BKSD, v_BKSD))
    scores = q_BHLD @ k_BHSD.mT * (q_BHLD.shape[-1] ** -0.5 if scaling is None else scaling)
    scores_BHLS = torch.tanh(scores / softcap) * softcap
    if mask is not None and mask.dtype == torch.bool:
        scores_BHLS = scores_BHLS.masked_fill(~mask, torch.finfo(scores_BHLS.dtype).min)
    elif mask is not None:
        scores_BHLS = scores_BHLS + mask
    weights_BHLS = scores_BHLS.softmax(-1, dtype=torch.float32).to(q_BHLD.dtype)
    weights_BHLS = F.dropout(weights_BHLS, dropout, training=module.training)
    return (weights_BHLS @ v_BHSD).transpose(1, 2), weights_BHLS


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


def add_prefix(
    model: PreTrainedModel, length: int, *, projection: bool, dropout: float, where: str
) -> None:
    """Attaches a fresh prefix in float32 in front of every layer, and says so in the config.

    Raises:
        UserError: where not every layer of the model lets a prefix in. ``where`` asks for it.
    """
    config: Any = model.config
    config.pre_seq_len, config.prefix_projection = length, projection
    config.prefix_dropout = dropout
    sizes = SimpleNamespace(
        shape=shape_of(config.get_text_config()),
        pre_seq_len=length,
        prefix_projection=projection,
        prefix_dropout=dropout,
    )
    encoder = PrefixEncoder(cast(PublishedConfig, sizes)).train(model.training).to(model.device)
    body: Any = model.base_model
    body.prefix_encoder = encoder
    handing = _Handing(encoder)
    body.register_forward_pre_hook(handing, with_kwargs=True)
    layers = sizes.shape.layers
    try:
        model.set_attn_implementation(NAME)
        with torch.no_grad():
            body(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device))
        taken, why = handing.last.taken, "only {} of {} layers take one"
    except (ValueError, RuntimeError, TypeError, KeyError, IndexError) as failure:
        taken, why = set(), " ".join(str(failure).split()) or type(failure).__name__
    if taken != set(range(layers)):
        raise refuse(
            what=f"{type(model).__name__} takes no prefix",
            where=where,
            why=why.format(len(taken), layers),
            fix="use LoRA: --set method.name=lora, or another model; a prefix needs attention in "
            "every layer, all of one shape, that transformers lets be replaced",
        )


class _Handing:
    """Hook in front of a model's body: makes the prefix and hands it to the attention."""

    def __init__(self, encoder: PrefixEncoder) -> None:
        self.encoder = encoder
        self.last = Handed(())

    def __call__(self, body: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        past = kwargs.get("past_key_values")
        goes_on = past is not None and past.get_seq_length() > 0
        if self.encoder.training:
            read = kwargs.get("input_ids", args[0] if args else None)
            self.last = Handed(self.encoder(len(kwargs["inputs_embeds"] if read is None else read)))
        elif torch.is_grad_enabled() or not goes_on:
            prefix = self.encoder(1)
            self.last = Handed(tuple((k.to(body.dtype), v.to(body.dtype)) for k, v in prefix))
        return args, {**kwargs, ARGUMENT: self.last}


def shape_of(config: Any) -> Shape:
    """The sizes that a prefix needs of a config of transformers."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return Shape(
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=0,
        gated=False,
        vocab=config.vocab_size,
        max_positions=None,
        tied=False,
        weights=(),
        prefix_inputs=config.hidden_size,
        default_lora_targets=(),
        quantised=(),
    )
