"""Rules about how a run is started: devices, processes, and what they are handed."""

from __future__ import annotations

from collections.abc import Iterator

from ...text import counted, sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA
from .sizes import processes, processes_are_known, uses_deepspeed


def visible(it: Subject) -> list[str]:
    """The devices that the processes may see; none where nobody wrote them."""
    words = (it.get("launch.visible_devices") or "").split(",")
    return [word.strip() for word in words if word.strip()]


def plain(it: Subject) -> bool:
    """Whether the command is known, and starts python without a launcher."""
    return it.get("launch.launcher") == "python" and it.written("launch.launcher")


@rule(
    "L101",
    "launch.visible_devices",
    "launch.launcher",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/834",
    flags=Example({**DATA, "launch.launcher": "python", "launch.visible_devices": "0,1,2,3"}),
    allows=Example({**DATA, "launch.launcher": "python", "launch.visible_devices": "0"}),
)
def one_process_sees_several_gpus(it: Subject) -> Iterator[Found]:
    """Started with plain python, transformers' Trainer splits every batch over all visible GPUs
    (torch's DataParallel): the total batch is that many times larger, the model is copied at every
    step, and P-Tuning of ChatGLM breaks on it. foretune's own trainer uses one GPU per process.

    用 python 直接启动时，transformers 的 Trainer 会把每个批次拆到所有可见的 GPU 上
    （torch 的 DataParallel）：总批量变成几倍，每一步都要复制模型，ChatGLM 的 P-Tuning 会因此报
    错。foretune 自己的训练器每个进程只用一个 GPU。
    """
    seen = visible(it)
    if it.get("launch.launcher") == "python" and len(seen) > 1 and it.get("launch.train"):
        total = len(seen) * it.get("batch.micro") * it.get("batch.accumulation")
        yield it.found(
            "launch.visible_devices",
            both(
                f"python sees {len(seen)} GPUs ({','.join(seen)}): a total batch of {total:,}",
                f"python 可以看到 {len(seen)} 个 GPU（{','.join(seen)}）：总批量为 {total:,}",
            ),
            fix=both(
                f"start one process per GPU: torchrun --standalone --nproc-per-node={len(seen)} "
                "..., or make one GPU visible",
                f"每个 GPU 启动一个进程：torchrun --standalone --nproc-per-node={len(seen)} ...，"
                "或只让一个 GPU 可见",
            ),
        )


@rule(
    "L102",
    "launch.processes",
    "launch.visible_devices",
    severity="error",
    source="torch 2.13, cuda/__init__.py: set_device of an ordinal that is not visible fails",
    flags=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 4,
            "launch.visible_devices": "0,1",
        }
    ),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.visible_devices": "0,1",
        }
    ),
)
def there_are_more_processes_than_gpus(it: Subject) -> Iterator[Found]:
    """Each process takes the GPU of its own number among the visible ones. For a process that has
    none the run ends with an invalid device ordinal.

    每个进程使用可见 GPU 中与自己编号相同的那个；编号超出时会报 invalid device ordinal 并退出。
    """
    seen, wanted = visible(it), it.get("launch.processes") or 1
    known = len(seen) or (it.gpus if it.device is not None else 0)
    if known and wanted > known and not it.get("launch.use_cpu"):
        yield it.found(
            "launch.processes",
            both(
                f"{wanted} processes, and {counted(known, 'GPU')}",
                f"{wanted} 个进程，只有 {known} 个 GPU",
            ),
            fix=both(
                f"start {known}, or make more GPUs visible",
                f"改为启动 {known} 个进程，或让更多 GPU 可见",
            ),
        )


@rule(
    "L103",
    "launch.processes",
    severity="note",
    source="https://github.com/zai-org/ChatGLM2-6B/issues/199",
    flags=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 1,
            "launch.visible_devices": "0,1",
        }
    ),
    allows=Example({**DATA, "launch.launcher": "torchrun", "launch.processes": 1}),
)
def gpus_are_left_idle(it: Subject) -> Iterator[Found]:
    """A launcher starts as many processes as it is told, one GPU each; the other visible GPUs do
    nothing.

    启动器只启动指定数量的进程，每个进程用一个 GPU，其余可见的 GPU 都闲着。
    """
    seen, started = visible(it), it.get("launch.processes") or 1
    told = it.get("launch.launcher") != "python" and it.written("launch.processes")
    if told and len(seen) > started:
        yield it.found(
            "launch.processes",
            both(
                f"{counted(started, 'process', 'processes')} with {len(seen)} visible GPUs",
                f"可见 {len(seen)} 个 GPU，只启动 {started} 个进程",
            ),
            fix=both(
                f"start {len(seen)} processes, and divide the accumulation by as much to keep the "
                "total batch",
                f"启动 {len(seen)} 个进程，并相应减小累积次数以保持总批量",
            ),
        )


