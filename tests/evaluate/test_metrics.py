"""BLEU-4 and ROUGE: the golden table, and equality with what the official programs compute."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretune.errors import UserError
from foretune.evaluate.metrics import METRICS, PROTOCOLS, longest_common_subsequence, score

# prediction, reference, ROUGE-1, ROUGE-2, ROUGE-L, BLEU-4 of characters, BLEU-4 of jieba's words;
# computed with jieba 0.42.1, rouge-chinese 1.0.3 and nltk 3.10.4.
GOLDEN = [
    (
        "这是一款简约的牛仔外套,破洞设计,将牛仔布破洞,带来一种随意与个性。",
        "简约而不简单的牛仔外套,白色的衣身十分百搭。衣身多处有做旧破洞设计,打破单调乏味。",
        (42.1053, 23.2558, 40.0, 21.3305, 14.3759),
    ),
    ("你好", "你好", (100, 0, 100, 59.4604, 35.3553)),
    ("你好！", "您好", (0, 0, 0, 22.5901, 0)),
    ("宽松的衬衫", "宽松的衬衫", (100, 100, 100, 100, 84.0896)),
    ("a b c", "甲乙丙", (0, 0, 0, 0, 0)),
    (
        "这件衬衫的款式非常的宽松",
        "这件衬衫的款式非常的宽松，利落的线条可以很好的隐藏身材上的小缺点",
        (52.1739, 46.1538, 50.0, 18.8876, 13.5335),
    ),
    ("", "你好", (0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize(("prediction", "reference", "expected"), GOLDEN)
def test_every_protocol_gives_the_golden_scores(protocol, prediction, reference, expected):
    rouge_1, rouge_2, rouge_l, of_characters, of_words = expected
    bleu = {"official": of_characters, "chatglm3": of_words / 100, "jieba-words": of_words}
    means = score([prediction], [reference], protocol=protocol).means
    assert list(means) == list(METRICS)
    wanted = {"rouge-1": rouge_1, "rouge-2": rouge_2, "rouge-l": rouge_l, "bleu-4": bleu[protocol]}
    wanted["exact_match"] = 100 if prediction == reference else 0
    assert means == pytest.approx(wanted, abs=6e-5)


def test_official_scores_are_rounded_pair_by_pair_and_then_averaged():
    predictions, references, _ = zip(*GOLDEN, strict=True)
    scores = score(predictions, references)
    assert len(scores.pairs) == len(GOLDEN) == 7
    for pair, (_, _, expected) in zip(scores.pairs, GOLDEN, strict=True):
        assert tuple(pair.values())[:4] == expected[:4]
    assert scores.means["bleu-4"] == sum(row[2][3] for row in GOLDEN) / 7


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_empty_texts_score_zero_and_are_counted(protocol):
    predictions = ["", " \n\u3000", "你好", "", "你好"]
    references = ["你好", "你好", "", "", "你好"]
    scores = score(predictions, references, protocol=protocol)
    assert scores.num_empty == 3 and scores.num_empty_references == 2
    assert all(pair == dict.fromkeys(METRICS, 0.0) for pair in scores.pairs[:4])
    assert scores.means["rouge-1"] == pytest.approx(20, abs=1e-4)


def test_an_exact_match_is_every_character_of_the_reference():
    predictions = ["三百四十二", " 三百四十二\n", "三百四十", "三百四十二。", ""]
    scores = score(predictions, ["三百四十二"] * 5)
    assert [pair["exact_match"] for pair in scores.pairs] == [100, 100, 0, 0, 0]
    assert scores.means["exact_match"] == 40


def test_only_chatglm3_strips_the_texts_first():
    texts = ["\n宽松的衬衫 "], ["宽松的衬衫"]
    assert score(*texts, protocol="chatglm3") == score(*texts[1:] * 2, protocol="chatglm3")
    assert score(*texts).means["bleu-4"] < 100


def test_blanks_between_words_are_words_to_chatglm3_alone():
    texts = ["red coat new"], ["red hat old"]
    assert score(*texts, protocol="chatglm3").means["bleu-4"] == pytest.approx(0.23643540)
    assert score(*texts, protocol="jieba-words").means["bleu-4"] == pytest.approx(22.59005)


TEXTS = st.text(
    st.sampled_from("你好衬衫的宽松ab1 。！？?….，,”’“\n\r\t\u3000\x1c\u200b\ufeff"), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_official_scores_are_those_of_the_official_program(prediction, reference):
    import jieba
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_chinese import Rouge

    ours = score([prediction], [reference]).pairs[0]
    try:
        theirs = Rouge().get_scores(
            " ".join(jieba.cut(prediction)), " ".join(jieba.cut(reference))
        )[0]
    except ValueError:
        assert not prediction.strip() or not reference.strip()
        assert set(ours.values()) == {0.0}
        return
    expected = {name: round(found["f"] * 100, 4) for name, found in theirs.items()}
    bleu = sentence_bleu(
        [list(reference)], list(prediction), smoothing_function=SmoothingFunction().method3
    )
    exact = 100.0 if prediction.strip() == reference.strip() else 0.0
    assert ours == expected | {"bleu-4": round(bleu * 100, 4), "exact_match": exact}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=3))
def test_no_text_stops_any_protocol(pairs):
    predictions, references = zip(*pairs, strict=True)
    for protocol, rules in PROTOCOLS.items():
        means = score(predictions, references, protocol=protocol).means
        assert 0 <= means["bleu-4"] <= rules.bleu_scale * (1 + 1e-9)
        assert all(0 <= means[name] <= 100 for name in METRICS[:3])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), max_size=25), st.lists(st.sampled_from("abcd"), max_size=25)
)
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, left in enumerate(first, 1):
        for j, right in enumerate(second, 1):
            longer = max(table[i - 1][j], table[i][j - 1])
            table[i][j] = table[i - 1][j - 1] + 1 if left == right else longer
    assert longest_common_subsequence(first, second) == table[-1][-1]


def test_a_very_long_answer_is_scored_in_seconds():
    text = "宽松的衬衫，" * 1500
    start = time.perf_counter()
    assert score([text], [text]).means["rouge-l"] == 100
    assert time.perf_counter() - start < 20


def test_jieba_says_nothing_when_it_starts():
    code = "from foretune.evaluate.metrics import score; score(['你好'], ['你好'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_protocol_is_refused_with_the_nearest_known_one():
    with pytest.raises(UserError, match="use chatglm3"):
        score(["你好"], ["你好"], protocol="chatglm-3")


def test_nothing_to_score_and_unequal_numbers_are_mistakes():
    with pytest.raises(ValueError, match="no predictions"):
        score([], [])
    with pytest.raises(ValueError, match="zip"):
        score(["你好"], [])
