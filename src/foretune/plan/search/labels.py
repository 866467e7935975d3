"""What the places of a space are called, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...params.declare import Words
from ...text import size
from ..memory.part_names import PARTS
from ..memory.peak import Memory, Parts
from ..view.content import Say
from .candidate import Outcome
from .choice import Choice

METHODS = {
    "ptuning": Words("P-Tuning v2", "P-Tuning v2"),
    "lora": Words("LoRA", "LoRA"),
    "freeze": Words("freeze", "部分训练"),
    "full": Words("full", "全参数"),
}
SHARDS = {"none": "", "zero-1": "ZeRO-1", "zero-2": "ZeRO-2", "zero-3": "ZeRO-3", "fsdp": "FSDP"}
HELD = ("weights", "gradients", "optimizer", "master", "communication")
"""What lies in memory whatever the batch is."""


def label(choice: Choice, say: Say, others: Sequence[Choice] = ()) -> str:
    """A place in words. What it shares with all ``others`` is left out, the batch never; without
    others, what it does not do.
    """

    def tells(name: str) -> bool:
        if not others:
            return bool(getattr(choice, name)) or name == "checkpointing"
        return any(getattr(one, name) != getattr(choice, name) for one in others)

    found = list(_words(choice, say, tells))
    found.append(say("micro batch", "微批次") + f" {choice.micro} × {choice.accumulation}")
    return say(", ", "，").join(found)


def _words(choice: Choice, say: Say, tells: Callable[[str], bool]) -> Iterator[str]:
    if tells("gpus"):
        yield f"{choice.gpus:,} GPU" + say("s" if choice.gpus > 1 else "", "")
    if tells("method"):
        yield say.words(METHODS[choice.method])
    if tells("quantize"):
        yield (
            say(f"{choice.quantize}-bit base", f"{choice.quantize} 位基座")
            if choice.quantize
            else say("base not packed", "基座不量化")
        )
    if tells("mixed"):
        yield say("no amp", "不用混合精度") if choice.mixed == "no" else choice.mixed
    if tells("sharding") or tells("offload"):
        yield program(choice.sharding, choice.offload, say)
    for name, short in (("tensor", "TP"), ("pipeline", "PP"), ("context", "CP")):
        if getattr(choice, name) > 1:
            yield f"{short}{getattr(choice, name)}"
    if tells("checkpointing"):
        yield (
            say("checkpointing", "梯度检查点")
            if choice.checkpointing
            else say("no checkpointing", "无梯度检查点")
        )
    if tells("padding"):
        yield say("padded", "填充到上限") if choice.padding else say("not padded", "不填充到上限")


def program(sharding: str, offload: str, say: Say) -> str:
    """What shards, and what is offloaded."""
    name = SHARDS[sharding] or say("not sharded", "不分片")
    away = {
        "none": "",
        "optimizer": say(" with the optimizer offloaded", "（优化器卸载）"),
        "all": say(" with weights and optimizer offloaded", "（权重与优化器卸载）"),
    }
    return name + away[offload]


WHILE = {
    "load": Words("while it is loaded: ", "加载时："),
    "step": Words("", ""),
    "evaluate": Words("in evaluation: ", "评估时："),
    "save": Words("while it is saved: ", "保存时："),
}
"""Phase of a run -> how a reason begins that is about it."""


def why(need: Memory, limit: float, say: Say) -> str:
    """Which parts are over the limit: those that are there whatever the batch is, if they alone
    are, else what does not go beside them.
    """
    phase = max(need.phases, key=lambda name: need.phases[name].total)
    return say.words(WHILE[phase]) + _over(need, need.phases[phase], limit, say)


def _over(need: Memory, parts: Parts, limit: float, say: Say) -> str:
    found = {name: getattr(parts, name) for name in PARTS if hasattr(parts, name)}
    found |= {"context": need.context, "fragmentation": need.fragmentation}
    fixed = {name: value for name, value in found.items() if name in (*HELD, "context")}
    large = {name: value for name, value in found.items() if value > limit / 50}

    def told(names: Iterator[str]) -> str:
        named = sorted(names, key=lambda name: -large[name])
        return say(", ", "、").join(f"{say.words(PARTS[one])} {size(large[one])}" for one in named)

    lying = told(name for name in large if name in fixed)
    passing = told(name for name in large if name not in fixed)
    if sum(fixed.values()) > limit:
        return say(f"{lying}: alone more than {size(limit)}", f"{lying}：仅此就超过 {size(limit)}")
    if not lying:
        return say(f"{passing}: more than {size(limit)}", f"{passing}：超过 {size(limit)}")
    return say(f"{lying} leave too little for {passing}", f"{lying}之外，剩下的放不下{passing}")


def of(outcome: Outcome) -> str:
    """The GPU of an outcome, and how many of it."""
    return f"{outcome.choice.gpus:,} x {outcome.offer.device.name}"
