"""A file beside a run that declares things of its own: generation_config.json, a tokenizer's
config, the state of a trainer. Its keys are explained and checked; they set no parameter of the
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..text import Said, in_language
from .setting import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One such file, read."""

    kind: str
    """What it was taken for: 'generation config'."""
    file: str
    declared: BaseModel
    """Its known keys, in the types that they are declared with."""
    keys: Mapping[str, Any]
    """Everything in it, as written."""
    lines: Mapping[str, int]
    of_a_run: bool = False
    """Whether a run has left it behind: a log, the state of a Trainer."""

    def origin(self, key: str) -> Origin:
        """Where a key was written."""
        if key not in self.keys:
            kind = in_language(self.kind, "zh")
            return Origin(reason=Said(f"the default of a {self.kind}", f"{kind}的默认值"))
        return Origin(self.file, self.lines.get(key), key)
