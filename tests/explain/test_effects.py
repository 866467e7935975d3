"""An effect is what planning twice gives: with a value and with another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.explain.command import explain
from foretune.explain.entry import config_entries, find, of_config, of_run
from foretune.explain.example import example
from foretune.explain.planned import Effect, Planned, effect
from foretune.facts import DataFacts, Facts
from foretune.formats.model_config import model_file
from foretune.formats.read import read
from foretune.params.arch import families
from foretune.params.arch.chatglm2 import ChatGLM2
from foretune.params.run import Run, parameters


def of(run: Run, name: str, facts: Facts | None = None) -> Effect:
    planned = Planned(run, model_file(run)) if facts is None else Planned(run, None, facts)
    (entry,) = [one for one in find(name).entries if one.owner is None or planned.has(one)]
    found = effect(planned, entry)
    assert found is not None
    return found


def values(found: Effect) -> dict[str, tuple[float, float]]:
    return {one.name: (one.here.value, one.other.value) for one in found.changes}


def written(folder: Path, keys: dict[str, object], script: str = "") -> Run:
    (folder / "config.json").write_text(json.dumps(keys))
    (folder / "train.sh").write_text(f"python3 main.py {script}\n")
    return read(folder / "config.json", *([folder / "train.sh"] if script else []))


CHATGLM2 = {**ChatGLM2.published}


def test_two_key_heads_against_thirty_two(tmp_path: Path):
    found = of(written(tmp_path, CHATGLM2), "multi_query_group_num")
    assert (found.against, found.named) == (32, "num_attention_heads")
    assert found.changes[0].name == "kv_cache_bytes"  # the most telling one first
    assert values(found)["kv_cache_bytes"] == (56 * 2**20, 896 * 2**20)


def test_a_prefix_of_128_positions_trains_1835008_parameters(tmp_path: Path):
    run = written(tmp_path, CHATGLM2, "--do_train --pre_seq_len 128")
    assert values(of(run, "method.prefix.length"))["trainable_parameters"][0] == 1_835_008
    projected = run.set({"method.prefix.projection": True})
    assert values(of(projected, "method.prefix.length"))["trainable_parameters"][0] == 119_293_952


def test_quantising_is_compared_with_full_weights(tmp_path: Path):
    run = written(tmp_path, CHATGLM2, "--do_train --pre_seq_len 128 --quantization_bit 4")
    found = of(run, "precision.quantize")
    assert found.against is None
    here, full = values(found)["weight_bytes"]
    assert here < 0.33 * full


def test_the_steps_of_a_run_are_known_where_its_rows_are(tmp_path: Path):
    script = tmp_path / "train.sh"
    script.write_text(
        "python3 main.py --do_train --num_train_epochs 100 --per_device_train_batch_size 4"
        " --gradient_accumulation_steps 4\n"
    )
    facts = Facts(transformers="4.30.2", train=DataFacts(file="train.json", rows=243, examples=243))
    found = values(of(read(script), "batch.accumulation", facts))
    assert found["total_steps"] == (1500, 6100)
    assert found["steps_per_epoch"] == (15, 61)


def test_max_steps_says_how_many_examples_are_seen_without_any_data(tmp_path: Path):
    run = written(tmp_path, CHATGLM2, "--do_train --max_steps 3000 --pre_seq_len 8"
                  " --per_device_train_batch_size 1 --gradient_accumulation_steps 16")  # fmt: skip
    assert values(of(run, "schedule.max_steps"))["trained_examples"][0] == 48_000


@pytest.mark.parametrize(
    ("multiplier", "multiple", "width"), [(None, 256, 11008), (1.3, 1024, 14336)]
)
def test_the_width_of_metas_feed_forward_block_is_computed(
    tmp_path: Path, multiplier: float | None, multiple: int, width: int
):
    keys = {"dim": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 128256,
            "multiple_of": multiple, "ffn_dim_multiplier": multiplier}  # fmt: skip
    (tmp_path / "params.json").write_text(json.dumps(keys))
    run = read(tmp_path / "params.json")
    assert values(of(run, "dim"))["ffn_hidden_dim"][0] == width
    text = " ".join(explain(run, ["multiple_of"]).split())
    assert f"{width:,} elements" in text and "ceil(" in text


def test_metas_cache_of_32_rows_and_2048_positions_is_32_gib(tmp_path: Path):
    keys = {"dim": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": -1, "max_batch_size": 32,
            "max_seq_len": 2048}  # fmt: skip
    (tmp_path / "params.json").write_text(json.dumps(keys))
    found = of(read(tmp_path / "params.json"), "config.max_batch_size")
    assert values(found)["meta_cache_bytes"][0] == 32 * 2**30


def test_a_change_that_cannot_be_is_not_compared_with():
    planned, _ = example(of_config(ChatGLM2, "multi_query_group_num"))
    entry = of_config(ChatGLM2, "multi_query_group_num")
    assert planned.but(entry, 3) is None  # 32 heads are no multiple of 3
    assert planned.but(of_run("batch.micro"), "many") is None


def test_every_size_of_every_family_has_an_effect_on_its_published_model():
    seen = 0
    for family in families():
        traits = family.model_validate(family.published).traits
        assert traits is not None, family
        for concept in ("hidden", "layers", "vocab"):
            key = traits.keys[concept]
            planned, _ = example(of_config(family, key))
            found = effect(planned, of_config(family, key))
            assert found is not None, (family, key)
            seen += 1
    assert seen >= 24


def test_effects_never_fail_for_any_parameter_or_key():
    seen = found = 0
    paths = [path for path in parameters() if not path.startswith(("deepspeed.", "accelerate."))]
    entries = [of_run(path) for path in paths]
    entries += [entry for family in families()[:5] for entry in config_entries(family)]
    for entry in entries:
        planned, _ = example(entry)
        seen += 1
        found += effect(planned, entry) is not None
    assert seen > 300
    assert found > 40


def test_an_effect_is_shown_with_its_formula_once(tmp_path: Path):
    text = explain(written(tmp_path, CHATGLM2))
    working = " ".join(text.split())
    assert working.count("2 × 28 × 1 × 2,048 × 2 × 128 × 2 = 56 MiB") == 1
    assert working.count("56 MiB instead of 896 MiB") >= 1


def test_without_a_run_the_effect_is_said_to_be_an_example():
    assert "For example (THUDM/chatglm2-6b)" in explain(None, ["multi_query_group_num"])
    assert "举例来说" in explain(None, ["lora_rank"], language="zh")


def test_a_run_that_only_predicts_shows_nothing_of_training(shared: Path):
    folder = shared / "inputs/chatglm-6b"
    text = explain(read(folder / "config.json", folder / "evaluate.sh"))
    for absent in ("optimizer step", "batch.micro", "gradient_checkpointing", "zero_optimization"):
        assert absent not in text
    assert "batch.eval" in text


def test_a_cache_holds_the_prefix_too(shared: Path):
    folder = shared / "inputs/chatglm-6b"
    text = explain(read(folder / "config.json", folder / "evaluate.sh"))
    assert "2 × 28 × 1 × 257 × 32 × 128 × 2" in " ".join(text.split())  # 129 + a prefix of 128


def test_limits_that_bound_nothing_are_not_shown(shared: Path):
    text = explain(read(shared / "inputs/baichuan2-13b/train.sh"))
    assert "data.max_length = 512 tokens" in text and "data.max_source_length" not in text


def test_of_one_there_is_no_plural(shared: Path):
    text = explain(read(shared / "inputs/chatglm-6b/train.sh"))
    assert "batch.micro = 1 example per device" in text and "1 process per node" in text


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_a_formula_is_printed_once_in_every_format(shared: Path, form: str):
    text = explain(read(shared / "inputs/chatglm2-6b/config.json"), format=form)
    assert text.count("parameters × bytes_each") == 1


def test_a_key_that_a_file_and_an_argument_share_is_explained_for_both():
    text = explain(None, ["bf16.enabled"])
    assert "precision.mixed" in text and "deepspeed.bf16.enabled" in text


def test_metas_weights_are_counted_in_the_type_that_they_are_saved_in(shared: Path):
    assert "14.96 GiB" in explain(read(shared / "inputs/llama3/params-8b.json"))


def test_nothing_is_shown_with_what_holds_instead(shared: Path):
    text = explain(read(shared / "inputs/llama3/params.json"))
    assert "n_kv_heads = null (n_heads)" in text


@pytest.mark.parametrize("name", ["THUDM/chatglm2-6b", "zai-org/chatglm2-6b"])
def test_a_hub_model_is_taken_as_it_was_published(shared: Path, name: str):
    run = read(shared / "inputs/chatglm2-6b/train.sh").set({"model.path": name})
    text = " ".join(explain(run).split())
    assert "Parameters that train: 1,835,008 instead of 3,670,016 parameters" in text
    assert f"the sizes of {name} are taken as published" in text
    assert "multi_query_group_num" not in text  # nobody has written that file


def test_of_a_model_that_is_not_known_no_sizes_are_guessed(shared: Path):
    run = read(shared / "inputs/chatglm2-6b/train.sh").set({"model.path": "somebody/chatglm2-6b"})
    assert "Parameters that train" not in explain(run)
