"""Baichuan2's fine-tune.py: its arguments, what it does without being told, whose flag is whose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.cli import main
from foretune.errors import UserError
from foretune.formats import baichuan2, programs
from foretune.formats.flags import names
from foretune.formats.read import read
from foretune.formats.spellings import spellings
from foretune.params.run import Run, parameters

OWN = "--data_path chats.json --model_name_or_path m --output_dir out --model_max_length 256"


def script(folder: Path, flags: str = OWN, launch: str = "deepspeed fine-tune.py") -> Path:
    file = folder / "train.sh"
    file.write_text(f"{launch} {flags}\n")
    return file


def read_flags(folder: Path, more: str = "", launch: str = "deepspeed fine-tune.py") -> Run:
    return read(script(folder, f"{OWN} {more}", launch))


def refused(folder: Path, flags: str, launch: str) -> list[str]:
    with pytest.raises(UserError) as error:
        read(script(folder, flags, launch))
    assert all(p.why and p.fix and p.where.startswith(str(folder)) for p in error.value.problems)
    return [problem.what for problem in error.value.problems]


# --- the published script ---


def test_the_published_script_is_read_as_it_stands(shared: Path):
    file = shared / "inputs" / "baichuan2-13b" / "train.sh"
    run = read(file)
    expected = {
        "model.path": "baichuan-inc/Baichuan2-13B-Base",
        "data.train": "data/belle_chat_ramdon_10k.json",
        "data.messages_column": "conversations",
        "data.max_length": 512,
        "data.protocol": "default",
        "schedule.epochs": 4,
        "schedule.name": "constant",
        "schedule.warmup": 0,
        "batch.micro": 16,
        "batch.accumulation": 1,
        "batch.gradient_checkpointing": True,
        "optim.name": "adamw_torch",
        "optim.learning_rate": 2e-5,
        "optim.beta1": 0.9,
        "optim.beta2": 0.98,
        "optim.epsilon": 1e-8,
        "optim.weight_decay": 1e-4,
        "optim.max_grad_norm": 1.0,
        "precision.mixed": "bf16",
        "precision.tf32": True,
        "record.output": "output",
        "record.save_strategy": "epoch",
        "record.log_steps": 1,
        "record.report_to": (),
        "launch.train": True,
        "launch.launcher": "deepspeed",
        "launch.deepspeed": "ds_config.json",
        "method.name": None,
    }
    assert {path: run.get(path) for path in expected} == expected
    assert str(run.origin("data.max_length")) == f"{file}:7 (--model_max_length 512)"
    assert str(run.origin("data.messages_column")) == "fine-tune.py of Baichuan2 has it so"
    assert [note.what for note in run.notes] == [
        "the number of processes is not in the script",
        "warmup_ratio has no effect",
    ]


def test_the_published_script_is_planned(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said = [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "您好"}]
    rows = tmp_path / "chats.json"
    rows.write_text(json.dumps([{"id": str(n), "conversations": said} for n in range(100)]))
    folder = shared / "inputs" / "baichuan2-13b"
    told = ["--data_path", str(rows), "--model_name_or_path", str(folder)]
    assert main(["plan", str(folder / "train.sh"), *told, "--transformers", "4.29.2"]) == 0
    text = capsys.readouterr().out
    for words in (
        "Num examples = 100",
        "Num Epochs = 4",
        "Total optimization steps = 28",
        "Number of trainable parameters = 13,896,668,160",
    ):
        assert words in text
    assert main(["plan", str(folder / "train.sh"), *told, "--use_lora", "--format", "json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["parameters"]["trainable"] == 40 * (5120 + 3 * 5120)  # rank 1 on each W_pack


def test_the_published_script_is_explained(shared: Path, capsys: pytest.CaptureFixture[str]):
    file = str(shared / "inputs" / "baichuan2-13b" / "train.sh")
    assert main(["explain", file, "--lang", "en"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "data.max_length = 512 tokens" in text
    assert f"[{file}:7 (--model_max_length 512)]" in text
    assert main(["explain", "model_max_length", "--lang", "en"]) == 0
    assert capsys.readouterr().out.startswith("data.max_length\n")


# --- what it does beyond its flags ---


def test_lora_is_what_fine_tune_py_makes_of_it(tmp_path: Path):
    run = read_flags(tmp_path, "--use_lora True")
    lora = run.method.lora
    assert (run.method.name, lora.targets, lora.rank) == ("lora", ("W_pack",), 1)
    assert (lora.alpha, lora.dropout) == (32.0, 0.1)
    written = read_flags(tmp_path, "--use_lora --lora_r 8 --method.lora.targets o_proj")
    assert (written.method.lora.rank, written.method.lora.targets) == (8, ("o_proj",))
    for off in ("", "--use_lora False"):
        run = read_flags(tmp_path, off)
        assert run.method.name != "lora" and run.method.lora.rank == 8


def test_its_habits_are_weaker_than_what_is_written(tmp_path: Path):
    flags = "--data_path c.json --model_name_or_path m --output_dir out"
    assert read(script(tmp_path, flags)).data.max_length == 512
    run = read(
        script(tmp_path, f"{flags} --optim adamw_torch_fused"), set={"data.messages_column": "m"}
    )
    assert (run.optim.name, run.data.messages_column) == ("adamw_torch_fused", "m")
    columns = {"data.prompt_column": "q", "data.response_column": "a"}
    assert read(script(tmp_path, flags), set=columns).data.messages_column is None


def test_a_value_that_cannot_be_is_refused_as_it_was_written(tmp_path: Path):
    launch = "deepspeed fine-tune.py"
    assert refused(tmp_path, "--data_path c.json --model_max_length many", launch) == [
        "data.max_length = 'many' cannot be used"
    ]
    assert refused(tmp_path, "--data_path c.json --use_lora maybe", launch) == [
        "method.name = 'maybe' cannot be used"
    ]


# --- whose flag is whose ---


@pytest.mark.parametrize(
    ("launch", "flag", "what", "fix"),
    [
        (
            "python fine-tune.py",
            "--train_file",
            "fine-tune.py has no flag --train_file",
            "data_path",
        ),
        ("python main.py", "--data_path", "main.py has no flag --data_path", "train_file"),
        ("python main.py", "--use_lora", "main.py has no flag --use_lora", None),
        ("python fine-tune.py", "--pre_seq_len", "fine-tune.py has no flag --pre_seq_len", None),
        ("python main.py", "--data_pth", "there is no flag --data_pth", None),
    ],
)
def test_a_flag_of_another_program_is_refused(tmp_path, launch, flag, what, fix):
    known = "--output_dir out"
    with pytest.raises(UserError) as error:
        read(script(tmp_path, f"{known} {flag} 4", launch))
    (problem,) = error.value.problems
    assert problem.what == what
    assert fix is None or problem.fix == f"write --{fix}"


def test_other_programs_and_the_command_line_take_the_flags_of_all(tmp_path: Path):
    run = read_flags(tmp_path, "--max_source_length 64", launch="torchrun train_mine.py")
    assert (run.data.max_length, run.data.max_source_length) == (256, 64)
    assert run.data.messages_column == "conversations"  # that is what --data_path names
    assert str(run.origin("data.messages_column")) == "--data_path chats.json is written"
    assert not run.launch.train and run.optim.name != "adamw_torch"
    flags = ["--data_path", "a.json", "--use_lora", "--max_source_length", "9"]
    run = read(flags=flags)
    assert (run.method.name, run.data.train) == ("lora", "a.json")
    over = read(script(tmp_path), flags=["--train_file", "b.json"])
    assert (over.data.train, over.data.messages_column) == ("b.json", "conversations")


def test_a_file_of_its_arguments_is_read(tmp_path: Path):
    file = tmp_path / "arguments.json"
    file.write_text(json.dumps({"data_path": "c.json", "model_max_length": 64, "use_lora": True}))
    run = read(file)
    assert (run.data.max_length, run.method.name) == (64, "lora")
    assert run.data.messages_column == "conversations"


def test_every_program_is_known_by_its_own_table():
    assert programs.PROGRAMS == ("main.py", "fine-tune.py")
    for name in baichuan2.NAMES:
        assert programs.PATHS[name] in parameters()
        assert name in names("fine-tune.py") and name in names()
        assert name in spellings()[programs.PATHS[name]]
    assert len(baichuan2.NAMES) == 5
    assert "train_file" not in names("fine-tune.py") and "data_path" not in names("main.py")
    assert names("other.py") == names()
