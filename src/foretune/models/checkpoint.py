"""The weight files of a model folder: which there are, what is in them, and whether they are the
model's.

Only headers are read here. Weights come from safetensors, or from pickles with ``weights_only``,
which runs no code.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..errors import Problem
from ..text import counted, nearest, sentence_list, size
from .nf4 import tensors_by_name

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
COPY_AGAIN = (
    "copy or download the file again, and compare its size or sha256 with the published one"
)
ONE_REVISION = "take config.json and weights from one revision of the model"

UNREADABLE = (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError)
"""What reading a weight file raises where it is damaged, or none."""

FULL = {torch.float64, torch.float32, torch.bfloat16, torch.float16}
"""What full weights are written in. Narrower floats stand for something only with their scales."""

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""How safetensors writes number types; what is not here is read as bytes."""

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors refuses a longer one."""


def weight_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The files that hold the weights, safetensors before pickles, one before sharded; and those
    that are missing.
    """
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name], []
        if (index := folder / f"{name}.index.json").is_file():
            try:
                names = sorted(set(read_index(index).values()))
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
            fix="download the weights into the folder, or name the folder that has them; to train "
            "from random weights, ask for it: --model.fresh",
        )
    ]


def read_index(index: Path) -> dict[str, str]:
    """Key -> the name of the file that it is in."""
    return dict(json.loads(index.read_text("utf-8"))["weight_map"])


def read_header(file: Path) -> dict[str, Tensor]:
    """The tensors of a file on the meta device: shapes and number types without numbers.

    Raises what the file's library raises for a broken one.
    """
    if file.suffix != ".safetensors":
        found = torch.load(file, map_location="meta", weights_only=True)
        found = tensors_by_name(found) if isinstance(found, dict) else found
        if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
            raise UnpicklingError("it holds something else than tensors by name")
        return found
    with safe_open(file, framework="pt") as opened:
        found = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
        return {
            key: torch.empty(
                part.get_shape(), dtype=DTYPES.get(part.get_dtype(), torch.uint8), device="meta"
            )
            for key, part in found.items()
        }


