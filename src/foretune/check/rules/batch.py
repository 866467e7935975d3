"""Rules about batches: what goes through the model at once, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator

from ...plan.memory import kv_cache_bytes, logit_bytes
from ...text import size
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import model_keys
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


SPLITTING = (
    "accelerate.parallelism_config.parallelism_config_tp_size",
    "accelerate.parallelism_config.parallelism_config_cp_size",
    "accelerate.parallelism_config.parallelism_config_sp_size",
    "deepspeed.tensor_parallel.autotp_size",
    "deepspeed.sequence_parallel_size",
)
"""What has several processes work on the same rows."""


@rule(
    "B108",
    *SPLITTING,
    severity="note",
    source="https://github.com/modelscope/ms-swift/issues/3954",
    flags=Example(
        {
            **DATA,
            "launch.processes": 8,
            "accelerate.parallelism_config.parallelism_config_sp_size": 4,
        }
    ),
    allows=Example({**DATA, "launch.processes": 8}),
)
def processes_share_their_rows(it: Subject) -> Iterator[Found]:
    """Processes that split a sequence or a layer between them see the same rows. A step then takes
    that many times fewer examples than processes × micro batch × accumulation, and an epoch has
    that many times more steps.

    共同切分一条序列或一层的进程看到的是同样的数据。每一步的样本数比“进程数 × 微批次 × 累积次数”少这
    么多倍，每轮的步数也就多这么多倍。
    """
    for path in SPLITTING:
        size = it.get(path)
        if isinstance(size, int) and size > 1 and it.get("launch.train"):
            count = it.run.launch.all_processes
            yield it.found(
                path,
                both(
                    f"{size} of {count} processes work on the same rows",
                    f"{count} 个进程中，每 {size} 个处理同样的数据",
                ),
                fix=both(
                    f"make the accumulation {size} times larger to keep the total batch",
                    f"把累积次数增大到 {size} 倍以保持总批量",
                ),
            )


@rule(
    "B109",
    "config.auto_map",
    "batch.accumulation",
    severity="note",
    source="https://github.com/huggingface/transformers/issues/37766",
    flags=Example(
        {**DATA, "batch.accumulation": 16},
        model={**CHATGLM2, "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMModel"}},
    ),
    allows=Example({**DATA, "batch.accumulation": 16}, model=CHATGLM2),
)
def code_of_the_folder_averages_micro_batches(it: Subject) -> Iterator[Found]:
    """A forward that takes no further keywords is not told how many tokens a step trains, so
    transformers averages the means of the micro batches: a token of a short answer weighs more than
    one of a long answer (4.46.0 and 4.46.1 even added the means up). foretune divides by the tokens
    of the whole step, so losses differ a little from those of that code.

    forward 不接受其他关键字参数的模型不知道一步共训练多少词元，transformers 只能对各微批次的平均值
    再取平均：短回答的词元比长回答的权重大（4.46.0 和 4.46.1 甚至直接相加）。foretune 除以整步的词
    元数，因此损失与那份代码略有不同。
    """
    count = it.get("batch.accumulation")
    if "auto_map" in model_keys(it) and count > 1 and it.get("launch.train"):
        yield it.found(
            "batch.accumulation",
            both(
                f"{count} micro batches a step, with a model that brings its own code",
                f"每步 {count} 个微批次，而模型自带代码",
            ),
            fix=both(
                "nothing to do here; compare losses of that code with that in mind",
                "在这里无需处理；与那份代码的损失比较时应考虑到这一点",
            ),
        )


@rule(
    "B110",
    "trainer.average_tokens_across_devices",
    severity="note",
    source="https://github.com/huggingface/transformers/pull/34191",
    flags=Example({**DATA, "trainer.average_tokens_across_devices": False, "launch.processes": 4}),
    allows=Example({**DATA, "trainer.average_tokens_across_devices": False, "launch.processes": 1}),
)
def devices_weigh_alike_whatever_they_train(it: Subject) -> Iterator[Found]:
    """Each device divides its loss by its own tokens, and the gradients are averaged: a device
    that happened to get short answers counts as much as one with long ones.

    每个设备按自己的词元数平均损失，再对梯度取平均：恰好分到短回答的设备，与分到长回答的设备分量相
    同。
    """
    path, count = "trainer.average_tokens_across_devices", it.run.launch.all_processes
    if it.written(path) and not it.get(path) and count > 1:
        yield it.found(
            path,
            both(
                f"average_tokens_across_devices is off with {count} processes",
                f"{count} 个进程，却关闭了 average_tokens_across_devices",
            ),
            fix=both("leave it out: it is on by default", "去掉它：默认是打开的"),
            change={path: True},
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
    prefix = it.get("method.prefix.length") if it.get("method.name") == "ptuning" else 0
    held = kv_cache_bytes(shape, batch * beams, length + (prefix or 0), 2)
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
