"""``split_special_tokens=True``: what a user wrote stays text, whatever it names."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AddedToken

from foretune.tokenizers import ChatGLMTokenizer
from foretune.tokenizers.chatglm import OPENINGS, UNNAMED, WRITTEN

if TYPE_CHECKING:
    from tests.tokenizers.conftest import Golden

LoadGolden = Callable[[str], "Golden"]

NAMES = (
    *("</s>", "<s>", "<unk>", "<pad>", "<sop>", "<eop>", "sop", "eop", "<ENC>", "<dBLOCK>"),
    *("[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<image_7>", "<0x41>", "<bos>", "<eos>"),
    *("<n>", "<|tab|>", "<|blank_2|>", "<|blank_3|>", "<|blank_80|>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("\uff1cn\uff1e", "<\uff4e>", "\ufe64|tab|\ufe65", "\uff1c|blank_2|\uff1e"),  # full-width
)
BETWEEN = ("", " ", "  ", "\n", "\t", "<", "<<", ">", "[", "a", "Hello", "你好", "🎉", "n>", "1.5")
texts = st.lists(st.sampled_from(NAMES + BETWEEN), max_size=8).map("".join)


@pytest.fixture(scope="module")
def small_ones(load_golden: LoadGolden) -> list[Any]:
    """The three families."""
    return [load_golden(f"chatglm{i}_fixture").tokenizer for i in (1, 2, 3)]


def plain(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def control_ids(tokenizer: Any) -> dict[int, str]:
    """Every id that stands for something else than the letters of its name."""
    vocabulary = tokenizer.vocabulary
    pieces = range(len(vocabulary))
    own = [i for i in pieces if vocabulary.is_control(i) or vocabulary.is_unknown(i)]
    named = [i for i in tokenizer.all_special_ids if i is not None]
    commands = getattr(tokenizer, "command_ids", {}).values()
    blanks = [tokenizer.token_ids[name] for name in WRITTEN if tokenizer.family == "chatglm"]
    return {i: tokenizer.convert_ids_to_tokens(i) for i in {*own, *named, *commands, *blanks}}


def squeezed(text: str) -> str:
    return "".join(text.replace("▁", " ").split())


def assert_read_as_text(tokenizer: Any, text: str) -> None:
    control, ids = control_ids(tokenizer), plain(tokenizer, text)
    white = [WRITTEN.get(control[i], control[i]) for i in ids if i in control]
    told = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if tokenizer.family == "chatglm":
        assert white == runs_of_white_space(text)
        assert squeezed(told) == squeezed(tokenizer.vocabulary.normalize(text))
    else:
        assert not white and told == text


def runs_of_white_space(text: str) -> list[str]:
    """The white space of a text that ChatGLM-6B has pieces for, in order."""
    runs: list[str] = []
    for char in text:
        if char in "\n\t":
            runs.append(char)
        elif char == " " and runs and runs[-1][:1] == " " and len(runs[-1]) < 80:
            runs[-1] += char
        elif char == " ":
            runs.append(char)
        else:
            runs.append("")
    return [run for run in runs if run in ("\n", "\t") or len(run) > 1]


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_text_that_names_control_tokens_has_none_and_decodes_to_itself(
    small_ones: list[Any], text: str
):
    for tokenizer in small_ones:
        assert_read_as_text(tokenizer, text)
    assert len(small_ones) == 3


@settings(max_examples=200, deadline=None)
@given(text=st.lists(st.sampled_from(BETWEEN) | st.text(max_size=3), max_size=6).map("".join))
def test_text_that_names_none_is_read_as_published(small_ones: list[Any], text: str):
    assume(not small_ones[0].names_read.search(small_ones[0].vocabulary.normalize(text)))
    for tokenizer in small_ones:
        assert plain(tokenizer, text) == tokenizer.encode(text, add_special_tokens=False)
    assert len(small_ones) == 3


@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_all_ways_to_plain_ids_agree(small_ones: list[Any], text: str):
    for tokenizer in small_ones:
        ids = plain(tokenizer, text)
        options = {"add_special_tokens": False, "split_special_tokens": True}
        assert tokenizer(text, **options)["input_ids"] == ids
        assert tokenizer([text, text], **options)["input_ids"] == [ids, ids]
        tokens = tokenizer.tokenize(text, split_special_tokens=True)
        assert tokens == tokenizer.convert_ids_to_tokens(ids)
        whole = tokenizer.build_inputs_with_special_tokens(ids)
        assert tokenizer.encode(text, split_special_tokens=True) == whole
        pair = tokenizer.encode(text, text, split_special_tokens=True)
        assert pair == tokenizer.build_inputs_with_special_tokens(ids, ids)
    assert len(small_ones) == 3


def test_each_special_name_of_each_vocabulary_stays_letters(case: Golden):
    tokenizer = case.tokenizer
    control = control_ids(tokenizer)
    names = {*NAMES, *control.values()} - {""}
    for name in names:
        for text in (name, f"a{name}b", f"你{name}{name}", f"< {name}", f"x {name} y"):
            ids = plain(tokenizer, text)
            assert control.keys().isdisjoint(ids), text
            wanted = text
            if case.family == "chatglm":
                wanted = tokenizer.vocabulary.normalize(text).replace("▁", " ").removeprefix(" ")
            assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == wanted
    assert len(names) >= {"chatglm": 100, "chatglm2": 27, "chatglm3": 27}[case.family]


@pytest.mark.parametrize("case", ["chatglm1_fixture", "chatglm1_standin_fullvocab"], indirect=True)
def test_the_published_reading_finds_blanks_by_name_and_the_plain_one_does_not(case: Golden):
    tokenizer = case.tokenizer
    found = [n for n in (*WRITTEN, *UNNAMED, "[gMASK]", "</s>") if tokenizer.names_read.search(n)]
    assert found == list(WRITTEN) and len(found) == 81
    for name, white in WRITTEN.items():
        published = tokenizer.encode(f"a{name}b", add_special_tokens=False)
        assert tokenizer.token_ids[name] in published
        assert tokenizer.decode(published) == f"a{white}b"
        assert tokenizer.decode(plain(tokenizer, f"a{name}b")) == f"a{name}b"
        assert plain(tokenizer, f"a{white}b") == published
    mixed = "a\n<n>\n  <|blank_2|>\t<|tab|> <|user|>  b"
    assert tokenizer.decode(plain(tokenizer, mixed)) == mixed


@pytest.mark.parametrize("case", ["chatglm1_fixture", "chatglm1_standin_fullvocab"], indirect=True)
def test_every_character_that_opens_a_name_is_known(case: Golden):
    characters = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    normal = case.tokenizer.vocabulary.normalize(characters)
    opening = [c for c, text in zip(characters, normal, strict=True) if set(text) & set("<[")]
    assert len(opening) >= 4
    assert set(opening) <= set("".join(OPENINGS.values()))


@pytest.mark.parametrize("small", ["chatglm1_fixture"], indirect=True)
def test_a_name_in_other_case_is_letters_where_case_goes(small: Golden):
    tokenizer = ChatGLMTokenizer.from_pretrained(small.folder, do_lower_case=True)
    assert tokenizer.decode(plain(tokenizer, "A<N>B")) == "a<n>b"


@pytest.mark.parametrize("small", ["chatglm1_fixture"], indirect=True)
def test_plain_ids_stand_behind_the_images(small: Golden):
    moved = ChatGLMTokenizer.from_pretrained(small.folder, num_image_tokens=20000)
    text = "a<n><image_7>\n[MASK]"
    assert plain(moved, text) == [i + 20000 for i in plain(small.tokenizer, text)]
    assert moved.decode(plain(moved, text)) == text


def test_an_added_special_token_is_letters_and_an_added_word_stays_whole(small: Golden):
    tokenizer = copy.deepcopy(small.tokenizer)
    tokenizer.add_tokens(["Hello", AddedToken("<|call|>", special=True)])
    word, special = tokenizer.convert_tokens_to_ids(["Hello", "<|call|>"])
    published = tokenizer.encode("你Hello<|call|>", add_special_tokens=False)
    assert word in published and special in published
    ids = plain(tokenizer, "你Hello<|call|>")
    assert word in ids and special not in ids
    assert "<|call|>" in tokenizer.decode(ids)


@pytest.mark.parametrize("small", ["chatglm3_fixture"], indirect=True)
def test_role_tokens_are_letters_even_where_the_tokenizer_reads_them(small: Golden):
    reading = ChatGLMTokenizer.from_pretrained(small.folder, encode_special_tokens=True)
    user = reading.get_command("<|user|>")
    assert user in reading.encode("<|user|>")
    assert user not in reading.encode("<|user|>", split_special_tokens=True)


def test_a_tokenizer_may_read_plainly_by_itself(small: Golden):
    reading = ChatGLMTokenizer.from_pretrained(small.folder, split_special_tokens=True)
    for text in ("a[MASK]<n></s>", "你好"):
        ids = plain(small.tokenizer, text)
        assert reading.encode(text, add_special_tokens=False) == ids
        assert reading(text, add_special_tokens=False)["input_ids"] == ids
        published = reading.encode(text, add_special_tokens=False, split_special_tokens=False)
        assert published == small.tokenizer.encode(text, add_special_tokens=False)
