"""Loading a checkpoint of 1.4 GB, beside transformers' loading of a Llama of the same bytes.

    python benchmarks/loading.py [--rounds 5] [--folder DIR] [--rows ROW...]

Both checkpoints are random, in float16, in five shards of safetensors. Every loading is a process
of its own, ours and the peer's in turns; a time runs until every page of every weight has been
read, and the best of the rounds counts. For the cold rows the files are put out of the page cache
first. Memory is the highest resident size of the process less what it was before, over the bytes of
the loaded weights; "file" is how much of the resident size at the end is the file itself, which
the kernel can take back. The peer of the int4 row is ``from_pretrained`` with the same packing.

torch 2.13.0+cpu, transformers 5.23.0, safetensors 0.8.0, two threads of a 2-core machine with
little else to do (best of 5; the int4 row from a busier hour; from run to run ratios of the cold
rows and of float32 moved between 0.7 and 1.5, for both are as fast as the disk and the memory):

                         ours     peer   ratio    memory    peer    file    peer
    float16            0.08 s   0.17 s    0.44      1.01    1.01    1.00    1.01
    float16, cold      1.06 s   1.05 s    1.01      1.01    1.01    1.00    1.00
    to float32         1.25 s   1.29 s    0.97      1.04    1.50    0.00    0.00
    to float32, cold   1.60 s   2.24 s    0.71      1.04    1.50    0.00    0.00
    to int4            3.38 s  16.67 s    0.20      1.47    3.40    0.69    2.78
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from foretune.models.hf import native_model, published_config
from foretune.models.loading import load_model
from foretune.models.quantized import PackWhileLoading
from foretune.params.arch.chatglm2 import ChatGLM2

HIDDEN, LAYERS, HEADS, KV_HEADS, FFN, VOCABULARY = 1536, 24, 12, 2, 4096, 32768
SHARD = "300MB"

ROWS = [
    ("float16", "float16", "warm"),
    ("float16, cold", "float16", "cold"),
    ("to float32", "float32", "warm"),
    ("to float32, cold", "float32", "cold"),
    ("to int4", "int4", "warm"),
]


def make(folder: Path) -> None:
    """Writes both checkpoints."""
    config = published_config(ChatGLM2)(
        hidden_size=HIDDEN, num_layers=LAYERS, num_attention_heads=HEADS,
        kv_channels=HIDDEN // HEADS, multi_query_group_num=KV_HEADS, multi_query_attention=True,
        ffn_hidden_size=FFN,
        padded_vocab_size=VOCABULARY, seq_length=1024, add_qkv_bias=True, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    llama = LlamaConfig(
        hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, intermediate_size=FFN, vocab_size=VOCABULARY,
        tie_word_embeddings=False, attention_bias=True, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    for name, build in (
        ("ours", lambda: native_model(ChatGLM2)(config)),
        ("peer", lambda: LlamaForCausalLM(llama)),
    ):
        if not (folder / name / "config.json").is_file():
            build().half().save_pretrained(folder / name, max_shard_size=SHARD)


def load(folder: Path, who: str, form: str) -> torch.nn.Module:
    packing: dict[str, Any] = {"dtype": torch.float16}
    if form != "int4":
        packing = {"dtype": getattr(torch, form)}
    else:
        packing["quantization_config"] = PackWhileLoading(bits=4)
    if who == "ours":
        return load_model(folder / "ours", **packing)
    if form == "int4":
        return native_model(ChatGLM2).from_pretrained(folder / "ours", **packing)
    return LlamaForCausalLM.from_pretrained(folder / "peer", **packing)


def kib(name: str, file: str) -> int:
    """A figure of /proc/self. (ru_maxrss is no peak of this process alone: it counts the one that
    started it.)
    """
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self", file).read_text(), re.M)
    return int(found[1]) if found else 0


def resident(kind: str) -> int:
    """Bytes of this process in memory: "Rss", or "Pss_File", the part that is files."""
    return kib(kind, "smaps_rollup") * 1024


def one(folder: Path, who: str, form: str) -> dict[str, float]:
    """One loading in this process."""
    before, file_before = resident("Rss"), resident("Pss_File")
    start = time.perf_counter()
    model = load(folder, who, form)
    tensors = [
        tensor.detach().flatten().view(torch.uint8) for tensor in model.state_dict().values()
    ]
    for tensor in tensors:
        tensor[::4096].sum()
    seconds = time.perf_counter() - start
    weights = sum(tensor.numel() for tensor in tensors)
    peak = kib("VmHWM", "status") * 1024
    return {
        "seconds": seconds,
        "memory": (peak - before) / weights,
        "file": (resident("Pss_File") - file_before) / weights,
    }


def measured(folder: Path, who: str, form: str, state: str) -> dict[str, float]:
    """One loading in a process of its own."""
    for file in (folder / "ours").parent.rglob("*.safetensors"):
        with file.open("rb") as opened:
            if state == "cold":
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while opened.read(2**24):
                    pass
    line = [sys.executable, __file__, "--folder", str(folder), "--one", who, form]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder: Path, rounds: int, titles: list[str]) -> None:
    print(
        f"{'':20}{'ours':>9}{'peer':>9}{'ratio':>8}{'memory':>10}{'peer':>8}{'file':>8}{'peer':>8}"
    )
    for title, form, state in (row for row in ROWS if row[0] in titles):
        found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for round_ in range(rounds):
            for who in ("ours", "peer") if round_ % 2 else ("peer", "ours"):
                found[who].append(measured(folder, who, form, state))
        best = {
            who: {key: min(run[key] for run in runs) for key in runs[0]}
            for who, runs in found.items()
        }
        ours, peer = best["ours"], best["peer"]
        print(
            f"{title:20}{ours['seconds']:7.2f} s{peer['seconds']:7.2f} s"
            f"{ours['seconds'] / peer['seconds']:8.2f}{ours['memory']:10.2f}{peer['memory']:8.2f}"
            f"{ours['file']:8.2f}{peer['file']:8.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", nargs="*", default=[title for title, _, _ in ROWS])
    parser.add_argument("--one", nargs=2)
    asked = parser.parse_args()
    logging.disable_progress_bar()
    if asked.one:
        print(json.dumps(one(asked.folder, *asked.one)))
        return
    with tempfile.TemporaryDirectory() as own:
        folder = asked.folder or Path(own)
        make(folder)
        compare(folder, asked.rounds, asked.rows)


if __name__ == "__main__":
    main()
