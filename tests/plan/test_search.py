"""The search for settings that fit: its front, what it rules out, and that its settings lead where
they are said to.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.facts import DataFacts, Facts
from foretune.params.arch import read_architecture
from foretune.params.run import Run
from foretune.plan.forecast import forecast
from foretune.plan.search.answer import (
    Answer,
    answer,
    as_written,
    change,
    choose,
    space_of,
)
from foretune.plan.search.as_json import document
from foretune.plan.search.choice import DIMENSIONS
from foretune.plan.search.content import parts
from foretune.plan.search.front import front
from foretune.plan.search.labels import Say, why
from foretune.plan.search.layout import as_html, as_markdown, as_text
from foretune.plan.search.offer import Offer, offers
from foretune.plan.search.search import Found, Search, Task, measured, memory_class
from foretune.plan.search.space import Space, held_dimensions
from foretune.plan.setup import Setup
from foretune.plan.step_time import Hardware

CHATGLM2 = {
    "model_type": "chatglm", "architectures": ["ChatGLMModel"], "num_layers": 28,
    "hidden_size": 4096, "ffn_hidden_size": 13696, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "padded_vocab_size": 65024,
    "seq_length": 32768, "rmsnorm": True, "add_qkv_bias": True, "add_bias_linear": False,
}  # fmt: skip
LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip
TRAINS = {"launch.train": True, "record.output": "out", "precision.mixed": "bf16"}


def task_of(config: dict[str, object], rows: int | None = None, **values: object) -> Task:
    architecture, _ = read_architecture(config)
    assert architecture is not None
    written = {name.replace("__", "."): value for name, value in values.items()}
    train = None
    if rows is not None:
        train = DataFacts(file="d.json", rows=rows, examples=rows, tokens=300 * rows, longest=900)
    return Task(
        written=Run().set({**TRAINS, "batch.micro": 4, "batch.accumulation": 4, **written}),
        shape=architecture.shape,
        facts=Facts(transformers="5.23.0", train=train),
        rows_seen=None if rows is None else 3 * rows,
    )


PTUNING = {"method__prefix__length": 128, "data__max_length": 512}
LORA = {"method__name": "lora", "data__max_length": 1024}


def one_search(
    task: Task, gpus: str, keep: frozenset[str] = frozenset(), *, free_batch: bool = False
) -> tuple[Space, Found]:
    space = space_of(task, offers(gpus)[0], keep, free_batch)
    return space, Search(task=task, space=space, found=Found()).go()


# --- offers


@pytest.mark.parametrize(
    ("text", "gpus", "nodes", "name", "memory"),
    [
        ("1x4090", 1, 1, "RTX 4090", 24),
        ("4090", 1, 1, "RTX 4090", 24),
        ("8xH100", 8, 1, "H100-SXM5-80GB", 80),
        ("2 x 8 x A100 40GB", 8, 2, "A100-SXM4-40GB", 40),
        ("16384xH100", 8, 2048, "H100-SXM5-80GB", 80),
        ("1xV100-16G", 1, 1, "V100-SXM2-16GB", 16),
        ("1xRTX 4070 8GB", 1, 1, "RTX 4070 8GB", 8),
    ],
)
def test_gpus_are_read_in_any_usual_spelling(
    text: str, gpus: int, nodes: int, name: str, memory: int
):
    (offer,) = offers(text)
    assert (offer.gpus, offer.nodes) == (gpus, nodes)
    assert (offer.device.name, offer.device.memory_gb) == (name, memory)


@pytest.mark.parametrize("text", ["", "0x4090", "8xNoSuchGpu", "12xH100", "1x", "99999999xH100"])
def test_gpus_that_cannot_be_are_refused(text: str):
    with pytest.raises(UserError) as refusal:
        offers(text)
    assert all(one.fix and one.why for one in refusal.value.problems)


def test_several_kinds_of_gpu_take_one_price_or_one_each():
    assert [one.price for one in offers("1x4090,8xH100", price="0.4,2.5")] == [0.4, 2.5]
    assert [one.price for one in offers("1x4090,8xH100", price="2")] == [2, 2]
    with pytest.raises(UserError, match="2 prices for 1"):
        offers("1x4090", price="1,2")
    with pytest.raises(UserError, match="is no price"):
        offers("1x4090", price="-1")


def test_a_dimension_that_there_is_not_is_refused_with_the_nearest():
    assert held_dimensions("method, quant") == {"method", "quant"}
    with pytest.raises(UserError, match="write sharding"):
        held_dimensions("shardng")


# --- the front

AMOUNTS = st.tuples(*[st.integers(0, 6)] * 3)


@given(st.lists(AMOUNTS, max_size=40))
def test_the_front_has_no_member_that_another_beats_and_leaves_none_out(points: list):
    found = front(points, lambda one: one)

    def beats(one: tuple, other: tuple) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    assert not any(beats(one, other) for one in points for other in found)
    unbeaten = {one for one in points if not any(beats(other, one) for other in points)}
    assert set(found) == unbeaten and len(found) == len(unbeaten)


@pytest.mark.parametrize("gpus", ["1x4090", "4xA100"])
def test_every_outcome_is_on_the_front_or_beaten_by_one_of_its_method(gpus: str):
    task = task_of(LLAMA_8B, data__max_length=2048)
    found = answer(task, offers(gpus))
    _, went = one_search(task, gpus)
    outcomes = [one for one in went.outcomes if one.choice.runnable]
    assert len(outcomes) > 10 and found.front
    for one in outcomes:
        rivals = [other for other in found.front if other.choice.method == one.choice.method]
        assert any(
            all(a <= b for a, b in zip(other.three, one.three, strict=True)) for other in rivals
        )
    assert found.chosen in found.front


# --- what is ruled out


def brute_force(task: Task, space: Space) -> tuple[int, dict[tuple[object, ...], str]]:
    """Every candidate of a space, each computed by itself from its own settings."""
    search = Search(task=task, space=space, found=Found())
    seen, verdicts = 0, {}
    for base in space.bases():
        at = search.place(base)
        for micro, times in space.batches(base):
            choice = base._replace(micro=micro, accumulation=times)
            each = at.at(micro=micro, accumulation=times)
            seen += 1
            verdicts[choice] = measured(task, choice, space.offer, each).verdict
    return seen, verdicts


@settings(max_examples=8, deadline=None)
@given(
    gpus=st.sampled_from(["1x3060", "2x3090", "4x4090", "1xV100-16GB"]),
    lora=st.booleans(),
    length=st.sampled_from([256, 2048, 8192]),
    micro=st.sampled_from([1, 3, 8]),
    free=st.booleans(),
)
def test_ruling_out_loses_no_candidate_that_fits(
    gpus: str, lora: bool, length: int, micro: int, free: bool
):
    method = {"method__name": "lora" if lora else "full", "method__lora__rank": 16}
    task = task_of(LLAMA_8B, data__max_length=length, batch__micro=micro, **method)
    keep = frozenset({"gpus"}) if free else frozenset()
    space, found = one_search(task, gpus, keep, free_batch=free)
    seen, verdicts = brute_force(task, space)
    assert found.seen == seen == len(verdicts) > 0
    fit = {choice for choice, verdict in verdicts.items() if verdict != "does not fit"}
    assert {one.choice for one in found.outcomes} == fit
    assert found.evaluated + found.pruned == seen
    assert sum(one.fitting for one in found.groups.values()) == len(fit)
    assert sum(one.failing for one in found.groups.values()) == seen - len(fit)


def test_ruling_out_loses_none_where_pipelines_are_forecast():
    task = task_of(LLAMA_8B, data__max_length=4096, method__name="full")
    keep = frozenset({"offload", "checkpointing"})
    space, found = one_search(task, "2x8xH100", keep)
    seen, verdicts = brute_force(task, space)
    assert any(choice.pipeline > 1 for choice in verdicts) and found.seen == seen
    assert {one.choice for one in found.outcomes} == {
        choice for choice, verdict in verdicts.items() if verdict != "does not fit"
    }


@given(st.integers(1, 400), st.sampled_from([1, 2, 8]))
def test_memory_tells_accumulations_apart_as_the_search_takes_it(times: int, pipeline: int):
    """One micro batch a step is a class of its own; a pipeline holds something for each of them."""
    assert memory_class(times, 1) == (1 if times == 1 else 2)
    assert memory_class(times, pipeline) == (min(times, 2) if pipeline == 1 else times)


def test_most_of_a_large_space_is_ruled_out_where_memory_is_short():
    task = task_of(LLAMA_8B, data__max_length=8192)
    found = answer(task, offers("4x3060"), free_batch=True)
    assert found.seen > 4000
    assert found.evaluated < 0.7 * found.seen
    assert found.seen == found.evaluated + found.pruned


# --- a candidate's settings


TASKS = {
    "ptuning": lambda: task_of(CHATGLM2, rows=4000, **PTUNING),
    "lora": lambda: task_of(CHATGLM2, rows=4000, **LORA),
    "free method": lambda: task_of(CHATGLM2, data__max_length=512),
    "ZeRO-3": lambda: task_of(
        LLAMA_8B, method__name="full", launch__deepspeed="ds.json", launch__processes=2,
        launch__launcher="deepspeed", deepspeed__zero_optimization__stage=3,
    ),
    "padded": lambda: task_of(LLAMA_8B, rows=900, data__pad_to_max_length=True, **LORA),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("gpus", ["2x8xH100", "4xV100"])
def test_the_settings_of_a_candidate_lead_to_its_setup(name: str, gpus: str):
    task = TASKS[name]()
    found = answer(task, offers(gpus), keep=frozenset({"parallel"}))
    _, went = one_search(task, gpus, frozenset({"parallel"}))
    some = went.outcomes[:: max(len(went.outcomes) // 12, 1)]
    assert len(some) >= 4
    for one in some:
        candidate = found.candidate(one)
        run = task.resolved(task.written.set(candidate.settings))
        assert run.launch.all_processes == one.choice.gpus
        assert task.setup(run, one.choice.gpus) == candidate.setup == one.setup


def test_a_run_that_is_where_a_candidate_stands_needs_no_settings():
    task = task_of(CHATGLM2, **LORA)
    found = answer(task, offers("1x4090"))
    assert found.candidate(found.written).settings == {}
    assert found.written.choice == found.space.written


def test_an_outcome_is_what_the_forecast_of_its_run_says():
    task = task_of(CHATGLM2, rows=4000, **PTUNING)
    found = answer(task, offers("2x4090"))
    assert found.chosen is not None
    chosen = found.chosen
    run = task.resolved(found.run_of(chosen))
    facts = replace(task.facts, devices=chosen.choice.gpus)
    said = forecast(run, facts, task.shape, hardware=Hardware(device=chosen.offer.device))
    assert said.memory is not None and said.fit is not None and said.time is not None
    assert said.memory.used == chosen.used
    assert said.fit == chosen.fit
    assert said.time.seconds == pytest.approx(chosen.seconds)


def test_another_method_gets_a_learning_rate_that_suits_it():
    task = task_of(LLAMA_8B, data__max_length=2048, optim__learning_rate=5e-3)
    found = answer(task, offers("1x4090"))
    assert found.chosen is not None and found.chosen.choice.method == "lora"
    changed = found.candidate(found.chosen).settings
    assert changed["method.name"] == "lora" and changed["optim.learning_rate"] == 2e-4


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
