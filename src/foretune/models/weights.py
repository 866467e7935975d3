"""The weights of a folder into a model that has none yet: one tensor at a time, each straight to
its number type and device.

Where both are already the file's, on a CPU, the tensor is the file itself, mapped into memory. The
mapping is private (what is written into the tensor stays in memory) and keeps the file's content
when the file is replaced by another of its name, as safetensors 0.8 and every writer here do. A
program that writes *into* the file changes it under the model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from tqdm import tqdm

from .checkpoint import read_header, read_tensors, weight_files

PAGE = 4096
READERS = 4

Take = Callable[[str, Tensor], Mapping[str, Tensor]]
"""What becomes of a tensor that was read: the tensors of the model that it gives, by key."""

Keeps = Callable[[str, Tensor], bool]
"""Whether a tensor, of which only shape and number type are known yet, stays as it is mapped."""


def fill(model: Any, folder: Path, take: Take, keeps: Keeps, *, progress: bool) -> set[str]:
    """Puts what ``take`` makes of every tensor of ``folder`` into ``model``, which is on meta and
    which the files fit (`checkpoint.problems_of`). Returns the keys that were filled.

    Of two tied keys of equal content only the source is read. What stays as it is mapped is read
    through in the order of the file, as disks like it; the rest by several threads.
    """
    wanted = set(model.state_dict()) - _spare(model, folder)
    filled: set[str] = set()
    with ThreadPoolExecutor(READERS) as pool:
        for file in weight_files(folder)[0]:
            headers = {key: header for key, header in read_header(file).items() if key in wanted}
            kept, read = _reader(file, {key for key, found in headers.items() if keeps(key, found)})
            others = [key for key in headers if key not in kept]
            taken = pool.map(lambda key, read=read: (key, take(key, read(key))), others)
            whole = ((key, take(key, tensor)) for key, tensor in kept.items())
            total = sum(header.nbytes for header in headers.values())
            with bar(file.name, total, shown=progress) as shown:
                for key, made in chain(whole, taken):
                    for name, tensor in made.items():
                        put(model, name, tensor)
                    filled |= made.keys()
                    shown.update(headers[key].nbytes)
    return filled


def placed(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The tensor in that type and place; itself, read once through, where it is so already.

    It crosses to a device in the narrower of both types.
    """
    if device.type == "cpu" and tensor.dtype == dtype:
        # A page that is not in memory yet is read now, under the bar, and not in the first step.
        tensor.flatten().view(torch.uint8)[::PAGE].sum()
        return tensor
    if device.type == "cpu" or dtype.itemsize < tensor.dtype.itemsize:
        return tensor.to(dtype).to(device)
    return tensor.to(device).to(dtype)


def put(model: nn.Module, key: str, tensor: Tensor) -> None:
    """Makes ``tensor`` the parameter or buffer of that name."""
    owner_name, _, name = key.rpartition(".")
    owner = model.get_submodule(owner_name)
    if name in owner._parameters:
        held = owner._parameters[name]
        requires_grad = tensor.is_floating_point() and held is not None and held.requires_grad
        owner._parameters[name] = nn.Parameter(tensor, requires_grad=requires_grad)
    else:
        owner._buffers[name] = tensor


def _spare(model: Any, folder: Path) -> set[str]:
    """The tied keys that the files hold a second time."""
    holder = {
        key: file
        for file in weight_files(folder)[0]
        for key in read_header(file)
    }  # fmt: skip
    pairs = [pair for pair in model.all_tied_weights_keys.items() if holder.keys() >= {*pair}]
    return {
        target
        for target, source in pairs
        if torch.equal(one(holder[target], target), one(holder[source], source))
    }


def one(file: Path, key: str) -> Tensor:
    """A single tensor of a file, mapped."""
    if file.suffix != ".safetensors":
        return read_tensors(file)[key]
    with safe_open(file, framework="pt") as opened:
        return opened.get_tensor(key)


def _reader(file: Path, kept: set[str]) -> tuple[dict[str, Tensor], Callable[[str], Tensor]]:
    """The tensors of a file that stay as they are, mapped, and what gives each of the others.

    Those share one opening. For each other the file is opened anew, so that its pages are given
    back when it is converted: they count as memory of this process until then.
    """
    if file.suffix != ".safetensors":
        return {}, read_tensors(file).__getitem__
    with safe_open(file, framework="pt") as opened:
        in_order = [key for key in opened.offset_keys() if key in kept]
        mapped = {key: opened.get_tensor(key) for key in in_order}
    return mapped, lambda key: one(file, key)


def bar(name: str, total: int, *, shown: bool) -> tqdm:
    """A bar of ``total`` bytes on the standard error, where that is a terminal."""
    return tqdm(
        total=total,
        desc=name,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        file=sys.stderr,
        disable=not (shown and sys.stderr.isatty()),
    )
