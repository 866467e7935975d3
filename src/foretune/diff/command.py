"""`foretune diff`: two runs or models side by side, and whether they are the same."""

from __future__ import annotations

from ..errors import refuse
from ..explain.planned import plan_of
from ..formats.model_config import model_file
from ..params.run import Run
from .comparison import Comparison, Side, compare

FORMATS = ("text", "json")


def diff(one: Run, other: Run, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Two written runs, or models that are all their files name, held beside each other."""
    sides = [
        Side(name, plan_of(run, model_file(run)))
        for name, run in zip(names, (one, other), strict=True)
    ]
    return compare(sides[0], sides[1])


def laid_out(comparison: Comparison, *, language: str = "en", format: str = "text") -> str:
    """A comparison in one of the formats."""
    if format not in FORMATS:
        raise refuse(
            what=f"--format {format} is none that `foretune diff` writes",
            where="command line",
            why=f"it writes {', '.join(FORMATS)}",
            fix="take one of them",
        )
    if format == "json":
        from .as_json import json_text

        return json_text(comparison, language)
    from .as_text import Text

    return "\n".join(Text(language).lines(comparison))
