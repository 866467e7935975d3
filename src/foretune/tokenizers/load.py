"""Loading a model's tokenizer for a run, and refusing one that is not the model's."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..errors import Problem, UserError, refuse
from ..params.arch import family_of
from .published import (
    PUBLISHED_NAME,
    ChatGLMTokenizer,
    FindFile,
    published_file,
    read_settings,
)

# Embeddings are padded to a multiple of 128 times the tensor-parallel size, at most 8 when these
# models were trained. More rows than that without a token means another model's vocabulary.
MOST_UNUSED_ROWS = 1024

FAMILIES = ChatGLMTokenizer.families

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "mask_token_id", "gmask_token_id")


def load_tokenizer(
    name: str | PathLike[str], *, family: str | None = None, revision: str = "main"
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder or hub repository, checked against its config.json.

    ChatGLM models get foretune's own class even if tokenizer_config.json names none or is missing;
    ``family`` says which of them where the files do not (see `published`). All others are loaded
    by AutoTokenizer, which never runs code from the folder here.

    Raises UserError if there is no such folder or repository, if the vocabulary file is missing or
    is not one, if AutoTokenizer cannot load it, and if it is not the vocabulary of config.json.
    """
    name = str(name)

    def find(file: str) -> Path | None:
        return published_file(name, file, {"revision": revision})

    try:
        config_file = find("config.json")
    except OSError as error:
        raise refuse(
            what=f"there is no model {name!r} to take the tokenizer from",
            where=name or "an empty name",
            why=" ".join(str(error).split()),
            fix="give the path of the model's folder, or the name of a repository that can be "
            "reached from here",
        ) from error
    config = read_settings(config_file)
    if is_chatglm(find, config):
        refuse_other_vocabulary(name, find, config)
        tokenizer = ChatGLMTokenizer.from_pretrained(name, family=family, revision=revision)
    else:
        tokenizer = load_other(name, revision)
    if config_file and (problems := misfits(tokenizer, config, config_file)):
        raise UserError(problems)
    return tokenizer


def refuse_other_vocabulary(name: str, find: FindFile, config: dict[str, Any]) -> None:
    """Raises UserError where config.json is of one generation and the vocabulary of another."""
    declared = family_of(config)
    if declared is None:
        return
    module = declared.__module__.rpartition(".")[2]
    files = {family: one.vocab_files_names["vocab_file"] for family, one in FAMILIES.items()}
    wanted = files.get(module)
    if wanted is None or find(wanted) is not None:
        return
    if other := next((file for file in files.values() if find(file) is not None), None):
        raise refuse(
            what=f"{other} is here, and not {wanted}",
            where=name,
            why=f"config.json is that of a {declared.__name__}, whose vocabulary is in {wanted}",
            fix="take config.json and vocabulary from one published model",
        )


def is_chatglm(find: FindFile, config: dict[str, Any]) -> bool:
    """Whether the tokenizer is a ChatGLMTokenizer, by its name or else by the other files."""
    named = read_settings(find("tokenizer_config.json")).get("tokenizer_class")
    if name := named or config.get("tokenizer_class"):
        return name == PUBLISHED_NAME
    return config.get("model_type") == "chatglm" or find("ice_text.model") is not None


def load_other(name: str, revision: str) -> PreTrainedTokenizerBase:
    """The tokenizer of any other family."""
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (ValueError, OSError, RuntimeError, ImportError, KeyError) as error:
        raise refuse(
            what=f"the tokenizer of {name} cannot be loaded",
            where=name,
            why=" ".join(str(error).split()),
            fix="check that all its tokenizer files are there; a tokenizer that exists only as "
            "code beside the model is not run",
        ) from error


def misfits(
    tokenizer: PreTrainedTokenizerBase, config: dict[str, Any], config_file: Path
) -> list[Problem]:
    """Where the tokenizer and the model's config.json contradict each other.

    Tokens beyond the embedding are wrong for every family; special ids and unused rows are looked
    at only for the ChatGLM families, whose published files are known to agree.
    """
    of_chatglm = isinstance(tokenizer, ChatGLMTokenizer)
    key = "padded_vocab_size" if "padded_vocab_size" in config else "vocab_size"
    rows, tokens = config.get(key), len(tokenizer)
    problems = []
    if isinstance(rows, int) and tokens > rows:
        problems.append(
            Problem(
                what=f"the tokenizer has {tokens} tokens, the embedding {rows} rows",
                where=line_of(key, config_file),
                why=f"ids from {rows} on would be outside the embedding",
                fix="take the vocabulary file that was published with this model; if tokens were "
                "added on purpose, resize the embedding and save the model",
            )
        )
    if isinstance(rows, int) and of_chatglm and rows - tokens >= MOST_UNUSED_ROWS:
        problems.append(
            Problem(
                what=f"the tokenizer has only {tokens} tokens for {rows} rows of the embedding",
                where=line_of(key, config_file),
                why="so many rows without a token mean that the vocabulary is another model's",
                fix="take the vocabulary file that was published with this model",
            )
        )
    return problems + (other_ids(tokenizer, config, config_file) if of_chatglm else [])


def other_ids(
    tokenizer: PreTrainedTokenizerBase, config: dict[str, Any], config_file: Path
) -> list[Problem]:
    """The special tokens whose ids differ between the tokenizer and the model's config.json."""
    problems = []
    for name in SPECIAL_IDS:
        expected, own = config.get(name), getattr(tokenizer, name, None)
        if expected is None or own is None:
            continue
        if own not in (expected if isinstance(expected, list) else [expected]):
            problems.append(
                Problem(
                    what=f"{name} is {expected} for the model and {own} for the tokenizer",
                    where=line_of(name, config_file),
                    why="the model would look for a token that the tokenizer never writes",
                    fix="take the vocabulary, tokenizer_config.json and config.json from one "
                    "revision of the published model (num_image_tokens in tokenizer_config.json "
                    "moves all ids of ChatGLM-6B)",
                )
            )
    return problems


def line_of(key: str, file: Path) -> str:
    """``file:line`` of a key of a JSON file."""
    before, _, _ = file.read_text(encoding="utf-8").partition(f'"{key}"')
    return f"{file}:{before.count(chr(10)) + 1}"
