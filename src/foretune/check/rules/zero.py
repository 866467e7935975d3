"""Rules about ZeRO: what each stage shards, saves and offloads."""

from __future__ import annotations

from collections.abc import Iterator

from ...text import sentence_list, size
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .deepspeed import HF_DEEPSPEED, ZERO2, ZERO3
from .examples import DATA, TRANSFORMER
from .sizes import STAGE, processes, processes_are_known, zero_stage

ZERO = "deepspeed.zero_optimization."
GATHER = f"{ZERO}stage3_gather_16bit_weights_on_model_save"
OPTIMIZER_DEVICE = f"{ZERO}offload_optimizer.device"
PARAMETER_DEVICE = f"{ZERO}offload_param.device"
STAGE_3_ONLY = (
    GATHER,
    f"{ZERO}sub_group_size",
    f"{ZERO}stage3_prefetch_bucket_size",
    f"{ZERO}stage3_param_persistence_threshold",
    f"{ZERO}stage3_max_live_parameters",
    f"{ZERO}stage3_max_reuse_distance",
)
BUFFERS = 4.5
"""Times the bucket size that overlapping takes, by the documentation of transformers."""


@rule(
    "Z201",
    GATHER,
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/2239",
    flags=Example({**ZERO3, GATHER: False}),
    allows=Example({**ZERO3, GATHER: True}),
)
def a_save_holds_shards_alone(it: Subject) -> Iterator[Found]:
    """Under ZeRO-3 each process holds a piece of every weight. Without gathering, what is saved as
    the model is empty or a few hundred kilobytes, and the weights have to be put together with
    zero_to_fp32.py, in float32.

    ZeRO-3 下每个进程只有每个权重的一部分。不收集的话，保存的模型是空的或只有几百 KB，还要
    用 zero_to_fp32.py 拼成 float32 权重。
    """
    saves = it.get("record.save_strategy") != "no"
    if it.get("launch.train") and zero_stage(it) == 3 and saves and it.get(GATHER) is False:
        yield it.found(
            GATHER,
            both(
                "stage3_gather_16bit_weights_on_model_save is off under ZeRO-3",
                "ZeRO-3 没有打开 stage3_gather_16bit_weights_on_model_save",
            ),
            fix=both(
                'write "stage3_gather_16bit_weights_on_model_save": true in zero_optimization',
                '在 zero_optimization 里写 "stage3_gather_16bit_weights_on_model_save": true',
            ),
            change={GATHER: True},
        )


@rule(
    "Z202",
    STAGE,
    "generate.enabled",
    severity="warning",
    source="transformers 5.23.0, trainer_seq2seq.py: synced_gpus under ZeRO-3",
    flags=Example(
        {**ZERO3, "generate.enabled": True, "launch.evaluate": True, "data.validation": "v.json"}
    ),
    allows=Example(
        {**ZERO2, "generate.enabled": True, "launch.evaluate": True, "data.validation": "v.json"}
    ),
)
def answers_are_generated_from_shards(it: Subject) -> Iterator[Found]:
    """Under ZeRO-3 every token of every answer gathers all weights over the network, and all
    processes go on until the longest answer of any is done: many times slower than on one GPU that
    holds the model.

    ZeRO-3 下，每生成一个词元都要通过网络收集全部权重，而且所有进程都要等最长的回答结束：比在一个放
    得下模型的 GPU 上慢许多倍。
    """
    writes = it.get("generate.enabled") and (it.run.evaluates or it.get("launch.predict"))
    if writes and zero_stage(it) == 3:
        yield it.found(
            STAGE,
            both("predict_with_generate under ZeRO-3", "在 ZeRO-3 下使用 predict_with_generate"),
            fix=both(
                "train with the loss alone, and generate afterwards with `foretune evaluate`",
                "训练时只评估损失，之后再用 `foretune evaluate` 生成",
            ),
        )


