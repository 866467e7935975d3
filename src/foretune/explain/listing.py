"""A line for every parameter."""

from __future__ import annotations

from collections.abc import Iterator

from ..params.declare import facts_of, words_of
from ..params.run import parameters, section_of


def parameter_list(*, language: str = "en", at_least: int = 1) -> Iterator[str]:
    """A line for every parameter that matters ``at_least`` so much."""
    for path, field in parameters().items():
        if facts_of(field).matters >= at_least:
            name = path.rpartition(".")[2]
            summary = words_of(section_of(path), name).summary.in_language(language)
            yield f"{path:34} {summary}"
