"""How much of every format is declared: each of its names, and what stands behind it.

The tests hold these names against the packages that are installed, and against lists taken from the
code of those that are not; so a name that an upgrade brings is told by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel

from ..formats import accelerate, baichuan2, deepspeed, launchers, llama_factory, official, peft
from ..formats import training_arguments as arguments
from ..formats.deepspeed_names import ALIASES, RENAMED
from ..formats.documents import field_names
from ..formats.llama_factory_names import UNREAD
from ..formats.removed_arguments import REMOVED
from ..params.arch import families
from ..params.declare import Words
from ..params.run import parameters
from .entry import Entry, called, of_config, of_run, others


@dataclass(frozen=True, slots=True)
class Covered:
    """A format with all its names."""

    key: str
    """What the tests call it."""
    title: Words
    held_against: str
    """The code that its names were taken from."""
    entries: Mapping[str, Entry]
    """Its names, and the declaration of each."""
    told: frozenset[str] = frozenset()
    """Names that are read and reported as gone, renamed or without a counterpart."""
    own: str = ""
    """How the paths of the parameters begin that no other format has."""

    @property
    def shared(self) -> int:
        """Names of parameters that go by other names elsewhere, too."""
        ours = (one for one in self.entries.values() if one.owner is None)
        return sum(not (self.own and one.key.startswith(self.own)) for one in ours)


TRANSFORMERS, ACCELERATE, DEEPSPEED = "transformers 5.23.0", "accelerate 1.15.0", "DeepSpeed 0.19.8"
PEFT, TORCH = "PEFT 0.21.2", "torch 2.13"
PUBLISHED = {
    "ChatGLM": "THUDM/chatglm-6b",
    "ChatGLM2": "THUDM/chatglm2-6b, chatglm3-6b, glm-4-9b-chat",
    "Baichuan": "baichuan-inc/Baichuan*-7B, -13B",
    "ModelArgs": "meta-llama/llama3",
    "Transformer": "arXiv:1706.03762",
}
BESIDE = {
    "GenerationDefaults": TRANSFORMERS,
    "TokenizerSettings": TRANSFORMERS,
    "TrainerState": TRANSFORMERS,
    "TrainingLog": TRANSFORMERS,
    "Environment": f"{TRANSFORMERS}, {ACCELERATE}, {TORCH}, huggingface_hub 1.32",
}


def _entries(paths: Mapping[str, str]) -> dict[str, Entry]:
    return {name: of_run(path) for name, path in paths.items() if path in parameters()}


def _keys(section: type[BaseModel]) -> dict[str, Entry]:
    return {key: of_config(section, key) for key in field_names(section)}


@cache
def covered() -> tuple[Covered, ...]:
    """Every format, in the order in which the issues of a run meet them."""
    return (*_programs(), *_launchers(), *_files(), *_models())


def _programs() -> Iterator[Covered]:
    yield Covered(
        "training_arguments",
        Words("transformers' Seq2SeqTrainingArguments", "transformers 的 Seq2SeqTrainingArguments"),
        TRANSFORMERS,
        _entries(arguments.KEYS),
        frozenset(REMOVED),
        "trainer.",
    )
    never = next(section for section in others() if called(section) == official.PROGRAM)
    yield Covered(
        "official",
        Words("main.py of ChatGLM-6B and ChatGLM2-6B", "ChatGLM-6B 与 ChatGLM2-6B 的 main.py"),
        "ptuning/arguments.py, 401bf3a and cb8e8b4",
        {**_entries(official.KEYS), **_keys(never)},
    )
    yield Covered(
        "baichuan2",
        Words("fine-tune.py of Baichuan2", "Baichuan2 的 fine-tune.py"),
        "fine-tune/fine-tune.py, 2023-09",
        _entries(baichuan2.PATHS),
    )


def _launchers() -> Iterator[Covered]:
    yield Covered(
        "accelerate launch",
        Words("flags of `accelerate launch`", "`accelerate launch` 的命令行参数"),
        ACCELERATE,
        _entries(accelerate.flags()),
        own=accelerate.PREFIX,
    )
    for launcher, words, source in (
        ("torchrun", Words("options of torchrun", "torchrun 的选项"), TORCH),
        (
            "deepspeed",
            Words("options of the deepspeed launcher", "deepspeed 启动器的选项"),
            DEEPSPEED,
        ),
    ):
        own = f"launchers.{launcher}."
        paths = {path.removeprefix(own): path for path in parameters() if path.startswith(own)}
        short = {letter: f"{own}{name}" for letter, name in launchers.SHORT[launcher].items()}
        counts = {name: launchers.KEYS[name] for name in launchers.COUNTS[launcher]}
        yield Covered(launcher, words, source, _entries({**paths, **short, **counts}), own=own)


def _files() -> Iterator[Covered]:
    aliases = {name: key for name, key in ALIASES.items() if key in deepspeed.own_keys()}
    yield Covered(
        "ds_config.json",
        Words("DeepSpeed's ds_config.json", "DeepSpeed 的 ds_config.json"),
        DEEPSPEED,
        _entries({**deepspeed.own_keys(), **_shared(deepspeed.KEYS), **_resolved(aliases)}),
        frozenset({*RENAMED, "bfloat16"}),
        deepspeed.PREFIX,
    )
    yield Covered(
        "accelerate.yaml",
        Words("accelerate's file", "accelerate 的配置文件"),
        ACCELERATE,
        _entries({**accelerate.own_keys(), **accelerate.KEYS}),
        frozenset(accelerate.UNREAD),
        accelerate.PREFIX,
    )
    names = peft.names()
    lora = {name: path for name, path in names.items() if name not in peft.OF_A_PREFIX}
    prefix = {name: names[name] for name in (*sorted(peft.OF_BOTH), *sorted(peft.OF_A_PREFIX))}
    yield Covered(
        "LoraConfig",
        Words("PEFT's LoraConfig", "PEFT 的 LoraConfig"),
        PEFT,
        _entries(lora),
        own="peft.",
    )
    yield Covered(
        "PrefixTuningConfig",
        Words("PEFT's PrefixTuningConfig", "PEFT 的 PrefixTuningConfig"),
        PEFT,
        _entries(prefix),
        own="peft.",
    )
    yield Covered(
        "llama_factory",
        Words("LLaMA-Factory's own names", "LLaMA-Factory 自己的参数名"),
        "hiyouga/LLaMA-Factory, early 2026",
        _entries(llama_factory.KEYS),
        frozenset({*UNREAD, *llama_factory.DATA, "stage"}),
    )


def _shared(keys: Mapping[str, str]) -> dict[str, str]:
    """Keys that a parameter of another section stands for, and none of their own."""
    return {key: path for key, path in keys.items() if key not in deepspeed.own_keys()}


def _resolved(aliases: Mapping[str, str]) -> dict[str, str]:
    return {name: deepspeed.own_keys()[key] for name, key in aliases.items()}


def _models() -> Iterator[Covered]:
    """What every family's file may hold, and the files beside a model or a run."""
    from ..params.arch.any_model import AnyModel

    sections: Iterable[type[BaseModel]] = (*families(), AnyModel)
    for section in sections:
        name = section.__name__
        title = Words(f"config of {name}", f"{name} 的配置")
        if section is AnyModel:
            title = Words("config of any other model", "其他模型的配置")
        yield Covered(name, title, PUBLISHED.get(name, TRANSFORMERS), _keys(section))
    for section, name in others().items():
        if section.__name__ in BESIDE:
            title = Words(str(name), getattr(name, "zh", str(name)))
            yield Covered(section.__name__, title, BESIDE[section.__name__], _keys(section))


