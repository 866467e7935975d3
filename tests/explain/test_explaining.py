"""What `foretune explain` says, of one parameter and of a whole run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import foretune
from foretune.cli import main
from foretune.columns import columns
from foretune.errors import UserError
from foretune.explain.command import FORMATS, explain
from foretune.explain.entry import called, config_keys, find, models
from foretune.explain.listing import parameter_list
from foretune.formats.read import read
from foretune.formats.removed_arguments import REMOVED
from foretune.formats.spellings import spellings
from foretune.params.run import Run, parameters

CHINESE = re.compile("[\u4e00-\u9fff]")


def keys(name: str) -> list[str]:
    return [entry.key for entry in find(name).entries]


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
        ("seq_length", "config.seq_length"),
        ("config.seq_length", "config.seq_length"),
        ("ChatGLM2.seq_length", "config.seq_length"),
        ("generation config.top_p", "generation config.top_p"),
        ("model_max_length", "data.max_length"),
    ],
)
def test_a_parameter_is_found_under_every_name_that_people_have_for_it(name: str, path: str):
    assert keys(name)[0] == path


def test_a_name_of_a_flag_and_of_a_key_of_configs_finds_both():
    assert {"precision.quantize", "config.quantization_bit"} <= set(keys("quantization_bit"))


def test_the_name_of_a_section_finds_all_that_is_in_it():
    assert keys("schedule") == [path for path in parameters() if path.startswith("schedule.")]
    assert len(keys("chatglm2")) > 30


def test_parameters_of_one_last_name_are_explained_together_unless_they_are_many():
    assert set(keys("checkpoint")) == {
        path for path in parameters() if path.endswith(".checkpoint")
    }
    with pytest.raises(UserError, match=r"is the name of \d+ parameters"):
        find("enabled")


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'learning_rate'"):
        find("learnign_rate")
    with pytest.raises(UserError, match="did you mean 'seq_length'"):
        find("seq_lenght")


def test_a_removed_name_is_explained_by_what_it_is_read_as():
    text = explain(None, ["warmup_ratio"])
    assert "transformers 5 has no warmup_ratio any more" in text
    assert "\nschedule.warmup\n" in text
    assert "如今不起作用" in explain(None, ["fp16_backend"], language="zh")
    assert len([name for name in REMOVED if find(name).gone or find(name).entries]) == len(REMOVED)


def test_every_spelling_leads_back_to_its_parameter():
    seen = [(name, path) for path, names in spellings().items() for name in names]
    assert len(seen) > 140
    assert [name for name, path in seen if path not in keys(name)] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_parameter_is_explained_in_both_languages(language: str):
    texts = [explain(None, [path], language=language) for path in parameters()]
    assert len(texts) >= 160
    assert all(len(text.splitlines()) >= 5 for text in texts)
    assert language == "en" or all(CHINESE.search(text) for text in texts)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_key_of_every_family_is_explained_in_both_languages(language: str):
    texts = [
        explain(None, [f"{called(section)}.{key}"], language=language)
        for key, sections in config_keys().items()
        for section in sections
    ]
    assert len(texts) > 150
    assert all(len(text.splitlines()) >= 5 for text in texts)
    assert language == "zh" or not any(CHINESE.search(text) for text in texts)


def test_units_and_what_holds_when_unset_are_chinese_too():
    text = explain(None, ["save_total_limit"], language="zh")
    assert "单位      检查点" in text.replace("个检查点", "检查点")
    assert "保留所有检查点" in text


def test_every_unit_has_a_chinese_name_and_every_unset_text_both_languages():
    from foretune.explain.entry import config_entries, of_run
    from foretune.params.units import UNITS

    entries = [of_run(path) for path in parameters()]
    entries += [entry for section in models() for entry in config_entries(section)]
    assert len(entries) > 350
    units = {entry.facts.unit for entry in entries if entry.facts.unit}
    assert units - UNITS.keys() == set()
    unset = {
        entry.facts.when_unset.en: entry.facts.when_unset.zh
        for entry in entries
        if entry.facts.when_unset is not None
    }
    assert len(unset) > 40
    assert [en for en, zh in unset.items() if en == zh and " " in en] == []


def test_a_run_is_explained_with_values_origins_and_what_was_translated(tmp_path: Path):
    script = tmp_path / "train.sh"
    script.write_text("LR=2e-2\npython3 main.py --do_train --learning_rate $LR --no_cuda\n")
    text = " ".join(explain(read(script)).split())
    assert "★★★ optim.learning_rate = 0.02" in text
    assert "train.sh:2 (--learning_rate $LR)]" in text
    assert "no_cuda is read as launch.use_cpu" in text


def test_unimportant_values_are_named_and_shown_only_when_asked(tmp_path: Path):
    script = tmp_path / "train.sh"
    script.write_text("python3 main.py --do_train --logging_steps 10\n")
    run = read(script)
    assert "not shown: " in explain(run) and "record.log_steps = 10" not in explain(run)
    whole = explain(run, everything=True)
    assert "record.log_steps = 10" in whole and "not shown: " not in whole


def test_a_secret_is_explained_without_being_shown():
    run = Run().set({"trainer.hub_token": "hf_abc", "launch.train": True})
    for form in FORMATS:
        assert "hf_abc" not in explain(run, format=form, everything=True)
        assert "hf_abc" not in explain(run, ["trainer.hub_token"], format=form)


def test_the_list_has_a_line_for_every_parameter_and_can_be_cut_to_what_matters():
    assert len(list(parameter_list())) == len(parameters())
    assert 5 <= len(list(parameter_list(at_least=3))) <= 40


def test_the_command_takes_a_name_and_a_file_together(tmp_path: Path, capsys):
    script = tmp_path / "train.sh"
    script.write_text("python3 main.py --do_train --per_device_train_batch_size 3\n")
    assert main(["explain", "--lang", "zh", "batch.micro", str(script)]) == 0
    shown = "".join(capsys.readouterr().out.split())
    assert "单个设备" in shown and f"{script}:1" in shown and "当前值" in shown


def test_a_key_of_a_file_beside_the_run_is_explained_with_its_value(tmp_path: Path):
    file = tmp_path / "generation_config.json"
    file.write_text('{"do_sample": true,\n "top_p": 0.7, "transformers_version": "4.30.2"}')
    text = " ".join(explain(read(file), ["generation config.top_p"]).split())
    assert "value 0.7" in text and "generation_config.json:2" in text


def test_both_verbs_are_functions_of_the_package(tmp_path: Path):
    run = foretune.read(set={"batch.micro": 4, "launch.train": True})
    assert "batch.micro = 4" in foretune.explain(run)
    assert "Nothing differs." in foretune.diff(run, run)
    assert "batch.micro" in foretune.diff(run, run.set({"batch.micro": 8}))


def test_the_command_refuses_a_format_that_there_is_not(capsys):
    assert main(["explain", "micro", "--format", "pdf"]) == 2
    assert "text, md, json, html" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["plan", "convert"])
def test_a_verb_without_anything_to_read_says_so(verb: str, capsys):
    assert main([verb]) == 2
    assert "is given nothing" in capsys.readouterr().err


# --- formats


CHATGLM2 = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "multi_query_attention": True,
    "multi_query_group_num": 2, "add_qkv_bias": True, "seq_length": 32768,
}  # fmt: skip


@pytest.fixture
def whole(tmp_path: Path) -> Run:
    """A run with a model: a script beside a config.json."""
    (tmp_path / "config.json").write_text(json.dumps(CHATGLM2, indent=1))
    script = tmp_path / "train.sh"
    script.write_text(
        "python3 main.py --do_train --pre_seq_len 128 --max_steps 3000 \\\n"
        " --per_device_train_batch_size 1 --gradient_accumulation_steps 16\n"
    )
    return read(tmp_path / "config.json", script)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_line_of_text_is_wider_than_the_terminal(whole: Run, language: str, monkeypatch):
    for width in (60, 80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = explain(whole, language=language, everything=True).splitlines()
        assert len(lines) > 100
        wide = [line for line in lines if columns(line) > width]
        assert [line for line in wide if " " in line.strip()[: width - 8]] == []


def test_json_is_stable(whole: Run):
    told = json.loads(explain(whole, format="json"))
    keys = {"language", "groups", "assumed", "auto", "without_effect", "hidden", "notes"}
    assert set(told) == keys
    groups = {group["name"]: group for group in told["groups"]}
    (length,) = groups["method.prefix"]["items"]
    assert set(length) == {
        "key", "name", "family", "words", "takes", "default", "when_unset", "unit", "matters",
        "also", "source", "has_effect", "value", "has_value", "file", "line", "spelling", "reason",
        "effect", "computed", "example", "rules",
    }  # fmt: skip
    assert (length["value"], length["line"], length["unit"]) == (128, 1, "positions")
    change = next(
        one for one in length["effect"]["changes"] if one["amount"] == "trainable_parameters"
    )
    assert (change["here"], change["other"]) == (1_835_008, 3_670_016)
    assert "128 × 2 × 28 × 2 × 128" in change["formula"]


def test_markdown_has_a_table_for_every_group(whole: Run):
    text = explain(whole, format="md")
    tables = text.count("| parameter | value | from | meaning |")
    assert tables == len(re.findall("^## (?!Notes)", text, re.MULTILINE)) > 8
    assert "| ★★★ | `batch.micro` | `1 example per device` |" in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_whole_page_that_needs_nothing_else(whole: Run):
    run = whole.set({"model.path": "<script>alert(1)</script>"})
    text = explain(run, format="html", language="zh", title="foretune explain train.sh")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert 'lang="zh-CN"' in text and "<script>" not in text
    assert tags.addresses and all(address.startswith("#") for address in tags.addresses)


def test_autos_are_shown_with_what_they_come_to():
    from foretune.params.run import compose
    from foretune.params.setting import AUTO, Origin, Setting

    run = compose([
        Setting("batch.micro", 4, Origin("train.sh", 3, "--per_device_train_batch_size 4")),
        Setting("batch.micro", AUTO, Origin("ds.json", 2, "train_micro_batch_size_per_gpu")),
        Setting("launch.train", True, Origin("train.sh", 1, "--do_train")),
    ])  # fmt: skip
    text = " ".join(explain(run).split())
    assert "ds.json:2 (train_micro_batch_size_per_gpu) → batch.micro = 4 [train.sh:3" in text
