"""The answer of a search: what is held and free, what is chosen, and how it is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from foretune.plan.search.answer import (
    Answer,
    answer,
    as_written,
    change,
    choose,
)
from foretune.plan.search.as_json import document
from foretune.plan.search.choice import DIMENSIONS
from foretune.plan.search.content import parts
from foretune.plan.search.labels import Say, why
from foretune.plan.search.layout import as_html, as_markdown, as_text
from foretune.plan.search.offer import Offer, offers
from foretune.plan.setup import Setup
from search_tasks import CHATGLM2, LLAMA_8B, LORA, PTUNING, one_search, task_of

# --- what is held and what is free


def test_what_is_kept_stays_as_it_is_written():
    task = task_of(CHATGLM2, precision__quantize=4, **PTUNING)
    for dimension in ("quant", "checkpointing", "batch", "sharding", "gpus", "precision"):
        found = answer(task, offers("4x4090"), keep=frozenset({dimension}))
        own = found.space.written
        names = {"quant": ["quantize"], "batch": ["micro", "accumulation"], "precision": ["mixed"]}
        for name in names.get(dimension, [dimension]):
            kept = {getattr(one.choice, name) for one in found.front}
            assert kept == {getattr(own, name)}, dimension
        assert dimension not in found.free


def test_the_total_batch_is_kept_unless_it_is_free():
    task = task_of(CHATGLM2, **LORA)
    held = answer(task, offers("8xA100"))
    assert held.space.total == 16
    assert {one.choice.total for one in held.front} == {16}
    free = answer(task, offers("8xA100"), free_batch=True)
    assert len({one.choice.total for one in free.front}) > 1


def test_a_total_batch_that_gpus_cannot_share_out_is_told():
    task = task_of(LLAMA_8B, batch__micro=3, batch__accumulation=1, **LORA)
    found = answer(task, offers("8xA100"))
    assert {one.choice.gpus for one in found.front} == {1}
    assert set(found.undivided) == {2, 4, 8}
    assert "cannot be shared out evenly over 2, 4, 8 groups" in as_text(found)


def test_a_method_that_is_written_is_not_changed_and_full_weights_are_never_packed():
    for method in ("lora", "full"):
        task = task_of(CHATGLM2, data__max_length=512, method__name=method)
        _, found = one_search(task, "8xA100")
        assert {one.choice.method for one in found.outcomes} == {method}
        packed = {one.choice.quantize for one in found.outcomes}
        assert packed == ({None} if method == "full" else {None, 4, 8})


def test_a_packed_base_is_never_cut_into_shards_and_old_gpus_compute_in_float16():
    task = task_of(CHATGLM2, **LORA)
    _, found = one_search(task, "4xV100")
    assert len(found.outcomes) > 20
    for one in found.outcomes:
        assert not (one.choice.quantize and one.choice.sharding in ("zero-3", "fsdp"))
        assert one.choice.mixed == "fp16"


# --- what is chosen


def test_each_goal_chooses_the_best_of_its_kind():
    task = task_of(LLAMA_8B, data__max_length=1024, method__name="lora")
    found = {goal: answer(task, offers("8xA100"), goal=goal) for goal in ("time", "cost", "memory")}
    fastest, cheapest, smallest = (found[goal].chosen for goal in ("time", "cost", "memory"))
    assert fastest is not None and cheapest is not None and smallest is not None
    assert fastest.per_row <= 1.02 * min(cheapest.per_row, smallest.per_row)
    assert cheapest.cost <= 1.02 * min(fastest.cost, smallest.cost)
    assert smallest.used <= 1.02 * min(fastest.used, cheapest.used)


def test_a_candidate_that_offloads_is_chosen_only_where_nothing_else_fits():
    task = task_of(LLAMA_8B, data__max_length=1024, method__name="full")
    alone = answer(task, offers("1x4090")).chosen
    together = answer(task, offers("8xA100")).chosen
    assert alone is not None and alone.choice.offload != "none"
    assert together is not None and together.choice.offload == "none"


def test_the_smallest_change_is_the_smallest():
    task = task_of(LLAMA_8B, data__max_length=1024, method__name="full")
    found = answer(task, offers("8xA100"))
    _, went = one_search(task, "8xA100")
    own = found.written
    assert own.verdict == "does not fit" and found.edit is not None
    sure = [one for one in went.outcomes if one.verdict == "fits"]
    least = min(change(one.choice, own.choice) for one in sure)
    assert change(found.edit.choice, own.choice) == least


def test_a_run_that_fits_as_it_is_needs_no_change():
    found = answer(task_of(CHATGLM2, **LORA), offers("1xA100"))
    assert found.written.verdict == "fits" and found.edit is None


def test_a_run_for_more_gpus_than_there_are_is_told_so_and_changed():
    task = task_of(CHATGLM2, launch__processes=8, launch__launcher="torchrun", **LORA)
    found = answer(task, offers("4xA100"))
    assert found.written.choice.gpus == 8 and found.edit is not None
    assert found.edit.choice.gpus <= 4 and found.edit.choice.total == 128
    assert "asks for 8 GPUs, and there are 4" in as_text(found)


def test_nothing_is_chosen_of_nothing():
    written = answer(task_of(CHATGLM2, **LORA), offers("1xA100")).space.written
    assert choose([], "time", written) is None


# --- where nothing fits


@pytest.fixture(scope="module")
def impossible() -> Answer:
    task = task_of(LLAMA_8B, data__max_length=1024, method__name="full")
    return answer(task, offers("1x3060"), keep=frozenset({"offload"}))


def test_where_nothing_fits_the_nearest_that_would_is_named(impossible: Answer):
    assert impossible.chosen is None and not impossible.front
    found = impossible.nearest
    assert found is not None
    assert found.least.used == min(one.least.used for one in impossible.failures)
    assert found.device is None or found.device.memory_gb > 12
    assert found.gpus is not None and found.gpus > 1


def test_more_gpus_that_are_named_do_hold_it(impossible: Answer):
    assert impossible.nearest is not None and impossible.nearest.gpus is not None
    offer = impossible.offers[0]
    count = impossible.nearest.gpus
    wider = Offer(device=offer.device, gpus=min(count, 8), nodes=max(count // 8, 1))
    keep = frozenset({"offload"})
    assert answer(impossible.task, [wider], keep=keep, free_batch=True).chosen is not None


def test_shorter_rows_that_are_named_do_fit():
    task = task_of(LLAMA_8B, data__max_length=32_768, method__name="lora", batch__micro=1)
    keep = frozenset({"offload", "sharding"})
    found = answer(task, offers("1xA100 40GB"), keep=keep).nearest
    assert found is not None and found.length is not None and found.length < 32_768
    shorter = replace(task, written=task.written.set({"data.max_length": found.length}))
    assert answer(shorter, offers("1xA100 40GB"), keep=keep).chosen is not None


def test_a_reason_names_the_parts_that_are_over_the_limit(impossible: Answer):
    worst = impossible.failures[-1]
    told = why(impossible.memory(worst.least), worst.least.fit.limit, Say("en"))
    assert "optimizer" in told and "alone more than" in told
    long = task_of(LLAMA_8B, data__max_length=65_536, method__name="lora")
    found = answer(long, offers("1xA100"), keep=frozenset({"sharding", "offload"}))
    least = found.failures[0].least
    assert "leave too little for" in why(found.memory(least), least.fit.limit, Say("en"))


# --- how it is told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_form_tells_the_same_in_both_languages(impossible: Answer, language: str):
    fits = answer(task_of(CHATGLM2, rows=4000, **PTUNING), offers("2x8xH100", price="2.5"))
    for found in (fits, impossible):
        text, page = as_text(found, language), as_html(found, language)
        marked = as_markdown(found, language)
        names = [part.title for part in parts(found, language)]
        assert len(names) >= 4
        assert all(name in text and name in marked for name in names)
        assert page.count("<section") == len(names)
        assert ("chosen" in page) == (found.chosen is not None)
    assert ("选定" in as_text(fits, language)) == (language == "zh")


def test_json_has_all_of_the_front_with_settings_that_lead_there(impossible: Answer):
    task = task_of(CHATGLM2, rows=4000, **LORA)
    found = answer(task, offers("4x4090"))
    told = document(found)
    assert set(told) == {
        "search", "written", "edit", "chosen", "front", "forecast_only", "failures", "undivided",
        "nearest",
    }  # fmt: skip
    assert len(told["front"]) == len(found.front) > 3
    first = told["front"][0]
    run = task.resolved(task.written.set(first["settings"]))
    assert task.setup(run, first["gpus"]) == found.front[0].setup
    assert told["search"]["candidates"] == told["search"]["evaluated"] + told["search"]["pruned"]
    assert document(impossible)["chosen"] is None and document(impossible)["nearest"]["gpus"]


def test_what_no_trainer_here_can_run_is_forecast_and_never_chosen():
    task = task_of(LLAMA_8B, data__max_length=4096, method__name="full")
    found = answer(task, offers("16384xH100"))
    assert found.beyond and not any(one.choice.runnable for one in found.beyond)
    assert all(one.choice.runnable for one in found.front)
    assert any(one.choice.gpus == 16_384 or one.choice.gpus >= 512 for one in found.beyond)
    assert "Forecast only" in as_text(found)


def test_the_run_as_it_is_written_is_measured_as_it_is():
    task = task_of(CHATGLM2, **LORA)
    space = answer(task, offers("4x4090")).space
    own = as_written(task, space)
    assert isinstance(own.setup, Setup) and own.choice.gpus == 1
    assert own.setup == task.setup(task.resolved(task.written), 1)
    assert math.isfinite(own.seconds)


@pytest.mark.parametrize("page", ["docs/fit.md", "docs/zh/fit.md"])
def test_every_key_of_the_json_and_every_dimension_is_documented(impossible: Answer, page: str):
    text = (Path(__file__).parents[2] / page).read_text("utf-8")
    fits = answer(task_of(CHATGLM2, rows=4000, **LORA), offers("4x4090"))
    keys = {key for found in (fits, impossible) for key in keys_of(document(found))}
    assert len(keys) > 40
    assert [key for key in sorted({*keys, *DIMENSIONS}) if f"`{key}`" not in text] == []


def keys_of(value: object) -> set[str]:
    """The keys of a document and of what is in it; those of settings are paths of the run."""
    if isinstance(value, list):
        return {key for one in value for key in keys_of(one)}
    if not isinstance(value, dict):
        return set()
    inside = (keys_of(one) for name, one in value.items() if name != "settings")
    return set(value).union(*inside)
