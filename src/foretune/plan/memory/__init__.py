"""What a run holds in memory, part by part and phase by phase, in bytes.

The formulas that ``explain`` and ``check`` print are here; the whole of a run is ``peak.memory``.
"""

from .activations import logit_bytes
from .states import (
    BYTES,
    adam_bytes,
    gradient_bytes,
    kv_cache_bytes,
    master_bytes,
    weight_bytes,
)

__all__ = [
    "BYTES",
    "adam_bytes",
    "gradient_bytes",
    "kv_cache_bytes",
    "logit_bytes",
    "master_bytes",
    "weight_bytes",
]
