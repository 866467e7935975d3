"""BLEU-4, ROUGE and exact matches of generated Chinese texts, counted as named programs count them.

Figures of different protocols do not compare: for the prediction 你好 and the reference 你好,
"official" gives BLEU-4 59.46 and "jieba-words" 35.36.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, Literal

from ..errors import refuse
from ..params.generate import METRICS
from ..text import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Protocol:
    """What programs differ in. ROUGE is in percent, over the words that jieba finds, in all."""

    bleu_of: Literal["characters", "words", "words without blanks"]
    bleu_scale: int = 100
    strip: bool = False
    rouge_digits: int | None = None
    bleu_digits: int | None = None
    mean_digits: int | None = None


PROTOCOLS = {
    # ChatGLM-6B and ChatGLM2-6B, ptuning/main.py; LLaMA-Factory computes the same.
    "official": _Protocol(bleu_of="characters", rouge_digits=4, bleu_digits=4),
    # ChatGLM3-6B, finetune_demo/finetune_hf.py: BLEU between 0 and 1.
    "chatglm3": _Protocol(bleu_of="words", bleu_scale=1, strip=True, rouge_digits=4),
    # In the manner of ms-swift, whose rouge-l is of another package and not reproduced here.
    "jieba-words": _Protocol(bleu_of="words without blanks", mean_digits=6),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of every pair, in order, and what they come to.

    A pair of which one side is empty, or only blanks, scores 0 and stays in the means: the official
    programs stop at it, ms-swift leaves it out.
    """

    pairs: tuple[dict[str, float], ...]
    means: dict[str, float]
    num_empty: int
    """How many predictions are empty."""
    num_empty_references: int


def score(
    predictions: Sequence[str], references: Sequence[str], *, protocol: str = "official"
) -> Scores:
    """Scores each prediction against the reference at the same place, by a name of PROTOCOLS.

    All of METRICS are in percent but BLEU-4 of "chatglm3", which lies between 0 and 1. An exact
    match is the reference itself, blanks around both left out; no program counts it, and it is the
    same under every protocol. Raises UserError for an unknown protocol, ValueError if there is no
    pair or the lengths differ.
    """
    if protocol not in PROTOCOLS:
        like = nearest(protocol, PROTOCOLS)
        raise refuse(
            what=f"unknown protocol {protocol!r} for BLEU and ROUGE",
            where="generate.metrics",
            why=f"known are {', '.join(PROTOCOLS)}",
            fix=f"use {like or 'official'}",
        )
    if not predictions:
        raise ValueError("no predictions to score")
    rules = PROTOCOLS[protocol]
    pairs = tuple(
        _score_pair(prediction, reference, rules)
        for prediction, reference in zip(predictions, references, strict=True)
    )
    means = {name: fmean(pair[name] for pair in pairs) for name in METRICS}
    if rules.mean_digits is not None:
        means = {name: round(mean, rules.mean_digits) for name, mean in means.items()}
    return Scores(
        pairs=pairs,
        means=means,
        num_empty=sum(not text.strip() for text in predictions),
        num_empty_references=sum(not text.strip() for text in references),
    )


def _score_pair(prediction: str, reference: str, rules: _Protocol) -> dict[str, float]:
    if not prediction.strip() or not reference.strip():
        return dict.fromkeys(METRICS, 0.0)
    if rules.strip:
        prediction, reference = prediction.strip(), reference.strip()
    exact = 100.0 * (prediction.strip() == reference.strip())
    words, wanted = _words(prediction), _words(reference)
    rouge = {name: _rounded(f * 100, rules.rouge_digits) for name, f in _rouge(words, wanted)}
    if rules.bleu_of == "characters":
        words, wanted = list(prediction), list(reference)
    elif rules.bleu_of == "words without blanks":
        words, wanted = ([w for w in found if w.strip()] for found in (words, wanted))
    bleu = _bleu(words, wanted) * rules.bleu_scale
    return rouge | {"bleu-4": _rounded(bleu, rules.bleu_digits), "exact_match": exact}


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else round(value, digits)


@cache
def _jieba() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own age: pkg_resources, invalid escapes
        import jieba
    jieba.setLogLevel(logging.INFO)  # it reports at start-up where its dictionary is cached
    return jieba


@cache
def _rouge_chinese() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rouge_chinese import Rouge
    return Rouge(metrics=["rouge-1", "rouge-2"])


def _words(text: str) -> list[str]:
    return list(_jieba().cut(text))


def _bleu(words: list[str], wanted: list[str]) -> float:
    """Sentence BLEU-4 with NIST's geometric smoothing."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method3
    bleu: Any = sentence_bleu([wanted], words, smoothing_function=smooth)
    return float(bleu)


def _rouge(words: list[str], wanted: list[str]) -> list[tuple[str, float]]:
    """F of ROUGE-1 and -2 (over sets of n-grams) and of ROUGE-L, as rouge_chinese computes them."""
    rouge = _rouge_chinese()
    hypothesis, reference = " ".join(words), " ".join(wanted)
    found = [(name, s["f"]) for name, s in rouge.get_scores(hypothesis, reference)[0].items()]
    # For ROUGE-L it fills a table of all pairs of words: 13 s and a gigabyte for 2,500 of each.
    ours, theirs = (
        [
            word
            for sentence in rouge.cut_sent(text)
            if sentence
            for word in " ".join(sentence.split()).split(" ")
        ]
        for text in (hypothesis, reference)
    )
    common = longest_common_subsequence(ours, theirs)
    precision, recall = common / len(ours), common / len(theirs)
    f_measure = 2 * ((precision * recall) / (precision + recall + 1e-8))
    return [*found, ("rouge-l", f_measure)]


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Its length, a row of the table at a time in the bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    all_bits = (1 << len(first)) - 1
    row = all_bits
    for word in second:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & all_bits
    return len(first) - row.bit_count()
