"""Rules about the GPU that a run is meant for (`--device`): what it has not, and what it cannot
hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...params.declare import Words
from ...plan.amounts import amounts
from ...plan.devices import AMPERE
from ...plan.memory import logit_bytes
from ...text import size
from ..finding import Found, both
from ..rule import Example, Subject, rule
from .examples import BAICHUAN2, CHATGLM2, DATA
from .sizes import (
    example_tokens,
    offloads,
    processes,
    shards_weights,
    uses_deepspeed,
    zero_stage,
)


def is_before_ampere(it: Subject) -> bool:
    """Whether the named GPU is NVIDIA's, and older than bfloat16, TF32 and FlashAttention 2."""
    device = it.device
    return device is not None and device.generation is not None and device.generation < AMPERE


@rule(
    "D101",
    "precision.mixed",
    "precision.dtype",
    "precision.full_eval",
    severity="warning",
    source="torch 2.13, cuda/__init__.py: is_bf16_supported counts emulation before Ampere",
    flags=Example({**DATA, "precision.mixed": "bf16"}, device="T4"),
    allows=Example({**DATA, "precision.mixed": "bf16"}, device="RTX 4090"),
)
def the_gpu_has_no_bfloat16(it: Subject) -> Iterator[Found]:
    """GPUs before Ampere have no bfloat16 units. Today's torch emulates it, slowly; older ones, and
    transformers with them, refuse to start.

    Ampere 之前的 GPU 没有 bfloat16 运算单元。现在的 torch 会模拟它，但很慢；旧
    版 torch 及 transformers 会直接拒绝。
    """
    asked = {
        "precision.mixed": it.get("precision.mixed") == "bf16",
        "precision.full_eval": it.get("precision.full_eval") == "bf16",
        "precision.dtype": it.get("precision.dtype") == "bfloat16",
    }
    paths = [path for path, wanted in asked.items() if wanted]
    if paths and it.device is not None and is_before_ampere(it):
        name, capability = it.device.name, it.device.compute_capability
        yield it.found(
            paths[0],
            both(
                f"bfloat16 on {name} (compute capability {capability})",
                f"在 {name}（计算能力 {capability}）上使用 bfloat16",
            ),
            fix=both(
                "write fp16, and watch the loss for NaN",
                "改用 fp16，并留意损失是否变成 NaN",
            ),
        )


@rule(
    "D102",
    "precision.tf32",
    severity="error",
    source="transformers 5.23.0, training_args.py: '--tf32 requires Ampere or a newer GPU arch'",
    flags=Example({**DATA, "precision.tf32": True}, device="V100"),
    allows=Example({**DATA, "precision.tf32": True}, device="A100"),
)
def the_gpu_has_no_tf32(it: Subject) -> Iterator[Found]:
    """TF32 came with Ampere; on an older GPU transformers refuses the flag.

    TF32 从 Ampere 开始才有；在更早的 GPU 上 transformers 会拒绝这个参数。
    """
    if it.get("precision.tf32") and it.device is not None and is_before_ampere(it):
        yield it.found(
            "precision.tf32",
            both(f"tf32 on {it.device.name}", f"在 {it.device.name} 上使用 tf32"),
            fix=both("leave tf32 out", "去掉 tf32"),
            change={"precision.tf32": False},
        )


@rule(
    "D103",
    "model.attention",
    severity="error",
    source="https://github.com/huggingface/transformers/issues/28188",
    flags=Example(
        {**DATA, "model.attention": "flash_attention_2", "precision.mixed": "fp16"}, device="V100"
    ),
    allows=Example(
        {**DATA, "model.attention": "flash_attention_2", "precision.mixed": "bf16"}, device="H100"
    ),
)
def the_gpu_has_no_flash_attention(it: Subject) -> Iterator[Found]:
    """The kernels of FlashAttention 2 are written for Ampere and later: on an older GPU the first
    forward pass fails.

    FlashAttention 2 的算子只支持 Ampere 及以后的 GPU，在更早的 GPU 上第一次前向就会报错。
    """
    device, asked = it.device, it.get("model.attention") == "flash_attention_2"
    if asked and device is not None and device.generation and not device.has_flash_attention:
        yield it.found(
            "model.attention",
            both(
                f"flash_attention_2 on {device.name}", f"在 {device.name} 上使用 flash_attention_2"
            ),
            fix=both("take sdpa, which every GPU has", "改用各种 GPU 都支持的 sdpa"),
            change={"model.attention": "sdpa"},
        )


def held(it: Subject) -> dict[str, float]:
    """Bytes on one GPU before anything is computed: weights, gradients, Adam's moments.

    Sharding is taken at its best: divided by all processes, and without what is offloaded.
    """
    found = amounts(it.forecast)
    stage = 3 if it.get("launch.fsdp") else zero_stage(it)
    sharded = {"weight_bytes": 3, "gradient_bytes": 2, "adam_bytes": 1}
    adam = "adamw" in it.get("optim.name") and "bit" not in it.get("optim.name")
    return {
        name: found[name].value / (processes(it) if stage >= least else 1)
        for name, least in sharded.items()
        if name in found and (adam or name != "adam_bytes") and name not in offloads(it)
    }


