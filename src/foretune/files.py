"""Files that are complete or absent."""

from __future__ import annotations

from pathlib import Path


def write_whole(place: Path, text: str) -> Path:
    """Writes ``text`` (UTF-8) aside and then gives it its name, so that no half is ever seen."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.unfinished")
    aside.write_text(text, encoding="utf-8")
    return aside.replace(place)
