"""What `foretune explain` says, of one parameter and of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from foretune.cli import main
from foretune.errors import UserError
from foretune.explain.parameter import explain_parameter, find, parameter_list
from foretune.explain.settings import explain_run
from foretune.formats.read import read
from foretune.formats.spellings import spellings
from foretune.params.run import Run, parameters


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("batch.micro", "batch.micro"),
        ("micro", "batch.micro"),
        ("per_device_train_batch_size", "batch.micro"),
        ("--per-device-train-batch-size", "batch.micro"),
        ("pre_seq_len", "method.prefix.length"),
        ("lora_rank", "method.lora.rank"),
        ("quantization_bit", "precision.quantize"),
    ],
)
def test_a_parameter_is_found_under_every_name_that_people_have_for_it(name: str, path: str):
    assert find(name) == [path]


def test_the_name_of_a_section_finds_all_that_is_in_it():
    assert find("schedule") == [path for path in parameters() if path.startswith("schedule.")]


def test_an_unknown_name_is_told_with_the_nearest_and_a_removed_one_with_its_reason():
    with pytest.raises(UserError, match="did you mean 'learning_rate'"):
        find("learnign_rate")
    with pytest.raises(UserError, match="transformers 5 has no argument 'warmup_ratio' any more"):
        find("warmup_ratio")


def test_every_spelling_leads_back_to_its_parameter():
    seen = [(name, path) for path, names in spellings().items() for name in names]
    assert len(seen) > 140
    assert [name for name, path in seen if find(name) != [path]] == []


def test_every_parameter_is_explained_in_both_languages():
    texts = [
        explain_parameter(path, language=lang) for path in parameters() for lang in ("en", "zh")
    ]
    assert len(texts) >= 320
    assert all(len(text.splitlines()) >= 5 for text in texts)


def test_prefix_length_is_not_called_an_input_length():
    text = explain_parameter("method.prefix.length")
    assert "no limit on the input" in text and "arXiv:2110.07602" in text


def test_a_run_is_explained_with_values_origins_and_what_was_translated(tmp_path: Path):
    script = tmp_path / "train.sh"
    script.write_text("LR=2e-2\npython3 main.py --do_train --learning_rate $LR --no_cuda\n")
    lines = list(explain_run(read(script)))
    assert f"optim.learning_rate = 0.02    [{script}:2 (--learning_rate $LR)]" in lines
    assert any(line.startswith("note: no_cuda is read as launch.use_cpu") for line in lines)


def test_a_secret_is_explained_without_being_shown():
    run = Run().set({"trainer.hub_token": "hf_abc"})
    assert "hf_abc" not in "\n".join(explain_run(run))
    assert "hf_abc" not in explain_parameter("trainer.hub_token", run)


def test_the_list_has_a_line_for_every_parameter_and_can_be_cut_to_what_matters():
    assert len(list(parameter_list())) == len(parameters())
    assert 5 <= len(list(parameter_list(at_least=3))) <= 20


def test_the_command_takes_a_name_and_a_file_together(tmp_path: Path, capsys):
    script = tmp_path / "train.sh"
    script.write_text("python3 main.py --per_device_train_batch_size 3\n")
    assert main(["explain", "--lang", "zh", "batch.micro", str(script)]) == 0
    shown = capsys.readouterr().out
    assert "单个设备" in shown and f"{script}:1" in shown and "当前值" in shown


@pytest.mark.parametrize("verb", ["plan", "convert"])
def test_a_verb_without_anything_to_read_says_so(verb: str, capsys):
    assert main([verb]) == 2
    assert "is given nothing" in capsys.readouterr().err
