"""Rules about what a Trainer logged on the way, in its log or its trainer_state.json: a loss that
is no loss, a learning rate that does not move, a model that learns by heart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...params.declare import Words
from ...params.document import Document
from ...params.trainer_state import TrainerState
from ...params.training_log import TrainingLog
from ...text import number
from ..finding import Found, both
from ..rule import ARGUMENT, Example, Rule, Subject, rule
from .examples import DATA

History = Sequence[Mapping[str, Any]]
Saying = Callable[[History], Words | None]

FEW_LINES = 3
"""So many lines say whether something moves."""


def of(logged: History, key: str) -> list[float]:
    """All values of one key, in their order."""
    values = (one.get(key) for one in logged)
    return [value for value in values if isinstance(value, int | float)]


def example(*lines: dict[str, float]) -> Example:
    """A log with such lines."""
    declared = TrainingLog(log_history=lines)
    keys = {"log_history": list(lines)}
    log = Document(kind="training log", file="train.log", declared=declared, keys=keys, lines={})
    return Example(documents=(log,))


def found(it: Subject, key: str, say: Saying, fix: Words) -> Iterator[Found]:
    """The finding on a key of every log that has something to say of it."""
    for document in it.run.documents:
        if not isinstance(document.declared, TrainingLog | TrainerState):
            continue
        if what := say(document.declared.log_history):
            origin = document.origin("log_history")
            yield it.found(f"{ARGUMENT}{key}", what, fix=fix, origin=origin)


def losses_that_are_no_numbers(logged: History) -> Words | None:
    """How many losses are NaN or infinite."""
    losses = of(logged, "loss")
    bad = sum(not math.isfinite(loss) for loss in losses)
    told = f"{bad:,} of {len(losses):,} lines"
    return _if(
        bad > 0,
        f"the loss is not a number in {told}",
        f"{len(losses):,} 条日志中有 {bad:,} 条损失不是数字",
    )


@rule(
    "H101",
    f"{ARGUMENT}loss",
    severity="error",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1415",
    flags=example({"loss": 3.0}, {"loss": math.nan}),
    allows=example({"loss": 3.0}, {"loss": 2.5}),
)
def the_loss_became_no_number(it: Subject) -> Iterator[Found]:
    """The weights are ruined from the first of them on: half precision overflowed, or the learning
    rate is too large.

    从第一条起权重就已损坏。原因是半精度溢出，或学习率过大。
    """
    fix = both(
        "go on from a checkpoint before it with bf16 or a smaller learning rate",
        "从此前的检查点继续，改用 bf16 或更小的学习率",
    )
    yield from found(it, "loss", losses_that_are_no_numbers, fix)


def losses_of_zero(logged: History) -> Words | None:
    """How many losses are exactly zero."""
    losses = of(logged, "loss")
    zeros = sum(loss == 0 for loss in losses)
    return _if(
        zeros > 0,
        f"the loss is exactly zero in {zeros:,} of {len(losses):,} lines",
        f"{len(losses):,} 条日志中有 {zeros:,} 条损失恰好为零",
    )


@rule(
    "H102",
    f"{ARGUMENT}loss",
    severity="error",
    source="https://github.com/huggingface/trl/issues/3927",
    flags=example({"loss": 0.0}, {"loss": 0.0}),
    allows=example({"loss": 0.5}, {"loss": 0.01}),
)
def the_loss_is_zero(it: Subject) -> Iterator[Found]:
    """No model is that good: either no token has a label (everything is masked or cut off), or the
    loss was not a number and logging_nan_inf_filter put what stood before in its place.

    没有模型能做到：要么没有任何词元带标签（全部被屏蔽或截掉），要么损失不是数字，被
    logging_nan_inf_filter 换成了此前的值。
    """
    fix = both(
        "count the trained tokens with `foretune check --tokens`; watch fp16",
        "用 `foretune check --tokens` 数一数参与训练的词元；留意 fp16",
    )
    yield from found(it, "loss", losses_of_zero, fix)


def rates_of_zero(logged: History) -> Words | None:
    """Whether the learning rate is zero throughout."""
    rates = of(logged, "learning_rate")
    return _if(
        len(rates) >= FEW_LINES and set(rates) == {0},
        f"the learning rate is zero in all {len(rates):,} lines: nothing learns",
        f"全部 {len(rates):,} 条日志的学习率都为零：什么也没学",
    )


@rule(
    "H103",
    f"{ARGUMENT}learning_rate",
    severity="error",
    source="https://github.com/huggingface/transformers/issues/29348",
    flags=example(*[{"learning_rate": 0.0}] * 3),
    allows=example(*[{"learning_rate": 1e-4 / n} for n in (1, 2, 3)]),
)
def the_learning_rate_stayed_zero(it: Subject) -> Iterator[Found]:
    """The optimizer makes no step (every gradient overflows in fp16), or the schedule was over
    before this run began.

    可能是优化器没有走任何一步（fp16 下梯度每次都溢出），或学习率调度在本次开始前就已结束。
    """
    fix = both(
        "use bf16, and hold the steps of the schedule against those of the run",
        "改用 bf16，并核对调度的步数与训练的步数",
    )
    yield from found(it, "learning_rate", rates_of_zero, fix)


def rates_that_stay(logged: History) -> Words | None:
    """Whether the learning rate is the same throughout."""
    rates = of(logged, "learning_rate")
    still = len(rates) >= FEW_LINES and len(set(rates)) == 1 and rates[0] != 0
    return _if(
        still,
        f"the learning rate stays at {rates[0] if rates else 0:g} in all {len(rates):,} lines",
        f"全部 {len(rates):,} 条日志的学习率都是 {rates[0] if rates else 0:g}",
    )


@rule(
    "H104",
    f"{ARGUMENT}learning_rate",
    severity="note",
    source="transformers 5.23.0, trainer.py: the schedule steps where the optimizer has stepped",
    flags=example(*[{"learning_rate": 1e-4}] * 3),
    allows=example(*[{"learning_rate": 1e-4 / n} for n in (1, 2, 3)]),
)
def the_learning_rate_did_not_move(it: Subject) -> Iterator[Found]:
    """The schedule is constant, or the steps are skipped because gradients overflow in fp16.

    调度为常数，或者因 fp16 梯度溢出而跳过了这些步。
    """
    fix = both("leave it where the schedule is constant", "如果调度本来就是常数，则无需处理")
    yield from found(it, "learning_rate", rates_that_stay, fix)


def gradients_of_zero(logged: History) -> Words | None:
    """How many gradients are zero."""
    norms = of(logged, "grad_norm")
    zeros = sum(norm == 0 for norm in norms)
    return _if(
        zeros > 0,
        f"the gradient is zero in {zeros:,} of {len(norms):,} lines",
        f"{len(norms):,} 条日志中有 {zeros:,} 条梯度为零",
    )


@rule(
    "H105",
    f"{ARGUMENT}grad_norm",
    severity="warning",
    source="https://github.com/huggingface/trl/issues/6668",
    flags=example({"grad_norm": 0.0}, {"grad_norm": 1.0}),
    allows=example({"grad_norm": 0.9}, {"grad_norm": 1.0}),
)
def the_gradient_was_zero(it: Subject) -> Iterator[Found]:
    """No token had a label, or nothing that trains is on the way from the loss.

    没有词元带标签，或可训练的参数与损失不相连。
    """
    fix = both(
        "count the trained tokens with `foretune check --tokens`",
        "用 `foretune check --tokens` 数一数参与训练的词元",
    )
    yield from found(it, "grad_norm", gradients_of_zero, fix)


def gradients_that_are_no_numbers(logged: History) -> Words | None:
    """How many gradients are NaN or infinite."""
    norms = of(logged, "grad_norm")
    bad = sum(not math.isfinite(norm) for norm in norms)
    return _if(
        bad > 0,
        f"the gradient is not a number in {bad:,} of {len(norms):,} lines",
        f"{len(norms):,} 条日志中有 {bad:,} 条梯度不是数字",
    )


@rule(
    "H106",
    f"{ARGUMENT}grad_norm",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1172",
    flags=example({"grad_norm": math.inf}),
    allows=example({"grad_norm": 1.0}),
)
def the_gradient_became_no_number(it: Subject) -> Iterator[Found]:
    """In fp16 such a step is skipped, otherwise it ruins the weights. A few at the beginning of an
    fp16 run are how the scale of the loss is found.

    fp16 下会跳过该步，否则会破坏权重。fp16 训练开头出现几次属于正常：损失的缩放倍数就是这样试出来
    的。
    """
    fix = both(
        "leave a few of fp16; else use bf16 or a smaller learning rate",
        "fp16 下偶尔几次可以不管；否则改用 bf16 或更小的学习率",
    )
    yield from found(it, "grad_norm", gradients_that_are_no_numbers, fix)


def evaluations_that_turned(logged: History) -> Words | None:
    """Where the loss on the validation rows was lowest, where that is not the end."""
    scored = [one for one in logged if isinstance(one.get("eval_loss"), int | float)]
    if len(scored) < FEW_LINES:
        return None
    best = min(range(len(scored)), key=lambda index: scored[index]["eval_loss"])
    lowest, last = scored[best]["eval_loss"], scored[-1]["eval_loss"]
    epoch = scored[best].get("epoch")
    at, zh = "", ""
    if isinstance(epoch, int | float):
        at, zh = f" (epoch {number(epoch)})", f"（第 {number(epoch)} 轮）"
    return _if(
        best < len(scored) - 1,
        f"eval_loss is lowest in evaluation {best + 1} of {len(scored)}{at}, {number(lowest)}, and "
        f"ends at {number(last)}",
        f"eval_loss 在 {len(scored)} 次评估中的第 {best + 1} 次{zh}最低，为 {number(lowest)}，"
        f"最终为 {number(last)}",
    )


@rule(
    "H107",
    f"{ARGUMENT}eval_loss",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/728",
    flags=example({"eval_loss": 2.0}, {"eval_loss": 1.5}, {"eval_loss": 1.9}),
    allows=example({"eval_loss": 2.0}, {"eval_loss": 1.5}, {"eval_loss": 1.4}),
)
def the_best_was_passed(it: Subject) -> Iterator[Found]:
    """What came after the lowest made the model no better on rows that it does not train on, while
    the training loss went on falling.

    此后的训练没有让模型在未参与训练的数据上更好，而训练损失仍在下降。
    """
    fix = both(
        "take the checkpoint of that time, or write load_best_model_at_end for the next run",
        "使用当时的检查点，或下次训练时写 load_best_model_at_end",
    )
    yield from found(it, "eval_loss", evaluations_that_turned, fix)


PASSES, ROWS = 20, 1000


@rule(
    "H108",
    f"{ARGUMENT}Num Epochs",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1148",
    flags=Example(
        documents=(
            Document(
                kind="training log",
                file="train.log",
                declared=TrainingLog.model_validate({"Num examples": 243, "Num Epochs": 100}),
                keys={"Num examples": 243, "Num Epochs": 100},
                lines={"Num Epochs": 3},
            ),
        )
    ),
    allows=Example(DATA),
)
def the_rows_were_learnt_by_heart(it: Subject) -> Iterator[Found]:
    """So many passes over so few rows teach the rows, however few parameters train. Without an
    evaluation nothing in the log shows it: the loss falls all the way.

    数据这么少、遍数这么多，无论可训练参数多少，模型学到的都是这些数据本身。没有评估时，日志里看不出
    来：损失会一路下降。
    """
    for document in it.run.documents:
        log = document.declared
        if not isinstance(log, TrainingLog) or not log.num_examples or not log.num_epochs:
            continue
        evaluated = log.eval_examples or of(log.log_history, "eval_loss")
        if log.num_epochs >= PASSES and log.num_examples < ROWS and not evaluated:
            yield it.found(
                f"{ARGUMENT}Num Epochs",
                both(
                    f"{log.num_epochs:,} passes over {log.num_examples:,} rows, and no evaluation",
                    f"{log.num_examples:,} 行数据训练 {log.num_epochs:,} 遍，没有评估",
                ),
                fix=both(
                    "keep some rows apart and evaluate on them, or make 3 to 5 passes",
                    "留出一部分数据用于评估，或只训练 3 到 5 遍",
                ),
                origin=document.origin("Num Epochs"),
            )


def _if(told: bool, en: str, zh: str) -> Words | None:
    return both(en, zh) if told else None


SAYINGS: tuple[tuple[Saying, Rule], ...] = (
    (losses_that_are_no_numbers, the_loss_became_no_number),
    (losses_of_zero, the_loss_is_zero),
    (rates_of_zero, the_learning_rate_stayed_zero),
    (rates_that_stay, the_learning_rate_did_not_move),
    (gradients_of_zero, the_gradient_was_zero),
    (gradients_that_are_no_numbers, the_gradient_became_no_number),
    (evaluations_that_turned, the_best_was_passed),
)
"""What is said of logged values, and the rule that gives the reason."""


def told_of(logged: History) -> Iterator[tuple[Words, Words]]:
    """What is wrong with logged values, and why: `foretune explain` says both."""
    for say, because in SAYINGS:
        if what := say(logged):
            yield what, because.words
