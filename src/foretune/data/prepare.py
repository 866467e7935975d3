"""Rows to examples: encoded up front, in several processes where that pays, and counted.

Knows no torch: the light half may count with it where a tokenizer is at hand.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tqdm import tqdm

from ..errors import Problem, UserError
from ..facts import Damage, DataFacts
from ..params.data import LARGE, Data
from ..text import counted, place
from .encoded import UNTRAINED, Cut, Encoded, Family, family_of
from .examples import Examples, Ragged, block_lengths
from .read import Split, read_split
from .rows import SHOWN, Row, Rows
from .texts import seen, texts_of, with_control_tokens

CHUNK = 500
"""Rows that a process takes at a time: the step of the progress bar."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The examples of one file, and what is known of them."""

    dataset: Examples
    facts: DataFacts


@dataclass(frozen=True, slots=True)
class _Chunk:
    input_ids: Ragged
    labels: Ragged
    cuts: list[tuple[int, Cut]]
    """Line and damage of the rows that were cut."""
    dropped: list[int]
    """Lines of the rows that were left out."""
    untrained: list[int]
    """Lines of the rows in which no token has a label."""
    ends_lost: int
    """Rows whose answer was cut and is not followed by its end token."""


def prepare(
    file: str | None,
    data: Data,
    tokenizer: Any,
    *,
    split: Split,
    teacher_forced: bool | None = None,
    progress: bool = True,
) -> Prepared:
    """The examples of ``file``, or of the hub data set where it is None.

    Args:
        split: which limit on rows applies. Over-long rows are dropped, where ``data.overlong``
            says so, from training only: scores are over all rows, or they do not compare.
        teacher_forced: True makes prompt and answer one example, for a loss; False the prompt
            alone, to generate from, with the answer as the reference. None: as ``split`` needs.
        progress: draw a bar on stderr, where that is a terminal.

    Raises:
        UserError: for rows that cannot be read, limits that leave no room for text, over-long rows
            where ``data.overlong`` is "refuse", and when no example is left.
    """
    family = family_of(tokenizer)
    _check_limits(family, tokenizer, data)
    rows = read_split(file, data, split)
    training = split == "train" if teacher_forced is None else teacher_forced
    drop = data.overlong == "drop" and split == "train"
    encode = partial(_encode, tokenizer=tokenizer, data=data, training=training, drop=drop)
    chunks = list(_encoded(rows, encode, data.workers, progress))
    cuts = [cut for chunk in chunks for cut in chunk.cuts]
    dropped = [line for chunk in chunks for line in chunk.dropped]
    if data.overlong == "refuse" and (cuts or dropped):
        raise UserError(_too_long(rows.file, cuts, dropped))
    if len(dropped) == len(rows):
        raise UserError(_all_dropped(rows, data))
    input_ids = Ragged.joined(chunk.input_ids for chunk in chunks)
    blocks = not training and pads_when_prepared(family, data)
    padded_to = block_lengths(input_ids.lengths, data.workers) if blocks else None
    dataset = Examples(input_ids, Ragged.joined(chunk.labels for chunk in chunks), padded_to)
    facts = _facts(rows, dataset, family, data, training, _damage(chunks))
    always = getattr(family, "ALWAYS_PLAIN", False)
    texts = with_control_tokens(texts_of(rows), rows, tokenizer, data, always_plain=always)
    return Prepared(dataset, replace(facts, texts=texts))


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


# Encoding


def _encode(rows: list[Row], *, tokenizer: Any, data: Data, training: bool, drop: bool) -> _Chunk:
    family = family_of(tokenizer)
    encode = family.encode_training if training else family.encode_prompt
    kept: list[Encoded] = []
    cuts: list[tuple[int, Cut]] = []
    dropped: list[int] = []
    untrained: list[int] = []
    ends_lost = 0
    for row in rows:
        encoded = encode(row, tokenizer, data)
        if encoded is None or (drop and encoded.cut):
            dropped.append(row.line)
            continue
        kept.append(encoded)
        if encoded.cut:
            cuts.append((row.line, encoded.cut))
            ends_lost += encoded.cut.answer > 0 and encoded.labels[-1:] != [tokenizer.eos_token_id]
        if training and all(label == UNTRAINED for label in reversed(encoded.labels)):
            untrained.append(row.line)
    return _Chunk(
        input_ids=Ragged.of([encoded.input_ids for encoded in kept]),
        labels=Ragged.of([encoded.labels for encoded in kept]),
        cuts=cuts,
        dropped=dropped,
        untrained=untrained,
        ends_lost=ends_lost if training else 0,
    )


