"""Reading what a method has saved beside a base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..errors import refuse
from ..models.checkpoint import COPY_AGAIN, UNREADABLE, read_tensors

ADAPTER = "adapter_config.json"
"""What PEFT writes beside an adapter's weights."""


def base_of(name: str | None) -> str:
    """The name of a base as a checkpoint keeps it: a folder's from the root on, since as it stands
    it would count from the folder of whoever reads it.
    """
    return str(Path(name).resolve()) if name and Path(name).is_dir() else name or ""


def stored(folder: Path, names: Sequence[str], *, what: str, kind: str) -> dict[str, Tensor]:
    """The tensors of the first of the files ``names`` that ``folder`` has.

    Raises:
        UserError: where it has none of them, or a damaged one. ``what`` would be in it ("LoRA
            adapter"), after a run of that ``kind`` ("LoRA").
    """
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise refuse(
            what=f"{folder} holds no {what}",
            where=str(folder),
            why=f"{' and '.join(names)} are not in it",
            fix=f"name the checkpoint-N folder that a {kind} run has written",
        )
    try:
        return dict(read_tensors(file))
    except UNREADABLE as failure:
        raise refuse(
            what=f"{file.name} is damaged or no weight file",
            where=str(file),
            why=str(failure).strip().partition("\n")[0],
            fix=COPY_AGAIN,
        ) from None
