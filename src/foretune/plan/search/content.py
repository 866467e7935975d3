"""What is told of a search, part by part, in English or Chinese; ``layout`` sets it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...params.declare import Words
from ...text import number, sentence_list, size
from ..step_time import StepTime, step_time
from ..verdict import SAID
from ..view.content import Say
from ..view.quantities import duration, hours
from .answer import Answer, Goal
from .candidate import Outcome
from .choice import DIMENSIONS
from .labels import METHODS, label, of, program, why

GOALS: dict[Goal, Words] = {
    "time": Words("the fastest", "最快"),
    "cost": Words("the cheapest", "最省费用"),
    "memory": Words("the smallest in memory", "显存最少"),
}
FRONT_ROWS = 12
"""Of the front that are shown; JSON has all."""
FAILURE_ROWS = 10
THOUSAND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of what is told."""

    name: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()


def parts(answer: Answer, language: str = "en") -> list[Part]:
    """All that is told, in order."""
    say = Say(language)
    found = [_question(answer, say), _written(answer, say)]
    if answer.edit is not None:
        found.append(_edit(answer, answer.edit, say))
    if answer.chosen is not None:
        found += [_chosen(answer, answer.chosen, say), _front(answer, say)]
    if answer.beyond:
        found.append(_beyond(answer, say))
    if answer.failures or answer.undivided:
        found.append(_failures(answer, say))
    if answer.nearest is not None:
        found.append(_nearest(answer, say))
    return found


def _question(answer: Answer, say: Say) -> Part:
    space, comma = answer.space, say(", ", "，")
    free = [say.words(words) for name, words in DIMENSIONS.items() if name in answer.free]
    held = [say.words(words) for name, words in DIMENSIONS.items() if name not in answer.free]
    total = space.total
    batch = (
        say("total batch free: steps and learning rate change with it", "总批量可变：步数与学习率随之改变")
        if total is None
        else say(f"total batch of {total:,} rows kept", f"总批量保持 {total:,} 行")
    )
    return Part(
        name="search",
        title=say("Search", "搜索"),
        lines=(
            (say("on", "硬件"), comma.join(map(str, answer.offers))),
            (say("goal", "目标"), say.words(GOALS[answer.goal])),
            (say("gone through", "搜索项"), comma.join([*free, batch])),
            (say("kept as written", "保持不变"), comma.join(held) or say("nothing", "无")),
            (
                say("candidates", "候选"),
                say(
                    f"{answer.seen:,}: {answer.evaluated:,} computed, {answer.pruned:,} ruled out "
                    f"by smaller ones that do not fit, {answer.fitting:,} fit; "
                    f"{duration(answer.seconds)}",
                    f"{answer.seen:,} 个：计算 {answer.evaluated:,} 个，因更小的已放不下而排除 "
                    f"{answer.pruned:,} 个，放得下 {answer.fitting:,} 个；{duration(answer.seconds)}",
                ),
            ),
        ),
    )


def _written(answer: Answer, say: Say) -> Part:
    own = answer.written
    lines = [(say("on", "硬件"), of(own)), (say("memory", "显存"), memory_of(own, say))]
    if own.verdict == "does not fit":
        lines.append((say("why", "原因"), why(answer.memory(own), own.fit.limit, say)))
    lines.append((say("time", "时间"), time_of(answer, own, say)))
    return Part(name="written", title=say("As it is written", "按原设置"), lines=tuple(lines))


def _edit(answer: Answer, edit: Outcome, say: Say) -> Part:
    return Part(
        name="edit",
        title=say("The smallest change that makes it fit", "使其放得下的最小改动"),
        lines=(
            *changes(answer, edit, say),
            (say("memory", "显存"), memory_of(edit, say)),
            (say("time", "时间"), time_of(answer, edit, say)),
        ),
    )


