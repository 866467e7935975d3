"""`foretune diff`: what differs, what follows, what is only spelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.cli import main
from foretune.diff.command import diff, laid_out
from foretune.diff.comparison import Comparison
from foretune.formats.read import read
from foretune.params.arch import families
from foretune.params.arch.traits import CHOICES, CONCEPTS, QUESTIONS

CHATGLM2 = {
    "model_type": "chatglm", "padded_vocab_size": 65024, "multi_query_attention": True,
    "multi_query_group_num": 2, "add_qkv_bias": True, "seq_length": 32768, "pad_token_id": 0,
}  # fmt: skip


def models(folder: Path, one: dict[str, object], other: dict[str, object]) -> Comparison:
    paths = [folder / "one.json", folder / "other.json"]
    for path, keys in zip(paths, (one, other), strict=True):
        path.write_text(json.dumps(keys, indent=1))
    return diff(read(paths[0]), read(paths[1]))


def scripts(folder: Path, one: str, other: str) -> Comparison:
    paths = [folder / "one.sh", folder / "other.sh"]
    for path, flags in zip(paths, (one, other), strict=True):
        path.write_text(f"python3 main.py --do_train {flags}\n")
    return diff(read(paths[0]), read(paths[1]))


def names(found: Comparison) -> list[str]:
    return [one.name for one in found.differences]


def test_one_key_differs_and_what_follows_is_computed(tmp_path: Path):
    found = models(tmp_path, CHATGLM2, {**CHATGLM2, "multi_query_group_num": 32})
    (difference,) = found.differences
    assert (difference.name, difference.values) == ("multi_query_group_num", (2, 32))
    cache = next(one for one in difference.follows if one.name == "kv_cache_bytes")
    assert (cache.here.shown, cache.other.shown) == ("56 MiB", "896 MiB")
    assert not found.equal


def test_the_order_of_keys_and_the_way_a_number_is_written_are_no_difference(tmp_path: Path):
    turned = dict(reversed(CHATGLM2.items()))
    found = models(tmp_path, {**CHATGLM2, "rope_ratio": 1.0}, turned)
    assert found.equal
    assert [(one.name, one.value) for one in found.spellings] == [("rope_ratio", 1.0)]


def test_a_default_that_is_written_out_is_only_spelling(tmp_path: Path):
    found = models(tmp_path, CHATGLM2, {**CHATGLM2, "quantization_bit": 0})
    assert found.equal and [one.name for one in found.spellings] == ["quantization_bit"]
    text = laid_out(found)
    text = " ".join(text.split())  # wherever its lines end
    assert "zero means not quantised" in text and "Nothing differs but the spelling" in text


def test_a_key_that_nothing_reads_is_a_difference_without_an_effect(tmp_path: Path):
    found = models(tmp_path, CHATGLM2, {**CHATGLM2, "my_own_key": 3})
    assert names(found) == ["my_own_key"]
    assert "Nothing here reads it." in laid_out(found)


def test_the_same_parameter_under_another_name_is_only_spelling(tmp_path: Path):
    one = tmp_path / "one.sh"
    one.write_text("python3 main.py --do_train --per_device_train_batch_size 4 --pre_seq_len 8\n")
    other = tmp_path / "run.yaml"
    other.write_text("launch.train: true\nbatch: {micro: 4}\nmethod.prefix.length: 8\n")
    found = diff(read(one), read(other))
    spelled = {spelling.name: spelling.written for spelling in found.spellings}
    assert spelled["batch.micro"] == ("--per_device_train_batch_size 4", "batch.micro")


def test_a_removed_name_beside_the_new_one_is_only_spelling(tmp_path: Path):
    found = scripts(tmp_path, "--no_cuda --pre_seq_len 8", "--use_cpu --pre_seq_len 8")
    assert found.equal and "launch.use_cpu" in {one.name for one in found.spellings}


def test_what_follows_from_a_difference_is_told_in_one_line(tmp_path: Path):
    found = scripts(tmp_path, "--do_predict --max_target_length 64 --pre_seq_len 8",
                    "--do_predict --max_target_length 128 --pre_seq_len 8")  # fmt: skip
    assert names(found)[0] == "data.max_target_length"
    assert {one.name for one in found.differences if one.derived} == {
        "data.max_eval_target_length", "generate.max_length",
    }  # fmt: skip
    assert "Follows from these: " in laid_out(found)


def test_the_most_important_differences_come_first(tmp_path: Path):
    found = scripts(tmp_path, "--logging_steps 1 --learning_rate 1e-2 --pre_seq_len 8",
                    "--logging_steps 2 --learning_rate 2e-2 --pre_seq_len 16")  # fmt: skip
    matters = [one.entry.facts.matters for one in found.differences if one.entry]
    assert matters == sorted(matters, reverse=True) and len(matters) == 3


def test_a_secret_is_compared_without_being_shown(tmp_path: Path):
    found = scripts(tmp_path, "--hub_token hf_one", "--hub_token hf_two")
    assert names(found) == ["trainer.hub_token"]
    for form in ("text", "json"):
        assert "hf_" not in laid_out(found, format=form)


# --- models of two families


def test_the_original_transformer_beside_llama_3(shared: Path):
    inputs = shared / "inputs"
    found = diff(read(inputs / "transformer/base.json"), read(inputs / "llama3/params-8b.json"))
    sizes = {size.concept: (size.keys, size.values) for size in found.sizes}
    assert sizes["hidden"] == (("d_model", "dim"), (512, 4096))
    assert sizes["ffn"] == (("ffn_hidden_dim", None), (2048, 14336))
    answers = {
        design.question.en: [one.name.en for one in design.answers] for design in found.designs
    }
    assert answers["where the norms stand"] == ["post-norm", "pre-norm"]
    assert answers["how positions enter"] == [
        "sinusoids added to the embedding", "RoPE over the whole head",
    ]  # fmt: skip
    text = " ".join(laid_out(found).split())
    assert "gradients of the first layers shrink with depth" in text
    assert "44,138,496 → 8,030,261,248 parameters" in text
    chinese = laid_out(found, language="zh")
    assert "后置归一化" in chinese and "前置归一化" in chinese and "d_model 512" in chinese


def test_both_chatglm2_configs_say_what_each_difference_changes_and_for_whom(shared: Path):
    inputs = shared / "inputs"
    found = diff(
        read(inputs / "chatglm2-6b/config.json"), read(inputs / "chatglm2-6b-finetuned/config.json")
    )
    values = {one.name: one.values for one in found.differences}
    assert values["pad_token_id"] == (0, 2)
    assert values["transformers_version"] == ("4.27.1", "4.30.2")
    assert [one.name for one in found.spellings] == ["quantization_bit"]
    text = " ".join(laid_out(found).split())
    assert "Only with a script that masks labels by this key" in text
    text = " ".join(text.split())
    assert "Not a requirement" in text and "zero means not quantised" in text
    assert found.follows == ()
    chinese = "".join(laid_out(found, language="zh").split())
    assert "只有按这个键屏蔽标签的脚本" in chinese and "并非版本要求" in chinese


def test_every_family_can_be_held_beside_every_other(tmp_path: Path):
    seen = 0
    for one in families():
        for other in families():
            if one is other:
                continue
            found = models(tmp_path, one.published, other.published)
            assert len(found.sizes) >= 9 and len(found.designs) == len(QUESTIONS)
            assert laid_out(found, language="zh")
            seen += 1
    assert seen >= 20


def test_the_traits_of_every_family_name_real_keys_and_known_choices():
    for family in families():
        traits = family.model_validate(family.published).traits
        assert traits is not None
        assert set(traits.keys) <= set(CONCEPTS) and set(traits.keys.values()) <= set(family.keys())
        assert set(traits.choices) == set(QUESTIONS)
        assert set(traits.choices.values()) <= set(CHOICES)
    assert len(families()) >= 5


# --- the command


def test_the_exit_code_tells_whether_they_differ(tmp_path: Path, capsys):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(json.dumps(CHATGLM2))
    other.write_text(json.dumps({**CHATGLM2, "seq_length": 8192}))
    assert main(["diff", str(one), str(one)]) == 0
    assert main(["diff", str(one), str(other), "--lang", "zh"]) == 1
    assert "旋转位置表" in capsys.readouterr().out
    assert main(["diff", str(one)]) == 2
    assert "is given 1 files" in capsys.readouterr().err


def test_two_runs_of_several_files_are_parted_by_two_dashes(tmp_path: Path, capsys):
    config, one, other = (tmp_path / name for name in ("config.json", "one.sh", "other.sh"))
    config.write_text(json.dumps(CHATGLM2))
    one.write_text("python3 main.py --do_train --pre_seq_len 128\n")
    other.write_text("python3 main.py --do_train --pre_seq_len 256\n")
    words = ["diff", str(config), str(one), "--", str(config), str(other)]
    assert main([*words]) == 1
    assert "1,835,008 → 3,670,016 parameters" in capsys.readouterr().out


def test_json_is_stable(tmp_path: Path):
    found = models(tmp_path, CHATGLM2, {**CHATGLM2, "seq_length": 8192})
    told = json.loads(laid_out(found, format="json"))
    assert set(told) == {
        "language", "equal", "sides", "differences", "follows", "spellings", "sizes", "designs",
        "alone",
    }  # fmt: skip
    (difference,) = told["differences"]
    assert (difference["name"], difference["values"]) == ("seq_length", [32768, 8192])
    assert difference["origins"][1]["line"] == 7


@pytest.mark.parametrize("form", ["md", "sarif"])
def test_a_format_that_there_is_not_is_refused(tmp_path: Path, form: str, capsys):
    one = tmp_path / "one.json"
    one.write_text(json.dumps(CHATGLM2))
    assert main(["diff", str(one), str(one), "--format", form]) == 2
    assert "text, json" in capsys.readouterr().err


def test_token_ids_that_fall_together_and_versions_that_count_alike_are_told(shared: Path, capsys):
    files = ("chatglm2-6b/config.json", "chatglm2-6b-finetuned/config.json")
    for language, told in (
        ("en", ("In B it is the id of eos_token_id too", "transformers before 4.52")),
        ("zh", ("在 B 中它与 eos_token_id 是同一个 id", "transformers 4.52 之前的方式")),
    ):
        words = [str(shared / "inputs" / file) for file in files]
        assert main(["diff", *words, "--lang", language]) == 1
        text = capsys.readouterr().out
        for sentence in told:
            assert sentence in text
        assert "quantization_bit = 0" in text
