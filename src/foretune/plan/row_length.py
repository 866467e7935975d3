"""How many tokens a row has: the longest, which memory hangs on, and a usual one, for time."""

from __future__ import annotations

from ..facts import Facts
from ..params.arch.shape import Shape
from ..params.run import Run
from .padded import Padded, padded_epoch


def longest(run: Run, shape: Shape, facts: Facts) -> int:
    """Tokens of the longest row of the longest batch, padding included; where there is an encoder,
    of what the decoder reads.
    """
    train = facts.train
    if shape.encoder_decoder:
        return run.data.max_target_length
    if train is not None and train.longest is not None and not pads(run):
        return train.longest
    if train is not None and train.padded_tokens is not None and train.examples:
        return round(train.padded_tokens / train.examples)
    return length_limit(run, shape)


def longest_source(run: Run, shape: Shape, facts: Facts) -> int:
    """Tokens of the longest row that an encoder reads, padding included; 0 where there is none."""
    train = facts.train
    if not shape.encoder_decoder:
        return 0
    if train is not None and train.lengths and not pads(run):
        return max(length for length, _ in train.lengths)
    return run.data.max_source_length


def length_limit(run: Run, shape: Shape) -> int:
    """The most tokens that a row can have: both limits and the end token, or the one limit; of an
    encoder and a decoder the one that reads more.
    """
    data = run.data
    if data.max_length is not None:
        return data.max_length
    if shape.encoder_decoder:
        return max(data.max_source_length, data.max_target_length)
    return data.max_source_length + data.max_target_length + 1


def eval_length(run: Run, shape: Shape, facts: Facts) -> int:
    """Tokens of the longest row whose loss is evaluated."""
    seen = facts.validation
    if seen is not None and seen.longest is not None and not pads(run):
        return seen.longest
    return length_limit(run, shape)


def padded_of(run: Run, facts: Facts) -> Padded | None:
    """Tokens of one pass over the training rows, with the padding of their batches; None where they
    were not measured.
    """
    train = facts.train
    if train is None or train.tokens is None:
        return None
    if pads(run):
        return None if train.padded_tokens is None else Padded(train.padded_tokens)
    if not train.lengths:
        return None
    micro, accumulation = run.batch.micro, run.batch.accumulation
    order = run.batch.order
    return padded_epoch(train.lengths, micro=micro, order=order, accumulation=accumulation)


def usual_length(run: Run, facts: Facts) -> int | None:
    """Tokens of a row of a usual batch, padding included; None where the data were not measured, or
    are padded to their limit.
    """
    train = facts.train
    if train is None or train.tokens is None or not train.examples or pads(run):
        return None
    padded = padded_of(run, facts)
    tokens = train.tokens if padded is None else padded.tokens
    return max(round(tokens / train.examples), 1)


def usual_target(facts: Facts) -> int | None:
    """Tokens of an average row that a decoder reads behind an encoder; None where the data were not
    measured.
    """
    train = facts.train
    if train is None or train.tokens is None or not train.lengths:
        return None
    examples = sum(count for _, count in train.lengths)
    source = sum(length * count for length, count in train.lengths) / examples
    return max(round(train.tokens / train.examples - source), 1)


def pads(run: Run) -> bool:
    """Whether rows are padded to their limit, as the authors' scripts do."""
    return run.data.pad_to_max_length or run.data.protocol == "official"