def read_tensors(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file; a pickle is mapped into memory where its format allows it."""
    if file.suffix == ".safetensors":
        return load_file(file)
    mapped = file.open("rb").read(2) == b"PK"
    return tensors_by_name(torch.load(file, map_location="cpu", weights_only=True, mmap=mapped))


def unreadable(folder: Path) -> list[Problem]:
    """The weight files of ``folder`` that are absent or damaged, whatever model they are of."""
    files, problems = weight_files(folder)
    for file in files:
        try:
            if file.is_file():
                read_header(file)
        except UNREADABLE as error:
            problems.append(_damaged(file, error))
    return problems


def problems_of(folder: Path, model: Any) -> list[Problem]:
    """Everything that keeps the weights of ``folder`` from being those of ``model`` (which may be
    on meta): files that are absent or damaged, and keys that are missing, extra, in two files, of
    another shape or of another kind of number.
    """
    files, problems = weight_files(folder)
    found: dict[str, Tensor] = {}
    holder: dict[str, Path] = {}
    unread = {file for file in files if not file.is_file()}
    for file in files:
        if file in unread:
            continue
        try:
            header = read_header(file)
        except UNREADABLE as error:
            unread.add(file)
            problems.append(_damaged(file, error))
            continue
        if file.suffix != ".safetensors" and (
            told := _cut_pickle(file, header, model.all_tied_weights_keys)
        ):
            problems.append(told)
        problems += [
            Problem(
                what=f"{key} is in two files: {holder[key].name} and {file.name}",
                where=str(folder),
                why="only one of them can be the weight",
                fix="remove the file that is not of this model's revision",
            )
            for key in sorted(header.keys() & found.keys())
        ]
        found |= header
        holder |= dict.fromkeys(header, file)
    if unread == set(files):
        return problems
    return problems + list(misfits(found, model, folder, elsewhere=_keys_in(folder, unread)))


def _keys_in(folder: Path, files: set[Path]) -> set[str]:
    """The keys that the index says are in these files."""
    for index in (folder / f"{name}.index.json" for name in (SAFETENSORS, PICKLE)):
        if files and index.is_file():
            return {key for key, name in read_index(index).items() if folder / name in files}
    return set()


def _damaged(file: Path, error: Exception) -> Problem:
    """What to say of a file that its library cannot read, with the keys that a cut has cost."""
    lines = str(error).strip().splitlines() or [repr(error)]
    if file.suffix == ".safetensors" and (cut := _cut(file)):
        should, lost = cut
        return Problem(
            what=f"{file.name} is cut off: {counted(len(lost), 'tensor')} of it "
            f"{'is' if len(lost) == 1 else 'are'} damaged, {sentence_list(lost, most=4)}",
            where=str(file),
            why=f"its header describes {size(should)}, and it has {size(file.stat().st_size)}",
            fix=COPY_AGAIN,
        )
    return Problem(f"{file.name} is damaged or no weight file", str(file), lines[0], COPY_AGAIN)


def _cut(file: Path) -> tuple[int, list[str]] | None:
    """The size that the header of a safetensors file describes, and the keys that end behind the
    end of the file; None where there is no such header or no such key.
    """
    there = file.stat().st_size
    with file.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        if not 0 < length <= min(there, LONGEST_HEADER):
            return None
        try:
            header = json.loads(raw.read(length))
            ends = {
                key: entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    lost = [key for key, end in sorted(ends.items()) if 8 + length + end > there]
    return (8 + length + max(ends.values()), lost) if lost else None


def _cut_pickle(file: Path, header: Mapping[str, Tensor], tied: Iterable[str]) -> Problem | None:
    """A pickle of the old form can be cut off behind its header; one of the new form cannot be
    opened then. Tied tensors may be stored once.
    """
    should = sum(tensor.nbytes for key, tensor in header.items() if key not in set(tied))
    there = file.stat().st_size
    if there >= should:
        return None
    return Problem(
        what=f"{file.name} is cut off",
        where=str(file),
        why=f"its tensors take {size(should)}, and it has {size(there)}",
        fix=COPY_AGAIN,
    )


def misfits(
    found: Mapping[str, Tensor], model: Any, folder: Path, *, elsewhere: Iterable[str] = ()
) -> Iterator[Problem]:
    """Missing, unexpected and misshapen keys, and those whose numbers are of another kind; those
    that differ only in their layer are told as one. Keys that stand ``elsewhere`` are not missed.
    """
    expected: dict[str, Tensor] = model.state_dict()
    tied = model.all_tied_weights_keys  # of each pair one may be missing
    spare = tied.keys() | {source for target, source in tied.items() if target in found}
    ignored = re.compile("|".join(model._keys_to_ignore_on_load_unexpected or ()) or "(?!)")
    missing = {key for key in expected.keys() - found.keys() if key not in spare}
    prefix = {key for key in expected if "prefix_encoder." in key}
    if prefix <= missing:  # a fresh one is made
        missing -= prefix
    missing -= set(elsewhere)
    unexpected = {key for key in found.keys() - expected.keys() if not ignored.search(key)}
    if layers(expected) != layers([*found, *elsewhere]):
        yield Problem(
            what=f"there are {counted(len(layers([*found, *elsewhere])), 'layer')} in the weights",
            where=str(folder),
            why=f"config.json describes a model of {len(layers(expected))}",
            fix=ONE_REVISION,
        )
        apart = layers(expected) ^ layers([*found, *elsewhere])
        missing = {key for key in missing if not layers([key]) & apart}
        unexpected = {key for key in unexpected if not layers([key]) & apart}
    for key, count in by_pattern(missing):
        yield Problem(
            what=f"{key} is missing{count}",
            where=str(folder),
            why="config.json describes a model that has it",
            fix=f"{ONE_REVISION}; "
            f"the most similar key there is {nearest(key, set(by_name(found)) - {key})}",
        )
    for key, count in by_pattern(unexpected):
        yield Problem(
            what=f"{key} is in the weights{count}, and not in the model",
            where=str(folder),
            why="config.json describes a model without it",
            fix=f"{ONE_REVISION} (quantization_bit and pre_seq_len add keys)",
        )
    yield from _unlike(found, expected, folder)


def _unlike(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], folder: Path
) -> Iterator[Problem]:
    """The keys of both that have another shape, or numbers of another kind."""
    both = sorted(expected.keys() & found.keys())
    misshapen = {key for key in both if expected[key].shape != found[key].shape}
    for key, count in by_pattern(misshapen):
        first = min(name for name in misshapen if pattern(name) == key)
        yield Problem(
            what=f"{key} has the shape {tuple(found[first].shape)}{count}",
            where=str(folder),
            why=f"config.json describes {tuple(expected[first].shape)}",
            fix="correct the sizes in config.json, or take it from where the weights come from",
        )
    yield from other_kinds(
        found, {key: expected[key] for key in both if key not in misshapen}, folder
    )


def other_kinds(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], folder: Path
) -> Iterator[Problem]:
    """The keys of both whose numbers are of another kind: packed ones for full ones, or the other
    way round.
    """
    both = expected.keys() & found.keys()
    other = {key for key in both if not _same_kind(found[key].dtype, expected[key].dtype)}
    for key, count in by_pattern(other):
        first = min(name for name in other if pattern(name) == key)
        wanted = expected[first].dtype
        yield Problem(
            what=f"{key} holds {_name(found[first].dtype)}{count}",
            where=str(folder),
            why=f"config.json describes a model that has {_name(wanted)} there"
            if not wanted.is_floating_point
            else "config.json describes full weights, in float32, float16 or bfloat16",
            fix="take the quantization_bit out of config.json"
            if not wanted.is_floating_point
            else "take the config.json that was published with these packed weights, or weights "
            "that are not packed",
        )


def _same_kind(found: torch.dtype, wanted: torch.dtype) -> bool:
    return found in FULL if wanted.is_floating_point else found == wanted


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def not_taken(found: Mapping[str, Any], model: Any, where: str) -> list[Problem]:
    """Where ``from_pretrained`` has not taken what the files hold, as its ``output_loading_info``
    tells: weights that they lack and that have another shape there, which are random then, and
    layers that the model has not.
    """
    fix = ONE_REVISION
    own = layers(model.state_dict())
    beyond = sorted(layers(found["unexpected_keys"]) - own)
    extra = [
        Problem(
            what=f"the weights have {counted(len(beyond), 'layer')} more: {sentence_list(beyond)}",
            where=where,
            why=f"config.json describes a model of {len(own)}",
            fix=fix,
        )
    ]
    shapes = {key: (old, new) for key, old, new in found["mismatched_keys"]}
    missing = [
        Problem(f"{key} is missing{count}", where, "config.json describes a model that has it", fix)
        for key, count in by_pattern(found["missing_keys"])
    ]
    return (
        (extra if own and beyond else [])
        + missing
        + [
            Problem(
                what=f"{key} has the shape {tuple(old)}{count}",
                where=where,
                why=f"config.json describes {tuple(new)}",
                fix=fix,
            )
            for key, count in by_pattern(shapes)
            for old, new in [next(shapes[name] for name in sorted(shapes) if pattern(name) == key)]
        ]
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
