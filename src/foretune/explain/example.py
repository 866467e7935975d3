"""A small run to show effects on, where nobody gives one."""

from __future__ import annotations

from functools import cache

from ..facts import DataFacts, Facts
from ..formats.model_config import ModelFile
from ..params.arch import Family
from ..params.arch.chatglm2 import ChatGLM2
from ..params.arch.llama3 import ModelArgs
from ..params.arch.transformer import Transformer
from ..params.declare import Words
from ..params.run import compose
from ..params.setting import derived
from ..plan.version import installed
from ..text import Said
from .entry import Entry
from .labels import LABELS
from .planned import Planned

ROWS = 1_000
SETTINGS: dict[str, object] = {
    "launch.train": True,
    "method.name": "lora",
    "batch.micro": 4,
    "batch.accumulation": 4,
    "schedule.warmup": 0.1,
}
UNNAMED: dict[type[Family], str] = {ModelArgs: "Llama 3 8B", Transformer: "Transformer base"}
"""What files without a name of their own stand for."""

GENERATING: dict[str, object] = {"launch.predict": True, "generate.enabled": True}


def example(entry: Entry) -> tuple[Planned, Words]:
    """A run in which a parameter has its effect, and what it is."""
    if entry.owner is not None:
        family = entry.owner if issubclass(entry.owner, Family) else ChatGLM2
        return _on(family, ""), _named("sizes", family)
    prefix = entry.key.startswith("method.prefix.")
    generates = entry.key.startswith("generate.") or entry.key == "batch.eval"
    kind = "prefixed" if prefix else "adapted"
    kind = "frozen" if entry.key.startswith("method.freeze.") else kind
    return _on(ChatGLM2, f"{kind} {generates}"), _named(kind, ChatGLM2)


def _named(label: str, family: type[Family]) -> Words:
    name = str(family.published.get("_name_or_path") or UNNAMED.get(family) or family.__name__)
    words = LABELS[label]
    return Words(words.en.format(model=name), words.zh.format(model=name))


@cache
def _on(family: type[Family], kind: str) -> Planned:
    keys = family.published
    model = ModelFile("config.json", family.model_validate(keys), keys, {}, ())
    data = DataFacts(file="train.json", rows=ROWS, examples=ROWS)
    facts = Facts(transformers=installed("transformers"), train=data if kind else None)
    settings = dict(SETTINGS if kind else {})
    if kind.startswith("prefixed"):
        settings |= {"method.name": "ptuning", "method.prefix.length": 128}
    if kind.startswith("frozen"):
        settings |= {"method.name": "freeze"}
    if kind.endswith("True"):
        settings |= GENERATING
    origin = derived(Said("the example", "示例"))
    return Planned(compose(()).set(settings, origin), model, facts)
