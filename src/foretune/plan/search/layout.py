"""What is told of a search, set out for a terminal, as Markdown or as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ...columns import columns, padded, terminal_width, wrapped
from ..verdict import SAID
from ..view.as_html import MARKS, STYLE
from ..view.as_markdown import cell
from ..view.content import Say
from .answer import Answer
from .content import Part, parts
from .plot import plot

NARROW = 16
"""Columns of a label."""
WIDEST = 44
"""Columns of a label that its value still stands behind."""
LEAST = 40
"""Columns that a text gets, however narrow the terminal is."""

TABLE_STYLE = """
th { text-align: left; padding: .2rem .8rem .2rem 0; color: var(--soft); font-weight: 600; }
table.rows td:first-child { color: var(--ink); width: auto; white-space: nowrap; }
"""


def as_text(answer: Answer, language: str = "en") -> str:
    """Lines for a terminal."""
    return "\n".join(line for part in parts(answer, language) for line in _text(part)).rstrip()


def _text(part: Part) -> Iterator[str]:
    yield part.title
    wide = max([NARROW, *(columns(name) for name, _ in part.lines if columns(name) <= WIDEST)])
    for name, value in part.lines:
        yield from _behind(f"  {padded(name, wide)}  ", value)
    yield from _columns([part.head, *part.rows] if part.rows else [])
    for remark in part.remarks:
        yield from wrapped(remark, terminal_width(), "  · ", "    ")
    yield ""


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; all but its last column as wide as they must be."""
    wide = [
        max(columns(row[number]) for row in rows)
        for number in range(len(rows[0]) - 1 if rows else 0)
    ]
    for row in rows:
        filled = [f"{padded(one, width)}  " for one, width in zip(row, wide, strict=False)]
        yield from _behind("  " + "".join(filled), row[-1])


def _behind(head: str, text: str) -> Iterator[str]:
    """A text behind its head, and under itself where it takes several lines."""
    width = max(terminal_width(), columns(head) + LEAST)
    return wrapped(text, width, head, " " * columns(head))


def as_markdown(answer: Answer, language: str = "en") -> str:
    """Markdown, a table for each part."""
    return "\n".join(line for part in parts(answer, language) for line in _markdown(part))


def _markdown(part: Part) -> Iterator[str]:
    yield from (f"## {part.title}", "")
    if part.lines:
        yield from ("| | |", "|---|---|")
        yield from (f"| {cell(name)} | {cell(value)} |" for name, value in part.lines)
        yield ""
    if part.rows:
        yield f"| {' | '.join(map(cell, part.head))} |"
        yield "|" + "---|" * len(part.head)
        yield from (f"| {' | '.join(map(cell, row))} |" for row in part.rows)
        yield ""
    yield from (f"- {cell(remark)}" for remark in part.remarks)
    if part.remarks:
        yield ""


def as_html(answer: Answer, language: str = "en") -> str:
    """A page of its own, nothing of it from outside."""
    title = "搜索" if language == "zh" else "Search"
    body = "\n".join(_html(part, answer, language) for part in parts(answer, language))
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>foretune: {title}</title>\n<style>{STYLE}{TABLE_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>foretune plan --fit</h1>\n{body}\n</body>\n</html>\n"
    )


def _html(part: Part, answer: Answer, language: str) -> str:
    of = {"written": answer.written, "edit": answer.edit, "chosen": answer.chosen}.get(part.name)
    mark = ""
    if of is not None:
        told = SAID[of.verdict].in_language(language)
        mark = f' <span class="verdict {MARKS[of.verdict]}">{told}</span>'
    lines = "".join(_cells(line, "td") for line in part.lines)
    rows = _cells(part.head, "th") + "".join(_cells(row, "td") for row in part.rows)
    remarks = "".join(f"<li>{escape(one)}</li>" for one in part.remarks)
    return (
        f'<section id="{part.name}"><h2>{escape(part.title)}{mark}</h2>'
        + (f"<table>{lines}</table>" if part.lines else "")
        + (plot(answer.front, answer.chosen, Say(language)) if part.name == "front" else "")
        + (f'<table class="rows">{rows}</table>' if part.rows else "")
        + (f"<ul>{remarks}</ul>" if remarks else "")
        + "</section>"
    )


def _cells(row: Sequence[str], kind: str) -> str:
    return "<tr>" + "".join(f"<{kind}>{escape(one)}</{kind}>" for one in row) + "</tr>"