@rule(
    "L104",
    "launch.visible_devices",
    severity="warning",
    source="https://github.com/huggingface/accelerate/issues/663",
    flags=Example(
        {
            **DATA,
            "launch.launcher": "deepspeed",
            "launch.processes": 2,
            "launch.visible_devices": "2,3",
        }
    ),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.visible_devices": "2,3",
        }
    ),
)
def the_deepspeed_launcher_ignores_visible_devices(it: Subject) -> Iterator[Found]:
    """With --num_gpus, --include or --exclude the deepspeed launcher chooses the GPUs by them alone
    (--num_gpus takes the first of the machine) and sets CUDA_VISIBLE_DEVICES itself: what is
    written there is not read.

    写了 --num_gpus、--include 或 --exclude 时，deepspeed 启动器只按它们选择 GPU（--num_gpus 从本机
    的第一个开始取），并自己设置 CUDA_VISIBLE_DEVICES；所写的值不会被读取。
    """
    chosen, count = it.origin("launch.visible_devices"), it.origin("launch.processes")
    apart = chosen.written and count.written and chosen.spelling != count.spelling
    if it.get("launch.launcher") == "deepspeed" and apart:
        seen = it.get("launch.visible_devices")
        yield it.found(
            "launch.visible_devices",
            both(
                f"CUDA_VISIBLE_DEVICES={seen} beside {count.spelling} of deepspeed",
                f"CUDA_VISIBLE_DEVICES={seen} 与 deepspeed 的 {count.spelling} 同时使用",
            ),
            fix=both(
                f"write deepspeed --include localhost:{seen} in place of both",
                f"两者都改为 deepspeed --include localhost:{seen}",
            ),
        )


@rule(
    "L105",
    "launch.deepspeed",
    "launch.launcher",
    severity="warning",
    source="https://github.com/axolotl-ai-cloud/axolotl/issues/1211",
    flags=Example({**DATA, "launch.launcher": "python", "launch.deepspeed": "ds_config.json"}),
    allows=Example({**DATA, "launch.launcher": "deepspeed", "launch.deepspeed": "ds_config.json"}),
)
def deepspeed_is_started_without_a_launcher(it: Subject) -> Iterator[Found]:
    """DeepSpeed wants to know its place among the processes, even when there is one. Without the
    variables of a launcher it looks for MPI, and ends with: no module named mpi4py.

    即使只有一个进程，DeepSpeed 也要知道自己的编号。没有启动器设置的环境变量，它会去找 MPI，然后报
    错 No module named 'mpi4py'。
    """
    if it.get("launch.deepspeed") is not None and plain(it):
        yield it.found(
            "launch.launcher",
            both(
                f"--deepspeed {it.get('launch.deepspeed')} with plain python",
                f"用 python 直接启动，却写了 --deepspeed {it.get('launch.deepspeed')}",
            ),
            fix=both(
                "start it with deepspeed --num_gpus=1 ... or torchrun --nproc-per-node=1 ...",
                "用 deepspeed --num_gpus=1 ... 或 torchrun --nproc-per-node=1 ... 启动",
            ),
        )


@rule(
    "L106",
    "launch.fsdp",
    "launch.deepspeed",
    severity="error",
    source="transformers 5.23.0, trainer.py: fsdp together with deepspeed is refused",
    flags=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.fsdp": "full_shard",
            "launch.deepspeed": "ds_config.json",
        }
    ),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.fsdp": "full_shard",
        }
    ),
)
def two_programs_are_to_shard_the_model(it: Subject) -> Iterator[Found]:
    """FSDP and DeepSpeed both cut the model and its optimizer over the processes; transformers
    refuses to use them together.

    FSDP 和 DeepSpeed 都会把模型和优化器切分到各进程；transformers 不允许同时使用。
    """
    if it.get("launch.fsdp") and uses_deepspeed(it):
        yield it.found(
            "launch.fsdp",
            both("--fsdp beside --deepspeed", "同时写了 --fsdp 和 --deepspeed"),
            fix=both("leave one of the two out", "去掉其中一个"),
        )


