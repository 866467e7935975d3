"""Llama 3 from Meta's own files straight into transformers' LlamaForCausalLM, and back.

Meta rotates neighbouring elements of a head, transformers the two halves of it, so that the rows
of the query and key projections stand in another order; all other tensors are the same under other
names.

Source: meta-llama/llama3, llama/model.py; meta-llama/llama-models, models/llama3/model.py;
transformers' LlamaConfig. Nothing in Llama 3.2's params.json tells that transformers stretches its
angles by 32; here it is 8, as in Meta's code.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_enabled

from ..errors import Problem, UserError, refuse
from ..files import write_whole
from ..params.arch import read_architecture
from ..params.arch.llama3 import CONTEXT, NAME, SPECIAL_TOKENS, ModelArgs, ffn_hidden_dim
from .checkpoint import layers, read_tensors
from .meta_files import (
    Shards,
    checked_dtype,
    consolidated,
    names,
    read_params,
    sizes,
    sliced_along,
)
from .weights import placed, put

KEPT = "params_json"
"""Key of config.json under which the keys of params.json are kept for the way back."""

SCALED_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": CONTEXT,
}
OURS = {"attn_implementation"}
"""The arguments of ``from_pretrained`` that are understood here."""

END_OF_TEXT, END_OF_MESSAGE, END_OF_TURN = 1, 8, 9
"""Places among the special tokens where an answer ends; the second one since Llama 3.1."""


# --- Meta's files to transformers ---


def load_config(folder: Path) -> LlamaConfig:
    """transformers' config of a folder in Meta's layout. It keeps the keys of params.json, for the
    way back. Raises UserError where params.json cannot be read or its vocabulary is not known.
    """
    args, written = read_params(folder)
    rope = SCALED_ROPE if args.use_scaled_rope else {"rope_type": "default"}
    later = (END_OF_MESSAGE,) if args.use_scaled_rope else ()
    special = args.vocab_size - SPECIAL_TOKENS
    numbered = special >= 256  # every byte is a token: fewer rows hold no vocabulary of Llama 3
    return LlamaConfig(
        architectures=[LlamaForCausalLM.__name__],
        vocab_size=args.vocab_size,
        hidden_size=args.dim,
        intermediate_size=args.ffn_hidden_dim,
        num_hidden_layers=args.n_layers,
        num_attention_heads=args.n_heads,
        num_key_value_heads=args.key_value_heads,
        max_position_embeddings=args.context,
        rms_norm_eps=args.norm_eps,
        rope_parameters={**rope, "rope_theta": float(args.rope_theta)},
        tie_word_embeddings=False,
        bos_token_id=special if numbered else None,
        eos_token_id=[special + place for place in (END_OF_TEXT, *later, END_OF_TURN)]
        if numbered
        else None,
        **{"name_or_path": str(folder), KEPT: written},
    )


def load_model(
    folder: Path,
    *,
    config: LlamaConfig | None = None,
    dtype: torch.dtype | str = "auto",
    device: torch.device | str = "cpu",
    progress: bool = True,
    **kwargs: Any,
) -> LlamaForCausalLM:
    """The model of a folder in Meta's layout, for evaluation, in ``dtype`` ("auto": that of the
    files) on ``device``.

    The files are mapped into memory and read one tensor at a time; nothing is held twice.
    ``kwargs`` are those of ``from_pretrained``. Where its own way of placing weights is needed
    (quantization_config, device_map, ZeRO-3, FSDP) it gets them; several files are then joined in
    memory first. Raises UserError with everything that is wrong with the files.
    """
    args, _ = read_params(folder)
    kept = checked_dtype(folder, args)
    dtype = kept if dtype == "auto" else dtype
    config = config or load_config(folder)
    weights = tqdm(
        joined(args, folder),
        total=len(names(args)),
        desc="consolidated.*.pth",
        file=sys.stderr,
        leave=False,
        disable=not (progress and sys.stderr.isatty()),
    )
    if is_deepspeed_zero3_enabled() or is_fsdp_enabled() or not kwargs.keys() <= OURS:
        whole = dict(weights)
        return LlamaForCausalLM.from_pretrained(
            None, config=config, state_dict=whole, dtype=dtype, **kwargs
        )
    with torch.device("meta"), no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, **kwargs)
    for name, tensor in weights:
        put(model, name, placed(tensor, model.dtype, torch.device(device)))
    rotary = type(model.model.rotary_emb)(config=config)  # its angles are in no file
    model.model.rotary_emb = rotary.to(device)
    return model.eval()


def hf_weights(args: ModelArgs, folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a folder in Meta's layout under transformers' name, its rows in transformers'
    order.

    One tensor is joined at a time; those that need no joining are the mapped files themselves.
    Raises UserError with everything that is wrong with the files.
    """
    checked_dtype(folder, args)
    return joined(args, folder)


