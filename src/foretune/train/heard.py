"""What the trainer itself says when it starts: the block of its log that the forecast is held
against.
"""

from __future__ import annotations

import logging

FIRST = "***** Running training *****"


class HeardBlock(logging.Filter):
    """Listens to the trainer's log and keeps the block of a run's beginning; the rest passes as
    always.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._listening = False
        self._logger = logging.getLogger("transformers.trainer")

    def __enter__(self) -> HeardBlock:
        self._level, self._passed = self._logger.level, self._logger.getEffectiveLevel()
        self._logger.setLevel(logging.INFO)
        self._logger.addFilter(self)
        return self

    def __exit__(self, *failure: object) -> None:
        self._logger.removeFilter(self)
        self._logger.setLevel(self._level)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps the lines of the block and passes on what would be logged without it."""
        message = record.getMessage()
        if message == FIRST:
            self.lines, self._listening = [], True
        if self._listening and (message == FIRST or message.startswith("  ")):
            self.lines.append(message)
        else:
            self._listening = False
        return record.levelno >= self._passed

    def block(self, most: int) -> str:
        """The first lines heard, as many as the forecast has (what follows tells of resuming)."""
        return "\n".join(self.lines[:most])
