"""The authors' own arguments: ptuning/main.py of ChatGLM-6B (401bf3a) and of ChatGLM2-6B (cb8e8b4).

Its third group of arguments is transformers' own (training_arguments.py). Beside them stand the
names that people use for LoRA, which main.py does not have. Another author's program gets a file of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from ..params.never_read import NeverRead
from ..params.run import parameters
from ..params.setting import Note, Origin, Setting, derived
from ..text import Said
from .argument_text import Kind
from .reading import typed

PROGRAM: str = "main.py"
AUTHORS = Said(
    f"{PROGRAM} of ChatGLM-6B and ChatGLM2-6B", f"ChatGLM-6B 与 ChatGLM2-6B 的 {PROGRAM} "
)

KEYS: dict[str, str] = {
    # ModelArguments
    "model_name_or_path": "model.path",
    "ptuning_checkpoint": "method.checkpoint",
    "config_name": "model.config",
    "tokenizer_name": "model.tokenizer",
    "cache_dir": "model.cache",
    "model_revision": "model.revision",
    "use_auth_token": "model.token",
    "quantization_bit": "precision.quantize",
    "pre_seq_len": "method.prefix.length",
    "prefix_projection": "method.prefix.projection",
    # DataTrainingArguments
    "dataset_name": "data.dataset",
    "dataset_config_name": "data.dataset_part",
    "prompt_column": "data.prompt_column",
    "response_column": "data.response_column",
    "history_column": "data.history_column",
    "train_file": "data.train",
    "validation_file": "data.validation",
    "test_file": "data.test",
    "preprocessing_num_workers": "data.workers",
    "max_source_length": "data.max_source_length",
    "max_target_length": "data.max_target_length",
    "val_max_target_length": "data.max_eval_target_length",
    "pad_to_max_length": "data.pad_to_max_length",
    "max_train_samples": "data.max_train_rows",
    "max_eval_samples": "data.max_eval_rows",
    "max_predict_samples": "data.max_predict_rows",
    "num_beams": "generate.num_beams",
    "ignore_pad_token_for_loss": "data.ignore_pad_in_loss",
    "source_prefix": "data.source_prefix",
}
"""Every argument of main.py that does something here, and the parameter behind it."""

UNREAD: dict[str, Kind] = {
    name: "scalar" if "str" in str(field.annotation) else "boolean"
    for name, field in NeverRead.model_fields.items()
}
"""Arguments without an effect."""

NEVER_READ = Said("main.py declares it and never reads it", "main.py 声明了它，却从不读取")
NO_CACHE = Said(
    "no cache of encoded rows is kept: they are encoded anew for every run",
    "不保存已编码数据的缓存：每次运行都重新编码",
)

LORA: dict[str, str] = {
    "lora_rank": "method.lora.rank",
    "lora_r": "method.lora.rank",
    "lora_alpha": "method.lora.alpha",
    "lora_dropout": "method.lora.dropout",
    "lora_target": "method.lora.targets",
    "lora_target_modules": "method.lora.targets",
    "target_modules": "method.lora.targets",
}
"""LoRA under the names of LLaMA-Factory, PEFT and most scripts."""

PATHS: Mapping[str, str] = {**KEYS, **LORA}
NAMES = frozenset({*PATHS, *UNREAD})


def kind_of(name: str) -> Kind:
    """How a flag of that name is written on a command line."""
    if name in UNREAD:
        return UNREAD[name]
    if PATHS[name] == "method.lora.targets":
        return "list"
    return "boolean" if parameters()[PATHS[name]].annotation is bool else "scalar"


def negated(flag: str) -> str | None:
    """The boolean that a flag turns off (no_ignore_pad_token_for_loss); None for any other flag."""
    name = flag.removeprefix("no_")
    on = name == "use_fast_tokenizer" or (
        name in PATHS and parameters()[PATHS[name]].default is True
    )
    return name if on and name != flag else None


def read(name: str, value: object, origin: Origin, text: bool = False) -> list[Setting]:
    """The settings that one argument stands for; none for one that main.py never reads."""
    if name in UNREAD:
        return []
    path = PATHS[name]
    if path == "method.lora.targets":
        if value is None:
            return []
        words = cast(list[object], value) if isinstance(value, list | tuple) else [value]
        value = [one for word in words for one in str(word).split(",") if one]
    elif text and isinstance(value, str):
        value = typed(path, value)
    return [Setting(path, value, origin, text)]


def note(name: str, origin: Origin) -> Note | None:
    """What a reader should know of an argument: that it has no effect."""
    if name not in UNREAD:
        return None
    why = why_unread(name)
    what = Said(f"{name} has no effect", f"{name} 不起作用")
    return Note(what, str(origin), why, "no effect", name)


def why_unread(name: str) -> Said:
    """Why one of ``UNREAD`` has no effect."""
    return NO_CACHE if name == "overwrite_cache" else NEVER_READ


def implied(settings: Sequence[Setting], programs: Iterable[str]) -> Iterator[Setting]:
    """What written settings imply, and what main.py does whatever its arguments say.

    Nobody wrote these, so they are weaker than anything that is written.
    """
    official = PROGRAM in programs
    if official:
        reason = derived(Said(f"{AUTHORS} always does so", f"{AUTHORS.zh}总是如此"))
        yield Setting("batch.gradient_checkpointing", True, reason)
        yield Setting("generate.do_sample", True, reason)
        yield Setting("generate.top_p", 0.7, reason)
        yield Setting("generate.temperature", 0.95, reason)
    named = [setting.value for setting in settings if setting.path == "method.name"]
    asking = [setting for setting in settings if _method_of(setting)]
    if named:
        method = named[-1]
    elif asking:
        method, spelling = _method_of(asking[-1]), asking[-1].origin.spelling
        reason = derived(Said(f"{spelling} is written", f"写了 {spelling}"))
        yield Setting("method.name", method, reason)
    else:
        method = "full"
    if official and method == "full":
        reason = derived(
            Said(f"{AUTHORS} does so without pre_seq_len", f"没有 pre_seq_len 时 {AUTHORS.zh}如此")
        )
        yield Setting("precision.dtype", "float32", reason)
        if not named:
            yield Setting("method.name", method, reason)


def _method_of(setting: Setting) -> str | None:
    """The method that a setting is part of."""
    if setting.path.startswith("method.lora."):
        return "lora"
    if setting.path == "method.prefix.length" and setting.value is not None:
        return "ptuning"
    return None
