"""`foretune plan --fit` from the command line: what it writes is read back as the same run, and
nothing is wrong with it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foretune.cli import main
from foretune.formats.launch_files import (
    ACCELERATE,
    DEEPSPEED,
    RUN,
    commands,
    launch_files,
    write_launch_files,
)
from foretune.formats.read import read
from foretune.plan.of_run import setup_of
from foretune.plan.search.offer import offers
from foretune.train.examine import examine
from foretune.train.fitting import task_of

LLAMA_70B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192,
    "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "eos_token_id": 128001, "bos_token_id": 128000,
}  # fmt: skip
LLAMA_RUN = """\
model.config: {config}
launch.train: true
precision.mixed: bf16
batch: {{micro: 1, accumulation: 16}}
data.max_length: 2048
optim.learning_rate: 1e-5
"""


@pytest.fixture
def files(shared: Path, tmp_path: Path) -> dict[str, list[str]]:
    """The files of each run that is fitted."""
    inputs = shared / "inputs"
    (tmp_path / "70b.json").write_text(json.dumps(LLAMA_70B))
    for name, config in {
        "8b": inputs / "llama3" / "params-8b.json",
        "70b": tmp_path / "70b.json",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(LLAMA_RUN.format(config=config))
    scripts = {
        name: [str(inputs / name / "train.sh"), str(inputs / name / "config.json")]
        for name in ("chatglm-6b", "chatglm2-6b", "baichuan2-13b")
    }
    launched = [str(inputs / "accelerate" / "launch.sh"), scripts["chatglm2-6b"][1]]
    runs = {"8b": [str(tmp_path / "8b.yaml")], "70b": [str(tmp_path / "70b.yaml")]}
    return {**scripts, **runs, "accelerate": launched}


CASES = [
    ("chatglm2-6b", "1x4090", "time"),
    ("chatglm2-6b", "1xV100-16G", "time"),
    ("chatglm2-6b", "2x3090", "cost"),
    ("chatglm2-6b", "8xA100", "memory"),
    ("chatglm-6b", "1xRTX 4070 8GB", "time"),
    ("baichuan2-13b", "1x4090", "time"),
    ("baichuan2-13b", "8xA100", "time"),
    ("accelerate", "2x4090", "memory"),
    ("8b", "8xH100", "time"),
    ("8b", "128x8xH100", "memory"),
    ("70b", "8xH100", "time"),
    ("70b", "16384xH100", "time"),
]


@pytest.mark.parametrize(("name", "gpus", "goal"), CASES)
def test_what_is_written_is_read_back_as_the_same_setup_and_has_no_error(
    files: dict[str, list[str]],
    name: str,
    gpus: str,
    goal: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    folder = tmp_path / "fitted"
    asked = ["--fit", "--gpus", gpus, "--goal", goal, "--write", str(folder), "--format", "json"]
    assert main(["plan", *files[name], *asked]) in (0, 2)
    told = json.loads(capsys.readouterr().out)
    task = task_of(read(*files[name]))
    chosen = told["chosen"]
    setup = task.setup(task.resolved(task.written.set(chosen["settings"])), chosen["gpus"])
    assert (setup.micro, setup.accumulation) == (chosen["micro"], chosen["accumulation"])
    (offer,) = offers(gpus)
    each, nodes = offer.spread(chosen["gpus"])

    written = [folder / one for one in (RUN, DEEPSPEED, ACCELERATE) if (folder / one).is_file()]
    assert (folder / DEEPSPEED in written) == chosen["sharding"].startswith("zero")
    for sources in ([folder / RUN], written):
        run = task.resolved(read(*sources))
        facts = replace(task.facts, devices=chosen["gpus"])
        assert setup_of(run, task.shape, facts, stored_bits=task.stored_bits) == setup
        assert (run.launch.processes or 1, run.launch.nodes) == (each, nodes)
        findings = examine(read(*sources), gpus=each)
        assert [one for one in findings if one.severity == "error"] == []


def test_files_that_are_there_are_not_written_over(
    files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / ACCELERATE).write_text("somebody's work")
    words = ["plan", *files["chatglm2-6b"], "--fit", "--gpus", "1x4090", "--write", str(folder)]
    assert main(words) == 2
    assert "would be written over" in capsys.readouterr().err
    assert [one.name for one in folder.iterdir()] == [ACCELERATE]
    assert (folder / ACCELERATE).read_text() == "somebody's work"
    assert main([*words, "--force"]) == 0
    assert {RUN, ACCELERATE} <= {one.name for one in folder.iterdir()}
    assert not [one for one in folder.iterdir() if "unfinished" in one.name]


def test_all_files_are_written_or_none(files: dict[str, list[str]], tmp_path: Path):
    folder = tmp_path / "half"
    (folder / ACCELERATE).mkdir(parents=True)  # a folder where a file is to be
    words = ["plan", *files["chatglm2-6b"], "--fit", "--gpus", "4x4090", "--write", str(folder)]
    assert main([*words, "--force"]) == 2
    assert [one.name for one in folder.iterdir()] == [ACCELERATE]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fit"], "not told for which GPUs"),
        (["--fit", "--gpus", "8"], "not told which GPU"),
        (["--fit", "--gpus", "1xNoSuchGpu"], "no GPU is known"),
        (["--fit", "--gpus", "1x4090", "--goal", "beauty"], "write --goal"),
        (["--fit", "--gpus", "1x4090", "--keep", "metod"], "write method"),
        (["--fit", "--gpus", "2x8xH100", "--network", "fast"], "is no rate"),
        (["--goal", "time"], "without --fit"),
        (["--fit", "--gpus", "1x4090", "--use_cpu"], "for a processor"),
        (["--fit", "--gpus", "1x4090", "--do_train", "false", "--do_eval"], "does not train"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_way_out(
    files: dict[str, list[str]], words: list[str], told: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["plan", *files["chatglm2-6b"], *words]) == 2
    said = capsys.readouterr().err
    assert told in said and "fix:" in said and "Traceback" not in said


def test_nothing_that_fits_ends_with_one_and_names_what_would(
    files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["plan", *files["70b"], "--fit", "--gpus", "1x3060", "--keep", "method,offload"]
    assert main([*words, "--write", str(tmp_path / "none")]) == 1
    assert "Nothing fits" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_a_device_and_a_number_name_the_gpus_too(
    files: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
):
    words = ["plan", *files["chatglm2-6b"], "--fit", "--lang", "zh"]
    assert main([*words, "--gpus", "2", "--device", "RTX 3090"]) == 0
    assert "2 x RTX 3090" in capsys.readouterr().out
    assert main([*words, "--device", "RTX 3090"]) == 0
    assert "1 x RTX 3090" in capsys.readouterr().out


def test_each_way_to_start_a_run_is_told(shared: Path, tmp_path: Path):
    run = read(shared / "inputs" / "chatglm2-6b" / "train.sh")
    assert commands(run, tmp_path) == [f"foretune train {tmp_path / RUN}"]
    several = run.set({"launch.processes": 4})
    assert commands(several, tmp_path)[0] == f"foretune train {tmp_path / RUN}"
    assert commands(several, tmp_path)[1].startswith("accelerate launch --config_file")
    machines = several.set({"launch.nodes": 2})
    assert "--nnodes=2 --nproc-per-node=4" in commands(machines, tmp_path)[0]
    stage = {"deepspeed.zero_optimization.stage": 2, "launch.processes": 1}
    alone = run.set({**stage, "launch.deepspeed": "ds_config.json"})
    assert commands(alone, tmp_path)[0].startswith("torchrun --standalone --nproc-per-node=1")
    texts = launch_files(alone, tmp_path)
    assert set(texts) == {RUN, DEEPSPEED, ACCELERATE}
    assert json.loads(texts[DEEPSPEED])["zero_optimization"]["stage"] == 2
    assert "launch:\n" in texts[RUN] and str(tmp_path / DEEPSPEED) in texts[RUN]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"launch.processes": 1}, "NO"),
        ({"launch.processes": 4}, "MULTI_GPU"),
        ({"launch.processes": 4, "launch.fsdp": "full_shard offload auto_wrap"}, "FSDP"),
        ({"launch.processes": 4, "deepspeed.zero_optimization.stage": 3}, "DEEPSPEED"),
    ],
)
def test_accelerate_reads_the_file_that_is_written_for_it(
    shared: Path, tmp_path: Path, changed: dict[str, object], kind: str
):
    """Beside DeepSpeed's file it refuses a precision of its own (accelerate 1.15,
    DeepSpeedPlugin._deepspeed_config_checks).
    """
    from accelerate.commands.config.config_args import load_config_from_file

    script = shared / "inputs" / "accelerate" / "launch.sh"
    run = read(script).set({"deepspeed.zero_optimization.stage": 0, **changed})
    run = run.set({"accelerate.distributed_type": None, "launch.deepspeed": None})
    write_launch_files(run, tmp_path / "files")
    found = load_config_from_file(str(tmp_path / "files" / ACCELERATE))
    assert found.distributed_type == kind
    assert found.num_processes == run.launch.all_processes
    assert (found.mixed_precision is None) == (kind == "DEEPSPEED")
    if kind == "FSDP":
        assert found.fsdp_config["fsdp_version"] == 2 and found.fsdp_config["fsdp_offload_params"]
