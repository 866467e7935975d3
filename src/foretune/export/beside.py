"""The files of a model's folder that go along with its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..models.meta_files import is_meta
from ..tokenizers.glm4 import ChatGLM4Tokenizer
from ..tokenizers.load import load_tokenizer
from ..tokenizers.tiktoken_fast import as_fast
from ..tokenizers.tiktoken_ranks import TiktokenTokenizer

ALWAYS = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "*.tiktoken", "chat_template*", "generation_config.json", "LICENSE*",
    "*LICENSE", "NOTICE*", "USE_POLICY*", "*.py",
)  # fmt: skip
"""The tokenizer, how to generate, what one may do with the model, and the code that auto_map names.
Nothing of it is run.
"""


META = ("tokenizer.model", "LICENSE*", "USE_POLICY*")
"""What Meta's folders hold beside the weights."""

ORIGINAL = "original"
"""Where a published tokenizer stands that is written in another form too, as in Meta's own folders
on the hub.
"""
PUBLISHED = ("tokenizer.model", "tokenizer_config.json")
FAST = ("tokenizer.json", "special_tokens_map.json")

GLM4_CHAT = (
    "[gMASK]<sop>{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + (message['metadata'] or '') + '\n' + message['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The chat that GLM-4's first files build in Python; they have no template. Later ones bring it."""


def carry(source: Path, target: Path, layout: str) -> list[str]:
    """Copies them; returns their names."""
    patterns = META if layout == "meta" else ALWAYS
    files = {file.name: file for name in patterns for file in source.glob(name) if file.is_file()}
    kept = {name: source / ORIGINAL / name for name in PUBLISHED}
    kept = {name: file for name, file in kept.items() if file.is_file()}
    if kept and layout == "published":
        files = {name: file for name, file in files.items() if name not in FAST} | kept
    elif kept and layout == "meta":
        files = files | {name: file for name, file in kept.items() if name in META}
    elif kept:
        files |= {f"{ORIGINAL}/{name}": file for name, file in kept.items()}
        (target / ORIGINAL).mkdir()
    for name, file in files.items():
        shutil.copyfile(file, target / name)
    return sorted(files)


def generation(config: dict[str, Any], target: Path) -> None:
    """A generation_config.json with the ids at which generation starts and stops, where the model
    came without one.
    """
    file = target / "generation_config.json"
    ids = {
        key: config[key]
        for key in ("bos_token_id", "eos_token_id", "pad_token_id")
        if config.get(key) is not None
    }
    if not file.exists() and ids:
        file.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")


def lacking(config: dict[str, Any], target: Path) -> Iterator[str]:
    """The Python files that auto_map names and the folder does not have."""
    named = (config.get("auto_map") or {}).values()
    flat = [one for value in named for one in (value if isinstance(value, list) else [value])]
    modules = {str(one).partition("--")[2] or str(one) for one in flat if one}
    for module in sorted({module.partition(".")[0] for module in modules}):
        if not (target / f"{module}.py").is_file():
            yield f"{module}.py"


def make_fast(source: Path, target: Path) -> str | None:
    """Writes a tiktoken vocabulary as tokenizer.json, which transformers loads by itself. Returns
    what to know of the tokenizer where it is none.
    """
    if not (target / "tokenizer_config.json").is_file() and not is_meta(source):
        return None
    if (target / "tokenizer.json").is_file():
        return None
    try:
        tokenizer = load_tokenizer(source)
    except UserError as error:  # the weights are none the worse for it
        return f"the tokenizer is as it was in {source}: {error.problems[0].what}"
    if not isinstance(tokenizer, TiktokenTokenizer):
        return (
            "the tokenizer is the published one: after `import foretune.auto`, AutoTokenizer loads "
            "it without the code in the folder"
        )
    (target / ORIGINAL).mkdir(exist_ok=True)
    for name in PUBLISHED:
        if (target / name).is_file():
            (target / name).replace(target / ORIGINAL / name)
    fast = as_fast(tokenizer)
    if fast.chat_template is None and isinstance(tokenizer, ChatGLM4Tokenizer):
        fast.chat_template = GLM4_CHAT
    fast.save_pretrained(target)
    return None
