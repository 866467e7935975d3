"""The plan of a model in which an encoder reads and a decoder writes: both texts are counted, and
what is kept of them is what the hand counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from foretune.facts import DataFacts, Facts
from foretune.params.arch.baichuan import Baichuan
from foretune.params.arch.shape import Shape
from foretune.params.arch.transformer import Transformer
from foretune.params.run import Run
from foretune.plan import setup as plan
from foretune.plan.devices import device_named
from foretune.plan.flops import flops
from foretune.plan.forecast import forecast
from foretune.plan.memory.activations import block, kept_by_blocks
from foretune.plan.memory.attention import made_mask
from foretune.plan.memory.peak import memory
from foretune.plan.products import attention_flops
from foretune.plan.setup import Adapter, Kernels, Setup
from foretune.plan.step_time import Hardware, step_time
from foretune.plan.view import laid_out

MIB = 2**20
SHAPE = Transformer(vocab_size=8192, d_model=512, num_layers=8, ffn_hidden_dim=2048).shape
STEP = Setup(length=128, source=512, micro=8, kernels=Kernels(gated=False, layer_norm=True))
"""Hidden states of 8 MiB in the encoder, of 2 MiB in the decoder."""
RUN = Run().set({
    "launch.train": True, "method.name": "full", "batch.micro": 8, "batch.accumulation": 1,
    "data.max_source_length": 512, "data.max_target_length": 128,
})  # fmt: skip


def test_a_block_of_each_half_keeps_what_the_hand_counts():
    """Encoder: queries, keys, values, outputs; their sums; the mask; two norms, in and out; two
    masks of dropout; what ReLU puts out. Decoder: the same of its own text with a third norm, and
    attention to the source.
    """
    reads = 4 * 8 + 0.125 + 8 + 2 * (8 + 8 + 2) + 32
    writes = 4 * 2 + 0.03125 + 3 * (2 + 2 + 0.5) + 8
    crosses = 2 * 2 + 2 * 8 + 0.03125 + 2
    kept, (first, last) = kept_by_blocks(SHAPE, STEP)
    assert first == reads * MIB
    assert last == (writes + crosses) * MIB
    assert kept == first + last


def test_without_dropout_no_mask_of_it_is_kept():
    bare = replace(SHAPE, dropout=False)
    (with_it, _), (without, _) = kept_by_blocks(SHAPE, STEP), kept_by_blocks(bare, STEP)
    assert with_it - without == (2 * 2 + 3 * 0.5) * MIB


def test_with_checkpointing_the_peak_is_in_the_encoder_which_reads_more():
    again = memory(SHAPE, replace(STEP, checkpointing="full"))
    assert again.moment == "first block"
    assert again.moments["first block"].activations > again.moments["last block"].activations - (
        kept_by_blocks(SHAPE, replace(STEP, checkpointing="full"))[0] * SHAPE.layers
    )


def test_the_conventions_of_flops_count_the_same_tokens():
    """A kernel that makes the scores again is all that lies between them."""
    found, width = flops(SHAPE, STEP), SHAPE.heads * SHAPE.head_dim
    pairs = ((8 * 512, 512), (8 * 128, 128), (8 * 128, 512))
    scores = SHAPE.layers * sum(attention_flops(text, keys, width) for text, keys in pairs)
    assert found.exact == pytest.approx(found.model + 0.5 * scores)
    own = SHAPE.layers * attention_flops(8 * 128, 128, width)
    assert found.model_causal == found.model - 1.5 * own
    assert found.deepspeed == pytest.approx(found.model, rel=0.01)
    again = flops(SHAPE, replace(STEP, checkpointing="full"))
    assert again.hardware - again.model == pytest.approx((found.model - 3 * head()) / 3)


def head() -> float:
    """FLOP of the output layer in a forward pass."""
    return 2 * 8 * 128 * 8192 * 512


def test_a_longer_source_costs_the_encoder_and_no_product_of_the_output_layer():
    longer = flops(SHAPE, replace(STEP, source=1024))
    assert longer.model > flops(SHAPE, STEP).model * 1.8
    assert STEP.all_tokens == 8 * (512 + 128)
    assert STEP.step_tokens == 8 * 128


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_the_plan_shows_source_and_target(
    form: str, planned: Callable[[Facts], Callable[[str], str]]
):
    told = planned(Facts(transformers="5.23.0"))(form)
    assert "512 of the source + 128 of the target" in told
    assert "5,120 = 8 × (512 + 128) × 1 × 1" in told


@pytest.fixture
def planned() -> Callable[[Facts], Callable[[str], str]]:
    def told(facts: Facts) -> Callable[[str], str]:
        expected = forecast(RUN, facts, SHAPE, family="Transformer")
        return lambda form: laid_out(expected, form, "en")

    return told


def test_measured_data_give_both_lengths(planned: Callable[[Facts], Callable[[str], str]]):
    """Three sources of 100 and one of 300 tokens, targets of 20 on average."""
    train = DataFacts(
        file="train.json", rows=4, examples=4, tokens=600 + 80, trained_tokens=80, longest=320,
        lengths=((100, 3), (300, 1)),
    )  # fmt: skip
    told = planned(Facts(transformers="5.23.0", train=train))("text")
    assert "(longest batch 300 of the source + 128 of the target)" in told
    assert " + 20 of the target" in told


def test_a_longer_source_takes_longer():
    hardware = Hardware(device=device_named("A100 80GB"))
    times = [step_time(SHAPE, replace(STEP, source=source), hardware) for source in (512, 4096)]
    assert times[1].products > 3 * times[0].products
    assert times[1].attention > 8 * times[0].attention


def baichuan_13b() -> Shape:
    return Baichuan(
        hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        vocab_size=8192, alibi=True,
    ).shape  # fmt: skip


def test_alibi_turns_nothing_and_has_one_mask_for_all_blocks():
    """What the product puts out is what attention takes; 8 heads x 512 x 512 numbers."""
    shape, lora = baichuan_13b(), Adapter(rank=8, targets=("W_pack",))
    step = Setup(length=512, micro=8, precision=plan.PURE_16, adapter=lora)
    assert shape.alibi
    assert block(shape, step).attention == (4 * 4 + 0.125) * MIB
    assert block(shape, step).scores == 0
    assert made_mask(shape, step) == 4 * MIB
    prefix = replace(step, adapter=Adapter(prefix=64))
    assert block(shape, prefix).attention == (12 + 2 * 4.5 + 4 + 0.125) * MIB
    assert made_mask(shape, prefix) == 4.5 * MIB
    turned = replace(shape, alibi=False)
    assert block(turned, step).attention == (4 * 4 + 8 + 0.125) * MIB
    assert made_mask(turned, step) == 0


def test_attention_in_plain_steps_keeps_its_outputs_only_for_a_product_that_trains():
    shape, lora = baichuan_13b(), Adapter(rank=8, targets=("W_pack",))
    eager = Kernels(attention="eager")
    step = Setup(length=512, micro=8, precision=plan.PURE_16, adapter=lora, kernels=eager)
    assert block(shape, step).attention == 3 * 4 * MIB
    assert block(shape, replace(step, adapter=None)).attention == 4 * 4 * MIB


def test_amp_keeps_the_inputs_of_lora_in_16_bits():
    lora = Adapter(rank=8, targets=("W_pack",))
    step = Setup(length=512, micro=8, precision=plan.PURE_16, adapter=lora)
    cast = replace(step, adapter=replace(lora, autocast=True))
    assert block(baichuan_13b(), step).adapters == (8 + 0.125) * MIB
    assert block(baichuan_13b(), cast).adapters == (4 + 0.0625) * MIB
