"""The units that parameters and formulas are counted in, with their Chinese names."""

from __future__ import annotations

UNITS = {
    "batches": "批",
    "batches per worker": "批（每个进程）",
    "bits per weight": "位（每个权重）",
    "blocks": "块",
    "bytes": "字节",
    "checkpoints": "个检查点",
    "elements": "个元素",
    "examples": "个样本",
    "examples per device": "个样本（每个设备）",
    "FLOP": "次浮点运算",
    "hours": "小时",
    "kWh": "千瓦时",
    "machines": "台机器",
    "micro batches per optimizer step": "个微批次（每个优化器步）",
    "MiB": "MiB",
    "money": "（单价的货币）",
    "optimizer steps": "个优化器步",
    "parameters": "个参数",
    "passes over the data": "遍数据",
    "positions": "个位置",
    "processes": "个进程",
    "processes per device": "个进程（每个设备）",
    "processes per node": "个进程（每个节点）",
    "rows": "行",
    "seconds": "秒",
    "steps": "步",
    "times": "倍",
    "tokens": "个词元",
}


ONE = {"batches": "batch", "passes": "pass", "processes": "process"}
"""The English words of which one is not merely without its s."""


def unit_in(unit: str, language: str, count: float | None = None) -> str:
    """The unit in a language, of one or of many; as it is declared where it has no Chinese name."""
    if language == "zh":
        return UNITS.get(unit, unit)
    if count != 1:
        return unit
    words = unit.split()
    plural = next((at for at, word in enumerate(words) if word.endswith("s")), None)
    if plural is not None:
        words[plural] = ONE.get(words[plural], words[plural].removesuffix("s"))
    return " ".join(words)
