"""Under which names others know a parameter."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..params.declare import Words
from ..params.run import parameters
from ..text import Said
from .removed_arguments import REMOVED

MERGED = ("programs", "spellings")
"""Modules here whose tables are put together from others."""

TABLE = re.compile(r"^(?:KEYS|PATHS)\b", re.MULTILINE)

STANDS_FOR: dict[str, Said] = {
    "disable_gradient_checkpointing": Said(
        "LLaMA-Factory's name for the opposite: true turns it off, and where nothing is written it "
        "is on",
        "LLaMA-Factory 中含义相反的名称：true 表示关闭，不写时为打开",
    ),
    "pissa_init": Said(
        "LLaMA-Factory's true stands for pissa_niter_N, N being its pissa_iter",
        "LLaMA-Factory 的 true 表示 pissa_niter_N，N 取自 pissa_iter",
    ),
    "disable_shuffling": Said(
        "LLaMA-Factory's true stands for sequential", "LLaMA-Factory 的 true 表示 sequential"
    ),
    "mask_history": Said(
        "LLaMA-Factory's true stands for last, and its false for every",
        "LLaMA-Factory 的 true 表示 last，false 表示 every",
    ),
    "pure_bf16": Said(
        "LLaMA-Factory's true stands for bfloat16", "LLaMA-Factory 的 true 表示 bfloat16"
    ),
    "flash_attn": Said(
        "LLaMA-Factory's fa2 stands for flash_attention_2, and its disabled for eager",
        "LLaMA-Factory 的 fa2 表示 flash_attention_2，disabled 表示 eager",
    ),
    "use_reentrant_gc": Said(
        "LLaMA-Factory's value is that of use_reentrant in it",
        "LLaMA-Factory 的取值就是其中 use_reentrant 的值",
    ),
    "use_lora": Said(
        "true stands for lora in Baichuan2's fine-tune.py",
        "在 Baichuan2 的 fine-tune.py 中，true 表示 lora",
    ),
    "num_processes": Said(
        "accelerate counts the processes of all machines together",
        "accelerate 计算的是所有机器合计的进程数",
    ),
    "fp16": Said("its true stands for fp16", "写 true 表示 fp16"),
    "bf16": Said("its true stands for bf16", "写 true 表示 bf16"),
    "fp16.enabled": Said("its true stands for fp16", "写 true 表示 fp16"),
    "bf16.enabled": Said("its true stands for bf16", "写 true 表示 bf16"),
    "fp16_full_eval": Said("its true stands for fp16", "写 true 表示 fp16"),
    "bf16_full_eval": Said("its true stands for bf16", "写 true 表示 bf16"),
    "optimizer.params.betas": Said(
        "the first of its two numbers is this, the second optim.beta2",
        "两个数中第一个就是它，第二个是 optim.beta2",
    ),
    "peft_type": Said(
        "PEFT's LORA stands for lora, and its PREFIX_TUNING for ptuning",
        "PEFT 的 LORA 表示 lora，PREFIX_TUNING 表示 ptuning",
    ),
}
"""What a name's values stand for, where they are not those of the parameter behind it."""


@cache
def tables() -> dict[str, Mapping[str, str]]:
    """The tables of every format that has names of its own for parameters: {module: {name: path}}.

    A format is here by having KEYS or PATHS, from its names to dotted paths.
    """
    found: dict[str, Mapping[str, str]] = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem in MERGED or not TABLE.search(file.read_text("utf-8")):
            continue  # importing what has no table would take longer than all the others
        names = vars(importlib.import_module(f"{__package__}.{file.stem}"))
        table = names.get("PATHS", names.get("KEYS"))
        if isinstance(table, Mapping):
            paths = {**cast(Mapping[str, Any], table), **names.get("ODD_FLAGS", {})}
            known = {name: path for name, path in paths.items() if path in parameters()}
            if known:
                found[file.stem] = known
    return found


def about(module: str) -> Words:
    """What a table is: the first sentence of its module."""
    text = importlib.import_module(f"{__package__}.{module}").__doc__ or module
    first = " ".join(text.split("\n\n")[0].split())
    return Words(first, first)


@cache
def spellings() -> dict[str, tuple[str, ...]]:
    """Dotted path -> the names that other programs and formats have for it."""
    names: dict[str, list[str]] = {}
    for table in tables().values():
        for name, path in table.items():
            names.setdefault(path, []).append(name)
    return {path: tuple(dict.fromkeys(known)) for path, known in names.items()}


def removed(name: str) -> Said | None:
    """Why transformers 5 no longer has an argument; None where it has it, or never had."""
    return REMOVED[name].why if name in REMOVED else None
