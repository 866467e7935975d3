"""Files that are complete or absent, and the folders of a user in which foretune keeps its own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

KEPT = {"cache": "~/.cache", "config": "~/.config", "state": "~/.local/state"}
"""Where each kind of file is kept when the environment does not say (XDG Base Directory 0.8)."""


def write_whole(place: Path, text: str) -> Path:
    """Writes ``text`` (UTF-8) aside and then gives it its name, so that no half is ever seen."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.unfinished")
    aside.write_text(text, encoding="utf-8")
    return aside.replace(place)


def own_folder(kind: Literal["cache", "config", "state"]) -> Path:
    """The user's folder for foretune's files of a kind: what can be made again, what the user sets,
    what was learnt on the way. It need not be there.
    """
    said = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    base = Path(said) if Path(said).is_absolute() else Path(KEPT[kind]).expanduser()
    return base / "foretune"


def content_hash(file: Path) -> str:
    """A hash of the content of a file, read piece by piece."""
    told = hashlib.blake2b(digest_size=16)
    with file.open("rb") as source:
        while piece := source.read(1 << 20):
            told.update(piece)
    return told.hexdigest()
