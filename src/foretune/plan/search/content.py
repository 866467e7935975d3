"""What is told of a search, part by part, in English or Chinese; ``layout`` sets it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...params.declare import Words
from ...text import number, sentence_list, size
from ..verdict import SAID
from ..view.content import Say
from ..view.quantities import duration, hours
from .answer import Answer, Failure, Goal
from .candidate import Outcome
from .choice import DIMENSIONS
from .labels import METHODS, label, of, program, why
from .main_memory import main_memory

GOALS: dict[Goal, Words] = {
    "time": Words("the fastest", "最快"),
    "cost": Words("the cheapest", "最省费用"),
    "memory": Words("the smallest in memory", "显存最少"),
}
FRONT_ROWS = 8
OTHERS_ROWS = 4
"""Of the fronts that are shown: of the chosen method's, and of each other's; JSON has all."""
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
        say(
            "total batch free: steps and learning rate change with it",
            "总批量可变：步数与学习率随之改变",
        )
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
                    f"{answer.pruned:,} 个，放得下 {answer.fitting:,} 个；"
                    f"{duration(answer.seconds)}",
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
    asked, there = own.choice.gpus, own.offer.count
    more = say(
        f"it asks for {asked:,} GPUs, and there are {there:,}",
        f"它要用 {asked:,} 张 GPU，而只有 {there:,} 张",
    )
    return Part(
        name="written",
        title=say("As it is written", "按原设置"),
        lines=tuple(lines),
        remarks=(more,) if asked > there else (),
    )


def _edit(answer: Answer, edit: Outcome, say: Say) -> Part:
    return Part(
        name="edit",
        title=say("The smallest change that makes it fit", "使其放得下的最小改动"),
        lines=(
            *changes(answer, edit),
            (say("memory", "显存"), memory_of(edit, say)),
            (say("time", "时间"), time_of(answer, edit, say)),
        ),
        remarks=tuple(_remarks(answer, edit, say)),
    )


def _chosen(answer: Answer, chosen: Outcome, say: Say) -> Part:
    goal = say.words(GOALS[answer.goal])
    return Part(
        name="chosen",
        title=say(f"Chosen: {goal} that fits", f"选定：放得下的候选中{goal}"),
        lines=(
            (say("on", "硬件"), of(chosen)),
            (say("what it is", "方案"), label(chosen.choice, say)),
            *(changes(answer, chosen) or [(say("change", "改动"), say("none", "无"))]),
            (say("memory", "显存"), memory_of(chosen, say)),
            (say("time", "时间"), time_of(answer, chosen, say)),
            (say("cost", "费用"), cost_of(answer, chosen, say)),
        ),
        remarks=tuple(_remarks(answer, chosen, say)),
    )


def _remarks(answer: Answer, one: Outcome, say: Say) -> Iterator[str]:
    """What must be known before settings are taken over."""
    if one.choice.offload != "none":
        held = size(main_memory(answer.task.shape, one))
        yield say(
            f"about {held} of main memory on each machine must be free for what is offloaded",
            f"每台机器约需 {held} 空闲内存来存放卸载的内容",
        )
    if one.choice.method != answer.written.choice.method:
        yield say(
            "it trains another thing than the run as it is written; look at its learning rate",
            "训练对象与原设置不同，请核对学习率",
        )
    if one.choice.total != answer.written.choice.total:
        yield say(
            f"a step has {one.choice.total:,} rows in place of {answer.written.choice.total:,}: "
            "fewer or more steps, and another learning rate may suit",
            f"每步 {one.choice.total:,} 行，原为 {answer.written.choice.total:,} 行："
            "步数随之改变，学习率可能也要调整",
        )
    if one.verdict != "fits":
        yield say("it may not fit: nothing fits for sure", "可能放不下：没有确定放得下的候选")


def _front(answer: Answer, say: Say) -> Part:
    shown = shown_of(answer)
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
    shown = thinned(answer.beyond, None, most=OTHERS_ROWS)
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
    return (
        time,
        say("memory", "显存"),
        say("cost", "费用") if money else "GPU h",
        say("settings", "设置"),
    )


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
    groups = together(answer.failures)
    rows = [
        (
            say(f"{words} ({number(count)})", f"{words}（{number(count)} 个）"),
            size(least.used),
            why(answer.memory(least), least.fit.limit, say),
        )
        for words, count, least in (
            (_group(group, say), sum(one.count for one in group), group[0].least)
            for group in groups[:FAILURE_ROWS]
        )
    ]
    return Part(
        name="fails",
        title=say("Why the rest does not fit", "其余放不下的原因"),
        head=(
            say("what (candidates)", "方案（候选数）"),
            say("at least", "至少需要"),
            say("why", "原因"),
        ),
        rows=tuple(rows),
        remarks=tuple(_other_failures(answer, len(groups) - len(rows), say)),
    )


def together(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Groups of which nothing fits, those that differ in the number of GPUs alone beside each
    other; the one that needs least first.
    """
    found: dict[tuple[object, ...], list[Failure]] = {}
    for one in failures:
        if not one.fitting:
            found.setdefault(one.group._replace(gpus=0), []).append(one)
    return list(found.values())


def _group(group: Sequence[Failure], say: Say) -> str:
    one = group[0].group
    counts = [f"{one:,}" for one in sorted(other.group.gpus for other in group)]
    words = [
        say.words(METHODS[one.method]),
        *([f"int{one.quantize}"] if one.quantize else []),
        program(one.sharding, one.offload, say),
        *(["TP/PP/CP"] if one.spread else []),
    ]
    on = counts[0] if len(counts) == 1 else counts[0] + say(" to ", " 到 ") + counts[-1]
    name = f"{on} x {group[0].least.offer.device.name}"
    return say(", ", "，").join(words) + say(f" on {name}", f"，{name}")


