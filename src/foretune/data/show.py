"""The first training example as text, so that everybody can see what is trained and what is not."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from .encoded import UNTRAINED, family_of
from .examples import Examples
from .padding import is_encoder_decoder

OPEN, CLOSE = "⟦", "⟧"
"""Stand around the text that has a label."""


def first_example_text(dataset: Examples, tokenizer: Any) -> str:
    """The text of the first example, its trained part between brackets.

    The official code prints ids, text, labels and label text here: the same, less readable.
    """
    input_ids = dataset.input_ids[0].tolist()
    labels = dataset.labels[0].tolist()
    if is_encoder_decoder(family_of(tokenizer)):  # the labels go on where the input ends
        input_ids, labels = input_ids + labels, [UNTRAINED] * len(input_ids) + labels
    trained = sum(label != UNTRAINED for label in labels)
    head = f"the first example: {len(input_ids)} tokens, {trained} trained, between {OPEN}{CLOSE}"
    return f"{head}\n{marked(input_ids, labels, tokenizer)}"


def marked(input_ids: list[int], labels: list[int], tokenizer: Any) -> str:
    """The text in order, what has a label between brackets: 'a b ⟦c d⟧'.

    A token that decoding hides is named where it stands, '⟦b</s>⟧'.
    A label that is not the token at its place stands before that token: Baichuan learns the end of
    an answer where the next question begins, 'a ⟦b</s>⟧<user> c'.
    """
    names = {i: token for token, i in tokenizer.get_vocab().items()}

    def text_of(ids: list[int]) -> str:
        parts: list[str] = []
        for hidden, group in groupby(ids, key=lambda token: is_hidden(token, tokenizer, names)):
            run = list(group)
            named = (names.get(token, f"<{token}>") for token in run)
            parts.append("".join(named) if hidden else tokenizer.decode(run))
        return "".join(parts)

    parts: list[str] = []
    pairs = zip(input_ids, labels, strict=True)
    for (trained, other), group in groupby(
        pairs, key=lambda pair: (pair[1] != UNTRAINED, pair[1] != pair[0])
    ):
        ids, learnt = map(list, zip(*group, strict=True))
        if trained:
            parts.append(f"{OPEN}{text_of(learnt)}{CLOSE}")
        if other:
            parts.append(text_of(ids))
    return "".join(parts).replace(CLOSE + OPEN, "")


def is_hidden(token: int, tokenizer: Any, names: dict[int, str]) -> bool:
    """Whether decoding gives nothing for a token; a lone blank is not hidden."""
    return not tokenizer.decode([token]) and names.get(token) != "▁"
