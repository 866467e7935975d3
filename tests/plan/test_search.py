"""The search for settings that fit: its front, what it rules out, and that its settings lead where
they are said to.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.plan.calibration import Measured, Stack
from foretune.plan.forecast import forecast
from foretune.plan.search.answer import answer, within
from foretune.plan.search.front import front
from foretune.plan.search.offer import offers
from foretune.plan.search.search import Found, Search, Task, measured, memory_class
from foretune.plan.search.space import Space, held_dimensions
from foretune.plan.step_time import Hardware
from foretune.plan.version import installed
from search_tasks import CHATGLM2, LLAMA_8B, LORA, PTUNING, one_search, task_of

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
    outcomes = within([one for one in went.outcomes if one.choice.runnable])
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
    found = answer(task, offers("2x3060"), free_batch=True)
    assert found.seen > 2000
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
    """Rows of many lengths, evaluation on the way, and a measured step of this stack."""
    task = task_of(
        CHATGLM2, rows=4000, data__validation="v.json", record__eval_strategy="epoch", **PTUNING
    )
    train = replace(task.facts.train, lengths=((100, 3000), (500, 900), (900, 100)))
    stack = Stack(
        device="RTX 4090", family="ChatGLM2", method="ptuning", torch=installed("torch"),
        transformers="5.23.0",
    )  # fmt: skip
    step = Measured(stack=stack, when="now", source="by hand", seconds=2.0, forecast_seconds=1.6)
    task = replace(task, family="ChatGLM2", known=(step,), facts=replace(task.facts, train=train))
    found = answer(task, offers("2x4090"))
    some = found.front[:: max(len(found.front) // 6, 1)]
    assert len(some) >= 4 and found.chosen in found.front
    for one in some:
        run = task.resolved(found.run_of(one))
        said = forecast(
            run, replace(task.facts, devices=one.choice.gpus), task.shape,
            hardware=Hardware(device=one.offer.device), known=task.known, family=task.family,
        )  # fmt: skip
        assert said.memory is not None and said.fit is not None and said.time is not None
        assert (said.memory.used, said.fit) == (one.used, one.fit)
        assert said.time.seconds == pytest.approx(one.seconds)
        assert said.time.factor == 1.25 and "calibrated" in found.step(one).basis


def test_another_method_gets_a_learning_rate_that_suits_it():
    task = task_of(LLAMA_8B, data__max_length=2048, optim__learning_rate=5e-3)
    found = answer(task, offers("1x4090"))
    other = next(one for one in found.front if one.choice.method == "lora")
    changed = found.candidate(other).settings
    assert changed["method.name"] == "lora" and changed["optim.learning_rate"] == 2e-4


def test_the_method_stays_where_it_fits_even_offloaded_unless_nobody_said_how_to_train():
    task = task_of(LLAMA_8B, data__max_length=2048)
    trained = answer(task, offers("1x4090")).chosen
    assert trained is not None
    assert (trained.choice.method, trained.choice.offload) == ("full", "all")
    asked = replace(task, written=task.written.set({"launch.train": False}))
    looked_at = answer(asked, offers("1x4090")).chosen
    assert looked_at is not None
    assert (looked_at.choice.method, looked_at.choice.offload) == ("lora", "none")
