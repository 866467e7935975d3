"""The base of a run: where it is, and how it is loaded.

A model path may name a checkpoint of a tuning run, as the authors' evaluate.sh does
(output/.../checkpoint-3000). Such a folder holds the prefix alone (or a LoRA adapter); where the
base is stands in its config.json (``_name_or_path``) or adapter_config.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils.hub import cached_file

from ..errors import UserError, refuse
from ..models.fresh import fresh_model
from ..models.loading import load_config, load_model
from ..models.quantized import PackWhileLoading, packed_bits
from ..params.run import Run
from ..params.setting import Note, Origin, Setting, derived
from ..text import Said, nearest
from ..tune.prefix import holds_only_a_prefix
from ..tune.stored import ADAPTER
from .any_model import refuse_encoder


def at_base(run: Run) -> Run:
    """The run with the base as its model and the checkpoint as its method's; unchanged where the
    path names a base.
    """
    folder = Path(run.model.path or "")
    if run.model.path is None:
        return run
    if not folder.is_dir():
        if is_meant_as_a_folder(run.model.path):
            raise _no_folder(run, folder)
        return run
    if (folder / ADAPTER).is_file():
        return _adapter(run, folder)
    if holds_only_a_prefix(folder):
        return _prefix(run, folder)
    return run


def from_hub(run: Run) -> dict[str, Any]:
    """How transformers is to fetch the run's model, where it is one of the hub."""
    model = run.model
    if Path(model.path or "").is_dir():
        return {}
    asked: dict[str, Any] = {"revision": model.revision}
    if model.cache is not None:
        asked["cache_dir"] = model.cache
    if model.token:
        asked["token"] = True
    return asked


def with_hub_config(run: Run) -> Run:
    """The run of a hub model with the config.json that the hub's cache holds, fetched if need be.

    Raises:
        UserError: where the hub cannot be reached and its cache does not have it.
    """
    assert run.model.path is not None
    try:
        load_config(run.model.path, **from_hub(run))
    except UserError as error:
        where = str(run.origin("model.path"))
        raise UserError(replace(problem, where=where) for problem in error.problems) from None
    file = cached_file(run.model.path, "config.json", **from_hub(run))
    return run.add([Setting("model.config", file, derived(Said("the hub's cache", "hub 的缓存")))])


UNTRAINED = {
    "ptuning": (
        "method.prefix.length",
        Said("the prefix is a fresh one, drawn at random", "前缀是新的，随机生成"),
    ),
    "lora": (
        "method.name",
        Said(
            "the LoRA adapter is a fresh one, and changes nothing",
            "LoRA 适配器是新的，不改变任何结果",
        ),
    ),
}
"""Method -> where it is asked for, and what it is as long as nobody has trained it."""


def untrained(run: Run) -> Iterator[Note]:
    """What the reader of an evaluation should know: that nothing trained is evaluated."""
    if run.launch.train or run.method.checkpoint is not None or run.method.name not in UNTRAINED:
        return
    path, what = UNTRAINED[run.method.name]
    why = Said(
        "this run does not train, and names no checkpoint (--ptuning_checkpoint)",
        "本次运行不训练，也没有写检查点（--ptuning_checkpoint）",
    )
    yield Note(what, str(run.origin(path)), why)


def is_meant_as_a_folder(name: str) -> bool:
    """Whether a model's name is a place on this machine, and not owner/name on the hub."""
    parts = Path(name).parts
    if name.startswith((".", "/", "~")) or len(parts) != 2 or name.endswith("/"):
        return True
    return Path(parts[0]).is_dir() or re.fullmatch(r"checkpoint-\d+", parts[1]) is not None


def _no_folder(run: Run, folder: Path) -> UserError:
    siblings = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
    like = nearest(folder.name, siblings)
    return refuse(
        what=f"there is no folder {folder}",
        where=str(run.origin("model.path")),
        why="the model is loaded from it",
        fix=f"did you mean {folder.parent / like}?"
        if like
        else "give the folder of the model, or owner/name of the hub",
    )


def _prefix(run: Run, folder: Path) -> Run:
    file = folder / "config.json"
    config = _json(file)
    values = {
        "method.name": "ptuning",
        "method.prefix.length": config.get("pre_seq_len"),
        "method.prefix.projection": config.get("prefix_projection", False),
    }
    return _on(run, folder, file, "_name_or_path", config.get("_name_or_path"), values)


def _adapter(run: Run, folder: Path) -> Run:
    file = folder / ADAPTER
    adapter = _json(file)
    key, targets = "base_model_name_or_path", adapter.get("target_modules") or []
    values = {
        "method.name": "lora",
        "method.lora.rank": adapter.get("r"),
        "method.lora.alpha": float(adapter.get("lora_alpha", 0)) or None,
        "method.lora.targets": ([targets] if isinstance(targets, str) else sorted(targets)) or None,
        "peft.use_dora": adapter.get("use_dora") or None,
    }
    return _on(run, folder, file, key, adapter.get(key), values)


