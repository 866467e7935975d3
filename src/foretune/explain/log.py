"""What the numbers of a Trainer's log, or of its state, say together: the arithmetic behind them,
what could have made them, and what in the logged values is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..check.rules.logged import History, of, told_of
from ..formats.model_config import ModelFile
from ..params.declare import Words
from ..params.document import Document
from ..params.trainer_state import TrainerState
from ..params.training_log import TrainingLog
from ..plan.formula import Formula
from ..plan.logged import BEFORE, Candidate, Counting, candidates, countings, devices, published
from ..plan.steps import batches_per_epoch, passes, steps_per_epoch, total_batch, total_steps
from ..text import counted, number

MOST_STEPS = 10**12
"""Nobody makes more; a number beyond is none of steps."""

MANY_PASSES = 10
"""Passes over the data from which learning by heart is the danger that is named."""


def remarks_on(document: Document, model: ModelFile | None = None) -> Iterator[Words]:
    """What a log or a state says beside its single lines; nothing for any other document."""
    declared = document.declared
    if isinstance(declared, TrainingLog):
        yield from _batch(declared)
        yield from _steps(declared)
        yield from _trainable(declared, model)
        yield from history(declared.log_history)
    elif isinstance(declared, TrainerState):
        yield from _state(declared)
        yield from history(declared.log_history)


def _worked(formula: Formula[..., float], *arguments: Any) -> Words:
    """A formula with its numbers, in both languages."""
    working, value = formula.working(*arguments), formula(*arguments)
    return Words(*(f"{working} = {formula.shown(value, language)}" for language in ("en", "zh")))


def _batch(log: TrainingLog) -> Iterator[Words]:
    """How many devices the total batch tells of."""
    found = devices(log)
    if found is not None:
        told = _worked(total_batch, log.micro, log.accumulation, found)
        yield Words(
            f"Total batch: {told.en}. So {counted(found, 'device')} took part.",
            f"总批量：{told.zh}。可见当时用了 {found} 个设备。",
        )
    elif log.total_batch and log.micro and log.accumulation:
        product = log.micro * log.accumulation
        yield Words(
            f"The total batch {log.total_batch:,} is no multiple of {log.micro} × "
            f"{log.accumulation} = {product:,}: these lines are not of one run.",
            f"总批量 {log.total_batch:,} 不是 {log.micro} × {log.accumulation} = {product:,} 的倍"
            "数：这几行不是出自同一次训练。",
        )


def _steps(log: TrainingLog) -> Iterator[Words]:
    """Which way of counting gives the logged steps, and what others would give."""
    found = list(countings(log))
    if not found or log.steps is None:
        return
    giving = [one for one in found if one.gives(log.steps)]
    if giving:
        chosen = giving[0]
        yield _arithmetic(chosen)
        yield from _releases(found, giving)
        per_epoch = chosen.made.steps_per_epoch
    elif begun := [one for one in found if one.begins(log.steps)]:
        per_epoch = begun[-1].made.steps_per_epoch
        share = _worked(passes, log.steps, per_epoch)
        yield Words(
            f"{log.steps:,} steps fill no whole number of passes: max_steps decided, or a part of "
            f"an epoch was asked for. {share.en}.",
            f"{log.steps:,} 步不是整数遍：步数由 max_steps 决定，或要求的轮数不是整"
            f"数。{share.zh}。",
        )
    else:
        made = ", ".join(sorted({f"{one.made.steps:,}" for one in found}))
        yield Words(
            f"No way of counting gives {log.steps:,} steps; these numbers come to {made}. Rows "
            "that come from a stream, or lines of several runs, would explain it.",
            f"没有哪种计数方法能得到 {log.steps:,} 步，按这些数字应为 {made}。可能是流式数据，或这"
            "几行出自不同的训练。",
        )
        return
    yield from _passes(log, log.steps / per_epoch)


def _arithmetic(chosen: Counting) -> Words:
    made = chosen.made
    batches = _worked(batches_per_epoch, made.examples, made.micro, made.devices, chosen.drop_last)
    each = _worked(steps_per_epoch, made.batches_per_epoch, made.accumulation, chosen.transformers)
    whole = _worked(total_steps, made.epochs, made.steps_per_epoch)
    return Words(
        f"Steps: {batches.en} an epoch; {each.en} an epoch; {whole.en}.",
        f"步数：每轮 {batches.zh}；每轮 {each.zh}；合计 {whole.zh}。",
    )


def _releases(found: Sequence[Counting], giving: Sequence[Counting]) -> Iterator[Words]:
    """The versions of transformers that count so, where they differ."""
    plain = {one.transformers == BEFORE: one for one in found if not one.drop_last}
    before, since = plain.get(True), plain.get(False)
    if before is None or since is None or before.made.steps == since.made.steps:
        return
    old, new = before.made, since.made
    left = old.batches_per_epoch % old.accumulation
    counts = Words(
        f"Before transformers 4.52 what is left over at the end of an epoch "
        f"({counted(left, 'micro batch', 'micro batches')}) made no step: {old.steps:,} = "
        f"{old.epochs:,} × {old.steps_per_epoch:,}. Since then it makes one more: {new.steps:,} = "
        f"{new.epochs:,} × {new.steps_per_epoch:,}.",
        f"transformers 4.52 之前，每轮末尾剩下的部分（{left} 个微批次）不算一步：{old.steps:,} = "
        f"{old.epochs:,} × {old.steps_per_epoch:,}；从 4.52 起多算一步：{new.steps:,} = "
        f"{new.epochs:,} × {new.steps_per_epoch:,}。",
    )
    older = before in giving
    dropped = any(one.drop_last and one.transformers != BEFORE for one in giving)
    so = Words(
        "So this log is of " + ("an older version" if older else "4.52 or later"),
        "因此该日志出自" + ("更早的版本" if older else " 4.52 或更高版本"),
    )
    or_dropped = Words(
        ", or of a run with dataloader_drop_last.", "，或该训练使用了 dataloader_drop_last。"
    )
    end = or_dropped if older and dropped else Words(".", "。")
    yield Words(f"{counts.en} {so.en}{end.en}", f"{counts.zh}{so.zh}{end.zh}")


def _passes(log: TrainingLog, times: float) -> Iterator[Words]:
    if times >= MANY_PASSES and log.num_examples:
        yield Words(
            f"{number(times)} passes over {log.num_examples:,} examples: so many teach the rows by "
            "heart, however few parameters train. Hold rows back and evaluate on them.",
            f"对 {log.num_examples:,} 个样本训练 {number(times)} 遍：无论可训练参数多少，这么多遍都"
            "会让模型死记数据。应留出一部分数据用于评估。",
        )


def _trainable(log: TrainingLog, model: ModelFile | None) -> Iterator[Words]:
    """What could have trained."""
    trainable = log.trainable or log.peft_trainable
    if not trainable:
        return
    if model is not None:
        models = [(type(model.architecture).__name__, model.architecture)]
    else:
        models = list(published())
        if log.peft_all:  # which PEFT counts with what it adds
            base = log.peft_all - trainable
            models = [one for one in models if one[1].shape.num_parameters == base] or models
    found = list(candidates(trainable, models))
    if not found:
        among = (
            Words("this model", "该模型") if model else Words("published sizes", "已知的公开尺寸")
        )
        yield Words(
            f"Nothing that is known gives exactly {trainable:,} trainable parameters on "
            f"{among.en}.",
            f"在{among.zh}上，没有已知的设置恰好得到 {trainable:,} 个可训练参数。",
        )
        return
    ways = [_way(one, named=model is None) for one in found]
    told = "; or ".join(way.en for way in ways), "；或 ".join(way.zh for way in ways)
    share = Words("", "")
    if len({one.model for one in found}) == 1:
        part, whole = trainable / found[0].parameters, found[0].parameters
        share = Words(f" That is {part:.2%} of {whole:,}.", f"占 {whole:,} 的 {part:.2%}。")
    yield Words(
        f"{trainable:,} trainable parameters: {told[0]}.{share.en}",
        f"{trainable:,} 个可训练参数：{told[1]}。{share.zh}",
    )


def _way(found: Candidate, *, named: bool) -> Words:
    setting = found.explanation.setting
    zh = setting.replace(" on every linear", "，加在所有线性层上").replace(" on ", "，加在 ")
    zh = zh.replace(" and prefix_projection", " 且启用 prefix_projection")
    zh = zh.replace("every parameter", "全部参数")
    method = found.explanation.method.replace("full fine-tuning", "全量微调")
    of = Words(f" ({found.model})" if named else "", f"{found.model} 的 " if named else "")
    return Words(f"{found.explanation}{of.en}", f"{of.zh}{method}（{zh}）")


def _state(state: TrainerState) -> Iterator[Words]:
    """How far the run had come, and what its numbers make of an epoch."""
    done, planned = state.global_step, state.max_steps
    whole = (done, planned, state.num_train_epochs, state.best_global_step or 0)
    if max(map(abs, whole)) > MOST_STEPS:
        return
    if done > 0 and planned > 0:
        end = Words("the run is over", "训练已结束")
        if done < planned:
            end = Words(
                f"it can go on from here, with {planned - done:,} steps to go",
                f"可以从这里继续，还剩 {planned - done:,} 步",
            )
        yield Words(
            f"{done:,} of {planned:,} steps are made ({done / planned:.0%}): {end.en}.",
            f"已完成 {planned:,} 步中的 {done:,} 步（{done / planned:.0%}）：{end.zh}。",
        )
    each = done / state.epoch if state.epoch and 1e-9 < state.epoch < 1e9 else 0
    if done > 0 and each and state.epoch:
        yield Words(
            f"{done:,} steps are {number(state.epoch)} epochs: about {number(round(each))} steps "
            "an epoch.",
            f"{done:,} 步为 {number(state.epoch)} 轮：每轮约 {number(round(each))} 步。",
        )
        if planned and state.num_train_epochs - math.ceil(planned / each) > 1:
            yield Words(
                f"So the planned {planned:,} steps end after {planned / each:.2f} epochs: "
                f"max_steps decides, and not the {state.num_train_epochs:,} epochs.",
                f"因此计划的 {planned:,} 步在 {planned / each:.2f} 轮后结束：由 max_steps 决定，而"
                f"不是 {state.num_train_epochs:,} 轮。",
            )
    if state.best_metric is not None and state.best_global_step is not None:
        yield Words(
            f"The best value so far, {number(state.best_metric)}, was reached at step "
            f"{state.best_global_step:,}; {done - state.best_global_step:,} steps since then "
            "brought none better.",
            f"到目前为止的最好值 {number(state.best_metric)} 出现在第 {state.best_global_step:,} "
            f"步，此后 {done - state.best_global_step:,} 步没有更好的结果。",
        )


def history(logged: History) -> Iterator[Words]:
    """What the values that were logged on the way show: how the loss went, and what `foretune
    check` has against them.
    """
    losses = of(logged, "loss")
    sound = [loss for loss in losses if math.isfinite(loss)]
    if len(sound) > 1 and 0 not in sound:
        yield Words(
            f"The loss goes from {number(sound[0])} to {number(sound[-1])} over "
            f"{len(losses):,} lines; the lowest is {number(min(sound))}.",
            f"{len(losses):,} 条日志中损失从 {number(sound[0])} 变为 {number(sound[-1])}，最低 "
            f"{number(min(sound))}。",
        )
    for what, why in told_of(logged):
        yield Words(f"{what.en[:1].upper()}{what.en[1:]}. {why.en}", f"{what.zh}。{why.zh}")
