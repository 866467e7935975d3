"""What a file is, told by its content first and its name second."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal, cast

from ..errors import refuse
from ..params.arch import family_of
from ..params.run import parameters
from ..params.setting import Note
from ..text import Said, sentence_list
from . import marks
from .json_text import is_bare, mended, read_json
from .model_config import NAMES

Kind = Literal[
    "shell", "yaml", "toml", "json", "arguments", "config", "pasted", "log", "state",
    "deepspeed", "accelerate", "adapter", "generation", "tokenizer", "factory",
]  # fmt: skip

TAKEN_FOR: dict[Kind, Said] = {
    "shell": Said("a training script", "训练脚本"),
    "yaml": Said("a run file in YAML", "YAML 写的运行文件"),
    "toml": Said("a run file in TOML", "TOML 写的运行文件"),
    "json": Said("a run file in JSON", "JSON 写的运行文件"),
    "arguments": Said("arguments of a training script", "训练脚本的参数"),
    "config": Said("a model's config.json", "模型的 config.json"),
    "state": Said("a Trainer's state", "Trainer 的状态"),
    "deepspeed": Said("DeepSpeed's ds_config.json", "DeepSpeed 的 ds_config.json"),
    "accelerate": Said("accelerate's configuration", "accelerate 的配置"),
    "adapter": Said("PEFT's adapter_config.json", "PEFT 的 adapter_config.json"),
    "generation": Said("a model's generation_config.json", "模型的 generation_config.json"),
    "tokenizer": Said("a tokenizer's config", "分词器的配置"),
    "factory": Said("a file of LLaMA-Factory", "LLaMA-Factory 的文件"),
}
"""What text of a kind is said to be, where its name does not say so; what is pasted says more."""

SUFFIXES = (".sh", ".bash", ".yaml", ".yml", ".toml", ".json")


LONGEST, LONGEST_LOG, LONGEST_SCRIPT = 5_000_000, 10_000_000, 300_000
"""Characters; nobody writes longer files by hand."""


def refuse_huge(text: str, name: str, *, script: bool = False) -> None:
    """Raises UserError for what is too long to be a file of a run."""
    script = script or PurePosixPath(name).suffix.lower() in (".sh", ".bash")
    log = len(text) > LONGEST and not script and marks.is_log(text[:LONGEST])
    most = LONGEST_SCRIPT if script else LONGEST_LOG if log else LONGEST
    if len(text) > most:
        raise refuse(
            what=f"{PurePosixPath(name).name} has {len(text):,} characters",
            where=name,
            why=f"the files of a run are short: no more than {most:,} are read",
            fix="give its beginning and its end: (head -n 100 FILE; tail -n 100 FILE) | "
            "foretune explain -"
            if log
            else "name the script, the config or the run file itself",
        )


def is_bare_json(text: str, name: str) -> bool:
    """Whether it is JSON that was copied without its outer brackets."""
    return is_bare(text) and PurePosixPath(name).suffix.lower() not in (".yaml", ".yml")


def taken_for(kind: Kind, text: str, name: str) -> Iterator[Note]:
    """What a text was taken for whose name does not say what it is."""
    flat = kind == "shell" and "\n" not in text.strip() and " --" in text
    if kind in TAKEN_FOR and (PurePosixPath(name).suffix.lower() not in SUFFIXES or flat):
        taken = TAKEN_FOR[kind]
        what = Said(f"taken for {taken}", f"当作{taken.zh}")
        if flat:
            what = Said(f"{what} that was flattened into one line", f"{what.zh}，它被压成了一行")
        why = Said("its content says what it is", "由内容判断")
        yield Note(what, name, why, "taken for")


FIRST_LINE = re.compile(r"^[^\S\n]*[^\s#].*$", re.MULTILINE)
MODEL_KEYS = {
    "model_type", "architectures", "hidden_size", "num_attention_heads", "num_hidden_layers",
    "num_layers", "d_model", "n_embd", "n_layer",
}  # fmt: skip
"""Keys by which the config.json of a model is known, whole or in part."""


def kind_of(text: str, name: str) -> Kind:
    """What a file is, by its content first and its name second.

    Raises:
        UserError: for JSON that is broken, and where no key of it is known.
    """
    suffix = PurePosixPath(name).suffix.lower()
    text = mended(text, name)[0] if is_bare_json(text, name) else text
    found = FIRST_LINE.search(text)
    first = found[0].strip() if found else ""
    if suffix not in SUFFIXES and not text.startswith("#!") and marks.is_log(text):
        return "log"
    if suffix == ".json" or (first.startswith("{") and suffix not in (".yaml", ".yml")):
        return _kind_of_json(text, name)
    if suffix not in (".sh", ".bash"):
        from .accelerate import reads

        if reads(text, name):
            return "accelerate"
    if suffix in (".sh", ".bash") or text.startswith("#!"):
        return "shell"
    if suffix == ".toml" or re.match(r"\[[\w.]+\]\s*(#|$)", first) or _is_toml_run(text):
        return "toml"
    if suffix not in SUFFIXES and _is_pasted(text):
        return "pasted"
    if re.match(r"[\w.]+\s+=\s", first):
        return "toml"
    if suffix in (".yaml", ".yml") or re.match(r"[\w.]+\s*:(\s|$)", first):
        return _kind_of_yaml(text)
    return "shell"


def _kind_of_yaml(text: str) -> Kind:
    from .flags import names

    keys = set(marks.TOP.findall(text))
    if keys & marks.FACTORY:
        return "factory"
    own = {path.partition(".")[0] for path in parameters()} | parameters().keys()
    if keys & (own - names()) or not keys & names():
        return "yaml"
    if keys <= own:  # deepspeed and optim are arguments, and sections of ours
        nested = re.search(rf"^({'|'.join(keys)})\s*:\s*(#.*)?$", text, re.MULTILINE)
        return "yaml" if nested else "arguments"
    return "arguments"


def _is_pasted(text: str) -> bool:
    from .pasted import pasted

    return bool(pasted(text))


def _is_toml_run(text: str) -> bool:
    """Whether it is TOML that sets parameters of a run, with or without headers."""
    import tomllib

    try:
        keys = tomllib.loads(text).keys() if "=" in text else set[str]()
    except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError
        return False
    return bool(keys & {path.partition(".")[0] for path in parameters()})


def _kind_of_json(text: str, name: str) -> Kind:
    values = read_json(text, name)
    keys: dict[str, object] = cast(dict[str, object], values) if isinstance(values, dict) else {}
    if beside := marks.surely(keys, name):
        return beside
    if MODEL_KEYS & keys.keys():
        return "config"
    from .accelerate import is_accelerate
    from .deepspeed import is_deepspeed
    from .flags import names

    if is_accelerate(keys):
        return "accelerate"
    if is_deepspeed(keys):
        return "deepspeed"
    if PurePosixPath(name).name in NAMES or family_of(keys) is not None:
        return "config"
    sections = {path.partition(".")[0] for path in parameters()}
    inside = (key for key, value in keys.items() if isinstance(value, dict) and key in sections)
    if any(key not in names() for key in inside):  # "deepspeed" may be an argument
        return "json"
    if len(keys.keys() & marks.FACTORY) > 1:
        return "factory"
    if names() & keys.keys():
        return "arguments"
    if any(key in parameters() for key in keys):
        return "json"
    if beside := marks.likely(keys):
        return beside
    raise refuse(
        what=f"what {name} is cannot be told",
        where=name,
        why=f"no key of it is known: {sentence_list(keys, most=4) or 'it has none'}",
        fix="name a run file, a file of arguments, or the config.json of a model",
    )
