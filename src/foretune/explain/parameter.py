"""One parameter in depth: what it means, what it takes, and under which names others know it."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import refuse
from ..formats.spellings import removed, spellings
from ..params.declare import facts_of, words_of
from ..params.run import Run, expected, parameters, section_of
from ..text import nearest

LABELS = {
    "en": ("value", "takes", "default", "unit", "from", "also written", "source", "when unset"),
    "zh": ("当前值", "取值", "默认值", "单位", "来自", "其他写法", "出处", "未写时"),
}


def find(name: str) -> list[str]:
    """The dotted path of a parameter, by its path, its last part, or any name that a format has for
    it; all the paths of a section ('optim') by its name.
    """
    paths = parameters()
    if name in paths:
        return [name]
    bare = name.lstrip("-").replace("-", "_")
    for path, names in spellings().items():
        if bare in names:
            return [path]
    ends = [path for path in paths if path.endswith(f".{bare}")]
    if len(ends) == 1:
        return ends
    inside = [path for path in paths if path.startswith(f"{name}.")]
    if inside:
        return inside
    if ends:
        raise refuse(
            what=f"{name!r} is the name of {len(ends)} parameters",
            where="foretune explain",
            why=f"{', '.join(ends)} all end in it",
            fix="write the whole path of the one you mean",
        )
    gone = removed(bare)
    if gone is not None:
        raise refuse(
            what=f"transformers 5 has no argument {bare!r} any more",
            where="foretune explain",
            why=gone,
            fix="a script that gives it is read all the same, and the report says as what",
        )
    known = [*paths, *(other for names in spellings().values() for other in names)]
    like = nearest(bare, known)
    raise refuse(
        what=f"nothing is known under the name {name!r}",
        where="foretune explain",
        why="it is no parameter's path and no format's name for one",
        fix=f"did you mean {like!r}?" if like else "`foretune explain` lists every parameter",
    )


def explain_parameter(path: str, run: Run | None = None, *, language: str = "en") -> str:
    """The text for one parameter; with a run, its value there and where that came from."""
    field, section = parameters()[path], section_of(path)
    name, facts = path.rpartition(".")[2], facts_of(parameters()[path])
    value, takes, default, unit, origin, also, source, unset = LABELS[language]
    rows: list[tuple[str, str]] = []
    if run is not None:
        rows += [(value, repr(run.shown(path))), (origin, str(run.origin(path)))]
    rows += [(takes, expected(field)), (default, repr(field.default))]
    optional = {
        unit: facts.unit,
        unset: facts.when_unset,
        also: ", ".join(spellings().get(path, ())),
        source: facts.source,
    }
    rows += [(label, text) for label, text in optional.items() if text]
    width = max(_columns(label) for label, _ in rows) + 2
    lines = [f"  {label}{' ' * (width - _columns(label))}{text}" for label, text in rows]
    return "\n".join([path, "", words_of(section, name).in_language(language), "", *lines])


def parameter_list(*, language: str = "en", at_least: int = 1) -> Iterator[str]:
    """A line for every parameter that matters ``at_least`` so much."""
    for path, field in parameters().items():
        if facts_of(field).matters >= at_least:
            name = path.rpartition(".")[2]
            summary = words_of(section_of(path), name).summary.in_language(language)
            yield f"{path:34} {summary}"


def _columns(text: str) -> int:
    """Columns of a terminal: a Chinese character takes two."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)
