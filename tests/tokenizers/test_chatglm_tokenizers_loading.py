"""Which tokenizer a folder gives, what is refused, and that saving loses nothing."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers.models import WordLevel
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import foretune.auto  # noqa: F401  the Auto classes know the families after it
from foretune.errors import UserError
from foretune.tokenizers import (
    ChatGLM1Tokenizer,
    ChatGLM2Tokenizer,
    ChatGLM3Tokenizer,
    ChatGLMTokenizer,
    load_tokenizer,
)
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from tests.tokenizers.conftest import Golden

MakeFolder = Callable[..., Path]

OLD, NEW = "chatglm1/ice_text.model", "chatglm2/tokenizer.model"
CLASSES = {
    "chatglm": ChatGLM1Tokenizer,
    "chatglm2": ChatGLM2Tokenizer,
    "chatglm3": ChatGLM3Tokenizer,
}
TEXT = "你好，[MASK] world\n  x\t<|user|>  end 🎉"


def refused(load: Callable[[], Any]) -> list[str]:
    """What the problems are that loading is refused for; each says where, why and how to mend."""
    with pytest.raises(UserError) as error:
        load()
    problems = error.value.problems
    assert all(problem.where and problem.why and problem.fix for problem in problems)
    return [problem.what for problem in problems]


# --- which family ---


def test_auto_tokenizer_gives_the_family_of_the_folder(small: Golden):
    for options in ({}, {"trust_remote_code": True}, {"trust_remote_code": False}):
        tokenizer = AutoTokenizer.from_pretrained(small.folder, **options)
        assert type(tokenizer) is CLASSES[small.family]
        assert isinstance(tokenizer, ChatGLMTokenizer)


def test_code_in_the_folder_is_read_and_never_run(model_folder: MakeFolder):
    code = "raise SystemExit('run')  # knows <|assistant|>"
    settings = {
        "tokenizer_class": "ChatGLMTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLMTokenizer", None]},
    }
    folder = model_folder(NEW, {"tokenizer_config.json": settings, "tokenization_chatglm.py": code})
    assert AutoTokenizer.from_pretrained(folder, trust_remote_code=True).family == "chatglm3"
    assert load_tokenizer(folder).family == "chatglm3"


@pytest.mark.parametrize(
    ("files", "family"),
    [
        ({"tokenizer_config.json": {"name_or_path": "THUDM/chatglm2-6b"}}, "chatglm2"),
        ({"tokenizer_config.json": {"name_or_path": "/mine/ChatGLM3-6B-tuned"}}, "chatglm3"),
        ({"config.json": {"_name_or_path": "THUDM/chatglm3-6b"}}, "chatglm3"),
        ({"tokenization_chatglm.py": "class ChatGLMTokenizer: ..."}, "chatglm2"),
        ({"tokenization_chatglm.py": "role = '<|assistant|>'"}, "chatglm3"),
        ({"tokenizer_config.json": {"chat_template": "<|assistant|>"}}, "chatglm3"),
        (
            {
                "tokenizer_config.json": {"family": "chatglm2", "name_or_path": "chatglm3"},
                "tokenization_chatglm.py": "role = '<|assistant|>'",
            },
            "chatglm2",
        ),
        (
            {
                "tokenizer_config.json": {"name_or_path": "THUDM/chatglm2-6b"},
                "tokenization_chatglm.py": "role = '<|assistant|>'",
            },
            "chatglm3",
        ),
    ],
)
def test_the_files_tell_chatglm2_from_chatglm3(
    model_folder: MakeFolder, files: dict[str, Any], family: str
):
    assert ChatGLMTokenizer.from_pretrained(model_folder(NEW, files)).family == family


def test_a_folder_that_does_not_tell_is_refused(model_folder: MakeFolder):
    folder = model_folder(NEW, {"config.json": {"model_type": "chatglm"}})
    (what,) = refused(lambda: load_tokenizer(folder))
    assert "ChatGLM2's or ChatGLM3's" in what


def test_the_family_can_be_given(model_folder: MakeFolder):
    folder = model_folder(NEW, {"tokenizer_config.json": {"name_or_path": "THUDM/chatglm2-6b"}})
    model = str(folder / "tokenizer.model")
    assert ChatGLMTokenizer.from_pretrained(folder, family="chatglm3").family == "chatglm3"
    assert ChatGLMTokenizer(model, family="chatglm3").family == "chatglm3"
    assert ChatGLMTokenizer(model).family == "chatglm2"
    assert ChatGLM3Tokenizer.from_pretrained(folder).family == "chatglm3"
    (what,) = refused(lambda: ChatGLMTokenizer.from_pretrained(folder, family="chatglm4"))
    assert "'chatglm4'" in what


def test_two_vocabularies_in_one_folder_are_refused(model_folder: MakeFolder):
    model_folder(OLD)
    (what,) = refused(lambda: ChatGLMTokenizer.from_pretrained(model_folder(NEW)))
    assert "two vocabulary files" in what


def test_a_tokenizer_that_is_not_named_is_still_found(model_folder: MakeFolder):
    names_chatglm2 = {"model_type": "chatglm", "_name_or_path": "THUDM/chatglm2-6b"}
    assert load_tokenizer(model_folder(NEW, {"config.json": names_chatglm2})).family == "chatglm2"


# --- what is refused ---


@pytest.mark.parametrize("family", CLASSES)
def test_a_missing_vocabulary_is_refused(model_folder: MakeFolder, family: str):
    folder = model_folder(None, {"tokenizer_config.json": {"tokenizer_class": "ChatGLMTokenizer"}})
    (what,) = refused(lambda: load_tokenizer(folder))
    assert what == "the vocabulary file ice_text.model or tokenizer.model is missing"
    (what,) = refused(lambda: load_tokenizer(folder, family=family))
    assert what.endswith("is missing")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:5e97\nsize 2706249\n", "Git LFS"),
        ("IQ== 0\nIg== 1\n", "is not a SentencePiece model"),
        ("", "is not a SentencePiece model"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(
    model_folder: MakeFolder, content: str, expected: str
):
    (what,) = refused(lambda: load_tokenizer(model_folder(None, {"ice_text.model": content})))
    assert expected in what


@pytest.mark.parametrize(("real", "posing"), [(OLD, "tokenizer.model"), (NEW, "ice_text.model")])
def test_the_other_generations_vocabulary_is_refused(
    model_folder: MakeFolder, golden_folder: Path, real: str, posing: str
):
    folder = model_folder(None, {"tokenizer_config.json": {"name_or_path": "chatglm2"}})
    shutil.copyfile(golden_folder / real, folder / posing)
    (what,) = refused(lambda: ChatGLMTokenizer.from_pretrained(folder))
    assert what.startswith(posing)


def test_every_contradiction_with_the_config_is_told(model_folder: MakeFolder):
    config = {
        "model_type": "chatglm",
        "vocab_size": 1800,
        "bos_token_id": 130004,
        "eos_token_id": [2, 1605],
        "gmask_token_id": 130001,
        "pad_token_id": 3,
    }
    settings = {"tokenizer_class": "ChatGLMTokenizer", "num_image_tokens": 0}
    folder = model_folder(OLD, {"config.json": config, "tokenizer_config.json": settings})
    with pytest.raises(UserError) as error:
        load_tokenizer(folder)
    told = [(problem.what, problem.where) for problem in error.value.problems]
    file = folder / "config.json"
    assert told == [
        ("the tokenizer has 1944 tokens, the embedding 1800 rows", f"{file}:3"),
        ("bos_token_id is 130004 for the model and 1604 for the tokenizer", f"{file}:4"),
        ("gmask_token_id is 130001 for the model and 1601 for the tokenizer", f"{file}:9"),
    ]


def test_ids_moved_by_forgotten_images_are_refused(model_folder: MakeFolder):
    config = {"model_type": "chatglm", "vocab_size": 1984, "bos_token_id": 1604}
    told = refused(lambda: load_tokenizer(model_folder(OLD, {"config.json": config})))
    assert told == [
        "the tokenizer has 21944 tokens, the embedding 1984 rows",
        "bos_token_id is 1604 for the model and 21604 for the tokenizer",
    ]


def test_a_vocabulary_much_smaller_than_the_embedding_is_refused(model_folder: MakeFolder):
    config = {"padded_vocab_size": 65024, "_name_or_path": "THUDM/chatglm2-6b"}
    settings = {"tokenizer_class": "ChatGLMTokenizer"}
    folder = model_folder(NEW, {"config.json": config, "tokenizer_config.json": settings})
    (what,) = refused(lambda: load_tokenizer(folder))
    assert what == "the tokenizer has only 1505 tokens for 65024 rows of the embedding"


@pytest.mark.parametrize(
    ("name", "vocabulary", "settings"),
    [
        ("chatglm-6b", "chatglm-6b-standin/ice_text.model", {"num_image_tokens": 0}),
        ("chatglm2-6b", "chatglm3-6b/tokenizer.model", {}),
    ],
)
def test_the_published_configs_and_vocabularies_agree(
    shared: Path, tmp_path: Path, name: str, vocabulary: str, settings: dict[str, Any]
):
    shutil.copyfile(shared / "inputs" / name / "config.json", tmp_path / "config.json")
    vocabulary_file = shared / "tokenizers" / vocabulary
    shutil.copyfile(vocabulary_file, tmp_path / vocabulary_file.name)
    settings = {"tokenizer_class": "ChatGLMTokenizer", **settings}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert len(load_tokenizer(tmp_path)) in (130344, 64794)


def test_a_damaged_settings_file_is_refused(model_folder: MakeFolder):
    folder = model_folder(NEW, {"tokenizer_config.json": '{\n "family": \n}'})
    with pytest.raises(UserError) as error:
        ChatGLMTokenizer.from_pretrained(folder)
    assert error.value.problems[0].where == f"{folder / 'tokenizer_config.json'}:3"
    folder = model_folder(NEW, {"tokenizer_config.json": "[]"})
    assert refused(lambda: load_tokenizer(folder)) == [
        "tokenizer_config.json holds a list, not an object"
    ]


def test_fixed_tokens_cannot_be_other_ones(model_folder: MakeFolder):
    settings = {"family": "chatglm3", "eos_token": "</s>", "pad_token": "<unk>"}
    folder = model_folder(NEW, {"tokenizer_config.json": settings})
    tokenizer = ChatGLMTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("</s>", "<unk>")
    assert refused(
        lambda: ChatGLMTokenizer.from_pretrained(folder, eos_token="<s>", pad_token="</s>")
    ) == ["pad_token is set to </s>", "eos_token is set to <s>"]
    with pytest.raises(AttributeError):
        tokenizer.pad_token = "</s>"


def test_a_model_that_is_nowhere_is_refused(tmp_path: Path):
    for name in ("", tmp_path / "nothing"):
        (what,) = refused(lambda name=name: load_tokenizer(name))
        assert what.startswith("there is no model")


# --- other families ---


def test_other_families_are_loaded_and_measured_too(tmp_path: Path):
    words = {word: i for i, word in enumerate(["<unk>", "you", "me"])}
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, "<unk>")))
    other.save_pretrained(tmp_path)
    config = {"model_type": "llama", "vocab_size": 4096, "bos_token_id": 7}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert load_tokenizer(tmp_path).convert_tokens_to_ids("me") == 2
    (tmp_path / "config.json").write_text('{"model_type": "llama", "vocab_size": 2}', "utf-8")
    assert refused(lambda: load_tokenizer(tmp_path)) == [
        "the tokenizer has 3 tokens, the embedding 2 rows"
    ]


def test_a_tokenizer_that_is_only_code_is_refused(model_folder: MakeFolder):
    settings = {
        "tokenizer_class": "OwnTokenizer",
        "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]},
    }
    files = {"tokenizer_config.json": settings, "own.py": "raise SystemExit('run')"}
    (what,) = refused(lambda: load_tokenizer(model_folder(NEW, files)))
    assert what.endswith("cannot be loaded")


# --- saving, copying ---


def test_a_saved_tokenizer_is_loaded_equal(small: Golden, tmp_path: Path):
    tokenizer = ChatGLMTokenizer.from_pretrained(small.folder)
    tokenizer.add_tokens(["新词"])
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert type(again) is type(tokenizer)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.encode("一个新词 " + TEXT) == tokenizer.encode("一个新词 " + TEXT)
    assert tokenizer.convert_tokens_to_ids("新词") in again.encode("一个新词 " + TEXT)
    assert again.decode(again.encode(TEXT)) == tokenizer.decode(tokenizer.encode(TEXT))
    assert again.padding_side == "left"


def test_saved_files_are_those_of_the_published_code(small: Golden, tmp_path: Path):
    small.tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    published = dict(small.expected["tokenizer_config"])
    del published["name_or_path"]  # a name of somebody's machine, as a rule
    assert published.items() <= settings.items()
    news = {"family", "model_max_length"}
    news |= {"chatglm": {"clean_up_tokenization_spaces"}, "chatglm2": set()}.get(
        small.family, {"encode_special_tokens"}
    )
    assert settings.keys() - published.keys() == news
    assert settings["family"] == small.family
    saved = tmp_path / small.vocabulary.name
    assert saved.read_bytes() == small.vocabulary.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {saved.name, "tokenizer_config.json"}


def test_a_tokenizer_can_be_saved_when_its_folder_is_gone(small: Golden, tmp_path: Path):
    folder = shutil.copytree(small.folder, tmp_path / "model")
    tokenizer = ChatGLMTokenizer.from_pretrained(folder)
    shutil.rmtree(folder)
    tokenizer.save_pretrained(tmp_path / "saved")
    assert ChatGLMTokenizer.from_pretrained(tmp_path / "saved").encode(TEXT) == (
        tokenizer.encode(TEXT)
    )


def test_copies_are_equal(small: Golden):
    expected = small.tokenizer.encode(TEXT)
    for copied in (
        copy.deepcopy(small.tokenizer),
        copy.copy(small.tokenizer),
        pickle.loads(pickle.dumps(small.tokenizer)),
    ):
        assert type(copied) is type(small.tokenizer)
        assert copied.encode(TEXT) == expected
        assert copied.decode(expected) == small.tokenizer.decode(expected)


def test_workers_of_a_data_loader_can_tokenize(small: Golden):
    texts = [f"{TEXT} {i}" for i in range(4)]
    loader = DataLoader(
        texts,  # pyright: ignore[reportArgumentType]
        batch_size=2,
        num_workers=1,
        collate_fn=small.tokenizer,
    )
    batches = [batch["input_ids"] for batch in loader]
    assert batches == [small.tokenizer(part)["input_ids"] for part in (texts[:2], texts[2:])]
