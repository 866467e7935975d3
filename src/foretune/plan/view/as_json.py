"""A forecast as JSON: docs/forecast.md says what each key is. Keys are added, never renamed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ...facts import DataFacts
from ..evidence import MEMORY_ROWS, SEEN, TIME_ROWS, method_of
from ..forecast import Forecast
from ..memory.peak import Memory, Parts
from ..parameters import added_weights
from ..row_length import padded_of
from ..setup import Setup
from ..step_time import tokens_per_second, utilisation
from ..version import installed

KEYS = (
    "parameters", "rows", "tokens", "steps", "memory", "flops", "time", "disk", "cost", "events",
    "versions", "basis",
)  # fmt: skip
"""Top-level keys, all of which are always there; null where nothing is known."""


def as_json(forecast: Forecast) -> str:
    """The document as text."""
    return json.dumps(document(forecast), ensure_ascii=False, indent=1)


def document(forecast: Forecast) -> dict[str, Any]:
    """The whole forecast; sizes in bytes, times in seconds, operations of all devices."""
    return {
        "parameters": _parameters(forecast),
        "rows": _rows(forecast),
        "tokens": _tokens(forecast),
        "steps": _steps(forecast),
        "memory": _memory(forecast),
        "flops": _flops(forecast),
        "time": _time(forecast),
        "disk": _disk(forecast),
        "cost": _cost(forecast),
        "events": _events(forecast),
        "versions": {"foretune": installed("foretune"), "transformers": _exact_for(forecast)},
        "basis": _basis(forecast),
    }


Part = dict[str, Any] | None


def _exact_for(forecast: Forecast) -> str:
    return forecast.facts.transformers


def _parameters(forecast: Forecast) -> Part:
    shape = forecast.shape
    if shape is None or forecast.total is None:
        return None
    added = added_weights(forecast.run, shape)
    trains_all = not added
    return {
        "total": forecast.total,
        "trainable": forecast.trainable,
        "method": forecast.run.method.name,
        "modules": [
            {
                "name": one.name,
                "shape": list(one.shape),
                "copies": one.copies,
                "parameters": one.num_parameters,
                "trains": one in added or trains_all,
            }
            for one in (*shape.weights, *added)
        ],
    }


def _rows(forecast: Forecast) -> Part:
    facts = forecast.facts
    files = {"train": facts.train, "validation": facts.validation, "test": facts.test}
    return {name: _of_file(one) for name, one in files.items() if one is not None} or None


def _of_file(facts: DataFacts) -> dict[str, Any]:
    damage = facts.damage
    return {
        "file": facts.file,
        "rows": facts.rows,
        "examples": facts.examples,
        "unreadable": facts.bad,
        "empty": facts.empty,
        "prompts_cut": damage.prompts_cut,
        "answers_cut": damage.answers_cut,
        "dropped": damage.dropped,
    }


def _tokens(forecast: Forecast) -> Part:
    train, usual = forecast.facts.train, forecast.usual
    if usual is None and (train is None or train.tokens is None):
        return None
    measured = train is not None and train.tokens is not None
    steps = forecast.length.steps if forecast.length is not None else None
    in_step = None if usual is None else round(usual.all_tokens)
    padded = padded_of(forecast.run, forecast.facts)
    return {
        "measured": measured,
        "useful": train.tokens if train is not None else None,
        "trained": train.trained_tokens if train is not None else None,
        "at_the_constant_length": train.padded_tokens if train is not None else None,
        "padded": None if padded is None else round(padded.tokens),
        "padded_within": None if padded is None else padded.within,
        "longest": train.longest if train is not None else None,
        "trained_in_all": forecast.tokens_trained,
        "length_of_longest_batch": None if forecast.setup is None else forecast.setup.length,
        "length_of_usual_batch": None if usual is None else usual.length,
        "source_of_longest_batch": (forecast.setup and forecast.setup.source) or None,
        "source_of_usual_batch": (usual and usual.source) or None,
        "per_step": in_step,
        "in_all_steps": None if in_step is None or steps is None else in_step * steps,
    }


def _steps(forecast: Forecast) -> Part:
    made, length = forecast.steps, forecast.length
    if length is None:
        return None
    return {
        "steps": length.steps,
        "warmup": length.warmup,
        "per_epoch": length.per_epoch,
        "epochs": None if made is None else made.epochs,
        "passes": None if made is None else made.passes,
        "examples": None if made is None else made.examples,
        "batches_per_epoch": None if made is None else made.batches_per_epoch,
        "micro_batch": forecast.run.batch.micro,
        "accumulation": forecast.run.batch.accumulation,
        "devices": forecast.facts.devices,
        "total_batch": forecast.run.batch.micro
        * forecast.run.batch.accumulation
        * forecast.facts.devices,
        "exact_for": f"transformers {_exact_for(forecast)}",
    }


def of_parts(parts: Parts) -> dict[str, float]:
    """Parts and their sum, in whole bytes."""
    return {
        **{name: round(one) for name, one in asdict(parts).items()},
        "total": round(parts.total),
    }


def _memory(forecast: Forecast) -> Part:
    held, fit, hardware = forecast.memory, forecast.fit, forecast.hardware
    if held is None:
        return None
    trains = forecast.run.launch.train
    return {
        "per": "device",
        "path": "trace" if forecast.traced is not None else "formula",
        "allocated": round(held.allocated),
        "reserved": round(held.reserved),
        "used": round(held.used),
        "peak": peak(held, trains=trains),
        "phases": {
            name: of_parts(parts) for name, parts in held.phases.items() if trains or name != "step"
        },
        "moments": {name: of_parts(one) for name, one in held.moments.items()} if trains else {},
        "fragmentation": round(held.fragmentation),
        "context": round(held.context),
        "device": None if hardware is None else hardware.device.name,
        "limit": None if fit is None else round(fit.limit),
        "low": None if fit is None else round(fit.low),
        "high": None if fit is None else round(fit.high),
        "verdict": None if fit is None else fit.verdict,
    }


def peak(held: Memory, *, trains: bool) -> dict[str, str | None]:
    """When most is held: the phase, and the moment of the training step."""
    phases = {name: one.total for name, one in held.phases.items() if trains or name != "step"}
    phase = max(phases, key=lambda name: phases[name])
    return {"phase": phase, "moment": held.moment if phase == "step" else None}


def _flops(forecast: Forecast) -> Part:
    found, usual = forecast.flops, forecast.usual
    if found is None or usual is None:
        return None
    steps = forecast.length.steps if forecast.length is not None else None
    return {
        convention: {
            "per_token": value / usual.all_tokens,
            "per_step": value,
            "in_all": None if steps is None else value * steps,
        }
        for convention, value in asdict(found).items()
    }


def _time(forecast: Forecast) -> Part:
    time, usual, hardware = forecast.time, forecast.usual, forecast.hardware
    if time is None or usual is None or hardware is None or forecast.shape is None:
        return None
    mfu, hfu = utilisation(forecast.shape, usual, hardware, time.seconds)
    parts = ("products", "attention", "traffic", "starting", "communication", "waiting")
    return {
        "device": hardware.device.name,
        "devices": usual.parallel.devices,
        "seconds_per_step": time.seconds,
        "low": time.low,
        "high": time.high,
        "basis": time.basis,
        "tokens_per_second_per_device": tokens_per_second(usual, time.seconds),
        "mfu": mfu,
        "hfu": hfu,
        "parts": {name: getattr(time, name) for name in (*parts, "optimizer")},
        "factor": time.factor,
        "hours": None if forecast.cost is None else forecast.cost.hours,
    }


def _disk(forecast: Forecast) -> Part:
    found = forecast.disk
    if found is None:
        return None
    return {
        "checkpoint": round(found.checkpoint),
        "weights": round(found.weights),
        "optimizer": round(found.optimizer),
        "other": round(found.other),
        "written": found.written,
        "kept": found.kept,
        "total": None if found.total is None else round(found.total),
        "at_most": None if found.at_most is None else round(found.at_most),
    }


def _cost(forecast: Forecast) -> Part:
    found = forecast.cost
    if found is None:
        return None
    return {
        "hours": found.hours,
        "low": found.low,
        "high": found.high,
        "devices": found.devices,
        "device_hours": found.hours * found.devices,
        "kwh_at_most": found.kwh,
        "price_per_device_hour": found.price,
        "money": found.money,
    }


def _events(forecast: Forecast) -> Part:
    found = forecast.events
    if found is None:
        return None
    return {
        "log_lines": len(found.logs),
        "evaluations": list(found.evaluations),
        "saves": list(found.saves),
        "saves_are_a_bound": found.at_most,
        "learning_rate": [[step, rate] for step, rate in found.learning_rates()],
    }


def _basis(forecast: Forecast) -> dict[str, Any]:
    method = method_of(forecast.run)
    return {
        "assumed": [words.en for words in forecast.assumptions],
        "notes": [str(note) for note in forecast.run.notes],
        "method": method,
        "family": forecast.family,
        "published_runs_are_of_this_family": forecast.family in SEEN,
        "published_runs_behind_memory": MEMORY_ROWS[method],
        "published_runs_behind_time": TIME_ROWS[method],
        "setup": None if forecast.setup is None else of_setup(forecast.setup),
    }


def of_setup(setup: Setup) -> dict[str, Any]:
    """What the formulas of memory and time were given."""
    return asdict(setup)
