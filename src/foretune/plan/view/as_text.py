"""A forecast in a terminal: the trainer's own block, then each part with bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...columns import columns, padded, terminal_width, wrapped
from ..forecast import Forecast
from .content import Chart, Section, log_and_remarks, sections

BAR = 36
"""Columns of the longest bar."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = "▁▂▃▄▅▆▇█"
NARROW = 24
"""Columns of a label."""


def as_text(forecast: Forecast, language: str = "en") -> str:
    """All of the forecast, as lines."""
    return "\n".join(_lines(forecast, language)).lstrip("\n")


def _lines(forecast: Forecast, language: str) -> Iterator[str]:
    yield from log_and_remarks(forecast, language)
    for section in sections(forecast, language):
        yield ""
        yield from _section(section)
    if forecast.run.notes:
        yield ""
    for note in forecast.run.notes:
        told = f"{'说明' if language == 'zh' else 'note'}: {note.in_language(language)}"
        yield from wrapped(told, terminal_width(), then="  ")


def _section(section: Section) -> Iterator[str]:
    yield section.title
    wide = max((columns(label) for label, _ in section.lines), default=0)
    for label, value in section.lines:
        yield f"  {padded(label, max(wide, NARROW))}  {value}"
    for chart in section.charts:
        yield f"  {chart.title}"
        yield from _chart(chart)
    if section.curve:
        yield f"  {padded('', NARROW)}  {sparkline([rate for _, rate in section.curve])}"
    for remark in section.remarks:
        yield from wrapped(remark, terminal_width(), "  · ", "    ")


def _chart(chart: Chart) -> Iterator[str]:
    most = max((bar.value for bar in chart.bars), default=0.0)
    if chart.limit is not None and chart.limit.value < 4 * most:
        most = max(most, chart.limit.value)
    shown = [*chart.bars, *([chart.limit] if chart.limit is not None else ())]
    wide = max((columns(bar.shown) for bar in shown), default=0)
    for bar in chart.bars:
        amount = " " * (wide - columns(bar.shown)) + bar.shown
        yield f"    {padded(bar.label, NARROW - 2)}  {amount}  {drawn(bar.value, most)}".rstrip()
    if chart.limit is not None:
        amount = " " * (wide - columns(chart.limit.shown)) + chart.limit.shown
        at = round(BAR * chart.limit.value / most) if chart.limit.value <= most else BAR
        end = "│" if chart.limit.value <= most else "→"
        yield f"    {padded(chart.limit.label, NARROW - 2)}  {amount}  {' ' * max(at - 1, 0)}{end}"


def drawn(value: float, most: float) -> str:
    """A bar of ``value``, of which ``most`` takes the whole width."""
    eighths = round(8 * BAR * value / most) if most else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[rest] if rest else "")


def sparkline(values: Sequence[float]) -> str:
    """Heights of so many values, from nothing to the largest."""
    most = max(values, default=0.0)
    if not most:
        return HEIGHTS[0] * len(values)
    steps = len(HEIGHTS) - 1
    return "".join(HEIGHTS[round(steps * max(value, 0.0) / most)] for value in values)
