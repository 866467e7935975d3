"""The two halves of a model in which an encoder reads and a decoder writes, each as the formulas of
one block take a model: with its own blocks, and its own text.

Read in models/transformer.py: a norm follows every sub-layer (three in a decoder's block), dropout
what a sub-layer puts out and the sum of embedding and position.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ...params.arch.shape import Shape
from ..formula import formula
from ..setup import Setup


@formula("bytes")
def kept_embeddings(tokens: float, hidden: int, per_element: float) -> float:
    """What is kept of the embeddings of both texts: dropout's mask, and themselves where nobody
    copies them.

    源文本与目标文本的词嵌入保留的内容：dropout 的掩码，以及没有被复制时的词嵌入本身。
    """
    return tokens * hidden * per_element


def halves(shape: Shape, setup: Setup) -> tuple[tuple[Shape, Setup], ...]:
    """Each kind of blocks with the step as it sees it, in the order in which they compute: one kind
    where a model has no encoder.
    """
    if not shape.encoder_decoder:
        return ((shape, setup),)
    source = setup.source or setup.length
    reads = replace(setup, length=source, source=0)
    writes = replace(setup, source=source, kernels=replace(setup.kernels, norms=3))
    encoder, decoder = _parts(shape)
    return (encoder, reads), (decoder, writes)


@cache
def _parts(shape: Shape) -> tuple[Shape, Shape]:
    """The model with the weights of its encoder alone, which scores no vocabulary, and with those
    of its decoder.
    """
    of_encoder, of_decoder = (
        tuple(one for one in shape.weights if one.name.startswith(name))
        for name in ("encoder.", "decoder.")
    )
    return replace(shape, weights=of_encoder, vocab=0), replace(shape, weights=of_decoder)


def embedded(shape: Shape, setup: Setup) -> float:
    """What is kept of the embeddings of both texts. A norm follows a sub-layer: the first product
    takes the embeddings themselves, which amp copies, and a frozen one does not need.
    """
    kept = setup.precision.compute if setup.full and not setup.precision.autocast else 0
    tokens = setup.tokens + setup.micro * (setup.source or setup.length)
    return kept_embeddings(tokens, shape.hidden, kept + shape.dropout)
