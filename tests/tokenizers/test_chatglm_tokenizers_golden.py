"""Every entry of every golden case, against what the published code gave for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from foretune.tokenizers import ChatGLMTokenizer

if TYPE_CHECKING:
    from tests.tokenizers.conftest import Golden

CHATGLM1 = ("chatglm1_fixture", "chatglm1_standin_fullvocab")
CHATGLM2 = ("chatglm2_fixture", "chatglm2_fullvocab")
CHATGLM3 = ("chatglm3_fixture", "chatglm3_fullvocab")


def as_lists(value: Any) -> Any:
    """The value with tensors and arrays as nested lists, as the golden cases hold them."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [as_lists(item) for item in value]
    if hasattr(value, "items"):
        return {key: as_lists(item) for key, item in value.items()}
    return value


def test_special_tokens_are_the_published_ones(case: Golden):
    seen = 0
    for name, expected in case.expected["special"].items():
        if isinstance(expected, dict):  # an attribute the published class does not have
            assert expected["error"].startswith("AttributeError")
            continue
        own = len(case.tokenizer) if name == "len" else getattr(case.tokenizer, name)
        assert own == expected, name
        seen += 1
    assert seen == (24 if case.family == "chatglm" else 20)


def test_special_ids_are_the_published_ones(case: Golden):
    expected = case.expected["special_ids"]
    assert case.tokenizer.convert_tokens_to_ids(list(expected)) == list(expected.values())
    assert len(expected) == {"chatglm": 16, "chatglm2": 5, "chatglm3": 9}[case.family]


@pytest.mark.parametrize("case", CHATGLM2 + CHATGLM3, indirect=True)
def test_commands_are_the_published_ones(case: Golden):
    commands = case.expected["commands"] | case.expected["special_ids"]
    assert {name: case.tokenizer.get_command(name) for name in commands} == commands
    assert len(commands) == {"chatglm2": 8, "chatglm3": 12}[case.family]


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


def test_pairs_are_encoded_as_published(case: Golden):
    entries = case.expected["pairs"]
    for entry in entries:
        assert case.tokenizer.encode(entry["a"], entry["b"]) == entry["ids"]
    assert len(entries) == 2


def test_batches_are_padded_and_cut_as_published(case: Golden):
    entries = case.expected["batch"]
    for entry in entries:
        out = case.tokenizer(entry["texts"], **entry["kwargs"])
        assert as_lists(out) == entry["out"]
        tensors = case.tokenizer(entry["texts"], return_tensors="pt", **entry["kwargs"])
        assert as_lists(tensors) == entry["out"]
    assert len(entries) == 8


def test_odd_ids_are_decoded_as_published(case: Golden):
    entries = case.expected["odd_decode"]
    for entry in entries:
        for skip in (False, True):
            expected = entry[f"skip_{skip}"]
            if isinstance(expected, dict):
                assert expected["error"].startswith("IndexError")
                with pytest.raises(IndexError):
                    case.tokenizer.decode(entry["ids"], skip_special_tokens=skip)
            else:
                assert case.tokenizer.decode(entry["ids"], skip_special_tokens=skip) == expected
    assert len(entries) == (7 if case.family == "chatglm" else 9)


@pytest.mark.parametrize("case", CHATGLM2 + CHATGLM3, indirect=True)
def test_ids_are_named_as_published(case: Golden):
    entries = case.expected["convert_ids_to_tokens"]
    for entry in entries:
        assert case.tokenizer.convert_ids_to_tokens(entry["id"]) == entry["token"]
    assert len(entries) == {"chatglm2": 13, "chatglm3": 17}[case.family]


@pytest.mark.parametrize("case", CHATGLM1 + CHATGLM2, indirect=True)
def test_rounds_of_a_chat_are_prompted_as_published(case: Golden):
    entries = case.expected["chat"]
    for entry in entries:
        assert case.tokenizer.build_prompt(entry["query"], entry["history"]) == entry["prompt"]
        called = as_lists(case.tokenizer([entry["prompt"]], return_tensors="pt"))
        if case.family == "chatglm":
            assert called == {"input_ids": entry["ids"]}
            assert entry["call_keys"] == ["input_ids"]
        else:
            assert called == entry["out"]
    assert len(entries) == 2


@pytest.mark.parametrize("case", CHATGLM2, indirect=True)
def test_a_chat_is_continued_after_its_cache_as_published(case: Golden):
    entries = [entry for entry in case.expected["chat"] if "stream_continue" in entry]
    for entry in entries:
        # Only the new round is encoded, and the "▁" that starts any text is dropped.
        text = f"\n\n[Round 2]\n\n问：{entry['query']}\n\n答："
        ids = case.tokenizer.encode(text, add_special_tokens=False)[1:]
        out = case.tokenizer([ids], return_tensors="pt", add_special_tokens=False)
        assert as_lists(out) == entry["stream_continue"]
        assert entry["prompt"].endswith(text)
    assert len(entries) == 1


@pytest.mark.parametrize("case", CHATGLM3, indirect=True)
def test_messages_of_a_chat_are_built_as_published(case: Golden):
    entries = case.expected["chat"]
    for entry in entries:
        out = case.tokenizer.build_chat_input(entry["query"], entry["history"], entry["role"])
        assert as_lists(out) == entry["out"]
    assert len(entries) == 2


@pytest.mark.parametrize("case", CHATGLM3, indirect=True)
def test_role_tokens_are_read_from_text_when_asked(case: Golden):
    reading = ChatGLMTokenizer.from_pretrained(case.folder, encode_special_tokens=True)
    entries = case.expected["encode_special_tokens_true"]
    for entry in entries:
        assert reading.encode(entry["text"]) == entry["ids"]
    assert len(entries) == 3


@pytest.mark.parametrize("case", CHATGLM1, indirect=True)
def test_a_prompt_with_its_answer_is_padded_as_published(case: Golden):
    expected = case.expected["pad_with_answer"]
    pad = case.tokenizer.pad_token_id
    rows = [[i for i in row if i != pad] for row in expected["input_ids"]]
    assert [len(row) for row in rows] == [4, 6]
    assert as_lists(case.tokenizer.pad([{"input_ids": row} for row in rows])) == expected


@pytest.mark.parametrize("case", CHATGLM1, indirect=True)
def test_answers_are_processed_as_published(case: Golden):
    entries = case.expected["process_response"]
    for entry in entries:
        assert case.tokenizer.process_response(entry["in"]) == entry["out"]
    assert len(entries) == 5


@pytest.mark.parametrize("case", CHATGLM3, indirect=True)
def test_answers_and_tool_calls_are_processed_as_published(case: Golden):
    entries = case.expected["process_response"]
    for entry in entries:
        content, history = case.tokenizer.process_response(entry["in"], entry["history"])
        assert content == entry["content"]
        assert history == entry["history_out"]
    assert len(entries) == 3