def _encoded(
    rows: Rows, encode: partial[_Chunk], workers: int | None, progress: bool
) -> Iterator[_Chunk]:
    """The chunks in the order of the file, whoever encodes them."""
    chunks = [rows.rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
    processes = min(workers or 1, os.cpu_count() or 1)
    disable = None if progress else True  # None: off where stderr is no terminal
    with tqdm(total=len(rows), desc=f"encoding {rows.file}", unit="row", disable=disable) as bar:
        several = processes > 1 and len(rows) >= LARGE
        made = _in_processes(encode, chunks, processes) if several else map(encode, chunks)
        for chunk, of in zip(made, chunks, strict=True):
            bar.update(len(of))
            yield chunk


def _in_processes(
    encode: partial[_Chunk], chunks: list[list[Row]], processes: int
) -> Iterator[_Chunk]:
    # A forked child has the tokenizer already; elsewhere than on Linux forking is not safe.
    start = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(processes, start, _begin, (encode,))
    try:
        with _interrupts_later():  # one that meets a fork kills the child, or is lost in the parent
            made = pool.map(_next, chunks)
        yield from made
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C counts when the block is over, in the parent alone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


_encode_here: partial[_Chunk] | None = None
"""In a child: what it does with a chunk. Given once, for the tokenizer in it is large."""


def _begin(encode: partial[_Chunk]) -> None:
    global _encode_here
    _encode_here = encode
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children


def _next(chunk: list[Row]) -> _Chunk:
    assert _encode_here is not None, "a child begins before it works"
    return _encode_here(chunk)


# Counting


def _facts(
    rows: Rows, dataset: Examples, family: Family, data: Data, training: bool, damage: Damage
) -> DataFacts:
    lengths, labels = dataset.input_ids.lengths, dataset.labels
    trained = padded = None
    if training:
        trained = int((labels.values != UNTRAINED).sum())
        if is_encoder_decoder(family):
            lengths = lengths + labels.lengths
        else:  # the model predicts the next token, so a label on the first one is no prediction
            first = labels.values[labels.ends - labels.lengths]
            trained -= int((first != UNTRAINED).sum())
        padded = family.constant_length(data) * len(dataset)
        if not data.ignore_pad_in_loss and (constant := padded_labels(family, data)):
            trained += int((constant - labels.lengths).sum())
    return DataFacts(
        file=rows.file,
        rows=rows.read,
        bad=rows.bad,
        empty=rows.empty,
        examples=len(dataset),
        damage=damage,
        tokens=int(lengths.sum()),
        padded_tokens=padded,
        trained_tokens=trained,
        longest=int(lengths.max()),
    )


def _damage(chunks: list[_Chunk]) -> Damage:
    cuts = [cut for chunk in chunks for cut in chunk.cuts]
    dropped = [line for chunk in chunks for line in chunk.dropped]
    lines = sorted([line for line, _ in cuts] + dropped)
    return Damage(
        prompts_cut=sum(cut.prompt > 0 for _, cut in cuts),
        questions_cut=sum(cut.question for _, cut in cuts),
        answers_cut=sum(cut.answer > 0 for _, cut in cuts),
        dropped=len(dropped),
        ends_lost=sum(chunk.ends_lost for chunk in chunks),
        prompt_over=max((cut.prompt for _, cut in cuts), default=0),
        answer_over=max((cut.answer for _, cut in cuts), default=0),
        untrained=seen(line for chunk in chunks for line in chunk.untrained),
        lines=tuple(lines[:SHOWN]),
    )


# Refusing


def _check_limits(family: Family, tokenizer: Any, data: Data) -> None:
    source, target = family.least_lengths(tokenizer, data)
    given = {
        "data.max_source_length": (data.max_source_length, source),
        "data.max_target_length": (data.max_target_length, target),
        "data.max_eval_target_length": (data.max_eval_target_length, target),
        "data.max_length": (data.max_length, source + target),
    }
    problems = [
        Problem(
            what=f"{path} = {length} leaves no room for text",
            where=path,
            why=f"special tokens and the marks of a round take up to {least - 1} tokens of it",
            fix=f"set it to {least} or, better, to what your rows need",
        )
        for path, (length, least) in given.items()
        if length is not None and length < least
    ]
    if problems:
        raise UserError(problems)


def _too_long(file: str, cuts: list[tuple[int, Cut]], dropped: list[int]) -> list[Problem]:
    long = sorted([(line, _lost(cut)) for line, cut in cuts] + [(line, "") for line in dropped])
    problems = [
        Problem(
            what=f"this row is longer than its limits{lost}",
            where=place(file, line),
            why="data.overlong is 'refuse'",
            fix="shorten it, raise the limit, or set data.overlong to 'cut' or 'drop'",
        )
        for line, lost in long[:SHOWN]
    ]
    if len(long) > SHOWN:
        what = f"{counted(len(long) - SHOWN, 'more row')} longer than the limits"
        problems.append(Problem(what, file, problems[0].why, problems[0].fix))
    return problems


def _lost(cut: Cut) -> str:
    parts = {"prompt": cut.prompt, "answer": cut.answer}
    over = [f"{part} by {counted(lost, 'token')}" for part, lost in parts.items() if lost]
    return f": {' and '.join(over)}"


def _all_dropped(rows: Rows, data: Data) -> Problem:
    limits = f"{data.max_source_length} and {data.max_target_length} tokens for prompt and answer"
    settings = "data.max_source_length and data.max_target_length"
    if data.max_length is not None:
        limits, settings = f"{data.max_length} tokens for both together", "data.max_length"
    return Problem(
        what=f"all {counted(len(rows), 'row')} are longer than the limits, and none is left",
        where=rows.file,
        why=f"the limits are {limits}, and longer rows are left out",
        fix=f"raise {settings}",
    )