@rule(
    "D104",
    "model.path",
    "method.name",
    "precision.quantize",
    "precision.dtype",
    "model.config",
    severity="error",
    source="https://github.com/hiyouga/LlamaFactory/issues/7409",
    flags=Example({**DATA, "method.name": "full"}, model=BAICHUAN2, device="RTX 4090"),
    allows=Example(
        {**DATA, "method.prefix.length": 128, "precision.quantize": 4},
        model=CHATGLM2,
        device="RTX 4090",
    ),
)
def the_gpu_cannot_hold_the_model(it: Subject) -> Iterator[Found]:
    """Weights, gradients and the optimizer's two moments lie in memory before the first batch
    comes; where they alone are more than the GPU has, no batch size helps.

    权重、梯度和优化器的两个动量在第一个批次之前就已占用显存；仅它们就超过显存时，批量再小也没有用。
    """
    parts = held(it)
    elsewhere = uses_deepspeed(it) or it.get("launch.launcher") == "accelerate"
    unknown = elsewhere and zero_stage(it) == 0  # what is sharded stands in a file not given
    runs = it.get("launch.train") or it.run.evaluates or it.get("launch.predict")
    if it.device is None or not parts or unknown or not runs or it.get("launch.use_cpu"):
        return
    room, needed = it.device.usable, sum(parts.values())
    if needed <= room:
        return
    names = {"weight_bytes": "weights", "gradient_bytes": "gradients", "adam_bytes": "Adam"}
    zh = {"weight_bytes": "权重", "gradient_bytes": "梯度", "adam_bytes": "Adam"}
    yield it.found(
        "method.name" if it.written("method.name") else "model.path",
        both(
            f"{size(needed)} ({', '.join(f'{names[n]} {size(v)}' for n, v in parts.items())}) "
            f"on {it.device.name}, which leaves {size(room)}",
            f"需要 {size(needed)}（{'，'.join(f'{zh[n]} {size(v)}' for n, v in parts.items())}），"
            f"而 {it.device.name} 可用 {size(room)}",
        ),
        fix=_to_fit(it, set(parts)),
    )


def _to_fit(it: Subject, here: set[str]) -> Words:
    """What would make the state fit that is not done yet."""
    ways: list[tuple[str, str]] = []
    if it.get("method.name") == "full" and it.get("launch.train"):
        ways.append(("train a prefix or LoRA", "改为训练前缀或 LoRA"))
    elif it.get("precision.quantize") is None and not shards_weights(it):
        ways.append(
            (
                "hold the base in 4 or 8 bits (quantization_bit)",
                "把基座量化为 4 位或 8 位（quantization_bit）",
            )
        )
    if shards_weights(it):
        ways.append(("take more GPUs", "增加 GPU"))
        if "adam_bytes" in here:
            ways.append(
                (
                    "keep the optimizer in main memory (offload_optimizer)",
                    "把优化器放到内存（offload_optimizer）",
                )
            )
    else:
        ways.append(("shard it over several GPUs with ZeRO-3", "用 ZeRO-3 切分到多个 GPU"))
    return both(", or ".join(en for en, _ in ways), "，或".join(zh for _, zh in ways))


@rule(
    "D105",
    "batch.micro",
    severity="warning",
    source="https://github.com/hiyouga/LlamaFactory/issues/3825",
    flags=Example(
        {**DATA, "method.name": "lora", "batch.micro": 16, "data.max_length": 4096},
        model=BAICHUAN2,
        device="A100 40GB",
    ),
    allows=Example(
        {**DATA, "method.name": "lora", "batch.micro": 1, "data.max_length": 512},
        model=BAICHUAN2,
        device="A100 80GB",
    ),
)
def the_scores_of_a_batch_fill_the_gpu(it: Subject) -> Iterator[Found]:
    """The loss needs a score for every entry of the vocabulary at every position, in float32, and
    its gradient beside it. With a large vocabulary and long examples this alone is more than is
    left beside the weights.

    计算损失需要“每个位置 × 整个词表”的 float32 分数，以及同样大小的梯度。词表大、样本长时，仅这一项
    就会超过权重之外剩下的显存。
    """
    shape = it.shape
    if it.device is None or shape is None or not shape.vocab or not it.get("launch.train"):
        return
    left = it.device.usable - sum(held(it).values())
    length = example_tokens(it.run)
    scores = 2 * logit_bytes(it.get("batch.micro"), length, shape.vocab)
    if 0 < left < scores:
        yield it.found(
            "batch.micro",
            both(
                f"{it.get('batch.micro')} examples of up to {length:,} tokens: scores and their "
                f"gradient take {size(scores)}, and {size(left)} are left on {it.device.name}",
                f"{it.get('batch.micro')} 个最长 {length:,} 个词元的样本：分数及其梯度需要 "
                f"{size(scores)}，而 {it.device.name} 只剩 {size(left)}",
            ),
            fix=both(
                "make the micro batch smaller and the accumulation larger by as much",
                "减小微批次，并相应增大累积次数",
            ),
        )
