"""Baichuan's config.json: which of the four it is, what it counts to, what its odd keys do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foretune.errors import UserError
from foretune.params.arch import family_of, read_architecture
from foretune.params.arch.baichuan import Baichuan, has_alibi, has_norm_head
from tiny_baichuan import BITS, COMMON, PUBLISHED


def read(config: dict[str, Any]) -> Baichuan:
    declared, _ = read_architecture(config)
    assert isinstance(declared, Baichuan)
    return declared


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_config_is_read_as_what_it_is(name: str):
    config, variant, count = PUBLISHED[name]
    for changes in ({}, BITS, {"model_type": "BaiChuan"}, {"z_loss_weight": 0}):
        declared = read(config | changes)
        assert declared.variant.startswith(variant)
        assert declared.shape.num_parameters == count
    assert sum(linear.num_parameters for linear in declared.shape.quantised_linears) == sum(
        linear.num_parameters for linear in declared.shape.linears
    )


def test_no_key_of_the_published_files_is_unknown_but_the_one_without_effect():
    for config, *_ in PUBLISHED.values():
        assert read_architecture(config)[1].keys() <= {"_from_model_config"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_others_do_to_a_config_changes_nothing(name: str):
    config, variant, _ = PUBLISHED[name]
    second = config["vocab_size"] == 125696
    added = config | {"vocab_size": config["vocab_size"] + 8}  # tokens of somebody's own
    other_keys = config | {"max_position_embeddings": 8192, "model_max_length": 8192}
    saved = {key: value for key, value in config.items() if key != "tokenizer_class"}
    trimmed = config | {"vocab_size": 30000} | ({"z_loss_weight": 0} if second else {})
    for changed in (added, other_keys, saved, trimmed):
        assert read(changed).variant.startswith(variant)


def test_a_key_of_its_own_decides_for_a_model_of_another_size():
    tiny = COMMON | {"hidden_size": 64, "num_attention_heads": 4, "vocab_size": 128}
    assert has_alibi(read(tiny)) and not has_norm_head(read(tiny))
    assert not has_alibi(read(tiny | {"alibi": False}))
    assert not has_alibi(read(tiny | {"max_position_embeddings": 64}))
    assert has_alibi(read(tiny | {"max_position_embeddings": 64, "alibi": True}))
    assert has_norm_head(read(tiny | {"norm_head": True}))
    second = PUBLISHED["Baichuan2-13B"][0]
    assert read(second | {"norm_head": False, "alibi": False}).variant.startswith("Baichuan-7B")


def test_the_users_file_is_read_as_it_stands(shared: Path):
    config = json.loads((shared / "inputs" / "baichuan2-13b" / "config.json").read_text())
    declared = read(config)
    assert declared.shape.num_parameters == 13_896_668_160
    told = {remark.key: remark.what for remark in declared.remarks()}
    assert told == {
        "vocab_size": "read as Baichuan2-13B (ALiBi)",
        "gradient_checkpointing": "gradient_checkpointing = [False] is not read",
    }


def test_the_golden_configs_are_read_as_their_names_say(shared: Path):
    seen = 0
    for folder in sorted(shared.glob("golden/baichuan*/")):
        variant = read(json.loads((folder / "config.json").read_text())).variant.lower()
        assert variant.replace("-", "_").startswith("_".join(folder.name.split("_")[:2]))
        seen += 1
    assert seen == 6


def test_prefix_and_adapters_count_from_the_config_alone():
    shape = read(PUBLISHED["Baichuan2-13B"][0]).shape
    (embedding,) = shape.prefix_weights(128, projection=False)
    assert embedding.name == "model.prefix_encoder.embedding.weight"
    assert embedding.shape == (128, 2 * 40 * 5120)
    assert shape.default_lora_targets == ("W_pack",)


def test_sizes_that_do_not_fit_together_are_refused():
    with pytest.raises(UserError, match="does not divide into num_attention_heads 3"):
        read(COMMON | {"num_attention_heads": 3})
    odd = {"hidden_size": 20, "num_attention_heads": 4}
    assert read(COMMON | odd).shape.head_dim == 5
    with pytest.raises(UserError, match="halves"):
        read(COMMON | odd | {"alibi": False})
    assert family_of({"model_type": "baichuan_m1"}) is None
