"""The Pareto front as a picture: time beside memory, one colour for each method."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from ...text import size
from ..view.as_html import COLOURS, WIDTH
from ..view.content import Say
from ..view.quantities import duration
from .candidate import Outcome
from .labels import METHODS, label

HEIGHT, LEFT, TOP, BOTTOM = 300, 70, 12, 40
RIGHT = 24


def plot(front: Sequence[Outcome], chosen: Outcome | None, say: Say) -> str:
    """Inline SVG: seconds a row, by their logarithm, to the right, memory upwards, and lines where
    the memory of a GPU ends. What a point is stands in its title.
    """
    if not front:
        return ""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="'
        f'{say("memory and time of the front", "帕累托前沿的显存与时间")}">'
        + "".join(_drawn(front, chosen, say))
        + "</svg>"
    )


def _drawn(front: Sequence[Outcome], chosen: Outcome | None, say: Say) -> Iterator[str]:
    low, high = min(one.per_row for one in front), max(one.per_row for one in front)
    spread = math.log(high / low) or 1.0
    limits = {one.offer.device.name: one.fit.limit for one in front}
    most = 1.05 * max(*(one.used for one in front), *limits.values(), 0.0)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(one: Outcome) -> tuple[float, float]:
        across = math.log(one.per_row / low) / spread
        return LEFT + wide * across, TOP + tall * (1 - one.used / most)

    yield (
        f'<path d="M{LEFT} {TOP}V{TOP + tall}H{LEFT + wide}" fill="none" stroke="currentColor" '
        'stroke-opacity=".3"/>'
    )
    for name, limit in limits.items():
        y = TOP + tall * (1 - limit / most)
        yield (
            f'<line x1="{LEFT}" x2="{LEFT + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#c53030" '
            f'stroke-dasharray="4 3"/><text class="soft" x="{LEFT + wide}" y="{y - 4:.1f}" '
            f'text-anchor="end">{escape(name)} {size(limit)}</text>'
        )
    methods = list(dict.fromkeys(one.choice.method for one in front))
    for one in front:
        x, y = place(one)
        ring = ' stroke="currentColor" stroke-width="2"' if one is chosen else ""
        told = f"{label(one.choice, say)}: {size(one.used)}, {duration(one.per_row)}"
        colour = COLOURS[methods.index(one.choice.method) % len(COLOURS)]
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{7 if ring else 5}" fill="{colour}"{ring}>'
            f"<title>{escape(told)}</title></circle>"
        )
    for number, method in enumerate(methods):
        yield (
            f'<text x="{LEFT + 110 * number}" y="{HEIGHT - 6}" fill="{COLOURS[number]}" '
            f'style="fill:{COLOURS[number]}">● {escape(say.words(METHODS[method]))}</text>'
        )
    row = say("a row", "每行")
    yield f'<text class="soft" x="{LEFT}" y="{TOP + tall + 15}">{duration(low)} {row}</text>'
    yield (
        f'<text class="soft" x="{LEFT + wide}" y="{TOP + tall + 15}" text-anchor="end">'
        f"{duration(high)}</text>"
    )
    yield f'<text class="soft" x="{LEFT - 6}" y="{TOP + tall}" text-anchor="end">0</text>'
    yield f'<text class="soft" x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{size(most)}</text>'
