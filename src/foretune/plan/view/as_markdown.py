"""A forecast as Markdown: a table for each part."""

from __future__ import annotations

from collections.abc import Iterator

from ..forecast import Forecast, training_log
from .content import Say, Section, sections


def as_markdown(forecast: Forecast, language: str = "en") -> str:
    """All of the forecast, every module of the model by its name."""
    return "\n".join(_lines(forecast, language)).rstrip() + "\n"


def _lines(forecast: Forecast, language: str) -> Iterator[str]:
    say = Say(language)
    yield say("# Forecast", "# 预测")
    yield ""
    if forecast.steps is not None:
        yield from ("```", training_log(forecast), "```", "")
    for section in sections(forecast, language, modules=True):
        yield from _section(section)
    if forecast.run.notes:
        yield from (say("## notes", "## 说明"), "")
        yield from (f"- {cell(note.in_language(language))}" for note in forecast.run.notes)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield ""
    yield from table(section.lines)
    for chart in section.charts:
        rows = [(bar.label, bar.shown) for bar in chart.bars]
        if chart.limit is not None:
            rows.append((chart.limit.label, chart.limit.shown))
        yield f"### {chart.title}"
        yield ""
        yield from table(rows)
    for remark in section.remarks:
        yield f"- {cell(remark)}"
    if section.remarks:
        yield ""


def table(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Two columns; nothing where there is no row."""
    if not rows:
        return
    yield "| | |"
    yield "|---|---|"
    for label, value in rows:
        yield f"| {cell(label.strip())} | {cell(value)} |"
    yield ""


def cell(text: str) -> str:
    """A text that breaks no table."""
    return text.replace("|", "\\|").replace("\n", " ")
