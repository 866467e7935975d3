"""The first training example as text, so that everybody can see what is trained and what is not."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from .encoded import UNTRAINED
from .examples import Examples

OPEN, CLOSE = "⟦", "⟧"
"""Stand around the text that has a label."""


def first_example_text(dataset: Examples, tokenizer: Any) -> str:
    """The text of the first example, its trained part between brackets.

    The official code prints ids, text, labels and label text here: the same, less readable.
    """
    input_ids = dataset.input_ids[0].tolist()
    labels = dataset.labels[0].tolist()
    trained = sum(label != UNTRAINED for label in labels)
    head = f"the first example: {len(input_ids)} tokens, {trained} trained, between {OPEN}{CLOSE}"
    return f"{head}\n{marked(input_ids, labels, tokenizer)}"


def marked(input_ids: list[int], labels: list[int], tokenizer: Any) -> str:
    """The text in order, what has a label between brackets: 'a b ⟦c d⟧'."""
    parts: list[str] = []
    pairs = zip(input_ids, labels, strict=True)
    for trained, group in groupby(pairs, key=lambda pair: pair[1] != UNTRAINED):
        ids = [token for token, _ in group]
        # ChatGLM2 gives its special tokens no text; their id says which one it is.
        ends = "".join(f"<{token}>" for token in ids if not tokenizer.decode([token]))
        text = tokenizer.decode(ids) + (ends if trained else "")
        parts.append(f"{OPEN}{text}{CLOSE}" if trained else text)
    return "".join(parts)
