"""Tasks for the tests of the search."""

from __future__ import annotations

from foretune.facts import DataFacts, Facts
from foretune.params.arch import read_architecture
from foretune.params.run import Run
from foretune.plan.search.answer import space_of
from foretune.plan.search.offer import offers
from foretune.plan.search.search import Found, Search, Task
from foretune.plan.search.space import Space

CHATGLM2 = {
    "model_type": "chatglm", "architectures": ["ChatGLMModel"], "num_layers": 28,
    "hidden_size": 4096, "ffn_hidden_size": 13696, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "padded_vocab_size": 65024,
    "seq_length": 32768, "rmsnorm": True, "add_qkv_bias": True, "add_bias_linear": False,
}  # fmt: skip
LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip
TRAINS = {"launch.train": True, "record.output": "out", "precision.mixed": "bf16"}


def task_of(config: dict[str, object], rows: int | None = None, **values: object) -> Task:
    architecture, _ = read_architecture(config)
    assert architecture is not None
    written = {name.replace("__", "."): value for name, value in values.items()}
    train = None
    if rows is not None:
        train = DataFacts(file="d.json", rows=rows, examples=rows, tokens=300 * rows, longest=900)
    return Task(
        written=Run().set({**TRAINS, "batch.micro": 4, "batch.accumulation": 4, **written}),
        shape=architecture.shape,
        facts=Facts(transformers="5.23.0", train=train),
        rows_seen=None if rows is None else 3 * rows,
    )


PTUNING = {"method__prefix__length": 128, "data__max_length": 512}
LORA = {"method__name": "lora", "data__max_length": 1024}


def one_search(
    task: Task, gpus: str, keep: frozenset[str] = frozenset(), *, free_batch: bool = False
) -> tuple[Space, Found]:
    space = space_of(task, offers(gpus)[0], keep, free_batch)
    return space, Search(task=task, space=space, found=Found()).go()
