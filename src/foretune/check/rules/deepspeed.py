"""Rules about ds_config.json beside a program's arguments: what both say, and who is heard."""

from __future__ import annotations

from collections.abc import Iterator

from ...params.run import compose_sound, parameters
from ...params.setting import AUTO, Setting
from ...text import place as line_of
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA
from .sizes import STAGE, processes, processes_are_known, uses_deepspeed

HF_DEEPSPEED = "transformers 5.23.0, integrations/deepspeed.py"

FOUR: dict[str, object] = {**DATA, "launch.launcher": "deepspeed", "launch.processes": 4}
ZERO2: dict[str, object] = {**FOUR, STAGE: 2}
ZERO3: dict[str, object] = {**FOUR, STAGE: 3}

PREFIX = "deepspeed."
MATCHED = (
    "batch.micro",
    "batch.accumulation",
    "optim.max_grad_norm",
    "optim.learning_rate",
    "optim.beta1",
    "optim.beta2",
    "optim.epsilon",
    "optim.weight_decay",
)
"""What transformers compares with DeepSpeed's file (trainer_config_process)."""

OTHERS = ("schedule.warmup", "precision.mixed")
"""What else both have."""

FILE = "launch.deepspeed"
"""What a ds_config.json says by being named: that it is used."""


def of_deepspeed(it: Subject) -> set[str]:
    """The files that hold DeepSpeed's settings, and nothing that it does not have."""
    paths: dict[str, list[str]] = {}
    for one in it.run.settings:
        paths.setdefault(one.origin.file, []).append(one.path)
    return {
        file
        for file, found in paths.items()
        if any(path.startswith(PREFIX) for path in found)
        and all(path.startswith(PREFIX) or path in (*MATCHED, *OTHERS, FILE) for path in found)
    }


def has_program(it: Subject) -> bool:
    """Whether the arguments of a program were read too: those that nobody wrote then have their
    defaults.
    """
    return it.written("launch.launcher") or it.written("record.output")


def place(setting: Setting) -> str:
    """Where it was written: 'train.sh:12'."""
    return line_of(setting.origin.file, setting.origin.line)


def value(setting: Setting) -> object:
    """The value in its declared type: 8 of the text '8'."""
    run, problems = compose_sound([setting])
    return setting.value if problems else run.get(setting.path)


def argued(it: Subject, path: str) -> tuple[object, Setting | None]:
    """What the program's arguments say at ``path``: their value, and where it was written."""
    ours = of_deepspeed(it)
    others = [one for one in it.values(path) if one.origin.file not in ours]
    others = [one for one in others if one.value is not AUTO]
    return (value(others[-1]), others[-1]) if others else (parameters()[path].default, None)


@rule(
    "Z101",
    *MATCHED,
    severity="error",
    source="https://github.com/shibing624/MedicalGPT/issues/191",
    flags=Example({**FOUR, "batch.micro": 8}, also=((STAGE, 2), ("batch.micro", 4))),
    allows=Example({**FOUR, "batch.micro": 4}, also=((STAGE, 2), ("batch.micro", 4))),
)
def deepspeeds_file_contradicts_the_arguments(it: Subject) -> Iterator[Found]:
    """Where both write a number, transformers compares them and refuses to start: please correct
    the following DeepSpeed config values that mismatch TrainingArguments values. An argument that
    nobody wrote counts with its default.

    两处都写了数值时，transformers 会进行比较，不一致就拒绝启动，并提示修改 DeepSpeed 的配置。没有写
    的参数按默认值比较。
    """
    ours = of_deepspeed(it)
    for path in MATCHED:
        theirs = [one for one in it.values(path) if one.origin.file in ours]
        theirs = [one for one in theirs if one.value is not AUTO]
        here, written = argued(it, path)
        if not theirs or value(theirs[-1]) == here or not (written or has_program(it)):
            continue
        there, key = theirs[-1].value, theirs[-1].origin.spelling
        yield it.found(
            path,
            both(
                f"{key} is {there} in {place(theirs[-1])}, and the argument is {here}"
                + (f" in {place(written)}" if written else " by default"),
                f"{key} 在 {place(theirs[-1])} 中为 {there}，而参数"
                + (f"在 {place(written)} 中为 {here}" if written else f"的默认值为 {here}"),
            ),
            fix=both(
                'write "auto" in DeepSpeed\'s file, and the value as an argument alone',
                '在 DeepSpeed 的文件里写 "auto"，数值只写在参数里',
            ),
        )


