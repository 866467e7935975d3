"""What the golden cases do not reach: white space, masks, padding, chats, tool calls."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.tokenizers import ChatGLMTokenizer, chatglm2, chatglm3
from foretune.tokenizers.chatglm import name_blanks

if TYPE_CHECKING:
    from tests.tokenizers.conftest import Golden

LoadGolden = Callable[[str], "Golden"]

# Pieces that meet every special case: blanks, breaks, special and role tokens, bytes, CJK.
FRAGMENTS = (
    *(" ", "  ", "   ", " " * 81, "\n", "\t", "\r\n", "\u3000", "▁", "a", "Hello", "3.14", "你好"),
    *("，", "Ａ", "ﬁ", "é", "🎉", "\x00", "[MASK]", "[gMASK]", "<sop>", "<eop>", "<pad>", "<unk>"),
    *("<n>", "<|tab|>", "<|blank_2|>", "<|user|>", "<|assistant|>", "sop", "</s>", "<0x41>"),
)
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join)


@pytest.fixture(scope="module")
def tokenizers(load_golden: LoadGolden) -> list[Any]:
    """The three families, and each with a token that a user added."""
    plain = [load_golden(f"chatglm{i}_fixture").tokenizer for i in (1, 2, 3)]
    with_added = [copy.deepcopy(tokenizer) for tokenizer in plain]
    for tokenizer in with_added:
        tokenizer.add_tokens(["Hello"])
    return plain + with_added


@pytest.fixture(scope="module")
def chatglm(load_golden: LoadGolden) -> Any:
    return load_golden("chatglm1_fixture").tokenizer


@pytest.fixture(scope="module")
def chatglm3_tokenizer(load_golden: LoadGolden) -> Any:
    return load_golden("chatglm3_fixture").tokenizer


# --- text to ids ---


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_the_short_ways_to_ids_give_what_the_tokens_give(tokenizers: list[Any], text: str):
    for tokenizer in tokenizers:
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
        assert tokenizer.encode(text, add_special_tokens=False) == ids
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids
        assert tokenizer([text], add_special_tokens=False)["input_ids"] == [ids]
        whole = tokenizer.build_inputs_with_special_tokens(ids)
        assert tokenizer.encode(text) == tokenizer(text)["input_ids"] == whole
        assert (
            tokenizer.encode(text, truncation=True, max_length=6)[-6:]
            == (tokenizer(text, truncation=True, max_length=6)["input_ids"])
        )
    assert len(tokenizers) == 6


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_chatglm3_reads_role_tokens_as_its_tokens_when_asked(chatglm3_tokenizer: Any, text: str):
    reading = copy.copy(chatglm3_tokenizer)
    reading.encode_special_tokens = True
    ids = reading.convert_tokens_to_ids(reading.tokenize(text))
    assert reading.encode(text, add_special_tokens=False) == ids
    roles = [reading.get_command(token) for token in chatglm3.ROLE_TOKENS]
    assert sum(i in roles for i in ids) == sum(text.count(t) for t in chatglm3.ROLE_TOKENS)


@given(runs=st.lists(st.integers(0, 170), max_size=4))
def test_runs_of_blanks_are_cut_longest_first(runs: list[int]):
    text = "x".join(" " * run for run in runs)
    expected = text
    for length in range(80, 1, -1):  # as published: all of one length, then the next shorter
        expected = expected.replace(" " * length, f"<|blank_{length}|>")
    assert name_blanks(text) == expected


def test_special_tokens_in_text_eat_the_space_around_them(chatglm: Any):
    assert chatglm.tokenize("a \n [MASK]\n  b") == ["▁a", "[MASK]", "▁b"]
    assert chatglm.tokenize("a \n [gMASK]\n  b")[:3] == ["▁a", "▁", "<n>"]


def test_added_tokens_are_kept_whole(tokenizers: list[Any]):
    for tokenizer in tokenizers[3:]:
        assert "Hello" in tokenizer.tokenize("你好Hello world")
        assert tokenizer.convert_tokens_to_ids("Hello") == tokenizer.vocab_size
        assert len(tokenizer) == tokenizer.vocab_size + 1


@pytest.mark.parametrize("small", ["chatglm1_fixture"], indirect=True)
def test_case_and_space_go_when_asked(small: Golden):
    tokenizer = ChatGLMTokenizer.from_pretrained(
        small.folder, do_lower_case=True, remove_space=True
    )
    assert tokenizer.tokenize("  HELLO \n World  ") == small.tokenizer.tokenize("hello world")


def test_decoding_cleans_up_before_punctuation(small: Golden):
    cleaned = {"chatglm": "is it?", "chatglm2": "is it ?", "chatglm3": "is it ?"}[small.family]
    ids = small.tokenizer.encode("is it ?", add_special_tokens=False)
    assert small.tokenizer.decode(ids) == cleaned


# --- ChatGLM-6B's images, masks and positions ---


@pytest.mark.parametrize("small", ["chatglm1_fixture"], indirect=True)
def test_images_take_the_first_ids(small: Golden):
    moved = ChatGLMTokenizer.from_pretrained(small.folder, num_image_tokens=20000)
    text = "你好 [MASK] world"
    assert moved.encode(text) == [i + 20000 for i in small.tokenizer.encode(text)]
    assert moved.decode(moved.encode(text)) == small.tokenizer.decode(small.tokenizer.encode(text))
    assert moved.convert_ids_to_tokens([7, -100]) == ["<image_7>", "<image_-100>"]
    assert moved.convert_tokens_to_ids("<image_7>") == 7
    assert moved.gmask_token_id == 21601
    assert len(moved) == 21944
    assert small.tokenizer.decode([-100]) == "<image_-100>"


def test_masks_and_positions_that_are_there_are_padded(chatglm: Any):
    short, long = (chatglm(text, padding=True) for text in ("你好", "你好 world"))
    together = chatglm.pad([dict(short), dict(long)])
    alone = chatglm(["你好", "你好 world"], padding=True)
    for key in ("input_ids", "attention_mask", "position_ids"):
        assert np.array_equal(together[key], alone[key])
    as_lists = [{key: np.asarray(value).tolist() for key, value in short.items()}, dict(long)]
    assert np.array_equal(chatglm.pad(as_lists)["attention_mask"], alone["attention_mask"])
    tensors = chatglm.pad([dict(short), dict(long)], return_tensors="pt")
    assert tensors["attention_mask"].tolist() == np.array(alone["attention_mask"]).tolist()


def test_a_cut_text_has_a_mask_even_without_padding(chatglm: Any):
    cut = chatglm("你好 world", truncation=True, max_length=4)
    assert cut["attention_mask"].shape == (1, 4, 4)
    assert list(chatglm("你好 world")) == ["input_ids"]


def test_the_mask_token_is_preferred_for_positions(chatglm: Any):
    ids = [1600, 319, 1601, 1604, 319]
    assert chatglm.pad({"input_ids": ids})["position_ids"].tolist() == [
        [0, 1, 2, 0, 0],
        [0, 0, 0, 1, 2],
    ]
    assert chatglm.pad({"input_ids": [319, 319]})["position_ids"].tolist() == [[0, 1], [0, 0]]


# --- padding ---


def test_padding_on_the_right_is_refused_with_what_to_do(small: Golden):
    right = ChatGLMTokenizer.from_pretrained(small.folder, padding_side="right")
    for call in (
        lambda: right(["你", "你好吗"], padding=True),
        lambda: small.tokenizer(["你", "你好吗"], padding=True, padding_side="right"),
    ):
        with pytest.raises(UserError) as error:
            call()
        (problem,) = error.value.problems
        assert "'right'" in problem.what
        assert problem.where and problem.why and problem.fix


def test_a_text_longer_than_max_length_is_not_padded(small: Golden):
    long = small.tokenizer("你好 world " * 9, padding="max_length", max_length=8)
    assert long["input_ids"] == small.tokenizer.encode("你好 world " * 9)


# --- chats ---


def test_chatglm2_shows_answers_without_the_placeholder():
    assert chatglm2.process_response(" 现在是[[训练时间]], 对? \n") == "现在是2023年, 对?"


def test_commands_and_roles_are_checked(chatglm3_tokenizer: Any):
    with pytest.raises(ValueError, match="<\\|tool\\|> is none of"):
        chatglm3_tokenizer.get_command("<|tool|>")
    with pytest.raises(ValueError, match="'tool' is none of the roles"):
        chatglm3_tokenizer.build_single_message("tool", "", "x")


def test_metadata_and_tools_are_part_of_the_chat(chatglm3_tokenizer: Any):
    message = chatglm3_tokenizer.build_single_message
    history = [
        {"role": "system", "content": "Tools:", "tools": [{"name": "查"}]},
        {"role": "assistant", "metadata": "查", "content": "x"},
    ]
    built = chatglm3_tokenizer.build_chat_input("1", history, role="observation")
    assert built["input_ids"][0].tolist() == [
        *chatglm3_tokenizer.get_prefix_tokens(),
        *message("system", "", 'Tools:\n[\n    {\n        "name": "查"\n    }\n]'),
        *message("assistant", "查", "x"),
        *message("observation", "", "1"),
        chatglm3_tokenizer.get_command("<|assistant|>"),
    ]
    assert "tools" in history[0]
    assert history[0]["content"] == "Tools:"


TOOLS = [{"role": "system", "content": "", "tools": []}]


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        ("tool_call(a=1, b=[-2.5, None], c={'d': (True, 'x')})", {"a", "b", "c"}),
        ("tool_call()", set()),
        ("tool_call(a=__import__('pathlib').Path('{file}').touch())", None),
        ("tool_call(1)", None),
        ("tool_call(**{'a': 1})", None),
        ("other(a=1)", None),
        ("tool_call(a={[]: 1})", None),
        ("tool_call(a=" + "(" * 500 + ")" * 500 + ")", None),
        ("tool_call(a=1", None),
        ("", None),
    ],
)
def test_tool_calls_are_read_and_never_run(tmp_path: Path, call: str, parameters: set[str] | None):
    file = tmp_path / "touched"
    said = f"```python\n{call.replace('{file}', str(file))}\n```"
    content, history = chatglm3.process_response(f"查\n{said}", TOOLS)
    assert isinstance(content, dict)
    if parameters is None:
        assert content == {"name": "查", "content": said}
    else:
        assert content["parameters"].keys() == parameters
    assert history == [*TOOLS, {"role": "assistant", "metadata": "查", "content": said}]
    assert not file.exists()


HOSTILE = {
    "brackets": "(" * 30_000 + ")" * 30_000,
    "signs": "-" * 60_000 + "1",
    "sums": "1" + "+1" * 30_000,
    "attributes": "a" + ".b" * 30_000,
    "subscripts": "a[" * 20_000 + "]" * 20_000,
    "dictionaries": "{1:" * 20_000,
    "functions": "lambda:" * 9_000 + "1",
    "conditions": "1 if 1 else " * 5_000 + "1",
    "classes": "().__class__.__bases__[0].__subclasses__()",
    "power": "9**9**9",
    "repeated": "'a' * 10**10",
    "comprehension": "[i for i in range(10**9)]",
    "f-string": "f'{1}'",
    "walrus": "(b := 1)",
    "digits": "9" * 60_000,
    "hexadecimal": "0x" + "f" * 60_000,
    "null": "'\0'",
    "surrogate": "'\ud800'",
    "unpacked": "*[1]",
    "many": "(" + "1," * 3_000_000 + ")",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_tool_calls_are_told_as_text(kind: str):
    said = f"```python\ntool_call(a={HOSTILE[kind]})\n```"
    tracemalloc.start()
    content, _ = chatglm3.process_response(f"查\n{said}", TOOLS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content == {"name": "查", "content": said}
    assert peak < 2**26


def test_the_longest_tool_call_is_read_in_little_memory():
    fenced = "```python\ntool_call(a=(" + "1," * 32_000 + "))\n```"
    tracemalloc.start()
    call = chatglm3.read_tool_call(fenced)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert call == {"a": (1,) * 32_000}
    assert peak < 2**26
    assert chatglm3.read_tool_call("```python\ntool_call(a=1, a=2)\n```") is None


def test_an_answer_in_two_messages_is_told_as_two():
    content, history = chatglm3.process_response("\n 先查。<|assistant|>查\nx=1", [])
    assert content == {"name": "查", "content": "x=1"}
    assert [message["content"] for message in history] == ["先查。", "x=1"]
    assert chatglm3.process_response("没有换行", [])[0] == "没有换行"
