"""Rules about what the folder of a model holds: packed weights, a prefix, code of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...params.arch.baichuan import Baichuan
from ...params.arch.chatglm import ChatGLM
from ...params.arch.chatglm2 import ChatGLM2
from ...plan.version import release
from ...text import sentence_list
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import model_keys
from .examples import CHATGLM, CHATGLM2, DATA
from .lengths import family

PUBLISHED = (ChatGLM, ChatGLM2, Baichuan)
"""Families that came as code of 2023 beside the weights."""

NEWEST_THAT_RUNS = (4, 33)
"""The last release of transformers on which all of that code runs."""

NAMES: dict[str, type] = {
    "chatglm-6b": ChatGLM, "chatglm2": ChatGLM2, "chatglm3": ChatGLM2, "glm-4-9b": ChatGLM2,
    "baichuan": Baichuan,
}  # fmt: skip
"""What the names of published models begin with, and the family of their config.json."""


def packed_bits(it: Subject) -> int:
    """Bits in which the weights of the model's folder are stored; 0 where they are full ones."""
    keys = model_keys(it)
    quantised: Any = keys.get("quantization_config")
    if isinstance(quantised, dict) and quantised.get("load_in_4bit"):  # pyright: ignore[reportUnknownMemberType]
        return 4
    bits = keys.get("quantization_bit")
    return bits if isinstance(bits, int) else 0


@rule(
    "A201",
    "config.quantization_bit",
    "precision.quantize",
    severity="error",
    source="foretune.train.base: what packing has rounded away cannot be had back",
    flags=Example({**DATA, "method.prefix.length": 128, "precision.quantize": 8},
                  model={**CHATGLM2, "quantization_bit": 4}),
    allows=Example({**DATA, "method.prefix.length": 128, "precision.quantize": 4},
                   model={**CHATGLM2, "quantization_bit": 4}),
)  # fmt: skip
def weights_are_stored_in_other_bits_than_asked_for(it: Subject) -> Iterator[Found]:
    """The weights of this folder are packed already, and cannot be packed in another way.

    该文件夹中的权重已经量化，不能再换成另一种位数。
    """
    stored, asked = packed_bits(it), it.get("precision.quantize")
    if stored and asked is not None and asked != stored:
        yield it.found(
            "precision.quantize",
            both(
                f"quantization_bit {asked}, and the weights are stored in {stored} bits",
                f"quantization_bit {asked}，而权重以 {stored} 位存储",
            ),
            fix=both(
                f"ask for {stored} bits, or start from the weights that are not packed",
                f"写 {stored} 位，或从未量化的权重开始",
            ),
            change={"precision.quantize": stored} if stored in (4, 8) else None,
        )


@rule(
    "A202",
    "config.quantization_bit",
    "method.name",
    severity="error",
    source="foretune.train.base: packed weights are whole numbers, which have no gradient",
    flags=Example({**DATA, "method.name": "full"}, model={**CHATGLM2, "quantization_bit": 4}),
    allows=Example(
        {**DATA, "method.prefix.length": 128}, model={**CHATGLM2, "quantization_bit": 4}
    ),
)
def packed_weights_are_to_train(it: Subject) -> Iterator[Found]:
    """Weights that the folder holds in few bits are whole numbers and have no gradient: what trains
    beside them can be a prefix or LoRA.

    以低比特存放的权重是整数，没有梯度：只能在旁边训练前缀或 LoRA。
    """
    full = it.get("launch.train") and it.get("method.name") in ("full", "freeze")
    whole = it.get("method.name") == "full"
    unpacked = it.get("precision.dequantize") or it.get("precision.quantize") is not None
    if full and (stored := packed_bits(it)) and not unpacked:
        yield it.found(
            "method.name",
            both(
                f"{'every weight is' if whole else 'some weights are'} to train, and they are "
                f"stored in {stored} bits",
                f"要训练{'全部' if whole else '一部分'}权重，而它们以 {stored} 位存储",
            ),
            fix=both(
                "train a prefix (pre_seq_len) or LoRA, start from full weights, or expand these "
                "(precision.dequantize)",
                "改为训练前缀（pre_seq_len）或 LoRA，换用完整权重，或还原它们"
                "（precision.dequantize）",
            ),
        )


