"""Memory of ranks that share a model: pipelines, tensors, lengths, sharded gradients, experts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foretune.plan import setup as plan
from foretune.plan.counts import unreached
from foretune.plan.decoder import decoder_shape
from foretune.plan.devices import device_named
from foretune.plan.memory import buffers, collectives
from foretune.plan.memory.activations import block
from foretune.plan.memory.peak import memory
from foretune.plan.memory.stages import stages
from foretune.plan.memory.states import trained
from foretune.plan.setup import Adapter, Kernels, Parallel, Setup

GIB = 2**30
BIG = decoder_shape(
    hidden=16384, layers=126, heads=128, kv_heads=8, head_dim=128, ffn=53248, vocab=128256
)
SMALL = decoder_shape(hidden=4096, layers=32, heads=32, kv_heads=8, ffn=14336, vocab=128256)
MIXTURE = decoder_shape(
    hidden=4096, layers=32, heads=32, kv_heads=8, ffn=14336, vocab=32000, experts=8, experts_used=2
)
CUBE = Parallel(data=8, tensor=8, pipeline=8, sharding="all", program="fsdp", overlapped=True)
STEP = Setup(
    length=32768, accumulation=8, precision=plan.SHARDED_MIXED, checkpointing="full",
    parallel=CUBE, kernels=Kernels(compiled=True),
)  # fmt: skip
SHARDED = Setup(
    length=4096, accumulation=4, precision=plan.SHARDED_MIXED,
    parallel=Parallel(data=8, sharding="all", program="fsdp"),
)  # fmt: skip


def test_the_ends_of_a_pipeline_have_no_block_over_and_fewer_batches_wait_further_on():
    first, second, last = stages(BIG, STEP)
    assert (first.blocks, second.blocks, last.blocks) == (15, 16, 15)
    assert (first.waiting, second.waiting, last.waiting) == (7, 7, 1)
    assert first.embedding and last.head and not (second.embedding or second.head)
    assert sum(one.blocks for one in (first, last)) + 6 * second.blocks == 126


def test_an_interleaved_stage_has_gradients_of_one_of_its_runs_while_all_batches_wait():
    looped = replace(STEP, parallel=replace(CUBE, interleaved=True))
    assert [one.summed for one in stages(BIG, looped)] == [0.5, 0.5, 0.5]
    assert stages(BIG, looped)[0].waiting == 7.5
    assert memory(BIG, looped).allocated < memory(BIG, STEP).allocated
    long = replace(looped, accumulation=64)
    assert [one.summed for one in stages(BIG, long)] == [1.0, 1.0, 1.0]


def test_a_pipeline_of_torch_keeps_weights_and_float32_gradients_whole():
    held = memory(BIG, STEP).step
    of_stage = 16 / 126 * (BIG.num_parameters - 2 * 128256 * 16384 - 16384) / 8
    sent = 32768 / 8 * 16384 * 2 * 8 * 2
    assert held.communication == pytest.approx(of_stage * (2 + 4) + sent, rel=1e-6)
    assert held.gradients == 0


def test_gathered_rows_are_put_in_order_where_there_is_more_than_one():
    four = replace(STEP, length=8192, micro=4)
    assert collectives.ordered(BIG, STEP) == 0
    assert collectives.ordered(BIG, four) == 32768 * 2 * (4 * 16384 + 4 * 53248 / 8)
    assert memory(BIG, four).allocated > memory(BIG, STEP).allocated


def test_ranks_that_share_a_length_gather_its_keys_and_values():
    shared = replace(STEP, length=262144, parallel=replace(CUBE, data=1, context=8))
    tokens, width = 32768, 16 * 128
    gathered = tokens * 8 * 2 * width * 2
    gradients = tokens * 3 * width * 6 + tokens * 2 * width * 8
    assert collectives.ring(BIG, shared) == gathered + gradients
    assert collectives.ring(BIG, STEP) == 0
    assert collectives.idle(BIG, shared, largest=0) == collectives.LATE * gathered
    assert collectives.idle(BIG, shared, largest=gathered) == 0


def test_summed_gradients_need_a_piece_of_their_own_where_the_loss_left_none():
    outside = (2 * 128256 * 4096 + 4096) * 4
    assert buffers.reducing_waste(SMALL, SHARDED, largest=0) == outside
    assert buffers.reducing_waste(SMALL, SHARDED, largest=outside) == 0
    assert buffers.reducing_waste(SMALL, Setup(length=4096), largest=0) == 0


def test_gradients_that_are_summed_whole_are_not_shared_out_before_the_last_micro_batch():
    kept = replace(SHARDED, parallel=replace(SHARDED.parallel, sums_whole=True))
    at, before = memory(SMALL, kept).moments["loss"], memory(SMALL, SHARDED).moments["loss"]
    assert at.gradients == 8 * before.gradients == 4 * SMALL.num_parameters
    assert memory(SMALL, kept).moments["optimizer"].gradients == before.gradients
    once = replace(kept, accumulation=1)
    assert memory(SMALL, once).moments["loss"].gradients == 0


def test_the_third_stage_of_zero_leaves_as_much_gathered_as_it_is_told():
    parallel = Parallel(data=8, sharding="all", program="deepspeed", bucket=0)
    step = replace(SHARDED, precision=plan.MASTER_16, parallel=parallel)
    assert memory(SMALL, step).step.communication == (1_000_000_000 + 50_000_000) * 2
    less = replace(step, parallel=replace(parallel, live=0, prefetch=0))
    assert memory(SMALL, less).step.communication == 0


def test_eight_bit_optimizers_of_torchao_unpack_one_tensor_at_a_time():
    step = Setup(length=128, precision=plan.PURE_16, optimizer="adamw 8bit torchao")
    at = memory(SMALL, step).moments["optimizer"]
    assert at.temporary == 3 * 128256 * 4096 * 4
    other = memory(SMALL, replace(step, optimizer="adamw 8bit")).moments["optimizer"]
    assert other.temporary == 0 and other.optimizer == at.optimizer


def test_dora_trains_a_length_for_every_row_and_makes_the_whole_update():
    adapter = Adapter(rank=8, targets=("q_proj", "v_proj"))
    plain = Setup(length=1024, precision=plan.PURE_16, adapter=adapter)
    scaled = replace(plain, adapter=replace(adapter, dora=True))
    assert trained(SMALL, scaled) - trained(SMALL, plain) == 32 * (4096 + 1024)
    more = memory(SMALL, scaled).step.temporary - memory(SMALL, plain).step.temporary
    assert more == 4096 * 4096 * (4 + 3 * 2)


def test_a_token_goes_through_some_of_the_experts():
    assert MIXTURE.num_parameters == 46_702_792_704
    routed = 32 * 8 * 3 * 4096 * 14336
    assert unreached(MIXTURE) == routed * 6 / 8
    one = Setup(length=1024, precision=plan.PURE_16)
    dense, mixed = block(SMALL, one).feed_forward, block(MIXTURE, one).feed_forward
    assert mixed == 2 * dense + 1024 * 4096 * 2 * 4
    assert memory(MIXTURE, one).load.weights == 2 * MIXTURE.num_parameters


def test_error_correction_in_the_same_chips_leaves_a_process_less():
    assert device_named("A10G").usable / GIB == pytest.approx(22.19, abs=0.05)
    assert device_named("4090").usable / GIB == pytest.approx(23.64, abs=0.05)
    assert device_named("A100 80GB").usable / GIB == pytest.approx(79.15, abs=0.5)
