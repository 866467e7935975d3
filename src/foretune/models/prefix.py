"""The prefix of P-Tuning v2 (arXiv:2110.07602): trained keys and values in front of every layer's
own.

B batch, P prefix positions, L layers, K key heads, D width of a head. The keys are not rotated, and
the positions of the tokens behind them are counted as if they were not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .hf import PublishedConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Prefix = tuple[tuple[Tensor, Tensor], ...]
"""For every layer a key and a value, each [B, K, P, D]."""


class PrefixEncoder(nn.Module):
    """Makes the prefix, in float32; parameters are named as published (THUDM/ChatGLM-6B)."""

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        shape = config.shape
        self.layout = (2 * shape.layers, shape.kv_heads, shape.head_dim)
        columns = shape.prefix_inputs if config.prefix_projection else shape.prefix_width
        self.embedding = nn.Embedding(config.pre_seq_len, columns, dtype=torch.float32)
        if config.prefix_projection:
            self.trans = nn.Sequential(
                nn.Linear(columns, shape.hidden, dtype=torch.float32),
                nn.Tanh(),
                nn.Linear(shape.hidden, shape.prefix_width, dtype=torch.float32),
            )
        self.dropout = nn.Dropout(config.prefix_dropout)

    def forward(self, batch: int) -> Prefix:
        """The prefix of ``batch`` rows, which differ only by their dropout."""
        rows = torch.arange(self.embedding.num_embeddings, device=self.embedding.weight.device)
        prefix = self.embedding(rows)
        if hasattr(self, "trans"):
            prefix = self.trans(prefix)
        # [P, 2LKD] -> [B, P, 2L, K, D] -> [2L, B, K, P, D]
        prefix = prefix.unflatten(-1, self.layout).expand(batch, -1, -1, -1, -1)
        halves = self.dropout(prefix).permute(2, 0, 3, 1, 4).unbind(0)
        return tuple(zip(halves[::2], halves[1::2], strict=True))


def started_as_prefix(model: PreTrainedModel, module: nn.Module) -> bool:
    """Draws the first values of ``module`` if it is part of the model's prefix; says whether it is.

    They are torch's own, as in the published training, and not the small normal of the rest.
    """
    encoder = getattr(model.base_model, "prefix_encoder", None)
    if encoder is None or all(part is not module for part in encoder.modules()):
        return False
    if isinstance(module, nn.Embedding):
        init.normal_(module.weight)
    if isinstance(module, nn.Linear):
        bound = module.in_features**-0.5
        init.uniform_(module.weight, -bound, bound)
        init.uniform_(module.bias, -bound, bound)
    return True


def with_prefix(
    prefix: tuple[Tensor, Tensor] | None, k_BKSD: Tensor, v_BKSD: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys and values with the layer's prefix in front, in their number type."""
    if prefix is None:
        return k_BKSD, v_BKSD
    front_k, front_v = (part.to(k_BKSD.dtype).expand(len(k_BKSD), -1, -1, -1) for part in prefix)
    return torch.cat((front_k, k_BKSD), dim=2), torch.cat((front_v, v_BKSD), dim=2)


class TakesPrefix:
    """For a model with a language head: a prefix can be attached, and is made once for a whole
    ``generate``.
    """

    def add_prefix(
        self, pre_seq_len: int, *, projection: bool = False, dropout: float = 0.1
    ) -> None:
        """Attaches a fresh prefix in float32 in front of every layer, and says so in the config."""
        model = cast("PreTrainedModel", self)
        model.config.pre_seq_len = pre_seq_len
        model.config.prefix_projection = projection
        model.config.prefix_dropout = dropout
        encoder = PrefixEncoder(cast(PublishedConfig, model.config)).train(model.training)
        model.base_model.prefix_encoder = encoder.to(model.device)

    @torch.no_grad()
    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; the prefix is made here and not anew for every token."""
        model = cast(Any, self)
        if model.base_model.prefix_encoder is not None:
            made = model.base_model.prefix_encoder(1)
            kwargs["prefix"] = tuple((k.to(model.dtype), v.to(model.dtype)) for k, v in made)
        return super().generate(*args, **kwargs)  # type: ignore[misc]