@rule(
    "Z102",
    "deepspeed.train_batch_size",
    severity="error",
    source="https://github.com/shibing624/MedicalGPT/issues/191",
    flags=Example({**ZERO2, "deepspeed.train_batch_size": 64, "batch.micro": 4}),
    allows=Example({**ZERO2, "deepspeed.train_batch_size": 16, "batch.micro": 4}),
)
def the_total_batch_is_not_the_product(it: Subject) -> Iterator[Found]:
    """DeepSpeed checks that train_batch_size is micro batch × accumulation × processes, and stops
    where it is not.

    DeepSpeed 要求 train_batch_size 等于“微批次 × 累积次数 × 进程数”，不相等就停止。
    """
    total = it.get("deepspeed.train_batch_size")
    if not isinstance(total, int):
        return
    micro, accumulation, count = it.get("batch.micro"), it.get("batch.accumulation"), processes(it)
    known = processes_are_known(it)
    product = micro * accumulation * (count if known else 1)
    wrong = total != product if known else total % product
    if wrong and it.written("deepspeed.train_batch_size"):
        shown = f"{micro} × {accumulation} × {count}" if known else f"{micro} × {accumulation}"
        yield it.found(
            "deepspeed.train_batch_size",
            both(
                f"train_batch_size is {total}, and {shown} is {product}"
                + ("" if known else ": no number of processes makes it up"),
                f"train_batch_size 为 {total}，而 {shown} = {product}"
                + ("" if known else "：任何进程数都凑不出来"),
            ),
            fix=both(
                'write "train_batch_size": "auto", or the product',
                '写 "train_batch_size": "auto"，或写上乘积',
            ),
        )


HALVES = {"deepspeed.fp16.enabled": "fp16", "deepspeed.bf16.enabled": "bf16"}


@rule(
    "Z103",
    *HALVES,
    severity="error",
    source=f"{HF_DEEPSPEED}: fp16.enabled and bf16.enabled must match the arguments",
    flags=Example(
        {**FOUR, "precision.mixed": "bf16"}, also=((STAGE, 2), ("deepspeed.fp16.enabled", True))
    ),
    allows=Example(
        {**FOUR, "precision.mixed": "fp16"}, also=((STAGE, 2), ("deepspeed.fp16.enabled", True))
    ),
)
def deepspeed_computes_in_another_type(it: Subject) -> Iterator[Found]:
    """The type that DeepSpeed computes in and that of the arguments (fp16, bf16) must be one;
    transformers refuses to start where they differ.

    DeepSpeed 的计算类型必须与参数 fp16、bf16 一致；不一致时 transformers 拒绝启动。
    """
    if not has_program(it):
        return
    asked = [argued(it, path)[0] for path in ("precision.mixed", "precision.full_eval")]
    for path, word in HALVES.items():
        on = it.get(path)
        if not it.written(path) or not isinstance(on, bool) or on == (word in asked):
            continue
        said = f"{word}.enabled is {str(on).lower()}", f"{word}.enabled 为 {str(on).lower()}"
        yield it.found(
            path,
            both(
                f"{said[0]}, and the arguments ask for {asked[0]}",
                f"{said[1]}，而参数要求的是 {asked[0]}",
            ),
            fix=both(
                f'write {{"{word}": {{"enabled": "auto"}}}}',
                f'写 {{"{word}": {{"enabled": "auto"}}}}',
            ),
        )


