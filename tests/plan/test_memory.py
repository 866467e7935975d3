"""Memory by formula: small cases worked by hand, and peaks that were traced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foretune.plan import setup as plan
from foretune.plan.decoder import decoder_shape
from foretune.plan.memory.activations import block, kept_by_norms, loss
from foretune.plan.memory.attention import kept_by_attention
from foretune.plan.memory.peak import memory
from foretune.plan.memory.states import bytes_of_model, optimizer_bytes, packed_adam_bytes
from foretune.plan.setup import Adapter, Kernels, Parallel, Setup

GIB = 2**30
LLAMA_3B = decoder_shape(
    hidden=3072, layers=28, heads=24, kv_heads=8, head_dim=128, ffn=8192, vocab=128256, tied=True
)
FOUR_LAYERS = decoder_shape(
    hidden=4096, layers=4, heads=32, kv_heads=8, head_dim=128, ffn=14336, vocab=128256
)
EVERY_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
STEP = Setup(length=1024, micro=2, precision=plan.PURE_16)


def test_the_decoder_of_known_dimensions_has_the_published_number_of_parameters():
    assert LLAMA_3B.num_parameters == 3_212_749_824
    assert FOUR_LAYERS.num_parameters == 1_923_125_248


def test_a_written_out_block_in_16_bits_keeps_what_the_hand_counts():
    """49 bytes for every element of the hidden state of Llama 3 8B: 16 in the norms, 5 + 28."""
    kept = block(FOUR_LAYERS, STEP)
    tokens, hidden = 2048, 4096
    assert kept.norms == tokens * hidden * 16
    assert kept.attention == tokens * (hidden * 5 + 4 * 32)
    assert kept.feed_forward == tokens * hidden * 28
    assert kept.scores == kept.adapters == 0


def test_a_compiled_block_keeps_less_and_eager_attention_keeps_its_weights():
    compiled = replace(STEP, kernels=Kernels(compiled=True))
    assert block(FOUR_LAYERS, compiled).norms == 2048 * 4096 * 8
    eager = block(FOUR_LAYERS, replace(STEP, kernels=Kernels(attention="eager")))
    assert eager.scores == 2048 * 1024 * 32 * (4 + 2)


def test_the_formulas_of_activations_say_themselves():
    assert "tokens × hidden × norms × per_element" in kept_by_norms.text(8, 4, 2, 8)
    assert kept_by_attention(10, 64, 16, 4, 2) == 10 * (2 * (128 + 32) + 16)


@pytest.mark.parametrize(
    ("kind", "per_score"),
    [("full", 12.0), ("shifted", 22.0), ("compiled", 4.0), ("chunked", 2.5), ("fused", 0.5)],
)
def test_each_way_to_compute_the_loss_holds_its_bytes_a_score(kind: plan.Loss, per_score: float):
    assert loss(FOUR_LAYERS, replace(STEP, kernels=Kernels(loss=kind))) == (
        2048 * 128256 * per_score
    )


TRACED = [
    ("as it is", STEP, 15.798, 0.489),
    ("lists of tensors", replace(STEP, fused=False), 18.432, 0.489),
    ("checkpointing", replace(STEP, checkpointing="full"), 14.865, 0.489),
    ("accumulation", replace(STEP, accumulation=2), 19.382, 0.489),
    ("amp", replace(STEP, precision=plan.AMP), 29.679, 0.489),
    ("amp, checkpointing", replace(STEP, precision=plan.AMP, checkpointing="full"), 29.209, 0.489),
    ("float32", replace(STEP, precision=plan.FP32), 29.698, 0.978),
    ("LoRA", replace(STEP, adapter=Adapter(rank=8, targets=("q_proj", "v_proj"), bytes_each=2)),
     8.167, 0.489),
    ("LoRA on all", replace(STEP, adapter=Adapter(rank=8, targets=EVERY_LINEAR)), 9.321, 0.489),
    ("LoRA on all, checkpointing",
     replace(STEP, adapter=Adapter(rank=8, targets=EVERY_LINEAR), checkpointing="full"), 7.162,
     0.489),
]  # fmt: skip
"""Peaks in GiB of a step of transformers' Llama with four layers of Llama 3 8B, two rows of 1,024
tokens, traced with fake tensors on torch 2.13; the trace kept the scores themselves, which a
trainer does not, and they are given last."""


@pytest.mark.parametrize("name, setup, traced, scores", TRACED, ids=[one[0] for one in TRACED])
def test_the_formula_agrees_with_a_traced_step(
    name: str, setup: Setup, traced: float, scores: float
):
    told = memory(FOUR_LAYERS, setup).allocated / GIB
    assert told + scores == pytest.approx(traced, rel=0.01)


def test_the_peak_moves_from_the_loss_to_the_end_of_the_backward_pass_with_checkpointing():
    assert memory(LLAMA_3B, STEP).moment == "loss"
    rows = replace(STEP, micro=1, checkpointing="full", kernels=Kernels(loss="fused"))
    assert memory(LLAMA_3B, rows).moment in ("first block", "embedding")
    assert memory(LLAMA_3B, replace(rows, fused=False)).moment == "optimizer"


def test_the_optimizer_in_the_backward_pass_leaves_no_gradients():
    held = memory(LLAMA_3B, replace(STEP, in_backward=True))
    assert all(parts.gradients == 0 for parts in held.moments.values())


def test_packed_weights_weigh_their_bits_and_their_scales():
    linears = sum(one.num_parameters for one in LLAMA_3B.linears)
    rest = LLAMA_3B.num_parameters - linears
    packed = replace(STEP, packing=plan.NF4, adapter=Adapter(rank=8, targets=("q_proj",)))
    assert bytes_of_model(LLAMA_3B, packed) == linears * (0.5 + 4 / 64) + rest * 2
    assert bytes_of_model(LLAMA_3B, STEP) == LLAMA_3B.num_parameters * 2


def test_each_optimizer_keeps_what_it_keeps():
    count = LLAMA_3B.num_parameters
    adam = optimizer_bytes(LLAMA_3B, replace(STEP, precision=plan.FP32), count)
    assert adam == 8 * count
    eight = optimizer_bytes(LLAMA_3B, replace(STEP, optimizer="adamw 8bit"), count)
    assert eight == packed_adam_bytes(count) == 2 * count * (1 + 4 / 256)
    assert optimizer_bytes(LLAMA_3B, replace(STEP, optimizer="sgd"), count) == 0
    assert optimizer_bytes(LLAMA_3B, replace(STEP, optimizer="adafactor"), count) < adam / 100
    assert memory(LLAMA_3B, replace(STEP, optimizer="paged adamw 8bit")).step.optimizer == 0


@pytest.mark.parametrize("program", ["deepspeed", "fsdp"])
def test_each_stage_of_sharding_shares_out_one_thing_more(program: str):
    master = replace(STEP, precision=plan.MASTER_16)
    found = []
    for sharding in ("none", "optimizer", "gradients", "all"):
        parallel = Parallel(data=8, sharding=sharding, program=program)  # type: ignore[arg-type]
        held = memory(LLAMA_3B, replace(master, parallel=parallel)).moments["optimizer"]
        found.append((held.weights, held.gradients, held.optimizer, held.master))
    count = LLAMA_3B.num_parameters
    assert found[0] == (2 * count, 2 * count, 8 * count, 4 * count)
    assert found[1] == pytest.approx((2 * count, 2 * count, count, count / 2))
    assert found[2] == pytest.approx((2 * count, count / 4, count, count / 2))
    assert found[3] == pytest.approx((count / 4, count / 4, count, count / 2))


def test_offloaded_states_are_not_on_the_device():
    parallel = Parallel(data=2, sharding="gradients", program="deepspeed", offload_optimizer=True)
    held = memory(LLAMA_3B, replace(STEP, precision=plan.MASTER_16, parallel=parallel))
    assert held.step.optimizer == held.step.master == 0


def test_tensor_and_pipeline_ranks_hold_their_part_of_the_weights():
    whole = memory(FOUR_LAYERS, STEP).load.weights
    halves = memory(FOUR_LAYERS, replace(STEP, parallel=Parallel(tensor=2)))
    assert halves.load.weights == whole / 2
    stages = replace(STEP, accumulation=4, parallel=Parallel(pipeline=2, program="megatron"))
    assert memory(FOUR_LAYERS, stages).load.weights == pytest.approx(whole / 2, rel=1e-5)


def test_allocated_reserved_and_used_are_three_numbers_and_phases_have_their_parts():
    held = memory(LLAMA_3B, STEP, answers=2048, eval_batch=4)
    assert held.allocated < held.reserved < held.used
    assert held.phases.keys() == {"load", "step", "evaluate", "save"}
    assert held.evaluate.cache == 2 * 28 * 4 * 2048 * 1024 * 2
    assert held.load.total == held.load.weights < held.step.total
