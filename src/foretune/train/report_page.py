"""report.html: one file that needs nothing else, made from the content of report.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ..text import number, size

STYLE = """
:root { color-scheme: light dark; --line: #8884; --muted: #777; --good: #2a8a4a; --bad: #c0392b;
        --train: #2f6fde; --eval: #e08a1e; }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; margin: 2rem auto;
       max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--muted); }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line);
         vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.muted { color: var(--muted); } .good { color: var(--good); } .bad { color: var(--bad); }
pre { overflow-x: auto; background: #8881; padding: .75rem; border-radius: .4rem; }
td code { white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-size: 12px; }
"""


def page(content: dict[str, Any]) -> str:
    """The page of a report, from the content of its report.json."""
    output = next(
        (row["value"] for row in content["settings"] if row["path"] == "record.output"), ""
    )
    sections = [
        f"<h1>{escape(str(output))}</h1>",
        f'<p class="muted">{escape(content["started"])} · {number(round(content["seconds"]))} s · '
        f"{escape(content['ended'])}</p>",
        _comparison(content["comparison"]),
        _estimates(content["estimates"]),
        _curve(content["history"]),
        _metrics(content["metrics"]),
        _samples(content["samples"]),
        _list("What the forecast said", content["remarks"]),
        _list("What was translated or mended", content["notes"]),
        _settings(content["settings"]),
        _block("The trainer's own log", content["training_log"].get("actual", "")),
        _versions(content["versions"]),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(str(output))} · foretune</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """An HTML table of cells that are already HTML; ``numeric`` columns are set to the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="n">{cell}</{tag}>' if i in numeric else f"<{tag}>{cell}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def _comparison(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    marks = {
        True: '<span class="good">✓ as forecast</span>',
        False: '<span class="bad">✗ differs</span>',
        None: '<span class="muted">not counted</span>',
    }
    body = [
        (
            escape(row["name"]),
            number(row["forecast"]),
            "–" if row["actual"] is None else number(row["actual"]),
            marks[row["agrees"]],
        )
        for row in rows
    ]
    return "<h2>Forecast and actual</h2>" + table(
        ("", "forecast", "actual", ""), body, numeric=(1, 2)
    )


def _estimates(rows: list[dict[str, Any]]) -> str:
    """What was forecast with an interval, beside what was measured, with the error."""
    if not rows:
        return ""
    marks = {True: "good", False: "bad", None: "muted"}

    def shown(value: float | None, unit: str) -> str:
        if value is None:
            return "–"
        return size(value) if unit == "B" else f"{value:,.3g} {unit}"

    body = [
        (
            escape(row["name"]),
            shown(row["forecast"], row["unit"])
            + (
                f' <span class="muted">({row["low"]:,.3g} to {row["high"]:,.3g})</span>'
                if row["low"] is not None and row["high"] is not None
                else ""
            ),
            shown(row["actual"], row["unit"]),
            "–"
            if row["error"] is None
            else f'<span class="{marks[row["inside"]]}">{row["error"]:+.1%}</span>',
            f'<span class="muted">{escape(row["why"])}</span>',
        )
        for row in rows
    ]
    return "<h2>Estimated and measured</h2>" + table(
        ("", "forecast", "measured", "error", ""), body, numeric=(1, 2, 3)
    )


def _curve(history: list[dict[str, Any]]) -> str:
    """The losses over the steps, as a drawing."""
    lines = {
        "train": [(row["step"], row["loss"]) for row in history if "loss" in row],
        "eval": [(row["step"], row["eval_loss"]) for row in history if "eval_loss" in row],
    }
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    width, height, left, bottom = 860, 260, 48, 28
    last = max(step for step, _ in points) or 1
    top = max(loss for _, loss in points) * 1.05 or 1
    low = min(0.0, min(loss for _, loss in points))

    def spot(step: float, loss: float) -> tuple[float, float]:
        x = left + (width - left - 24) * step / last
        return x, 8 + (height - bottom - 8) * (1 - (loss - low) / (top - low))

    drawn: list[str] = []
    for tick in range(5):
        value = low + (top - low) * tick / 4
        y = spot(0, value)[1]
        drawn.append(
            f'<line x1="{left}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
        step = round(last * tick / 4)
        x = spot(step, low)[0]
        drawn.append(
            f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{number(step)}</text>'
        )
    for name, line in lines.items():
        path = " ".join("{:.1f},{:.1f}".format(*spot(*point)) for point in line)
        color = f"var(--{name})"
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        drawn += [
            '<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>'.format(*spot(*point), color)
            for point in (line if len(line) < 80 else line[-1:])
        ]
    legend = " · ".join(
        f'<span style="color:var(--{name})">{name} loss {line[-1][1]:.4g}</span>'
        for name, line in lines.items()
        if line
    )
    return (
        f'<h2>Loss</h2><p>{legend} <span class="muted">(last) over optimization steps</span></p>'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="loss curve">'
        + "".join(drawn)
        + "</svg>"
    )


def _metrics(metrics: dict[str, Any]) -> str:
    body = [
        (escape(name), number(value) if isinstance(value, int | float) else escape(str(value)))
        for name, value in metrics.items()
    ]
    return "<h2>Measured</h2>" + table(("", ""), body, numeric=(1,)) if body else ""


def _samples(samples: list[dict[str, str]]) -> str:
    body = [
        (escape(row["prompt"]), escape(row["labels"]), escape(row["predict"])) for row in samples
    ]
    return "<h2>Generated</h2>" + table(("prompt", "wanted", "generated"), body) if body else ""


def _list(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _settings(rows: list[dict[str, Any]]) -> str:
    body = [
        (
            f"<code>{escape(row['path'])}</code>",
            escape(str(row["value"])),
            escape(row["origin"])
            if row["written"]
            else f'<span class="muted">{escape(row["origin"])}</span>',
        )
        for row in rows
    ]
    return "<h2>Settings and where they come from</h2>" + table(("", "value", "from"), body)


def _block(title: str, text: str) -> str:
    return f"<h2>{title}</h2><pre>{escape(text)}</pre>" if text else ""


def _versions(versions: dict[str, str]) -> str:
    named = " · ".join(f"{name} {version}" for name, version in versions.items())
    return f'<p class="muted">{escape(named)}</p>'
