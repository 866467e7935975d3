"""How long it takes from a file to examples: ours, and the way of the authors' scripts as the peer.

    python benchmarks/data.py MODEL_FOLDER [--rows 114599] [--processes 2]

Rows are made up, as long as those of AdvertiseGen (114,599 rows, about 60 and 110 characters). The
peer reads them with the package `datasets` and encodes them in its ``map``, with the same tokenizer
and the same encoding function, single process; it is left out where `datasets` is not installed.

Python 3.11, transformers 5.23.0, datasets 5.2.0, vocabulary of ChatGLM2-6B, on 2 cores that other
work kept busy (load 5), so that wall times say little and a second process gains little:

    datasets: load_dataset and map             wall   18.5 s   processor    9.9 s
    foretune: read the rows                    wall    1.7 s   processor    1.0 s  x0.10
    foretune: read and encode, 1 process       wall   13.0 s   processor    8.7 s  x0.88
    foretune: read and encode, 2 processes     wall   10.2 s   processor   10.2 s  x1.03
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foretune.data.encoded import family_of
from foretune.data.prepare import prepare
from foretune.data.read import read_rows
from foretune.data.rows import Row
from foretune.params.data import Data
from foretune.tokenizers import load_tokenizer

WORDS = ["类型", "上衣", "材质", "牛仔布", "颜色", "白色", "风格", "简约", "图案", "刺绣"]
WORDS += ["外套", "破洞", "宽松", "显瘦", "百搭", "时尚", "设计", "的", "了"]


def made_up_rows(count: int) -> list[dict[str, str]]:
    """Rows with the keys and about the lengths of AdvertiseGen; always the same."""
    source = random.Random(0)
    return [
        {
            "content": "*".join(
                f"{source.choice(WORDS)}#{source.choice(WORDS)}"
                for _ in range(source.randint(4, 16))
            ),
            "summary": "".join(source.choices(WORDS, k=source.randint(30, 75))) + "。",
        }
        for _ in range(count)
    ]


def timed(what: str, work: Callable[[], Any], than: float | None = None) -> float:
    """Processor seconds of the work, its children's too; printed with wall seconds and a ratio.

    Processor time is what two runs on a busy machine can be compared by.
    """
    began, before = time.perf_counter(), sum(os.times()[:4])
    work()
    wall, spent = time.perf_counter() - began, sum(os.times()[:4]) - before
    ratio = f"  x{spent / than:.2f}" if than else ""
    print(f"{what:42} wall {wall:6.1f} s   processor {spent:6.1f} s{ratio}")
    return spent


def peer(file: str, data: Data, tokenizer: Any, cache: str) -> None:
    from datasets import load_dataset  # pyright: ignore[reportMissingImports]

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        pairs = zip(batch["content"], batch["summary"], strict=True)
        made = [
            family_of(tokenizer).encode_training(Row(1, *pair), tokenizer, data) for pair in pairs
        ]
        return {
            "input_ids": [encoded.input_ids for encoded in made],
            "labels": [encoded.labels for encoded in made],
        }

    rows = load_dataset("json", data_files=file, cache_dir=cache, split="train")
    rows.map(encode, batched=True, remove_columns=["content", "summary"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="model folder with a tokenizer")
    parser.add_argument("--rows", type=int, default=114_599)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    tokenizer = load_tokenizer(given.folder)
    columns = {"prompt_column": "content", "response_column": "summary"}
    one = Data(max_source_length=64, max_target_length=128, **columns)
    several = one.model_copy(update={"workers": given.processes})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        lines = (json.dumps(row, ensure_ascii=False) for row in made_up_rows(given.rows))
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        than = None
        try:
            than = timed(
                "datasets: load_dataset and map", lambda: peer(str(file), one, tokenizer, folder)
            )
        except ImportError:
            print("datasets is not installed: no peer")
        timed("foretune: read the rows", lambda: read_rows(str(file), one), than)
        for data, name in ((one, "1 process"), (several, f"{given.processes} processes")):
            timed(
                f"foretune: read and encode, {name}",
                lambda data=data: prepare(str(file), data, tokenizer, split="train"),
                than,
            )


if __name__ == "__main__":
    main()
