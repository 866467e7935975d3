"""The weight files of a model folder: which there are, what is in them, and whether they are the
model's.

Only headers are read here. Weights come from safetensors, or from pickles with ``weights_only``,
which runs no code.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..errors import Problem
from ..text import counted, nearest, sentence_list

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
COPY_AGAIN = (
    "copy or download the file again, and compare its size or sha256 with the published one"
)

UNREADABLE = (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError)
"""What reading a weight file raises where it is damaged, or none."""

Sizes = tuple[int, ...]


def weight_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The files that hold the weights, safetensors before pickles, one before sharded; and those
    that are missing.
    """
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name], []
        if (index := folder / f"{name}.index.json").is_file():
            try:
                names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return [], [
                    Problem(f"{index.name} cannot be read", str(index), repr(error), COPY_AGAIN)
                ]
            return [folder / shard for shard in names], [
                Problem(
                    what=f"{shard} is missing",
                    where=str(index),
                    why="the index says that weights are in it",
                    fix=f"put {shard} beside the index",
                )
                for shard in names
                if not (folder / shard).is_file()
            ]
    return [], [
        Problem(
            what=f"{folder} holds no weights",
            where=str(folder),
            why=f"there is neither {SAFETENSORS} nor {PICKLE}, nor an index of either",
            fix="download the weights into the folder, or name the folder that has them",
        )
    ]


def read_sizes(file: Path) -> dict[str, Sizes]:
    """The shape of every tensor of a file. Raises what the file's library raises for a broken
    one.
    """
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as opened:
            keys = opened.keys()
            return {key: tuple(opened.get_slice(key).get_shape()) for key in keys}
    return {key: tuple(tensor.shape) for key, tensor in read_tensors(file).items()}


def read_tensors(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file; a pickle is mapped into memory where its format allows it."""
    if file.suffix == ".safetensors":
        return load_file(file)
    mapped = file.open("rb").read(2) == b"PK"
    return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)


def problems_of(folder: Path, model: torch.nn.Module) -> list[Problem]:
    """Everything that keeps the weights of ``folder`` from being those of ``model`` (which may be
    on meta).
    """
    files, problems = weight_files(folder)
    found: dict[str, Sizes] = {}
    for file in files:
        try:
            found |= read_sizes(file) if file.is_file() else {}
        except UNREADABLE as error:
            why = str(error).strip().splitlines()[0]
            problems.append(
                Problem(f"{file.name} is damaged or no weight file", str(file), why, COPY_AGAIN)
            )
    return problems or list(misfits(found, model, folder))


def misfits(found: Mapping[str, Sizes], model: Any, folder: Path) -> Iterable[Problem]:
    """Missing, unexpected and misshapen keys; those that differ only in their layer are told as
    one.
    """
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    tied = model.all_tied_weights_keys  # of each pair one may be missing
    spare = tied.keys() | {source for target, source in tied.items() if target in found}
    ignored = re.compile("|".join(model._keys_to_ignore_on_load_unexpected or ()) or "(?!)")
    missing = {key for key in expected.keys() - found.keys() if key not in spare}
    prefix = {key for key in expected if "prefix_encoder." in key}
    if prefix <= missing:  # a fresh one is made
        missing -= prefix
    unexpected = {key for key in found.keys() - expected.keys() if not ignored.search(key)}
    if layers(expected) != layers(found):
        yield Problem(
            what=f"there are {counted(len(layers(found)), 'layer')} in the weights",
            where=str(folder),
            why=f"config.json describes a model of {len(layers(expected))}",
            fix="take config.json and weights from one revision of the model",
        )
        apart = layers(expected) ^ layers(found)
        missing = {key for key in missing if not layers([key]) & apart}
        unexpected = {key for key in unexpected if not layers([key]) & apart}
    for key, count in by_pattern(missing):
        yield Problem(
            what=f"{key} is missing{count}",
            where=str(folder),
            why="config.json describes a model that has it",
            fix="take config.json and weights from one revision of the model; "
            f"the most similar key there is {nearest(key, set(by_name(found)) - {key})}",
        )
    for key, count in by_pattern(unexpected):
        yield Problem(
            what=f"{key} is in the weights{count}, and not in the model",
            where=str(folder),
            why="config.json describes a model without it",
            fix="take config.json and weights from one revision of the model "
            "(quantization_bit and pre_seq_len add keys)",
        )
    misshapen = {key for key in expected.keys() & found.keys() if expected[key] != found[key]}
    for key, count in by_pattern(misshapen):
        first = min(name for name in misshapen if pattern(name) == key)
        yield Problem(
            what=f"{key} has the shape {found[first]}{count}",
            where=str(folder),
            why=f"config.json describes {expected[first]}",
            fix="correct the sizes in config.json, or take it from where the weights come from",
        )


def layers(keys: Iterable[str]) -> set[int]:
    """The numbers of the layers that these keys belong to."""
    numbers = (re.search(r"\blayers\.(\d+)\.", key) for key in keys)
    return {int(number.group(1)) for number in numbers if number}


def pattern(key: str) -> str:
    """A key with the layer's number left open: 'layers.{i}.mlp.weight'."""
    return re.sub(r"\blayers\.\d+\.", "layers.{i}.", key)


def by_name(keys: Iterable[str]) -> list[str]:
    """The patterns of the keys, each once."""
    return sorted({pattern(key) for key in keys})


def by_pattern(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Each pattern with what to say of its layers: '' or ' (in 3 layers: 0, 1, 5)'."""
    layers: dict[str, list[int]] = defaultdict(list)
    for key in sorted(keys):
        number = re.search(r"\blayers\.(\d+)\.", key)
        layers[pattern(key)] += [int(number[1])] if number else []
    return [
        (key, f" (in {counted(len(of), 'layer')}: {sentence_list(sorted(of))})" if of else "")
        for key, of in layers.items()
    ]
