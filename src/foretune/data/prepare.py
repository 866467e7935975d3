"""Rows to examples: encoded up front, in several processes where that pays, and counted.

Knows no torch: the light half may count with it where a tokenizer is at hand.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from tqdm import tqdm

from ..errors import Problem, UserError
from ..facts import DataFacts
from ..params.data import LARGE, Data
from ..text import counted, place
from .encoded import Cut, Family, family_of
from .examples import Examples, block_lengths
from .padding import pads_when_prepared
from .read import Split, read_split
from .rows import SHOWN, Row
from .tally import Chunk, Tally, encode, joined
from .texts import oddities_of, texts_of

CHUNK = 500
"""Rows that a process takes at a time: the step of the progress bar."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The examples of one file, and what is known of them."""

    dataset: Examples
    facts: DataFacts


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
    check_limits(family, tokenizer, data)
    rows = read_split(file, data, split)
    training = split == "train" if teacher_forced is None else teacher_forced
    drop = data.overlong == "drop" and split == "train"
    work = partial(encode, tokenizer=tokenizer, data=data, training=training, drop=drop)
    pieces = [rows.rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
    tally, chunks = Tally(family, data, training=training), list[Chunk]()
    with bar_of(rows.file, len(rows), progress) as bar:
        for chunk, piece in encoded(pieces, work, data.workers if len(rows) >= LARGE else 1):
            bar.update(len(piece))
            tally.add(chunk)
            chunks.append(chunk)
    refuse_too_long(rows.file, chunks, tally, data)
    input_ids, labels = joined(chunks)
    blocks = not training and pads_when_prepared(family, data)
    padded_to = block_lengths(input_ids.lengths, data.workers) if blocks else None
    facts = tally.facts(file=rows.file, rows=rows.read, bad=rows.bad, empty=rows.empty)
    always = getattr(family, "ALWAYS_PLAIN", False)
    texts = texts_of(rows, oddities_of(tokenizer, data, always_plain=always))
    return Prepared(Examples(input_ids, labels, padded_to), replace(facts, texts=texts))


# Encoding


def bar_of(file: str, total: int | None, progress: bool, unit: str = "row") -> tqdm[Any]:
    """A bar on stderr, where that is a terminal: how much, how fast, and how long still."""
    disable = None if progress else True  # None: off where stderr is no terminal
    scaled = unit == "B"
    return tqdm(total=total, desc=f"encoding {file}", unit=unit, unit_scale=scaled, disable=disable)


def encoded(
    pieces: Iterable[list[Row]], work: partial[Chunk], workers: int | None
) -> Iterator[tuple[Chunk, list[Row]]]:
    """Pieces of a file with what each comes to, in the order of the file, whoever encodes them."""
    processes = min(workers or 1, os.cpu_count() or 1)
    if processes > 1:
        yield from _in_processes(pieces, work, processes)
    else:
        for piece in pieces:
            yield work(piece), piece


def _in_processes(
    pieces: Iterable[list[Row]], work: partial[Chunk], processes: int
) -> Iterator[tuple[Chunk, list[Row]]]:
    # A forked child has the tokenizer already; elsewhere than on Linux forking is not safe.
    start = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(processes, start, _begin, (work,))
    source, waiting = iter(pieces), deque[tuple[Future[Chunk], list[Row]]]()
    try:
        with _interrupts_later():  # one that meets a fork kills the child, or is lost in the parent
            for piece in islice(source, 4 * processes):
                waiting.append((pool.submit(_next, piece), piece))
        while waiting:
            chunk, piece = waiting.popleft()
            yield chunk.result(), piece
            for more in islice(source, 1):
                waiting.append((pool.submit(_next, more), more))
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


_encode_here: partial[Chunk] | None = None
"""In a child: what it does with a chunk. Given once, for the tokenizer in it is large."""


def _begin(work: partial[Chunk]) -> None:
    global _encode_here
    _encode_here = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children


def _next(piece: list[Row]) -> Chunk:
    assert _encode_here is not None, "a child begins before it works"
    return _encode_here(piece)


# Refusing


def refuse_too_long(file: str, chunks: Iterable[Chunk], tally: Tally, data: Data) -> None:
    """Raises UserError for over-long rows where they are to be refused, and where dropping them
    leaves nothing.
    """
    if data.overlong == "refuse":
        cuts = [cut for chunk in chunks for cut in chunk.cuts]
        dropped = [line for chunk in chunks for line in chunk.dropped]
        if cuts or dropped:
            raise UserError(_too_long(file, cuts, dropped))
    if not tally.examples:
        raise UserError(_all_dropped(file, tally.dropped, data))


def check_limits(family: Family, tokenizer: Any, data: Data) -> None:
    """Raises UserError for limits that leave no room for text."""
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


def _all_dropped(file: str, rows: int, data: Data) -> Problem:
    limits = f"{data.max_source_length} and {data.max_target_length} tokens for prompt and answer"
    settings = "data.max_source_length and data.max_target_length"
    if data.max_length is not None:
        limits, settings = f"{data.max_length} tokens for both together", "data.max_length"
    return Problem(
        what=f"all {counted(rows, 'row')} are longer than the limits, and none is left",
        where=file,
        why=f"the limits are {limits}, and longer rows are left out",
        fix=f"raise {settings}",
    )
