"""Time and memory of packed weights against full ones: ``python benchmarks/quantized.py``.

Each line is one product with a 4096 x 4096 weight, next to ``nn.Linear`` in float32 measured in the
same run (best of 10, interleaved). ``forward`` runs without a graph; ``both`` adds the gradient of
the input, the weight being frozen in either. Memory is what the layer holds, float32 being 1.

torch 2.13.0+cpu, two threads of a quiet 2-core machine (int8 and int4 hold 0.250 and 0.125):

                  M   fp32 ms     int8     int4   (times the time of fp32)
    forward       1      2.33     1.82     2.72
    both          1      4.85     2.38     3.34
    forward       8      6.26     0.83     1.17
    both          8     11.28     1.27     1.69
    forward     128     17.69     1.44     1.71
    both        128     36.15     1.58     1.77
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from foretune.models.quantized import PackedLinear

SIZE = 4096
REPEATS = 10


def seconds(runs: dict[str, Callable[[], None]], device: torch.device) -> dict[str, float]:
    """The best time of each, taken in turns so that a busy moment meets all alike."""
    best = dict.fromkeys(runs, float("inf"))
    for repeat in range(REPEATS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat:  # the first warms up
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def forward(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


def both(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    x = x.clone().requires_grad_()
    grad = torch.ones(x.shape[0], SIZE, device=x.device, dtype=x.dtype)

    def run() -> None:
        torch.autograd.grad(layer(x), x, grad)

    return run


def held_bytes(layer: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in layer.state_dict().values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    plain = nn.Linear(SIZE, SIZE, bias=False, device=device).requires_grad_(False)
    layers = {"fp32": plain} | {
        f"int{bits}": PackedLinear.from_linear(plain, bits) for bits in (8, 4)
    }
    print(f"torch {torch.__version__}, {device}, {args.threads} threads, {SIZE} x {SIZE}")
    for name, layer in layers.items():
        print(f"{name}: {held_bytes(layer) / held_bytes(plain):.3f} of the memory")
    print(f"{'':10}{'M':>5}{'fp32 ms':>10}{'int8':>9}{'int4':>9}   (times the time of fp32)")
    for rows in (1, 8, 128):
        x = torch.randn(rows, SIZE, device=device)
        for make in (forward, both):
            best = seconds({name: make(layer, x) for name, layer in layers.items()}, device)
            ratios = "".join(f"{best[name] / best['fp32']:9.2f}" for name in ("int8", "int4"))
            print(f"{make.__name__:10}{rows:5}{best['fp32'] * 1e3:10.2f}{ratios}")


if __name__ == "__main__":
    main()
