"""The model of torch's allocator, by figures worked out by hand from its rules, and what a traced
step comes to.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from foretune.facts import Facts, Trace
from foretune.plan.decoder import decoder_shape
from foretune.plan.memory.peak import memory
from foretune.plan.setup import Setup
from foretune.plan.traced import memory_of
from foretune.train.trace.allocator import MIB, Allocator, rounded, segment_size


def test_blocks_are_whole_grains_of_512_bytes():
    assert [rounded(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]


def test_small_blocks_share_two_mib_and_large_ones_twenty():
    assert segment_size(512) == segment_size(MIB) == 2 * MIB
    assert segment_size(MIB + 512) == segment_size(10 * MIB - 512) == 20 * MIB
    assert segment_size(10 * MIB) == 10 * MIB
    assert segment_size(11 * MIB) == 12 * MIB


def test_a_block_that_comes_back_is_given_again():
    allocator = Allocator()
    allocator.take(1, 30 * MIB)
    allocator.give(1)
    assert (allocator.active, allocator.reserved) == (0, 30 * MIB)
    allocator.take(2, 30 * MIB)
    assert (allocator.active, allocator.reserved) == (30 * MIB, 30 * MIB)


def test_neighbours_that_came_back_are_one_block():
    allocator = Allocator()
    for key in range(5):
        allocator.take(key, 4 * MIB)
    assert allocator.reserved == 20 * MIB
    for key in (1, 3, 2):
        allocator.give(key)
    allocator.take(9, 12 * MIB)
    assert allocator.reserved == 20 * MIB
    assert allocator.active == 20 * MIB


def test_what_is_left_of_a_large_block_is_split_off_only_above_a_mib():
    allocator = Allocator()
    allocator.take(1, 107 * MIB)  # ChatGLM2's dense_4h_to_h in float16: its segment has 108
    assert allocator.active == allocator.reserved == 108 * MIB
    allocator.take(2, 106 * MIB - 512)
    assert allocator.active == 108 * MIB + 106 * MIB


def test_the_smallest_block_that_is_large_enough_is_taken():
    allocator = Allocator()
    for key, size in enumerate((60, 40, 50)):
        allocator.take(key, size * MIB)
    for key in range(3):
        allocator.give(key)
    allocator.take(9, 39 * MIB)
    allocator.take(8, 50 * MIB)
    allocator.take(7, 60 * MIB)
    assert allocator.reserved == 150 * MIB


def test_every_byte_that_is_taken_comes_back():
    allocator = Allocator()
    sizes = [(key * 7919) % (25 * MIB) + 1 for key in range(400)]
    for key, size in enumerate(sizes):
        allocator.take(key, size)
        if key % 3 == 2:
            allocator.give(key - 1)
    for key in range(400):
        allocator.give(key)
    assert allocator.active == 0 < allocator.reserved
    before = allocator.reserved
    allocator.take(1000, 20 * MIB)
    assert allocator.reserved == before


TRACE = Trace(
    micro=1, length=8, accumulation=1, layers=2, traced=2, reserved=1000.0, flops=1.0, seconds=0.0,
    between={"weights": 400.0, "optimizer": 100.0, "rounding": 12.0}, versions={},
    moments={
        "forward, loss": {"weights": 400.0, "activations": 60.0, "rounding": 0.0},
        "backward, loss": {"weights": 400.0, "activations": 50.0, "logits": 90.0, "rounding": 4.0},
        "backward, middle blocks": {"weights": 400.0, "temporary": 70.0, "rounding": 8.0},
        "optimizer": {"weights": 400.0, "optimizer": 100.0, "rounding": 0.0},
    },
)  # fmt: skip


def test_a_trace_is_told_in_the_words_of_the_formulas():
    found = memory_of(TRACE, None)
    assert found.moment == "loss"
    assert found.allocated == TRACE.allocated == 544.0
    assert found.step.logits == 90.0
    assert found.step.temporary == 4.0
    assert found.reserved == 1000.0
    assert found.moments["last block"].temporary == 78.0
    assert found.load.total == 400.0


def test_what_a_trace_does_not_show_is_as_the_formulas_tell_it():
    shape = decoder_shape(hidden=64, layers=2, heads=4, ffn=96, vocab=128)
    told = memory(shape, Setup(length=8), answers=20, eval_batch=2)
    found = memory_of(TRACE, told)
    assert found.evaluate == told.evaluate
    assert found.context == told.context
    assert found.moments.keys() == told.moments.keys()


def test_the_record_is_a_plain_one():
    facts = Facts(transformers="5.23.0", trace=TRACE)
    assert facts.as_dict()["trace"]["moments"]["optimizer"]["optimizer"] == 100.0
    assert replace(TRACE, moments={"optimizer": {"weights": 1.0}}).peak == "optimizer"
    assert pytest.approx(544.0) == sum(TRACE.parts.values())
