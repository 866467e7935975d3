"""How numbers, names and places are written, the same everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Said(str):
    """A text in English that knows itself in Chinese: what a note says, the reason for a value."""

    zh: str

    def __new__(cls, en: str, zh: str) -> Said:
        """Both say the same."""
        text = super().__new__(cls, en)
        text.zh = zh
        return text

    def __reduce__(self) -> tuple[type[Said], tuple[str, str]]:
        """How copies are made."""
        return Said, (str(self), self.zh)


def in_language(text: str, language: str) -> str:
    """The text in a language; as it stands where it is a name, or nobody has said it in Chinese."""
    return text.zh if language == "zh" and isinstance(text, Said) else str(text)


def number(value: float) -> str:
    """1500 -> '1,500'; 0.02 -> '0.02'; 3.0 -> '3'."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"


def size(num_bytes: float) -> str:
    """Bytes in binary units: 58720256 -> '56 MiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(num_bytes) < 1024:
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.4g} TiB"


def counted(count: int, one: str, many: str | None = None) -> str:
    """counted(1, 'row') -> '1 row'; counted(1500, 'row') -> '1,500 rows'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def nearest(name: str, known: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """The known name most like ``name``, or None when nothing is alike."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=at_least)
    return found[0] if found else None


def place(file: str, line: int | None = None) -> str:
    """'train.sh:14', or the file alone when there is no line."""
    return file if line is None else f"{file}:{line}"


def sentence_list(items: Iterable[object], *, most: int = 8, language: str = "en") -> str:
    """'a, b, c and 4 more'; 'a、b、c 等 7 项'."""
    names = [str(item) for item in items]
    mark = "、" if language == "zh" else ", "
    if len(names) <= most:
        return mark.join(names)
    shown = mark.join(names[:most])
    more = len(names) - most
    return f"{shown} 等 {len(names):,} 项" if language == "zh" else f"{shown} and {more:,} more"
