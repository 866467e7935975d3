"""Accelerate's YAML file and the flags of `accelerate launch`."""

from __future__ import annotations

import argparse
import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from foretune.errors import Problem, UserError
from foretune.formats.accelerate import (
    BLOCKS,
    FILE_ONLY,
    FLAG_ONLY,
    KEYS,
    SWITCHES,
    UNREAD,
    flags,
    own_keys,
    read_accelerate,
    write,
)
from foretune.formats.kinds import kind_of
from foretune.formats.launchers import ACCELERATE
from foretune.formats.read import read
from foretune.params.run import Run, compose, compose_sound, parameters

launch = pytest.importorskip("accelerate.commands.launch")

BASE: dict[str, Any] = {"distributed_type": "MULTI_GPU", "num_processes": 2}


def run_of(values: dict[str, Any]) -> Run:
    found = read_accelerate(yaml.safe_dump(values), "accelerate.yaml")
    assert found.problems == []
    return compose(found.settings, found.notes)


def problem(text: str) -> Problem:
    """The one thing that is wrong."""
    found = read_accelerate(text, "a.yaml")
    problems = [*found.problems, *compose_sound(found.settings)[1]]
    assert len(problems) == 1, problems
    return problems[0]


def options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {
        option.lstrip("-").replace("-", "_"): action
        for action in parser._actions
        for option in action.option_strings
        if option not in ("-h", "--help")
    }


# --- every key and every flag


def test_every_flag_of_the_installed_accelerate_is_declared_and_no_other():
    theirs = options(launch.launch_command_parser())
    assert len(theirs) > 125
    assert {name: action.nargs != 0 for name, action in theirs.items()} == dict(ACCELERATE)
    assert set(SWITCHES) <= theirs.keys()


def test_every_key_of_the_installed_accelerates_file_is_declared():
    from accelerate.commands.config import config_args

    classes = (config_args.ClusterConfig, config_args.SageMakerConfig)
    theirs = {field.name for one in classes for field in dataclasses.fields(one)}
    assert len(theirs) > 40
    assert theirs - {*own_keys(), *KEYS, *BLOCKS} == set()
    ours = {key for key in (*own_keys(), *KEYS) if "." not in key}
    assert ours - theirs == set()


def test_keys_inside_the_blocks_are_flags_or_known_to_stand_in_the_file_only():
    theirs = options(launch.launch_command_parser())
    inside = {key.partition(".")[2] for key in (*own_keys(), *KEYS) if "." in key}
    assert len(inside) > 75
    assert inside - theirs.keys() == {"fsdp_ignored_modules", "fp8_use_mxfp8_block_scaling"}
    assert inside - theirs.keys() < set(FILE_ONLY)


def test_declared_defaults_are_those_of_the_flags():
    seen = 0
    for name, action in options(launch.launch_command_parser()).items():
        path = flags()[name]
        declared = parameters()[path].default
        if action.default is None or not path.startswith("accelerate.") or len(name) == 1:
            continue
        default = {"true": True, "false": False, "1": 1}.get(action.default, action.default)
        default = "0" if name == "tee" else default
        seen += 1
        assert declared == default or name == "no_tpu_cluster", name
    assert seen > 60


def test_choices_are_those_of_the_flags():
    from accelerate.utils import constants

    strategies = parameters()["accelerate.fsdp_config.fsdp_sharding_strategy"].annotation
    assert list(strategies.__args__) == constants.FSDP_SHARDING_STRATEGY
    launchers = parameters()[flags()["deepspeed_multinode_launcher"]].annotation
    assert set(launchers.__args__[0].__args__) == set(constants.DEEPSPEED_MULTINODE_LAUNCHERS)


def test_keys_that_are_said_to_have_no_effect_in_the_file_have_none(tmp_path: Path):
    values: dict[str, Any] = {**BASE, "rdzv_backend": "c10d"}
    values |= dict.fromkeys(set(FLAG_ONLY) - {"rdzv_backend"}, True)
    values["fp8_config"] = {name.partition("_")[2]: "9" for name in map(last, UNREAD)}
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(values))
    theirs = launch.launch_command_parser().parse_args(["--config_file", str(file), "x.py"])
    taken = vars(launch._validate_launch_command(theirs)[0])
    plain = vars(launch.launch_command_parser().parse_args(["x.py"]))
    names = [*FLAG_ONLY, *UNREAD.values()]
    assert len(names) == 8
    assert {name: taken[name] for name in names} == {name: plain[name] for name in names}
    assert taken["num_processes"] == 2
    notes = read_accelerate(file.read_text(), str(file)).notes
    assert {note.kind for note in notes} == {"no effect"} and len(notes) == 8


