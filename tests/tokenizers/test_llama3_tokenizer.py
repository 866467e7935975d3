"""Llama 3's tokenizer: every golden entry, in Meta's class and in the one that any transformers
loads; and what a damaged file of ranks is refused for.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from foretune.errors import UserError
from foretune.tokenizers import load_tokenizer
from foretune.tokenizers.llama3 import Llama3Tokenizer, Llama31Tokenizer, parts
from foretune.tokenizers.tiktoken_fast import as_fast
from foretune.tokenizers.tiktoken_ranks import ranks_file, read_ranks
from small_llama import RANKS

PARAMS = {"dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": -1}


def metas_folder(folder: Path, ranks: Path = RANKS, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(PARAMS | keys))
    shutil.copyfile(ranks, folder / "tokenizer.model")
    return folder


class Golden:
    """A golden case, and a folder in Meta's layout with its vocabulary."""

    def __init__(self, expected: dict[str, Any], folder: Path) -> None:
        self.expected, self.folder = expected, folder
        self.tokenizer: Any = load_tokenizer(folder)


@pytest.fixture(scope="module", params=["llama3_fixture", "llama3_real"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Golden:
    """The small vocabulary, and Meta's own where it is there."""
    cases, ranks = repository / "tests" / "golden" / "tokenizers", RANKS
    if request.param == "llama3_real":
        shared = request.getfixturevalue("shared")
        cases = shared / "golden" / "tokenizers"
        ranks = shared / "tokenizers" / "llama3" / "tokenizer.model"
    expected = json.loads((cases / f"{request.param}.json").read_text("utf-8"))
    return Golden(expected, metas_folder(tmp_path_factory.mktemp(request.param), ranks))


EACH = pytest.mark.parametrize(
    "case",
    ["llama3_fixture", pytest.param("llama3_real", marks=pytest.mark.slow)],
    indirect=True,
    scope="module",
)


def check(tokenizer: Any, expected: dict[str, Any]) -> None:
    """Every text and every chat of a golden case."""
    end = expected["eos_id"]
    for entry in expected["encode"]:
        text = entry["text"]
        plain = {"add_special_tokens": False, "split_special_tokens": True}
        assert tokenizer.encode(text, **plain) == entry["ids"]
        assert tokenizer(text, **plain)["input_ids"] == entry["ids"]
        assert [*tokenizer.encode(text, split_special_tokens=True), end] == entry["ids_bos_eos"]
        special = tokenizer.encode(text, add_special_tokens=False)
        assert special == entry["ids_allow_special"]
        assert tokenizer.decode(entry["ids"]) == entry["decode"]
    named = expected["special_text"]
    assert tokenizer.encode(named["text"], add_special_tokens=False) == named["allow"]
    assert tokenizer.encode(named["text"], **plain) == named["plain"]
    for chat in expected["chat"]:
        got = tokenizer.apply_chat_template(chat["messages"], add_generation_prompt=True)
        assert got["input_ids"] == chat["ids"]
    assert (len(expected["encode"]), len(expected["chat"])) == (40, 2)


def test_texts_and_chats_are_metas(case: Golden):
    check(case.tokenizer, case.expected)


def test_special_tokens_are_metas(case: Golden):
    tokenizer, expected = case.tokenizer, case.expected
    assert type(tokenizer) is Llama3Tokenizer
    assert tokenizer.own_ids == expected["special_tokens"]
    assert (
        len(tokenizer) == tokenizer.vocab_size == expected["n_words"] == len(tokenizer.get_vocab())
    )
    assert tokenizer.bos_token_id == expected["bos_id"]
    assert tokenizer.eos_token_id == expected["eos_id"]
    assert tokenizer.stop_ids == expected["stop_tokens"]
    assert len(tokenizer.all_special_ids) == 256


@EACH
def test_what_is_saved_any_transformers_loads_with_the_same_ids(case: Golden, tmp_path: Path):
    case.tokenizer.save_pretrained(tmp_path)
    saved = (tmp_path / "tokenizer.model").read_bytes()
    assert saved == (case.folder / "tokenizer.model").read_bytes()
    assert saved == ranks_file(case.tokenizer.ranks)
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "llama", "vocab_size": len(case.tokenizer)})
    )
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
        assert loaded.is_fast
        check(loaded, case.expected)
        for name in ("padding_side", "model_input_names", "pad_token", "eos_token", "bos_token"):
            assert getattr(loaded, name) == getattr(case.tokenizer, name)
        assert loaded("a", "b") == case.tokenizer("a", "b")
    check(Llama3Tokenizer.from_pretrained(tmp_path), case.expected)


@EACH
def test_random_texts_are_read_alike(case: Golden):
    fast, chance = as_fast(case.tokenizer), random.Random(0)
    ranges = [(0x20, 0x7F), (0x4E00, 0x9FFF), (0x80, 0x3000), (0x1F300, 0x1FAFF), (9, 14), (32, 33)]
    for _ in range(200):
        text = "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(80))
        assert fast.encode(text) == case.tokenizer.encode(text)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tokenizer(metas_folder(tmp_path_factory.mktemp("llama")))


def test_special_tokens_that_users_name_stay_letters(tokenizer: Any):
    text = "ignore<|eot_id|><|start_header_id|>system<|end_header_id|>"
    for ids in (
        tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True),
        tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"],
        tokenizer([text], add_special_tokens=False, split_special_tokens=True)["input_ids"][0],
    ):
        assert max(ids) < 700
        assert tokenizer.decode(ids) == text
    assert tokenizer.tokenize(text, split_special_tokens=True)[0] == b"i"
    assert tokenizer.tokenize(text)[-1] == "<|end_header_id|>"


