"""A run as the formulas take it: what foretune's trainer makes of real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foretune.errors import UserError
from foretune.facts import DataFacts, Facts
from foretune.formats.model_config import model_file
from foretune.formats.read import read
from foretune.params.arch.shape import Shape
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.plan.memory.states import trained
from foretune.plan.of_run import asked_gpus, assumptions, hardware_of, on_gpus, setup_of, typical
from foretune.plan.parameters import trainable_parameters
from foretune.plan.setup import AMP, FP32, SHARDED_MIXED, Setup

FACTS = Facts(transformers="5.23.0")


def planned(*files: Path, **values: Any) -> tuple[Run, Shape]:
    """The resolved run of these files, meant for a GPU, and the sizes of its model."""
    run = read(*map(str, files), set={"launch.train": True})
    run = run.set({name.replace("__", "."): value for name, value in values.items()})
    config = model_file(run)
    assert config is not None
    return resolve(run, config.shape, device="cuda", complete=False), config.shape


def chatglm2(shared: Path, **values: Any) -> tuple[Run, Shape]:
    return planned(shared / "inputs/chatglm2-6b/config.json", **values)


def setup(shared: Path, facts: Facts = FACTS, **values: Any) -> Setup:
    run, shape = chatglm2(shared, **values)
    return setup_of(run, shape, replace(facts, devices=run.launch.all_processes))


def test_the_official_prefix_script_packs_a_frozen_half_precision_base(shared: Path):
    folder = shared / "inputs/chatglm2-6b"
    run, shape = planned(folder / "config.json", folder / "train.sh")
    found = setup_of(run, shape, FACTS)
    assert found.length == 64 + 128 + 1
    assert (found.micro, found.accumulation) == (1, 16)
    assert found.adapter is not None and (found.adapter.prefix, found.adapter.rank) == (128, 0)
    assert found.packing is not None and found.packing.bits == 4
    assert found.packing.names == ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
    assert (found.precision.weights, found.precision.autocast) == (2, False)
    assert found.checkpointing == "full"
    assert found.kernels.repeats_keys  # a prefix needs a mask, and with one no kernel shares keys


def test_the_deepspeed_script_of_baichuan_is_zero_3_with_float32_copies(shared: Path):
    folder = shared / "inputs/baichuan2-13b"
    files = (folder / name for name in ("config.json", "train.sh", "ds_config.json"))
    run, shape = planned(*files)
    run = on_gpus(run, "8")
    found = setup_of(run, shape, Facts(transformers="5.23.0", devices=run.launch.all_processes))
    parallel, numbers = found.parallel, found.precision
    assert (parallel.program, parallel.sharding, parallel.data) == ("deepspeed", "all", 8)
    assert (numbers.weights, numbers.gradients, numbers.master) == (2, 2, True)
    assert (found.length, found.micro, found.adapter) == (512, 16, None)


def test_accelerates_file_offloads_the_optimizer(shared: Path):
    folder = shared / "inputs/accelerate"
    config = shared / "inputs/chatglm2-6b/config.json"
    run, shape = planned(config, folder / "launch.sh", folder / "accelerate.yaml")
    found = setup_of(run, shape, Facts(transformers="5.23.0", devices=run.launch.all_processes))
    parallel = found.parallel
    assert (parallel.sharding, parallel.data, parallel.offload_optimizer) == ("gradients", 2, True)


@pytest.mark.parametrize(
    ("values", "precision"),
    [
        ({}, FP32),
        ({"precision__mixed": "bf16"}, AMP),
        ({"precision__mixed": "fp16", "launch__fsdp": "full_shard"}, SHARDED_MIXED),
        ({"precision__mixed": "fp16", "launch__fsdp": "no_shard"}, SHARDED_MIXED),
    ],
)
def test_full_tuning_holds_float32_weights(shared: Path, values, precision):
    assert setup(shared, **values).precision == precision


@pytest.mark.parametrize(
    ("values", "weights", "autocast"),
    [
        ({}, 2, False),
        ({"precision__mixed": "bf16"}, 2, False),
        ({"precision__dtype": "float32"}, 4, False),
        ({"precision__dtype": "float32", "precision__mixed": "bf16"}, 4, True),
    ],
)
def test_a_frozen_base_is_as_it_is_loaded_and_what_trains_is_float32(
    shared: Path, values, weights, autocast
):
    found = setup(shared, method__name="lora", **values)
    assert (found.precision.weights, found.precision.autocast) == (weights, autocast)
    assert found.adapter is not None and found.adapter.bytes_each == 4


@pytest.mark.parametrize(
    ("name", "kind", "fused"),
    [
        ("adamw_torch_fused", "adamw", True),
        ("adamw_torch", "adamw", False),
        ("adamw_8bit", "adamw 8bit", True),
        ("adamw_bnb_8bit", "adamw 8bit", True),
        ("paged_adamw_8bit", "paged adamw 8bit", True),
        ("paged_adamw_32bit", "paged adamw", True),
        ("adafactor", "adafactor", False),
        ("sgd", "sgd", False),
        ("lion_8bit", "lion 8bit", True),
    ],
)
def test_optimizers_are_known_by_what_they_keep(shared: Path, name, kind, fused):
    found = setup(shared, optim__name=name)
    assert (found.optimizer, found.fused) == (kind, fused)


@pytest.mark.parametrize(
    ("stage", "sharding"), list(enumerate(["none", "optimizer", "gradients", "all"]))
)
def test_each_stage_of_zero_shares_out_more(shared: Path, stage, sharding):
    found = setup(
        shared, launch__deepspeed="ds_config.json", launch__processes=4,
        deepspeed__zero_optimization__stage=stage,
        deepspeed__zero_optimization__reduce_bucket_size="auto",
    )  # fmt: skip
    assert (found.parallel.sharding, found.parallel.program) == (sharding, "deepspeed")
    assert found.parallel.bucket == 4096 * 4096


def test_accelerates_other_parallelism_takes_processes_from_the_data(shared: Path):
    found = setup(
        shared, launch__processes=8, trainer__parallelism_config={"tp_size": 2, "cp_size": 2}
    )
    parallel = found.parallel
    assert (parallel.tensor, parallel.context, parallel.data, parallel.devices) == (2, 2, 2, 8)


def test_measured_lengths_replace_the_limits(shared: Path):
    rows = DataFacts(
        file="rows.json", rows=10, examples=10, tokens=500, trained_tokens=300, longest=90,
        padded_tokens=1930,
    )  # fmt: skip
    facts = Facts(transformers="5.23.0", train=rows)
    run, shape = chatglm2(shared, data__max_source_length=64)
    longest = setup_of(run, shape, facts)
    assert (longest.length, typical(longest, run, facts).length) == (90, 50)
    assert assumptions(run, shape, facts) == ()
    padded, _ = chatglm2(shared, data__pad_to_max_length=True)
    longest = setup_of(padded, shape, facts)
    assert (longest.length, typical(longest, padded, facts).length) == (193, 193)


def test_what_is_assumed_is_said_in_both_languages(shared: Path):
    run, shape = chatglm2(shared, launch__launcher="deepspeed")
    told = assumptions(run, replace(shape, vocab=None), FACTS)
    assert [words.en.split()[0] for words in told] == ["every", "deepspeed", "embedding"]
    assert all(any("一" <= one <= "鿿" for one in words.zh) for words in told)


def test_as_many_parameters_train_as_are_counted(shared: Path):
    tried = 0
    for values in (
        {},
        {"method__prefix__length": 64},
        {"method__prefix__length": 16, "method__prefix__projection": True},
        {"method__name": "lora", "method__lora__rank": 5},
        {"method__name": "lora", "method__lora__targets": ["dense", "dense_4h_to_h"]},
        {"method__name": "lora", "method__lora__targets": ["all-linear"]},
    ):
        run, shape = chatglm2(shared, **values)
        assert trained(shape, setup_of(run, shape, FACTS)) == trainable_parameters(run, shape)
        tried += 1
    assert tried == 6


def test_gpus_are_a_number_with_or_without_a_name():
    assert asked_gpus("8") == (8, None)
    assert asked_gpus("8xH100") == (8, "H100")
    assert asked_gpus(None) == (None, None)
    for wrong in ("0", "x8", "eight", "1.5"):
        with pytest.raises(UserError, match="is no number of devices"):
            asked_gpus(wrong)
    hardware = hardware_of(Run(), None, "2 x RTX 4090")
    assert hardware is not None and hardware.device.name == "RTX 4090"
    assert on_gpus(Run(), "4").launch.all_processes == 4
    with pytest.raises(UserError, match="does not go round 3 machines"):
        on_gpus(Run().set({"launch.nodes": 3}), "4")


def test_a_device_may_be_a_file(tmp_path: Path):
    file = tmp_path / "mine.json"
    file.write_text('{"name": "mine", "memory_gb": 48, "bandwidth_gbs": 900, "bf16": 150}')
    hardware = hardware_of(Run(), str(file))
    assert hardware is not None
    assert (hardware.device.name, hardware.device.memory_gb, hardware.device.fp8) == (
        "mine", 48, None,
    )  # fmt: skip
    wrong = {
        "{": "Expecting property name",
        "[]": "no mapping",
        '{"memory_gb": 48}': "bandwidth_gbs, bf16 is missing",
        '{"memory_gb": "48", "bandwidth_gbs": 900, "bf16": 1}': "memory_gb cannot be used",
        '{"memory": 48}': "memory cannot be used",
    }
    for text, why in wrong.items():
        file.write_text(text)
        with pytest.raises(UserError) as refused:
            hardware_of(Run(), str(file))
        assert why in str(refused.value.problems[0])
    with pytest.raises(UserError, match="no GPU is known under the name"):
        hardware_of(Run(), "GTX 9000")
