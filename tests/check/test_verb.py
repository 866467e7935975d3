"""`foretune check` as people call it: exit codes, formats, what it reads, what it may not say."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import foretune
from foretune.check.check import check
from foretune.check.rule import Example, Subject, rules
from foretune.cli import main
from foretune.columns import columns
from foretune.errors import UserError
from foretune.formats.read import read_sound
from foretune.params.run import compose_sound
from foretune.params.setting import Origin, Setting
from foretune.train.examine import examine, read_checkpoint

TRAIN = ["--do_train", "--pre_seq_len", "128", "--learning_rate", "2e-2"]


def test_a_sound_run_ends_with_0_an_error_with_1_and_nonsense_with_2(capsys, tmp_path):
    assert main(["check", *TRAIN]) == 0
    assert main(["check", *TRAIN, "--dataloader_persistent_workers"]) == 1
    assert main(["check", *TRAIN, "--max_steps", "100", "--num_train_epochs", "3"]) == 0
    assert "warning S101" in capsys.readouterr().out
    for wrong in (
        [],
        [str(tmp_path / "absent.sh")],
        [*TRAIN, "--devic", "T4"],
        [*TRAIN, "--device", "Voodoo2"],
        [*TRAIN, "--gpus", "two"],
        [*TRAIN, "--format", "xml"],
    ):
        assert main(["check", *wrong]) == 2, wrong
        told = capsys.readouterr()
        assert not told.out
        assert "fix:" in told.err


def test_a_value_that_cannot_be_used_is_one_finding_among_others(capsys, tmp_path):
    file = tmp_path / "train.sh"
    file.write_text("python main.py --do_train --max_steps x \\\n --learning_rate 0\n")
    assert main(["check", str(file), "--format", "json"]) == 1
    found = {one["code"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["R001"]["line"] == 1
    assert found["S107"]["file"] == str(file)
    assert found["S107"]["line"] == 2


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_format_in_either_language(form, language, capsys):
    words = ["check", *TRAIN, "--max_grad_norm", "0", "--format", form, "--lang", language]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "O102" in out
    assert ("裁剪" in out) == (language == "zh")


def test_a_named_gpu_adds_what_it_lacks(capsys):
    words = ["check", *TRAIN, "--tf32", "true"]
    assert main(words) == 0
    assert main([*words, "--device", "V100"]) == 1
    assert "D102" in capsys.readouterr().out


def test_gpus_stand_for_the_processes_that_a_launcher_starts(tmp_path):
    file = tmp_path / "train.sh"
    file.write_text("deepspeed fine-tune.py --data_path d.json --output_dir o\n")
    run = foretune.read(file)
    assert examine(run, device="A100", gpus=8) == foretune.check(run, device="A100", gpus=8)
    (processes,) = {one.run.launch.processes for one in seen_subjects(lambda: examine(run, gpus=8))}
    assert processes == 8


def codes(settings: dict[str, object]) -> list[str]:
    """What is found of a run of these settings."""
    return [one.code for one in foretune.check(foretune.read(set=settings))]


def seen_subjects(act) -> list[Subject]:
    """The subjects that rules are given meanwhile."""
    seen: list[Subject] = []
    first = rules()[0]
    condition = first.condition

    def watched(it: Subject):
        seen.append(it)
        return condition(it)

    object.__setattr__(first, "condition", watched)
    try:
        act()
    finally:
        object.__setattr__(first, "condition", condition)
    return seen


def test_rows_that_are_here_are_counted(tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text("\n".join(json.dumps({"q": f"a{n}", "r": "b"}) for n in range(30)))
    settings = {
        "launch.train": True,
        "data.train": str(rows),
        "data.prompt_column": "q",
        "data.response_column": "r",
        "batch.accumulation": 8,
    }
    assert "B102" in codes(settings)
    assert "B102" not in codes({**settings, "data.train": "elsewhere.json"})


def test_bad_rows_and_no_batch_are_findings(tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text('{"q": "a", "r": "b"}\n{"q": "a"\n')
    settings = {
        "launch.train": True,
        "data.train": str(rows),
        "data.prompt_column": "q",
        "data.response_column": "r",
    }
    first = foretune.check(foretune.read(set=settings))[0]
    assert (first.code, first.origin.line) == ("R001", 2)
    rows.write_text('{"q": "a", "r": "b"}\n')
    assert codes({**settings, "batch.drop_last": True})[0] == "R001"


def checkpoint(folder: Path, step: int, *, processes: int = 1, optimizer: bool = True) -> Path:
    """A folder as the trainer leaves it."""
    place = folder / f"checkpoint-{step}"
    place.mkdir(parents=True)
    state = {"global_step": step, "max_steps": 3000, "train_batch_size": 4}
    (place / "trainer_state.json").write_text(json.dumps(state))
    for rank in range(processes):
        name = f"rng_state_{rank}.pth" if processes > 1 else "rng_state.pth"
        (place / name).touch()
    if optimizer:
        (place / "optimizer.pt").touch()
    return place


def test_checkpoints_are_read_as_their_folders_say(tmp_path):
    one = read_checkpoint(checkpoint(tmp_path, 1000, processes=4))
    assert (one.step, one.max_steps, one.micro, one.processes, one.optimizer) == (
        1000, 3000, 4, 4, True,
    )  # fmt: skip
    assert read_checkpoint(checkpoint(tmp_path, 2000, optimizer=False)).optimizer is False
    broken = checkpoint(tmp_path, 10)
    (broken / "trainer_state.json").write_text("[")
    assert read_checkpoint(broken).step is None


def test_an_output_folder_in_use_is_an_error_until_the_run_goes_on(tmp_path):
    checkpoint(tmp_path / "o", 1000)
    settings = {"launch.train": True, "record.output": str(tmp_path / "o"), "batch.micro": 4}
    assert "K106" in codes(settings)
    on = {**settings, "record.resume": "true"}
    assert not {"K103", "K106"} & set(codes(on))
    assert "K103" in codes({**on, "batch.micro": 8})


def test_fix_writes_shows_the_diff_and_checks_again(shared, tmp_path, capsys):
    file = tmp_path / "train.sh"
    shutil.copyfile(shared / "inputs/baichuan2-13b/train.sh", file)
    words = ["check", str(file), "--device", "V100", "--lang", "en"]
    assert main(words) == 1
    capsys.readouterr()
    whole = file.read_bytes()
    assert main([*words, "--fix"]) == 0
    out = capsys.readouterr().out
    assert "D102 precision.tf32 = False: written" in out
    assert "-    --tf32 True" in out
    assert "+    --tf32 False" in out
    assert "error" not in out
    assert file.read_bytes() == whole.replace(b"tf32 True", b"tf32 False")
    assert main([*words, "--fix", "--format", "json"]) == 0
    told = capsys.readouterr()
    assert "no finding has a change" in told.err
    json.loads(told.out)


def inputs(shared: Path) -> list[tuple[Path, ...]]:
    """Every file of a run that people have, alone, and those of one folder together."""
    folder = shared / "inputs"
    kinds = (".sh", ".json", ".yaml")
    alone = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    names = [
        ("chatglm2-6b/config.json", "chatglm2-6b/train.sh"),
        ("chatglm2-6b-finetuned/config.json", "chatglm2-6b/train.sh"),
        ("chatglm-6b/config.json", "chatglm-6b/train.sh"),
        ("chatglm-6b/config.json", "chatglm-6b/evaluate.sh"),
        ("chatglm-6b/config.json", "chatglm-6b/train-as-pasted.sh"),
        ("baichuan2-13b/config.json", "baichuan2-13b/train.sh"),
        ("baichuan2-13b/config.json", "baichuan2-13b/train.sh", "baichuan2-13b/ds_config.json"),
        ("accelerate/launch.sh", "chatglm2-6b/config.json"),
        ("accelerate/launch.sh", "accelerate/accelerate.yaml", "chatglm2-6b/config.json"),
    ]
    return [(path,) for path in alone] + [tuple(folder / one for one in few) for few in names]


GPUS = {"chatglm-6b": "RTX 3090", "chatglm2-6b": "RTX 4090"}


def test_what_people_run_passes_without_an_error(shared):
    """A false alarm costs more trust than a miss."""
    seen = 0
    for files in inputs(shared):
        run, problems = read_sound(*files)
        for device in (None, GPUS.get(files[0].parent.name, "A100")):
            found = examine(run, problems, device=device, gpus=8 if device == "A100" else None)
            wrong = [one for one in found if one.severity == "error" and one.code != "R001"]
            assert not wrong, (files, device, wrong)
            warned = [one.code for one in found if one.severity == "warning"]
            assert not warned, (files, device, warned)
        seen += 1
    assert seen == 24


ODD = (True, 0, 1, 3, 0.5, "auto", "x", "0,1", "true", (), ("x",), {}, None)


def test_no_rule_stumbles_over_a_run_that_can_be_written():
    """Ten thousand settings drawn from all examples and from what is odd, forty to a run."""
    choose = random.Random(7)
    pool = [
        item
        for one in rules()
        for example in (one.flags, one.allows)
        for item in (*example.settings.items(), *example.also)
    ]
    pool += [(path, value) for path, _ in pool for value in choose.sample(ODD, 2)]
    models = [one.flags.model for one in rules() if one.flags.model]
    found: set[str] = set()
    for _ in range(250):
        sound, _ = compose_sound(
            Setting(path, value, Origin(choose.choice("ab"), 1, path))
            for path, value in choose.sample(pool, 40)
        )
        settings = {one.path: one.value for one in sound.settings}
        example = Example(settings, model=choose.choice(models), device=choose.choice(("T4", None)))
        found |= {finding.code for finding in check(example.subject())}
    assert len(found) > 60


def test_importing_check_and_calling_it_are_the_same_name():
    import_module("foretune.check.check")
    assert callable(foretune.check)
    with pytest.raises(UserError, match="Voodoo2"):
        foretune.check(foretune.read(set={"batch.micro": 1}), device="Voodoo2")


@pytest.mark.slow
def test_it_runs_without_the_heavy_half(shared):
    """Neither torch nor transformers is imported for a check."""
    code = (
        "import sys; from foretune.cli import main; "
        f"main(['check', {str(shared / 'inputs/chatglm-6b/train.sh')!r}]); "
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_ds_config_alone_does_not_say_how_many_processes_there_are(shared: Path, capsys):
    assert main(["check", str(shared / "inputs/baichuan2-13b/ds_config.json"), "--lang", "en"]) == 0
    assert "Z207" not in capsys.readouterr().out


def test_a_log_of_many_passes_without_evaluation_is_found_fault_with(shared: Path, capsys):
    log = shared / "inputs/chatglm2-6b-finetuned/train.log"
    assert main(["check", str(log), "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "警告 H108：243 行数据训练 100 遍，没有评估" in out and "train.log:3 (Num Epochs)" in out


def test_a_model_that_starts_afresh_may_learn_fast_and_unclipped(repository: Path, capsys):
    assert main(["check", str(repository / "recipes/translation/run.yaml"), "--lang", "en"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_a_file_that_is_named_and_not_there_is_told(tmp_path: Path, capsys):
    script = tmp_path / "train.sh"
    script.write_text(
        "deepspeed --hostfile=nodes fine-tune.py --data_path d.json --model_name_or_path a/b "
        "--output_dir o --deepspeed ds.json\n"
    )
    main(["check", str(script), "--lang", "en"])
    out = capsys.readouterr().out
    assert "N106: ds.json is not there" in out and "N106: nodes is not there" in out


def test_no_line_of_a_finding_is_wider_than_the_terminal(shared: Path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    files = [str(shared / "inputs/baichuan2-13b" / name) for name in ("config.json", "train.sh")]
    for language in ("en", "zh"):
        main(["check", *files, "--device", "RTX 4090", "--lang", language])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 20
        assert [line for line in lines if columns(line) > 80 and "inputs/" not in line] == []


def test_what_would_make_it_fit_is_what_is_not_done_yet(shared: Path, capsys):
    folder = shared / "inputs/baichuan2-13b"
    files = [str(folder / name) for name in ("config.json", "train.sh", "ds_config.json")]
    assert main(["check", *files, "--device", "RTX 4090", "--gpus", "8", "--lang", "en"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "take more GPUs" in out and "with ZeRO-3" not in out
