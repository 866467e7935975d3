"""What the numbers of a forecast mean, and what to look at: the lines beside the training log."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import DataFacts
from ..text import Said, counted, number, place, sentence_list
from .forecast import Forecast
from .steps import COUNTS_THE_LAST_PARTIAL_ACCUMULATION, Steps
from .version import release


def remarks(forecast: Forecast) -> Iterator[Said]:
    """What the numbers mean, and what to look at, beside the block."""
    if forecast.steps is not None:
        yield from _about_steps(forecast, forecast.steps)
    if forecast.run.launch.train and forecast.trainable is not None and forecast.total:
        share = forecast.trainable / forecast.total
        train, total, name = forecast.trainable, forecast.total, forecast.run.method.name
        yield Said(
            f"{train:,} of {total:,} parameters train ({share:.3%}): {name}",
            f"{total:,} 个参数中训练 {train:,} 个（{share:.3%}）：{name}",
        )
    for facts in (forecast.facts.train, forecast.facts.validation, forecast.facts.test):
        if facts is not None:
            yield from _about_rows(facts)
    trained = forecast.tokens_trained
    if trained is not None:
        about = ("", "") if forecast.rows_seen_equally else ("about ", "约 ")
        yield Said(
            f"{about[0]}{trained:,} tokens are trained on in all",
            f"全程共训练{about[1]}{trained:,} 个词元",
        )


def _about_steps(forecast: Forecast, made: Steps) -> Iterator[Said]:
    version = made.transformers
    yield Said(
        f"{counted(made.batches_per_epoch, 'batch', 'batches')} and "
        f"{counted(made.steps_per_epoch, 'step')} an epoch, {made.passes:.2f} passes over the data "
        f"in all (exact for transformers {version})",
        f"每轮 {made.batches_per_epoch:,} 批、{made.steps_per_epoch:,} 步，数据共过 "
        f"{made.passes:.2f} 遍（对 transformers {version} 精确）",
    )
    left = made.batches_per_epoch % made.accumulation
    if left and made.batches_per_epoch > made.accumulation:
        over = f"an epoch leaves {counted(left, 'batch', 'batches')} over"
        rest = f"每轮剩 {left:,} 批凑不满一次累积"
        older = made.batches_per_epoch // made.accumulation
        if release(version) < COUNTS_THE_LAST_PARTIAL_ACCUMULATION:
            yield Said(
                f"{over}: before transformers 4.52 without a step, since then with one",
                f"{rest}：transformers 4.52 之前不算一步，之后算一步",
            )
        else:
            yield Said(
                f"{over}: a step since transformers 4.52, none before ({older:,} an epoch)",
                f"{rest}：transformers 4.52 起算一步，之前不算（每轮 {older:,} 步）",
            )
    if forecast.run.schedule.max_steps is not None and forecast.run.written("schedule.epochs"):
        yield Said(
            "max_steps decides; the number of epochs that is written has no effect",
            "以 max_steps 为准；写出的轮数不起作用",
        )


def _about_rows(facts: DataFacts) -> Iterator[Said]:
    rows, examples = counted(facts.rows, "row"), counted(facts.examples, "example")
    en, zh = (
        f"{facts.file}: {rows}, {examples}",
        (f"{facts.file}：{facts.rows:,} 行，{facts.examples:,} 个样本"),
    )
    if facts.tokens is not None and facts.trained_tokens is not None:
        longest = number(facts.longest or 0)
        en += (
            f"; {facts.tokens:,} tokens, {facts.trained_tokens:,} with a label, longest example "
            f"{longest}"
        )
        zh += (
            f"；{facts.tokens:,} 个词元，其中 {facts.trained_tokens:,} 个有标签，最长样本 {longest}"
        )
    yield Said(en, zh)
    if facts.sampled is not None:
        share, trained = facts.tokens_within, facts.trained_within
        yield Said(
            f"{facts.file}: estimated from {facts.sampled:,} rows drawn at random; its tokens are "
            f"right within {share:.1%}, those with a label within {trained:.1%}, 19 times of 20; "
            "a longer row than the longest drawn may be there",
            f"{facts.file}：由随机抽取的 {facts.sampled:,} 行估计；词元数的误差 20 次中有 19 次在 "
            f"{share:.1%} 以内，有标签的在 {trained:.1%} 以内；可能有比抽到的最长样本更长的行",
        )
    damage = facts.damage
    counts = {
        Said("rows that cannot be read, skipped", "无法读取而跳过的行"): facts.bad,
        Said("rows without a prompt or a response, left out", "缺少提示或回答而略去的行"): (
            facts.empty
        ),
        Said("prompts cut to the source limit", "截到长度上限的提示"): damage.prompts_cut,
        Said("newest questions that lost their end", "末尾被截掉的最新提问"): (
            damage.questions_cut
        ),
        Said("answers cut to the target limit", "截到长度上限的回答"): damage.answers_cut,
        Said("rows left out for their length", "因过长而略去的行"): damage.dropped,
    }
    told = {what: count for what, count in counts.items() if count}
    if told:
        places = [place(facts.file, n) for n in damage.lines[:3]]
        en = "; ".join(f"{what}: {count:,}" for what, count in told.items())
        zh = "；".join(f"{what.zh}：{count:,}" for what, count in told.items())
        if places:
            en += f", first at {sentence_list(places)}"
            zh += f"，最先出现在 {sentence_list(places, language='zh')}"
        yield Said(f"{facts.file}: {en}", f"{facts.file}：{zh}")
