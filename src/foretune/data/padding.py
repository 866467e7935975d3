"""How far examples are padded, as far as that does not hang on the batch that they are in.

Knows no torch.
"""

from __future__ import annotations

from ..params.data import Data
from .encoded import Family


def pads_when_prepared(family: Family, data: Data) -> bool:
    """Whether padding is part of an example, and not left to the batch."""
    return data.protocol == "official" and family.PADS_WHEN_PREPARED


def is_encoder_decoder(family: Family) -> bool:
    """Whether the prompt is read by an encoder of its own: an example's labels are then a text for
    the decoder to write, and its input holds none of the answer.
    """
    return getattr(family, "ENCODER_DECODER", False)


def padded_length(family: Family, data: Data) -> int | None:
    """Tokens that the input of every training example is padded to; None: those of the longest of
    its batch.
    """
    if not (data.pad_to_max_length or pads_when_prepared(family, data)):
        return None
    apart = is_encoder_decoder(family)
    return data.max_source_length if apart else family.constant_length(data)


def padded_labels(family: Family, data: Data) -> int | None:
    """As `padded_length`, of the labels."""
    length = padded_length(family, data)
    apart = length is not None and is_encoder_decoder(family)
    return data.max_target_length if apart else length
