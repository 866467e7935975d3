"""What rows come to in tokens, added up while they are encoded, a piece of the file at a time.

Knows no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..facts import Damage, DataFacts, Seen
from ..params.data import Data
from .encoded import UNTRAINED, Cut, Encoded, Family, family_of
from .examples import Ragged
from .padding import is_encoder_decoder, padded_labels
from .rows import SHOWN, Row
from .texts import FIRST


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows after encoding."""

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


def encode(rows: list[Row], *, tokenizer: Any, data: Data, training: bool, drop: bool) -> Chunk:
    """Some rows, encoded; ``drop``: rows over their limits are left out."""
    family = family_of(tokenizer)
    encode_row = family.encode_training if training else family.encode_prompt
    kept: list[Encoded] = []
    cuts: list[tuple[int, Cut]] = []
    dropped: list[int] = []
    untrained: list[int] = []
    ends_lost = 0
    for row in rows:
        encoded = encode_row(row, tokenizer, data)
        if encoded is None or (drop and encoded.cut):
            dropped.append(row.line)
            continue
        kept.append(encoded)
        if encoded.cut:
            cuts.append((row.line, encoded.cut))
            ends_lost += encoded.cut.answer > 0 and encoded.labels[-1:] != [tokenizer.eos_token_id]
        if training and all(label == UNTRAINED for label in reversed(encoded.labels)):
            untrained.append(row.line)
    return Chunk(
        input_ids=Ragged.of([encoded.input_ids for encoded in kept]),
        labels=Ragged.of([encoded.labels for encoded in kept]),
        cuts=cuts,
        dropped=dropped,
        untrained=untrained,
        ends_lost=ends_lost if training else 0,
    )


class Tally:
    """Rows and tokens of the chunks that were added."""

    def __init__(self, family: Family, data: Data, *, training: bool) -> None:
        self.family, self.data, self.training = family, data, training
        self.apart = is_encoder_decoder(family)
        self.examples = self.tokens = self.trained = self.longest = 0
        self.squares = np.zeros(2)
        """Sums of the squares of the tokens of an example, and of those with a label."""
        self.lengths: Counter[int] = Counter()
        """Input tokens of an example -> examples."""
        self.label_tokens = 0
        self.dropped = 0
        self.damaged: list[int] = []
        """Lines of the first rows that were cut or left out."""
        self._damage: Counter[str] = Counter()
        self._over = [0, 0]
        self._untrained: list[int] = []

    def add(self, chunk: Chunk) -> None:
        """Counts some rows."""
        inputs, labels = chunk.input_ids.lengths, chunk.labels.lengths
        self.examples += len(inputs)
        self.lengths.update(inputs.tolist())
        self.label_tokens += int(labels.sum())
        tokens = inputs + labels if self.apart and self.training else inputs
        trained = _trained(chunk.labels, self.apart) if self.training else np.zeros(1)
        self.tokens += int(tokens.sum())
        self.longest = max(self.longest, int(tokens.max(initial=0)))
        self.trained += int(trained.sum())
        self.squares += [(tokens.astype(float) ** 2).sum(), (trained.astype(float) ** 2).sum()]
        self._add_damage(chunk)

    def _add_damage(self, chunk: Chunk) -> None:
        cuts = [cut for _, cut in chunk.cuts]
        self.dropped += len(chunk.dropped)
        self._damage += Counter(
            prompts_cut=sum(cut.prompt > 0 for cut in cuts),
            questions_cut=sum(cut.question for cut in cuts),
            answers_cut=sum(cut.answer > 0 for cut in cuts),
            ends_lost=chunk.ends_lost,
            untrained=len(chunk.untrained),
        )
        self._over = [
            max(self._over[0], *(cut.prompt for cut in cuts), 0),
            max(self._over[1], *(cut.answer for cut in cuts), 0),
        ]
        self._untrained = [*self._untrained, *chunk.untrained][:FIRST]
        lines = [line for line, _ in chunk.cuts] + chunk.dropped
        self.damaged = sorted([*self.damaged, *lines])[:SHOWN]

    def damage(self, scale: float = 1.0) -> Damage:
        """What the limits do; ``scale``: rows that each of the counted ones stands for."""
        counts = {name: round(self._damage[name] * scale) for name in _COUNTS}
        return Damage(
            **counts,
            dropped=round(self.dropped * scale),
            prompt_over=self._over[0],
            answer_over=self._over[1],
            untrained=Seen(round(self._damage["untrained"] * scale), tuple(self._untrained)),
            lines=tuple(self.damaged),
        )

    def facts(self, **rows: Any) -> DataFacts:
        """What was counted, beside what is known of the ``rows`` (file, rows, bad, empty)."""
        assert self.lengths, "there is no file without a usable row"
        trained = padded = None
        if self.training:
            trained = self.trained
            padded = self.family.constant_length(self.data) * self.examples
            constant = padded_labels(self.family, self.data)
            if not self.data.ignore_pad_in_loss:
                missing = None if constant is None else constant * self.examples - self.label_tokens
                trained = None if missing is None else trained + missing
        return DataFacts(
            **rows,
            examples=self.examples,
            damage=self.damage(),
            tokens=self.tokens,
            padded_tokens=padded,
            trained_tokens=trained,
            longest=self.longest,
            lengths=tuple(sorted(self.lengths.items())),
        )


_COUNTS = ("prompts_cut", "questions_cut", "answers_cut", "ends_lost")


def _trained(labels: Ragged, apart: bool) -> np.ndarray:
    """Labels of each example that are learnt; where one model reads and writes, the first place has
    nothing in front of it that could foretell it.
    """
    have = labels.values != UNTRAINED
    sums = np.concatenate([[0], np.cumsum(have)])
    each = sums[labels.ends] - sums[labels.ends - labels.lengths]
    if not apart and len(labels):
        each = each - have[labels.ends - labels.lengths]
    return each


def bare(chunk: Chunk) -> Chunk:
    """What a chunk says of its damage, without its tokens."""
    nothing = Ragged.of([])
    return replace(chunk, input_ids=nothing, labels=nothing)


def joined(chunks: Iterable[Chunk]) -> tuple[Ragged, Ragged]:
    """Ids and labels of all chunks."""
    chunks = list(chunks)
    ids = Ragged.joined(chunk.input_ids for chunk in chunks)
    return ids, Ragged.joined(chunk.labels for chunk in chunks)
