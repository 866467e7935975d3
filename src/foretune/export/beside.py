"""The files of a model's folder that go along with its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ALWAYS = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "*.tiktoken", "chat_template*", "generation_config.json", "LICENSE*",
    "*LICENSE", "NOTICE*", "USE_POLICY*", "*.py",
)  # fmt: skip
"""The tokenizer, how to generate, what one may do with the model, and the code that auto_map names.
Nothing of it is run.
"""


def carry(source: Path, target: Path) -> list[str]:
    """Copies them; returns their names."""
    files = sorted({file for pattern in ALWAYS for file in source.glob(pattern) if file.is_file()})
    for file in files:
        shutil.copyfile(file, target / file.name)
    return [file.name for file in files]


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
