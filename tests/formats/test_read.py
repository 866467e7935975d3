"""Whole runs, from the files that people have."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.read import kind_of, read, read_sound
from foretune.params.run import Run, parameters
from foretune.train.examine import examine

TRAIN_V1 = {
    "launch.visible_devices": ("0", 4, "CUDA_VISIBLE_DEVICES=0"),
    "launch.launcher": ("python", 4, "python3 ... main.py"),
    "launch.train": (True, 5, "--do_train"),
    "data.train": ("AdvertiseGen/train.json", 6, "--train_file AdvertiseGen/train.json"),
    "data.validation": ("AdvertiseGen/dev.json", 7, "--validation_file AdvertiseGen/dev.json"),
    "data.prompt_column": ("content", 8, "--prompt_column content"),
    "data.response_column": ("summary", 9, "--response_column summary"),
    "model.path": ("THUDM/chatglm-6b", 11, "--model_name_or_path THUDM/chatglm-6b"),
    "record.output": (
        "output/adgen-chatglm-6b-pt-128-2e-2",
        12,
        "--output_dir output/adgen-chatglm-6b-pt-$PRE_SEQ_LEN-$LR",
    ),
    "record.overwrite": (True, 13, "--overwrite_output_dir"),
    "data.max_source_length": (64, 14, "--max_source_length 64"),
    "data.max_target_length": (64, 15, "--max_target_length 64"),
    "batch.micro": (1, 16, "--per_device_train_batch_size 1"),
    "batch.eval": (1, 17, "--per_device_eval_batch_size 1"),
    "batch.accumulation": (16, 18, "--gradient_accumulation_steps 16"),
    "generate.enabled": (True, 19, "--predict_with_generate"),
    "schedule.max_steps": (3000, 20, "--max_steps 3000"),
    "record.log_steps": (10, 21, "--logging_steps 10"),
    "record.save_steps": (1000, 22, "--save_steps 1000"),
    "optim.learning_rate": (0.02, 23, "--learning_rate $LR"),
    "method.prefix.length": (128, 24, "--pre_seq_len $PRE_SEQ_LEN"),
    "precision.quantize": (4, 25, "--quantization_bit 4"),
}
TRAIN_V2 = {
    **{
        path: (value, line + 1 if line < 8 else line + 2, spelling)
        for path, (value, line, spelling) in TRAIN_V1.items()
    },
    "launch.launcher": ("torchrun", 5, "torchrun ... main.py"),
    "launchers.torchrun.standalone": (True, 5, "--standalone"),
    "launch.nodes": (1, 5, "--nnodes=1"),
    "launch.processes": (1, 5, "--nproc-per-node=$NUM_GPUS"),
    "data.workers": (10, 9, "--preprocessing_num_workers 10"),
    "model.path": ("THUDM/chatglm2-6b", 13, "--model_name_or_path THUDM/chatglm2-6b"),
    "record.output": (
        "output/adgen-chatglm2-6b-pt-128-2e-2",
        14,
        "--output_dir output/adgen-chatglm2-6b-pt-$PRE_SEQ_LEN-$LR",
    ),
    "data.max_target_length": (128, 17, "--max_target_length 128"),
}
del TRAIN_V2["launch.visible_devices"]
EVALUATE_V1 = {
    "launch.visible_devices": ("0", 5, "CUDA_VISIBLE_DEVICES=0"),
    "launch.launcher": ("python", 5, "python3 ... main.py"),
    "launch.predict": (True, 6, "--do_predict"),
    "data.validation": ("AdvertiseGen/dev.json", 7, "--validation_file AdvertiseGen/dev.json"),
    "data.test": ("AdvertiseGen/dev.json", 8, "--test_file AdvertiseGen/dev.json"),
    "data.prompt_column": ("content", 10, "--prompt_column content"),
    "data.response_column": ("summary", 11, "--response_column summary"),
    "model.path": (
        "./output/adgen-chatglm-6b-pt-128-2e-2/checkpoint-3000",
        12,
        "--model_name_or_path ./output/$CHECKPOINT/checkpoint-$STEP",
    ),
    "record.output": (
        "./output/adgen-chatglm-6b-pt-128-2e-2",
        13,
        "--output_dir ./output/$CHECKPOINT",
    ),
    "record.overwrite": (True, 14, "--overwrite_output_dir"),
    "data.max_source_length": (64, 15, "--max_source_length 64"),
    "data.max_target_length": (64, 16, "--max_target_length 64"),
    "batch.eval": (1, 17, "--per_device_eval_batch_size 1"),
    "generate.enabled": (True, 18, "--predict_with_generate"),
    "method.prefix.length": (128, 19, "--pre_seq_len $PRE_SEQ_LEN"),
    "precision.quantize": (4, 20, "--quantization_bit 4"),
}
ACCELERATE = {
    "launch.visible_devices": ("0,1", 1, "CUDA_VISIBLE_DEVICES=0,1"),
    "launch.launcher": ("accelerate", 3, "accelerate ... main.py"),
    "launch.train": (True, 4, "--do_train"),
    "data.train": ("AdvertiseGen/train.json", 5, "--train_file AdvertiseGen/train.json"),
    "data.prompt_column": ("content", 6, "--prompt_column content"),
    "data.response_column": ("summary", 7, "--response_column summary"),
    "model.path": ("THUDM/chatglm2-6b", 8, "--model_name_or_path THUDM/chatglm2-6b"),
    "record.output": ("output/adgen-chatglm2-6b-ft", 9, "--output_dir output/adgen-chatglm2-6b-ft"),
    "data.max_source_length": (64, 10, "--max_source_length 64"),
    "data.max_target_length": (128, 11, "--max_target_length 128"),
    "batch.micro": (4, 12, "--per_device_train_batch_size 4"),
    "batch.accumulation": (4, 13, "--gradient_accumulation_steps 4"),
    "schedule.epochs": (3.0, 14, "--num_train_epochs 3"),
    "record.log_steps": (10, 15, "--logging_steps 10"),
    "record.save_steps": (500, 16, "--save_steps 500"),
    "optim.learning_rate": (1e-4, 17, "--learning_rate 1e-4"),
    "accelerate.command.config_file": ("accelerate.yaml", 3, "--config_file accelerate.yaml"),
    "precision.mixed": ("bf16", 18, "--bf16 True"),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chatglm-6b/train.sh", TRAIN_V1),
        ("chatglm2-6b/train.sh", TRAIN_V2),
        ("chatglm-6b/evaluate.sh", EVALUATE_V1),
        ("accelerate/launch.sh", ACCELERATE),
    ],
)
def test_an_official_script_is_read_to_the_last_flag(
    shared: Path, name: str, expected: dict[str, tuple[object, int, str]]
):
    run = read(shared / "inputs" / name)
    written = {one.path for one in run.settings if one.origin.file.endswith(name)}
    assert written == set(expected)
    for path, (value, line, spelling) in expected.items():
        origin = run.origin(path)
        assert (run.get(path), origin.line, origin.spelling) == (value, line, spelling)
        assert origin.file == str(shared / "inputs" / name)


def values(run: Run) -> dict[str, object]:
    return {path: run.get(path) for path in parameters()}


def test_the_flattened_script_is_the_same_run(shared: Path):
    folder = shared / "inputs/chatglm-6b"
    pasted, whole = read(folder / "train-as-pasted.sh"), read(folder / "train.sh")
    assert values(pasted) == values(whole)
    assert len(pasted.settings) == len(whole.settings) > 25
    mended = [str(note) for note in pasted.notes if note.what not in {n.what for n in whole.notes}]
    assert len(mended) == 3
    assert mended[0].startswith("taken for a training script that was flattened into one line")
    assert mended[1].startswith("21 line ends flattened")
    assert mended[2].startswith("PRE_SEQ_LEN, LR in front of the command read as 2 lines above it")


def test_main_py_samples_and_checkpoints_gradients_whatever_is_written(shared: Path):
    run = read(shared / "inputs/chatglm-6b/train.sh")
    implied = {s.path: s.value for s in run.settings if not s.origin.written}
    assert implied == {
        "batch.gradient_checkpointing": True,
        "generate.do_sample": True,
        "generate.top_p": 0.7,
        "generate.temperature": 0.95,
        "method.name": "ptuning",
    }
    assert "main.py" in str(run.origin("generate.top_p"))
    stronger = read(shared / "inputs/chatglm-6b/train.sh", set={"generate.do_sample": False})
    assert stronger.generate.do_sample is False


def test_without_a_prefix_main_py_tunes_everything_in_float32(shared: Path):
    run = read(shared / "inputs/accelerate/launch.sh")
    assert (run.method.name, run.precision.dtype) == ("full", "float32")
    assert not run.written("method.name")


@pytest.mark.parametrize(
    ("flags", "method", "dtype"),
    [
        (["--lora_rank", "8"], "lora", "auto"),
        (["--pre_seq_len", "16"], "ptuning", "auto"),
        (["--lora_rank", "8", "--method.name", "full"], "full", "float32"),
        (["--method.name", "lora"], "lora", "auto"),
    ],
)
def test_the_method_follows_from_what_is_written(
    shared: Path, flags: list[str], method: str, dtype: str
):
    run = read(shared / "inputs/accelerate/launch.sh", flags=flags)
    assert (run.method.name, run.precision.dtype) == (method, dtype)


def test_the_later_source_counts_more(shared: Path, tmp_path: Path):
    (tmp_path / "run.yaml").write_text("batch: {micro: 2, eval: 3}\nschedule.max_steps: 7", "utf-8")
    run = read(
        shared / "inputs/chatglm-6b/train.sh",
        tmp_path / "run.yaml",
        flags=["--max_steps", "5", "--batch.eval=6"],
        set=["batch.eval=9", "method.lora.targets=q,v"],
    )
    assert (run.batch.micro, run.batch.eval, run.schedule.max_steps) == (2, 9, 5)
    assert str(run.origin("batch.eval")) == "command line (--set batch.eval=9)"
    assert run.method.lora.targets == ("q", "v")
    assert values(read(set={"batch.micro": 3, "optim.learning_rate": "1e-4"})) == {
        **values(Run()), "batch.micro": 3, "optim.learning_rate": 1e-4,
    }  # fmt: skip


DEEPSPEED = """\
LR=1e-4

