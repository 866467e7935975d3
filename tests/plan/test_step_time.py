"""FLOPs by each convention, counted beside torch's own counter, and the time that they take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foretune.plan import setup as plan
from foretune.plan.decoder import decoder_shape
from foretune.plan.devices import device_named
from foretune.plan.flops import flops
from foretune.plan.setup import Adapter, Kernels, Parallel, Setup
from foretune.plan.step_time import Hardware, step_time, tokens_per_second, utilisation

TINY = {"hidden": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 88, "vocab": 96}
SHAPE = decoder_shape(**TINY)
EVERY_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
STEP = Setup(length=16, micro=3, kernels=Kernels(attention="eager"))
BIG = decoder_shape(hidden=4096, layers=32, heads=32, kv_heads=8, ffn=14336, vocab=128256)
H100 = Hardware(device=device_named("H100 80GB"))

CASES = {
    "full": STEP,
    "checkpointing": replace(STEP, checkpointing="full"),
    "LoRA": replace(STEP, adapter=Adapter(rank=4, targets=EVERY_LINEAR)),
    "LoRA on two": replace(STEP, adapter=Adapter(rank=4, targets=("q_proj", "v_proj"))),
    "LoRA, checkpointing": replace(
        STEP, adapter=Adapter(rank=4, targets=EVERY_LINEAR), checkpointing="full"
    ),
    "LoRA on two, checkpointing": replace(
        STEP, adapter=Adapter(rank=4, targets=("q_proj", "v_proj")), checkpointing="full"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_exact_count_is_that_of_torch(name: str):
    setup = CASES[name]
    counted = _counted(setup)
    told = flops(SHAPE, setup)
    assert told.exact == counted


def _counted(setup: Setup) -> int:
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=88, vocab_size=96, use_cache=False, attn_implementation="eager",
    )  # fmt: skip
    model: torch.nn.Module = LlamaForCausalLM(config)
    if setup.checkpointing == "full":
        options = {"use_reentrant": False}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)  # type: ignore
    if setup.adapter is not None:
        if setup.checkpointing == "full":
            model.enable_input_require_grads()  # type: ignore[operator]
        adapted = LoraConfig(r=setup.adapter.rank, target_modules=list(setup.adapter.targets))
        model = get_peft_model(model, adapted)  # type: ignore[arg-type]
    ids = torch.zeros(3, 16, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model.train()(input_ids=ids, labels=ids).loss.backward()
    return counter.get_total_flops()


def test_model_flops_are_six_a_parameter_and_attention_in_full_or_half():
    told = flops(BIG, Setup(length=4096))
    multiplied = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336) + 128256 * 4096
    attention = 12 * 32 * 4096 * 4096 * 4096
    assert told.model == 6 * multiplied * 4096 + attention
    assert told.model_causal == told.model - attention / 2


def test_deepspeed_counts_the_backward_pass_twice_whatever_is_frozen_or_repeated():
    full = flops(BIG, Setup(length=512))
    assert full.deepspeed == flops(BIG, Setup(length=512, checkpointing="full")).deepspeed
    frozen = flops(BIG, Setup(length=512, adapter=Adapter(rank=8, targets=("q_proj",))))
    assert frozen.exact < frozen.deepspeed
    assert frozen.deepspeed >= full.deepspeed


def test_a_step_takes_longer_with_checkpointing_and_less_long_on_a_faster_device():
    setup = Setup(length=4096, precision=plan.PURE_16)
    plain = step_time(BIG, setup, H100)
    assert plain.low < plain.seconds < plain.high
    again = step_time(BIG, replace(setup, checkpointing="full"), H100)
    assert plain.seconds < again.seconds < 1.5 * plain.seconds
    slower = step_time(BIG, setup, Hardware(device=device_named("RTX 4090")))
    assert slower.seconds > 2 * plain.seconds


def test_what_is_used_of_a_device_stays_below_all_of_it():
    setup = Setup(length=4096, micro=2, precision=plan.PURE_16, checkpointing="full")
    seconds = step_time(BIG, setup, H100).seconds
    model, hardware = utilisation(BIG, setup, H100, seconds)
    assert 0.2 < model < hardware < 0.8
    assert tokens_per_second(setup, seconds) == pytest.approx(8192 / seconds)


def test_a_pipeline_waits_and_ranks_that_share_weights_send_them():
    setup = Setup(length=4096, accumulation=8, precision=plan.SHARDED_MIXED)
    stages = replace(setup, parallel=Parallel(pipeline=4, program="megatron"))
    assert step_time(BIG, stages, H100).waiting > 0
    shared = replace(setup, parallel=Parallel(data=8, sharding="all", program="fsdp"))
    assert step_time(BIG, shared, H100).communication > 0
    assert step_time(BIG, setup, H100).communication == step_time(BIG, setup, H100).waiting == 0


def test_a_measured_step_sets_the_factor_and_narrows_the_interval():
    told = step_time(BIG, Setup(length=4096, precision=plan.PURE_16), H100)
    measured = told.calibrated(1.2)
    assert measured.seconds == pytest.approx(1.2 * told.seconds)
    assert measured.high - measured.low < 1.2 * (told.high - told.low)
    assert "measured" in measured.basis


def test_a_power_limit_costs_the_cube_root_of_what_it_takes():
    limited = Hardware(device=H100.device, power=0.5)
    assert limited.tera(compute=2) == pytest.approx(H100.tera(compute=2) * 0.5 ** (1 / 3))


def test_the_second_fsdp_hides_more_of_what_it_sends_than_the_first():
    shared = Parallel(data=8, sharding="all", program="fsdp")
    setup = Setup(length=4096, precision=plan.SHARDED_MIXED, parallel=shared)
    first = replace(setup, parallel=replace(shared, fsdp=1))
    assert step_time(BIG, setup, H100).communication < step_time(BIG, first, H100).communication


def test_ranks_that_share_a_length_send_keys_and_values_and_more_so_between_nodes():
    step = Setup(length=65536, precision=plan.SHARDED_MIXED)
    inside = replace(step, parallel=Parallel(context=8, sharding="all", program="fsdp"))
    across = replace(step, parallel=Parallel(context=16, sharding="all", program="fsdp"))
    assert step_time(BIG, step, H100).communication == 0
    at = step_time(BIG, inside, H100).communication
    assert 0 < at < step_time(BIG, across, H100).communication


def test_sending_while_multiplying_hides_a_part_of_it():
    split = replace(Setup(length=8192, precision=plan.PURE_16), parallel=Parallel(tensor=8))
    beside = replace(split, parallel=Parallel(tensor=8, overlapped=True))
    seconds = step_time(BIG, beside, H100).communication
    assert seconds == pytest.approx(0.5 * step_time(BIG, split, H100).communication)


def test_later_versions_of_attention_and_compiled_blocks_are_faster():
    setup = Setup(length=8192, precision=plan.PURE_16)
    times = [
        step_time(BIG, replace(setup, kernels=Kernels(flash=version)), H100).attention
        for version in (1, 2, 3)
    ]
    assert times[0] > times[1] > times[2]
    compiled = replace(setup, kernels=Kernels(compiled=True))
    assert step_time(BIG, compiled, H100).traffic < step_time(BIG, setup, H100).traffic


def test_a_power_limit_does_not_slow_attention_down():
    limited = Hardware(device=H100.device, power=0.5)
    setup = Setup(length=8192, precision=plan.PURE_16)
    slow, fast = step_time(BIG, setup, limited), step_time(BIG, setup, H100)
    assert slow.attention == fast.attention and slow.products > fast.products


def test_a_token_of_a_mixture_is_multiplied_with_its_experts_alone():
    sizes = {"hidden": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "vocab": 32000}
    mixture = decoder_shape(**sizes, ffn=14336, experts=8, experts_used=2)
    dense = decoder_shape(**sizes, ffn=2 * 14336)
    setup = Setup(length=4096, precision=plan.PURE_16)
    same = step_time(dense, setup, H100).products
    assert step_time(mixture, setup, H100).products == pytest.approx(same, rel=0.01)