def last(key: str) -> str:
    return key.partition(".")[2]


# --- reading and writing


def test_the_shared_file_is_read_with_its_lines(shared: Path):
    text = (shared / "inputs/accelerate/accelerate.yaml").read_text("utf-8")
    found = read_accelerate(text, "accelerate.yaml")
    assert found.problems == []
    lines = {setting.origin.spelling: setting.origin.line for setting in found.settings}
    assert lines["compute_environment"] == 1
    assert lines["deepspeed_config.zero_stage"] == 9
    assert lines["num_processes"] == 17
    assert len(lines) == 22
    run = compose(found.settings)
    assert run.deepspeed.zero_optimization.stage == 2
    assert run.deepspeed.zero_optimization.offload_optimizer.device == "cpu"
    assert (run.batch.accumulation, run.launch.processes) == (4, 2)
    assert [note.what for note in found.notes] == ["same_network has no effect in this file"]


def test_the_shared_file_is_written_back_as_it_was(shared: Path):
    text = (shared / "inputs/accelerate/accelerate.yaml").read_text("utf-8")
    written = write(compose(read_accelerate(text, "accelerate.yaml").settings))
    assert yaml.safe_load(written) == {**yaml.safe_load(text), "downcast_bf16": False}


def test_words_that_yaml_takes_for_something_else_are_written_in_quotes():
    text = write(run_of({**BASE, "mixed_precision": "no", "main_process_ip": "10.0.0.1"}))
    assert yaml.safe_load(text)["mixed_precision"] == "no"
    assert yaml.safe_load(text)["main_process_ip"] == "10.0.0.1"


def test_keys_may_leave_out_what_their_block_begins_with():
    run = run_of(
        {**BASE, "distributed_type": "FSDP", "fsdp_config": {"version": 2, "offload_params": True}}
    )
    assert run.accelerate.fsdp_config.fsdp_version == 2
    assert run.accelerate.fsdp_config.fsdp_offload_params


def test_processes_are_counted_over_all_machines():
    run = run_of({**BASE, "num_processes": 8, "num_machines": 2})
    assert (run.launch.processes, run.launch.nodes) == (4, 2)
    assert "num_processes: 8" in write(run)


def test_a_block_of_another_kind_of_run_has_no_effect():
    run = run_of({**BASE, "deepspeed_config": {"zero_stage": 3}})
    assert run.deepspeed.zero_optimization.stage == 0
    assert [note.what for note in run.notes] == ["deepspeed_config has no effect"]


def test_eight_bits_are_computed_in_under_bfloat16():
    run = run_of({**BASE, "mixed_precision": "fp8"})
    assert (run.precision.mixed, run.accelerate.mixed_precision) == ("bf16", "fp8")
    assert "mixed_precision: fp8" in write(run)


def test_the_names_of_the_first_files_are_read():
    run = run_of({**BASE, "fp16": True, "dynamo_backend": "INDUCTOR"})
    assert run.precision.mixed == "fp16"
    assert run.accelerate.dynamo_config.dynamo_backend == "INDUCTOR"
    assert [note.kind for note in run.notes] == ["renamed", "renamed"]


def test_a_file_for_sagemaker_is_read():
    run = run_of(
        {
            "compute_environment": "AMAZON_SAGEMAKER",
            "distributed_type": "NO",
            "ec2_instance_type": "ml.p3.2xlarge",
            "iam_role_name": "role",
        }
    )
    assert run.accelerate.sagemaker.ec2_instance_type == "ml.p3.2xlarge"


