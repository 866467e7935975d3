"""Rules about the batch: its product, and what of the data does not fill one."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Found, both
from ..rule import Example, Subject, rule


@rule(
    "B101",
    "schedule.max_steps",
    "schedule.epochs",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1141",
    flags=Example({"schedule.max_steps": 3000, "schedule.epochs": 3.0}),
    allows=Example({"schedule.epochs": 3.0}),
)
def epochs_are_written_beside_max_steps(it: Subject) -> Iterator[Found]:
    """The trainer stops after max_steps steps whatever the number of epochs says, so the epochs
    that stand beside it have no effect.

    训练到 max_steps 步就停止，与轮数无关；写在旁边的轮数不起作用。
    """
    steps, epochs = it.get("schedule.max_steps"), it.get("schedule.epochs")
    if steps is not None and it.written("schedule.max_steps", "schedule.epochs"):
        yield it.found(
            "schedule.epochs",
            both(
                f"{epochs:g} epochs are asked for beside {steps:,} steps",
                f"同时写了 {epochs:g} 轮和 {steps:,} 步",
            ),
            fix=both(
                "leave one of them out: num_train_epochs for whole passes, max_steps for a fixed "
                "number of steps",
                "只保留其中一个：要整轮就写 num_train_epochs，要固定步数就写 max_steps",
            ),
        )
