"""Rules about training a part of the model."""

from __future__ import annotations

from collections.abc import Iterator

from ...plan.of_run import mixed_of
from ...plan.part import part_of, unknown
from ...text import nearest, sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import CHATGLM2

FREEZE = {"launch.train": True, "method.name": "freeze"}


@rule(
    "M112",
    "method.freeze.modules",
    "method.freeze.extra",
    severity="error",
    source="foretune, tune/freeze.py; LLaMA-Factory, model/adapter.py, refuses such a name too",
    flags=Example({**FREEZE, "method.freeze.modules": ["attention"]}, model=CHATGLM2),
    allows=Example({**FREEZE, "method.freeze.modules": ["self_attention"]}, model=CHATGLM2),
)
def trained_modules_match_nothing(it: Subject) -> Iterator[Found]:
    """A name stands for modules of the model; under one that no module has nothing would train, and
    the run does not start.

    名称对应模型中的模块；没有任何模块叫这个名称时，就没有可训练的内容，训练不会开始。
    """
    shape = it.shape
    if it.get("method.name") != "freeze" or shape is None:
        return
    names = [name for one in shape.weights for name in one.names()]
    for setting, name, known in unknown(part_of(it.run.method.freeze), names):
        if setting == "method.freeze.extra" and shape.vocab is None:  # its embedding is not known
            continue
        there = nearest(name, known) or sentence_list(known)
        yield it.found(
            setting,
            both(
                f"no module {'outside' if setting.endswith('extra') else 'inside'} the blocks is "
                f"called {name!r}",
                f"块{'外' if setting.endswith('extra') else '内'}没有名为 {name!r} 的模块",
            ),
            fix=both(f"take of {there}", f"可选：{there}"),
        )


@rule(
    "M113",
    "method.freeze.layers",
    "method.freeze.extra",
    severity="error",
    source="foretune, tune/freeze.py",
    flags=Example({**FREEZE, "method.freeze.layers": 0}),
    allows=Example({**FREEZE, "method.freeze.layers": -2}),
)
def every_weight_is_frozen(it: Subject) -> Iterator[Found]:
    """With no block and no module outside the blocks nothing trains, and the run does not start.

    没有任何块、也没有块以外的模块参与训练时，没有可训练的内容，训练不会开始。
    """
    freeze = it.run.method.freeze
    if it.get("method.name") == "freeze" and not freeze.layers and not freeze.extra:
        yield it.found(
            "method.freeze.layers",
            both("no block trains, and nothing else", "没有任何块参与训练，也没有其他模块"),
            fix=both("write how many blocks train, 2 for example", "写明训练几块，例如 2"),
        )


@rule(
    "M114",
    "precision.dtype",
    "precision.mixed",
    severity="error",
    source="torch 2.13: a product takes two factors of one type; tune/freeze.py",
    flags=Example({**FREEZE, "precision.dtype": "bfloat16"}),
    allows=Example({**FREEZE, "precision.dtype": "bfloat16", "precision.mixed": "bf16"}),
)
def frozen_halves_meet_float32_without_autocast(it: Subject) -> Iterator[Found]:
    """What trains is float32, whatever is frozen beside it. Only autocast brings the two to one
    type; without it the first product of a trained weight fails.

    参与训练的权重是 float32，冻结的可以是半精度。只有自动混合精度会把两者转成同一类型；没有它，可训
    练权重的第一次矩阵乘法就会出错。
    """
    dtype = it.get("precision.dtype")
    trains = it.get("launch.train") and it.get("method.name") == "freeze"
    if trains and dtype in ("float16", "bfloat16") and mixed_of(it.run) == "no":
        yield it.found(
            "precision.dtype",
            both(
                f"frozen weights in {dtype}, trained ones in float32, and no mixed precision",
                f"冻结权重为 {dtype}，可训练权重为 float32，而没有打开混合精度",
            ),
            fix=both(
                "write bf16 true (or fp16), or leave precision.dtype out",
                "写 bf16 true（或 fp16），或去掉 precision.dtype",
            ),
        )
