"""The model of a run on the traced device, with few of its blocks and none of its numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ...models.baichuan import NormHead
from ...models.fresh import fresh_model
from ...models.hf import PublishedConfig
from ...models.nf4 import NF4Linear
from ...models.quantized import PACKED_NAMES, PackedLinear, pack_linears, packed_bits
from ...params.run import Run
from ...tune import method
from ..base import loading
from .device import DEVICE, Assenting
from .places import FEWEST, INPUTS, place_of

PATTERNS = ("layer_types",)
"""Keys of a config that hold a word for every block."""
UNEVEN = {"first_k_dense_replace": 0, "decoder_sparse_step": 1, "mlp_only_layers": [],
          "num_kv_shared_layers": 0}  # fmt: skip
"""Keys of a config that make some blocks unlike others -> where they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many blocks a model has, and how many of them tell of all."""

    layers: int
    traced: int
    period: int
    """After how many blocks the kinds of blocks begin again."""


def sizes_of(config: PreTrainedConfig) -> Sizes:
    """Few enough blocks to be quick, with some in the middle that are like all there."""
    layers = num_layers(config)
    period = _period(getattr(config, "layer_types", None) or ["one"])
    even = all(getattr(config, key, same) in (same, None) for key, same in UNEVEN.items())
    if not even or layers % period or layers <= FEWEST * period:
        return Sizes(layers=layers, traced=layers, period=1)
    return Sizes(layers=layers, traced=FEWEST * period, period=period)


def num_layers(config: PreTrainedConfig) -> int:
    """Blocks of a model; of an encoder and a decoder, those of each."""
    name = LAYERS.get(config.model_type, "num_hidden_layers")
    return int(getattr(config, name if hasattr(config, name) else "num_layers"))


LAYERS = {"t5": "num_layers", "mt5": "num_layers"}


def _period(words: list[str]) -> int:
    """After how many the words begin again."""
    fits = (n for n in range(1, len(words)) if words[n:] == words[:-n])
    return next(fits, len(words))


def with_layers(config: PreTrainedConfig, layers: int) -> PreTrainedConfig:
    """The same model with so many blocks."""
    changed: Any = copy.deepcopy(config)
    for name in ("num_hidden_layers", "num_layers", "n_layer"):
        if hasattr(changed, name):
            setattr(changed, name, layers)
    for name in PATTERNS:
        if getattr(changed, name, None):
            setattr(changed, name, getattr(changed, name)[:layers])
    return changed


@dataclass(frozen=True, slots=True)
class Planned:
    """A model as the run loads it, before it is built."""

    config: PreTrainedConfig
    dtype: torch.dtype
    attention: str | None
    bits: int
    """In which its linears are packed; 0 where they are not."""


def planned(run: Run) -> Planned:
    """What ``loading`` makes of the run. Raises UserError as it does."""
    chosen = loading(run)
    asked: Any = chosen.get("quantization_config")
    config: PreTrainedConfig = chosen["config"]
    bits = (
        asked.bits if asked is not None else 0 if chosen.get("dequantize") else packed_bits(config)
    )
    return Planned(config, chosen["dtype"], chosen.get("attn_implementation"), bits)


def build(plan: Planned, run: Run, layers: int) -> nn.Module:
    """The model with its method on torch's meta device, as the trainer would have it."""
    config: Any = with_layers(plan.config, layers)
    config.use_cache = False  # as the trainer sets it
    if plan.bits and isinstance(config, PublishedConfig):
        for key in ("quantization_bit", "quantization_config"):
            if hasattr(config, key):
                setattr(config, key, 0 if key == "quantization_bit" else None)
    with torch.device("meta"), Assenting():
        model: Any = fresh_model(config, dtype=plan.dtype, attention=plan.attention)
        if plan.bits:
            kind = NF4Linear if plan.bits == 4 and not _has_own_packing(config) else PackedLinear
            names = PACKED_NAMES if _has_own_packing(config) else linear_names(model)
            pack_linears(model, names, plan.bits, empty=True, kind=kind)
        assert run.method.name is not None
        return method(run.method.name).attach(model, run)


def _has_own_packing(config: PreTrainedConfig) -> bool:
    return isinstance(config, PublishedConfig) and config.model_type == "chatglm"


def linear_names(model: Any) -> list[str]:
    """Last names of the linears inside the blocks: what bitsandbytes packs."""
    return sorted(
        {
            name.rpartition(".")[2]
            for block in blocks(model).values()
            for name, one in block.named_modules()
            if isinstance(one, nn.Linear)
        }
    )


def move(
    model: nn.Module, located: list[tuple[nn.Module, str]], arrive: Callable[[str], None]
) -> None:
    """Puts every parameter and buffer on the traced device, tied ones once, and says for which
    block. ``Module.to`` cannot: it swaps tensors that others point to.
    """
    made: dict[int, Tensor] = {}

    def there(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            empty = torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)
            parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = (
                nn.Parameter(empty, requires_grad=tensor.requires_grad) if parameter else empty
            )
        return made[id(tensor)]

    owners = {id(part): place for block, place in located for part in block.modules()}
    for module in model.modules():
        arrive(owners.get(id(module), INPUTS))
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    held[name] = there(tensor)  # type: ignore[assignment]
        if isinstance(module, NormHead):  # it looks at addresses, which there are none of
            lengths = torch.empty(module.out_features, device=DEVICE)
            module.inverse_lengths = lambda lengths=lengths: lengths  # type: ignore[method-assign]


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The blocks by their names, in the order of the model."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, GradientCheckpointingLayer)
    }


def places(model: nn.Module, period: int) -> Iterator[tuple[nn.Module, str]]:
    """Every block with its place in its stack; so many that follow each other share one."""
    stacks: dict[str, list[nn.Module]] = {}
    for name, block in blocks(model).items():
        stacks.setdefault(name.rpartition(".")[0], []).append(block)
    for number, stack in enumerate(stacks.values()):
        kind = "" if len(stacks) == 1 else "encoder " if number == 0 else "decoder "
        for index, block in enumerate(stack):
            yield block, kind + place_of(index // period, -(-len(stack) // period))
