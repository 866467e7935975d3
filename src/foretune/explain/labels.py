"""The words that pages are made of, beside those of the declarations."""

from __future__ import annotations

from ..params.declare import Words

LABELS: dict[str, Words] = {
    "parameter": Words("parameter", "参数"),
    "means": Words("meaning", "含义"),
    "value": Words("value", "当前值"),
    "origin": Words("from", "来自"),
    "takes": Words("takes", "取值"),
    "default": Words("default", "默认值"),
    "unset": Words("when unset", "未写时"),
    "unit": Words("unit", "单位"),
    "also": Words("also written", "其他写法"),
    "source": Words("source", "出处"),
    "matters": Words("matters", "重要程度"),
    "family": Words("key of", "所属文件"),
    "rules": Words("checked by", "检查规则"),
    "no effect": Words("no effect", "不起作用"),
    "unwritten": Words("default", "默认值"),
    "here": Words("Here, compared with {other}:", "在这里，与 {other} 相比："),
    "example": Words(
        "For example ({what}), {value} compared with {other}:",
        "举例来说（{what}），取 {value} 与取 {other} 相比：",
    ),
    "assumed": Words(
        "How memory, tokens and operations of a step are counted: {what}",
        "一步的显存、词元与运算量的计算依据：{what}",
    ),
    "instead": Words("{label}: {here} instead of {other}", "{label}：{here}，而不是 {other}"),
    "off": Words("none", "不设"),
    "double": Words("{value}, its double", "{value}（两倍）"),
    "between": Words(", ", "、"),
    "colon": Words(": ", "："),
    "hidden": Words(
        "{count} of little importance are not shown: {names} (--all shows them)",
        "另有 {count} 项不太重要，未显示：{names}（加 --all 显示）",
    ),
    "silent": Words(
        "Without any effect, whatever the value: {names}", "无论取什么值都不起作用：{names}"
    ),
    "notes": Words("Notes", "说明"),
    "autos": Words("Left to other sources (auto)", "交给其他来源决定的项（auto）"),
    "gone": Words(
        "transformers 5 has no {name} any more: {why}.", "transformers 5 已没有 {name}：{why}。"
    ),
    "read as": Words("It is read as:", "它会被读作："),
    "line": Words("line {number}", "第 {number} 行"),
    "stop": Words(".", "。"),
    "nothing": Words("It has no effect today.", "如今不起作用。"),
    "weights": Words("{count} parameters", "{count} 个参数"),
    "adapted": Words(
        "LoRA on {model}, 1,000 rows as long as the limits allow, one GPU",
        "在 {model} 上做 LoRA，1,000 行达到长度上限的数据，一块 GPU",
    ),
    "prefixed": Words(
        "P-Tuning v2 on {model}, 1,000 rows as long as the limits allow, one GPU",
        "在 {model} 上做 P-Tuning v2，1,000 行达到长度上限的数据，一块 GPU",
    ),
    "frozen": Words(
        "the last blocks of {model} trained, 1,000 rows as long as the limits allow, one GPU",
        "训练 {model} 的最后几个块，1,000 行达到长度上限的数据，一块 GPU",
    ),
    "sizes": Words("{model}", "{model}"),
}


def say(label: str, language: str, /, **parts: object) -> str:
    """A label in a language, with what belongs into it."""
    return LABELS[label].in_language(language).format(**parts)


MATTERS = {
    3: Words("makes or breaks a run", "决定成败"),
    2: Words("worth knowing", "值得了解"),
    1: Words("housekeeping", "次要"),
}
MADE = Words(
    "Made by `python -m foretune.explain.reference docs/reference` from the declarations; never "
    "edited.",
    "由 `python -m foretune.explain.reference docs/reference` 根据声明生成，请勿手工修改。",
)
STARS = {3: "★★★", 2: "★★", 1: "★"}
