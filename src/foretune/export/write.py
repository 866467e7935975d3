"""A model into a new folder, one file of weights in memory at a time. The folder is there when all
of it is, and not before.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import refuse
from ..models import meta
from ..models.checkpoint import SAFETENSORS
from ..models.weights import bar
from ..params.run import Run
from ..text import counted, size
from . import beside
from .layouts import KEPT, from_hf, layout_of, refuse_layout, to_hf
from .source import Source, is_adapter, open_source
from .tensors import Later, Tensors

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SPARE = 2**24
"""Bytes of a folder that are not weights: headers, config, tokenizer."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]
    """What the reader of the folder should know."""


def export(
    model: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    layout: str | None = None,
    checkpoint: str | None = None,
    dtype: str | None = None,
    max_shard_size: str = "5GB",
    progress: bool = True,
) -> Exported:
    """Writes a model into the new folder ``out``.

    ``model`` is a folder, a name of the hub, the folder of a tuning run, or a run; ``checkpoint``
    what was tuned on it, where that is another folder. ``layout`` is "published", "hf" or "meta",
    and without it the one that the model is in. Raises UserError where that cannot be, or cannot be
    written; nothing is left behind then.
    """
    if isinstance(model, Run):
        checkpoint = checkpoint or model.method.checkpoint
        model = model.model.path or ""
    kind, most, target = _dtype(dtype), _bytes(max_shard_size), Path(out)
    _refuse_target(target)
    unpack = (
        layout not in (None, "published")
        or kind is not None
        or is_adapter(checkpoint or str(model))
    )
    source = open_source(str(model), checkpoint, unpack=unpack, dtype=kind, progress=progress)
    layout = layout or layout_of(source.config, meta=source.meta)
    refuse_layout(layout, source.config, meta=source.meta, where=str(source.folder))
    config, tensors = _converted(source, layout)
    tensors = {key: tensor.to(_kept_wide(key, kind)) for key, tensor in tensors.items()}
    if kind is not None:
        config["torch_dtype"] = str(kind).removeprefix("torch.")
    _refuse_full_disk(target, tensors)
    with whole_folder(target) as folder:
        copied = beside.carry(source.folder, folder, layout)
        notes = [*source.notes, *_finish(config, layout, source, folder, copied)]
        if layout == "meta":
            _write_meta(source, tensors, folder, progress=progress)
        else:
            _write_json(folder / "config.json", config)
            write_shards(tensors, folder, most, progress=progress)
        files = tuple(
            sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        )
    return Exported(target, files, tuple(notes))


def _kept_wide(key: str, kind: torch.dtype | None) -> torch.dtype | None:
    """A prefix stays in float32, as it is trained and published."""
    return None if "prefix_encoder." in key else kind


def _converted(source: Source, layout: str) -> tuple[dict[str, Any], Tensors]:
    """config.json and tensors in that layout."""
    where = str(source.folder)
    own = layout_of(source.config, meta=source.meta)
    if own == layout:
        return dict(source.written), source.tensors
    if own == "published":
        config, tensors = to_hf(source.config, source.tensors, where)
        return {**config, KEPT: source.written}, tensors
    if layout == "published":
        return from_hf(source.config, source.tensors, where)
    return dict(source.written), source.tensors  # between meta and hf: one set of names


def _finish(
    config: dict[str, Any], layout: str, source: Source, folder: Path, copied: list[str]
) -> Iterator[str]:
    """The files that follow from the layout; what to know of them."""
    if layout == "meta":
        if "tokenizer.model" not in copied:
            yield "there is no tokenizer.model in the folder, which Meta's code needs beside these"
        return
    beside.generation(config, folder)
    if absent := list(beside.lacking(config, folder)):
        yield (
            f"{', '.join(absent)}, which auto_map names, {'is' if len(absent) == 1 else 'are'} not "
            f"in {source.folder}: foretune needs none of it, the authors' own code does"
        )
    if layout != layout_of(source.config, meta=source.meta) == "published" or source.meta:
        told = beside.make_fast(source.folder, folder)
        yield from [told] if told else []


