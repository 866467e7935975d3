"""A page as Markdown: a table for every group, and the effects below it."""

from __future__ import annotations

from collections.abc import Iterator

from ..text import in_language
from .labels import MATTERS, STARS, say
from .page import Group, Item, Page
from .phrases import (
    FEW,
    as_written,
    assumed_line,
    change_line,
    computed_line,
    effect_heading,
    facts,
    formula_once,
    from_where,
    gone_line,
    heading,
    place_of,
    rule_line,
    with_unit,
)


def markdown(page: Page, language: str) -> str:
    """The whole page."""
    return "\n".join(_lines(page, language)).strip() + "\n"


def _lines(page: Page, language: str) -> Iterator[str]:
    for note in page.taken:
        yield from (note.in_language(language), "")
    if page.assumed:
        yield from (assumed_line(page.assumed, language), "")
    told: set[str] = set()
    for group in page.groups:
        if group.name:
            yield from _group(group, language, told)
        else:
            yield from _alone(group, language)
    if page.autos:
        yield from (f"## {say('autos', language)}", "")
        for where, path, value, origin in page.autos:
            yield f"- {where} → `{path}` = `{as_written(value)}` ({from_where(origin, language)})"
        yield ""
    for label, names in (("silent", page.silent), ("hidden", page.hidden)):
        if names:
            quoted = say("between", language).join(f"`{name}`" for name in names)
            yield from (say(label, language, names=quoted, count=len(names)), "")
    if page.others:
        yield from (f"## {say('notes', language)}", "")
        yield from (f"- {note.in_language(language)}" for note in page.others)


def _group(group: Group, language: str, told: set[str]) -> Iterator[str]:
    name = in_language(group.name, language)
    yield f"## {name}" + (f" (`{group.file}`)" if group.file else "")
    yield ""
    yield group.about.in_language(language)
    yield from (f"\n{remark.in_language(language)}" for remark in group.remarks)
    yield ""
    heads = ("parameter", "value", "origin", "means")
    yield "| " + " | ".join(("", *(say(head, language) for head in heads))) + " |"
    yield "|---|---|---|---|---|"
    for item in group.items:
        cells = (
            STARS[item.entry.facts.matters],
            f"`{item.entry.name}`",
            f"`{with_unit(item, language)}`",
            place_of(item, group, language),
            item.entry.words.in_language(language),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    for item in group.items:
        if item.effect is not None:
            yield f"**`{item.entry.name}`** {effect_heading(item, language)}"
            yield ""
            yield from _changes(item, language, told)
            yield ""
        for amount in item.computed:
            yield f"**`{item.entry.name}`** {computed_line(amount, language)}"
            yield ""


def _changes(item: Item, language: str, told: set[str]) -> Iterator[str]:
    assert item.effect is not None
    for change in item.effect.changes[:FEW]:
        working = formula_once(change, told, language)
        yield f"- {change_line(change, language)}" + ("  " if working else "")
        if working:
            yield f"  `{working}`"


def _alone(group: Group, language: str) -> Iterator[str]:
    if group.gone is not None:
        yield from (gone_line(group, language), "")
    for remark in group.remarks:
        yield from (remark.in_language(language), "")
    for item in group.items:
        yield from _declaration(item, language)


def _declaration(item: Item, language: str) -> Iterator[str]:
    entry = item.entry
    yield f"## {heading(item, language)}"
    yield ""
    yield entry.words.in_language(language)
    yield ""
    matters = entry.facts.matters
    rows = [
        *facts(entry, language),
        ("matters", f"{STARS[matters]} {MATTERS[matters].in_language(language)}"),
    ]
    if item.shown:
        value, where = with_unit(item, language), from_where(item.origin, language)
        rows = [("value", f"`{value}`"), ("origin", where), *rows]
    for label, text in rows:
        yield f"- {say(label, language)}{say('colon', language)}{text}"
    yield ""
    if item.effect is not None:
        yield effect_heading(item, language)
        yield ""
        yield from _changes(item, language, set())
        yield ""
    for amount in item.computed:
        yield from (computed_line(amount, language), "")
    if item.rules:
        yield from (say("rules", language) + say("colon", language).rstrip(), "")
        for rule in item.rules:
            yield f"- {rule_line(rule, language)}"
        yield ""
