"""How times and operations are written."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """0.0213 -> '21.3 ms'; 3.147 -> '3.15 s'; 200 -> '3.3 min'."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def hours(count: float) -> str:
    """0.01 -> '36 s'; 2.62 -> '2.62 h'; 100 -> '4.2 days'."""
    if count < 1 / 30:
        return duration(count * 3600)
    if count < 1:
        return f"{count * 60:.3g} min"
    return f"{count:.3g} h" if count < 72 else f"{count / 24:,.1f} d"


SCALES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def operations(count: float) -> str:
    """8.1e14 -> '812 TFLOP'."""
    step = 0
    while count >= 1000 and step < len(SCALES) - 1:
        count, step = count / 1000, step + 1
    return f"{count:.3g} {SCALES[step]}FLOP"