@rule(
    "Z203",
    OPTIMIZER_DEVICE,
    "optim.name",
    severity="error",
    source="accelerate 1.15.0, utils/deepspeed.py: map_pytorch_optim_to_deepspeed",
    flags=Example({**ZERO2, OPTIMIZER_DEVICE: "cpu", "optim.name": "adafactor"}),
    allows=Example({**ZERO2, OPTIMIZER_DEVICE: "cpu", "optim.name": "adamw_torch"}),
)
def an_offloaded_optimizer_becomes_adam(it: Subject) -> Iterator[Found]:
    """With the optimizer offloaded, accelerate puts DeepSpeed's CPU Adam in place of whatever
    optimizer the arguments name, and says nothing of it.

    优化器卸载到 CPU 时，无论参数写的是哪个优化器，accelerate 都会换成 DeepSpeed 的 CPU 版 Adam，且
    没有任何提示。
    """
    kept = it.get("optim.name").startswith(("adamw_torch", "adagrad", "lion_32bit"))
    forced = it.get("deepspeed.zero_force_ds_cpu_optimizer") and zero_stage(it)
    chosen = it.get("deepspeed.optimizer.type") is not None
    if it.get(OPTIMIZER_DEVICE) in ("cpu", "nvme") and forced and not kept and not chosen:
        yield it.found(
            "optim.name",
            both(
                f"optim {it.get('optim.name')} with the optimizer offloaded",
                f"优化器已卸载，而 optim 写的是 {it.get('optim.name')}",
            ),
            fix=both(
                "write optim adamw_torch, or take offload_optimizer out",
                "改用 optim adamw_torch，或去掉 offload_optimizer",
            ),
        )


@rule(
    "Z204",
    PARAMETER_DEVICE,
    STAGE,
    severity="warning",
    source="DeepSpeed 0.19.8, runtime/zero/config.py: offload_param is for stage 3",
    flags=Example({**ZERO2, PARAMETER_DEVICE: "cpu"}),
    allows=Example({**ZERO3, PARAMETER_DEVICE: "cpu"}),
)
def weights_are_to_be_offloaded_that_are_not_sharded(it: Subject) -> Iterator[Found]:
    """Only ZeRO-3 cuts weights into pieces and can keep them in main memory; below it offload_param
    does nothing and every GPU holds the whole model.

    只有 ZeRO-3 会切分权重并把它们放到内存；低于 3 时 offload_param 不起作用，每个 GPU 都保存整个模
    型。
    """
    where, stage = it.get(PARAMETER_DEVICE), zero_stage(it)
    if where in ("cpu", "nvme") and stage != 3 and it.get(STAGE) != "auto":
        yield it.found(
            PARAMETER_DEVICE,
            both(
                f"offload_param to {where} under stage {stage}",
                f"stage 为 {stage}，却把 offload_param 设为 {where}",
            ),
            fix=both(
                'write "stage": 3, or offload the optimizer alone',
                '写 "stage": 3，或只卸载优化器',
            ),
        )


@rule(
    "Z205",
    *STAGE_3_ONLY,
    severity="note",
    source="DeepSpeed 0.19.8, runtime/zero/config.py: they are read by stage 3",
    flags=Example({**ZERO2, f"{ZERO}stage3_prefetch_bucket_size": 50_000_000}),
    allows=Example({**ZERO3, f"{ZERO}stage3_prefetch_bucket_size": 50_000_000}),
)
def settings_of_stage_3_stand_under_another(it: Subject) -> Iterator[Found]:
    """These are about fetching and saving weights that are cut into pieces; stages 1 and 2 do not
    read them.

    这些设置关系到切分后的权重如何收集和保存，stage 1 和 2 不读取。
    """
    written = [path for path in STAGE_3_ONLY if it.written(path)]
    stage = it.get(STAGE)
    if written and stage in (0, 1, 2):
        names = sentence_list(path.removeprefix(ZERO) for path in written)
        yield it.found(
            written[0],
            both(
                f"{names} under stage {stage}: no effect",
                f"stage 为 {stage}，{names} 不起作用",
            ),
            fix=both('leave it out, or write "stage": 3', '去掉它，或写 "stage": 3'),
        )


@rule(
    "Z206",
    f"{ZERO}overlap_comm",
    f"{ZERO}reduce_bucket_size",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/4213",
    flags=Example(
        {**ZERO2, f"{ZERO}overlap_comm": True, f"{ZERO}reduce_bucket_size": 1_000_000_000},
        device="RTX 4090",
        gpus=4,
    ),
    allows=Example(
        {**ZERO2, f"{ZERO}overlap_comm": True, f"{ZERO}reduce_bucket_size": 50_000_000},
        device="RTX 4090",
        gpus=4,
    ),
)
def communication_buffers_fill_the_gpu(it: Subject) -> Iterator[Found]:
    """Overlapping communication takes buffers of about 4.5 times the bucket size, whatever the
    model: on a small GPU ZeRO-2 then runs out of memory where one GPU alone would not.

    通信与计算重叠时，缓冲区约为分桶大小的 4.5 倍，与模型大小无关：在小显存的 GPU 上，ZeRO-2 反而会
    比单卡更早耗尽显存。
    """
    bucket, device = it.get(f"{ZERO}reduce_bucket_size"), it.device
    on = it.get(f"{ZERO}overlap_comm") and zero_stage(it) in (1, 2)
    if device is None or not on or not isinstance(bucket, int):
        return
    taken = BUFFERS * bucket * 2
    if taken > 0.2 * device.memory_gb * 1e9:
        yield it.found(
            f"{ZERO}reduce_bucket_size",
            both(
                f"buffers of about {size(taken)} on {device.name} with {device.memory_gb:g} GB",
                f"缓冲区约 {size(taken)}，而 {device.name} 只有 {device.memory_gb:g} GB",
            ),
            fix=both(
                'write "reduce_bucket_size": 50000000, or "overlap_comm": false',
                '写 "reduce_bucket_size": 50000000，或 "overlap_comm": false',
            ),
            change={f"{ZERO}reduce_bucket_size": 50_000_000},
        )


