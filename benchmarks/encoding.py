"""Encoding rate of a tokenizer against SentencePiece itself: ``python benchmarks/encoding.py``.

Each line is one kind of text. ``raw`` is the time of SentencePiece from text to ids, per character;
the other columns are ratios to it, measured in the same run (best of 15, in turns):

encode  ``tokenizer.encode(text)`` text by text
plain   the same with ``split_special_tokens=True``, as training rows are encoded
call    ``tokenizer(text)`` text by text
batch   ``tokenizer(texts)``
tokens  ``convert_tokens_to_ids(tokenize(text))``, the way transformers goes with a tokenizer in
        Python; for comparison

What ``call`` and ``batch`` add is transformers' own work per text (20 to 40 microseconds here), so
short texts show it most. Give model folders, and a file with one text per line, to measure those:
here full vocabularies and rows of AdvertiseGen (111 characters each), alone and 20 of them joined,
with transformers 5.23.0 on one thread of a 2-core machine.

                     texts  raw us/char  encode    call   batch  tokens
    chatglm-6b         800        0.124    1.32    3.52    2.57    4.10
    chatglm-6b          40        0.091    1.11    1.34    1.24    4.79
    chatglm2-6b        800        0.143    1.08    3.06    2.30    3.93
    chatglm2-6b         40        0.120    0.99    1.31    1.20    4.17
    chatglm3-6b        800        0.143    1.11    3.07    2.29    3.83
    chatglm3-6b         40        0.123    0.97    1.33    1.20    4.12

The second table is of tokenizers with a chat template: the time of ``apply_chat_template`` for a
whole conversation, and as ratios to it the time in which a row becomes ids and labels, where the
last answer is trained and where every one is. Here with the tests' small vocabularies:

                     rounds  raw us/row   last  every
    chatml                1         154   1.37   1.33
    chatml                4         429   1.27   1.84
    marked                1         170   1.31   1.31
    marked                4         474   1.29   1.30
    llama3                1         158   1.35   1.32
    llama3                4         457   1.26   1.84
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foretune.data import chat_template
from foretune.data.rows import Row
from foretune.params.data import Data
from foretune.tokenizers import ChatGLMTokenizer, load_tokenizer

REPEATS = 15
WAYS = ("encode", "plain", "call", "batch", "tokens")
FIXTURES = Path(__file__).parents[1] / "tests" / "golden" / "tokenizers"
TEXT = (
    "简约而不简单的牛仔外套，白色的衣身十分百搭。The quick brown fox jumps over 13 lazy dogs;\n"
    "ChatGLM-6B 是一个开源的、支持中英双语的对话语言模型，基于 General Language Model 架构。"
)


def seconds(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The best time of each, taken in turns so that a busy moment meets all alike."""
    best = dict.fromkeys(runs, float("inf"))
    for repeat in range(REPEATS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:  # the first warms up
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def measure(tokenizer: Any, texts: list[str]) -> dict[str, float]:
    """Seconds of each way from the texts to ids."""
    raw = tokenizer.vocabulary.encode_as_ids
    return seconds(
        {
            "raw": lambda: [raw(text) for text in texts],
            "encode": lambda: [tokenizer.encode(text) for text in texts],
            "plain": lambda: [tokenizer.encode(text, split_special_tokens=True) for text in texts],
            "call": lambda: [tokenizer(text) for text in texts],
            "batch": lambda: tokenizer(texts),
            "tokens": lambda: [
                tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in texts
            ],
        }
    )


def fixtures() -> dict[str, Any]:
    """The tokenizers of the tests, which have small vocabularies."""
    old, new = str(FIXTURES / "chatglm1/ice_text.model"), str(FIXTURES / "chatglm2/tokenizer.model")
    return {
        "chatglm": ChatGLMTokenizer(old, num_image_tokens=0),
        "chatglm2": ChatGLMTokenizer(new, family="chatglm2"),
        "chatglm3": ChatGLMTokenizer(new, family="chatglm3"),
    }


def measure_rows(tokenizer: Any, rounds: int) -> dict[str, float]:
    """Seconds from a conversation of so many rounds to ids, and from its row to ids and labels."""
    question, answer = TEXT.splitlines()
    row = Row(1, question, answer, ((question, answer),) * (rounds - 1))
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    limits = {"max_source_length": 10**6, "max_target_length": 10**6}
    last, every = (Data(**limits, trained_answers=which) for which in ("last", "every"))
    return seconds(
        {
            "raw": lambda: [tokenizer.apply_chat_template(said * rounds) for _ in range(50)],
            "last": lambda: [
                chat_template.encode_training(row, tokenizer, last) for _ in range(50)
            ],
            "every": lambda: [
                chat_template.encode_training(row, tokenizer, every) for _ in range(50)
            ],
        }
    )


def templated() -> dict[str, Any]:
    """The tokenizers of the tests that have a chat template."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from other_models import tokenizer_of

    return {kind: tokenizer_of(kind) for kind in ("chatml", "marked", "llama3")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--texts", type=Path, help="a file with one text per line")
    args = parser.parse_args()
    lines = args.texts.read_text("utf-8").splitlines() if args.texts else [TEXT] * 400
    joined = ["\n".join(lines[i : i + 20]) for i in range(0, len(lines), 20)]
    given = {folder.name: load_tokenizer(folder) for folder in args.folders}
    plain = {name: found for name, found in given.items() if not found.chat_template}
    tokenizers = plain if given else fixtures()
    print(f"{'':16}{'texts':>6}{'raw us/char':>13}", *(f"{way:>7}" for way in WAYS))
    for name, tokenizer in tokenizers.items():
        for texts in (lines, joined):
            best = measure(tokenizer, texts)
            ratios = "".join(f"{best[way] / best['raw']:8.2f}" for way in WAYS)
            per_character = best["raw"] / sum(map(len, texts)) * 1e6
            print(f"{name:16}{len(texts):6}{per_character:13.3f}{ratios}")
    print(f"{'':16}{'rounds':>7}{'raw us/row':>12}{'last':>7}{'every':>7}")
    chatting = {name: found for name, found in given.items() if found.chat_template}
    for name, tokenizer in (chatting if given else templated()).items():
        for rounds in (1, 4):
            best = measure_rows(tokenizer, rounds)
            ratios = "".join(f"{best[way] / best['raw']:7.2f}" for way in ("last", "every"))
            print(f"{name:16}{rounds:7}{best['raw'] / 50 * 1e6:12.0f}{ratios}")


if __name__ == "__main__":
    main()
