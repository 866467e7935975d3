"""DeepSpeed's flops profiler beside the plan, line by line, on small models of every family.

    python benchmarks/deepspeed_profile.py > benchmarks/results/deepspeed_profile.json

Needs DeepSpeed (its sources are enough: the profiler is Python) and einops, hjson, msgpack,
py-cpuinfo. Nothing is trained: the profiler runs a forward pass on the CPU.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("DS_ACCELERATOR", "cpu")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "plan"))

import torch
from test_flops import CASES, METHODS, SEQUENCE, attended, batch, built, setup_of

from foretune.params.run import Run
from foretune.plan.flops import profile
from foretune.tune import method

WITHOUT = ("gpt2", "gemma2")
"""Whose code is not that of these formulas: matrices the other way round, tanh of the scores."""


def profiled(name: str, how: str, folder: Path) -> dict[str, Any]:
    """What DeepSpeed prints of a forward pass, and what the plan says of it; ALiBi's table of
    distances added, of which a Shape knows nothing.
    """
    from deepspeed.profiling.flops_profiler import FlopsProfiler

    make, shape = built(name, folder)
    run = Run().set(METHODS[how])
    if how == "LoRA on attention":
        run = run.set({"method.lora.targets": attended(shape)})
    model = method(str(run.method.name)).attach(make(), run).train()
    profiler = FlopsProfiler(model)
    profiler.start_profile()
    with torch.no_grad():
        model(**batch(name), use_cache=False)
    printed = {
        "params per GPU": profiler.get_total_params(),
        "fwd MACs per GPU": profiler.get_total_macs(),
        "fwd flops per GPU": profiler.get_total_flops(),
    }
    profiler.end_profile()
    told = profile(shape, setup_of(shape, how))
    alibi = shape.heads * SEQUENCE["length"] ** 2 if "ALiBi" in name else 0
    planned = {
        "params per GPU": told.parameters,
        "fwd MACs per GPU": round(told.macs),
        "fwd flops per GPU": round(told.forward) + alibi,
    }
    return {"model": name, "method": how, "deepspeed": printed, "plan": planned}


if __name__ == "__main__":
    import deepspeed

    rows = [
        profiled(name, how, Path(tempfile.mkdtemp())) for name, how in CASES if name not in WITHOUT
    ]
    for row in rows:
        row["equal"] = row["deepspeed"] == row["plan"]
    versions = {
        "deepspeed": deepspeed.__version__.partition("+")[0].strip(),
        "torch": torch.__version__,
    }
    print(json.dumps({"versions": versions, "rows": rows}, indent=1))
    sys.exit(not all(row["equal"] for row in rows))
