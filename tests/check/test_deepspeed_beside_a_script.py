"""ds_config.json beside the script that names it: agreement passes, each contradiction is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foretune.check.finding import Finding
from foretune.cli import main
from foretune.formats.deepspeed import read_deepspeed
from foretune.formats.read import read_sound
from foretune.train.examine import examine


def beside(shared: Path, changes: dict[str, Any], **options: Any) -> list[Finding]:
    """What is found of Baichuan2's files with these keys of ds_config.json changed, notes apart."""
    folder = shared / "inputs/baichuan2-13b"
    values = json.loads((folder / "ds_config.json").read_text())
    zero = {**values["zero_optimization"], **changes.pop("zero_optimization", {})}
    text = json.dumps({**values, "zero_optimization": zero, **changes}, indent=1)
    run, problems = read_sound(folder / "config.json", folder / "train.sh")
    reading = read_deepspeed(text, "ds_config.json")
    found = examine(run.add(reading.settings), [*problems, *reading.problems], **options)
    return [one for one in found if one.severity != "note"]


def test_the_published_pair_agrees(shared):
    for options in ({}, {"gpus": 8}, {"device": "A100", "gpus": 8}):
        assert not beside(shared, {}, **options)


def test_each_contradiction_is_found_at_its_line(shared):
    changes = {
        "gradient_clipping": {"gradient_clipping": 0.5},
        "train_batch_size": {"train_batch_size": 100},
        "bf16.enabled": {"bf16": {"enabled": False}},
    }
    for spelling, change in changes.items():
        first = beside(shared, change, gpus=8)[0]
        assert first.severity == "error"
        assert first.origin.spelling == spelling
        assert first.origin.file == "ds_config.json"
    assert len(changes) == 3


def test_a_value_that_agrees_is_no_contradiction(shared):
    same = {"gradient_clipping": 1.0, "train_micro_batch_size_per_gpu": 16, "train_batch_size": 128}
    assert not beside(shared, {**same, "bf16": {"enabled": True}}, gpus=8)


def test_shards_that_nothing_gathers_are_a_warning(shared):
    off = {"zero_optimization": {"stage3_gather_16bit_weights_on_model_save": False}}
    assert [(one.code, one.severity) for one in beside(shared, off)] == [("Z201", "warning")]


def test_a_model_too_large_for_its_shards_is_an_error_on_that_gpu(shared):
    (one,) = beside(shared, {}, device="RTX 4090", gpus=8)
    assert one.code == "D104"
    assert not beside(shared, {}, device="RTX 4090", gpus=16)


def test_a_file_that_the_script_does_not_name_is_held_against_it_all_the_same(
    tmp_path: Path, capsys
):
    script, config = tmp_path / "train.sh", tmp_path / "ds.json"
    script.write_text(
        "deepspeed --num_gpus 2 main.py --do_train --train_file a.json --prompt_column x "
        "--response_column y --model_name_or_path a/b --output_dir o "
        "--per_device_train_batch_size 8\n"
    )
    config.write_text('{"train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": 2}}')
    assert main(["check", str(script), str(config), "--lang", "en"]) == 1
    assert "Z101: train_micro_batch_size_per_gpu is 4" in capsys.readouterr().out