def _on(run: Run, folder: Path, file: Path, key: str, base: Any, values: dict[str, Any]) -> Run:
    if not isinstance(base, str) or not base:
        raise refuse(
            what=f"{folder} holds what was tuned, and not the model that it was tuned from",
            where=str(run.origin("model.path")),
            why=f"{file.name} does not say in {key!r} where the base is",
            fix=f"give the base as --model_name_or_path, and --ptuning_checkpoint {folder}",
        )
    settings = [Setting("model.path", base, Origin(str(file), None, key))]
    if run.method.checkpoint is None:
        settings.append(Setting("method.checkpoint", str(folder), run.origin("model.path")))
    settings += [
        Setting(path, value, Origin(str(file), None, path.rpartition(".")[2]))
        for path, value in values.items()
        if value is not None and not run.written(path)
    ]
    note = Note(
        what=Said(
            f"{folder} is a checkpoint; the model is loaded from {base}",
            f"{folder} 是检查点；模型从 {base} 加载",
        ),
        where=f"{file}, {key}",
        why=Said(
            "a checkpoint of this method holds only what was trained",
            "这种方法的检查点只含所训练的部分",
        ),
    )
    return run.add(settings, [note])


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as failure:
        raise refuse(
            what=f"{file.name} cannot be read",
            where=str(file),
            why=str(failure),
            fix="restore the file from the run that wrote the checkpoint",
        ) from None
    return content if isinstance(content, dict) else {}


def load_as_asked(run: Run, device: torch.device | str = "cpu") -> PreTrainedModel:
    """The base on ``device``, or a model with random weights in its place. Raises UserError where
    it cannot be had as the run wants it.
    """
    assert run.model.path is not None
    try:
        chosen = loading(run)
        if run.model.fresh and run.launch.train:
            attention = run.model.attention
            return fresh_model(chosen["config"], dtype=chosen["dtype"], attention=attention)
        return load_model(run.model.path, device=device, **chosen)
    except (ValueError, ImportError) as refusal:
        raise refuse(
            what="the model cannot be loaded as asked",
            where=str(run.origin("model.attention" if run.model.attention else "model.path")),
            why=" ".join(str(refusal).split()),
            fix="leave model.attention out, and transformers picks one"
            if run.model.attention
            else "take weights and config.json from one published model",
        ) from refusal


def _refuse_dequantizing(run: Run, packed: int) -> None:
    """Raises UserError where the run asks to expand weights and there are none to expand."""
    if not run.precision.dequantize:
        return
    what = "no weight of the model is packed"
    if packed:
        what = f"{'model.fresh' if run.model.fresh else 'precision.quantize'} is asked for as well"
    raise refuse(
        what=f"precision.dequantize is asked for, and {what}",
        where=str(run.origin("precision.dequantize")),
        why="it expands packed weights of a folder to full ones, and does nothing else",
        fix="leave one of the two out" if packed else "leave it out",
    )


def loading(run: Run) -> dict[str, Any]:
    """How the base is loaded: number type, attention, and packed where the run says so.

    Raises:
        UserError: where the weights are packed already, with other bits than the run asks for.
    """
    chosen: dict[str, Any] = {"dtype": getattr(torch, run.precision.dtype), **from_hub(run)}
    if run.model.attention is not None:
        chosen["attn_implementation"] = run.model.attention
    named = Path(run.model.config or run.model.path or "")
    config = load_config(named.parent if named.is_file() else named, **from_hub(run))
    refuse_encoder(config, run)
    chosen["config"], bits = config, run.precision.quantize
    packed = packed_bits(config)
    if packed and run.precision.dequantize and bits is None and not run.model.fresh:
        return {**chosen, "dequantize": True}
    _refuse_dequantizing(run, packed)
    if (bits or packed) and run.method.name in ("full", "freeze") and run.launch.train:
        whole = "every weight is" if run.method.name == "full" else "some weights are"
        raise refuse(
            what=f"{whole} to train, and they are held in {bits or packed} bits",
            where=str(run.origin("precision.quantize" if bits else "model.path")),
            why="packed weights are whole numbers, which have no gradient",
            fix="train a prefix (--pre_seq_len) or LoRA on them, start from full weights, or make "
            "full weights of these (precision.dequantize)"
            if packed
            else "train a prefix (--pre_seq_len) or LoRA on them, or leave precision.quantize out",
        )
    if bits is None or packed == bits:
        return chosen
    if packed:
        raise refuse(
            what=f"precision.quantize is {bits}, and the weights are packed in {packed} bits",
            where=str(run.origin("precision.quantize")),
            why="what packing has rounded away cannot be had back",
            fix=f"ask for {packed} bits, or start from the weights that are not packed",
        )
    family = getattr(config, "architecture", None)
    half_scale = family is not None and family.__name__ == "ChatGLM"
    chosen["quantization_config"] = PackWhileLoading(bits=bits, half_scale=half_scale)
    return chosen
