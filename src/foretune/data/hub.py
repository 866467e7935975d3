"""Records of a data set on the Hugging Face hub, through the optional package `datasets`."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import refuse
from ..params.data import Data
from .rows import Record


def hub_records(data: Data, part: str) -> Iterator[Record]:
    """Rows of ``data.dataset``, numbered from 1; ``part`` is its split ("train", ...).

    Raises:
        UserError: when `datasets` is not installed, or cannot give the data set.
    """
    name = str(data.dataset)
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise refuse(
            what=f"data.dataset = {name!r} needs the package `datasets`",
            where="data.dataset",
            why="it is not installed; files are read without it",
            fix="pip install 'foretune[hub-data]', or give files (data.train, ...)",
        ) from None
    try:
        rows = load_dataset(name, data.dataset_part, split=part)
    except Exception as error:  # the package lets errors of many libraries through
        raise refuse(
            what=f"{name!r} cannot be loaded: {type(error).__name__}",
            where="data.dataset",
            why=" ".join(str(error).split())[:300],
            fix="look at its name, data.dataset_part and its splits; or download it and give files",
        ) from error
    yield from enumerate(rows, start=1)
