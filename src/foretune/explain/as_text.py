"""A page as plain text, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ..columns import columns, padded, terminal_width, wrapped
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

INDENT = "    "


class Text:
    """Lays a page out in lines."""

    def __init__(self, language: str, width: int | None = None, *, everything: bool = False):
        self.language = language
        self.width = width or terminal_width()
        self.everything = everything
        self.told: set[str] = set()
        """Formulas that were printed: once is enough."""

    def lines(self, page: Page) -> Iterator[str]:
        """The whole page."""
        for note in page.taken:
            yield from self.paragraph(note.in_language(self.language), "", "  ")
        if page.assumed:
            yield from self.paragraph(assumed_line(page.assumed, self.language), "", "  ")
        if page.taken or page.assumed:
            yield ""
        for number, group in enumerate(page.groups):
            if number:
                yield ""
            yield from self.group(group) if group.name else self.alone(group)
        yield from self.tail(page)

    def tail(self, page: Page) -> Iterator[str]:
        """What is left to other sources, what is silent, what is hidden, the notes."""
        if page.autos:
            yield from ("", say("autos", self.language))
            for where, path, value, origin in page.autos:
                text = (
                    f"{where} → {path} = {as_written(value)}  [{from_where(origin, self.language)}]"
                )
                yield from self.paragraph(text, "  ", INDENT)
        for label, names in (("silent", page.silent), ("hidden", page.hidden)):
            if names and not (label == "hidden" and self.everything):
                yield ""
                told = say(
                    label,
                    self.language,
                    names=say("between", self.language).join(names),
                    count=len(names),
                )
                yield from self.paragraph(told)
        if page.others:
            yield from ("", say("notes", self.language))
            for note in page.others:
                yield from self.paragraph(f"- {note.in_language(self.language)}", "", "  ")

    def paragraph(self, text: str, indent: str = "", then: str | None = None) -> Iterator[str]:
        return wrapped(text, self.width, indent, then)

    def group(self, group: Group) -> Iterator[str]:
        """A heading and its parameters."""
        name = in_language(group.name, self.language)
        yield name
        yield "─" * min(self.width, columns(name))
        if group.file:
            yield group.file
        yield from self.paragraph(group.about.in_language(self.language))
        for remark in group.remarks:
            yield from self.paragraph(remark.in_language(self.language))
        for item in group.items:
            yield ""
            yield from self.item(item, group)

    def item(self, item: Item, group: Group) -> Iterator[str]:
        """Value and origin in one line where they fit, then the words and the effect."""
        stars = padded(STARS[item.entry.facts.matters], 4)
        left = f"{item.entry.name} = {with_unit(item, self.language)}"
        origin = f"[{place_of(item, group, self.language)}]"
        if len(stars) + columns(left) + columns(origin) + 2 <= self.width:
            yield stars + padded(left, self.width - columns(origin) - len(stars)) + origin
        else:
            yield from self.paragraph(left, stars, INDENT + INDENT)
            yield from self.paragraph(origin, INDENT)
        words = item.entry.words.in_language(self.language)
        yield from self.paragraph(words, INDENT, INDENT)
        yield from self.effect(item, self.told)

    def effect(self, item: Item, told: set[str]) -> Iterator[str]:
        """What the value changes, each formula once."""
        if item.effect is None:
            for amount in item.computed:
                line = computed_line(amount, self.language)
                yield from self.paragraph(line, INDENT, f"{INDENT}  ")
            return
        yield from self.paragraph(effect_heading(item, self.language), INDENT, INDENT)
        few = None if self.everything else FEW
        for change in item.effect.changes[:few]:
            line = change_line(change, self.language)
            yield from self.paragraph(f"· {line}", INDENT, f"{INDENT}  ")
            if working := formula_once(change, told, self.language):
                yield from self.paragraph(working, f"{INDENT}    ", f"{INDENT}    ")

    def alone(self, group: Group) -> Iterator[str]:
        """One parameter, and what became of the name that was asked for."""
        if group.gone is not None:
            yield from self.paragraph(gone_line(group, self.language))
            yield ""
        for remark in group.remarks:
            yield from self.paragraph(remark.in_language(self.language))
            yield ""
        for item in group.items:
            yield from self.declaration(item)

    def declaration(self, item: Item) -> Iterator[str]:
        """One parameter in depth."""
        entry, language = item.entry, self.language
        yield heading(item, language)
        yield ""
        yield from self.paragraph(entry.words.in_language(language))
        yield ""
        rows = list(facts(entry, language))
        if item.shown:
            where = from_where(item.origin, language)
            rows = [("value", with_unit(item, language)), ("origin", where), *rows]
        matters = (
            f"{STARS[entry.facts.matters]} {MATTERS[entry.facts.matters].in_language(language)}"
        )
        yield from self.table([*rows, ("matters", matters)])
        if item.effect is not None or item.computed:
            yield ""
            yield from (line.removeprefix("  ") for line in self.effect(item, set()))
        if item.rules:
            yield ""
            yield f"  {say('rules', language)}"
            for rule in item.rules:
                text = rule_line(rule, language)
                yield from self.paragraph(text, INDENT, f"{INDENT}  ")

    def table(self, rows: list[tuple[str, str]]) -> Iterator[str]:
        """Labels on the left, what they say on the right."""
        told = [(say(label, self.language), text) for label, text in rows]
        wide = max(columns(label) for label, _ in told) + 2
        for label, text in told:
            yield from self.paragraph(text, f"  {padded(label, wide)}", " " * (wide + 2))
