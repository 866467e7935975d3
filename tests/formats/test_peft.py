"""PEFT's adapter_config.json, read and written; every key of the installed PEFT is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, PrefixTuningConfig
from peft.config import PeftConfig

from foretune.errors import UserError
from foretune.formats import peft
from foretune.formats.read import read
from foretune.params.run import Run, parameters


def adapter(tmp_path: Path, **keys: object) -> Path:
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(keys, indent=1), "utf-8")
    return file


def fields(config: type) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("config", "known"),
    [
        (LoraConfig, peft.names().keys() - peft.OF_A_PREFIX),
        (PrefixTuningConfig, peft.OF_BOTH | peft.OF_A_PREFIX),
        (PeftConfig, peft.OF_BOTH - {"modules_to_save"}),
    ],
)
def test_every_key_of_the_installed_peft_is_known_and_no_other(config: type, known: set[str]):
    theirs = set(fields(config))
    assert theirs == set(known)
    assert len(theirs) >= 7


def test_every_key_stands_for_a_parameter():
    assert set(peft.names().values()) <= set(parameters())
    own = {path for path in parameters() if path.startswith("peft.")}
    assert own - set(peft.names().values()) == {"peft.target_pattern"}
    assert len(own) >= 40


def test_the_defaults_are_those_of_the_installed_peft():
    seen = 0
    for config in (LoraConfig, PrefixTuningConfig):
        for name, field in fields(config).items():
            path = peft.names()[name]
            if path.startswith("peft.") and field.default is not dataclasses.MISSING:
                assert parameters()[path].default == field.default, name
                seen += 1
    assert seen >= 40
    assert LoraConfig().lora_alpha == peft.PEFT_ALPHA


def test_what_the_installed_peft_saves_is_read_without_a_word(tmp_path: Path):
    config = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules=["q_proj", "v_proj"],
        lora_dropout=0.05,
        modules_to_save=["lm_head"],
        rank_pattern={"q_proj": 4},
        layers_to_transform=[0, 1],
        base_model_name_or_path="weights",
        task_type="CAUSAL_LM",
    )
    config.save_pretrained(str(tmp_path))
    run = read(tmp_path / "adapter_config.json")
    assert run.notes == ()
    lora = run.method.lora
    assert (run.method.name, run.model.path) == ("lora", "weights")
    assert (lora.rank, lora.alpha, lora.dropout) == (16, 32, 0.05)
    assert set(lora.targets or ()) == {"q_proj", "v_proj"}
    assert (run.peft.modules_to_save, run.peft.rank_pattern) == (("lm_head",), {"q_proj": 4})
    assert (run.peft.layers_to_transform, run.peft.task_type) == ((0, 1), "CAUSAL_LM")


def test_a_prefix_that_the_installed_peft_saves_is_read(tmp_path: Path):
    config = PrefixTuningConfig(
        num_virtual_tokens=128, prefix_projection=True, encoder_hidden_size=64, num_layers=28
    )
    config.save_pretrained(str(tmp_path))
    run = read(tmp_path / "adapter_config.json")
    assert (run.method.name, run.method.prefix.length) == ("ptuning", 128)
    assert run.method.prefix.projection
    assert (run.peft.encoder_hidden_size, run.peft.num_layers) == (64, 28)


def test_every_value_knows_its_line_and_meets_that_of_a_script(shared: Path, tmp_path: Path):
    file = adapter(tmp_path, peft_type="LORA", r=16, use_dora=True)
    run = read(file)
    assert str(run.origin("method.lora.rank")) == f"{file}:3 (r)"
    assert str(run.origin("peft.use_dora")) == f"{file}:4 (use_dora)"
    both = read(file, flags=["--lora_rank", "8"])
    assert [one.value for one in both.settings if one.path == "method.lora.rank"] == [16, "8"]


def test_an_alpha_that_is_not_written_is_pefts_own(tmp_path: Path):
    run = read(adapter(tmp_path, peft_type="LORA", r=16))
    assert run.method.lora.alpha == 8
    assert str(run.origin("method.lora.alpha")) == "the default of PEFT's LoraConfig"


@pytest.mark.parametrize(
    ("targets", "names", "pattern"),
    [
        ("all-linear", ("all-linear",), None),
        (".*(q|v)_proj", None, ".*(q|v)_proj"),
        (["q_proj"], ("q_proj",), None),
    ],
)
def test_targets_may_be_names_or_a_pattern(
    tmp_path: Path, targets: object, names: tuple[str, ...] | None, pattern: str | None
):
    run = read(adapter(tmp_path, peft_type="LORA", target_modules=targets))
    assert (run.method.lora.targets, run.peft.target_pattern) == (names, pattern)


def test_everything_that_is_wrong_is_refused_at_once(tmp_path: Path):
    file = adapter(tmp_path, peft_type="LORA", lora_alfa=16, num_virtual_tokens=8, r="x")
    with pytest.raises(UserError) as refused:
        read(file)
    told = {problem.what: problem for problem in refused.value.problems}
    assert told["there is no key 'lora_alfa'"].fix == "write 'lora_alpha'"
    assert "num_virtual_tokens is no key of an adapter of the kind LORA" in told
    assert "method.lora.rank = 'x' cannot be used" in told


def test_another_kind_of_adapter_is_refused_by_its_name(tmp_path: Path):
    with pytest.raises(UserError, match="peft_type 'IA3' is not known here"):
        read(adapter(tmp_path, peft_type="IA3"))


def test_calls_of_pefts_classes_are_read(tmp_path: Path):
    file = tmp_path / "pasted.txt"
    file.write_text(
        "peft_config = LoraConfig(\n    task_type=TaskType.CAUSAL_LM,\n    r=8,\n"
        "    lora_alpha=32,\n    lora_dropout=0.1,\n    target_modules=['query_key_value'],\n)\n",
        "utf-8",
    )
    run = read(file)
    assert (run.method.name, run.method.lora.rank, run.method.lora.alpha) == ("lora", 8, 32)
    assert run.method.lora.targets == ("query_key_value",)
    assert run.peft.task_type == "CAUSAL_LM"
    assert run.notes[0].what == "taken for an adapter of PEFT"
    assert str(run.origin("method.lora.rank")).endswith("pasted.txt:3 (r)")


@pytest.mark.parametrize(
    "settings",
    [
        {"method.name": "lora", "method.lora.rank": 4, "method.lora.targets": ["q_proj"]},
        {"method.name": "lora", "method.lora.targets": ["all-linear"], "peft.use_rslora": True},
        {"method.name": "lora", "peft.target_pattern": ".*_proj", "peft.rank_pattern": {"q": 2}},
        {"method.name": "ptuning", "method.prefix.length": 64, "peft.init_weights": "zero"},
    ],
)
def test_what_is_written_reads_the_same_and_is_taken_by_peft(
    tmp_path: Path, settings: dict[str, object]
):
    run = Run().set(settings)
    written = peft.write(run)
    config = {"LORA": LoraConfig, "PREFIX_TUNING": PrefixTuningConfig}[str(written["peft_type"])]
    config(**{key: value for key, value in written.items() if key != "peft_type"})
    again = read(adapter(tmp_path, **written))
    assert {path: again.get(path) for path in settings} == {
        path: run.get(path) for path in settings
    }


def test_there_is_no_adapter_of_full_tuning():
    with pytest.raises(UserError, match="there is no adapter of it"):
        peft.write(Run().set({"method.name": "full"}))
