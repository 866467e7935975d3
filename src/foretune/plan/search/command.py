"""``foretune plan --fit``: its options, and the answer in the form that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast, get_args

from ...errors import refuse
from ...params.setting import COMMAND_LINE
from ...text import nearest
from .answer import Answer, Goal, answer
from .as_json import as_json
from .layout import as_html, as_markdown, as_text
from .offer import offers
from .search import Task
from .space import held_dimensions

FORMATS: dict[str, Callable[[Answer, str], str]] = {
    "text": as_text,
    "json": as_json,
    "md": as_markdown,
    "html": as_html,
}


def fitted(task: Task, options: Mapping[str, str]) -> Answer:
    """The answer to a task.

    Raises:
        UserError: where an option cannot be used, or names no GPU.
    """
    goal = options.get("goal", "time")
    if goal not in get_args(Goal):
        raise refuse(
            what=f"--goal {goal} is not known",
            where=COMMAND_LINE,
            why=f"it is one of {', '.join(get_args(Goal))}",
            fix=f"write --goal {nearest(goal, get_args(Goal)) or 'time'}",
        )
    return answer(
        task,
        offers(asked(options), network_gbs=_network(options), price=options.get("price")),
        goal=cast(Goal, goal),
        keep=held_dimensions(options.get("keep")),
        free_batch="free_batch" in options,
    )


def asked(options: Mapping[str, str]) -> str:
    """The GPUs that --gpus names, or --device, or both together ('8' of 'H100')."""
    gpus, device = options.get("gpus"), options.get("device")
    if gpus is not None and device is not None and gpus.strip().isdecimal():
        return f"{gpus.strip()}x{device}"
    found = gpus or device
    if found is None or (gpus is not None and gpus.strip().isdecimal()):
        raise refuse(
            what="--fit is not told which GPU" if found else "--fit is not told for which GPUs",
            where=COMMAND_LINE,
            why="what fits depends on their memory, and what is fast on their rates",
            fix="write for example --gpus 1x4090, or --gpus 2x8xH100 for two machines of eight",
        )
    return found


def _network(options: Mapping[str, str]) -> float | None:
    """GB/s of a GPU's share of the network, of Gbit/s as data sheets have them."""
    text = options.get("network")
    if text is None:
        return None
    try:
        if (value := float(text)) > 0:
            return value / 8
    except ValueError:
        pass
    raise refuse(
        what=f"--network {text} is no rate",
        where=COMMAND_LINE,
        why="it is the rate of one GPU's share of the network between machines, in Gbit/s",
        fix="write a number, such as --network 400",
    )