def _chosen(answer: Answer, chosen: Outcome, say: Say) -> Part:
    goal = say.words(GOALS[answer.goal])
    remarks: list[str] = []
    if chosen.choice.offload != "none":
        held = size(main_memory(answer, chosen))
        remarks.append(
            say(
                f"about {held} of main memory on each machine must be free for what is offloaded",
                f"每台机器约需 {held} 空闲内存来存放卸载的内容",
            )
        )
    if chosen.choice.method != answer.written.choice.method:
        remarks.append(
            say(
                "it trains another thing than the run as it is written, with another learning rate",
                "训练对象与原设置不同，学习率也不同",
            )
        )
    if chosen.verdict != "fits":
        remarks.append(say("it may not fit: nothing fits for sure", "可能放不下：没有确定放得下的候选"))
    return Part(
        name="chosen",
        title=say(f"Chosen: {goal} that fits", f"选定：放得下的候选中{goal}"),
        lines=(
            (say("on", "硬件"), of(chosen)),
            (say("what it is", "方案"), label(chosen.choice, say)),
            *(changes(answer, chosen, say) or [(say("change", "改动"), say("none", "无"))]),
            (say("memory", "显存"), memory_of(chosen, say)),
            (say("time", "时间"), time_of(answer, chosen, say)),
            (say("cost", "费用"), cost_of(answer, chosen, say)),
        ),
        remarks=tuple(remarks),
    )


def _front(answer: Answer, say: Say) -> Part:
    shown = thinned(answer.front, answer.chosen)
    left = len(answer.front) - len(shown)
    more = say(f"{left:,} more are in --format json", f"其余 {left:,} 个见 --format json")
    return Part(
        name="front",
        title=say(
            "Pareto front: no other candidate of the method is better in all three",
            "帕累托前沿：同一方法中没有三项都更优的候选",
        ),
        head=_head(answer, say),
        rows=tuple(_row(answer, one, shown, say) for one in shown),
        remarks=(more,) if left else (),
    )


def _beyond(answer: Answer, say: Say) -> Part:
    shown = thinned(answer.beyond, None, most=FRONT_ROWS // 2)
    return Part(
        name="forecast_only",
        title=say("Forecast only", "仅供预测"),
        head=_head(answer, say),
        rows=tuple(_row(answer, one, shown, say) for one in shown),
        remarks=(
            say(
                "no trainer here shares out matrices (TP), blocks (PP) or rows (CP) of these "
                "models: what another program would need and take, as far as the formulas go",
                "本项目的训练器不对这些模型做张量（TP）、流水线（PP）或上下文（CP）并行："
                "此处只是按公式预测其他程序的显存与时间",
            ),
        ),
    )


def _head(answer: Answer, say: Say) -> tuple[str, ...]:
    money = answer.offers[0].price is not None
    seen = answer.task.rows_seen
    time = say("run", "全程") if seen else say("1,000 rows", "每千行")
    return time, say("memory", "显存"), say("cost", "费用") if money else "GPU h", say("settings", "设置")


def _row(answer: Answer, one: Outcome, shown: Sequence[Outcome], say: Say) -> tuple[str, ...]:
    rows = answer.task.rows_seen or THOUSAND
    mark = " ←" if one is answer.chosen else ""
    doubt = "" if one.verdict == "fits" else f" ({say.words(SAID[one.verdict])})"
    name = label(one.choice, say, [other.choice for other in shown])
    if len(answer.offers) > 1:
        name = f"{one.offer.device.name}{say(', ', '，')}{name}"
    return (
        hours(one.per_row * rows / 3600),
        size(one.used),
        _amount(one, rows),
        f"{name}{doubt}{mark}",
    )


def _amount(one: Outcome, rows: int) -> str:
    if one.offer.price is None:
        return f"{one.gpu_seconds * rows / 3600:,.3g}"
    return f"{one.cost * rows:,.2f}"


def _failures(answer: Answer, say: Say) -> Part:
    whole = [one for one in answer.failures if not one.fitting]
    listed = sorted({_group_key(one): one for one in reversed(whole)}.values(), key=_least)
    rows = [
        (
            _group_words(one, say),
            size(one.least.used),
            why(answer.memory(one.least), one.least.fit.limit, say),
        )
        for one in listed[:FAILURE_ROWS]
    ]
    remarks = list(_other_failures(answer, len(listed) - len(rows), say))
    return Part(
        name="fails",
        title=say("Why the rest does not fit", "其余放不下的原因"),
        head=(say("what", "方案"), say("needs at least", "至少需要"), say("why", "原因")),
        rows=tuple(rows),
        remarks=tuple(remarks),
    )
