"""What a search found as JSON: docs/fit.md says what each key is. Keys are added, never renamed."""

from __future__ import annotations

import json
from typing import Any

from ..view.content import Say
from .answer import Answer
from .candidate import Outcome
from .labels import why
from .main_memory import main_memory


def as_json(answer: Answer, language: str = "en") -> str:
    """The document as text."""
    return json.dumps(document(answer), ensure_ascii=False, indent=1)


def document(answer: Answer) -> dict[str, Any]:
    """The whole answer; sizes in bytes, times in seconds. What does not exist is null."""
    space = answer.space
    return {
        "search": {
            "gpus": [str(one) for one in answer.offers],
            "goal": answer.goal,
            "free": sorted(answer.free),
            "total_batch": space.total,
            "rows_seen": answer.task.rows_seen,
            "candidates": answer.seen,
            "evaluated": answer.evaluated,
            "pruned": answer.pruned,
            "fitting": answer.fitting,
            "seconds": answer.seconds,
        },
        "written": _outcome(answer, answer.written),
        "edit": answer.edit and _outcome(answer, answer.edit),
        "chosen": answer.chosen and _outcome(answer, answer.chosen),
        "front": [_outcome(answer, one) for one in answer.front],
        "forecast_only": [_outcome(answer, one) for one in answer.beyond],
        "failures": [
            {
                **one.group._asdict(),
                "failing": one.count,
                "fitting": one.fitting,
                "least": _place(one.least),
                "why": why(answer.memory(one.least), one.least.fit.limit, Say("en")),
            }
            for one in answer.failures
        ],
        "undivided": list(answer.undivided),
        "nearest": _nearest(answer),
    }


def _place(one: Outcome) -> dict[str, Any]:
    return {
        "device": one.offer.device.name,
        **one.choice._asdict(),
        "total_batch": one.choice.total,
        "memory": {
            "used": round(one.used),
            "low": round(one.fit.low),
            "high": round(one.fit.high),
            "limit": round(one.fit.limit),
            "verdict": one.verdict,
        },
    }


def _outcome(answer: Answer, one: Outcome) -> dict[str, Any]:
    step = answer.step(one)
    return {
        **_place(one),
        "runnable": one.choice.runnable,
        "settings": dict(answer.candidate(one).settings),
        "seconds_per_step": step.seconds,
        "low": step.low,
        "high": step.high,
        "seconds_per_row": one.per_row,
        "gpu_seconds_per_row": one.gpu_seconds,
        "price_per_gpu_hour": one.offer.price,
        "money_per_row": None if one.offer.price is None else one.cost,
        "main_memory": round(main_memory(answer.task.shape, one)),
    }


def _nearest(answer: Answer) -> dict[str, Any] | None:
    found = answer.nearest
    if found is None:
        return None
    return {
        "least": _place(found.least),
        "device": None if found.device is None else found.device.name,
        "gpus": found.gpus,
        "length": found.length,
    }