COVERAGE = Words("Coverage", "覆盖率")
ABOUT = Words(
    "Every name of every format has a declaration with type, default, importance, source and words "
    "in both languages. *shared* are parameters that go by other names in other formats; *own* are "
    "declared for this one; *told* are read and reported as renamed, removed or without a "
    "counterpart. The tests count the names that exist in what they are held against, and fail "
    "with the name of any that is not among these.",
    "每种格式的每个名称都有声明：类型、默认值、重要性、出处和中英文说明。“共用”指在其他格式中另有叫法"
    "的参数；“专有”指只属于该格式的参数；“告知”指能读取、并报告为已改名、已删除或没有对应项的名称。测试"
    "会清点对照对象中实际存在的名称，缺少任何一个都会报出名称并失败。",
)
COLUMNS = (
    Words("format", "格式"),
    Words("names", "名称数"),
    Words("declared", "已声明"),
    Words("shared", "共用"),
    Words("own", "专有"),
    Words("told", "告知"),
    Words("held against", "对照"),
)


def coverage_table(language: str) -> Iterator[str]:
    """The counts by format, as Markdown."""
    yield from (f"## {COVERAGE.in_language(language)}", "", ABOUT.in_language(language), "")
    yield f"| {' | '.join(one.in_language(language) for one in COLUMNS)} |"
    yield f"|---|{'---:|' * 5}---|"
    for one in covered():
        names = len(one.entries) + len(one.told)
        own = len(one.entries) - one.shared
        cells = (one.title.in_language(language), names, "100 %", one.shared, own, len(one.told))
        yield f"| {' | '.join(map(str, cells))} | {one.held_against} |"
