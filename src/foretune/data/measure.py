"""The measuring pass: what ``plan`` and ``check`` are told of a run's data.

A file is read and encoded piece by piece, so its size does not matter to the memory; of a huge one
a random sample of rows may be encoded. Knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from ..facts import DataFacts, Facts
from ..params.data import LARGE, Data
from ..params.run import Run
from ..plan.version import installed
from .encoded import family_of
from .prepare import CHUNK, bar_of, check_limits, encoded, refuse_too_long
from .read import Split, open_split
from .record import keep, kept, record_key
from .rows import Row
from .tally import Chunk, Tally, bare, encode
from .texts import Oddities, oddities_of

SURE = 1.96
"""Standard errors on either side within which an estimate lies 95 times in 100."""
SEED = 0
"""The same rows are drawn every time."""


def measure(
    run: Run,
    load: Callable[[], Any],
    *,
    progress: bool = True,
    sample: int | None = None,
    fresh: bool = False,
) -> Facts:
    """Reads and encodes the files that the run uses, and keeps the counts.

    Validation rows count as they are used: with their answers where the run wants a loss, else as
    prompts to generate from.

    Args:
        load: gives the run's tokenizer; not asked where everything was measured before.
        progress: draw a bar on stderr, where that is a terminal.
        sample: encode so many rows of each file, drawn at random, and estimate the rest.
        fresh: measure again what was measured before.

    Raises:
        UserError: for a file that cannot be used (see :func:`prepare.prepare`).
    """
    launch, data = run.launch, run.data
    tokenizer: list[Any] = []

    def facts(wanted: bool, file: str | None, split: Split) -> DataFacts | None:
        if not wanted or (file is None and data.dataset is None):
            return None
        forced = split == "train" or (split == "evaluate" and not run.generate.enabled)
        key = record_key(run, file, split, sample=sample)
        if not fresh and (known := kept(key, file or "")) is not None:
            return known
        if not tokenizer:
            tokenizer.append(load())
        found = measure_file(
            file, data, tokenizer[0], split=split, forced=forced, progress=progress, sample=sample
        )
        keep(key, found)
        return found

    return Facts(
        transformers=installed("transformers"),
        devices=launch.all_processes,
        train=facts(launch.train, data.train, "train"),
        validation=facts(run.evaluates, data.validation, "evaluate"),
        test=facts(launch.predict, data.test, "predict"),
    )


def measure_file(
    file: str | None,
    data: Data,
    tokenizer: Any,
    *,
    split: Split,
    forced: bool,
    progress: bool = True,
    sample: int | None = None,
) -> DataFacts:
    """What one file comes to, equal to what `prepare` says of it; estimated from ``sample`` rows
    where it has more.
    """
    family = family_of(tokenizer)
    check_limits(family, tokenizer, data)
    drop = data.overlong == "drop" and split == "train"
    work = partial(encode, tokenizer=tokenizer, data=data, training=forced, drop=drop)
    tally, cut = Tally(family, data, training=forced), list[Chunk]()
    always = getattr(family, "ALWAYS_PLAIN", False)
    odd = oddities_of(tokenizer, data, always_plain=always)
    size = Path(file).expanduser().stat().st_size if file and Path(file).is_file() else None
    with bar_of(file or str(data.dataset), size, progress, unit="B") as bar:
        rows = open_split(file, data, split, bar.update)
        taken = _watched(rows, odd)
        if sample is not None:
            taken = iter(_drawn(taken, sample))
        many, pieces = _worth_processes(_pieces(taken))
        for chunk, _ in encoded(pieces, work, data.workers if many else 1):
            tally.add(chunk)
            if data.overlong == "refuse":
                cut.append(bare(chunk))
            _say(bar, tally)
    refuse_too_long(rows.file, cut, tally, data)
    facts = tally.facts(file=rows.file, rows=rows.read, bad=rows.bad, empty=rows.empty)
    facts = replace(facts, texts=odd.texts(rows.out_of_turn))
    encoded_rows = tally.examples + tally.dropped
    return facts if encoded_rows == rows.usable else _of_all(facts, tally, rows.usable)


def _say(bar: tqdm[Any], tally: Tally) -> None:
    bar.set_postfix_str(f"{tally.examples:,} rows, {tally.tokens:,} tokens", refresh=False)


def _watched(rows: Iterable[Row], odd: Oddities) -> Iterator[Row]:
    for row in rows:
        odd.add(row)
        yield row


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while piece := list(islice(rows, CHUNK)):
        yield piece


def _worth_processes(pieces: Iterator[list[Row]]) -> tuple[bool, Iterator[list[Row]]]:
    """Whether there are so many rows that processes pay, and all the pieces."""
    first = list(islice(pieces, LARGE // CHUNK))
    return len(first) == LARGE // CHUNK, chain(first, pieces)


def _drawn(rows: Iterable[Row], count: int) -> list[Row]:
    """So many of the rows, each as likely as any other (reservoir sampling: Vitter 1985, R)."""
    random, drawn = Random(SEED), list[Row]()
    for at, row in enumerate(rows):
        if at < count:
            drawn.append(row)
        elif (place := random.randrange(at + 1)) < count:
            drawn[place] = row
    return sorted(drawn, key=lambda row: row.line)


def _of_all(facts: DataFacts, tally: Tally, usable: int) -> DataFacts:
    """The facts of all usable rows, from those of the drawn ones."""
    drawn = tally.examples + tally.dropped
    scale = usable / drawn
    examples = round(tally.examples * scale)
    assert facts.tokens is not None
    return replace(
        facts,
        examples=examples,
        damage=tally.damage(scale),
        tokens=round(facts.tokens * scale),
        padded_tokens=facts.padded_tokens and round(facts.padded_tokens / drawn * usable),
        trained_tokens=facts.trained_tokens and round(facts.trained_tokens * scale),
        lengths=tuple((length, round(count * scale)) for length, count in facts.lengths),
        sampled=drawn,
        tokens_within=_within(tally.tokens, tally.squares[0], tally.examples, usable),
        trained_within=_within(tally.trained, tally.squares[1], tally.examples, usable),
    )


def _within(total: float, squares: float, drawn: int, usable: int) -> float:
    """Half of the 95 % interval of a total, as a share: the standard error of the mean of rows that
    were drawn without putting back.
    """
    if not total or drawn < 2:
        return 0.0
    variance = max(squares / drawn - (total / drawn) ** 2, 0.0) * drawn / (drawn - 1)
    left = max(1 - drawn / usable, 0.0)
    return SURE * math.sqrt(variance / drawn * left) / (total / drawn)