@rule(
    "L107",
    "launch.fsdp",
    "launch.launcher",
    severity="error",
    source="transformers 5.23.0, trainer.py: 'Using fsdp only works in distributed training.'",
    flags=Example({**DATA, "launch.launcher": "python", "launch.fsdp": "full_shard"}),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.fsdp": "full_shard",
        }
    ),
)
def fsdp_is_started_without_a_launcher(it: Subject) -> Iterator[Found]:
    """FSDP shards over the processes that a launcher has started; a run started with plain python
    has none beside itself, and transformers refuses it.

    FSDP 在启动器启动的各进程之间切分；用 python 直接启动时没有其他进程，transformers 会拒绝。
    """
    if it.get("launch.fsdp") and plain(it):
        yield it.found(
            "launch.fsdp",
            both("--fsdp with plain python", "用 python 直接启动，却写了 --fsdp"),
            fix=both(
                "start it with torchrun --nproc-per-node=N ...",
                "用 torchrun --nproc-per-node=N ... 启动",
            ),
        )


@rule(
    "L108",
    "launch.fsdp_config",
    severity="warning",
    source="transformers 5.23.0, training_args.py: without fsdp its config is set aside",
    flags=Example({**DATA, "launch.fsdp_config": {"min_num_params": 100}}),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.fsdp": "full_shard",
            "launch.fsdp_config": {"min_num_params": 100},
        }
    ),
)
def fsdp_has_settings_and_is_off(it: Subject) -> Iterator[Found]:
    """The settings of FSDP do not turn it on: every process then holds the whole model.

    只写 FSDP 的设置并不会打开它：每个进程仍然保存整个模型。
    """
    if it.get("launch.fsdp_config") and not it.get("launch.fsdp"):
        yield it.found(
            "launch.fsdp_config",
            both("fsdp_config without fsdp", "写了 fsdp_config，却没有 fsdp"),
            fix=both(
                'write --fsdp "full_shard auto_wrap" as well, or leave it out',
                '同时写上 --fsdp "full_shard auto_wrap"，或去掉它',
            ),
        )


@rule(
    "L109",
    "launch.ddp_find_unused_parameters",
    "batch.gradient_checkpointing",
    severity="error",
    source="https://github.com/huggingface/peft/issues/313",
    flags=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.ddp_find_unused_parameters": True,
            "batch.gradient_checkpointing": True,
            "batch.gradient_checkpointing_kwargs": {"use_reentrant": True},
        }
    ),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.ddp_find_unused_parameters": False,
            "batch.gradient_checkpointing": True,
        }
    ),
)
def unused_parameters_are_sought_under_checkpointing(it: Subject) -> Iterator[Found]:
    """Reentrant checkpointing runs a second backward pass inside the first, and DDP that looks for
    unused parameters sees each of them twice: expected to mark a variable ready only once.

    可重入的检查点会在反向传播中再做一次反向传播，而 DDP 查找未使用参数时会把每个参数看到两遍，报
    错 Expected to mark a variable ready only once。
    """
    sought = it.get("launch.ddp_find_unused_parameters")
    how: dict[str, object] = it.get("batch.gradient_checkpointing_kwargs") or {}
    reentrant = "use_reentrant" in how and bool(how["use_reentrant"])
    if not (sought and it.get("batch.gradient_checkpointing") and processes(it) > 1):
        return
    if not uses_deepspeed(it) and not it.get("launch.fsdp"):
        yield it.found(
            "launch.ddp_find_unused_parameters",
            both(
                "ddp_find_unused_parameters beside gradient checkpointing",
                "ddp_find_unused_parameters 与梯度检查点同时使用",
            ),
            fix=both("write ddp_find_unused_parameters false", "把它设为 false"),
            severity="error" if reentrant else "warning",
            change={"launch.ddp_find_unused_parameters": False},
        )


DDP = (
    "launch.ddp_backend",
    "launch.ddp_find_unused_parameters",
    "launch.ddp_bucket_cap_mb",
    "launch.ddp_broadcast_buffers",
    "launch.ddp_static_graph",
)


@rule(
    "L110",
    *DDP,
    severity="note",
    source="transformers 5.23.0, trainer.py: they are arguments of DistributedDataParallel",
    flags=Example(
        {**DATA, "launch.launcher": "python", "launch.ddp_find_unused_parameters": False}
    ),
    allows=Example(
        {
            **DATA,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
            "launch.ddp_find_unused_parameters": False,
        }
    ),
)
def a_single_process_has_settings_for_several(it: Subject) -> Iterator[Found]:
    """The ddp settings are about the exchange of gradients between processes; one process alone
    reads none of them.

    ddp 开头的设置只关系到进程之间交换梯度；只有一个进程时都不起作用。
    """
    paths = [path for path in DDP if it.written(path)]
    if paths and processes_are_known(it) and processes(it) == 1:
        names = sentence_list(path.removeprefix("launch.") for path in paths)
        yield it.found(
            paths[0],
            both(f"{names} with one process: no effect", f"只有一个进程，{names} 不起作用"),
            fix=both("leave it, or start several processes", "可以不改，或启动多个进程"),
        )