@rule(
    "Z104",
    *HALVES,
    severity="error",
    source="DeepSpeed 0.19.8, runtime/config.py: bf16 and fp16 modes exclude each other",
    flags=Example({**ZERO2, **dict.fromkeys(HALVES, True)}),
    allows=Example({**ZERO2, "precision.mixed": "bf16", **dict.fromkeys(HALVES, "auto")}),
)
def deepspeed_is_to_compute_in_two_types(it: Subject) -> Iterator[Found]:
    """DeepSpeed computes in float16 or in bfloat16, and refuses a file that turns both on.

    DeepSpeed 只能用 float16 或 bfloat16 之一计算，两者都打开时会拒绝。
    """
    if all(it.get(path) is True for path in HALVES):
        yield it.found(
            "deepspeed.fp16.enabled",
            both("fp16 and bf16 are both enabled", "fp16 和 bf16 都打开了"),
            fix=both("turn fp16 off where the GPU has bfloat16", "GPU 支持 bfloat16 时关闭 fp16"),
        )


@rule(
    "Z105",
    "optim.name",
    "deepspeed.optimizer.type",
    severity="warning",
    source=f"{HF_DEEPSPEED}: with an optimizer section the trainer makes none of its own",
    flags=Example({**ZERO2, "optim.name": "adafactor", "deepspeed.optimizer.type": "AdamW"}),
    allows=Example({**ZERO2, "deepspeed.optimizer.type": "AdamW"}),
)
def the_optimizer_is_named_twice(it: Subject) -> Iterator[Found]:
    """Where DeepSpeed's file has an optimizer section, DeepSpeed makes the optimizer and nothing
    reads --optim.

    DeepSpeed 的文件里有 optimizer 配置块时，由 DeepSpeed 创建优化器，不再读取 --optim。
    """
    theirs, ours = it.get("deepspeed.optimizer.type"), it.get("optim.name")
    same = theirs is not None and theirs.lower() == "adamw" and ours.startswith("adamw_torch")
    if theirs is not None and it.written("optim.name") and not same:
        yield it.found(
            "optim.name",
            both(
                f"optim {ours} beside DeepSpeed's optimizer {theirs}: no effect",
                f"DeepSpeed 已指定优化器 {theirs}，optim {ours} 不起作用",
            ),
            fix=both(
                "leave the optimizer section out of DeepSpeed's file, or --optim",
                "去掉 DeepSpeed 文件里的 optimizer 配置块，或去掉 --optim",
            ),
        )


SCHEDULES = {"warmuplr": "constant_with_warmup", "warmupdecaylr": "linear"}
"""DeepSpeed's schedules that do what one of transformers' does."""


@rule(
    "Z106",
    "schedule.name",
    "deepspeed.scheduler.type",
    severity="warning",
    source=f"{HF_DEEPSPEED}: with a scheduler section the trainer makes none of its own",
    flags=Example({**ZERO2, "schedule.name": "cosine", "deepspeed.scheduler.type": "WarmupLR"}),
    allows=Example({**ZERO2, "schedule.name": "cosine"}),
)
def the_schedule_is_named_twice(it: Subject) -> Iterator[Found]:
    """Where DeepSpeed's file has a scheduler section, DeepSpeed moves the learning rate and nothing
    reads --lr_scheduler_type. Its WarmupLR stays at the top after the warm-up.

    DeepSpeed 的文件里有 scheduler 配置块时，由 DeepSpeed 改变学习率，不再读取 --lr_scheduler_type。
    它的 WarmupLR 在预热之后一直保持最高学习率。
    """
    theirs, ours = it.get("deepspeed.scheduler.type"), it.get("schedule.name")
    other = theirs is not None and SCHEDULES.get(theirs.lower()) != ours
    if other and it.written("schedule.name"):
        yield it.found(
            "schedule.name",
            both(
                f"lr_scheduler_type {ours} beside DeepSpeed's scheduler {theirs}: no effect",
                f"DeepSpeed 已指定调度 {theirs}，lr_scheduler_type {ours} 不起作用",
            ),
            fix=both(
                "leave the scheduler section out of DeepSpeed's file",
                "去掉 DeepSpeed 文件里的 scheduler 配置块",
            ),
        )


REMOVED = {
    name: f"deepspeed.{name}"
    for name in (
        "nebula", "compression_training", "quantize_training", "sparse_attention", "amp",
        "sparse_gradients", "eigenvalue", "elasticity", "graph_harvesting", "curriculum_learning",
        "progressive_layer_drop",
    )
}  # fmt: skip


