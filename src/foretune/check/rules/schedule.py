"""Rules about how long a run trains, and how its learning rate moves."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA, measured

WARMS_UP = {"constant"}
"""Schedules that read no warm-up."""

MANY_PASSES = 20
FEW_ROWS = 1000


@rule(
    "S101",
    "schedule.epochs",
    "schedule.max_steps",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1141",
    flags=Example({"schedule.max_steps": 3000, "schedule.epochs": 3.0}),
    allows=Example({"schedule.epochs": 3.0}),
)
def epochs_are_written_beside_max_steps(it: Subject) -> Iterator[Found]:
    """The trainer stops after max_steps steps whatever the number of epochs says, so the epochs
    that stand beside it have no effect.

    训练到 max_steps 步就停止，与轮数无关；写在旁边的轮数不起作用。
    """
    steps, epochs = it.get("schedule.max_steps"), it.get("schedule.epochs")
    if steps is not None and it.written("schedule.max_steps", "schedule.epochs"):
        yield it.found(
            "schedule.epochs",
            both(
                f"{epochs:g} epochs are asked for beside {steps:,} steps",
                f"同时写了 {epochs:g} 轮和 {steps:,} 步",
            ),
            fix=both(
                "leave one of them out: num_train_epochs for whole passes, max_steps for a fixed "
                "number of steps",
                "只保留其中一个：要整轮就写 num_train_epochs，要固定步数就写 max_steps",
            ),
        )


@rule(
    "S102",
    "schedule.warmup",
    "schedule.name",
    severity="warning",
    source="transformers 5.23.0, optimization.py: get_constant_schedule takes no warm-up",
    flags=Example({"schedule.name": "constant", "schedule.warmup": 100.0}),
    allows=Example({"schedule.name": "constant_with_warmup", "schedule.warmup": 100.0}),
)
def a_constant_schedule_is_given_a_warm_up(it: Subject) -> Iterator[Found]:
    """The schedule "constant" starts at the full learning rate and never reads the warm-up.

    名为 constant 的调度从第一步起就用完整的学习率，不读取预热设置。
    """
    name, warmup = it.get("schedule.name"), it.get("schedule.warmup")
    if name in WARMS_UP and warmup > 0:
        yield it.found(
            "schedule.warmup",
            both(
                f"a warm-up of {warmup:g} is asked for with the schedule {name!r}",
                f"调度为 {name!r}，却写了 {warmup:g} 的预热",
            ),
            fix=both(
                "write lr_scheduler_type constant_with_warmup, or leave the warm-up out",
                "改用 lr_scheduler_type constant_with_warmup，或去掉预热",
            ),
            change={"schedule.name": "constant_with_warmup"},
        )


@rule(
    "S103",
    "schedule.warmup",
    severity="error",
    source="transformers 5.23.0, optimization.py: the rate grows by 1 / warm-up steps a step",
    flags=Example({**DATA, "schedule.warmup": 500.0, "schedule.epochs": 1.0}, facts=measured(320)),
    allows=Example({**DATA, "schedule.warmup": 10.0, "schedule.epochs": 1.0}, facts=measured(320)),
)
def the_run_ends_before_its_warm_up(it: Subject) -> Iterator[Found]:
    """The learning rate climbs from 0 over the warm-up steps; a run that is shorter than its
    warm-up never reaches the rate that is written.

    学习率在预热期内从 0 线性升高；如果训练步数比预热步数还少，就永远达不到所写的学习率。
    """
    made = it.forecast.steps
    if made is None or not 0 < made.steps <= made.warmup:
        return
    reached = it.get("optim.learning_rate") * made.steps / made.warmup
    yield it.found(
        "schedule.warmup",
        both(
            f"the warm-up takes {made.warmup:,} steps and the run makes {made.steps:,}: the rate "
            f"ends at {reached:.2g}",
            f"预热需要 {made.warmup:,} 步，而训练只有 {made.steps:,} 步：学习率最终只到 "
            f"{reached:.2g}",
        ),
        fix=both(
            "warm up over 3 to 10 % of the steps (a value below 1 is a share of them)",
            "预热取总步数的 3% 到 10%（小于 1 的值表示比例）",
        ),
        change={"schedule.warmup": float(max(1, made.steps // 20))},
    )


@rule(
    "S104",
    "schedule.epochs",
    "schedule.max_steps",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/728",
    flags=Example({**DATA, "schedule.epochs": 100.0}, facts=measured(243)),
    allows=Example(
        {**DATA, "schedule.epochs": 100.0, "record.eval_strategy": "epoch", "data.validation": "v"},
        facts=measured(243),
    ),
)
def many_passes_over_few_rows_without_evaluation(it: Subject) -> Iterator[Found]:
    """A model that sees a few hundred rows dozens of times learns them by heart, and forgets what
    it knew. The training loss falls all the way; only rows that are not trained on show it.

    几百行数据反复训练几十遍，模型会把它们背下来，并遗忘原有的能力。训练损失会一路下降，只有未参与训
    练的数据才能看出问题。
    """
    made = it.forecast.steps
    few = made is not None and made.examples < FEW_ROWS and made.passes >= MANY_PASSES
    if few and made is not None and not it.run.evaluates_on_the_way:
        path = "schedule.max_steps" if it.get("schedule.max_steps") else "schedule.epochs"
        yield it.found(
            path,
            both(
                f"{made.passes:,.0f} passes over {made.examples:,} rows, and nothing is evaluated "
                "on the way",
                f"{made.examples:,} 行数据训练 {made.passes:,.0f} 遍，途中没有任何评估",
            ),
            fix=both(
                "keep some rows apart as the validation file and evaluate every epoch "
                "(eval_strategy epoch), or make 3 to 5 passes",
                "留出一部分数据作为验证集并每轮评估（eval_strategy epoch），或只训练 3 到 5 遍",
            ),
        )


@rule(
    "S105",
    "schedule.max_steps",
    severity="note",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1141",
    flags=Example({**DATA, "schedule.max_steps": 100}, facts=measured(114_599)),
    allows=Example({**DATA, "schedule.epochs": 1.0}, facts=measured(114_599)),
)
def the_run_does_not_see_all_its_rows(it: Subject) -> Iterator[Found]:
    """max_steps ends the run before it has seen each row once; which rows are left out is drawn at
    random.

    max_steps 让训练在每行数据都看过一遍之前就结束；哪些行没有被看到是随机的。
    """
    made = it.forecast.steps
    if made is not None and made.passes < 1 and it.get("schedule.max_steps") is not None:
        yield it.found(
            "schedule.max_steps",
            both(
                f"{made.steps:,} steps of {made.total_batch:,} rows are {made.passes:.2g} of one "
                f"pass over {made.examples:,} rows",
                f"{made.steps:,} 步、每步 {made.total_batch:,} 行，只有 {made.examples:,} 行数据的 "
                f"{made.passes:.2g} 遍",
            ),
            fix=both(
                f"{made.steps_per_epoch:,} steps see every row once; leave it if the part is meant",
                f"{made.steps_per_epoch:,} 步可以看完每一行；如果本来只想训练一部分，可以不改",
            ),
        )


@rule(
    "S106",
    "schedule.name",
    "optim.learning_rate",
    severity="warning",
    source="transformers 5.23.0, trainer.py: ReduceLROnPlateau steps on a metric of evaluation",
    flags=Example({"launch.train": True, "schedule.name": "reduce_lr_on_plateau"}),
    allows=Example(
        {
            **DATA,
            "schedule.name": "reduce_lr_on_plateau",
            "record.eval_strategy": "epoch",
            "data.validation": "v.json",
        }
    ),
)
def a_plateau_schedule_has_nothing_to_watch(it: Subject) -> Iterator[Found]:
    """This schedule lowers the rate when a metric of the evaluation stops falling; without
    evaluation on the way it never does.

    该调度在评估指标不再下降时才降低学习率；训练途中不评估，它就永远不会动作。
    """
    plateau = it.get("schedule.name") == "reduce_lr_on_plateau"
    if plateau and it.get("launch.train") and not it.run.evaluates_on_the_way:
        yield it.found(
            "schedule.name",
            both(
                "reduce_lr_on_plateau without evaluation during training",
                "使用 reduce_lr_on_plateau，但训练途中不评估",
            ),
            fix=both(
                "set eval_strategy to steps or epoch and name a validation file, or use cosine",
                "把 eval_strategy 设为 steps 或 epoch 并给出验证集，或改用 cosine",
            ),
        )


@rule(
    "S107",
    "optim.learning_rate",
    severity="error",
    source="transformers 5.23.0, trainer.py: every update is the rate times the gradient",
    flags=Example({"launch.train": True, "optim.learning_rate": 0.0}),
    allows=Example({"launch.train": True, "optim.learning_rate": 1e-4}),
)
def the_learning_rate_is_zero(it: Subject) -> Iterator[Found]:
    """Every update is multiplied by the learning rate: at 0 the run trains nothing.

    每次更新都要乘以学习率：学习率为 0 时什么也学不到。
    """
    if it.get("launch.train") and it.get("optim.learning_rate") == 0:
        yield it.found(
            "optim.learning_rate",
            both("the learning rate is 0", "学习率为 0"),
            fix=both(
                "P-Tuning v2 takes about 1e-2, LoRA 1e-4 to 5e-4, full tuning 1e-5 to 5e-5",
                "P-Tuning v2 约 1e-2，LoRA 1e-4 到 5e-4，全参数 1e-5 到 5e-5",
            ),
        )
