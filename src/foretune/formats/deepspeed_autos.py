"""What each "auto" of a ds_config.json becomes, and from where: transformers' own arithmetic.

Read in transformers 5.23 (integrations/deepspeed.py, HfTrainerDeepSpeedConfig) and accelerate 1.15
(utils/dataclasses.py, DeepSpeedPlugin).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..params.arch.shape import Shape
from ..params.run import Run
from ..params.setting import AUTO, Origin, derived
from ..text import Said
from . import deepspeed
from .deepspeed import HALVES, TOGETHER, own_keys

Rule = Callable[[Run, "Shape | None", "int | None"], tuple[object, Said]]


class ResolvedAuto(NamedTuple):
    """An "auto" and what stands in its place when the run starts."""

    path: str
    """The parameter; of two that one key sets, the first."""
    key: str
    """The key of ds_config.json."""
    value: Any
    """None where what it follows from is not known."""
    origin: Origin
    """What it follows from."""


def resolved_autos(
    run: Run, shape: Shape | None = None, steps: int | None = None
) -> list[ResolvedAuto]:
    """Every "auto" that a ds_config.json of the run writes, with its value.

    Args:
        run: as written; values that nobody wrote are the defaults of transformers' arguments.
        shape: the sizes of the model, for the buckets of ZeRO.
        steps: optimizer steps of the run, for schedules.
    """
    found: dict[str, ResolvedAuto] = {}
    for setting in run.settings:
        key = setting.origin.spelling
        if setting.value is AUTO and key in deepspeed.KEYS and key not in HALVES:
            value, origin = _shared(run, key, steps)
            found.setdefault(key, ResolvedAuto(deepspeed.KEYS[key], key, value, origin))
    for key, path in own_keys().items():
        if key in RULES and run.get(path) == "auto":
            value, reason = RULES[key](run, shape, steps)
            found[key] = ResolvedAuto(path, key, value, derived(reason))
    return sorted(found.values(), key=lambda one: _order(run, one.key))


def _order(run: Run, key: str) -> int:
    """The place of a key in its file."""
    written = (one.origin.line for one in run.settings if one.origin.spelling == key)
    return next((line for line in written if line is not None), 0)


def _shared(run: Run, key: str, steps: int | None) -> tuple[object, Origin]:
    """The value of a key that an argument of the script has too."""
    path = deepspeed.KEYS[key]
    if key in TOGETHER:
        value: object = [run.optim.beta1, run.optim.beta2]
    elif key == "scheduler.params.warmup_num_steps":
        value = _warmup(run.schedule.warmup, steps)
    else:
        value = run.get(path)
    origin = run.origin(path)
    default = Said(f"the default of {path}", f"{path} 的默认值")
    return value, origin if origin.written else derived(default)


def _warmup(warmup: float, steps: int | None) -> int | None:
    """Steps of the warm-up; a value below one is a share of all steps. DeepSpeed since 0.19.6
    refuses zero, so transformers writes one then."""
    if warmup >= 1 or warmup == 0:
        return max(1, int(warmup))
    return None if steps is None else max(1, math.ceil(warmup * steps))


def _total_batch(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
    total = run.batch.micro * run.batch.accumulation * run.launch.all_processes
    product = "batch.micro × batch.accumulation × "
    return total, Said(f"{product}processes", f"{product}进程数")


def _hidden(share: Callable[[int], int], words: str) -> Rule:
    """A size that follows from the width of the model."""

    def rule(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
        if shape is None:
            return None, Said(
                f"{words}; the model's config is not known here", f"{words}；这里不知道模型配置"
            )
        width = f"hidden_size = {shape.hidden:,}"
        return share(shape.hidden), Said(f"{words}, {width}", f"{words}，{width}")

    return rule


def _half(name: str) -> Rule:
    def rule(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
        asked = [path for path in ("mixed", "full_eval") if getattr(run.precision, path) == name]
        origins = [run.origin(f"precision.{path}") for path in asked]
        if not origins:
            return False, Said(f"no --{name} is given", f"没有写 --{name}")
        told = (", ".join(one.in_language(lang) for one in origins) for lang in ("en", "zh"))
        return True, Said(*told)

    return rule


def _accelerates(value: object) -> Rule:
    """What accelerate writes in place of an auto that transformers leaves."""

    def rule(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
        return value, Said("accelerate's own default", "accelerate 自己的默认值")

    return rule


def _zero(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
    return 0, Said("transformers writes zero", "transformers 写入零")


def _total_steps(run: Run, shape: Shape | None, steps: int | None) -> tuple[object, Said]:
    if run.schedule.max_steps is not None:
        origin = run.origin("schedule.max_steps")
        return run.schedule.max_steps, Said(str(origin), origin.in_language("zh"))
    known = Said(
        "the steps that the Trainer works out from rows, batch and epochs",
        "Trainer 由行数、批量和轮数算出的步数",
    )
    if steps is not None:
        return steps, known
    return None, Said(f"{known}; the rows are not known here", f"{known.zh}；这里不知道行数")


ZERO = "zero_optimization."
RULES: dict[str, Rule] = {
    "train_batch_size": _total_batch,
    "fp16.enabled": _half("fp16"),
    "bf16.enabled": _half("bf16"),
    f"{ZERO}stage": _accelerates(2),
    f"{ZERO}offload_optimizer.device": _accelerates("none"),
    f"{ZERO}offload_param.device": _accelerates("none"),
    f"{ZERO}stage3_gather_16bit_weights_on_model_save": _accelerates(False),
    f"{ZERO}reduce_bucket_size": _hidden(lambda width: width * width, "hidden_size × hidden_size"),
    f"{ZERO}stage3_prefetch_bucket_size": _hidden(
        lambda width: int(0.9 * width * width), "0.9 × hidden_size × hidden_size"
    ),
    f"{ZERO}stage3_param_persistence_threshold": _hidden(
        lambda width: 10 * width, "10 × hidden_size"
    ),
    "scheduler.params.warmup_min_lr": _zero,
    "scheduler.params.total_num_steps": _total_steps,
}
"""Keys of DeepSpeed's own whose "auto" transformers or accelerate replaces."""
