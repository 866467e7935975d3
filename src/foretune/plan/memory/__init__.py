"""What a run holds in memory, part by part and phase by phase, in bytes."""

from .activations import logit_bytes
from .peak import Memory, Parts, memory
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
    "Memory",
    "Parts",
    "adam_bytes",
    "gradient_bytes",
    "kv_cache_bytes",
    "logit_bytes",
    "master_bytes",
    "memory",
    "weight_bytes",
]
