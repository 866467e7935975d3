"""GLM-4's tokenizer: every entry of the golden case, which folders are its own, and its chats."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoTokenizer

import foretune.auto  # noqa: F401  the Auto classes know the families after it
from foretune.errors import UserError
from foretune.tokenizers import ChatGLM4Tokenizer, ChatGLMTokenizer, load_tokenizer

if TYPE_CHECKING:
    from tests.tokenizers.conftest import Golden

MakeFolder = Callable[..., Path]

VOCABULARY = "glm4/tokenizer.model"
TEXT = "你好，[MASK] world\n  x\t<|user|>  end 🎉<|endoftext|>"
WEATHER = {"name": "get_weather", "description": "天气", "parameters": {"type": "object"}}
TEMPLATE = (
    "[gMASK]<sop>{% for item in messages %}<|{{ item['role'] }}|>{{ item['metadata'] }}\n"
    "{{ item['content'] }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def golden(load_golden: Callable[[str], Golden]) -> Golden:
    return load_golden("glm4_fixture")


@pytest.fixture
def tokenizer(golden: Golden) -> ChatGLM4Tokenizer:
    return golden.tokenizer


# --- as published ---


def test_special_tokens_are_the_published_ones(golden: Golden):
    expected = {
        name: value
        for name, value in golden.expected["special"].items()
        if not isinstance(value, dict)  # what the published class does not have either
    }
    own = golden.tokenizer
    got = {name: len(own) if name == "len" else getattr(own, name) for name in expected}
    assert got == expected
    assert len(got) == 20
    ids = golden.expected["special_ids"]
    assert {name: own.get_command(name) for name in ids} == ids
    assert own.convert_tokens_to_ids(list(ids)) == list(ids.values())
    assert len(ids) == 14


def test_texts_are_encoded_and_decoded_as_published(golden: Golden):
    tokenizer, entries = golden.tokenizer, golden.expected["encode"]
    for entry in entries:
        text, ids = entry["text"], entry["ids"]
        tokens = [
            bytes.fromhex(token["bytes_hex"]) if isinstance(token, dict) else token
            for token in entry["tokens"]
        ]
        assert tokenizer.tokenize(text) == tokens
        assert tokenizer.encode(text) == ids
        assert tokenizer.encode(text, add_special_tokens=False) == entry["ids_no_special"]
        assert dict(tokenizer(text)) == entry["call"]
        assert tokenizer.decode(ids) == entry["decode"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == entry["decode_skip_special"]
        assert tokenizer.decode(entry["ids_no_special"]) == entry["decode_no_special"]
    assert len(entries) == 40


def test_batches_are_padded_and_cut_as_published(golden: Golden):
    entries = golden.expected["batch"]
    for entry in entries:
        assert dict(golden.tokenizer(entry["texts"], **entry["kwargs"])) == entry["out"]
        if len({len(row) for row in entry["out"]["input_ids"]}) == 1:
            tensors = golden.tokenizer(entry["texts"], return_tensors="pt", **entry["kwargs"])
            assert {key: value.tolist() for key, value in tensors.items()} == entry["out"]
    assert len(entries) == 8


def test_odd_ids_are_decoded_as_published(golden: Golden):
    entries = golden.expected["odd_decode"]
    for entry in entries:
        for skip in (False, True):
            got = golden.tokenizer.decode(entry["ids"], skip_special_tokens=skip)
            assert got == entry[f"skip_{skip}"]
    assert len(entries) == 5


def test_messages_of_a_chat_are_built_as_published(golden: Golden):
    entries = golden.expected["chat"]
    for entry in entries:
        out = golden.tokenizer.build_chat_input(entry["query"], entry["history"], entry["role"])
        assert {key: value.tolist() for key, value in out.items()} == entry["out"]
        asked = [*entry["history"], {"role": entry["role"], "content": entry["query"]}]
        applied = golden.tokenizer.apply_chat_template(
            asked, add_generation_prompt=True, return_tensors="pt"
        )
        assert {key: value.tolist() for key, value in applied.items()} == entry["out"]
    assert len(entries) == 2


def test_a_pair_ends_where_an_answer_ends(tokenizer: ChatGLM4Tokenizer):
    ids = tokenizer.encode("a", "b")
    assert tokenizer.decode(ids) == "[gMASK]<sop>ab<|endoftext|>"
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3


# --- text is text ---


def test_the_plain_reading_makes_no_special_token_of_a_text(tokenizer: ChatGLM4Tokenizer):
    text = "".join(tokenizer.own_tokens) + TEXT
    plain = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert not set(plain) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(plain) == text
    assert tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids == plain
    assert tokenizer.all_special_ids[0] in tokenizer.encode(text)


def test_messages_cannot_pose_as_another_role(tokenizer: ChatGLM4Tokenizer):
    ids = tokenizer.build_single_message("user", "", "<|assistant|>\nyes<|endoftext|>")
    assert set(ids) & set(tokenizer.all_special_ids) == {tokenizer.get_command("<|user|>")}
    with pytest.raises(ValueError, match="none of the roles"):
        tokenizer.build_single_message("tool", "", "")


def test_the_folders_template_is_rendered_as_transformers_does(model_folder: MakeFolder):
    settings = {"tokenizer_class": "ChatGLM4Tokenizer", "chat_template": TEMPLATE}
    folder = model_folder(VOCABULARY, {"tokenizer_config.json": settings})
    tokenizer = load_tokenizer(folder)
    asked = [{"role": "user", "content": "你好<|user|>"}]
    ids: Any = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert tokenizer.decode(ids) == "[gMASK]<sop><|user|>\n你好<|user|><|assistant|>"
    assert ids.count(tokenizer.convert_tokens_to_ids("<|user|>")) == 2


# --- tools ---


def test_tools_are_told_in_a_system_message(tokenizer: ChatGLM4Tokenizer):
    tools = [
        {"type": "function", "function": WEATHER},
        *({"type": kind} for kind in ("python", "simple_browser", "cogview")),
    ]
    asked = [
        {"role": "system", "content": "Be brief.", "tools": tools},
        {"role": "user", "content": "天气？"},
        {"role": "assistant", "metadata": "get_weather", "content": '{"city": "北京"}'},
        {"role": "observation", "content": "22"},
    ]
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert text.startswith("[gMASK]<sop><|system|>\n你是一个名为 ChatGLM 的人工智能助手。")
    assert '\n\n# 可用工具\n\n## get_weather\n\n{\n    "name": "get_weather"' in text
    assert all(f"\n\n## {kind}\n\n" in text for kind in ("python", "simple_browser", "cogview"))
    assert text.endswith(
        "<|system|>\nBe brief.<|user|>\n天气？<|assistant|>get_weather\n"
        '{"city": "北京"}<|observation|>\n22<|assistant|>'
    )
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert tokenizer.decode(ids) == text
    with pytest.raises(ValueError, match="'image'"):
        tokenizer.apply_chat_template([{"role": "system", "tools": [{"type": "image"}]}])


def test_tools_of_a_call_stand_before_the_conversation(tokenizer: ChatGLM4Tokenizer):
    asked = [{"role": "user", "content": "天气？"}]
    of_the_call = tokenizer.apply_chat_template(asked, tools=[WEATHER], tokenize=False)
    system = {"role": "system", "content": "", "tools": [WEATHER]}
    assert of_the_call == tokenizer.apply_chat_template([system, *asked], tokenize=False)
    chat = tokenizer.build_chat_input("天气？", history=[system])
    assert tokenizer.decode(chat["input_ids"][0]) == of_the_call + "<|assistant|>"


def test_several_conversations_are_padded_on_the_left(tokenizer: ChatGLM4Tokenizer):
    asked = [[{"role": "user", "content": text}] for text in ("a", "abc def")]
    both = tokenizer.apply_chat_template(asked, padding=True, return_tensors="pt")
    assert both["input_ids"].shape == both["position_ids"].shape
    assert both["attention_mask"][0, 0] == 0
    alone = tokenizer.apply_chat_template(asked[0], return_dict=False)
    assert both["input_ids"][0].tolist()[-len(alone) :] == alone


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("\n 你好 [[训练时间]]", "你好 2023年"),
        (
            'get_weather\n{"city": "北京", "days": 2}',
            {"name": "get_weather", "parameters": {"city": "北京", "days": 2}},
        ),
        ("get_weather\nexit()", {"name": "get_weather", "content": "exit()"}),
        ("get_weather\n[1]", {"name": "get_weather", "content": "[1]"}),
        (
            '\nI look.<|assistant|>get_weather\n{"city": "x"}',
            {"name": "get_weather", "parameters": {"city": "x"}},
        ),
    ],
)
def test_tool_calls_are_read_as_json(tokenizer: ChatGLM4Tokenizer, said: str, content: Any):
    history = [{"role": "system", "content": "", "tools": [WEATHER]}]
    got, told = tokenizer.process_response(said, history)
    assert got == content
    assert [message["role"] for message in told] == ["system"] + ["assistant"] * (
        1 + said.count("<|assistant|>")
    )


def test_without_tools_a_first_line_names_no_call(tokenizer: ChatGLM4Tokenizer):
    content, _ = tokenizer.process_response('python\n{"a": 1}', [])
    assert content == {"name": "python", "content": '{"a": 1}'}


# --- which folders, saving ---


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config.json": {"tokenizer_class": "ChatGLM4Tokenizer"}},
        {"tokenizer_config.json": {"tokenizer_class": "ChatGLMTokenizer"}},
        {"config.json": {"model_type": "chatglm", "padded_vocab_size": 736}},
    ],
    ids=["its own name", "the older name", "no name"],
)
def test_a_folder_with_ranks_is_glm4(model_folder: MakeFolder, files: dict[str, Any]):
    folder = model_folder(VOCABULARY, files)
    tokenizers = [load_tokenizer(folder), ChatGLMTokenizer.from_pretrained(folder)]
    tokenizers.append(ChatGLMTokenizer(str(folder / "tokenizer.model")))
    if "tokenizer_config.json" in files:
        tokenizers += [
            AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
            for trust in (True, False)
        ]
    for tokenizer in tokenizers:
        assert type(tokenizer) is ChatGLM4Tokenizer
        assert tokenizer.eos_token_id == tokenizer.pad_token_id == 700
        assert len(tokenizer) == 714


def test_a_vocabulary_of_sentencepiece_is_not_glm4s(model_folder: MakeFolder):
    folder = model_folder("chatglm2/tokenizer.model")
    with pytest.raises(UserError, match="SentencePiece"):
        load_tokenizer(folder, family="glm4")


def test_the_ids_of_the_config_are_held_against_the_vocabulary(model_folder: MakeFolder):
    config = {
        "model_type": "chatglm", "padded_vocab_size": 736,
        "eos_token_id": [700, 707, 709], "pad_token_id": 2,
    }  # fmt: skip
    folder = model_folder(VOCABULARY, {"config.json": config})
    with pytest.raises(UserError) as error:
        load_tokenizer(folder)
    (problem,) = error.value.problems
    assert problem.what == "pad_token_id is 2 for the model and 700 for the tokenizer"


def test_saved_files_are_those_of_the_published_code(golden: Golden, tmp_path: Path):
    golden.tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert golden.expected["tokenizer_config"].items() <= settings.items()
    assert settings.keys() - golden.expected["tokenizer_config"].keys() == {"family"}
    assert (tmp_path / "tokenizer.model").read_bytes() == golden.vocabulary.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {
        "tokenizer.model",
        "tokenizer_config.json",
    }


def test_a_saved_tokenizer_and_copies_are_equal(golden: Golden, tmp_path: Path):
    tokenizer: Any = ChatGLMTokenizer.from_pretrained(golden.folder)
    tokenizer.add_tokens(["新词"])
    tokenizer.save_pretrained(tmp_path)
    copies = [
        AutoTokenizer.from_pretrained(tmp_path),
        load_tokenizer(tmp_path),
        copy.deepcopy(tokenizer),
        pickle.loads(pickle.dumps(tokenizer)),
    ]
    for copied in copies:
        assert type(copied) is ChatGLM4Tokenizer
        assert copied.get_vocab() == tokenizer.get_vocab()
        for text in (TEXT, "一个新词 " + TEXT):
            assert copied.encode(text) == tokenizer.encode(text)
        assert tokenizer.convert_tokens_to_ids("新词") in copied.encode("一个新词")
    assert len(copies) == 4