@pytest.mark.parametrize(
    ("text", "what", "where", "fix"),
    [
        ("num_processes: 2", "distributed_type is missing", "a.yaml", "write distributed_type"),
        (
            "distributed_type: 'NO'\nnum_proceses: 2",
            "there is no key num_proceses",
            "a.yaml:2 (num_proceses)",
            "write num_processes",
        ),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config:\n  zero_stag: 2",
            "there is no key deepspeed_config.zero_stag",
            "a.yaml:3 (deepspeed_config.zero_stag)",
            "write deepspeed_config.zero_stage",
        ),
        (
            "distributed_type: 'NO'\nmixed_precision: no",
            "mixed_precision is false",
            "a.yaml:2 (mixed_precision)",
            "write 'no', with its quotes",
        ),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: 2",
            "deepspeed_config = 2 is no section",
            "a.yaml:2 (deepspeed_config)",
            "write the keys below",
        ),
        (
            "distributed_type: 'NO'\ndebug: true\ndebug: false",
            "debug is given twice",
            "a.yaml:3",
            "take one of them out",
        ),
        (
            "distributed_type: 'NO'\nnum_machines: 0",
            "launch.nodes = 0 cannot be used",
            "a.yaml:2 (num_machines)",
            "give int, at least 1",
        ),
        (
            "distributed_type: GPUS",
            "accelerate.distributed_type = 'GPUS' cannot be used",
            "a.yaml:1 (distributed_type)",
            "give one of NO",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_its_way_out(
    text: str, what: str, where: str, fix: str
):
    found = problem(text)
    assert (found.what, found.where) == (what, where)
    assert found.fix.startswith(fix) and found.why


@pytest.mark.parametrize(
    "text", ["- 1", "a: [", "3", "\t:", "a: &a {b: *a}", "[" * 5000, "? [a]\n: b", "a: 2001-99-99"]
)
def test_what_is_no_file_of_accelerate_is_refused_or_has_problems(text: str):
    try:
        assert read_accelerate(text, "a.yaml").problems
    except UserError as error:
        assert error.problems


def test_mutated_files_give_problems_and_no_traceback(shared: Path):
    rng = random.Random(3)
    text = (shared / "inputs/accelerate/accelerate.yaml").read_text("utf-8")
    seen = 0
    for _ in range(150):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        lines[at] = rng.choice(
            ["x", "  zero_stage: [1", "a: b: c", "- 1", f"{lines[at]} {{", lines[at] * 2, "\x00"]
        )
        try:
            found = read_accelerate("\n".join(lines), "a.yaml")
            _, problems = compose_sound(found.settings)
            assert all(one.what and one.fix for one in (*found.problems, *problems))
        except UserError as error:
            assert error.problems
        seen += 1
    assert seen == 150


# --- beside a run


def test_a_file_is_known_by_its_content():
    assert kind_of("distributed_type: MULTI_GPU\nnum_processes: 2\n", "any.yaml") == "accelerate"
    assert kind_of("batch:\n  micro: 2\n", "any.yaml") == "yaml"
    assert kind_of('{"compute_environment": "LOCAL_MACHINE"}', "any.json") == "accelerate"


def test_a_script_brings_the_file_it_names_below_its_own_flags(shared: Path):
    script = shared / "inputs/accelerate/launch.sh"
    run = read(script)
    assert (run.launch.launcher, run.launch.processes) == ("accelerate", 2)
    assert run.deepspeed.zero_optimization.stage == 2
    assert str(run.origin("precision.mixed")).endswith("launch.sh:18 (--bf16 True)")
    twice = read(script, shared / "inputs/accelerate/accelerate.yaml")
    assert len(twice.settings) == len(run.settings)
    assert twice.origin("precision.mixed") == run.origin("precision.mixed")


def test_flags_of_the_launcher_count_more_than_its_file(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(
        "distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: {zero_stage: 2}\n"
    )
    script = tmp_path / "launch.sh"
    script.write_text(
        "accelerate launch --config_file a.yaml --zero_stage 3 --use_deepspeed \\\n"
        "  --num_processes 4 --fsdp_use_orig_params false main.py --do_train --output_dir out\n"
    )
    run = read(script)
    assert run.deepspeed.zero_optimization.stage == 3
    assert run.launch.processes == 4
    assert run.accelerate.command.use_deepspeed
    assert run.accelerate.fsdp_config.fsdp_use_orig_params is False


def test_a_file_that_is_not_there_is_noted(tmp_path: Path):
    script = tmp_path / "launch.sh"
    script.write_text("accelerate launch --config_file no.yaml main.py \\\n  --do_train\n")
    assert [note.what for note in read(script).notes] == ["no.yaml is not there"]


def test_a_value_that_only_a_running_shell_knows_is_a_doubt(tmp_path: Path):
    script = tmp_path / "launch.sh"
    script.write_text(
        "accelerate launch --use_deepspeed --zero_stage $1 --num_processes 1 main.py \\\n"
        "  --do_train\n"
    )
    with pytest.raises(UserError) as refused:
        read(script)
    (found,) = refused.value.problems
    assert found.fix == "give it: --set deepspeed.zero_optimization.stage=..."
