"""Rules about how rows reach the model: worker processes, their order, what of a row is kept."""

from __future__ import annotations

from collections.abc import Iterator

from ...text import counted
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import DATA
from .sizes import processes

MANY_WORKERS = 16
LOADER = "torch 2.13, utils/data/dataloader.py"


@rule(
    "L201",
    "trainer.dataloader_persistent_workers",
    severity="error",
    source=f"{LOADER}: 'persistent_workers option needs num_workers > 0'",
    flags=Example({**DATA, "trainer.dataloader_persistent_workers": True}),
    allows=Example(
        {**DATA, "trainer.dataloader_persistent_workers": True, "launch.workers": 2},
    ),
)
def there_are_no_workers_to_keep_alive(it: Subject) -> Iterator[Found]:
    """torch refuses to keep worker processes alive where there are none.

    没有工作进程时，torch 不允许要求保留它们。
    """
    if it.get("trainer.dataloader_persistent_workers") and it.get("launch.workers") == 0:
        yield it.found(
            "trainer.dataloader_persistent_workers",
            both(
                "dataloader_persistent_workers with dataloader_num_workers 0",
                "dataloader_num_workers 为 0，却打开了 dataloader_persistent_workers",
            ),
            fix=both(
                "leave it out, or write dataloader_num_workers 2 as well",
                "去掉它，或同时写上 dataloader_num_workers 2",
            ),
            change={"trainer.dataloader_persistent_workers": False},
        )


@rule(
    "L202",
    "trainer.dataloader_prefetch_factor",
    severity="error",
    source="transformers 5.23.0, training_args.py: _validate_args refuses it",
    flags=Example({**DATA, "trainer.dataloader_prefetch_factor": 4}),
    allows=Example({**DATA, "trainer.dataloader_prefetch_factor": 4, "launch.workers": 2}),
)
def there_are_no_workers_to_prepare_ahead(it: Subject) -> Iterator[Found]:
    """Batches are prepared ahead by worker processes; transformers refuses the number where there
    are none.

    提前准备批次的是工作进程；没有工作进程时，transformers 会拒绝这个参数。
    """
    ahead = it.get("trainer.dataloader_prefetch_factor")
    if ahead is not None and it.get("launch.workers") == 0:
        yield it.found(
            "trainer.dataloader_prefetch_factor",
            both(
                f"dataloader_prefetch_factor {ahead} with dataloader_num_workers 0",
                f"dataloader_num_workers 为 0，却写了 dataloader_prefetch_factor {ahead}",
            ),
            fix=both(
                "leave it out, or write dataloader_num_workers 2 as well",
                "去掉它，或同时写上 dataloader_num_workers 2",
            ),
        )


@rule(
    "L203",
    "trainer.dataloader_multiprocessing_context",
    severity="error",
    source=f"{LOADER}: 'multiprocessing_context can only be used with multi-process loading'",
    flags=Example({**DATA, "trainer.dataloader_multiprocessing_context": "spawn"}),
    allows=Example(
        {
            **DATA,
            "trainer.dataloader_multiprocessing_context": "spawn",
            "launch.workers": 2,
        }
    ),
)
def there_are_no_workers_to_start(it: Subject) -> Iterator[Found]:
    """How worker processes start may be said only where there are some; torch refuses it otherwise.

    只有存在工作进程时才能指定它们的启动方式，否则 torch 会报错。
    """
    how = it.get("trainer.dataloader_multiprocessing_context")
    if how is not None and it.get("launch.workers") == 0:
        yield it.found(
            "trainer.dataloader_multiprocessing_context",
            both(
                f"dataloader_multiprocessing_context {how} with dataloader_num_workers 0",
                f"dataloader_num_workers 为 0，却写了 dataloader_multiprocessing_context {how}",
            ),
            fix=both(
                "leave it out, or write dataloader_num_workers 2 as well",
                "去掉它，或同时写上 dataloader_num_workers 2",
            ),
        )


@rule(
    "L204",
    "launch.workers",
    severity="warning",
    source=f"{LOADER}: it warns of more workers than the machine has cores",
    flags=Example({**DATA, "launch.workers": 64}),
    allows=Example({**DATA, "launch.workers": 4}),
)
def there_are_more_workers_than_the_rows_need(it: Subject) -> Iterator[Found]:
    """Every process of the run starts that many more, each with a copy of Python and of the rows.
    Rows that are tokens already need one or two; more only take memory and cores from each other.

    训练的每个进程都会再启动这么多个工作进程，每个都带着一份 Python 和数据。数据已经是词元时，一两个
    就够了，再多只会互相争抢内存和核心。
    """
    workers, count = it.get("launch.workers"), processes(it)
    if workers > MANY_WORKERS:
        total = workers * count
        yield it.found(
            "launch.workers",
            both(
                f"dataloader_num_workers {workers} in {counted(count, 'process', 'processes')}: "
                f"{total} processes on top",
                f"{count} 个进程、dataloader_num_workers {workers}：另外启动 {total} 个进程",
            ),
            fix=both("2 to 4 are enough", "2 到 4 就够了"),
        )


@rule(
    "L205",
    "launch.data_seed",
    severity="note",
    source="transformers 5.23.0, trainer.py: a sequential order draws nothing",
    flags=Example({**DATA, "launch.data_seed": 1, "batch.order": "sequential"}),
    allows=Example({**DATA, "launch.data_seed": 1}),
)
def a_seed_orders_rows_that_keep_their_order(it: Subject) -> Iterator[Found]:
    """data_seed is the seed of the order of rows, and of nothing else; where they are taken as in
    the file, nothing is drawn.

    data_seed 只决定数据的顺序；按文件顺序读取时没有任何随机抽取。
    """
    if it.written("launch.data_seed") and it.get("batch.order") == "sequential":
        yield it.found(
            "launch.data_seed",
            both(
                f"data_seed {it.get('launch.data_seed')} with rows in the order of the file",
                f"数据按文件顺序读取，data_seed {it.get('launch.data_seed')} 不起作用",
            ),
            fix=both("leave it out; seed is for all the rest", "去掉它；其他随机性由 seed 决定"),
        )


@rule(
    "L206",
    "trainer.remove_unused_columns",
    severity="note",
    source="transformers 5.23.0, trainer.py: kept columns reach the collator and the model",
    flags=Example({**DATA, "trainer.remove_unused_columns": False}),
    allows=Example({**DATA, "trainer.remove_unused_columns": True}),
)
def columns_that_the_model_does_not_read_are_kept(it: Subject) -> Iterator[Found]:
    """Columns of text or of other shapes then reach the collator, which cannot make tensors of
    them; a program whose own collator reads them needs it so. foretune's rows have no other
    columns.

    这样文本列等会一直传到 collator，而它们无法变成张量；只有自己的 collator 要读取这些列的程序才需
    要如此。foretune 的数据没有多余的列。
    """
    if it.get("launch.train") and not it.get("trainer.remove_unused_columns"):
        yield it.found(
            "trainer.remove_unused_columns",
            both("remove_unused_columns is false", "remove_unused_columns 为 false"),
            fix=both(
                "leave it out unless the program's own collator reads the other columns",
                "去掉它，除非程序自己的 collator 要读取其他列",
            ),
        )
