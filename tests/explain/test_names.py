"""Under which names `foretune explain` finds a parameter, and what it says of unknown ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foretune.cli import main
from foretune.errors import UserError
from foretune.explain.command import explain
from foretune.explain.entry import config_entries, find, models, of_run, suggestions
from foretune.explain.page import rules_about
from foretune.formats.spellings import STANDS_FOR, spellings
from foretune.params.run import parameters


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Learning_Rate", "optim.learning_rate"),
        ("LEARNING-RATE", "optim.learning_rate"),
        ("--learning-rate=1e-4", "optim.learning_rate"),
        ("Optim.Learning_Rate", "optim.learning_rate"),
        ("Stage", "deepspeed.zero_optimization.stage"),
        ("zero_optimization.stage", "deepspeed.zero_optimization.stage"),
        ("deepspeed_config.zero_stage", "deepspeed.zero_optimization.stage"),
        ("Seq_Length", "config.seq_length"),
        ("seq length", "config.seq_length"),
        ("chatglm2.SEQ_LENGTH", "config.seq_length"),
        ("generation_config.top_p", "generation config.top_p"),
        ("Tokenizer-Config.padding_side", "tokenizer config.padding_side"),
        ("nccl_debug", "environment.NCCL_DEBUG"),
        ("Warmup_Ratio", "schedule.warmup"),
    ],
)
def test_case_dashes_blanks_and_a_value_do_not_matter(written: str, found: str):
    assert find(written).entries[0].key == found


def test_a_name_in_several_formats_shows_all_that_have_it():
    keys = {entry.key for entry in find("quantization_bit").entries}
    assert {"precision.quantize", "config.quantization_bit"} <= keys
    keys = {entry.key for entry in find("top_p").entries}
    assert {"generate.top_p", "generation config.top_p"} <= keys


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ("learnign_rate", "learning_rate"),
        ("seq_lenght", "seq_length"),
        ("lora_aplha", "lora_alpha"),
        ("padded_vocab", "padded_vocab_size"),
        ("hidden_sizes", "hidden_size"),
        ("adapter_config.r", "r"),
        ("trainer.bf16", "bf16"),
        ("学习率", "optim.learning_rate"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_of_which_none_is_said_twice(
    written: str, first: str
):
    like = suggestions(written)
    assert like[0] == first and len(like) <= 3
    assert len({name.rpartition(".")[2] for name in like}) == len(like)
    with pytest.raises(UserError, match=f"did you mean '{re.escape(first)}'"):
        find(written)


def test_what_is_like_nothing_is_told_where_the_names_are():
    with pytest.raises(UserError, match="`foretune explain` lists every parameter"):
        find("xyzzy")


@pytest.mark.parametrize("words", [["--learning-rate"], ["--learning_rate", "--lora_rank"]])
def test_flags_without_values_are_names(words: list[str], capsys):
    assert main(["explain", *words, "--lang", "zh"]) == 0
    shown = capsys.readouterr().out
    assert "optim.learning_rate" in shown and "适合 P-Tuning 前缀的学习率" in shown
    assert ("method.lora.rank" in shown) == ("--lora_rank" in words)


def test_a_flag_with_a_value_is_a_run(tmp_path: Path, capsys):
    assert main(["explain", "--learning_rate", "1e-3"]) == 0
    assert "optim.learning_rate = 0.001" in capsys.readouterr().out


@pytest.mark.parametrize("name", STANDS_FOR)
def test_a_name_whose_values_mean_something_else_says_so_in_every_format(name: str):
    assert any(name in names for names in spellings().values())
    for language, told in (("en", STANDS_FOR[name]), ("zh", STANDS_FOR[name].zh)):
        for form in ("text", "md", "html"):
            page = explain(None, [name], language=language, format=form)
            plain = page.replace("&#x27;", "'")
            joined = "".join if language == "zh" else " ".join
            assert joined(told.split()) in joined(plain.split()), (form, language)


def test_rules_that_are_about_one_family_are_listed_under_its_keys_alone():
    def codes(name: str) -> set[str]:
        return {rule.code for entry in find(name).entries for rule in rules_about(entry)}

    assert "I107" in codes("ChatGLM.vocab_size") and "I107" not in codes("Transformer.vocab_size")
    assert "N103" in codes("ChatGLM2.attention_dropout")
    assert "N103" not in codes("Llama.attention_dropout")
    assert "A105" in codes("Transformer.vocab_size") & codes("ModelArgs.vocab_size")


def test_what_nothing_reads_is_said_to_have_no_effect():
    entries = [of_run(path) for path in parameters()]
    entries += [entry for section in models() for entry in config_entries(section)]
    unread = re.compile(r"(^|[.;:] )[Nn]othing reads it( any more)?[.;]")
    told = [entry for entry in entries if unread.search(entry.words.en)]
    assert len(told) >= 6 and len([one for one in entries if one.has_no_effect]) > 40
    assert [entry.key for entry in told if not entry.has_no_effect] == []
    silent = [entry for entry in entries if entry.has_no_effect]
    assert [one.key for one in silent if "作用" not in one.words.zh] == []


@pytest.mark.parametrize(
    ("environment", "chinese"),
    [
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "zh_TW"}, True),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, True),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, False),
        ({"LC_ALL": "", "LANG": "en_US.UTF-8"}, False),
    ],
)
def test_the_environment_tells_the_language_whether_its_locale_is_installed_or_not(
    environment: dict[str, str], chinese: bool, monkeypatch, capsys
):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["explain", "learning_rate"]) == 0
    assert ("学习率" in capsys.readouterr().out) == chinese
    assert main(["explain", "learning_rate", "--lang", "zh"]) == 0
    assert "学习率" in capsys.readouterr().out
