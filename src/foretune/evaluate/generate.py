"""Batched generation over a prepared set, and the file of predictions that the authors' scripts
write.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from ..data.collate import PromptCollator
from ..data.examples import Examples
from ..files import write_whole
from ..params.generate import Generate

PREDICTIONS = "generated_predictions.txt"


def sampling(generate: Generate) -> dict[str, Any]:
    """The settings of a run as arguments of ``model.generate``."""
    chosen: dict[str, Any] = {
        "max_length": generate.max_length,
        "num_beams": generate.num_beams,
        "do_sample": generate.do_sample,
    }
    if generate.do_sample:
        chosen |= {"top_p": generate.top_p, "temperature": generate.temperature}
        if generate.top_k is not None:
            chosen["top_k"] = generate.top_k
    return chosen


def predict(
    model: Any,
    prompts: Examples,
    collate: PromptCollator,
    *,
    generate: Generate,
    batch: int,
    seed: int,
    description: str = "generating",
) -> list[str]:
    """The answer to every prompt, in order, the prompt cut off and special tokens left out.

    Each process takes its share of the prompts and all of them get all answers. Sampling is seeded,
    so the same prompts, batch and number of processes give the same answers, and the random numbers
    of a training that goes on afterwards are as if nothing had been generated.
    """
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode():
        torch.manual_seed(seed)
        return _predict(model, prompts, collate, generate, batch, description)


def _predict(
    model: Any,
    prompts: Examples,
    collate: PromptCollator,
    generate: Generate,
    batch: int,
    description: str,
) -> list[str]:
    state, tokenizer = PartialState(), collate.tokenizer
    model.eval()
    answers: list[str] = []
    with state.split_between_processes(list(range(len(prompts)))) as share:
        mine = cast(list[int], share)
        bar = tqdm(total=len(mine), desc=description, unit="row", disable=not state.is_main_process)
        for start in range(0, len(mine), batch):
            rows = [prompts[index] for index in mine[start : start + batch]]
            inputs = {
                name: tensor.to(model.device)
                for name, tensor in collate(rows).items()
                if name != "labels"
            }
            # a decoder goes on from one token, a causal model from the whole prompt
            start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
            rooms = [room_of(row, start, generate) for row in rows]
            limit = start + max(rooms)
            # a max_new_tokens of the folder's generation_config.json would count more
            lengths = {"max_length": limit, "max_new_tokens": None}
            tokens_BL = model.generate(**inputs, **{**sampling(generate), **lengths})
            answers += [
                text_of(tokens_L[:room], tokenizer)
                for tokens_L, room in zip(tokens_BL[:, start:].tolist(), rooms, strict=True)
            ]
            bar.update(len(rows))
        bar.close()
    return gather_object(answers) if state.num_processes > 1 else answers


def room_of(row: dict[str, Any], start: int, generate: Generate) -> int:
    """Tokens that an answer may have, where the batch goes on after ``start`` tokens.

    Padding counts where the official code pads by blocks; elsewhere it does not, or an answer would
    end sooner beside a longer prompt.
    """
    assert generate.max_length is not None, "resolve() fills it in"
    used = start if "padded_to" in row else min(start, len(row["input_ids"]))
    return generate.max_length - used


def text_of(tokens: Sequence[int], tokenizer: Any) -> str:
    """Tokens as a person reads them. Rows of the output layer above the vocabulary mean nothing."""
    known = [token for token in tokens if token < len(tokenizer)]
    return str(tokenizer.decode(known, skip_special_tokens=True)).strip()


def write_predictions(folder: Path, labels: Sequence[str], predictions: Sequence[str]) -> Path:
    """One JSON object a line, keys and order as the authors' scripts write them; written aside,
    then renamed.
    """
    lines = [
        json.dumps({"labels": label, "predict": prediction}, ensure_ascii=False) + "\n"
        for label, prediction in zip(labels, predictions, strict=True)
    ]
    return write_whole(folder / PREDICTIONS, "".join(lines))
