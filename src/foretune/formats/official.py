"""The authors' own arguments: ptuning/main.py of ChatGLM-6B (401bf3a) and of ChatGLM2-6B (cb8e8b4).

Its third group of arguments is transformers' own (training_arguments.py). Beside them stand the names that people use
for LoRA, which main.py does not have. Another author's script gets its own table in a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..params.run import parameters
from ..params.setting import Note, Origin, Setting, derived
from .argument_text import Kind, boolean

PROGRAM = "main.py"

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
    "overwrite_cache": "data.overwrite_cache",
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
    "use_fast_tokenizer": "boolean",
    "resize_position_embeddings": "boolean",
    "lang": "scalar",
    "forced_bos_token": "scalar",
}
"""Arguments that main.py declares and never reads."""

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
    """The boolean that a flag turns off: 'no_ignore_pad_token_for_loss'; None for any other flag."""
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
        words = [value] if isinstance(value, str) else list(_items(value))
        value = [one for word in words for one in str(word).split(",") if one]
    elif text and path == "precision.quantize":
        value = int(value) if isinstance(value, str) and value.isdigit() else value
    elif text and kind_of(name) == "boolean":
        value = boolean(value)
    return [Setting(path, value, origin, text)]


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def note(name: str, origin: Origin) -> Note | None:
    """What a reader should know of an argument: that it has no effect."""
    if name not in UNREAD:
        return None
    return Note(f"{name} has no effect", str(origin), "main.py declares it and never reads it")


def implied_method(settings: Sequence[Setting]) -> Iterator[Setting]:
    """The method that written settings ask for without naming it: the last one that any belongs to."""
    if any(setting.path == "method.name" for setting in settings):
        return
    for setting in reversed(settings):
        if setting.path.startswith("method.lora."):
            yield Setting("method.name", "lora", derived(f"{setting.origin.spelling} is written"))
            return
        if setting.path == "method.prefix.length" and setting.value is not None:
            yield Setting("method.name", "ptuning", derived(f"{setting.origin.spelling} is written"))
            return


def always(settings: Sequence[Setting]) -> Iterator[Setting]:
    """What main.py does whatever its arguments say. Nobody wrote it, so anything that is written is stronger."""
    reason = derived("main.py of ChatGLM-6B and ChatGLM2-6B always does so")
    yield Setting("batch.gradient_checkpointing", True, reason)
    yield Setting("generate.do_sample", True, reason)
    yield Setting("generate.top_p", 0.7, reason)
    yield Setting("generate.temperature", 0.95, reason)
    if not any(setting.path.startswith(("method.lora.", "method.prefix.length")) for setting in settings):
        without = derived("main.py of ChatGLM-6B and ChatGLM2-6B does so without pre_seq_len")
        yield Setting("method.name", "full", without)
        yield Setting("precision.dtype", "float32", without)
