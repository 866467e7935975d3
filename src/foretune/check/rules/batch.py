"""Rules about batches: what goes through the model at once, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator

from ...plan.memory import kv_cache_bytes, logit_bytes
from ...text import size
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import BAICHUAN2, CHATGLM2, DATA, measured
from .sizes import GIB, example_tokens

MUCH_LOST = 0.05
"""Share of the rows whose loss in every epoch is worth a warning."""


@rule(
    "B101",
    "batch.drop_last",
    severity="warning",
    source="torch 2.13, utils/data/sampler.py: BatchSampler yields no batch that is not full",
    flags=Example({**DATA, "batch.drop_last": True, "batch.micro": 64}, facts=measured(100)),
    allows=Example({**DATA, "batch.drop_last": True, "batch.micro": 8}, facts=measured(10_000)),
)
def the_last_batch_that_is_dropped_holds_many_rows(it: Subject) -> Iterator[Found]:
    """With drop_last an epoch ends before its last batch when that is not full. Of few rows and
    large batches this leaves out a good part in every epoch.

    打开 drop_last 后，每轮最后一个不满的批次会被丢弃。数据少而批量大时，每轮都会丢掉相当一部分数
    据。
    """
    made = it.forecast.steps
    if made is None or not it.get("batch.drop_last"):
        return
    lost = made.examples % (made.micro * made.devices)
    if lost >= MUCH_LOST * made.examples:
        yield it.found(
            "batch.drop_last",
            both(
                f"{lost:,} of {made.examples:,} rows are left out of every epoch",
                f"{made.examples:,} 行数据中，每轮有 {lost:,} 行用不上",
            ),
            fix=both(
                "leave dataloader_drop_last out: a batch that is not full does no harm",
                "去掉 dataloader_drop_last：不满的批次没有坏处",
            ),
            change={"batch.drop_last": False},
        )


@rule(
    "B102",
    "batch.accumulation",
    "batch.micro",
    severity="warning",
    source="transformers 5.23.0, trainer.py: an epoch ends its last accumulation where it is",
    flags=Example({**DATA, "batch.micro": 8, "batch.accumulation": 64}, facts=measured(243)),
    allows=Example({**DATA, "batch.micro": 4, "batch.accumulation": 4}, facts=measured(243)),
)
def one_batch_is_larger_than_the_data(it: Subject) -> Iterator[Found]:
    """No step goes over the end of an epoch: where all rows together are fewer than one total
    batch, every epoch is a single step of fewer rows than were asked for.

    一个优化器步不会跨过一轮的结尾：如果全部数据还不到一个总批量，每轮就只有一步，而且这一步的样本数
    少于所写的总批量。
    """
    made = it.forecast.steps
    if made is not None and made.total_batch > made.examples:
        path = "batch.accumulation" if made.accumulation > 1 else "batch.micro"
        yield it.found(
            path,
            both(
                f"a total batch of {made.total_batch:,}, and {made.examples:,} rows: one step an "
                "epoch",
                f"总批量为 {made.total_batch:,}，数据只有 {made.examples:,} 行：每轮只有一步",
            ),
            fix=both(
                "make gradient_accumulation_steps smaller: with few rows a total batch of 8 to 32 "
                "is usual",
                "减小 gradient_accumulation_steps：数据少时，总批量通常为 8 到 32",
            ),
        )


@rule(
    "B103",
    "batch.auto_find",
    severity="note",
    source="transformers 5.23.0, trainer.py: train() starts over with a smaller micro batch",
    flags=Example({**DATA, "batch.auto_find": True, "batch.accumulation": 16}),
    allows=Example({**DATA, "batch.auto_find": True}),
)
def a_found_batch_size_changes_the_total_batch(it: Subject) -> Iterator[Found]:
    """When memory runs out the trainer starts over with a smaller micro batch and leaves the
    accumulation as it is, so the total batch shrinks and the number of steps grows: the learning
    rate was chosen for another batch.

    显存不足时，训练器减小微批次重新开始，而累积次数不变，于是总批量变小、步数变多，所选的学习率对应
    的就不再是这个批量。
    """
    if it.get("batch.auto_find") and it.get("batch.accumulation") > 1:
        count = it.get("batch.accumulation")
        yield it.found(
            "batch.auto_find",
            both(
                f"auto_find_batch_size beside gradient_accumulation_steps {count}",
                f"auto_find_batch_size 与 gradient_accumulation_steps {count} 同时使用",
            ),
            fix=both(
                "look for the batch size in a short run first, and write it with an accumulation "
                "that keeps the product",
                "先用一次短训练找出批量，再写下它，并调整累积次数使乘积不变",
            ),
        )


@rule(
    "B104",
    "batch.eval",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/6676",
    flags=Example(
        {
            **DATA,
            "batch.micro": 1,
            "record.eval_strategy": "epoch",
            "data.validation": "v.json",
            "data.max_length": 4096,
        },
        model=BAICHUAN2,
    ),
    allows=Example(
        {
            **DATA,
            "batch.micro": 1,
            "batch.eval": 1,
            "record.eval_strategy": "epoch",
            "data.validation": "v.json",
            "data.max_length": 4096,
        },
        model=BAICHUAN2,
    ),
)
def evaluation_batches_are_larger_than_training_ones(it: Subject) -> Iterator[Found]:
    """Evaluation has a batch size of its own. Each of its batches holds a score for every entry of
    the vocabulary at every position, in float32 for the loss, so a run that trains well can run out
    of memory at its first evaluation.

    评估有自己的批量。每个评估批次都要保存“每个位置 × 整个词表”的分数，计算损失时为 float32，因此训
    练正常的任务可能在第一次评估时显存不足。
    """
    shape, micro, batch = it.shape, it.get("batch.micro"), it.get("batch.eval")
    if shape is None or not shape.vocab or not it.run.evaluates_on_the_way or batch <= micro:
        return
    length = example_tokens(it.run)
    held = logit_bytes(batch, length, shape.vocab)
    if held > 2 * GIB:
        trained = size(logit_bytes(micro, length, shape.vocab))
        yield it.found(
            "batch.eval",
            both(
                f"evaluation takes {batch} examples at once and training {micro}: scores of up to "
                f"{size(held)} in place of {trained}",
                f"评估每次 {batch} 个样本，训练每次 {micro} 个：分数最多占 {size(held)}，训练时为 "
                f"{trained}",
            ),
            fix=both(
                f"write per_device_eval_batch_size {micro}",
                f"写上 per_device_eval_batch_size {micro}",
            ),
            change={"batch.eval": micro},
        )


@rule(
    "B105",
    "batch.eval",
    "generate.num_beams",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/7781",
    flags=Example(
        {
            "launch.predict": True,
            "data.test": "t.json",
            "generate.enabled": True,
            "generate.num_beams": 4,
        },
        model=BAICHUAN2,
    ),
    allows=Example(
        {
            "launch.predict": True,
            "data.test": "t.json",
            "generate.enabled": True,
            "generate.num_beams": 4,
        },
        model=CHATGLM2,
    ),
)
def generation_keeps_many_caches(it: Subject) -> Iterator[Found]:
    """While answers are generated, the keys and values of every example of the batch and of every
    beam are held at once, up to the longest answer allowed.

    生成回答时，批次中每个样本、每个束的键和值都要同时保存，直到允许的最大长度。
    """
    shape, beams, batch = it.shape, it.get("generate.num_beams") or 1, it.get("batch.eval")
    writes = it.get("generate.enabled") and (it.run.evaluates or it.get("launch.predict"))
    length = it.get("generate.max_length")
    if not writes or shape is None or not length:
        return
    held = kv_cache_bytes(shape, batch * beams, length, 2)
    if held > 8 * GIB:
        yield it.found(
            "generate.num_beams" if beams > 1 else "batch.eval",
            both(
                f"{batch} examples × {beams} beams × {length:,} tokens keep {size(held)} of keys "
                "and values",
                f"{batch} 个样本 × {beams} 个束 × {length:,} 个词元，键值缓存为 {size(held)}",
            ),
            fix=both(
                "make per_device_eval_batch_size or num_beams smaller",
                "减小 per_device_eval_batch_size 或 num_beams",
            ),
        )


@rule(
    "B106",
    "batch.order",
    severity="note",
    source="transformers 5.23.0, trainer_pt_utils.py: the sampler sorts by length to pad less",
    flags=Example({**DATA, "batch.order": "group_by_length", "data.pad_to_max_length": True}),
    allows=Example({**DATA, "batch.order": "group_by_length"}),
)
def rows_are_grouped_by_a_length_that_is_padded_away(it: Subject) -> Iterator[Found]:
    """Grouping by length saves padding. Where every example is padded to one length all the same,
    nothing is saved, and the order is less random than it could be.

    按长度分组是为了减少填充。如果每个样本反正都要填充到同一长度，就什么也省不下，反而降低了随机性。
    """
    padded = it.get("data.pad_to_max_length") or it.get("data.protocol") == "official"
    if it.get("batch.order") == "group_by_length" and padded:
        yield it.found(
            "batch.order",
            both(
                "rows are grouped by length, and all padded to one length",
                "数据按长度分组，却又全部填充到同一长度",
            ),
            fix=both(
                "leave pad_to_max_length out, or the grouping",
                "去掉 pad_to_max_length，或去掉按长度分组",
            ),
        )


@rule(
    "B107",
    "batch.gradient_checkpointing_kwargs",
    severity="warning",
    source="transformers 5.23.0, trainer.py: the arguments are read where checkpointing is on",
    flags=Example({**DATA, "batch.gradient_checkpointing_kwargs": {"use_reentrant": False}}),
    allows=Example(
        {
            **DATA,
            "batch.gradient_checkpointing": True,
            "batch.gradient_checkpointing_kwargs": {"use_reentrant": False},
        }
    ),
)
def checkpointing_has_arguments_and_is_off(it: Subject) -> Iterator[Found]:
    """The arguments of gradient checkpointing turn nothing on: without the switch itself every
    activation is kept.

    只写梯度检查点的参数并不会打开它：没有打开开关，所有激活仍然保留在显存里。
    """
    if it.get("batch.gradient_checkpointing_kwargs") and not it.get("batch.gradient_checkpointing"):
        yield it.found(
            "batch.gradient_checkpointing_kwargs",
            both(
                "gradient_checkpointing_kwargs is written, and gradient_checkpointing is off",
                "写了 gradient_checkpointing_kwargs，却没有打开 gradient_checkpointing",
            ),
            fix=both(
                "write gradient_checkpointing true as well", "同时写上 gradient_checkpointing true"
            ),
        )
