"""What `--fix` writes: the value that is meant, byte for byte nothing else, or nothing at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from foretune.check.finding import Finding, both
from foretune.check.fix import Mended, changed, mend
from foretune.formats.read import read_sound
from foretune.params.setting import Origin

WORDS = both("what", "什么")


def finding(path: str, value: object, origin: Origin | None = None) -> Finding:
    return Finding(
        code="X100",
        severity="warning",
        field=path,
        value=None,
        origin=origin or Origin(),
        what=WORDS,
        why=WORDS,
        fix=WORDS,
        change={path: value},
    )


def mended(file: Path, path: str, value: object, origin: Origin | None = None) -> Mended:
    (one,) = mend([finding(path, value, origin)], lambda: read_sound(file))
    return one


SCRIPTS = {
    "chatglm-6b/train.sh": {
        "batch.accumulation": (8, b"steps 16", b"steps 8"),
        "schedule.max_steps": (1000, b"max_steps 3000", b"max_steps 1000"),
        "precision.quantize": (8, b"quantization_bit 4", b"quantization_bit 8"),
        "generate.enabled": (False, b"_with_generate ", b"_with_generate False "),
    },
    "chatglm-6b/train-as-pasted.sh": {
        "batch.accumulation": (8, b"steps 16", b"steps 8"),
        "record.save_steps": (500.0, b"save_steps 1000", b"save_steps 500"),
    },
    "baichuan2-13b/train.sh": {
        "precision.tf32": (False, b"tf32 True", b"tf32 False"),
        "optim.weight_decay": (0.0, b"weight_decay 1e-4", b"weight_decay 0"),
        "schedule.name": ("linear", b"type constant", b"type linear"),
    },
    "accelerate/launch.sh": {
        "optim.learning_rate": (2e-4, b"rate 1e-4", b"rate 0.0002"),
        "batch.micro": (2, b"train_batch_size 4", b"train_batch_size 2"),
    },
}


def test_only_the_bytes_of_the_value_change_in_the_scripts_that_people_have(shared, tmp_path):
    seen = 0
    for name, changes in SCRIPTS.items():
        for path, (value, before, after) in changes.items():
            file = tmp_path / Path(name).name
            shutil.copyfile(shared / "inputs" / name, file)
            file.chmod(0o755)
            whole = file.read_bytes()
            one = mended(file, path, value)
            assert one.diff, (name, path, one.left.en)
            assert whole.count(before) == 1
            assert file.read_bytes() == whole.replace(before, after), (name, path)
            assert file.stat().st_mode & 0o777 == 0o755
            assert read_sound(file)[0].get(path) == value
            seen += 1
    assert seen == 11


def test_a_value_that_comes_from_a_variable_is_left(shared, tmp_path):
    file = tmp_path / "train.sh"
    shutil.copyfile(shared / "inputs/chatglm-6b/train.sh", file)
    whole = file.read_bytes()
    one = mended(file, "optim.learning_rate", 1e-4)
    assert not one.diff
    assert "without changing more than the value" in one.left.en
    assert "train.sh:23 (--learning_rate $LR)" in one.left.en
    assert file.read_bytes() == whole


def test_a_key_of_a_config_changes_alone(shared, tmp_path):
    file = tmp_path / "config.json"
    shutil.copyfile(shared / "inputs/chatglm2-6b-finetuned/config.json", file)
    whole = file.read_bytes()
    line = whole.decode().split("\n").index('  "pad_token_id": 2,') + 1
    one = mended(file, "config.pad_token_id", 0, Origin(str(file), line, "pad_token_id"))
    assert one.diff.count("\n-") == 1
    assert file.read_bytes() == whole.replace(b'"pad_token_id": 2', b'"pad_token_id": 0')


ARGUMENTS = b'{\r\n  "do_train": true,\r\n  "warmup_steps": 500,  "max_steps": 100\r\n}\r\n'


def test_arguments_in_json_keep_their_line_ends_and_blanks(tmp_path):
    file = tmp_path / "arguments.json"
    file.write_bytes(ARGUMENTS)
    assert mended(file, "schedule.warmup", 5.0).diff
    assert file.read_bytes() == ARGUMENTS.replace(b"500", b"5")


RUN = b"# mine\nbatch: {micro: 4}   # small\nschedule:\n  warmup: 500\noptim.learning_rate: 2e-2\n"


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("batch.micro", 8, b"micro: 4", b"micro: 8"),
        ("schedule.warmup", 5.0, b"500", b"5"),
        ("optim.learning_rate", 1e-4, b"2e-2", b"0.0001"),
    ],
)
def test_a_run_file_keeps_its_comments(tmp_path, path, value, before, after):
    file = tmp_path / "run.yaml"
    file.write_bytes(RUN)
    assert mended(file, path, value).diff
    assert file.read_bytes() == RUN.replace(before, after)


def test_what_stands_in_no_file_is_said_to(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_bytes(RUN)
    assert mended(file, "batch.eval", 1).left.en == ("it stands in no file: add --set batch.eval=1")
    (one,) = mend([finding("batch.micro", 2)], lambda: read_sound(file, set={"batch.micro": 4}))
    assert "no file: give --set batch.micro=2" in one.left.en


def test_a_change_that_would_not_read_as_meant_is_taken_back(tmp_path):
    """One variable that two flags read: the second sees the change too."""
    file = tmp_path / "train.sh"
    whole = b'N="--max_steps 10"\npython main.py --do_train $N --output_dir "o --max_steps 10"\n'
    file.write_bytes(whole)
    assert not mended(file, "schedule.max_steps", 20).diff
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "spelling", "value", "new"),
    [
        ("python main.py --max_steps=10\n", "--max_steps=10", 20, "--max_steps=20"),
        ("python main.py --bf16\n", "--bf16", False, "--bf16 False"),
        ("python main.py --lr '1e-4'\n", "--lr '1e-4'", 0.5, "--lr '0.5'"),
        ("python main.py --a true\n", "--a true", False, "--a false"),
    ],
)
def test_flags_are_written_as_they_are_spelt(line, spelling, value, new):
    origin = Origin("train.sh", 1, spelling)
    assert changed(line, origin, value) == line.replace(spelling, new)


@pytest.mark.parametrize(
    ("line", "spelling", "value"),
    [
        ("python main.py --a 1 --a 1\n", "--a 1", 2),
        ("python main.py --a 1\n", "--b 1", 2),
        ("python main.py --a $X\n", "--a $X", 2),
        ("python main.py --a 1\n", "--a 1", "two words"),
        ("python main.py --a 1\n", "--a 1", None),
        ("python main.py --a 1\n", "--a 1", [1]),
    ],
)
def test_what_is_not_certain_is_not_changed(line, spelling, value):
    assert changed(line, Origin("train.sh", 1, spelling), value) is None