def joined(args: ModelArgs, folder: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of files that fit together, as transformers names and orders them.

    The files are opened anew for every layer: their pages count until no tensor of that opening is
    left.
    """
    files, _ = consolidated(folder)
    for _, layer in groupby(names(args), key=lambda name: layers([name])):
        shards = [read_tensors(file) for file in files]
        for name in layer:
            yield names(args)[name][0], whole(args, shards, name)


def whole(args: ModelArgs, shards: Shards, name: str) -> Tensor:
    """The tensor of Meta's ``name`` out of all files, its rows in transformers' order."""
    parts = [shard[name] for shard in shards]
    dim = sliced_along(name, sizes(args)[name], tuple(parts[0].shape), names(args)[name][1])
    tensor = parts[0] if dim is None or len(parts) == 1 else torch.cat(parts, dim=dim)
    heads = rotated_heads(args, name)
    return halves_first(tensor, heads) if heads else tensor


def rotated_heads(args: ModelArgs, name: str) -> int:
    """The heads of a projection whose rows are rotated; 0 for every other tensor."""
    if name.endswith("attention.wq.weight"):
        return args.n_heads
    return args.key_value_heads if name.endswith("attention.wk.weight") else 0


def halves_first(weight: Tensor, heads: int) -> Tensor:
    """Rows in Meta's order, the two of a rotated pair side by side, to transformers': in every
    head the first of all pairs, then the second.
    """
    rows, inputs = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, inputs)
    return pairs.transpose(1, 2).reshape(rows, inputs)


def pairs_together(weight: Tensor, heads: int) -> Tensor:
    """The inverse of `halves_first`."""
    rows, inputs = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, inputs)
    return halves.transpose(1, 2).reshape(rows, inputs)


# --- transformers to Meta's files ---


def to_meta(
    model: PreTrainedModel | Mapping[str, Tensor],
    folder: Path,
    *,
    config: LlamaConfig | None = None,
    shards: int = 1,
) -> list[Path]:
    """Writes a Llama of transformers as params.json and ``shards`` consolidated files; gives the
    places of all.

    ``model`` is the model, or its tensors by transformers' names with ``config`` beside them. No
    more than one file's slices are held beside them. Raises UserError where Meta's code cannot
    compute this model, and where it does not divide into so many files.
    """
    if isinstance(model, PreTrainedModel):
        config = config or cast(LlamaConfig, model.config)
        model = model.state_dict()
    assert config is not None, "tensors alone do not say what they are of"
    written = params_of(config)
    args = declared(written)
    refuse_uneven(args, shards)
    folder.mkdir(parents=True, exist_ok=True)
    places = [write_whole(folder / NAME, json.dumps(written) + "\n")]
    for i in range(shards):
        place = folder / f"consolidated.{i:02d}.pth"
        aside = place.with_name(f".{place.name}.unfinished")
        torch.save(dict(slices(args, model, i, shards)), aside)
        places.append(aside.replace(place))
    return places


def slices(
    args: ModelArgs, tensors: Mapping[str, Tensor], part: int, parts: int
) -> Iterator[tuple[str, Tensor]]:
    """What one of ``parts`` consolidated files holds, in tensors of their own."""
    cuts = names(args)
    for name, tensor in meta_weights(args, tensors.items()):
        dim = cuts[name][1]
        if dim is not None and parts > 1:
            tensor = tensor.chunk(parts, dim=dim)[part]
        # a slice, or a tensor of another layout, would be saved with all of its storage
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
        yield (
            name,
            tensor.detach()
            if whole
            else tensor.detach().clone(memory_format=torch.contiguous_format),
        )


def meta_weights(
    args: ModelArgs, tensors: Iterable[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """Tensors by transformers' names, as Meta names and orders them; in the order they come in.

    An output layer that is the embedding is given once more, since Meta's files always hold it.
    Tensors that a Llama has not are left out.
    """
    of = {other: name for name, (other, _) in names(args).items()}
    embedding: Tensor | None = None
    given: set[str] = set()
    for other, tensor in tensors:
        if (name := of.get(other)) is None:
            continue
        given.add(other)
        if other == "model.embed_tokens.weight":
            embedding = tensor
        heads = rotated_heads(args, name)
        yield name, pairs_together(tensor, heads) if heads else tensor
    if "lm_head.weight" not in given and embedding is not None:
        yield "output.weight", embedding


def params_of(config: LlamaConfig) -> dict[str, Any]:
    """params.json of a Llama of transformers: the one that it was read from where it still
    describes the model, else one that does.

    Raises UserError with everything that Meta's code does not compute.
    """
    if problems := list(unlike_meta(config)):
        raise UserError(problems)
    dim, width = config.hidden_size, config.intermediate_size
    rope = dict(config.rope_parameters or {})
    made: dict[str, Any] = {
        "dim": dim,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "vocab_size": config.vocab_size,
        **width_keys(dim, width),
        "norm_eps": config.rms_norm_eps,
        "rope_theta": rope["rope_theta"],
        **({"use_scaled_rope": True} if rope["rope_type"] == "llama3" else {}),
    }
    kept = getattr(config, KEPT, None)
    if not isinstance(kept, dict):
        return made
    args, wanted = declared(kept), declared(made)
    if args.vocab_size < 0:  # it was asked of the tokenizer
        args = args.model_copy(update={"vocab_size": config.vocab_size})
    if computed(args) == computed(wanted):
        return {**kept, "vocab_size": config.vocab_size}
    others = {key: value for key, value in kept.items() if key not in ModelArgs.model_fields}
    return made | others


def declared(keys: Mapping[str, Any]) -> ModelArgs:
    """What Meta's code takes of the keys of a params.json. Raises UserError where it cannot be."""
    args, _ = read_architecture(keys, where=NAME)
    assert isinstance(args, ModelArgs), "these are the keys that a params.json is known by"
    return args


def computed(args: ModelArgs) -> tuple[object, ...]:
    """Everything of the keys that Meta's code computes with, the width as it comes out."""
    return (
        args.dim, args.n_layers, args.n_heads, args.key_value_heads, args.vocab_size,
        args.ffn_hidden_dim, args.norm_eps, float(args.rope_theta), args.use_scaled_rope,
    )  # fmt: skip


def width_keys(dim: int, width: int) -> dict[str, Any]:
    """``multiple_of`` and ``ffn_dim_multiplier`` that make up a width: the largest power of two
    that divides it, up to 4096, and the shortest factor that leads there.
    """
    multiple = math.gcd(width, 4096)
    if ffn_hidden_dim(dim, multiple, None) == width:
        return {"multiple_of": multiple, "ffn_dim_multiplier": None}
    middle = (width + 1 - multiple / 2) / int(8 * dim / 3)
    factors = (round(middle, digits) for digits in range(1, 16))
    factor = next(one for one in factors if one > 0 and ffn_hidden_dim(dim, multiple, one) == width)
    return {"multiple_of": multiple, "ffn_dim_multiplier": factor}


def unlike_meta(config: LlamaConfig) -> Iterator[Problem]:
    """What a Llama of transformers may have and Meta's code has not."""
    where = str(config.name_or_path or "config.json")
    rope = config.rope_parameters or {}
    scaled = {key: value for key, value in rope.items() if key != "rope_theta"}
    unlike = {
        "model_type": config.model_type != "llama",
        "hidden_act": config.hidden_act != "silu",
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "head_dim": config.head_dim != config.hidden_size // config.num_attention_heads,
        "rope_parameters": scaled not in ({"rope_type": "default"}, SCALED_ROPE),
    }
    for key, differs in unlike.items():
        if differs:
            yield Problem(
                what=f"{key} = {getattr(config, key)!r} cannot be written in Meta's layout",
                where=where,
                why=f"{NAME} has no key for it, and Meta's code computes something else",
                fix="keep this model in the layout of transformers",
            )


def refuse_uneven(args: ModelArgs, shards: int) -> None:
    """Raises UserError where the model does not divide into so many files."""
    parts = {
        "n_heads": args.n_heads,
        "n_kv_heads": args.key_value_heads,
        "the width of the feed-forward block": args.ffn_hidden_dim,
        "vocab_size": args.vocab_size,
    }
    uneven = [f"{name} {count}" for name, count in parts.items() if count % max(shards, 1)]
    if shards < 1 or uneven:
        raise refuse(
            what=f"this Llama does not divide into {shards} consolidated files",
            where="shards",
            why=f"{', '.join(uneven) or 'there is at least one file'}: "
            "every file holds equally many heads and rows",
            fix="take a number that divides all of them; 1 always does",
        )
