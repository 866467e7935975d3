"""The constants that no source code gives: each was fitted or measured, and says by what.

``benchmarks/published.py FILE --fit`` fits the rates again, from the rows of half of the sources
alone, and prints this table; docs/forecast.md shows what they come to on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Constants of the forecast."""

    # --- memory: none of them is fitted to the published rows
    allocator_waste: float = 0.03
    """Share of the activations that the allocator loses to rounding and splitting. An
    assumption, not measured."""
    context_gib: float = 0.5
    """CUDA context with its kernels, since Ampere; 0.47 to 0.92 GiB with torch 2.1 (stas00)."""
    old_context_gib: float = 1.31
    """The same on Volta with CUDA 11.2: 1,343 MiB in transformers' guide of 2022."""
    nccl_gib: float = 1.45
    """What NCCL takes at its first barrier (stas00, two GPUs)."""

    # --- time: taken from where they are named, or fitted to the rows of FITTED_TIMES_ON
    ampere_products: float = 0.8097
    """Share of the peak rate that large matrix products reach on compute capability 8."""
    hopper_products: float = 0.6734
    """The same on compute capability 9."""
    fp8_products: float = 0.547
    """Share of the float8 rate that products reach with the casts that they need."""
    half_width: float = 183.9
    """Width of a matrix whose products reach half of that share."""
    ampere_flash_1: float = 0.3378
    """Share of the peak rate that the first FlashAttention reaches on compute capability 8,
    causal."""
    hopper_flash_1: float = 0.1726
    """The same on compute capability 9."""
    ampere_attention: float = 0.5488
    """Share of the peak rate that FlashAttention 2 reaches on compute capability 8, causal."""
    hopper_attention: float = 0.25
    """The same on compute capability 9: 0.30 alone (arXiv:2307.08691), of which a run reaches what
    it reaches of products (0.80 alone). Not fitted."""
    hopper_flash_3: float = 0.5
    """The same of FlashAttention 3: 0.6 alone (arXiv:2407.08608). Not fitted."""
    traffic: float = 1.366
    """What the memory takes for the bytes between the products, beside its rate on the data
    sheet."""
    launch: float = 0.0005
    """Seconds that the kernels of a layer take to start, forward and backward: about a hundred of
    5 microseconds. An assumption."""
    node_links: float = 0.8
    """Share of the rate of NVLink that rings of collectives reach (stas00, NCCL on A100 and H200);
    not fitted."""
    network: float = 0.9003
    """Share of the rate of the network that collectives reach."""
    overlap: float = 0.85
    """Share of what FSDP2 sends that hides behind the computation. An assumption: it sends beside
    the computation, which loses some of its memory's rate and some of its cores to it."""
    overlap_1: float = 0.1875
    """The same of the first FSDP, and of ZeRO."""
    overlapped: float = 0.5
    """Share of what tensor-parallel ranks send that hides where they send while they multiply:
    8B on 64 H100 went from 4,378 to 4,809 tokens/s (torchtitan, 2025-06). Not fitted."""

    # --- time: how far off a forecast may be
    interval: float = 0.25
    """Half of the interval around a time: nine of ten held-out rows lie in it."""
    interval_calibrated: float = 0.15
    """The same after one measured step of the same stack."""


FITTED = Fitted()

FITTED_TIMES_ON = (
    "github:Lightning-AI/litgpt@26857050fe3f:tutorials/finetune_lora.md",
    "github:THUDM/GLM-4@081f0fb96c4c:finetune_demo/README_en.md",
    "github:VIA-Research/vTrain@f8dda8473a48:data/ground_truth_single.csv",
    "github:foundation-model-stack/fms-fsdp@0d319983c4b3:README.md",
    "github:huggingface/transformers@98513dfd0db6:docs/source/en/perf_train_gpu_one.mdx",
    "github:mosaicml/llm-foundry@8c8dd48f7216:scripts/train/benchmarking/README.md",
    "github:pytorch/torchtitan@b5bcd76c66d0:benchmarks/llama3-8b_h200_202506_trainy-whitefiber.md",
    "github:pytorch/torchtune@bd2a0fc7c314:README.md",
    "github:pytorch/torchtune@bd2a0fc7c314:docs/source/tutorials/qlora_finetune.rst",
    "https://github.com/hiyouga/LLaMA-Factory/wiki/Performance-comparison",
)
"""Sources whose rows the rates were fitted to."""