@rule(
    "A203",
    "config.pre_seq_len",
    "method.prefix.length",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/290",
    flags=Example({**DATA, "method.name": "lora"}, model={**CHATGLM2, "pre_seq_len": 128}),
    allows=Example({**DATA, "method.prefix.length": 128}, model={**CHATGLM2, "pre_seq_len": 128}),
)
def a_prefix_is_left_in_the_config(it: Subject) -> Iterator[Found]:
    """pre_seq_len makes the model build a prefix. Where no file has its weights it is drawn at
    random, and stands in front of every layer in training and in every answer.

    有 pre_seq_len 时模型会建立前缀。没有文件提供它的权重，前缀就是随机的，而且训练和每次回答时都位
    于每一层之前。
    """
    length = model_keys(it).get("pre_seq_len")
    runs = it.get("launch.train") or it.get("launch.evaluate") or it.get("launch.predict")
    if not length or not runs or family(it) not in PUBLISHED:
        return
    wanted = it.get("method.prefix.length")
    if it.get("method.name") != "ptuning":
        yield it.found(
            "config.pre_seq_len",
            both(
                f"pre_seq_len {length} in the model's config, and the method is "
                f"{it.get('method.name')}",
                f"模型配置中有 pre_seq_len {length}，而训练方法是 {it.get('method.name')}",
            ),
            fix=both(
                "take the config.json of the base; a tuned prefix is named as ptuning_checkpoint",
                "使用基座的 config.json；已训练的前缀用 ptuning_checkpoint 指定",
            ),
        )
    elif wanted is not None and wanted != length:
        yield it.found(
            "method.prefix.length",
            both(
                f"pre_seq_len {wanted}, and {length} in the model's config",
                f"pre_seq_len 为 {wanted}，而模型配置中是 {length}",
            ),
            fix=both(
                f"write {length} where that prefix is gone on with",
                f"若要沿用那个前缀，就写 {length}",
            ),
        )


@rule(
    "A204",
    "config.auto_map",
    severity="note",
    source="https://github.com/zai-org/ChatGLM-6B/issues/1505",
    flags=Example(
        model={**CHATGLM2, "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMModel"}},
    ),
    allows=Example(model=CHATGLM2),
)
def the_code_beside_the_weights_no_longer_runs(it: Subject) -> Iterator[Found]:
    """auto_map names Python files of the folder, which run where trust_remote_code is given. Those
    of these families fail in newer releases: since 4.34 over sp_tokenizer or sp_model, since 4.45
    over padding_side. foretune has the families itself and never runs such files.

    auto_map 指向文件夹里的 Python 文件，给出 trust_remote_code 时才执行。这些模型族的代码在新版中会
    出错：4.34 起是 sp_tokenizer 或 sp_model，4.45 起是 padding_side。foretune 自己实现了这些模型
    族，从不执行这样的文件。
    """
    newer = release(it.facts.transformers) > NEWEST_THAT_RUNS
    if family(it) in PUBLISHED and it.get("config.auto_map") and newer:
        files = {str(one).partition(".")[0] for one in it.get("config.auto_map").values()}
        shown = sentence_list(f"{name}.py" for name in sorted(files))
        yield it.found(
            "config.auto_map",
            both(
                f"{shown} fail in transformers {it.facts.transformers}, and are not run here",
                f"{shown} 无法在 transformers {it.facts.transformers} 上运行，这里也不会执行",
            ),
            fix=both(
                "nothing to do here; elsewhere it needs transformers 4.33 or older",
                "在这里无需处理；在别处需要 transformers 4.33 或更早版本",
            ),
        )


@rule(
    "A205",
    "model.path",
    "model.config",
    severity="warning",
    source="https://github.com/zai-org/ChatGLM-6B/issues/309",
    flags=Example({**DATA, "model.path": "THUDM/chatglm2-6b"}, model=CHATGLM),
    allows=Example({**DATA, "model.path": "THUDM/chatglm-6b"}, model=CHATGLM),
)
def the_config_is_of_another_family_than_the_model(it: Subject) -> Iterator[Found]:
    """The sizes are read from one model and the weights from another; they will not fit.

    尺寸取自一个模型，权重取自另一个，两者对不上。
    """
    name = str(it.get("model.path") or "").lower().rpartition("/")[2]
    due = next((one for begin, one in NAMES.items() if name.startswith(begin)), None)
    if (
        due is not None
        and it.model is not None
        and family(it) in PUBLISHED
        and family(it) is not due
    ):
        read = type(it.model.architecture).__name__
        yield it.found(
            "model.path",
            both(
                f"{it.get('model.path')}, and {it.model.file} is of the family {read}",
                f"模型为 {it.get('model.path')}，而 {it.model.file} 属于模型族 {read}",
            ),
            fix=both("name the config.json of that model", "改用该模型的 config.json"),
        )