STEPS = "deepspeed.scheduler.params.total_num_steps"


@rule(
    "Z109",
    STEPS,
    severity="error",
    source="https://github.com/huggingface/transformers/issues/29348",
    flags=Example({**ZERO2, "schedule.max_steps": 3000, STEPS: 1000}),
    allows=Example({**ZERO2, "schedule.max_steps": 3000, STEPS: 3000}),
)
def deepspeeds_schedule_is_of_another_length(it: Subject) -> Iterator[Found]:
    """transformers holds total_num_steps against the steps that it has worked out, once the model
    is loaded, and refuses a number that differs. Without transformers the rate reaches its end at
    that step, and stays there or breaks off above it.

    模型加载之后，transformers 会把 total_num_steps 与自己算出的步数比较，不同就拒绝。不经
    transformers 时，学习率在那一步降到底，之后一直停在那里，或训练结束时还没有降完。
    """
    total, made = it.get(STEPS), it.forecast.steps
    steps = made.steps if made is not None else it.get("schedule.max_steps")
    if isinstance(total, int) and steps is not None and total != steps and it.get("launch.train"):
        yield it.found(
            STEPS,
            both(
                f"total_num_steps is {total:,}, and the run makes {steps:,} steps",
                f"total_num_steps 为 {total:,}，而训练共 {steps:,} 步",
            ),
            fix=both('write "auto"', '写 "auto"'),
        )


@rule(
    "Z107",
    *REMOVED.values(),
    severity="warning",
    source="DeepSpeed 0.19.8, runtime/config.py: a file that has them is refused",
    flags=Example({**ZERO2, "deepspeed.sparse_gradients": False}),
    allows=Example(ZERO2),
)
def a_section_is_gone_from_deepspeed(it: Subject) -> Iterator[Found]:
    """DeepSpeed 0.19.7 and 0.19.8 took these sections out and refuse a file that has one, even to
    turn it off. Older releases read it.

    DeepSpeed 0.19.7 和 0.19.8 移除了这些配置块，文件里出现就会拒绝，哪怕只是为了关闭。更早的版本仍
    会读取。
    """
    written = [name for name, path in REMOVED.items() if it.written(path)]
    if written:
        yield it.found(
            REMOVED[written[0]],
            both(
                f"{sentence_list(written)} in DeepSpeed's file",
                f"DeepSpeed 的文件里有 {sentence_list(written, language='zh')}",
            ),
            fix=both("leave it out", "去掉它"),
        )


@rule(
    "Z108",
    "record.save_only_model",
    "record.load_best",
    severity="error",
    source="transformers 5.23.0, trainer.py: save_only_model and load_best_model_at_end",
    flags=Example(
        {
            **ZERO2,
            "record.save_only_model": True,
            "record.load_best": True,
            "record.eval_strategy": "epoch",
            "record.save_strategy": "epoch",
            "data.validation": "v.json",
        }
    ),
    allows=Example({**ZERO2, "record.save_only_model": True}),
)
def the_best_checkpoint_cannot_be_loaded_again(it: Subject) -> Iterator[Found]:
    """DeepSpeed and FSDP load a checkpoint with the optimizer's pieces or not at all; transformers
    refuses to go back to the best one where checkpoints hold the model alone.

    DeepSpeed 和 FSDP 只能连同优化器分片一起加载检查点；检查点只含模型时，transformers 不允许在结束
    时回到最好的那个。
    """
    sharded = uses_deepspeed(it) or it.get("launch.fsdp")
    if sharded and it.get("record.save_only_model") and it.get("record.load_best"):
        yield it.found(
            "record.save_only_model",
            both(
                "save_only_model with load_best_model_at_end under DeepSpeed or FSDP",
                "在 DeepSpeed 或 FSDP 下同时使用 save_only_model 和 load_best_model_at_end",
            ),
            fix=both("leave one of the two out", "去掉其中一个"),
            change={"record.save_only_model": False},
        )
