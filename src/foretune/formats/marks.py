"""By what the files beside a run are known: their usual names, and keys or lines that they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

Beside = Literal["state", "adapter", "generation", "tokenizer"]

FACTORY = frozenset({"finetuning_type", "cutoff_len", "stage", "neat_packing", "dataset_dir"})
"""Keys by which a file of LLaMA-Factory is known."""

TOP = re.compile(r"^([A-Za-z_][\w.-]*)\s*:(?=\s|$)", re.MULTILINE)
"""A key of YAML that stands at the top."""

NAMES: dict[str, Beside] = {
    "trainer_state.json": "state",
    "adapter_config.json": "adapter",
    "generation_config.json": "generation",
    "tokenizer_config.json": "tokenizer",
}
"""The names that transformers and PEFT write them under."""

STATE = frozenset({"log_history", "global_step"})
GENERATION = frozenset({
    "do_sample", "num_beams", "max_new_tokens", "repetition_penalty", "temperature", "top_k",
    "top_p", "min_p", "typical_p", "eos_token_id",
})  # fmt: skip
TOKENIZER = frozenset({
    "tokenizer_class", "model_max_length", "padding_side", "clean_up_tokenization_spaces",
    "chat_template", "additional_special_tokens",
})  # fmt: skip

LOG = re.compile(
    r"\*{5} *Running (?:training|Evaluation|Prediction)|\bNum examples\s*=\s*\d"
    r"|\bTotal optimization steps\s*=|\btrainable params:\s*[\d,]+ \|\|"
    r"|\{\s*['\"](?:loss|eval_loss|train_runtime|current_steps)['\"]\s*:"
)
"""A line, or what begins one, that only a Trainer logs."""


def is_log(text: str) -> bool:
    """Whether text holds a line that only a Trainer logs."""
    return LOG.search(text) is not None


def surely(keys: Mapping[str, object], name: str) -> Beside | None:
    """What a JSON file is by its usual name, or by keys that nothing else has."""
    if keys.keys() >= STATE:
        return "state"
    if "peft_type" in keys:
        return "adapter"
    if "_from_model_config" in keys and not {"model_type", "architectures"} & keys.keys():
        return "generation"  # Baichuan2's config.json has the key, too
    return "tokenizer" if "added_tokens_decoder" in keys else NAMES.get(PurePosixPath(name).name)


def likely(keys: Mapping[str, object]) -> Beside | None:
    """What a JSON file seems to be that is nothing else."""
    if len(keys.keys() & GENERATION) > 1:
        return "generation"
    return "tokenizer" if keys.keys() & TOKENIZER else None
