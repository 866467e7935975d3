"""What was measured of a file, kept in the user's cache under what it hangs on: the content of the
data and of the tokenizer's files, the settings of the data, and the versions of what encodes.

Knows no torch: whoever has measured once is told again without a tokenizer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..facts import Damage, DataFacts, Seen, Texts
from ..files import content_hash, own_folder, write_whole
from ..params.data import Data
from ..params.run import Run
from .read import Split, limit_of

NO_EFFECT = frozenset({
    "train", "validation", "test", "workers", "max_train_rows", "max_eval_rows", "max_predict_rows",
})  # fmt: skip
"""Settings of the data that change nothing of a file's tokens; the limit on rows is kept apart."""
ENCODERS = ("transformers", "tokenizers", "sentencepiece", "tiktoken")
OF_TOKENIZERS = (
    "tokenizer*", "*.model", "*.tiktoken", "vocab*", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template*", "config.json", "generation_config.json",
)  # fmt: skip
"""Files that decide how a tokenizer reads and what its chat template writes."""


def record_key(
    run: Run, file: str | None, split: Split, *, sample: int | None = None
) -> str | None:
    """The name under which what is measured of a file of the run is kept."""
    forced = split == "train" or (split == "evaluate" and not run.generate.enabled)
    limit, named = limit_of(run.data, split), run.model.tokenizer or run.model.path
    return key_of(file, run.data, named, limit=limit, split=split, forced=forced, sample=sample)


def known_facts(run: Run, file: str | None, split: Split) -> DataFacts | None:
    """What was measured of a file of the run before, all of its rows; None where nothing was."""
    return kept(record_key(run, file, split), file or "")


def key_of(
    file: str | None,
    data: Data,
    tokenizer: str | None,
    *,
    limit: int | None,
    split: str,
    forced: bool,
    sample: int | None,
) -> str | None:
    """The name of the record; None where something that it hangs on is not a file here."""
    rows, folder = Path(file or "").expanduser(), Path(tokenizer or "").expanduser()
    if not (file and rows.is_file() and tokenizer and folder.is_dir()):
        return None
    found = sorted({one for pattern in OF_TOKENIZERS for one in folder.glob(pattern)})
    settings = data.model_dump(exclude=set(NO_EFFECT))
    told = {
        "data": [rows.suffix, content_hash(rows)],
        "tokenizer": {one.name: content_hash(one) for one in found if one.is_file()},
        "settings": settings,
        "used": [limit, split, forced, sample],
        "versions": {name: _version(name) for name in ENCODERS},
        "code": {one.name: content_hash(one) for one in _encoders()},
    }
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _encoders() -> list[Path]:
    """The code that encodes: a record of other code is none."""
    here = Path(__file__).parent
    own = [*here.glob("*.py"), *(here.parent / "tokenizers").glob("*.py")]
    return sorted([*own, here.parent / "facts.py"])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def place_of(key: str) -> Path:
    """The file of a record."""
    return own_folder("cache") / "measured" / f"{key}.json"


def kept(key: str | None, file: str) -> DataFacts | None:
    """The record of that name, as of ``file``; None where there is none, or a damaged one."""
    if key is None:
        return None
    try:
        read: dict[str, Any] = json.loads(place_of(key).read_text("utf-8"))
        return _facts(read | {"file": file})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(key: str | None, facts: DataFacts) -> None:
    """Writes a record; a cache that cannot be written is none."""
    if key is None:
        return
    try:
        write_whole(place_of(key), json.dumps(asdict(facts), ensure_ascii=False))
    except OSError:
        return


def _facts(read: dict[str, Any]) -> DataFacts:
    damage, texts = dict(read["damage"]), dict(read["texts"])
    damage |= {"untrained": _seen(damage["untrained"]), "lines": tuple(damage["lines"])}
    return DataFacts(
        **read
        | {
            "damage": Damage(**damage),
            "texts": Texts(**{name: _seen(seen) for name, seen in texts.items()}),
            "lengths": tuple((length, count) for length, count in read["lengths"]),
        }
    )


def _seen(read: dict[str, Any]) -> Seen:
    return Seen(read["count"], tuple(read["lines"]))
