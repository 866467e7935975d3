"""What stands in front of a training program."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.launchers import (
    ACCELERATE,
    TORCHRUN,
    VALUE,
    Launch,
    find_launch,
    lost_lines,
    read_launch,
)
from foretune.formats.reading import Reading
from foretune.formats.shell import read_shell
from foretune.params.run import parameters

KNOWN = ("do_train", "output_dir")


def launch(text: str) -> Launch:
    return find_launch(read_shell(text, "train.sh"), KNOWN)


def reading(text: str) -> Reading:
    return read_launch(launch(text))


def values(text: str) -> dict[str, object]:
    return {setting.path: setting.value for setting in reading(text).settings}


@pytest.mark.parametrize(
    ("front", "launcher"),
    [
        ("python3", "python"),
        ("/opt/conda/bin/python3.10 -u -X dev -Wignore", "python"),
        ("nohup python -B", "python"),
        ("torchrun", "torchrun"),
        ("torchrun --standalone --nnodes=1 --nproc-per-node=2", "torchrun"),
        ("torchrun --nproc_per_node 2 --master-port $((1+1))", "torchrun"),
        ("python -m torch.distributed.launch --nproc_per_node=2 --use_env", "torchrun"),
        ("python3 -u -m torch.distributed.run --nproc_per_node=2", "torchrun"),
        ("deepspeed --num_gpus=4 --master_port 29500", "deepspeed"),
        ("deepspeed -H hosts -i localhost:0,1", "deepspeed"),
        ("accelerate launch --multi_gpu --num-processes 2", "accelerate"),
        ("python -m accelerate.commands.launch --num_processes=2", "accelerate"),
        ("exec env A=1 torchrun", "torchrun"),
    ],
)
def test_the_launcher_is_peeled_off_and_the_program_is_left_its_words(front: str, launcher: str):
    found = launch(f"{front} dir/main.py --do_train --output_dir out > log 2>&1 &")
    assert (found.launcher, found.program.text) == (launcher, "dir/main.py")
    assert [word.text for word in found.words] == ["--do_train", "--output_dir", "out"]


def test_a_module_is_a_program_too():
    assert launch("python -m pkg.main --do_train").program.text == "pkg.main"
    assert launch("torchrun -m pkg.main --do_train").program.text == "pkg.main"


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("python", {}),
        ("torchrun --nproc-per-node=$N --nnodes=2", {"processes": "4", "nodes": "2"}),
        ("torchrun --nproc_per_node 4 --nnodes 1:2", {"processes": "4", "nodes": "2"}),
        ("torchrun --nproc_per_node gpu", {}),
        ("deepspeed --num_gpus=4 --num_nodes 2", {"processes": "4", "nodes": "2"}),
        ("deepspeed --include localhost:0,2", {"processes": 2, "visible_devices": "0,2"}),
        ("deepspeed --hostfile=hosts", {}),
        ("accelerate launch --num_processes 8 --num_machines 2", {"processes": 4, "nodes": "2"}),
        ("accelerate launch --num_processes 2 --gpu_ids all", {"processes": 2}),
        (
            "accelerate launch --num_processes 2 --gpu_ids 0,1",
            {"processes": 2, "visible_devices": "0,1"},
        ),
        ("accelerate launch --num_processes 1 --cpu", {"processes": 1, "use_cpu": True}),
    ],
)
def test_processes_nodes_and_devices_are_taken_over(front: str, expected: dict[str, object]):
    found = values(f"N=4\n{front} main.py --do_train")
    del found["launch.launcher"]
    found = {path: value for path, value in found.items() if path.startswith("launch.")}
    assert found == {f"launch.{name}": value for name, value in expected.items()}


def test_accelerate_says_precision_and_deepspeeds_file():
    front = "accelerate launch --mixed_precision=bf16 --use_deepspeed"
    found = values(f"{front} --deepspeed_config_file ds.json main.py")
    assert found["precision.mixed"] == "bf16"
    assert found["launch.deepspeed"] == "ds.json"


@pytest.mark.parametrize(
    ("flag", "switch"),
    [
        ("--deepspeed_config_file ds.json", "--use_deepspeed"),
        ("--zero_stage 3", "--use_deepspeed"),
        ("--fsdp_version 2", "--use_fsdp"),
        ("--megatron_lm_tp_degree 2", "--use_megatron_lm"),
        ("--parallelism_config_tp_size 2", "--use_parallelism_config"),
    ],
)
def test_a_flag_of_accelerate_that_is_not_switched_on_has_no_effect(flag: str, switch: str):
    front = "accelerate launch --num_processes 2"
    found = reading(f"{front} {flag} main.py --do_train")
    (note,) = found.notes
    assert (note.kind, note.name) == ("turned off", flag.split()[0][2:])
    assert switch in note.why and switch in note.why.zh
    assert {one.path for one in found.settings} == {"launch.launcher", "launch.processes"}
    for on in (switch, "--config_file accelerate.yaml"):
        found = reading(f"{front} {on} {flag} main.py --do_train")
        assert found.notes == [] and len(found.settings) == 4


@pytest.mark.parametrize(
    ("front", "path", "value"),
    [
        ("torchrun --standalone", "launchers.torchrun.standalone", True),
        ("torchrun --master-port 29501", "launchers.torchrun.master_port", "29501"),
        ("torchrun -t 3", "launchers.torchrun.tee", "3"),
        ("torchrun --duplicate-stdout-filters a,b", None, ["a", "b"]),
        ("deepspeed -H hosts --num_gpus 1", "launchers.deepspeed.hostfile", "hosts"),
        ("deepspeed --launcher SLURM --num_gpus 1", "launchers.deepspeed.launcher", "slurm"),
        ("deepspeed --no_local_rank --num_gpus 1", "launchers.deepspeed.no_local_rank", True),
    ],
)
def test_options_that_only_one_launcher_has_are_settings_too(
    front: str, path: str | None, value: object
):
    found = values(f"{front} main.py --do_train")
    assert found[path or "launchers.torchrun.duplicate_stdout_filters"] == value


def test_every_setting_says_where_it_stands():
    text = "NUM=4\n\nexport CUDA_VISIBLE_DEVICES=0,1\ntorchrun --nproc_per_node \\\n  $NUM main.py"
    assert [str(setting.origin) for setting in reading(text).settings] == [
        "train.sh:4 (torchrun ... main.py)",
        "train.sh:3 (CUDA_VISIBLE_DEVICES=0,1)",
        "train.sh:4 (--nproc_per_node $NUM)",
    ]


def test_variables_in_front_are_the_programs_environment():
    text = "export A=1\nB=2\nCUDA_VISIBLE_DEVICES= C=3 env D=4 python main.py --do_train"
    found = values(text)
    assert found["launch.environment"] == {"A": "1", "C": "3", "D": "4"}
    assert found["launch.visible_devices"] == ""


def test_a_device_list_that_is_not_exported_has_no_effect_and_is_noted():
    found = reading("CUDA_VISIBLE_DEVICES=1\npython main.py --do_train")
    (note,) = found.notes
    assert note.what == "CUDA_VISIBLE_DEVICES has no effect"
    assert note.where == "train.sh:1 (CUDA_VISIBLE_DEVICES=1)"
    assert "launch.visible_devices" not in {setting.path for setting in found.settings}


def test_a_variable_that_only_a_running_shell_knows_is_not_taken_over():
    found = reading("export PORT=$(shuf -n 1 -i 1-9)\npython main.py --do_train")
    assert [note.what for note in found.notes] == ["PORT is not taken over"]
    assert [setting.path for setting in found.settings] == ["launch.launcher"]


@pytest.mark.parametrize("count", ["$GPUS", "$1", "$(nvidia-smi -L | wc -l)"])
def test_a_number_of_processes_that_cannot_be_known_is_a_doubt(count: str):
    found = reading(f"torchrun --nproc_per_node {count} main.py --do_train")
    ((path, problem),) = found.doubts
    assert path == "launch.processes"
    assert problem.fix == "give it: --set launch.processes=..."


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("deepspeed", "the number of processes is not in the script"),
        ("accelerate launch", "the number of processes is not in the script"),
        ("torchrun --nproc_per_node=auto", "the number of processes is not in the script"),
        ("deepspeed --num_gpus 1 -H hosts", "hosts is not there"),
    ],
)
def test_what_a_launcher_leaves_open_is_noted(command: str, what: str):
    assert [note.what for note in reading(f"{command} main.py").notes] == [what]


def test_an_empty_hostfile_is_none(shared):
    text = (shared / "inputs/baichuan2-13b/train.sh").read_text("utf-8")
    found = find_launch(read_shell(text, "train.sh"), KNOWN)
    assert found.program.text == "fine-tune.py"
    assert len(read_launch(found).notes) == 1


@pytest.mark.parametrize(
    ("front", "fix"),
    [
        ("torchrun --nproc_pernode=2", "write --nproc_per_node"),
        ("deepspeed --num_gpu_s 2", "write --num_gpus"),
        ("accelerate launch --num_proceses 2", "write --num_processes"),
        ("python --do_train", "leave it out, or write it behind the program"),
    ],
)
def test_an_option_that_the_launcher_lacks_is_refused_with_the_nearest(front: str, fix: str):
    with pytest.raises(UserError) as refused:
        launch(f"\n{front} main.py --do_train")
    (problem,) = refused.value.problems
    assert problem.where == "train.sh:2"
    assert problem.fix == fix


def test_the_beginning_of_an_options_name_is_enough():
    assert values("torchrun --nproc 2 main.py --do_train")["launch.processes"] == "2"


def test_of_several_programs_the_one_with_known_arguments_is_the_run():
    text = (
        "pip install -r x\npython prepare.py --rows 4\necho go\npython main.py --do_train | tee log"
    )
    assert launch(text).program.text == "main.py"


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("echo hello", "no command of this script starts a python program", "train.sh"),
        ("python -c 'x'\npython", "no command of this script starts a python program", "train.sh"),
        (
            "python main.py --do_train\npython main.py --output_dir b",
            "2 commands of this script start a python program",
            "train.sh:1, train.sh:2",
        ),
        (
            "\nfor LR in 1 2; do\n python main.py --do_train\ndone",
            "the run is started inside the for of line 2",
            "train.sh:3",
        ),
    ],
)
def test_a_script_that_is_not_one_run_is_refused(text: str, what: str, where: str):
    with pytest.raises(UserError) as refused:
        launch(text)
    assert [(problem.what, problem.where) for problem in refused.value.problems] == [(what, where)]


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("python main.py --do_train \\\n  # --fp16 \\\n  --output_dir out", "--output_dir"),
        ("python main.py \\\n\n  --do_train \\\n  --output_dir out", "--do_train"),
        ("python main.py --steps \\\n\n 10 --output_dir out", "10"),
    ],
)
def test_a_line_that_lost_its_backslash_is_a_problem(text: str, begins: str):
    script = read_shell(text, "train.sh")
    (problem,) = lost_lines(script, find_launch(script, KNOWN), KNOWN)
    assert (problem.what, problem.where) == (f"{begins} begins a command of its own", "train.sh:3")


def options_of(parser: argparse.ArgumentParser) -> dict[str, bool]:
    return {
        option.lstrip("-").replace("-", "_"): action.nargs != 0
        for action in parser._actions
        for option in action.option_strings
        if "help" not in option and option != "-h"
    }


@pytest.mark.slow
def test_torchruns_options_are_those_of_the_installed_torch():
    from torch.distributed.run import get_args_parser

    theirs = options_of(get_args_parser())
    assert len(theirs) > 25
    assert {**theirs, "use_env": False} == dict(TORCHRUN)
    declared = {path: field.default for path, field in parameters().items()}
    for action in get_args_parser()._actions:
        path = f"launchers.torchrun.{action.dest}"
        if path in declared:
            theirs = () if action.default == [] else action.default
            assert declared[path] == theirs, action.dest


@pytest.mark.slow
def test_accelerates_options_are_among_those_of_the_installed_accelerate():
    from accelerate.commands.launch import launch_command_parser

    theirs = options_of(launch_command_parser())
    assert {
        name: takes for name, takes in ACCELERATE.items() if theirs.get(name) is not takes
    } == {}
    assert sum(takes is VALUE for takes in ACCELERATE.values()) > 40


def test_an_option_that_deepspeed_has_no_longer_is_told_with_the_version():
    (note,) = reading("deepspeed --num_gpus 1 --elastic_training main.py --do_train").notes
    assert note.what == "--elastic_training is refused since DeepSpeed 0.19.8"
    assert (note.kind, note.name) == ("no effect", "elastic_training")


HOSTS = "# ours\nworker-0 slots=4\n\nworker-1 slots=4  # new\nworker-2 slots=4\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {"nodes": 3, "processes": 4}),
        ("--num_nodes 2", {"nodes": "2", "processes": 4}),
        ("--num_gpus 2", {"nodes": 3, "processes": "2"}),
        ("--include worker-1", {"nodes": 1, "processes": 4}),
        ("--include worker-0:1,3@worker-2:0,1", {"nodes": 2, "processes": 2}),
        ("--exclude worker-0", {"nodes": 2, "processes": 4}),
        ("-e worker-0:0@worker-1:0@worker-2:0", {"nodes": 3, "processes": 3}),
        ("--exclude worker-0:0", {"nodes": 3}),
    ],
)
def test_a_hostfile_says_how_many_machines_and_processes_there_are(
    words: str, expected: dict[str, object], tmp_path: Path
):
    (tmp_path / "hosts").write_text(HOSTS, "utf-8")
    found = read_launch(launch(f"deepspeed -H hosts {words} main.py --do_train"), tmp_path)
    taken = {one.path: one.value for one in found.settings if one.path.startswith("launch.")}
    del taken["launch.launcher"]
    assert taken == {f"launch.{name}": value for name, value in expected.items()}
    assert found.problems == []


@pytest.mark.parametrize(
    ("text", "words", "what"),
    [
        ("worker-0 slots=4\nworker-0 slots=2", "", "worker-0 is named twice"),
        ("worker-0: 4", "", "'worker-0: 4' is no machine"),
        ("# none", "", "this hostfile names no machine"),
        (HOSTS, "--include worker-9", "--include worker-9 cannot be used"),
        (HOSTS, "--include worker-0:7", "--include worker-0:7 cannot be used"),
        (HOSTS, "--include worker-0:x", "--include worker-0:x cannot be used"),
        (HOSTS, "-i worker-0 -e worker-1", "-i worker-0, -e worker-1 are given together"),
        (HOSTS, "-i worker-0 --num_gpus 2", "-i worker-0, --num_gpus 2 are given together"),
    ],
)
def test_a_hostfile_that_the_launcher_refuses_is_a_problem(
    text: str, words: str, what: str, tmp_path: Path
):
    (tmp_path / "hosts").write_text(text, "utf-8")
    found = read_launch(launch(f"deepspeed -H hosts {words} main.py --do_train"), tmp_path)
    assert [one.what for one in found.problems] == [what]


def test_reading_a_launch_needs_no_torch():
    program = "import sys, foretune.formats.launchers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