@rule(
    "Z207",
    STAGE,
    severity="note",
    source="DeepSpeed 0.19.8, runtime/zero: state is divided by the number of processes",
    flags=Example({**DATA, "launch.launcher": "deepspeed", "launch.processes": 1, STAGE: 2}),
    allows=Example(ZERO2),
)
def one_process_has_nothing_to_shard(it: Subject) -> Iterator[Found]:
    """ZeRO divides by the number of processes: with one it saves no memory, apart from what is
    offloaded.

    ZeRO 按进程数切分：只有一个进程时，除了卸载的部分，并不节省显存。
    """
    away = {it.get(OPTIMIZER_DEVICE), it.get(PARAMETER_DEVICE)} & {"cpu", "nvme"}
    one = processes_are_known(it) and processes(it) == 1
    if zero_stage(it) and one and not away:
        yield it.found(
            STAGE,
            both(
                f"ZeRO-{zero_stage(it)} with one process",
                f"只有一个进程，却使用 ZeRO-{zero_stage(it)}",
            ),
            fix=both(
                "leave DeepSpeed out, or offload the optimizer",
                "去掉 DeepSpeed，或卸载优化器",
            ),
        )


@rule(
    "Z208",
    "batch.auto_find",
    severity="error",
    source="transformers 5.23.0, trainer.py: auto_find_batch_size is not supported with ZeRO-3",
    flags=Example({**ZERO3, GATHER: True, "batch.auto_find": True}),
    allows=Example({**ZERO2, "batch.auto_find": True}),
)
def a_batch_size_is_sought_under_zero_3(it: Subject) -> Iterator[Found]:
    """After running out of memory the trainer would have to build the sharded model anew, which it
    cannot; transformers refuses.

    显存不足之后训练器需要重新构建切分的模型，而它做不到；transformers 会拒绝。
    """
    if it.get("batch.auto_find") and zero_stage(it) == 3:
        yield it.found(
            "batch.auto_find",
            both("auto_find_batch_size under ZeRO-3", "在 ZeRO-3 下使用 auto_find_batch_size"),
            fix=both('leave it out, or write "stage": 2', '去掉它，或写 "stage": 2'),
            change={"batch.auto_find": False},
        )


@rule(
    "Z209",
    f"{ZERO}reduce_bucket_size",
    f"{ZERO}stage3_prefetch_bucket_size",
    f"{ZERO}stage3_param_persistence_threshold",
    severity="error",
    source=f"{HF_DEEPSPEED}: these autos are filled in from hidden_size",
    flags=Example(
        {**ZERO2, f"{ZERO}reduce_bucket_size": "auto"},
        model=TRANSFORMER,
    ),
    allows=Example({**ZERO2, f"{ZERO}reduce_bucket_size": "auto"}),
)
def an_auto_has_no_hidden_size_to_come_from(it: Subject) -> Iterator[Found]:
    """transformers makes these sizes of the hidden_size in the model's config, and refuses to start
    where the config calls it otherwise.

    transformers 用模型配置里的 hidden_size 计算这些大小；配置里没有这个键时拒绝启动。
    """
    paths = (
        f"{ZERO}reduce_bucket_size",
        f"{ZERO}stage3_prefetch_bucket_size",
        f"{ZERO}stage3_param_persistence_threshold",
    )
    autos = [path for path in paths if it.get(path) == "auto" and it.written(path)]
    if it.model is None or not autos or {"hidden_size", "hidden_sizes"} & it.model.keys.keys():
        return
    yield it.found(
        autos[0],
        both(
            f"{autos[0].removeprefix(ZERO)} is auto, and the config has no hidden_size",
            f"{autos[0].removeprefix(ZERO)} 为 auto，而模型配置里没有 hidden_size",
        ),
        fix=both("write a number, such as 50000000", "写一个数值，例如 50000000"),
    )
