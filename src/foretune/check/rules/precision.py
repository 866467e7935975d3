"""Rules about number types: half precision that overflows, and weights that are quantised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ...plan.devices import AMPERE
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .beside import model_keys
from .examples import BAICHUAN2, CHATGLM2, DATA
from .sizes import shards_weights

FAST_FOR_HALF = 1e-2
"""Learning rates from which on a prefix drives float16 activations to where they overflow."""

PACKED_FOR_GOOD = ("gptq", "awq", "aqlm", "hqq", "eetq")
"""Methods that pack weights before tuning; their files hold whole numbers."""

LARGE = 10**9
"""Parameters from which on float32 products are worth a remark."""


@rule(
    "P101",
    "precision.dtype",
    "optim.learning_rate",
    severity="note",
    source="https://github.com/zai-org/ChatGLM-6B/issues/754",
    flags=Example({**DATA, "method.prefix.length": 128, "optim.learning_rate": 2e-2}),
    allows=Example(
        {
            **DATA,
            "method.prefix.length": 128,
            "optim.learning_rate": 2e-2,
            "precision.quantize": 4,
        }
    ),
)
def a_float16_base_carries_a_fast_prefix(it: Subject) -> Iterator[Found]:
    """A prefix that moves fast grows large, and activations in float16 end at 65,504: the loss
    turns to 0 or NaN in the middle of a run. No loss scaling guards this: it is for gradients.
    People met it without quantization_bit on T4 and V100, which have no bfloat16.

    前缀学得太快时数值会变得很大，而 float16 的激活最大只到 65,504：训练中途损失会变成 0 或 NaN。损
    失缩放只保护梯度，对此无能为力。有人在 T4、V100（没有 bfloat16）上不用 quantization_bit 时遇到。
    """
    half = it.get("precision.dtype") == "float16" and it.get("precision.quantize") is None
    fast = it.get("optim.learning_rate") >= FAST_FOR_HALF
    if not (it.get("launch.train") and it.get("method.name") == "ptuning" and half and fast):
        return
    old = it.device is not None and (it.device.generation or AMPERE) < AMPERE
    yield it.found(
        "precision.dtype",
        both(
            f"a prefix trains at {it.get('optim.learning_rate'):g} on a base in float16",
            f"前缀以 {it.get('optim.learning_rate'):g} 的学习率训练，基座为 float16",
        ),
        fix=both(
            "watch the loss; if it turns to 0 or NaN, halve the rate or hold the base in bfloat16 "
            "(precision.dtype bfloat16)",
            "留意损失；若变成 0 或 NaN，就把学习率减半，或让基座使用 bfloat16（precision.dtype "
            "bfloat16）",
        ),
        severity="warning" if old else "note",
    )


@rule(
    "P102",
    "precision.mixed",
    "precision.dtype",
    severity="warning",
    source="https://github.com/huggingface/transformers/pull/10956",
    flags=Example({**DATA, "precision.mixed": "fp16"}, model=BAICHUAN2),
    allows=Example({**DATA, "precision.mixed": "bf16"}, model=BAICHUAN2),
)
def weights_of_bfloat16_are_computed_in_float16(it: Subject) -> Iterator[Found]:
    """A model that was trained in bfloat16 may have activations far above 65,504, the largest
    number of float16. Computed in float16 they become infinite and the loss NaN.

    用 bfloat16 训练出来的模型，激活可能远大于 float16 的最大值 65,504；改用 float16 计算时会变成无
    穷，损失变成 NaN。
    """
    saved = it.get("config.torch_dtype") or it.get("config.dtype")
    written = it.written("precision.dtype") and it.get("precision.dtype") == "float16"
    if saved != "bfloat16" or not (written or it.get("precision.mixed") == "fp16"):
        return
    path = "precision.mixed" if it.get("precision.mixed") == "fp16" else "precision.dtype"
    yield it.found(
        path,
        both(
            "the weights were saved in bfloat16, and the run computes in float16",
            "权重以 bfloat16 保存，训练却用 float16 计算",
        ),
        fix=both(
            "write bf16 where the GPU has it (Ampere and later)",
            "在支持的 GPU（Ampere 及以后）上改用 bf16",
        ),
    )


@rule(
    "P103",
    "precision.dtype",
    severity="warning",
    source="https://github.com/huggingface/transformers/issues/23165",
    flags=Example({**DATA, "method.name": "full", "precision.dtype": "float16"}),
    allows=Example({**DATA, "method.name": "lora", "precision.dtype": "float16"}),
)
def every_weight_trains_and_half_precision_is_written(it: Subject) -> Iterator[Found]:
    """Weights that train need float32: an update of one part in ten thousand is rounded away in
    half precision, and the scaler of fp16 refuses float16 gradients. So foretune trains them in
    float32 whatever dtype is written, and memory is that of float32.

    参与训练的权重需要 float32：半精度会把万分之一量级的更新舍掉，fp16 的缩放器也拒绝 float16 的梯
    度。因此无论写什么 dtype，foretune 都以 float32 训练它们，显存也按 float32 计算。
    """
    dtype = it.get("precision.dtype")
    half = it.written("precision.dtype") and dtype in ("float16", "bfloat16")
    if it.get("launch.train") and it.get("method.name") == "full" and half:
        yield it.found(
            "precision.dtype",
            both(
                f"dtype {dtype} beside full fine-tuning: what trains is float32",
                f"全参数微调写了 dtype {dtype}：实际训练的是 float32",
            ),
            fix=both(
                "ask for mixed precision (bf16 or fp16) to compute in half precision",
                "要用半精度计算，请打开混合精度（bf16 或 fp16）",
            ),
        )


@rule(
    "P104",
    "precision.quantize",
    "method.name",
    severity="error",
    source="torch 2.13: only floating point tensors can require gradients",
    flags=Example({**DATA, "method.name": "full", "precision.quantize": 4}),
    allows=Example({**DATA, "method.prefix.length": 128, "precision.quantize": 4}),
)
def every_weight_trains_and_is_quantised(it: Subject) -> Iterator[Found]:
    """Quantised weights are whole numbers, which have no gradient: neither full fine-tuning nor
    that of some blocks can train them, and the run stops.

    量化后的权重是整数，没有梯度：全参数微调和部分训练都无法训练它们，程序会停止。
    """
    bits = it.get("precision.quantize")
    whole = it.get("method.name") == "full"
    if it.get("launch.train") and it.get("method.name") in ("full", "freeze") and bits is not None:
        yield it.found(
            "precision.quantize",
            both(
                f"{'every weight is' if whole else 'some weights are'} to train, and they are held "
                f"in {bits} bits",
                f"要训练{'全部' if whole else '一部分'}权重，而权重以 {bits} 位存放",
            ),
            fix=both(
                "train a prefix (pre_seq_len) or LoRA on them, or leave the quantisation out",
                "改为训练前缀（pre_seq_len）或 LoRA，或去掉量化",
            ),
        )


@rule(
    "P105",
    "precision.dequantize",
    "precision.quantize",
    severity="error",
    source="foretune, train/base.py: the two exclude each other",
    flags=Example({"precision.dequantize": True, "precision.quantize": 4}),
    allows=Example({"precision.dequantize": True}),
)
def weights_are_packed_and_unpacked_at_once(it: Subject) -> Iterator[Found]:
    """One asks to hold the weights in few bits, the other to expand them while they are loaded.

    一个要求以低比特存放权重，另一个要求加载时还原成完整权重。
    """
    if it.get("precision.dequantize") and it.get("precision.quantize") is not None:
        yield it.found(
            "precision.dequantize",
            both(
                f"dequantize beside quantization to {it.get('precision.quantize')} bits",
                f"同时要求还原权重和量化到 {it.get('precision.quantize')} 位",
            ),
            fix=both("leave one of the two out", "去掉其中一个"),
        )


@rule(
    "P106",
    "precision.full_eval",
    severity="warning",
    source="transformers 5.23.0, trainer.py: the model is cast only where it is not in training",
    flags=Example(
        {
            **DATA,
            "precision.full_eval": "fp16",
            "record.eval_strategy": "epoch",
            "data.validation": "v.json",
        }
    ),
    allows=Example(
        {"launch.evaluate": True, "data.validation": "v.json", "precision.full_eval": "bf16"}
    ),
)
def half_precision_evaluation_is_never_used(it: Subject) -> Iterator[Found]:
    """The model is cast for the evaluation after training, or for one alone; evaluation on the way
    is left as it is. Without do_eval or do_predict the setting does nothing.

    只有训练之后（或单独进行）的评估才会转换模型类型，训练途中的评估不受影响。没
    有 do_eval 或 do_predict 时，该设置不起作用。
    """
    wanted = it.get("precision.full_eval")
    if wanted != "no" and not (it.get("launch.evaluate") or it.get("launch.predict")):
        yield it.found(
            "precision.full_eval",
            both(
                f"{wanted}_full_eval is asked for, and nothing is evaluated after training",
                f"写了 {wanted}_full_eval，但训练之后没有任何评估",
            ),
            fix=both("leave it out, or add do_eval", "去掉它，或加上 do_eval"),
        )


@rule(
    "P107",
    "precision.full_eval",
    severity="warning",
    source="https://github.com/huggingface/transformers/pull/10956",
    flags=Example(
        {
            "launch.evaluate": True,
            "data.validation": "v.json",
            "precision.mixed": "bf16",
            "precision.full_eval": "fp16",
        }
    ),
    allows=Example(
        {
            "launch.evaluate": True,
            "data.validation": "v.json",
            "precision.mixed": "bf16",
            "precision.full_eval": "bf16",
        }
    ),
)
def evaluation_has_less_range_than_training(it: Subject) -> Iterator[Found]:
    """What trained in bfloat16 may hold numbers that float16 has not: cast to it for evaluation,
    they become infinite.

    用 bfloat16 训练的数值可能超出 float16 的范围；评估前转换成 float16 时会变成无穷。
    """
    used = it.get("launch.evaluate") or it.get("launch.predict")
    if used and it.get("precision.mixed") == "bf16" and it.get("precision.full_eval") == "fp16":
        yield it.found(
            "precision.full_eval",
            both(
                "training computes in bfloat16, evaluation in float16",
                "训练用 bfloat16，评估用 float16",
            ),
            fix=both(
                "write bf16_full_eval in place of fp16_full_eval",
                "把 fp16_full_eval 改为 bf16_full_eval",
            ),
            change={"precision.full_eval": "bf16"},
        )


@rule(
    "P108",
    "precision.mixed",
    severity="error",
    source="accelerate 1.15.0, accelerator.py: fp16 mixed precision requires an accelerator",
    flags=Example({**DATA, "precision.mixed": "fp16", "launch.use_cpu": True}),
    allows=Example({**DATA, "precision.mixed": "bf16", "launch.use_cpu": True}),
)
def fp16_is_asked_of_a_cpu(it: Subject) -> Iterator[Found]:
    """accelerate scales losses on accelerators only and refuses fp16 on a processor.

    accelerate 只在加速卡上做损失缩放，在 CPU 上会拒绝 fp16。
    """
    if it.get("launch.use_cpu") and it.get("precision.mixed") == "fp16":
        yield it.found(
            "precision.mixed",
            both("fp16 on a CPU", "在 CPU 上使用 fp16"),
            fix=both(
                "leave fp16 out, or write bf16, which a CPU has",
                "去掉 fp16，或改用 CPU 支持的 bf16",
            ),
        )


@rule(
    "P109",
    "model.attention",
    "precision.dtype",
    severity="error",
    source="https://github.com/Dao-AILab/flash-attention/issues/622",
    flags=Example(
        {**DATA, "model.attention": "flash_attention_2", "precision.dtype": "float32"},
    ),
    allows=Example(
        {**DATA, "model.attention": "flash_attention_2", "precision.mixed": "bf16"},
    ),
)
def flash_attention_is_given_float32(it: Subject) -> Iterator[Found]:
    """The kernels of FlashAttention are written for float16 and bfloat16 and refuse float32.

    FlashAttention 的算子只支持 float16 和 bfloat16，遇到 float32 会报错。
    """
    whole = it.get("precision.dtype") == "float32" and it.get("precision.mixed") == "no"
    if it.get("model.attention") == "flash_attention_2" and whole:
        yield it.found(
            "model.attention",
            both(
                "flash_attention_2 and every number in float32",
                "使用 flash_attention_2，而所有数值都是 float32",
            ),
            fix=both(
                "ask for mixed precision (bf16), or take sdpa", "打开混合精度（bf16），或改用 sdpa"
            ),
        )


@rule(
    "P110",
    "precision.quantize",
    "config.quantization_config",
    "launch.fsdp",
    "launch.deepspeed",
    severity="error",
    source="https://github.com/huggingface/peft/issues/2016",
    flags=Example(
        {
            **DATA,
            "method.name": "lora",
            "precision.quantize": 4,
            "launch.fsdp": "full_shard",
            "launch.launcher": "torchrun",
            "launch.processes": 2,
        }
    ),
    allows=Example(
        {
            **DATA,
            "method.name": "lora",
            "precision.quantize": 4,
            "launch.launcher": "torchrun",
            "launch.processes": 2,
        }
    ),
)
def a_quantised_base_is_cut_into_shards(it: Subject) -> Iterator[Found]:
    """ZeRO-3 and FSDP cut every weight into pieces of one floating point type. Packed whole numbers
    are none: loading fails, or every process holds the whole model. bitsandbytes allows it in one
    case alone, 4 bits stored in the type that is computed in (bnb_4bit_quant_storage); GPTQ and AWQ
    in none.

    ZeRO-3 和 FSDP 把每个权重切成同一种浮点类型的片段，而量化后的整数不是浮点数：要么加载失败，要么
    每个进程都保存整个模型。bitsandbytes 只在一种情况下允许：4 位权重以计算所用的类型存放
    （bnb_4bit_quant_storage）；GPTQ 和 AWQ 则完全不行。
    """
    program, bits = shards_weights(it), it.get("precision.quantize")
    if program is None or not it.get("launch.train"):
        return
    packed: Any = model_keys(it).get("quantization_config")
    method = cast(dict[str, Any], packed).get("quant_method") if isinstance(packed, dict) else None
    if method in PACKED_FOR_GOOD and not it.get("precision.dequantize"):
        yield it.found(
            "config.quantization_config",
            both(
                f"the weights were packed by {str(method).upper()}, and {program} shards them",
                f"权重已由 {str(method).upper()} 量化，而 {program} 要切分它们",
            ),
            fix=both(
                "use plain data parallelism or ZeRO-2, or start from the full weights",
                "请用普通数据并行或 ZeRO-2，或从完整权重开始",
            ),
        )
    if bits is not None:
        yield it.found(
            "precision.quantize",
            both(
                f"the base is held in {bits} bits, and {program} shards its weights",
                f"基座以 {bits} 位存放，而 {program} 要切分它的权重",
            ),
            fix=both(
                "use ZeRO-2 or plain data parallelism with the quantised base, or leave the "
                "quantisation out",
                "量化基座请用 ZeRO-2 或普通数据并行，否则去掉量化",
            ),
        )


@rule(
    "P111",
    "precision.mixed",
    severity="note",
    source="transformers 5.23.0, training_args.py: without bf16 or fp16 nothing is autocast",
    flags=Example({**DATA, "method.name": "full", "precision.mixed": "no"}, model=BAICHUAN2),
    allows=Example({**DATA, "method.name": "full", "precision.mixed": "bf16"}, model=BAICHUAN2),
)
def a_large_model_is_computed_in_float32(it: Subject) -> Iterator[Found]:
    """Full weights train in float32, and without mixed precision every product is computed in it
    too: several times slower on a GPU, and activations take twice the memory.

    全参数以 float32 训练；不打开混合精度，所有矩阵乘法也以 float32 计算：在 GPU 上慢数倍，激活显存
    加倍。
    """
    shape = it.shape
    large = shape is not None and shape.num_parameters >= LARGE
    whole = it.get("precision.mixed") == "no" and not it.get("precision.tf32")
    full = it.get("launch.train") and it.get("method.name") == "full"
    if shape is not None and large and whole and full and not it.get("launch.use_cpu"):
        count = shape.num_parameters
        yield it.found(
            "precision.mixed",
            both(
                f"{count:,} parameters train without bf16, fp16 or tf32",
                f"训练 {count:,} 个参数，没有打开 bf16、fp16 或 tf32",
            ),
            fix=both(
                "write bf16 true on Ampere or later, fp16 true before",
                "Ampere 及以后的 GPU 写 bf16 true，更早的写 fp16 true",
            ),
        )


@rule(
    "P112",
    "precision.dtype",
    "precision.mixed",
    severity="note",
    source="torch 2.13, autocast: inputs of a product are cast to its type",
    flags=Example(
        {
            **DATA,
            "method.name": "lora",
            "precision.dtype": "float16",
            "precision.mixed": "bf16",
        },
        model=CHATGLM2,
    ),
    allows=Example(
        {
            **DATA,
            "method.name": "lora",
            "precision.dtype": "bfloat16",
            "precision.mixed": "bf16",
        },
        model=CHATGLM2,
    ),
)
def weights_are_held_in_one_half_and_computed_in_the_other(it: Subject) -> Iterator[Found]:
    """Autocast casts the frozen weights at every product: from float16 to bfloat16 three bits of
    mantissa are lost, the other way large numbers overflow, and it takes time.

    autocast 每次相乘都要转换冻结的权重：float16 转 bfloat16 会丢掉三位尾数，反过来则大数会溢出，而
    且费时。
    """
    mixed, dtype = it.get("precision.mixed"), it.get("precision.dtype")
    other = {"fp16": "bfloat16", "bf16": "float16"}.get(mixed)
    if it.get("method.name") != "full" and it.written("precision.dtype") and dtype == other:
        yield it.found(
            "precision.dtype",
            both(
                f"frozen weights in {dtype}, products in {mixed}",
                f"冻结权重为 {dtype}，矩阵乘法用 {mixed}",
            ),
            fix=both(
                "leave precision.dtype out: it then follows the mixed precision",
                "去掉 precision.dtype，它会跟随混合精度",
            ),
        )
