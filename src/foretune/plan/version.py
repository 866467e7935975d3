"""Which version of a library a figure is exact for."""

from __future__ import annotations

import re
from importlib import metadata


def release(version: str) -> tuple[int, ...]:
    """'4.30.2' -> (4, 30, 2); what follows the numbers ('.dev0', 'rc1') does not count."""
    numbers = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()


def installed(package: str) -> str:
    """The installed version, read from the package's metadata without importing it."""
    return metadata.version(package)