MASTER_PORT=$(shuf -n 1 -i 10000-65535)

deepspeed --num_gpus=4 --master_port $MASTER_PORT main.py \\
    --deepspeed deepspeed.json \\
    --do_train \\
    --train_file AdvertiseGen/train.json \\
    --test_file AdvertiseGen/dev.json \\
    --prompt_column content \\
    --response_column summary \\
    --model_name_or_path THUDM/chatglm-6b \\
    --output_dir ./output/adgen-chatglm-6b-ft-$LR \\
    --per_device_train_batch_size 4 \\
    --max_steps 5000 \\
    --learning_rate $LR \\
    --fp16
"""
CHAT = """\
PRE_SEQ_LEN=128
LR=1e-2
NUM_GPUS=1

torchrun --standalone --nnodes=1 --nproc-per-node=$NUM_GPUS main.py \\
    --do_train \\
    --train_file $CHAT_TRAIN_DATA \\
    --validation_file $CHAT_VAL_DATA \\
    --prompt_column prompt --response_column response --history_column history \\
    --model_name_or_path THUDM/chatglm2-6b \\
    --output_dir $CHECKPOINT_NAME \\
    --learning_rate $LR --pre_seq_len $PRE_SEQ_LEN
"""


def written(folder: Path, text: str, name: str = "script.sh") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_the_full_tuning_script_is_read_with_its_random_port(tmp_path: Path):
    run = read(written(tmp_path, DEEPSPEED))
    assert (run.launch.launcher, run.launch.processes) == ("deepspeed", 4)
    assert (run.launch.deepspeed, run.precision.mixed) == ("deepspeed.json", "fp16")
    assert run.record.output == "./output/adgen-chatglm-6b-ft-1e-4"
    assert (run.method.name, run.precision.dtype) == ("full", "float32")
    assert [note.what for note in run.notes] == ["deepspeed.json is not there"]


EVALUATE_FULL = """\
CHECKPOINT=adgen-chatglm-6b-ft-1e-4
STEP=3000