def _other_failures(answer: Answer, left: int, say: Say) -> Iterator[str]:
    if left > 0:
        yield say(
            f"{left:,} more such groups are in --format json", f"另有 {left:,} 组见 --format json"
        )
    part = [one for one in answer.failures if one.fitting]
    if part:
        count = sum(one.count for one in part)
        yield say(
            f"{count:,} others fail for the size of their micro batch: with a smaller one, or with "
            "checkpointing, the same fits",
            f"另有 {count:,} 个因微批次过大而放不下：减小微批次或打开梯度检查点即可",
        )
    if answer.undivided and answer.space.total is not None:
        groups = sentence_list([f"{one:,}" for one in answer.undivided], language=say.language)
        total = answer.space.total
        yield say(
            f"a total batch of {total:,} rows cannot be shared out evenly over {groups} groups of "
            "GPUs; --free-batch lets it change",
            f"总批量 {total:,} 行无法平均分给 {groups} 组 GPU；用 --free-batch 允许改变总批量",
        )


def _nearest(answer: Answer, say: Say) -> Part:
    found = answer.nearest
    assert found is not None
    least, no = found.least, say("none known", "没有已知的")
    device = no if found.device is None else f"{found.device.name} ({found.device.memory_gb:g} GB)"
    gpus = f"{found.gpus:,} x {least.offer.device.name}" if found.gpus else no
    length = say(f"{found.length:,} tokens", f"{found.length:,} 个词元") if found.length else no
    return Part(
        name="nearest",
        title=say("Nothing fits. What is nearest", "没有放得下的方案，最接近的是"),
        lines=(
            (say("needs least", "需求最少"), f"{of(least)}: {label(least.choice, say)}"),
            (say("memory", "显存"), memory_of(least, say)),
            (say("why", "原因"), why(answer.memory(least), least.fit.limit, say)),
            (say("smallest GPU for it", "所需最小的 GPU"), device),
            (say("fewest of this GPU", "同型 GPU 至少"), gpus),
            (say("or rows of at most", "或每行至多"), length),
        ),
    )


def shown_of(answer: Answer) -> list[Outcome]:
    """Of the front of the chosen method most that are shown; of each other method a few."""
    chosen = answer.chosen
    own = [one for one in answer.front if chosen and one.choice.method == chosen.choice.method]
    methods = dict.fromkeys(one.choice.method for one in answer.front if one not in own)
    found = thinned(own, chosen)
    for method in methods:
        others = [one for one in answer.front if one.choice.method == method]
        found += thinned(others, None, most=OTHERS_ROWS)
    return found


def thinned(
    front: Sequence[Outcome], chosen: Outcome | None, most: int = FRONT_ROWS
) -> list[Outcome]:
    """So many of a front: the best in each of the three, the chosen one, and others between."""
    if len(front) <= most:
        return list(front)
    kept = {min(range(len(front)), key=lambda place: front[place].three[n]) for n in range(3)}
    kept |= {place for place, one in enumerate(front) if one is chosen}
    step = (len(front) - 1) / (most - 1)
    for number_ in range(most):
        if len(kept) < most:
            kept.add(round(number_ * step))
    return [front[place] for place in sorted(kept)]


def changes(answer: Answer, outcome: Outcome) -> list[tuple[str, str]]:
    """What must be set, with what the run has in its place."""
    run = answer.task.written
    return [
        (path, f"{written(value)} ← {written(run.get(path))}")
        for path, value in answer.candidate(outcome).settings.items()
        if value is not None or run.get(path) is not None
    ]


def written(value: object) -> str:
    """A value as a run file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value)


def memory_of(one: Outcome, say: Say) -> str:
    """Bytes beside what there is."""
    said, limit = say.words(SAID[one.verdict]), size(one.fit.limit)
    low, high = size(one.fit.low), size(one.fit.high)
    return say(
        f"{size(one.used)} of {limit} ({low} to {high}): {said}",
        f"{size(one.used)}，可用 {limit}（{low} 到 {high}）：{said}",
    )


def time_of(answer: Answer, one: Outcome, say: Say) -> str:
    """Of a step, of an epoch and of the whole run, as far as they are known."""
    step = answer.step(one)
    low, high = duration(step.low), duration(step.high)
    found = [say(f"{duration(step.seconds)} a step ({low} to {high})",
                 f"每步 {duration(step.seconds)}（{low} 到 {high}）")]  # fmt: skip
    train, seen = answer.task.facts.train, answer.task.rows_seen
    if train is not None:
        epoch = hours(one.per_row * train.examples / 3600)
        found.append(say(f"{epoch} an epoch", f"每轮 {epoch}"))
    if seen:
        found.append(
            say(
                f"{hours(one.per_row * seen / 3600)} in all",
                f"全程 {hours(one.per_row * seen / 3600)}",
            )
        )
    else:
        thousand = duration(one.per_row * THOUSAND)
        found.append(say(f"{thousand} for 1,000 rows", f"每千行 {thousand}"))
    return say(", ", "，").join(found)


def cost_of(answer: Answer, one: Outcome, say: Say) -> str:
    """GPU hours, and money where a price was given."""
    rows = answer.task.rows_seen or THOUSAND
    of_rows = "" if answer.task.rows_seen else say(" for 1,000 rows", "（每千行）")
    found = f"{one.gpu_seconds * rows / 3600:,.3g} GPU h"
    if one.offer.price is not None:
        found += say(", ", "，") + f"{one.cost * rows:,.2f}"
    return found + of_rows
