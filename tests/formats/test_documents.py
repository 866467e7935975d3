"""Files beside a run that set nothing of it: generation_config.json, tokenizer_config.json, and the
config.json of a family that is not known here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from transformers import GenerationConfig, PreTrainedConfig

from foretune.formats.documents import field_names, of_known_types
from foretune.formats.generation_config import ONLY_BEAMS, ONLY_SAMPLING
from foretune.formats.model_config import model_file
from foretune.formats.read import read
from foretune.params.arch.any_model import AnyModel
from foretune.params.arch.llama import Llama
from foretune.params.arch.pretrained import Pretrained
from foretune.params.declare import facts_of, words_of
from foretune.params.document import Document
from foretune.params.environment import Environment
from foretune.params.generation_config import GenerationDefaults
from foretune.params.run import Run
from foretune.params.tokenizer_config import TokenizerSettings
from foretune.params.trainer_state import TrainerState
from foretune.params.training_log import LoggedValues, TrainingLog

SECTIONS: list[tuple[type[BaseModel], int]] = [
    (GenerationDefaults, 70),
    (TokenizerSettings, 45),
    (AnyModel, 100),
    (Environment, 80),
    (TrainingLog, 15),
    (LoggedValues, 15),
    (TrainerState, 20),
    (Llama, 60),
]


LOST_BLANK = re.compile("[A-Za-z]{3,}[\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z]{3,}")


def written(tmp_path: Path, name: str, **keys: Any) -> Run:
    (tmp_path / name).write_text(json.dumps(keys, indent=1), "utf-8")
    return read(tmp_path / name)


def only(run: Run) -> Document:
    (document,) = run.documents
    return document


@pytest.mark.parametrize(("section", "least"), SECTIONS)
def test_every_key_has_words_in_both_languages(section: type[BaseModel], least: int):
    seen = 0
    for key, name in field_names(section).items():
        words = words_of(section, name)
        assert words.en.endswith(".") and words.en.isascii(), key
        assert words.zh.endswith("。") and not words.zh.isascii(), key
        assert not re.search("[a-z][;,:][A-Za-z]", words.en), key
        assert not re.search("[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", words.zh), key
        assert not re.search("[A-Za-z]{3,}[\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z]{3,}", words.zh), (
            key
        )
        seen += 1
    assert seen >= least


def test_every_key_of_the_installed_generation_config_is_declared_and_no_other():
    theirs = {key for key in vars(GenerationConfig()) if key != "_original_object_hash"}
    assert set(field_names(GenerationDefaults)) == theirs
    assert len(theirs) >= 70


def test_what_generate_takes_for_an_unwritten_key_is_that_of_the_installed_one():
    seen = 0
    for key, value in GenerationConfig._get_default_generation_params().items():
        if value is None:
            continue
        told = facts_of(GenerationDefaults.model_fields[key]).when_unset
        assert told is not None and told.en == json.dumps(value).strip('"'), key
        seen += 1
    assert seen >= 25


def test_a_generation_config_that_the_installed_transformers_writes_is_read(tmp_path: Path):
    GenerationConfig(do_sample=True, top_p=0.8, eos_token_id=[1, 2]).save_pretrained(str(tmp_path))
    run = read(tmp_path / "generation_config.json")
    declared = only(run).declared
    assert isinstance(declared, GenerationDefaults)
    assert run.notes == ()
    assert (declared.do_sample, declared.top_p, declared.eos_token_id) == (True, 0.8, [1, 2])


def test_keys_that_only_sampling_or_beams_read_are_told_without_them(tmp_path: Path):
    run = written(
        tmp_path,
        "generation_config.json",
        temperature=0.7,
        top_p=1.0,
        length_penalty=2.0,
        max_length=8,
        max_new_tokens=4,
    )
    assert [(note.what, note.where.rpartition(":")[2]) for note in run.notes] == [
        ("temperature = 0.7 has no effect", "2 (temperature)"),
        ("length_penalty = 2.0 has no effect", "4 (length_penalty)"),
        ("max_length = 8 has no effect", "5 (max_length)"),
    ]
    assert written(tmp_path, "generation_config.json", do_sample=True, temperature=0.7).notes == ()


def test_the_installed_generate_does_warn_of_those_keys():
    for key in ("temperature", "top_p", "min_p", "typical_p"):
        with pytest.raises(ValueError, match=key):
            GenerationConfig(**{key: 0.5}).validate(strict=True)
    assert len(ONLY_SAMPLING) == 8 and len(ONLY_BEAMS) == 2


def test_an_unknown_key_is_noted_with_the_nearest(tmp_path: Path):
    (note,) = written(tmp_path, "generation_config.json", do_sampel=True).notes
    assert note.what == "do_sampel is read by nothing here"
    assert note.why == "did you mean do_sample?"


def test_a_value_of_another_kind_is_noted_and_left_out(tmp_path: Path):
    run = written(tmp_path, "generation_config.json", top_k="many", top_p=[1], do_sample=True)
    declared = only(run).declared
    assert isinstance(declared, GenerationDefaults)
    assert (declared.top_k, declared.top_p, declared.do_sample) == (None, None, True)
    assert len(run.notes) == 2


def test_a_tokenizer_config_is_read_and_its_placeholder_is_told(tmp_path: Path):
    run = written(
        tmp_path,
        "tokenizer_config.json",
        model_max_length=10**30,
        padding_side="left",
        pad_token={"content": "</s>", "special": True},
        eos_token="</s>",
        added_tokens_decoder={"2": {"content": "</s>"}},
    )
    declared = only(run).declared
    assert isinstance(declared, TokenizerSettings)
    assert declared.padding_side == "left"
    assert [note.what for note in run.notes] == [
        "model_max_length is no length",
        "the padding token is the end token, '</s>'",
    ]


def test_every_key_of_the_base_config_is_declared():
    theirs = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    theirs |= {"output_attentions", "attn_implementation", "experts_implementation"}
    theirs |= {"per_layer_config", "tie_last_hidden_states", "num_labels", "_name_or_path"}
    assert theirs <= set(Pretrained.keys())
    assert len(theirs) >= 17


def test_an_unknown_family_is_explained_by_the_keys_that_many_share(tmp_path: Path):
    run = written(
        tmp_path,
        "config.json",
        model_type="gpt_neox",
        hidden_size=64,
        rotary_pct=0.25,
        hiden_size=3,
        temperature=0.7,
    )
    assert model_file(run) is None
    declared = only(run).declared
    assert isinstance(declared, AnyModel)
    assert (declared.hidden_size, declared.rotary_pct) == (64, 0.25)
    why = {note.what: note.why for note in run.notes}
    assert why["temperature is read by nothing here"].endswith("generation_config.json")
    assert "model_type 'gpt_neox' is no family known here" in why
    assert "hiden_size is read by nothing here" in why


def test_a_section_takes_whatever_can_be_used_of_a_file():
    declared, notes = of_known_types(AnyModel, {"hidden_size": "x", "vocab_size": 3}, "f", {})
    assert (declared.hidden_size, declared.vocab_size, len(notes)) == (None, 3, 1)