CUDA_VISIBLE_DEVICES=0 python3 main.py \\
    --do_predict --test_file AdvertiseGen/dev.json \\
    --model_name_or_path ./output/$CHECKPOINT/checkpoint-$STEP \\
    --output_dir ./output/$CHECKPOINT \\
    --max_source_length 256 --max_target_length 256 \\
    --predict_with_generate --fp16_full_eval
"""


def test_the_evaluation_of_a_fully_tuned_model_is_read(tmp_path: Path):
    run = read(written(tmp_path, EVALUATE_FULL))
    assert run.model.path == "./output/adgen-chatglm-6b-ft-1e-4/checkpoint-3000"
    assert (run.launch.train, run.launch.predict) == (False, True)
    assert (run.method.name, run.precision.full_eval) == ("full", "fp16")


def test_what_the_chat_script_leaves_to_its_caller_must_be_given(tmp_path: Path):
    script = written(tmp_path, CHAT)
    with pytest.raises(UserError) as refused:
        read(script)
    assert [(problem.what, problem.where) for problem in refused.value.problems] == [
        ("--train_file has no value", f"{script}:7 (--train_file $CHAT_TRAIN_DATA)"),
        ("--validation_file has no value", f"{script}:8 (--validation_file $CHAT_VAL_DATA)"),
        ("--output_dir has no value", f"{script}:11 (--output_dir $CHECKPOINT_NAME)"),
    ]
    given = ["data.train=a.json", "data.validation=b.json", "record.output=out"]
    run = read(script, set=given)
    assert (run.data.train, run.data.history_column, run.optim.learning_rate) == (
        "a.json", "history", 0.01,
    )  # fmt: skip


def test_all_problems_of_all_sources_are_raised_together(tmp_path: Path):
    script = written(tmp_path, "python main.py --do_train --max_steps ten --learing_rate 1\n")
    run_file = written(tmp_path, "batch: {mirco: 1}\n", "run.yaml")
    missing = tmp_path / "rum.yaml"
    with pytest.raises(UserError) as refused:
        read(script, run_file, missing, flags=["--fp_16"], set=["batch.micro=0", "model.path"])
    assert [problem.what for problem in refused.value.problems] == [
        "there is no flag --learing_rate",
        f"{missing} cannot be read: No such file or directory",
        "there is no flag --fp_16",
        "--set model.path has no value",
        "schedule.max_steps = 'ten' cannot be used",
        "there is no parameter 'batch.mirco'",
        "batch.micro = '0' cannot be used",
    ]
    absent = refused.value.problems[1]
    assert absent.fix == f"did you mean {run_file}?"


def test_what_surrounds_the_run_is_noted(tmp_path: Path):
    text = "source env.sh\ncd ptuning\npython finetune.py --do_train\necho done\n"
    assert [note.what for note in read(written(tmp_path, text)).notes] == [
        "env.sh is not read",
        "the script changes to the folder ptuning",
        "finetune.py is taken to read its flags as main.py does",
    ]


def test_a_script_whose_lines_lost_a_backslash_is_refused(tmp_path: Path):
    script = written(tmp_path, "python main.py \\\n  --do_train\n  --fp16\n")
    with pytest.raises(UserError, match="--fp16 begins a command of its own"):
        read(script)


ARGUMENTS = {"do_train": True, "learning_rate": 1e-4, "pre_seq_len": 128, "report_to": ["wandb"]}


def test_a_file_of_arguments_may_be_named_alone_or_by_a_script(tmp_path: Path):
    file = written(tmp_path, json.dumps(ARGUMENTS, indent=1), "args.json")
    script = written(tmp_path, "python main.py args.json\n")
    run = read(file)
    assert run.launch.train and run.record.report_to == ("wandb",)
    assert str(run.origin("optim.learning_rate")) == f"{file}:3 (learning_rate)"
    assert read(script).method.prefix.length == 128


def test_the_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("batch: {micro: 3}\n"))
    run = read("-")
    assert run.batch.micro == 3
    assert str(run.origin("batch.micro")) == "standard input:1 (batch.micro)"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("train.sh", "python main.py --do_train", "shell"),
        ("train.txt", "\n# the run\nLR=1 python main.py", "shell"),
        ("train", "#!/bin/bash\nbatch: 4", "shell"),
        ("run.yaml", "{}", "yaml"),
        ("run.txt", "# a run\nbatch:\n  micro: 4", "yaml"),
        ("run.txt", "batch.micro: 4", "yaml"),
        ("run.toml", "x = 1", "toml"),
        ("run.txt", "[batch]\nmicro = 1", "toml"),
        ("run.json", '{"batch": {"micro": 1}}', "json"),
        ("run.json", '{"optim.name": "x"}', "json"),
        ("args.json", '{"do_train": true, "optim": "adamw_torch"}', "arguments"),
        ("anything", '{"model_type": "chatglm"}', "config"),
        ("config.json", "{}", "config"),
        ("config.txt", '"hidden_size": 4096,\n"num_layers": 28', "config"),
    ],
)
def test_the_content_says_what_a_file_is(name: str, text: str, kind: str):
    assert kind_of(text, name) == kind


def test_other_files_are_refused_in_one_problem(tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"\x80\x02\xff")
    (tmp_path / "other.json").write_text('{"somebodys": 1}')
    sources = [tmp_path, tmp_path / "weights.bin", tmp_path / "other.json"]
    with pytest.raises(UserError) as refused:
        read(*sources)
    assert [problem.what for problem in refused.value.problems] == [
        f"the folder {tmp_path} holds no config.json",
        "weights.bin is not UTF-8 text",
        f"what {sources[2]} is cannot be told",
    ]


def test_reading_is_quick_and_needs_no_torch(shared: Path):
    script = shared / "inputs/chatglm-6b/train.sh"
    read(script)
    start = time.process_time()
    read(script)
    assert time.process_time() - start < 0.1
    program = (
        "import sys; from foretune.formats.read import read; read(sys.argv[1]);"
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program, script], check=False).returncode == 0


def test_an_auto_that_a_program_hands_to_deepspeed_itself_is_a_problem(tmp_path: Path):
    text = '{"train_batch_size": "auto", "zero_optimization": {"stage": 2}, "gradient_clipping": 1}'
    (tmp_path / "ds.json").write_text(text, "utf-8")
    script = tmp_path / "train.sh"
    own = "--deepspeed --deepspeed_config ds.json --output_dir out"
    script.write_text(f"deepspeed --num_gpus 2 train.py {own}\n", "utf-8")
    run, (problem,) = read_sound(script)
    assert problem.what == 'train_batch_size is "auto", and nobody fills it in'
    assert "DeepSpeed itself" in problem.why
    assert (run.launch.deepspeed, run.deepspeed.zero_optimization.stage) == ("ds.json", 2)
    script.write_text("deepspeed --num_gpus 2 train.py --deepspeed ds.json --output_dir out\n")
    assert read_sound(script)[1] == []
    script.write_text(f"deepspeed --num_gpus 2 main.py {own}\n", "utf-8")
    _, problems = read_sound(script)  # which is no flag of the authors' program
    assert any("--deepspeed_config" in one.what for one in problems)


def test_a_name_that_no_file_can_have_is_refused_and_left_out(tmp_path: Path):
    script = tmp_path / "train.sh"
    names = "--model_name_or_path", "--train_file", "--output_dir", "--ptuning_checkpoint"
    words = " ".join(f"{name} {'汉' * 90}/x" for name in names)
    script.write_text(f"python3 main.py --do_train {words}\n", "utf-8")
    run, problems = read_sound(script)
    assert len(problems) == 4
    assert all("no name of a file is longer than 255 bytes" in one.why for one in problems)
    assert (run.model.path, run.data.train, run.record.output) == (None, None, None)
    assert examine(run, problems)


@pytest.mark.parametrize("alone", [True, False])
def test_deepspeeds_settings_may_stand_among_the_arguments(tmp_path: Path, alone: bool):
    values = {"do_train": True, "deepspeed": {"zero_optimization": {"stage": 3, "stag": 2}}}
    (tmp_path / "args.json").write_text(json.dumps(values, indent=1), "utf-8")
    (tmp_path / "train.sh").write_text("deepspeed --num_gpus 2 main.py args.json\n", "utf-8")
    run, (problem,) = read_sound(tmp_path / ("args.json" if alone else "train.sh"))
    assert run.deepspeed.zero_optimization.stage == 3
    assert run.origin("deepspeed.zero_optimization.stage").line == 5
    assert run.launch.deepspeed == str(tmp_path / "args.json")
    assert problem.what == "there is no key zero_optimization.stag"
    assert problem.where.endswith("args.json:3 (deepspeed)")
