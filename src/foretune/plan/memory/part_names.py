"""What the parts of a device's memory are called."""

from __future__ import annotations

from ...params.declare import Words

PARTS = {
    "weights": Words("weights", "权重"),
    "gradients": Words("gradients", "梯度"),
    "optimizer": Words("optimizer", "优化器状态"),
    "master": Words("float32 copies", "float32 副本"),
    "activations": Words("activations", "激活值"),
    "logits": Words("logits and loss", "分数与损失"),
    "cache": Words("keys and values", "键值缓存"),
    "communication": Words("communication", "通信缓冲"),
    "temporary": Words("temporary", "临时空间"),
    "fragmentation": Words("fragmentation", "碎片"),
    "context": Words("CUDA context", "CUDA 上下文"),
}
