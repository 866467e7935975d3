"""Rules about going on from a checkpoint, and about what is in the output folder already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...facts import Checkpoint, Facts
from ...text import counted
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA, measured
from .sizes import processes, processes_are_known, uses_deepspeed

ON: dict[str, object] = {**DATA, "record.resume": "output/checkpoint-1500", "record.output": "o"}
DEEPSPEED: dict[str, object] = {
    "launch.launcher": "deepspeed",
    "launch.processes": 4,
    "launch.deepspeed": "ds_config.json",
}


def resumed(rows: int = 1000, **known: object) -> Facts:
    """Measured rows, and a checkpoint to go on from."""
    return replace(measured(rows), resumed=replace(Checkpoint(folder="c", step=100), **known))


def earlier(*steps: int) -> Facts:
    """Measured rows, and checkpoints in the output folder."""
    found = (Checkpoint(folder=f"o/checkpoint-{step}", step=step) for step in steps)
    return replace(measured(243), earlier=tuple(found))


@rule(
    "K101",
    "record.resume",
    severity="error",
    source="https://github.com/hiyouga/LlamaFactory/issues/2776",
    flags=Example({**ON, "schedule.epochs": 3.0}, facts=resumed(step=1500)),
    allows=Example({**ON, "schedule.epochs": 30.0}, facts=resumed(step=1500)),
)
def all_steps_are_made_already(it: Subject) -> Iterator[Found]:
    """The steps of a run count from its beginning, not from the checkpoint: where as many are made
    as are asked for, the run ends at once and trains nothing.

    训练步数从头算起，而不是从检查点算起：如果要求的步数已经全部完成，程序会立刻结束，什么也不训练。
    """
    made, point = it.forecast.steps, it.facts.resumed
    if made is None or point is None or point.step is None or point.step < made.steps:
        return
    yield it.found(
        "record.resume",
        both(
            f"{point.folder} has made {counted(point.step, 'step')}, and the run has "
            f"{made.steps:,} in all",
            f"{point.folder} 已完成 {point.step:,} 步，而整个训练只有 {made.steps:,} 步",
        ),
        fix=both(
            "raise num_train_epochs or max_steps above what is made, or start afresh from its "
            "weights (ptuning_checkpoint)",
            "把 num_train_epochs 或 max_steps 提高到已完成的步数以上，或从它的权重重新开始"
            "（ptuning_checkpoint）",
        ),
    )


@rule(
    "K102",
    "launch.processes",
    "record.resume",
    severity="warning",
    source="https://github.com/deepspeedai/DeepSpeed/issues/2898",
    flags=Example({**ON, **DEEPSPEED}, facts=resumed(processes=8)),
    allows=Example({**ON, **DEEPSPEED}, facts=resumed(processes=4)),
)
def it_goes_on_in_another_number_of_processes(it: Subject) -> Iterator[Found]:
    """DeepSpeed's checkpoint holds one piece of the optimizer per process and cannot hand them to
    another number of processes. Without DeepSpeed it goes on, with another total batch, and skips
    the wrong number of rows.

    DeepSpeed 的检查点为每个进程保存一份优化器分片，换了进程数就无法加载。不用 DeepSpeed 时可以继
    续，但总批量变了，跳过的数据行数也不对。
    """
    point, now = it.facts.resumed, processes(it)
    if point is None or point.processes is None or point.processes == now:
        return
    if not processes_are_known(it):
        return
    yield it.found(
        "launch.processes",
        both(
            f"{point.folder} was written by {counted(point.processes, 'process', 'processes')}, "
            f"and {now} go on from it",
            f"{point.folder} 由 {point.processes} 个进程写出，而现在用 {now} 个进程继续",
        ),
        fix=both(
            f"start {point.processes} processes, or start afresh from the weights alone",
            f"启动 {point.processes} 个进程，或只用其中的权重重新开始",
        ),
        severity="error" if uses_deepspeed(it) else "warning",
    )


@rule(
    "K103",
    "batch.micro",
    "record.resume",
    severity="warning",
    source="transformers 5.23.0, trainer_utils.py: compare_trainer_and_checkpoint_args warns",
    flags=Example({**ON, "batch.micro": 8}, facts=resumed(micro=4)),
    allows=Example({**ON, "batch.micro": 4}, facts=resumed(micro=4)),
)
def it_goes_on_with_another_batch(it: Subject) -> Iterator[Found]:
    """Where a run was in its data is counted in batches. With batches of another size it goes on
    at another place: some rows are seen twice in that epoch, or not at all.

    数据读到哪里是按批次数记录的。批量变了，继续的位置也就变了：那一轮里有的数据会训练两次，有的一次
    也没有。
    """
    point = it.facts.resumed
    if point is None or point.micro is None or point.micro == it.get("batch.micro"):
        return
    yield it.found(
        "batch.micro",
        both(
            f"a micro batch of {it.get('batch.micro')}, and {point.folder} was made with "
            f"{point.micro}",
            f"微批次为 {it.get('batch.micro')}，而 {point.folder} 是用 {point.micro} 训练的",
        ),
        fix=both(f"write {point.micro} again", f"改回 {point.micro}"),
        change={"batch.micro": point.micro},
    )


@rule(
    "K104",
    "record.resume",
    severity="error",
    source="transformers 5.23.0, trainer.py: what is not in the folder is passed over",
    flags=Example(ON, facts=resumed(optimizer=False)),
    allows=Example(ON, facts=resumed(optimizer=True)),
)
def the_checkpoint_has_no_optimizer(it: Subject) -> Iterator[Found]:
    """A checkpoint written with save_only_model holds no state of optimizer and schedule. Nothing
    can go on from it as it was: transformers starts both anew without saying so, foretune refuses.

    用 save_only_model 写出的检查点不含优化器和学习率调度的状态，无法照原样继续：transformers 会不加
    提示地重新开始这两者，foretune 则会拒绝。
    """
    point = it.facts.resumed
    if point is not None and not point.optimizer:
        yield it.found(
            "record.resume",
            both(
                f"{point.folder} holds no optimizer state",
                f"{point.folder} 里没有优化器状态",
            ),
            fix=both(
                "go on from another checkpoint, or start afresh from its weights "
                "(ptuning_checkpoint)",
                "换一个检查点，或从它的权重重新开始（ptuning_checkpoint）",
            ),
        )


@rule(
    "K105",
    "trainer.ignore_data_skip",
    "trainer.restore_callback_states_from_checkpoint",
    severity="warning",
    source="transformers 5.23.0, trainer.py: they are read where a run goes on",
    flags=Example({**DATA, "trainer.ignore_data_skip": True}),
    allows=Example({**ON, "trainer.restore_callback_states_from_checkpoint": True}),
)
def a_fresh_start_has_settings_for_resuming(it: Subject) -> Iterator[Found]:
    """They say how a run goes on from a checkpoint; a fresh start reads neither. Going on with
    ignore_data_skip, an epoch begins anew: its first rows are seen once more and its last rows not
    at all.

    这两个参数只在从检查点继续时有意义，重新开始的训练不读取它们。继续训练时打开 ignore_data_skip，
    这一轮会从头读数据：前面的数据多训练一次，后面的则没有训练到。
    """
    on = it.get("record.resume") not in (None, "false", "False")
    names = ("ignore_data_skip", "restore_callback_states_from_checkpoint")
    for name in names:
        skips = name == "ignore_data_skip"
        if not it.get(f"trainer.{name}") or (on and not skips):
            continue
        yield it.found(
            f"trainer.{name}",
            both(
                f"{name} while going on from {it.get('record.resume')}"
                if on
                else f"{name} without resume_from_checkpoint",
                f"从 {it.get('record.resume')} 继续时打开了 {name}"
                if on
                else f"没有 resume_from_checkpoint，{name} 不起作用",
            ),
            fix=both("leave it out", "去掉它"),
            severity="warning" if on else "note",
        )


@rule(
    "K106",
    "record.output",
    severity="error",
    source="transformers 5.23.0, trainer_utils.py: rotate_checkpoints goes by the step in the name",
    flags=Example({**DATA, "record.output": "o"}, facts=earlier(1000, 3000)),
    allows=Example({**DATA, "record.output": "o", "record.resume": "true"}, facts=earlier(1000)),
)
def the_output_folder_holds_another_runs_checkpoints(it: Subject) -> Iterator[Found]:
    """A fresh start writes among them: its own checkpoint of an early step counts as older than
    what lies there, and whoever takes the last one takes another run's. foretune refuses to start;
    transformers 5 does not.

    重新开始的训练会把检查点写在它们中间：自己较早一步的检查点会被当成比旧的更旧，而取“最后一个”的人
    拿到的是别的训练的结果。foretune 会拒绝开始，transformers 5 则不会。
    """
    found, fresh = it.facts.earlier, it.get("record.resume") in (None, "false", "False")
    if it.get("launch.train") and found and fresh and not it.get("record.overwrite"):
        last = found[-1].folder
        yield it.found(
            "record.output",
            both(
                f"{it.get('record.output')} holds {counted(len(found), 'checkpoint')}, the last "
                f"one {last}",
                f"{it.get('record.output')} 里已有 {len(found)} 个检查点，最后一个是 {last}",
            ),
            fix=both(
                "go on with resume_from_checkpoint true, name another output_dir, or allow it "
                "with overwrite_output_dir",
                "用 resume_from_checkpoint true 继续，换一个 output_dir，或用 "
                "overwrite_output_dir 允许覆盖",
            ),
        )


@rule(
    "K107",
    "record.save_total_limit",
    "record.output",
    severity="warning",
    source="transformers 5.23.0, trainer_utils.py: the smallest step is deleted first",
    flags=Example(
        {**DATA, "record.output": "o", "record.overwrite": True, "record.save_total_limit": 2},
        facts=earlier(5000, 6000),
    ),
    allows=Example(
        {**DATA, "record.output": "o", "record.overwrite": True},
        facts=earlier(5000, 6000),
    ),
)
def old_checkpoints_outlive_the_new_ones(it: Subject) -> Iterator[Found]:
    """Over the limit transformers deletes the checkpoint of the smallest step, whoever wrote it:
    those of an earlier, longer run stay, and the new run deletes its own as it writes them.
    foretune deletes the old ones once it has one of its own.

    超出数量限制时，transformers 删除步数最小的检查点，不管是谁写的：以前更长的训练留下的检查点会保
    留下来，新训练写出的反而立刻被删掉。foretune 在写出自己的检查点之后会删除旧的。
    """
    limit, found, made = it.get("record.save_total_limit"), it.facts.earlier, it.forecast.steps
    over = it.get("record.overwrite") and it.get("record.resume") in (None, "false", "False")
    if made is None or limit is None or not over:
        return
    later = [one for one in found if one.step is not None and one.step > made.steps]
    if len(later) >= limit:
        yield it.found(
            "record.save_total_limit",
            both(
                f"{counted(len(later), 'checkpoint')} of later steps than this run's "
                f"{made.steps:,}, and {limit} are kept",
                f"已有 {len(later)} 个检查点的步数大于本次的 {made.steps:,} 步，只保留 {limit} 个",
            ),
            fix=both(
                "empty the folder first, or name another output_dir",
                "先清空文件夹，或换一个 output_dir",
            ),
        )


@rule(
    "K108",
    "method.checkpoint",
    "record.resume",
    severity="warning",
    source="transformers 5.23.0, trainer.py: train() loads the checkpoint's weights over the rest",
    flags=Example({**ON, "method.checkpoint": "earlier"}),
    allows=Example({**DATA, "method.checkpoint": "earlier"}),
)
def weights_come_from_two_checkpoints(it: Subject) -> Iterator[Found]:
    """Going on from a checkpoint loads its weights over those that ptuning_checkpoint named, so the
    latter have no effect.

    从检查点继续训练时，会用其中的权重覆盖 ptuning_checkpoint 所指的权重，后者不起作用。
    """
    on = it.get("record.resume") not in (None, "false", "False")
    if it.get("launch.train") and on and it.written("method.checkpoint"):
        yield it.found(
            "method.checkpoint",
            both(
                f"ptuning_checkpoint {it.get('method.checkpoint')} beside resume_from_checkpoint",
                f"同时写了 ptuning_checkpoint {it.get('method.checkpoint')} 和 "
                "resume_from_checkpoint",
            ),
            fix=both(
                "leave one of them out: the one starts a new run from weights, the other goes on "
                "with a run",
                "去掉其中一个：前者从已有权重开始新的训练，后者继续原来的训练",
            ),
        )
