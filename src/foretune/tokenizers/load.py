"""Loading a model's tokenizer for a run, and refusing one that is not the model's.

A family hooks in with a file in this folder, and nothing else is edited. In the file is a subclass
of PreTrainedTokenizer with

- ``family``: the name of its file in data/;
- ``vocab_files_names``: ``{"vocab_file": NAME}``, the file without which a folder is not its own;
- a published name: the class is called what tokenizer_config.json calls it ("BaichuanTokenizer"),
  because transformers' AutoTokenizer finds a class by that name;
- ``recognises(find, config)``, a class method: whether a folder whose files name no tokenizer is of
  this class. ``find("name")`` is the path of a file of the folder or None, ``config`` what
  config.json says ({} without one). Having it in its own body is what makes a class one of
  `REGISTERED`; a class that stands for several (ChatGLMTokenizer) has no ``family`` of its own and
  gives the right one of them from ``from_pretrained``.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizer, PreTrainedTokenizerBase

from ..errors import Problem, UserError, refuse
from ..params.arch import family_of
from ..params.arch.llama3 import NAME as META_NAME
from ..text import counted
from .published import FindFile, published_file, read_settings

# Embeddings are padded to a multiple of 128 times the tensor-parallel size, at most 8 when these
# models were trained. More rows than that without a token means another model's vocabulary.
MOST_UNUSED_ROWS = 1024

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "mask_token_id", "gmask_token_id")


def classes_here() -> tuple[type[Any], ...]:
    """The tokenizer classes of the files in this folder."""
    folder = import_module(f"{__package__}").__path__
    names = [f"{__package__}.{found.name}" for found in pkgutil.iter_modules(folder)]
    return tuple(
        found
        for module in (import_module(name) for name in names if name != __name__)
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, PreTrainedTokenizer)
        and found.__module__ == module.__name__
    )


FAMILIES = {
    found.family: found for found in classes_here() if isinstance(vars(found).get("family"), str)
}
"""The class of each family."""

REGISTERED = tuple(found for found in classes_here() if "recognises" in vars(found))
"""The classes that bear the name under which tokenizers were published."""


def load_tokenizer(
    name: str | PathLike[str], *, family: str | None = None, revision: str = "main"
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder or hub repository, checked against its config.json.

    The families that are here get foretune's own class even if tokenizer_config.json names none or
    is missing; ``family`` says which of them where the files do not (see `published`). All others
    are loaded by AutoTokenizer, which never runs code from the folder here.

    Raises UserError if there is no such folder or repository, if the vocabulary file is missing or
    is not one, if AutoTokenizer cannot load it, and if it is not the vocabulary of config.json.
    """
    name = str(name)

    def find(file: str) -> Path | None:
        return published_file(name, file, {"revision": revision})

    try:
        config_file = find("config.json") or find(META_NAME)
    except OSError as error:
        raise refuse(
            what=f"there is no model {name!r} to take the tokenizer from",
            where=name or "an empty name",
            why=" ".join(str(error).split()),
            fix="give the path of the model's folder, or the name of a repository that can be "
            "reached from here",
        ) from error
    config = read_settings(config_file)
    if family and family not in FAMILIES:
        raise refuse(
            what=f"there is no tokenizer for the family {family!r}",
            where=name,
            why=f"the families are {', '.join(sorted(FAMILIES))}",
            fix="give family= one of these names, or leave it out",
        )
    if native := FAMILIES[family] if family else native_class(find, config):
        refuse_other_vocabulary(name, find, config)
        tokenizer = native.from_pretrained(name, revision=revision)
    else:
        tokenizer = load_other(name, revision)
    if config_file and (problems := misfits(tokenizer, config, config_file)):
        raise UserError(problems)
    return tokenizer


def native_class(find: FindFile, config: dict[str, Any]) -> type[Any] | None:
    """The class here that a folder's files name; where they name none, the one that knows them."""
    named = read_settings(find("tokenizer_config.json")).get("tokenizer_class")
    if named := named or config.get("tokenizer_class"):
        return next((found for found in REGISTERED if found.__name__ == named), None)
    return next((found for found in REGISTERED if found.recognises(find, config)), None)


def refuse_other_vocabulary(name: str, find: FindFile, config: dict[str, Any]) -> None:
    """Raises UserError where config.json is of one family and the vocabulary of another."""
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


def load_other(name: str, revision: str) -> PreTrainedTokenizerBase:
    """The tokenizer of any other family."""
    try:
        found = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (ValueError, OSError, RuntimeError, ImportError, KeyError) as error:
        raise refuse(
            what=f"the tokenizer of {name} cannot be loaded",
            where=name,
            why=" ".join(str(error).split()),
            fix="check that all its tokenizer files are there; a tokenizer that exists only as "
            "code beside the model is not run",
        ) from error
    if set(found("a1.中", add_special_tokens=False)["input_ids"]) <= {found.unk_token_id}:
        raise refuse(  # transformers makes an empty one where no file of it is there
            what=f"the tokenizer of {name} has no vocabulary",
            where=name,
            why=f"it has {counted(len(found), 'token')} and reads neither letters nor digits",
            fix="copy its files from the published model: tokenizer.json, or what "
            "tokenizer_config.json names",
        )
    return found


def misfits(
    tokenizer: PreTrainedTokenizerBase, config: dict[str, Any], config_file: Path
) -> list[Problem]:
    """Where the tokenizer and the model's config.json contradict each other.

    Tokens beyond the embedding are wrong for every family; special ids and unused rows are looked
    at only for the families here, whose published files are known to agree.
    """
    native = getattr(tokenizer, "family", None) in FAMILIES
    key = "padded_vocab_size" if "padded_vocab_size" in config else "vocab_size"
    rows, tokens = config.get(key), len(tokenizer)
    rows = None if rows == -1 else rows  # in Meta's params.json: as many as there are tokens
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
    if isinstance(rows, int) and native and rows - tokens >= MOST_UNUSED_ROWS:
        problems.append(
            Problem(
                what=f"the tokenizer has only {tokens} tokens for {rows} rows of the embedding",
                where=line_of(key, config_file),
                why="so many rows without a token mean that the vocabulary is another model's",
                fix="take the vocabulary file that was published with this model",
            )
        )
    return problems + (other_ids(tokenizer, config, config_file) if native else [])


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
