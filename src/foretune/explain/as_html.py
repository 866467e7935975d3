"""A page as HTML: one file that needs nothing else, readable on a telephone and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

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
    place_of,
    rule_line,
    with_unit,
)

STYLE = """
:root { --ink: #1d2433; --soft: #5b6577; --line: #dfe3ea; --page: #ffffff; --card: #f7f8fa;
  --mark: #0b6b57; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa5b8; --line: #313846;
  --page: #14181f; --card: #1b2029; --mark: #5fd0b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--page);
  color: var(--ink); font: 16px/1.6 system-ui, "Noto Sans SC", "PingFang SC", sans-serif; }
h1 { font-size: 1.5rem; } h2 { margin: 2.5rem 0 .25rem; font-size: 1.2rem; }
p { margin: .4rem 0; } .about, .where, .facts { color: var(--soft); }
.formula { display: block; color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, monospace; overflow-wrap: anywhere; }
article { margin: .9rem 0; padding: .8rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
article header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
article header code { font-size: 1rem; font-weight: 600; } .value { color: var(--mark); }
.where { margin-left: auto; font-size: .85rem; overflow-wrap: anywhere; }
.stars { color: var(--mark); font-size: .8rem; letter-spacing: .1em; }
ul { margin: .3rem 0 .3rem 1.2rem; padding: 0; } dl { display: grid; grid-template-columns:
  max-content 1fr; gap: .15rem 1rem; margin: .6rem 0; } dt { color: var(--soft); } dd { margin: 0;
  overflow-wrap: anywhere; } nav { display: flex; flex-wrap: wrap; gap: .1rem .8rem; }
nav a { color: var(--mark); }
"""


def html(page: Page, language: str, title: str) -> str:
    """The whole page."""
    tag = "zh-CN" if language == "zh" else "en"
    body = "\n".join(_body(page, language, title))
    return (
        f'<!doctype html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _body(page: Page, language: str, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    names = [in_language(group.name, language) for group in page.groups if group.name]
    if len(names) > 1:
        links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)
        yield f"<nav>{links}</nav>"
    for note in page.taken:
        yield f'<p class="about">{escape(note.in_language(language))}</p>'
    if page.assumed:
        yield f'<p class="about">{escape(assumed_line(page.assumed, language))}</p>'
    told_already: set[str] = set()
    for group in page.groups:
        if group.name:
            yield from _group(group, language, told_already)
        else:
            yield from _alone(group, language)
    if page.autos:
        told = (
            f"<code>{escape(where)}</code> → <code>{escape(path)} = "
            f"{escape(as_written(value))}</code> {escape(from_where(origin, language))}"
            for where, path, value, origin in page.autos
        )
        yield from _list(say("autos", language), told)
    for label, left_out in (("silent", page.silent), ("hidden", page.hidden)):
        if left_out:
            text = say(
                label, language, names=say("between", language).join(left_out), count=len(left_out)
            )
            yield f'<p class="about">{escape(text)}</p>'
    if page.others:
        told = (escape(note.in_language(language)) for note in page.others)
        yield from _list(say("notes", language), told)


def _list(heading: str, items: Iterator[str]) -> Iterator[str]:
    yield f"<h2>{escape(heading)}</h2>"
    yield f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _group(group: Group, language: str, told: set[str]) -> Iterator[str]:
    name = escape(in_language(group.name, language))
    yield f'<h2 id="{name}">{name}</h2>'
    if group.file:
        yield f'<p class="about"><code>{escape(group.file)}</code></p>'
    yield f'<p class="about">{escape(group.about.in_language(language))}</p>'
    for remark in group.remarks:
        yield f"<p>{escape(remark.in_language(language))}</p>"
    for item in group.items:
        yield "<article>"
        yield from _head(item, place_of(item, group, language), language)
        yield f"<p>{escape(item.entry.words.in_language(language))}</p>"
        yield from _effect(item, language, told)
        yield "</article>"


def _head(item: Item, where: str, language: str) -> Iterator[str]:
    matters = item.entry.facts.matters
    yield (
        f'<header><span class="stars" title="{escape(MATTERS[matters].in_language(language))}">'
        f"{STARS[matters]}</span><code>{escape(item.entry.name)}</code>"
    )
    if item.shown:
        yield f'<code class="value">{escape(with_unit(item, language))}</code>'
    yield f'<span class="where">{escape(where)}</span></header>'


def _effect(item: Item, language: str, told: set[str]) -> Iterator[str]:
    for amount in item.computed:
        yield f'<span class="formula">{escape(computed_line(amount, language))}</span>'
    if item.effect is None:
        return
    yield f"<p>{escape(effect_heading(item, language))}</p><ul>"
    for change in item.effect.changes[:FEW]:
        working = formula_once(change, told, language)
        formula = f'<span class="formula">{escape(working)}</span>' if working else ""
        yield f"<li>{escape(change_line(change, language))}{formula}</li>"
    yield "</ul>"


def _alone(group: Group, language: str) -> Iterator[str]:
    if group.gone is not None:
        yield f"<p>{escape(gone_line(group, language))}</p>"
    for remark in group.remarks:
        yield f"<p>{escape(remark.in_language(language))}</p>"
    for item in group.items:
        yield from _declaration(item, language)


def _declaration(item: Item, language: str) -> Iterator[str]:
    entry = item.entry
    yield "<article>"
    of = ", ".join(in_language(one, language) for one in entry.families)
    yield from _head(item, from_where(item.origin, language) if item.shown else of, language)
    yield f"<p>{escape(entry.words.in_language(language))}</p><dl>"
    for label, text in facts(entry, language):
        yield f"<dt>{escape(say(label, language))}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"
    yield from _effect(item, language, set())
    if item.rules:
        yield f"<p>{escape(say('rules', language))}</p><ul>"
        for rule in item.rules:
            yield f"<li>{escape(rule_line(rule, language))}</li>"
        yield "</ul>"
    yield "</article>"
