"""The first training example as the official code prints it, with its trained part marked."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from .encoded import UNTRAINED
from .examples import Examples

OPEN, CLOSE = "⟦", "⟧"
"""Stand around the tokens that have a label."""


def first_example_text(dataset: Examples, tokenizer: Any) -> str:
    """Ids, text, labels and label text of the first example, then its tokens one by one.

    The official code prints the first four lines, with its padding; -100, which it decodes to
    ``<image_-100>`` or to nothing, is left out of the label text.
    """
    example = dataset[0]
    input_ids, labels = example["input_ids"], example["labels"]
    assert isinstance(input_ids, list) and isinstance(labels, list)
    lines = {
        "input_ids": input_ids,
        "inputs": tokenizer.decode(input_ids),
        "label_ids": labels,
        "labels": tokenizer.decode([label for label in labels if label != UNTRAINED]),
        f"{OPEN}trained{CLOSE}": marked(input_ids, labels, tokenizer),
    }
    return "\n".join(f"{name} {value}" for name, value in lines.items())


def marked(input_ids: list[int], labels: list[int], tokenizer: Any) -> str:
    """The tokens in order, those with a label between brackets: 'a b ⟦c d⟧'."""
    tokens = zip(tokenizer.convert_ids_to_tokens(input_ids), input_ids, labels, strict=True)
    parts: list[str] = []
    for trained, run in groupby(tokens, key=lambda token: token[2] != UNTRAINED):
        # ChatGLM2 gives its special tokens no text; their id says which one it is.
        text = " ".join(piece or f"#{number}" for piece, number, _ in run)
        parts.append(f"{OPEN}{text}{CLOSE}" if trained else text)
    return " ".join(parts)
