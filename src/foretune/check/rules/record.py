"""Rules about what a run writes down: checkpoints, logs, and where they go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from ...params.record import TRACKERS
from ...plan.amounts import PLAIN_ADAM
from ...plan.counts import checkpoint_bytes, checkpoints
from ...text import number, sentence_list, size
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import BAICHUAN2, DATA, measured
from .sizes import GIB

MUCH, VERY_MUCH = 100 * GIB, 1024 * GIB
"""Bytes of checkpoints that are worth a note, and a warning."""

EVALUATED = {**DATA, "data.validation": "dev.json", "record.eval_strategy": "epoch"}


def steps_of(it: Subject, path: str) -> float | None:
    """An interval in steps; None where the number of all steps would be needed and is not known."""
    every, made = it.get(path), it.forecast.steps
    if every is None or every >= 1 or every == 0:
        return every
    return None if made is None else every * made.steps


@rule(
    "W101",
    "record.save_strategy",
    severity="warning",
    source="foretune.train.conduct: the trainer's checkpoints are all that a run saves",
    flags=Example({**DATA, "record.save_strategy": "no"}),
    allows=Example({**DATA, "record.save_strategy": "epoch"}),
)
def nothing_that_is_trained_is_saved(it: Subject) -> Iterator[Found]:
    """Checkpoints are the only place where a run leaves what it has trained. The authors' scripts
    of ChatGLM save nothing at the end either.

    训练得到的东西只保存在检查点里。ChatGLM 的官方脚本在训练结束时也不会另外保存。
    """
    if it.get("launch.train") and it.get("record.save_strategy") == "no":
        yield it.found(
            "record.save_strategy",
            both("save_strategy is no", "save_strategy 为 no"),
            fix=both("write save_strategy epoch or steps", "写 save_strategy epoch 或 steps"),
        )


@rule(
    "W102",
    "record.save_steps",
    severity="note",
    source="transformers 5.23.0, trainer_callback.py: the end is saved; before 4.45 it was not",
    flags=Example({**DATA, "record.save_steps": 1000.0}, facts=measured(800)),
    allows=Example({**DATA, "record.save_steps": 100.0}, facts=measured(800)),
)
def the_first_checkpoint_is_the_last(it: Subject) -> Iterator[Found]:
    """The interval is longer than the run: the one checkpoint is written at the end, and all is
    lost where the run breaks off before. Older versions of transformers write none at all.

    保存间隔比整个训练还长：只在结束时写一个检查点，中途断掉就什么也不剩。旧版 transformers 则一个也
    不写。
    """
    every, made = it.get("record.save_steps"), it.forecast.steps
    steps = it.get("record.save_strategy") == "steps" and it.written("record.save_steps")
    if steps and made is not None and it.get("launch.train") and not 0 < every <= made.steps:
        yield it.found(
            "record.save_steps",
            both(
                f"save_steps {number(every)}, and the run makes {made.steps:,} steps",
                f"save_steps 为 {number(every)}，而训练共 {made.steps:,} 步",
            ),
            fix=both(
                f"write save_steps {max(1, made.steps // 3)}, or save_strategy epoch",
                f"写 save_steps {max(1, made.steps // 3)}，或 save_strategy epoch",
            ),
        )


@rule(
    "W103",
    "record.save_total_limit",
    "record.save_strategy",
    severity="note",
    source="https://github.com/ssbuild/chatglm2_finetuning/issues/12",
    flags=Example({**DATA, "record.save_strategy": "epoch"}, model=BAICHUAN2),
    allows=Example(
        {**DATA, "record.save_strategy": "epoch", "record.save_total_limit": 1,
         "record.save_only_model": True},
        model=BAICHUAN2,
    ),
)  # fmt: skip
def checkpoints_fill_the_disk(it: Subject) -> Iterator[Found]:
    """A checkpoint of full tuning holds every weight and two moments of each, in float32: 12 bytes
    a parameter. Without a limit all of them stay, and the run ends where the disk does.

    全参数微调的一个检查点包含每个权重及其两个动量，均为 float32，每个参数 12 字节。没有数量限制时全
    部保留，磁盘写满训练也就中断了。
    """
    ahead, strategy = it.forecast, it.get("record.save_strategy")
    if ahead.trainable is None or not it.get("launch.train"):
        return
    count = int(-(-it.get("schedule.epochs") // 1)) if strategy == "epoch" else 0
    steps = ahead.steps.steps if ahead.steps else it.get("schedule.max_steps")
    every, limit = steps_of(it, "record.save_steps"), it.get("record.save_total_limit")
    if strategy == "epoch" and steps and it.get("schedule.max_steps"):
        count = ahead.steps.epochs if ahead.steps else 0
    if strategy == "steps" and steps and every:
        count = checkpoints(steps, every, None)
    count = min(count, limit or count)
    moments = (
        2 if it.get("optim.name") in PLAIN_ADAM and not it.get("record.save_only_model") else 0
    )
    copies = 2 if it.get("method.name") == "ptuning" else 1  # in two forms: see tune/prefix.py
    each = checkpoint_bytes(ahead.trainable, copies, moments)
    if it.get("method.name") == "freeze" and ahead.disk:  # what is frozen is in it, too
        each = round(ahead.disk.checkpoint)
    if count * each >= MUCH:
        yield it.found(
            "record.save_total_limit",
            both(
                f"{count:,} checkpoints of about {size(each)}: {size(count * each)} on the disk",
                f"{count:,} 个检查点，每个约 {size(each)}：共占 {size(count * each)} 磁盘",
            ),
            fix=both(
                f"{'write save_total_limit 2; ' if count > 2 else ''}with save_only_model true the "
                "moments are left out, and no run can go on from it",
                f"{'写 save_total_limit 2；' if count > 2 else ''}save_only_model true 不保存动量，"
                "但不能用来继续训练",
            ),
            severity="warning" if count * each >= VERY_MUCH else None,
            origin=it.origin("record.save_strategy")
            if it.written("record.save_strategy") and not it.written("record.save_total_limit")
            else None,
        )


@rule(
    "W104",
    "record.save_only_model",
    severity="note",
    source="transformers 5.23.0, trainer.py: optimizer and schedule are left out",
    flags=Example({**DATA, "record.save_only_model": True, "record.resume": "true"}),
    allows=Example({**DATA, "record.resume": "true"}),
)
def a_resumed_run_cannot_be_resumed_again(it: Subject) -> Iterator[Found]:
    """The run goes on from a checkpoint, and leaves ones behind that nothing can go on from.

    本次从检查点继续训练，而写出的检查点却不能再用来继续。
    """
    on = it.get("record.resume") not in (None, "false", "False")
    if it.get("launch.train") and on and it.get("record.save_only_model"):
        yield it.found(
            "record.save_only_model",
            both(
                "save_only_model beside resume_from_checkpoint",
                "save_only_model 与 resume_from_checkpoint 同时使用",
            ),
            fix=both("leave save_only_model out", "去掉 save_only_model"),
        )


@rule(
    "W105",
    "record.output",
    severity="warning",
    source="transformers 5.23.0, trainer.py: save_model writes into the output folder",
    flags=Example({**DATA, "model.path": "weights/", "record.output": "weights"}),
    allows=Example({**DATA, "model.path": "weights", "record.output": "output"}),
)
def the_output_goes_into_the_folder_of_the_model(it: Subject) -> Iterator[Found]:
    """What the run writes then lies among the files of the base. Programs that save the model at
    the end write over the base itself.

    训练写出的内容会混进基座模型的文件夹。结束时保存模型的程序会把基座本身覆盖掉。
    """
    path, output = it.get("model.path"), it.get("record.output")
    if path and output and it.get("launch.train") and PurePath(path) == PurePath(output):
        yield it.found(
            "record.output",
            both(
                f"output_dir {output} is the folder of the model",
                f"output_dir {output} 就是模型所在的文件夹",
            ),
            fix=both("name another output_dir", "换一个 output_dir"),
        )


@rule(
    "W106",
    "record.overwrite",
    severity="note",
    source="foretune.train.output: a run that goes on keeps its checkpoints",
    flags=Example({**DATA, "record.overwrite": True, "record.resume": "true"}),
    allows=Example({**DATA, "record.overwrite": True}),
)
def a_run_that_goes_on_overwrites_nothing(it: Subject) -> Iterator[Found]:
    """overwrite_output_dir allows a fresh start among old checkpoints. A run that goes on from one
    of them keeps them, whatever it says.

    overwrite_output_dir 允许在旧检查点所在的文件夹里重新开始。从其中一个继续训练时，它们都会保留，
    与该参数无关。
    """
    on = it.get("record.resume") not in (None, "false", "False")
    if it.get("launch.train") and on and it.get("record.overwrite"):
        yield it.found(
            "record.overwrite",
            both(
                "overwrite_output_dir beside resume_from_checkpoint",
                "overwrite_output_dir 与 resume_from_checkpoint 同时使用",
            ),
            fix=both("leave one of them out", "只保留其中一个"),
        )


@rule(
    "W107",
    "record.log_steps",
    severity="note",
    source="https://github.com/huggingface/transformers/issues/8910",
    flags=Example(DATA, facts=measured(800)),
    allows=Example({**DATA, "record.log_steps": 10.0}, facts=measured(800)),
)
def the_loss_is_never_logged(it: Subject) -> Iterator[Found]:
    """The interval between two log lines is longer than the run, so no curve of the loss comes out
    of it ("No log" in the table of a notebook).

    日志间隔比整个训练还长，因此看不到损失曲线（在 notebook 的表格里显示“No log”）。
    """
    every, made = steps_of(it, "record.log_steps"), it.forecast.steps
    steps = it.get("record.log_strategy") == "steps" and it.get("launch.train")
    if steps and made is not None and every and every > made.steps:
        written = "" if it.written("record.log_steps") else " (the default)"
        unwritten = "" if it.written("record.log_steps") else "（默认值）"
        yield it.found(
            "record.log_steps",
            both(
                f"logging_steps {number(every)}{written}, and the run makes {made.steps:,} steps",
                f"logging_steps 为 {number(every)}{unwritten}，而训练共 {made.steps:,} 步",
            ),
            fix=both(
                f"write logging_steps {max(1, made.steps // 20)}",
                f"写 logging_steps {max(1, made.steps // 20)}",
            ),
        )


@rule(
    "W108",
    "record.log_steps",
    "record.save_steps",
    "record.eval_steps",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/7927",
    flags=Example({**DATA, "record.eval_steps": 100.0}),
    allows=Example({**EVALUATED, "record.eval_strategy": "steps", "record.eval_steps": 100.0}),
)
def steps_are_written_for_what_does_not_go_by_steps(it: Subject) -> Iterator[Found]:
    """The number of steps is read where the strategy is "steps" and nowhere else. eval_steps alone
    evaluates nothing; many files lost their strategy when transformers renamed
    evaluation_strategy to eval_strategy.

    只有策略为 steps 时才读取步数。只写 eval_steps 并不会评估；
    transformers 把 evaluation_strategy 改名为 eval_strategy 之后，许多配置文件因此失去了策略。
    """
    strategies = {
        "record.log_steps": ("record.log_strategy", "logging"),
        "record.save_steps": ("record.save_strategy", "save"),
        "record.eval_steps": ("record.eval_strategy", "eval"),
    }
    for path, (strategy, name) in strategies.items():
        how = it.get(strategy)
        if how == "steps" or not it.written(path) or not it.get(path) or not it.get("launch.train"):
            continue
        yield it.found(
            path,
            both(
                f"{name}_steps {number(it.get(path))} with {name}_strategy {how} has no effect",
                f"{name}_strategy 为 {how}，{name}_steps {number(it.get(path))} 不起作用",
            ),
            fix=both(f"write {name}_strategy steps", f"写 {name}_strategy steps"),
            severity=None if path == "record.eval_steps" and how == "no" else "note",
        )


@rule(
    "W109",
    "record.report_to",
    severity="error",
    source="transformers 5.23.0, integration_utils.py: get_reporting_integration_callbacks",
    flags=Example({**DATA, "record.report_to": ["tensorbord"]}),
    allows=Example({**DATA, "record.report_to": ["tensorboard"]}),
)
def a_tracker_is_not_known(it: Subject) -> Iterator[Found]:
    """transformers refuses a tracker that it does not know when the trainer is made, after the
    model has been loaded.

    对于不认识的跟踪工具，transformers 要到模型加载之后、创建 trainer 时才报错。
    """
    unknown = [one for one in it.get("record.report_to") if one not in (*TRACKERS, "all", "none")]
    if unknown:
        yield it.found(
            "record.report_to",
            both(
                f"report_to {sentence_list(unknown)}: no tracker of that name",
                f"report_to {sentence_list(unknown, language='zh')}：没有这个跟踪工具",
            ),
            fix=both(
                f"take of {sentence_list(TRACKERS, most=20)}",
                f"可选：{sentence_list(TRACKERS, most=20, language='zh')}",
            ),
        )


@rule(
    "W110",
    "record.report_to",
    "record.run_name",
    severity="note",
    source="transformers 5: report_to is none by default; in version 4 it was every one installed",
    flags=Example({**DATA, "record.run_name": "second try"}),
    allows=Example({**DATA, "record.run_name": "second try", "record.report_to": ["wandb"]}),
)
def a_run_is_named_and_no_tracker_hears_of_it(it: Subject) -> Iterator[Found]:
    """Trackers alone read the name of a run. Up to transformers 4 every tracker that was installed
    got the logs; since version 5 those that report_to names.

    只有跟踪工具会读取训练名称。transformers 4 默认向所有已安装的跟踪工具发送日志，从第 5 版起只发
    给 report_to 写明的那些。
    """
    named = it.written("record.run_name") and it.get("record.run_name")
    if named and it.get("launch.train") and not it.get("record.report_to"):
        yield it.found(
            "record.run_name",
            both(
                f"run_name {it.get('record.run_name')!r} and no report_to",
                f"写了 run_name {it.get('record.run_name')!r}，没有 report_to",
            ),
            fix=both("write report_to wandb, or leave it out", "写 report_to wandb，或去掉它"),
        )


@rule(
    "W111",
    "record.log_strategy",
    "record.report_to",
    severity="warning",
    source="transformers 5.23.0, trainer_callback.py: without a strategy nothing is logged",
    flags=Example({**DATA, "record.log_strategy": "no", "record.report_to": ["wandb"]}),
    allows=Example({**DATA, "record.report_to": ["wandb"]}),
)
def trackers_are_given_nothing(it: Subject) -> Iterator[Found]:
    """Trackers show what is logged. With logging_strategy no they get the summary at the end, and
    no curve.

    跟踪工具显示的是日志内容。logging_strategy 为 no 时，它们只在结束时收到一份总结，没有曲线。
    """
    trackers = [one for one in it.get("record.report_to") if one != "none"]
    if trackers and it.get("record.log_strategy") == "no" and it.get("launch.train"):
        yield it.found(
            "record.log_strategy",
            both(
                f"logging_strategy no with report_to {sentence_list(trackers)}",
                f"logging_strategy 为 no，却写了 report_to {sentence_list(trackers)}",
            ),
            fix=both("write logging_strategy steps", "写 logging_strategy steps"),
        )


@rule(
    "W112",
    "trainer.hub_strategy",
    "trainer.hub_always_push",
    severity="note",
    source="foretune.train.hub: the last checkpoint is uploaded, once, when training is done",
    flags=Example({**DATA, "trainer.push_to_hub": True, "trainer.hub_strategy": "all_checkpoints"}),
    allows=Example({**DATA, "trainer.push_to_hub": True, "trainer.hub_strategy": "end"}),
)
def what_is_uploaded_is_not_chosen(it: Subject) -> Iterator[Found]:
    """Saves on the way are not uploaded here, whatever is asked for: whoever relies on the hub for
    them has none when the run breaks off.

    无论怎样设置，这里都不会在训练途中上传检查点：指望 hub 上留有中途检查点的人，训练中断时那里什么
    也没有。
    """
    asked = {
        "trainer.hub_strategy": it.get("trainer.hub_strategy") != "end",
        "trainer.hub_always_push": it.get("trainer.hub_always_push"),
    }
    for path, differs in asked.items():
        if differs and it.written(path) and it.get("trainer.push_to_hub"):
            name = path.partition(".")[2]
            yield it.found(
                path,
                both(
                    f"{name} {it.get(path)}: the last checkpoint is uploaded, at the end",
                    f"{name} 为 {it.get(path)}：只在结束时上传最后的检查点",
                ),
                fix=both(
                    "leave it out, and keep the output folder where it outlives the machine",
                    "去掉它，并把输出文件夹放在不会随机器消失的地方",
                ),
            )