def write_shards(tensors: Tensors, folder: Path, most: int, *, progress: bool) -> None:
    """Files of at most so many bytes (a larger tensor has its own), and their index where there
    are several.
    """
    files = list(shards(tensors, most))
    index: dict[str, str] = {}
    for i, keys in enumerate(files, start=1):
        stem, end = SAFETENSORS.split(".")
        name = SAFETENSORS if len(files) == 1 else f"{stem}-{i:05}-of-{len(files):05}.{end}"
        with bar(name, sum(tensors[key].nbytes for key in keys), shown=progress) as shown:
            part: dict[str, Tensor] = {}
            for key in keys:
                # a tensor of its own: what shares memory with another cannot be written
                part[key] = tensors[key].read().clone(memory_format=torch.contiguous_format)
                shown.update(part[key].nbytes)
            save_file(part, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(keys, name)
    if len(files) > 1:
        total = sum(tensor.nbytes for tensor in tensors.values())
        content = {"metadata": {"total_size": total}, "weight_map": index}
        _write_json(folder / f"{SAFETENSORS}.index.json", content)


def shards(tensors: Tensors, most: int) -> Iterator[list[str]]:
    """The keys of each file, in order."""
    keys: list[str] = []
    length = 0
    for key, tensor in tensors.items():
        if keys and length + tensor.nbytes > most:
            yield keys
            keys, length = [], 0
        keys.append(key)
        length += tensor.nbytes
    yield keys


class Reading(Mapping[str, Tensor]):
    """Tensors that are read each time they are asked for."""

    def __init__(self, tensors: Mapping[str, Later]) -> None:
        self.tensors = tensors

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def _write_meta(source: Source, tensors: Tensors, folder: Path, *, progress: bool) -> None:
    total = sum(tensor.nbytes for tensor in tensors.values())
    with bar("consolidated.00.pth", total, shown=progress) as shown:
        counted_tensors = {
            key: tensor.then(lambda read: (shown.update(read.nbytes), read)[1])
            for key, tensor in tensors.items()
        }
        meta.to_meta(Reading(counted_tensors), folder, config=source.config)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that gets its name at the end, and is removed where there is none
    (an error, an interrupt).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                file.chmod(0o666 & ~_umask())  # safetensors writes for the owner alone
        aside.replace(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None or name in DTYPES:
        return DTYPES[name] if name else None
    raise refuse(
        what=f"--dtype {name} is no number type for weights",
        where="command line",
        why=f"weights are written in {', '.join(DTYPES)}",
        fix="name one of them, or leave --dtype out to keep that of the model",
    )


def _bytes(written: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)?", written.strip().upper())
    if found and (total := int(float(found[1]) * UNITS[found[2] or ""])) > 0:
        return total
    raise refuse(
        what=f"--max_shard_size {written} is no size",
        where="command line",
        why="it is the most that a file of weights may hold",
        fix="write a number and a unit: 5GB, 500MB",
    )


def _refuse_target(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = f"{counted(len(list(target.iterdir())), 'file')}" if target.is_dir() else "a file"
        raise refuse(
            what=f"{target} is there already ({what})",
            where="command line",
            why="a model is written into a folder of its own, so that nothing is mixed up or lost",
            fix="name a folder that does not exist",
        )
    there = next(folder for folder in target.absolute().parents if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise refuse(
            what=f"{target} cannot be made",
            where="command line",
            why=f"{there} is {'not writable for you' if there.is_dir() else 'no folder'}",
            fix="name another folder",
        )


def _refuse_full_disk(target: Path, tensors: Tensors) -> None:
    there = next(folder for folder in target.absolute().parents if folder.exists())
    needed = SPARE + sum(tensor.nbytes for tensor in tensors.values())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise refuse(
            what=f"the disk of {there} has {size(free)} free, and {size(needed)} are needed",
            where=str(target),
            why="a model that is half written is of no use",
            fix="make room, name a folder on another disk, or write a narrower --dtype",
        )
