"""The settings of a run: each value, where it came from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator

from ..params.declare import facts_of, words_of
from ..params.run import Run, parameters, section_of


def explain_run(run: Run, *, language: str = "en") -> Iterator[str]:
    """Every value that the run's files set or that follows from them, the most important first;
    then what was mended.
    """
    touched = {setting.path for setting in run.settings}
    order = list(parameters())
    paths = sorted(
        (path for path in order if path in touched),
        key=lambda path: (-facts_of(parameters()[path]).matters, order.index(path)),
    )
    for path in paths:
        name = path.rpartition(".")[2]
        yield f"{path} = {run.shown(path)!r}    [{run.origin(path)}]"
        yield f"    {words_of(section_of(path), name).in_language(language)}"
    if run.notes:
        yield ""
        yield from (f"note: {note}" for note in run.notes)
