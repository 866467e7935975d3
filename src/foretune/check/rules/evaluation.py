"""Rules about evaluation: whether it happens, on what, and which checkpoint it calls the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...params.generate import METRICS
from ...params.record import MEASURED
from ...text import counted, nearest, number, sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA, measured, of_file
from .record import EVALUATED, steps_of

BEST = {**EVALUATED, "record.save_strategy": "epoch", "record.load_best": True}
BY_STEPS = {
    **BEST,
    "record.save_strategy": "steps",
    "record.eval_strategy": "steps",
    "record.save_steps": 500.0,
}
FEW = 20
"""Rows on which one answer more or less is chance."""


def compares(it: Subject) -> bool:
    """Whether checkpoints are compared by a figure."""
    best = it.get("record.load_best") or it.get("record.save_strategy") == "best"
    return bool(best and it.get("launch.train"))


@rule(
    "W201",
    "data.validation",
    severity="note",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1395",
    flags=Example({**DATA, "data.validation": "dev.json"}),
    allows=Example(EVALUATED),
)
def validation_rows_are_named_and_never_read(it: Subject) -> Iterator[Found]:
    """Naming a validation file evaluates nothing. The published scripts name one all the same,
    beside predict_with_generate and a batch size for evaluation.

    仅仅写上验证文件并不会评估。官方脚本虽然写了验证文件、predict_with_generate 和评估批量，却没有打
    开评估。
    """
    asked, trains = it.get("launch.train") or it.get("launch.predict"), it.get("launch.train")
    if it.written("data.validation") and asked and not it.run.evaluates:
        file = it.get("data.validation")
        yield it.found(
            "data.validation",
            both(
                f"nothing is evaluated on the validation file {file}",
                f"写了验证文件 {file}，但没有任何评估用到它",
            ),
            fix=both(
                "write eval_strategy epoch to watch the loss on it, or do_eval to measure it once "
                "at the end; or leave it out",
                "写 eval_strategy epoch 以便训练中观察损失，或写 do_eval 结束时评估一次；或去掉它",
            )
            if trains
            else both(
                "leave it out: prediction reads the test file; or write do_eval to measure the "
                "loss on it",
                "去掉它：预测读取的是测试文件；或写 do_eval 在它上面计算损失",
            ),
        )


@rule(
    "W202",
    "launch.train",
    "launch.evaluate",
    "launch.predict",
    "record.eval_strategy",
    severity="error",
    source="https://github.com/zai-org/ChatGLM2-6B/blob/main/ptuning/main.py",
    flags=Example({**DATA, "record.eval_strategy": "epoch"}),
    allows=Example(EVALUATED),
)
def rows_are_asked_for_and_no_file_is_named(it: Subject) -> Iterator[Found]:
    """A run that trains, evaluates or predicts needs rows to do it on, and stops where none are
    named.

    训练、评估或预测都需要数据，没有写明数据文件时无法运行。
    """
    if it.get("data.dataset") is not None or not any(
        it.written(f"data.{split}") for split in ("train", "validation", "test")
    ):
        return
    on_the_way = it.run.evaluates_on_the_way
    asked = {
        "data.train": (it.get("launch.train"), "launch.train", "train_file"),
        "data.validation": (
            it.run.evaluates,
            "record.eval_strategy" if on_the_way else "launch.evaluate",
            "validation_file",
        ),
        "data.test": (it.get("launch.predict"), "launch.predict", "test_file"),
    }
    for path, (wanted, by, flag) in asked.items():
        if wanted and it.get(path) is None:
            yield it.found(
                by,
                both(f"there is no {flag}", f"没有写 {flag}"),
                fix=both(f"write {flag} FILE", f"写 {flag} 文件名"),
            )


@rule(
    "W203",
    "record.load_best",
    "record.save_strategy",
    severity="error",
    source="https://github.com/hiyouga/LlamaFactory/issues/8133",
    flags=Example({**BEST, "record.save_strategy": "steps"}),
    allows=Example(BEST),
)
def the_best_checkpoint_is_looked_for_among_others(it: Subject) -> Iterator[Found]:
    """Only a checkpoint that was both saved and evaluated can be the best one, so saving and
    evaluation must go by the same strategy; transformers refuses to start otherwise.

    只有既保存又评估过的检查点才可能是最好的，因此保存和评估必须采用相同的策略，否则 transformers 拒
    绝开始。
    """
    saved, evaluated = it.get("record.save_strategy"), it.get("record.eval_strategy")
    if it.get("record.load_best") and it.get("launch.train") and saved not in ("best", evaluated):
        yield it.found(
            "record.load_best",
            both(
                f"load_best_model_at_end with save_strategy {saved} and eval_strategy {evaluated}",
                f"load_best_model_at_end；save_strategy 为 {saved}，eval_strategy 为 {evaluated}",
            ),
            fix=both(
                "write the same for both: epoch, or steps with the same number",
                "两者写成一样：都用 epoch，或都用 steps 且步数相同",
            ),
        )


@rule(
    "W204",
    "record.save_steps",
    "record.eval_steps",
    severity="error",
    source="transformers 5.23.0, training_args.py: save_steps must be a multiple of eval_steps",
    flags=Example({**BY_STEPS, "record.eval_steps": 200.0}),
    allows=Example({**BY_STEPS, "record.eval_steps": 250.0}),
)
def checkpoints_fall_between_evaluations(it: Subject) -> Iterator[Found]:
    """A checkpoint that was not evaluated cannot be the best; transformers refuses a save_steps
    that is no multiple of eval_steps.

    没有评估过的检查点不可能被选为最好的；save_steps 不是 eval_steps 的整数倍时，transformers 会拒
    绝。
    """
    both_by_steps = {it.get("record.save_strategy"), it.get("record.eval_strategy")} == {"steps"}
    if not (it.get("record.load_best") and it.get("launch.train") and both_by_steps):
        return
    save, evaluate = it.get("record.save_steps"), it.get("record.eval_steps")
    evaluate = evaluate or it.get("record.log_steps")
    shares = [value < 1 for value in (save, evaluate)]
    uneven = round(save * 1e6) % round(evaluate * 1e6) != 0
    if any(shares) != all(shares) or uneven:
        yield it.found(
            "record.save_steps",
            both(
                f"save_steps {number(save)} and eval_steps {number(evaluate)}",
                f"save_steps 为 {number(save)}，eval_steps 为 {number(evaluate)}",
            ),
            fix=both("write the same number for both", "两者写成相同的步数"),
        )


@rule(
    "W205",
    "record.best_metric",
    severity="error",
    source="foretune.train.arguments: no evaluation measures it; transformers ends in a KeyError",
    flags=Example({**BEST, "record.best_metric": "accuracy"}),
    allows=Example({**BEST, "record.best_metric": "eval_loss"}),
)
def no_evaluation_measures_the_figure(it: Subject) -> Iterator[Found]:
    """Checkpoints are compared by a figure of the evaluation. One that it does not measure ends the
    run at the first evaluation; foretune refuses before.

    检查点按评估指标比较。若评估并不计算该指标，训练到第一次评估就会中断；foretune 会提前拒绝。
    """
    metric = it.get("record.best_metric")
    known = [*MEASURED, *(METRICS if it.get("generate.enabled") else ())]
    if metric is None or not compares(it) or metric.removeprefix("eval_") in known:
        return
    scores = metric.removeprefix("eval_") in METRICS
    like = nearest(metric, known) or known[0]
    yield it.found(
        "record.best_metric",
        both(
            f"metric_for_best_model {metric}; measured are {sentence_list(known)}",
            f"metric_for_best_model 为 {metric}；评估所得指标有 {', '.join(known)}",
        ),
        fix=both("write predict_with_generate as well", "同时写上 predict_with_generate")
        if scores
        else both(f"write {like}", f"改为 {like}"),
    )


@rule(
    "W206",
    "record.greater_is_better",
    "record.best_metric",
    severity="error",
    source="transformers 5.23.0, training_args.py: larger is better unless the name ends in loss",
    flags=Example({**BEST, "record.best_metric": "perplexity"}),
    allows=Example({**BEST, "record.best_metric": "perplexity", "record.greater_is_better": False}),
)
def the_worst_checkpoint_is_taken_for_the_best(it: Subject) -> Iterator[Found]:
    """A smaller loss or perplexity is better, a larger BLEU or ROUGE. Where nothing is said,
    transformers takes every figure whose name does not end in "loss" to be the better the larger.

    损失和困惑度越小越好，BLEU 和 ROUGE 越大越好。没有写明时，凡名称不以 loss 结尾的指标，
    transformers 一律认为越大越好。
    """
    metric = (it.get("record.best_metric") or "loss").removeprefix("eval_")
    greater = it.get("record.greater_is_better")
    taken = not metric.endswith("loss") if greater is None else greater
    wrong = (metric in MEASURED and taken) or (metric in METRICS and not taken)
    if compares(it) and wrong:
        yield it.found(
            "record.greater_is_better",
            both(
                f"of two checkpoints the one with the {'larger' if taken else 'smaller'} {metric} "
                "counts as better",
                f"两个检查点中，{metric} {'较大' if taken else '较小'}的被当作更好的",
            ),
            fix=both(
                f"write greater_is_better {str(not taken).lower()}",
                f"写 greater_is_better {str(not taken).lower()}",
            ),
            change={"record.greater_is_better": not taken},
        )


@rule(
    "W207",
    "record.save_strategy",
    severity="error",
    source="transformers 5.23.0, trainer.py: 'best' needs a metric, and saves when one gets better",
    flags=Example({**DATA, "record.save_strategy": "best", "record.best_metric": "loss"}),
    allows=Example({**EVALUATED, "record.save_strategy": "best", "record.best_metric": "loss"}),
)
def the_best_is_to_be_saved_and_nothing_finds_it(it: Subject) -> Iterator[Found]:
    """With save_strategy best a checkpoint is written when an evaluation finds a better one.
    Without evaluation none is ever written; without metric_for_best_model transformers refuses.

    save_strategy 为 best 时，只有评估发现更好的结果才写检查点。不评估就永远不写；没有
    写 metric_for_best_model 时 transformers 会拒绝。
    """
    if it.get("record.save_strategy") != "best" or not it.get("launch.train"):
        return
    lacking = [] if it.run.evaluates_on_the_way else ["eval_strategy epoch"]
    if it.get("record.best_metric") is None and not it.get("record.load_best"):
        lacking.append("metric_for_best_model loss")
    if lacking:
        names = sentence_list(one.partition(" ")[0] for one in lacking)
        yield it.found(
            "record.save_strategy",
            both(f"save_strategy best without {names}", f"save_strategy 为 best，却没有 {names}"),
            fix=both(
                f"write {sentence_list(lacking)}", f"写 {sentence_list(lacking, language='zh')}"
            ),
        )


@rule(
    "W209",
    "record.load_best",
    "data.validation",
    severity="note",
    source="foretune.train.trainer: the loss is a mean over the validation rows",
    flags=Example(BEST, facts=replace(measured(1000), validation=of_file("dev.json", 8))),
    allows=Example(BEST, facts=replace(measured(1000), validation=of_file("dev.json", 200))),
)
def the_best_is_found_on_few_rows(it: Subject) -> Iterator[Found]:
    """On so few rows the figures of two checkpoints differ by chance more than by what was trained.

    数据这么少时，两个检查点的指标差异更多来自偶然，而不是训练。
    """
    validation = it.facts.validation
    if compares(it) and validation is not None and validation.examples < FEW:
        yield it.found(
            "data.validation",
            both(
                f"the best checkpoint is chosen on {counted(validation.examples, 'row')}",
                f"最好的检查点只凭 {validation.examples} 行数据选出",
            ),
            fix=both("keep 100 rows or more for it", "至少留出 100 行"),
        )


@rule(
    "W210",
    "record.eval_steps",
    "record.log_steps",
    severity="note",
    source="transformers 5.23.0, trainer_callback.py: the last step is evaluated in any case",
    flags=Example(
        {**EVALUATED, "record.eval_strategy": "steps", "record.eval_steps": 500.0},
        facts=measured(800),
    ),
    allows=Example(
        {**EVALUATED, "record.eval_strategy": "steps", "record.eval_steps": 50.0},
        facts=measured(800),
    ),
)
def evaluation_comes_at_the_end_alone(it: Subject) -> Iterator[Found]:
    """The interval is longer than the run, so nothing can be seen on the way, and there is no other
    checkpoint to call the best.

    评估间隔比整个训练还长：中途什么也看不到，也没有别的检查点可供比较。
    """
    path = "record.eval_steps" if it.get("record.eval_steps") else "record.log_steps"
    every, made = steps_of(it, path), it.forecast.steps
    on = it.run.evaluates_on_the_way and it.get("record.eval_strategy") == "steps"
    if on and made is not None and every is not None and every > made.steps:
        yield it.found(
            path,
            both(
                f"evaluation every {number(every)} steps, and the run makes {made.steps:,}",
                f"每 {number(every)} 步评估一次，而训练共 {made.steps:,} 步",
            ),
            fix=both(
                f"write eval_steps {max(1, made.steps // 10)}, or eval_strategy epoch",
                f"写 eval_steps {max(1, made.steps // 10)}，或 eval_strategy epoch",
            ),
        )


@rule(
    "W211",
    "record.eval_delay",
    severity="warning",
    source="transformers 5.23.0, trainer_callback.py: eval_delay <= global_step, or epoch",
    flags=Example({**EVALUATED, "record.eval_delay": 5.0, "schedule.epochs": 3.0}),
    allows=Example({**EVALUATED, "record.eval_delay": 2.0, "schedule.epochs": 3.0}),
)
def evaluation_is_put_off_beyond_the_end(it: Subject) -> Iterator[Found]:
    """Nothing is evaluated before eval_delay, which counts steps or epochs as the strategy does.
    The run is over before.

    eval_delay 之前不评估，它按策略以步数或轮数计。训练在那之前就结束了。
    """
    delay, made = it.get("record.eval_delay"), it.forecast.steps
    if not it.run.evaluates_on_the_way or not delay:
        return
    steps = it.get("record.eval_strategy") == "steps"
    end = it.get("schedule.epochs") if it.get("schedule.max_steps") is None else None
    if made is not None:
        end = made.steps if steps else made.passes
    elif steps:
        end = it.get("schedule.max_steps")
    if end is not None and delay > end:
        unit, in_chinese = ("steps", "步") if steps else ("epochs", "轮")
        yield it.found(
            "record.eval_delay",
            both(
                f"eval_delay {number(delay)}, and the run ends after {number(end)} {unit}",
                f"eval_delay 为 {number(delay)}，而训练在 {number(end)} {in_chinese}后结束",
            ),
            fix=both("leave it out", "去掉它"),
        )
