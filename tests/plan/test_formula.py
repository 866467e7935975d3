"""A formula prints its own source with the numbers of a run in it, and both come to its value."""

from __future__ import annotations

import math

import pytest

from foretune.params.arch import read_architecture
from foretune.plan.formula import FORMULAS, formula
from foretune.plan.memory import adam_bytes, kv_cache_bytes
from foretune.plan.steps import batches_per_epoch, steps_per_epoch, warmup_steps

CHATGLM2 = {"model_type": "chatglm", "padded_vocab_size": 65024, "multi_query_attention": True}


def test_the_numbers_stand_where_the_names_stood():
    shape = read_architecture({**CHATGLM2, "multi_query_group_num": 2})[0].shape
    assert kv_cache_bytes.text(shape, 1, 2048, 2) == (
        "2 × layers × batch × length × kv_heads × head_dim × bytes_each"
        " = 2 × 28 × 1 × 2,048 × 2 × 128 × 2 = 56 MiB"
    )
    assert adam_bytes.text(1000) == "2 × trainable × bytes_each = 2 × 1,000 × 4 = 7.812 KiB"


def test_a_divisor_of_several_factors_is_put_in_brackets():
    assert batches_per_epoch.text(243, 4, 1, False) == (
        "ceil(examples / (micro × devices)) = ceil(243 / (4 × 1)) = 61 batches"
    )


def test_of_two_branches_the_one_that_is_taken_is_printed():
    assert "61 // 4" in steps_per_epoch.text(61, 4, "4.30.2")
    assert "ceil(61 / 4)" in steps_per_epoch.text(61, 4, "5.23.0")
    assert warmup_steps.text(0.1, 1500).endswith("= ceil(1,500 × 0.1) = 150 steps")
    assert warmup_steps.text(50, 1500).endswith("= int(50) = 50 steps")


def test_every_formula_is_said_in_both_languages_and_names_its_parts():
    assert len(FORMULAS) >= 9
    for one in FORMULAS.values():
        assert one.words.en
        assert one.words.zh
        assert one.reads


@pytest.mark.parametrize(("a", "b", "c"), [(7, 3, 2), (100, 9, 4)])
def test_sums_inside_products_keep_their_brackets(a: int, b: int, c: int):
    found = formula("elements")(_area)
    del FORMULAS["_area"]
    assert found.text(a, b, c) == (
        f"a × (b + c) − ceil(a / (b − c)) = {a} × ({b} + {c}) − ceil({a} / ({b} − {c}))"
        f" = {_area(a, b, c):,} elements"
    )


def _area(a: int, b: int, c: int) -> int:
    return a * (b + c) - math.ceil(a / (b - c))