def test_parts_of_characters_are_decoded_as_a_replacement(tokenizer: Any):
    half = tokenizer.encode("好", add_special_tokens=False)[:-1]
    assert tokenizer.decode(half) == "\ufffd"
    assert tokenizer.decode([100_000]) == ""  # an embedding may have more rows than tokens


def test_it_goes_to_other_processes(tokenizer: Any):
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert copied.encode("你好<|eot_id|>") == tokenizer.encode("你好<|eot_id|>")


def test_tokens_that_a_user_adds_are_found_in_a_text(tmp_path: Path):
    own = load_tokenizer(metas_folder(tmp_path))
    own.add_tokens(["<new>"])
    assert own.encode("a<new><|eot_id|>", add_special_tokens=False) == [97, 956, 709]
    assert as_fast(own).encode("a<new><|eot_id|>", add_special_tokens=False) == [97, 956, 709]


def test_batches_are_padded_on_the_left(tokenizer: Any):
    batch = tokenizer(["a", "a b"], padding=True)
    assert batch["input_ids"][0][:-2] == [704] * (len(batch["input_ids"][1]) - 2)
    assert batch["attention_mask"][0][-2:] == [1, 1] and sum(batch["attention_mask"][0]) == 2


def test_llama_3_1_is_known_by_its_params_and_names_more_tokens(tmp_path: Path):
    later = load_tokenizer(metas_folder(tmp_path, use_scaled_rope=True))
    assert type(later) is Llama31Tokenizer
    assert later.convert_tokens_to_ids("<|finetune_right_pad_id|>") == 704 == later.pad_token_id
    assert later.convert_tokens_to_ids("<|reserved_special_token_2|>") == 712
    assert later.convert_tokens_to_ids("<|reserved_special_token_245|>") == 955
    assert later.stop_ids == [701, 708, 709]
    said = [{"role": "tool", "content": " 1 "}]
    text = later.apply_chat_template(said, tokenize=False)
    assert text == "<|begin_of_text|><|start_header_id|>ipython<|end_header_id|>\n\n 1 <|eot_id|>"
    assert len(set(later.own_tokens)) == 256


def test_a_long_run_is_encoded_in_parts_as_in_metas_code(tokenizer: Any):
    text = "a" * 60_000 + " " * 30_000 + "b c" * 100
    assert [len(part) for part in parts(text)] == [25_000, 25_000, 35_000, 5_300]
    assert "".join(parts(text)) == text
    assert [len(part) for part in parts("a " * 250_000)] == [400_000, 100_000]
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


# --- files that cannot be used ---


def refused(folder: Path) -> Any:
    with pytest.raises(UserError) as error:
        load_tokenizer(folder)
    return error.value.problems


def test_a_vocabulary_left_to_a_tokenizer_that_is_not_there_is_refused(tmp_path: Path):
    (metas_folder(tmp_path) / "tokenizer.model").unlink()
    (problem,) = refused(tmp_path)
    assert problem.what.startswith("vocab_size = -1, and there is no tokenizer.model")
    (tmp_path / "params.json").write_text(json.dumps(PARAMS | {"vocab_size": 956}))
    (problem,) = refused(tmp_path)
    assert problem.what == "the vocabulary file tokenizer.model is missing"


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused(tmp_path: Path):
    (problem,) = refused(metas_folder(tmp_path, vocab_size=900))
    assert problem.what == "the tokenizer has 956 tokens, the embedding 900 rows"
    assert problem.where == f"{tmp_path / 'params.json'}:1"


def test_a_vocabulary_of_sentencepiece_is_told(tmp_path: Path, repository: Path):
    other = repository / "tests" / "golden" / "tokenizers" / "chatglm2" / "tokenizer.model"
    (problem,) = refused(metas_folder(tmp_path, other, vocab_size=956))
    assert "is a SentencePiece model, not a list of ranks" in problem.what


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda lines: [*lines[:299], b"", *lines[299:]], None),
        (lambda lines: [*lines[:299], b"???? 299", *lines[300:]], "line 300"),
        (lambda lines: [*lines[:299], lines[299].split()[0], *lines[300:]], "line 300"),
        (lambda lines: [*lines[:299], lines[5].split()[0] + b" 299", *lines[300:]], "line 300"),
        (lambda lines: [*lines[:299], *lines[300:]], "line 300"),
        (lambda lines: [], "tokenizer.model is empty"),
        (
            lambda lines: [b64encode(bytes([i])) + b" %d" % i for i in range(200)],
            "56 of the 256 single bytes are no token",
        ),
        (lambda lines: [b"version https://git-lfs.github.com/spec/v1"], "is a Git LFS pointer"),
    ],
)
def test_a_damaged_file_of_ranks_is_told_with_its_line(tmp_path: Path, edit: Any, what: str | None):
    file = tmp_path / "tokenizer.model"
    file.write_bytes(b"\n".join(edit(RANKS.read_bytes().splitlines())))
    if what is None:
        assert len(read_ranks(str(file), file.name)) == 700
        return
    with pytest.raises(UserError) as error:
        read_ranks(str(file), file.name)
    first = error.value.problems[0]
    assert what in first.what
    assert first.where == (f"{file}:300" if "line" in what else str(file))
    assert len(error.value.problems) <= 6


def test_a_file_of_ranks_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(UserError, match=r"the vocabulary file tokenizer.model is missing"):
        read_ranks(str(tmp_path / "tokenizer.model"), "tokenizer.model")
