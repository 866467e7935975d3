"""The methods of tuning. A method says what trains, and how that is saved; the training loop is the
same for all.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from ..params.run import Run

MODULES = {"ptuning": "prefix", "lora": "lora", "freeze": "freeze", "full": "full"}
"""method.name -> the file here that holds it."""


class Method(Protocol):
    """What each file of this folder gives."""

    def attach(self, model: Any, run: Run) -> Any:
        """The model with exactly the parameters that this method trains requiring gradients."""

    def save(self, model: Any, folder: Path) -> None:
        """Writes what was trained into ``folder``, which exists."""

    def load(self, model: Any, folder: Path) -> None:
        """Reads what ``save``, or the authors' own code, wrote. Raises UserError where it does not
        fit.
        """


def method(name: str) -> Method:
    """The method of that name."""
    return cast(Method, import_module(f"{__name__}.{MODULES[name]}"))
