"""Meta's ModelArgs: printed, compared and counted as in Meta's code, and read from params.json."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import foretune
from foretune.cli import main
from foretune.errors import UserError
from foretune.formats.model_config import read_model_config
from foretune.params.arch import family_of
from foretune.params.arch.llama3 import ModelArgs
from foretune.params.declare import words_of

PRINTED = (
    "ModelArgs(dim=4096, n_layers=32, n_heads=32, n_kv_heads=None, vocab_size=-1, multiple_of=256,"
    " ffn_dim_multiplier=None, norm_eps=1e-05, rope_theta=500000, max_batch_size=32,"
    " max_seq_len=2048)",
    "ModelArgs(dim=512, n_layers=16, n_heads=32, n_kv_heads=None, vocab_size=-1, multiple_of=256,"
    " ffn_dim_multiplier=None, norm_eps=1e-05, rope_theta=500000, max_batch_size=32,"
    " max_seq_len=2048)",
)
LLAMA_3_8B = ModelArgs(
    n_kv_heads=8, vocab_size=128256, multiple_of=1024, ffn_dim_multiplier=1.3, rope_theta=500000.0
)
LLAMA_3_70B = ModelArgs(
    dim=8192, n_layers=80, n_heads=64, n_kv_heads=8, vocab_size=128256, multiple_of=4096,
    ffn_dim_multiplier=1.3,
)  # fmt: skip


def test_it_is_printed_as_metas_dataclass_prints_it():
    assert (repr(ModelArgs()), repr(ModelArgs(dim=512, n_layers=16))) == PRINTED
    assert str(ModelArgs()) == PRINTED[0]


def test_it_is_printed_as_in_the_users_file(shared: Path):
    lines = (shared / "inputs" / "llama3" / "model-args-printed.txt").read_text().splitlines()
    assert tuple(lines) == PRINTED


def test_a_key_that_came_later_is_printed_where_it_is_set():
    assert "use_scaled_rope" not in repr(ModelArgs(use_scaled_rope=False))
    assert "rope_theta=500000, use_scaled_rope=True, max" in repr(ModelArgs(use_scaled_rope=True))


def test_two_with_equal_values_are_equal():
    assert ModelArgs(dim=512) == ModelArgs(dim=512, n_layers=32)
    assert hash(ModelArgs(dim=512)) == hash(ModelArgs(dim=512, n_layers=32))
    assert ModelArgs(dim=512) != ModelArgs()


def test_widths_follow_from_the_keys():
    small = ModelArgs(dim=512, n_layers=16)
    assert (small.head_dim, small.ffn_hidden_dim) == (16, 1536)
    assert (LLAMA_3_8B.head_dim, LLAMA_3_8B.ffn_hidden_dim) == (128, 14336)
    assert (LLAMA_3_70B.head_dim, LLAMA_3_70B.ffn_hidden_dim) == (128, 28672)


def test_what_is_not_given_is_what_metas_code_takes():
    assert ModelArgs(n_kv_heads=None).shape == ModelArgs(n_kv_heads=32).shape
    assert ModelArgs(ffn_dim_multiplier=None).shape == ModelArgs(ffn_dim_multiplier=1.0).shape


def test_the_published_models_count_to_the_published_numbers():
    assert LLAMA_3_8B.shape.num_parameters == 8_030_261_248
    assert LLAMA_3_70B.shape.num_parameters == 70_553_706_496


def test_a_vocabulary_left_to_the_tokenizer_is_not_counted():
    shape = ModelArgs().shape
    assert shape.vocab is None
    assert shape.num_parameters == ModelArgs(vocab_size=1).shape.num_parameters - 2 * 4096
    assert shape.num_parameters == 6_476_271_616


def test_the_cache_that_metas_code_sets_aside_is_counted():
    assert ModelArgs().kv_cache_bytes() == 32 * 2**30
    assert ModelArgs(n_kv_heads=8).kv_cache_bytes() == 8 * 2**30
    assert ModelArgs().kv_cache_bytes(4) == 64 * 2**30


@pytest.mark.parametrize("key", ["max_batch_size", "max_seq_len"])
def test_what_is_set_aside_for_the_cache_limits_nothing_else(key: str):
    assert ModelArgs.model_validate({key: 1}).shape == ModelArgs().shape


@pytest.mark.parametrize(
    "keys",
    [
        {"dim": 0},
        {"dim": 500},
        {"dim": 32},
        {"n_kv_heads": 5},
        {"vocab_size": 0},
        {"vocab_size": -2},
        {"n_layers": "32"},
        {"ffn_dim_multiplier": 0.0},
        {"surplus": 1},
    ],
)
def test_values_that_cannot_be_are_refused(keys: dict[str, object]):
    with pytest.raises(ValidationError):
        ModelArgs.model_validate(keys)


def test_it_can_be_had_from_foretune_without_torch():
    code = (
        "import sys; from foretune import ModelArgs; ModelArgs(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert foretune.ModelArgs is ModelArgs
    with pytest.raises(AttributeError, match="no attribute 'ModelArg'"):
        foretune.ModelArg  # noqa: B018


def test_every_key_has_words_in_both_languages():
    for name in ModelArgs.model_fields:
        words = words_of(ModelArgs, name)
        assert words.en.endswith(".") and words.en.isascii(), name
        assert words.zh.endswith("。") and len(re.findall("[\u4e00-\u9fff]", words.zh)) >= 4, name
        assert not re.search("[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", words.zh), name
    assert len(ModelArgs.model_fields) == 12


# --- params.json ---


def test_metas_file_is_known_by_its_keys():
    assert family_of({"dim": 64, "n_layers": 2}) is ModelArgs
    assert family_of({"dim": 64, "n_layers": 2, "model_type": "other"}) is None


def test_values_that_cannot_be_are_told_with_their_line():
    text = '{\n"dim": 64,\n"n_layers": 0,\n"n_heads": "4"\n}'
    with pytest.raises(UserError) as error:
        read_model_config(text, "params.json")
    told = {(problem.what, problem.where) for problem in error.value.problems}
    assert told == {("n_layers = 0", "params.json:3"), ("n_heads = '4'", "params.json:4")}


def test_a_key_that_nobody_reads_is_told():
    text = '{"dim": 64,\n"n_layers": 2, "n_heads": 4, "vocab_size": 8,\n"n_kv_head": 2}'
    _, notes = read_model_config(text, "params.json")
    (note,) = notes
    assert str(note).startswith("n_kv_head is read by nothing here (params.json:3)")
    assert "did you mean n_kv_heads?" in str(note)


def test_the_vocabulary_is_asked_of_the_tokenizer_beside_it(tmp_path: Path, repository: Path):
    vocabularies = repository / "tests" / "golden" / "tokenizers"
    file = tmp_path / "params.json"
    text = json.dumps({"dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": -1})
    shutil.copy(vocabularies / "glm4" / "tokenizer.model", tmp_path)  # the same ranks
    found, notes = read_model_config(text, str(file))
    assert found is not None and found.shape.vocab == 700 + 256
    assert notes == ()
    shutil.copy(vocabularies / "chatglm2" / "tokenizer.model", tmp_path)  # of SentencePiece
    found, notes = read_model_config(text, str(file))
    assert found is not None and found.shape.vocab is None
    assert "every count is without the vocabulary" in str(notes[0])


def planned(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["plan", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_a_plan_counts_metas_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "params.json"
    file.write_text(json.dumps(LLAMA_3_8B.model_dump(exclude={"max_batch_size", "max_seq_len"})))
    for named in (file, tmp_path):
        assert "8,030,261,248 of 8,030,261,248" in planned(capsys, named)
        adapted = planned(capsys, named, "--set", "method.name=lora")
        assert "3,407,872 of 8,033,669,120 parameters train" in adapted
    named = ("--set", f"model.path={file}")
    assert "8,030,261,248" in planned(capsys, *named)
    assert "LoRA with r=8 on q_proj, v_proj" in planned(capsys, file, "--trainable", "3407872")


def test_a_plan_of_the_users_files_says_what_it_leaves_out(
    shared: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shared / "inputs" / "llama3"
    text = planned(capsys, folder / "params.json")
    assert "6,476,271,616 of 6,476,271,616" in text
    assert "vocab_size = -1: every count is without the vocabulary" in text
    assert "32 GiB" in text and "limit nothing here" in text
    assert "8,030,261,248 of 8,030,261,248" in planned(capsys, folder / "params-8b.json")
