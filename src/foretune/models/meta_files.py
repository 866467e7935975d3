"""Meta's files of a Llama 3: params.json and consolidated.NN.pth, what they must hold, and
everything that is wrong with them.

There are as many consolidated files as the model had parallel parts. Each holds a slice of every
projection and of the embedding, and a copy of every norm.

Source: meta-llama/llama3, llama/model.py; meta-llama/llama-models, models/checkpoint.py.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import Problem, UserError, refuse
from ..params.arch import read_architecture
from ..params.arch.llama3 import NAME, ModelArgs, unknown_vocabulary, with_vocabulary
from ..text import counted, nearest, sentence_list
from .checkpoint import COPY_AGAIN, UNREADABLE, by_pattern, layers, read_header, read_tensors

# Meta's name, transformers' name, and the dimension along which the files hold slices.
OUTSIDE = {
    "tok_embeddings": ("model.embed_tokens", 0),  # along 1 in Llama 1 and 2
    "norm": ("model.norm", None),
    "output": ("lm_head", 0),
}
INSIDE = {
    "attention_norm": ("input_layernorm", None),
    "attention.wq": ("self_attn.q_proj", 0),
    "attention.wk": ("self_attn.k_proj", 0),
    "attention.wv": ("self_attn.v_proj", 0),
    "attention.wo": ("self_attn.o_proj", 1),
    "ffn_norm": ("post_attention_layernorm", None),
    "feed_forward.w1": ("mlp.gate_proj", 0),
    "feed_forward.w3": ("mlp.up_proj", 0),
    "feed_forward.w2": ("mlp.down_proj", 1),
}
EMBEDDING = "tok_embeddings.weight"
UNREAD = {"rope.freqs"}
"""Keys of older files that hold what is computed anyway."""

LLAMA_2_ROWS = 32000
ONE_RELEASE = f"take {NAME} and all consolidated files from one release of the model"

Sizes = tuple[int, ...]
Shards = Sequence[Mapping[str, Tensor]]


def is_meta(folder: str | PathLike[str]) -> bool:
    """Whether a folder is in Meta's layout: params.json, and no config.json."""
    return (Path(folder) / NAME).is_file() and not (Path(folder) / "config.json").is_file()


def read_params(folder: Path) -> tuple[ModelArgs, dict[str, Any]]:
    """What params.json of a folder declares, the vocabulary asked of the tokenizer beside it; and
    all its keys as written.

    Raises UserError where it cannot be read, and where the vocabulary is not known.
    """
    file = folder / NAME
    try:
        written = json.loads(file.read_text("utf-8-sig"))
    except ValueError as error:
        raise refuse(
            what=f"{NAME} is not JSON",
            where=f"{file}:{getattr(error, 'lineno', 1)}",
            why=str(error),
            fix="correct it there, or take it from Meta's release again",
        ) from error
    args, _ = read_architecture(written if isinstance(written, dict) else {}, where=str(file))
    if not isinstance(args, ModelArgs):
        raise refuse(
            what=f"{NAME} describes no Llama 3",
            where=str(file),
            why="it must have the keys dim and n_layers, and no model_type",
            fix="take it from Meta's release again",
        )
    args = with_vocabulary(args, folder)
    if args.vocab_size < 0:
        raise UserError(unknown_vocabulary(args, str(file)))
    return args, written


# --- what the files must hold ---


def names(args: ModelArgs) -> dict[str, tuple[str, int | None]]:
    """Meta's name of every tensor: transformers' name, and the dimension that is sliced."""
    inside = {
        f"layers.{i}.{name}": (f"model.layers.{i}.{other}", dim)
        for i in range(args.n_layers)
        for name, (other, dim) in INSIDE.items()
    }
    found = OUTSIDE | inside
    return {f"{name}.weight": (f"{other}.weight", dim) for name, (other, dim) in found.items()}


def sizes(args: ModelArgs) -> dict[str, Sizes]:
    """The shape of every whole tensor under Meta's name."""
    shapes = {name: weight.shape for weight in args.shape.weights for name in weight.names()}
    return {name: shapes[other] for name, (other, _) in names(args).items()}


def sliced_along(name: str, whole: Sizes, part: Sizes, usual: int | None) -> int | None:
    """The dimension along which ``part`` of ``whole`` is cut: the usual one but for the embedding,
    where it is the one that is shorter.
    """
    if name == EMBEDDING and len(part) == 2 and part[0] == whole[0] and part[1] < whole[1]:
        return 1
    return usual


# --- opening them ---


def checked_dtype(folder: Path, args: ModelArgs) -> torch.dtype:
    """The number type of the consolidated files of a folder, whose headers and norms alone are
    read.

    Raises UserError with everything that is wrong with the files.
    """
    files, problems = consolidated(folder)
    shards: list[Mapping[str, Tensor]] = []
    for file in files:
        try:
            read_header(file)  # refuses what holds no tensors by name
            found = read_tensors(file)
            shards.append({key: found[key] for key in found if key not in UNREAD})
        except UNREADABLE as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            what = f"{file.name} is damaged or no weight file"
            problems.append(Problem(what, str(file), why, COPY_AGAIN))
    problems = problems or list(misfits(args, shards, folder))
    if problems:
        raise UserError(problems)
    return shards[0][EMBEDDING].dtype


