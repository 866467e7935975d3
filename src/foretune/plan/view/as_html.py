"""A forecast as one HTML page with plots: inline SVG, nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..forecast import Forecast, training_log
from .content import Bar, Chart, Say, Section, module_lines, sections

WIDTH = 640
"""Of a plot."""
ROW = 24
LABELS = 190
AMOUNTS = 90
COLOURS = ("#3b6fb6", "#c9822b", "#4f9a6b", "#a65c9e", "#b64848", "#5a8a9c", "#8a7a3c", "#777")

STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #66707a; --line: #d9dee3; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e9ed; --soft: #9aa4ae; --line: #343b42; --paper: #15191d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1rem 0 .25rem; color: var(--soft); font-weight: 600; }
section { border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; }
td { padding: .2rem .8rem .2rem 0; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
td:first-child { color: var(--soft); width: 16rem; }
pre { background: color-mix(in srgb, var(--ink) 6%, var(--paper)); padding: .8rem;
  overflow-x: auto; }
svg { width: 100%; max-width: 640px; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); }
.verdict { display: inline-block; padding: .15rem .7rem; border-radius: 1rem; color: #fff;
  font-weight: 600; }
.fits { background: #2f855a; } .may { background: #b7791f; } .not { background: #c53030; }
details { margin: .5rem 0; } li { color: var(--soft); }
"""

MARKS = {"fits": "fits", "may not fit": "may", "does not fit": "not"}


def as_html(forecast: Forecast, language: str = "en") -> str:
    """The page."""
    say = Say(language)
    title = say("Forecast", "预测")
    body = "\n".join(_body(forecast, language))
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>foretune: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _body(forecast: Forecast, language: str) -> Iterator[str]:
    say, fit = Say(language), forecast.fit
    parts = sections(forecast, language)
    if fit is not None and forecast.hardware is not None:
        memory = next(one for one in parts if one.name == "memory")
        _, told = memory.lines[-1]
        mark = MARKS[fit.verdict]
        name = escape(forecast.hardware.device.name)
        yield f'<p><span class="verdict {mark}">{name}</span> {escape(told)}</p>'
    if forecast.steps is not None:
        yield f"<pre>{escape(training_log(forecast))}</pre>"
    for section in parts:
        yield from _section(section)
        if section.name == "parameters":
            yield from _modules(forecast, language)
    if forecast.run.notes:
        notes = "".join(f"<li>{escape(n.in_language(language))}</li>" for n in forecast.run.notes)
        yield f"<section><h2>{say('notes', '说明')}</h2><ul>{notes}</ul></section>"


def _modules(forecast: Forecast, language: str) -> Iterator[str]:
    """Every weight by its name, folded away."""
    say = Say(language)
    words = say("every weight by its name", "逐个权重")
    rows = list(module_lines(forecast, language))
    yield f"<details><summary>{words}</summary>{table(rows)}</details>"


def _section(section: Section) -> Iterator[str]:
    yield f'<section id="{section.name}"><h2>{escape(section.title)}</h2>'
    yield table(section.lines)
    for number, chart in enumerate(section.charts):
        yield f"<h3>{escape(chart.title)}</h3>"
        yield bars(chart, stacked=number == 0 and section.name != "time")
    if section.curve:
        yield curve(section.curve)
    if section.remarks:
        yield "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in section.remarks) + "</ul>"
    yield "</section>"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns; nothing where there is no row."""
    cells = "".join(
        f"<tr><td>{escape(label)}</td><td>{escape(value)}</td></tr>" for label, value in rows
    )
    return f"<table>{cells}</table>" if cells else ""


def bars(chart: Chart, *, stacked: bool = False) -> str:
    """A bar for every value; the first chart of a part one colour for each."""
    most = max([bar.value for bar in chart.bars] or [0.0])
    limit = chart.limit
    if limit is not None and limit.value < 4 * most:
        most = max(most, limit.value)
    room = WIDTH - LABELS - AMOUNTS
    height = ROW * len(chart.bars) + (18 if limit is not None else 4)
    drawn: list[str] = []
    for row, bar in enumerate(chart.bars):
        colour = COLOURS[row % len(COLOURS)] if stacked else COLOURS[0]
        over = limit is not None and bar.value > limit.value
        drawn.append(_bar(bar, row, room * bar.value / most if most else 0, colour, over=over))
    if limit is not None and limit.value <= most:
        x = LABELS + room * limit.value / most
        bottom = ROW * len(chart.bars)
        drawn.append(
            f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom}" stroke="#c53030" '
            f'stroke-dasharray="4 3"/><text class="soft" x="{x:.1f}" y="{bottom + 13}" '
            f'text-anchor="end">{escape(limit.label)} {escape(limit.shown)}</text>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(drawn)}</svg>'


def _bar(bar: Bar, row: int, length: float, colour: str, *, over: bool) -> str:
    y = ROW * row
    fill = "#c53030" if over else colour
    end = LABELS + length
    return (
        f'<text x="{LABELS - 8}" y="{y + 16}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{LABELS}" y="{y + 4}" width="{max(length, 1):.1f}" height="{ROW - 8}" rx="2" '
        f'fill="{fill}"/>'
        f'<text class="soft" x="{end + 6:.1f}" y="{y + 16}">{escape(bar.shown)}</text>'
    )


def curve(points: Sequence[tuple[int, float]]) -> str:
    """The learning rate over the steps."""
    wide, high, left = WIDTH - 90, 140, 70
    last = max(points[-1][0], 1)
    most = max(rate for _, rate in points) or 1.0
    line = " ".join(
        f"{left + (wide * step / last):.1f},{10 + high * (1 - rate / most):.1f}"
        for step, rate in points
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {high + 34}" role="img">'
        f'<line x1="{left}" y1="{high + 10}" x2="{left + wide}" y2="{high + 10}" '
        'stroke="currentColor" stroke-opacity=".3"/>'
        f'<polyline points="{line}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>'
        f'<text class="soft" x="{left - 8}" y="16" text-anchor="end">{most:.3g}</text>'
        f'<text class="soft" x="{left - 8}" y="{high + 12}" text-anchor="end">0</text>'
        f'<text class="soft" x="{left + wide}" y="{high + 27}" text-anchor="end">{last:,}</text>'
        "</svg>"
    )
