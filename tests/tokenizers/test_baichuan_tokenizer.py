"""The tokenizer of Baichuan and Baichuan2: the golden cases, plain reading, folders and saving."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import foretune.auto  # noqa: F401  the Auto classes know the families after it
from foretune.errors import UserError
from foretune.tokenizers import FAMILIES, REGISTERED, load_tokenizer
from foretune.tokenizers.baichuan import ASSISTANT, USER, BaiChuanTokenizer, BaichuanTokenizer

CASES = ("baichuan1_fixture", "baichuan2_fixture", "baichuan2_fullvocab")
VOCABULARY = Path("baichuan2", "tokenizer.model")


@dataclass(frozen=True)
class Golden:
    """A golden case with the tokenizer that has to reproduce it."""

    name: str
    expected: dict[str, Any]
    folder: Path
    tokenizer: Any


@pytest.fixture(scope="module")
def load(
    repository: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Golden]:
    loaded: dict[str, Golden] = {}

    def golden(name: str) -> Golden:
        if name not in loaded:
            root = cases = repository / "tests" / "golden" / "tokenizers"
            if name.endswith("fullvocab"):
                shared = request.getfixturevalue("shared")
                root, cases = shared.parent, shared / "golden" / "tokenizers"
            expected = json.loads((cases / f"{name}.json").read_text(encoding="utf-8"))
            folder = tmp_path_factory.mktemp(name)
            shutil.copy(root / expected["file"]["path"], folder / "tokenizer.model")
            write(folder, tokenizer_config=expected["tokenizer_config"])
            tokenizer = AutoTokenizer.from_pretrained(folder)
            loaded[name] = Golden(name, expected, folder, tokenizer)
        return loaded[name]

    return golden


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, load: Callable[[str], Golden]) -> Golden:
    return load(request.param)


@pytest.fixture(scope="module")
def small(load: Callable[[str], Golden]) -> Any:
    """The tokenizer with the small vocabulary."""
    return load("baichuan2_fixture").tokenizer


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    """A model folder with the small vocabulary and nothing else."""
    shutil.copy(repository / "tests" / "golden" / "tokenizers" / VOCABULARY, tmp_path)
    return tmp_path


def write(folder: Path, **files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def as_lists(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return (
        {key: as_lists(item) for key, item in value.items()} if hasattr(value, "items") else value
    )


def refused(load: Callable[[], Any]) -> list[str]:
    with pytest.raises(UserError) as error:
        load()
    problems = error.value.problems
    assert all(problem.where and problem.why and problem.fix for problem in problems)
    return [problem.what for problem in problems]


# --- as published ---


def test_special_tokens_are_the_published_ones(case: Golden):
    expected = {
        name: value
        for name, value in case.expected["special"].items()
        if not isinstance(value, dict)  # what the published class does not have either
    }
    own = case.tokenizer
    assert {n: len(own) if n == "len" else getattr(own, n) for n in expected} == expected
    assert len(expected) == 20


def test_texts_are_encoded_and_decoded_as_published(case: Golden):
    tokenizer, entries = case.tokenizer, case.expected["encode"]
    for entry in entries:
        text, ids = entry["text"], entry["ids"]
        assert tokenizer.tokenize(text) == entry["tokens"]
        assert tokenizer.encode(text) == ids
        assert tokenizer.encode(text, add_special_tokens=False) == entry["ids_no_special"]
        assert as_lists(tokenizer(text)) == entry["call"]
        assert tokenizer.decode(ids) == entry["decode"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == entry["decode_skip_special"]
        assert tokenizer.decode(entry["ids_no_special"]) == entry["decode_no_special"]
    assert len(entries) == 40


def test_pairs_and_batches_are_encoded_as_published(case: Golden):
    pairs, batches = case.expected["pairs"], case.expected["batch"]
    for entry in pairs:
        assert case.tokenizer.encode(entry["a"], entry["b"]) == entry["ids"]
    for entry in batches:
        assert as_lists(case.tokenizer(entry["texts"], **entry["kwargs"])) == entry["out"]
        tensors = case.tokenizer(entry["texts"], return_tensors="pt", **entry["kwargs"])
        assert as_lists(tensors) == entry["out"]
    assert (len(pairs), len(batches)) == (2, 8)


def test_odd_ids_are_decoded_as_published(case: Golden):
    entries = case.expected["odd_decode"]
    for entry in entries:
        for skip in (False, True):
            got = case.tokenizer.decode(entry["ids"], skip_special_tokens=skip)
            assert got == entry[f"skip_{skip}"]
    assert len(entries) == 5


def test_ends_are_added_where_they_are_asked_for(case: Golden):
    asking = AutoTokenizer.from_pretrained(case.folder, add_bos_token=True, add_eos_token=True)
    entries = case.expected["with_bos_eos"]
    for entry in entries:
        ids = entry["ids"]
        assert asking.encode(entry["text"]) == asking(entry["text"])["input_ids"] == ids
        mask = asking.get_special_tokens_mask(ids[1:-1])
        assert mask == asking.get_special_tokens_mask(ids, already_has_special_tokens=True)
    assert len(entries) == 12
    assert asking.encode("a", "b") == [1, *asking.encode("a")[1:], 1, *asking.encode("b")[1:]]
    assert asking.get_special_tokens_mask([5], [5, 6]) == [1, 0, 1, 1, 0, 0, 1]


def test_chats_are_built_as_published(case: Golden):
    entries = [*case.expected["chat"]]
    if case.name != "baichuan1_fixture":
        entries.append(case.expected["chat_truncated"])
    for entry in entries:
        lengths = {k: entry[k] for k in ("model_max_length", "max_new_tokens") if k in entry}
        release = 1 if case.name == "baichuan1_fixture" else 2
        ids = case.tokenizer.build_chat_input(entry["messages"], release=release, **lengths)
        assert [ids] == entry["ids"]
    assert len(entries) == (1 if case.name == "baichuan1_fixture" else 3)


# --- chat ---


def talk(*texts: str, system: str = "") -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    return first + [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def test_the_first_release_ends_past_answers_and_keeps_half_for_the_input(small: Any):
    a, b, c = (small.encode(text) for text in "abc")
    ids = small.build_chat_input(talk("a", "b", "c"), release=1, model_max_length=40)
    whole = [USER, *a, ASSISTANT, *b, 2, USER, *c, ASSISTANT]
    assert ids == whole
    short = small.build_chat_input(
        talk("a", "b", "c"), release=1, max_new_tokens=15, model_max_length=16
    )
    assert short == whole  # eight ids of input, and the last one on top
    shorter = small.build_chat_input(talk("a", "b", "c"), release=1, model_max_length=12)
    assert shorter == [USER, *c, ASSISTANT]
    cut = small.build_chat_input(talk("a b c d e f g"), release=1, model_max_length=8)
    assert cut == [*small.encode("a b c d e f g")[-4:], ASSISTANT]


def test_whole_rounds_go_first_and_then_the_beginning_of_the_newest(small: Any):
    a, b, c = (small.encode(text) for text in "abc")
    messages = talk("a", "b", "c", system="a")
    whole = [*a, USER, *a, ASSISTANT, *b, USER, *c, ASSISTANT]

    def within(room: int) -> list[int]:
        return small.build_chat_input(messages, model_max_length=room + 7, max_new_tokens=7)

    assert within(len(whole)) == whole
    # As published, the last id is not counted when rounds are dropped: the left end goes instead.
    assert within(len(whole) - 1) == whole[1:]
    assert within(len(whole) - 2) == [*a, USER, *c, ASSISTANT]
    assert within(2) == [*c, ASSISTANT]
    answered = small.build_chat_input(talk("a", "b"))
    assert answered == [USER, *a, ASSISTANT, *b]


def test_a_chat_in_which_somebody_else_speaks_is_refused(small: Any):
    other = [{"role": "tool", "content": "a"}]
    assert refused(lambda: small.build_chat_input(other)) == [
        "message 1 of 1 is of the role 'tool'"
    ]
    late = [*talk("a"), *talk(system="b")]
    assert "message 2 of 2 is of the role 'system'" in refused(lambda: small.build_chat_input(late))
    (what,) = refused(lambda: small.build_chat_input(talk("a", system="b"), release=1))
    assert "'system'" in what
    (what,) = refused(lambda: small.build_chat_input(talk("a"), model_max_length=2048))
    assert what.startswith("max_new_tokens is 2048")


def test_what_a_user_names_opens_no_turn_where_that_is_asked_for(small: Any):
    text = "a<reserved_107>b</s><reserved_106>"
    ids = small.build_chat_input(talk(text))
    assert ids.count(USER) == ids.count(ASSISTANT) == 2
    plain = small.build_chat_input(talk(text), split_special_tokens=True)
    assert (plain.count(USER), plain.count(ASSISTANT), plain.count(2)) == (1, 1, 0)
    assert small.decode(plain[1:-1]) == text


# --- text is text ---

FRAGMENTS = (
    *(" ", "  ", "\n", "\t", "a", "Hello", "你好", "，", "０", "🎉", "<", ">", "\x00", "</s>"),
    *("<s>", "<unk>", "<reserved_106>", "<reserved_107>", "<reserved_1000>", "<SEP>", "<CLS>"),
    *("<reserved_", "106>", "<reserved_99999>", "<h2>", "<td>", "<!--", "<0x41>", "<<SEP>SEP>"),
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS.filter(lambda text: "▁" not in text))
def test_a_text_that_is_read_plainly_names_no_token_and_comes_back(small: Any, text: str):
    ids = small.encode(text, split_special_tokens=True)
    assert not {0, 1, 2, 3, 4, *range(39, 201)} & set(ids)  # <SEP>, <CLS>, and the <reserved_N>
    assert small.decode(ids) == text
    assert small(text, split_special_tokens=True)["input_ids"] == ids
    assert small([text], split_special_tokens=True)["input_ids"] == [ids]
    tokens = small.tokenize(text, split_special_tokens=True)
    assert small.convert_tokens_to_ids(tokens) == ids


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_the_short_ways_to_ids_give_what_the_tokens_give(small: Any, text: str):
    ids = small.convert_tokens_to_ids(small.tokenize(text))
    assert small.encode(text) == small(text)["input_ids"] == ids
    assert small.encode(text, truncation=True, max_length=3) == ids[:3]


def test_every_name_of_a_control_piece_is_found_by_the_plain_reading(case: Golden):
    pieces = [i for i in range(3, 1100) if case.tokenizer.convert_ids_to_tokens(i)[:2] in "<r<S<C"]
    for i in pieces:
        name = case.tokenizer.convert_ids_to_tokens(i)
        assert i in case.tokenizer.encode(name)
        plain = case.tokenizer.encode(name, split_special_tokens=True)
        assert i not in plain
        assert case.tokenizer.decode(plain) == name
    assert len(pieces) == (990 if case.name.endswith("fullvocab") else 164)


def test_a_text_without_such_names_is_read_as_always(case: Golden):
    ordinary = "０１2\n\t，。！<h2>标题<td>---```<!--x-->"
    whole = case.tokenizer.encode(ordinary)
    assert case.tokenizer.encode(ordinary, split_special_tokens=True) == whole
    newline, tab, title = case.tokenizer.convert_tokens_to_ids(["\n", "\t", "<h2>"])
    assert {newline, tab, title} <= set(whole)


def test_a_word_that_a_user_adds_is_kept_whole(small: Any):
    adding = copy.deepcopy(small)
    adding.add_tokens(["xyzzy"])
    ids = adding.encode("a xyzzy b")
    assert ids.count(small.vocab_size) == 1
    assert adding.decode(ids).replace(" ", "") == "axyzzyb"
    assert len(adding) == small.vocab_size + 1


# --- folders ---


def test_both_published_names_are_registered():
    assert FAMILIES["baichuan"] is BaichuanTokenizer
    assert {BaichuanTokenizer, BaiChuanTokenizer} <= set(REGISTERED)


@pytest.mark.parametrize("found", [BaichuanTokenizer, BaiChuanTokenizer])
def test_the_name_in_the_folder_finds_the_class_and_its_code_is_not_run(folder: Path, found: Any):
    name = found.__name__
    (folder / "tokenization_baichuan.py").write_text("raise SystemExit('run')")
    auto_map = {"AutoTokenizer": [f"tokenization_baichuan.{name}", None]}
    write(folder, tokenizer_config={"tokenizer_class": name, "auto_map": auto_map})
    for options in ({}, {"trust_remote_code": True}, {"trust_remote_code": False}):
        assert type(AutoTokenizer.from_pretrained(folder, **options)) is found
    assert type(load_tokenizer(folder)) is found


@pytest.mark.parametrize("settings", [None, {}, {"model_max_length": 512}])
def test_a_folder_that_names_no_tokenizer_is_known_by_its_config(folder: Path, settings: Any):
    config = {"model_type": "baichuan", "vocab_size": 1700}
    write(folder, config=config, **({} if settings is None else {"tokenizer_config": settings}))
    tokenizer = load_tokenizer(folder)
    assert type(tokenizer) is BaichuanTokenizer
    assert tokenizer.encode("你好") == [1252, 897]  # no <s>
    assert tokenizer.pad_token_id == 0


def test_another_vocabulary_is_refused(folder: Path, repository: Path):
    write(folder, config={"model_type": "baichuan", "vocab_size": 125696})
    (what,) = refused(lambda: load_tokenizer(folder))
    assert "only 1700 tokens for 125696 rows" in what
    other = repository / "tests" / "golden" / "tokenizers" / "chatglm2" / "tokenizer.model"
    shutil.copy(other, folder / "tokenizer.model")
    assert refused(lambda: load_tokenizer(folder)) == [
        "tokenizer.model is not the vocabulary of a Baichuan"
    ]
    (folder / "tokenizer.model").unlink()
    (what,) = refused(lambda: load_tokenizer(folder))
    assert "tokenizer.model is missing" in what


@pytest.mark.parametrize("bos", [True, False])
def test_saving_loses_nothing_and_keeps_what_the_published_code_reads(
    case: Golden, tmp_path: Path, bos: bool
):
    tokenizer = AutoTokenizer.from_pretrained(case.folder, add_bos_token=bos)
    tokenizer.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text())
    published = case.expected["tokenizer_config"]
    for key, value in published.items():
        content = value["content"] if isinstance(value, dict) and "content" in value else value
        assert saved[key] == (bos if key == "add_bos_token" else content), key
    assert len(published) == 11
    name = "tokenizer.model"
    assert (tmp_path / name).read_bytes() == (case.folder / name).read_bytes()
    again = AutoTokenizer.from_pretrained(tmp_path)
    texts = [entry["text"] for entry in case.expected["encode"]]
    assert [again.encode(text) for text in texts] == [tokenizer.encode(text) for text in texts]
    assert len(again) == len(tokenizer)


def test_a_copy_and_a_pickle_read_as_the_first(small: Any):
    text = "你好<s>\n<reserved_106>"
    for other in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert other.encode(text) == small.encode(text)
        assert other.decode(other.encode(text)) == small.decode(small.encode(text))


def test_both_sides_are_padded(small: Any):
    left = small(["a", "你好"], padding=True, padding_side="left")
    assert left["input_ids"] == [[0, 501], [1252, 897]]
    assert left["attention_mask"] == [[0, 1], [1, 1]]
