"""Ctrl-C while training in one process: the run ends after the step that is being made, with a
checkpoint; a second one ends it at once. Several processes end at once; their last checkpoint is
complete.
"""

from __future__ import annotations

import signal
from typing import Any

from transformers.trainer_callback import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
)


class StopAtNextStep(TrainerCallback):
    """A trainer callback that turns the first interrupt into a saved stop."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if args.world_size > 1:
            return  # processes that stop at different steps would wait for each other
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:  # not the main thread: whoever runs us there handles interrupts
            self._before = None

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.asked:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.restore()

    def restore(self) -> None:
        """Gives Ctrl-C back its usual meaning."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _ask(self, signum: int, frame: Any) -> None:
        self.asked = True
        self.restore()
        print("\nstopping after this step, with a checkpoint; Ctrl-C again stops at once")