def consolidated(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The consolidated files of a folder in their order, and those that are missing."""
    files = sorted(folder.glob("consolidated.*.pth"))
    if not files:
        return [], [
            Problem(
                what=f"{folder} holds no weights",
                where=str(folder),
                why=f"there is {NAME}, and no consolidated.00.pth",
                fix="put the consolidated files of the release beside it",
            )
        ]
    there = {file.name for file in files}
    wanted = [f"consolidated.{i:02d}.pth" for i in range(len(files))]
    return files, [
        Problem(
            what=f"{name} is missing",
            where=str(folder),
            why=f"the files are numbered from 00 on, and {files[-1].name} is there",
            fix=ONE_RELEASE,
        )
        for name in wanted
        if name not in there
    ]


def misfits(args: ModelArgs, shards: Shards, folder: Path) -> Iterator[Problem]:
    """Missing, unexpected and misshapen keys, and files that contradict each other; keys that
    differ only in their layer are told as one.
    """
    expected, found = sizes(args), {key for shard in shards for key in shard}
    if layers(expected) != layers(found):
        yield Problem(
            what=f"there are {counted(len(layers(found)), 'layer')} in the weights",
            where=str(folder),
            why=f"{NAME} says n_layers = {args.n_layers}",
            fix=ONE_RELEASE,
        )
    both = layers(expected) & layers(found)
    compared = {key for key in expected.keys() | found if layers([key]) <= both}
    for i, shard in enumerate(shards):
        at = f"{folder / f'consolidated.{i:02d}.pth'}"
        for key, count in by_pattern((compared & expected.keys()) - shard.keys()):
            like = nearest(key, {one for one, _ in by_pattern(shard)} - {key})
            yield Problem(
                what=f"{key} is missing{count}",
                where=at,
                why=f"a model with the sizes of {NAME} has it",
                fix=f"{ONE_RELEASE}; the most similar key there is {like}",
            )
        for key, count in by_pattern((compared & shard.keys()) - expected.keys()):
            yield Problem(
                what=f"{key} is in the weights{count}, and not in the model",
                where=at,
                why="the text models of Llama 3 have no such tensor (vision, quantised and "
                "mixture-of-experts models of later releases have others)",
                fix=ONE_RELEASE,
            )
    everywhere = {key for key in expected if all(key in shard for shard in shards)}
    yield from misshapen(args, shards, folder, everywhere)
    yield from contradictions(shards, folder, everywhere, args)
    yield from another_base(args, folder)


def misshapen(args: ModelArgs, shards: Shards, folder: Path, keys: set[str]) -> Iterator[Problem]:
    """Tensors whose slices do not make up the whole."""
    expected, cuts, count = sizes(args), names(args), len(shards)
    wrong: dict[str, str] = {}
    for key in keys:
        whole, parts = expected[key], [tuple(shard[key].shape) for shard in shards]
        dim = sliced_along(key, whole, parts[0], cuts[key][1])
        wanted = tuple(
            side // count if place == dim and count > 1 else side
            for place, side in enumerate(whole)
        )
        divides = dim is None or whole[dim] % count == 0
        if not divides or any(part != wanted for part in parts):
            shown = sentence_list(dict.fromkeys(map(str, parts)), most=4)
            wrong[key] = f"{shown}|{whole} in {counted(count, 'file')}: {wanted} in each"
    for key, layers_told in by_pattern(wrong):
        first = next(one for one in sorted(wrong) if by_pattern([one])[0][0] == key)
        is_there, said = wrong[first].split("|")
        yield Problem(
            what=f"{key} has the shape {is_there}{layers_told}",
            where=str(folder),
            why=f"{NAME} and the number of files describe {said}",
            fix=f"{ONE_RELEASE}; all its consolidated files must be there",
        )


def contradictions(
    shards: Shards, folder: Path, keys: set[str], args: ModelArgs
) -> Iterator[Problem]:
    """Norms, which every file has whole, that differ; and files in different number types."""
    kept_whole = {key for key in keys if names(args)[key][1] is None}
    differ = {
        key
        for key in kept_whole
        for shard in shards[1:]
        if shard[key].shape == shards[0][key].shape and not torch.equal(shard[key], shards[0][key])
    }
    for key, count in by_pattern(differ):
        yield Problem(
            what=f"{key} is not the same in all files{count}",
            where=str(folder),
            why="every file holds a copy of it; these are files of different models",
            fix=ONE_RELEASE,
        )
    types: dict[torch.dtype, set[int]] = defaultdict(set)
    for i, shard in enumerate(shards):
        for key in keys:
            types[shard[key].dtype].add(i)
    if len(types) > 1 and any(len(places) < len(shards) for places in types.values()):
        told = sentence_list(f"{kind} in {sorted(at)}" for kind, at in types.items())
        yield Problem(
            what="the files are in different number types",
            where=str(folder),
            why=f"by the number of the file: {told}",
            fix=ONE_RELEASE,
        )


def another_base(args: ModelArgs, folder: Path) -> Iterator[Problem]:
    """Llama 1 and 2, whose params.json leaves the base of the angles to their code."""
    if args.vocab_size == LLAMA_2_ROWS and "rope_theta" not in args.model_fields_set:
        yield Problem(
            what=f"rope_theta is not given, and vocab_size is {LLAMA_2_ROWS}",
            where=str(folder / NAME),
            why="that is the vocabulary of Llama 1 and 2, whose code takes 10000 as the base of "
            f"the rotary angles; Llama 3's takes {args.rope_theta}",
            fix='write "rope_theta": 10000.0 for Llama 1 and 2, or the base of your model',
        )
