"""What holds for any row under protocol "default"."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretune.data.encoded import family_of
from foretune.data.rows import Row

from .conftest import data_of

FAMILIES = pytest.mark.parametrize("family", ["chatglm", "chatglm2", "chatglm3", "glm4"])
ANY = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

PLAIN = st.text("你好问题答案是的，。aB 1\n", min_size=1, max_size=25).filter(str.strip)
HISTORY = st.lists(st.tuples(PLAIN, PLAIN), max_size=5).map(tuple)
ROW = st.builds(Row, st.just(1), PLAIN, PLAIN, HISTORY)

CUES = {
    "chatglm": [4, 1327, 16],
    "chatglm2": [13, 13, 1408, 1122],
    "chatglm3": [1507],
    "glm4": [708],
}
"""What closes a prompt: a new line and 答：, or the role token."""

AFTER_ANSWER = {"chatglm": 2, "chatglm2": 1, "chatglm3": 3, "glm4": 2}
"""Trained tokens beside those of the answer: <sop> and <eop>; </s>; a new line (2) and </s>; a new
line and <|endoftext|>."""


def prompt_of(tok, row, history):
    """The whole prompt, with what stands before the answer."""
    if not hasattr(tok, "build_chat_input"):
        return tok.encode(tok.build_prompt(row.prompt, history))
    messages = [
        {"role": role, "content": text}
        for pair in history
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return tok.build_chat_input(row.prompt, messages)["input_ids"][0].tolist()


@FAMILIES
@ANY
@given(row=ROW, source=st.integers(40, 120), target=st.integers(4, 40))
def test_labels_stand_on_the_answer_and_its_end(small, family, row, source, target):
    tok = small(family)
    data = data_of(max_source_length=source, max_target_length=target, history_column="h")
    made = family_of(tok).encode_training(row, tok, data)
    assert len(made.labels) == len(made.input_ids) <= family_of(tok).constant_length(data)
    trained = [label for label in made.labels if label != -100]
    assert trained == made.input_ids[-len(trained) :]
    answer = tok.encode(row.response, add_special_tokens=False)
    assert len(trained) == len(answer) - made.cut.answer + AFTER_ANSWER[family]
    if not made.cut.answer:
        assert tok.decode(trained, skip_special_tokens=True).strip() == tok.decode(answer).strip()


@FAMILIES
@ANY
@given(row=ROW, source=st.integers(40, 120))
def test_the_prompt_is_what_chat_asks_with_as_many_rounds_as_fit(small, family, row, source):
    tok = small(family)
    data = data_of(max_source_length=source, history_column="h")
    made = family_of(tok).encode_prompt(row, tok, data)
    assert len(made.input_ids) <= source
    whole = [prompt_of(tok, row, row.history[first:]) for first in range(len(row.history) + 1)]
    fitting = [ids for ids in whole if len(ids) <= source]
    if fitting:
        assert made.input_ids == fitting[0]
        assert made.cut.prompt == len(whole[0]) - len(fitting[0])
        assert not made.cut.question
    else:
        assert len(made.input_ids) == source
        assert made.cut.prompt == len(whole[0]) - source
        assert made.cut.question


@FAMILIES
@ANY
@given(question=st.text("你好问题 \n。a", min_size=1, max_size=150).filter(str.strip))
def test_a_question_that_is_too_long_keeps_its_start_and_the_cue(small, family, question):
    tok, row = small(family), Row(1, question, "a", (("a", "b"),))
    data = data_of(max_source_length=40, history_column="h")
    made = family_of(tok).encode_prompt(row, tok, data)
    if not made.cut.question:
        return
    alone = prompt_of(tok, row, ())
    ids, cue = made.input_ids, CUES[family]
    if family == "chatglm":  # the bare question, which no cue follows
        assert ids == [*alone[:38], 1601, 1604]
    else:
        assert ids[-len(cue) :] == cue == alone[-len(cue) :]
        assert ids[: 40 - len(cue) - 2] == alone[: 40 - len(cue) - 2]


@FAMILIES
@ANY
@given(row=ROW)
def test_training_and_generation_see_the_same_prompt(small, family, row):
    tok, data = small(family), data_of(history_column="h")
    made = family_of(tok).encode_training(row, tok, data)
    prompt = family_of(tok).encode_prompt(row, tok, data)
    assert made.input_ids[: len(prompt.input_ids)] == prompt.input_ids


@FAMILIES
@ANY
@given(row=ROW)
def test_rows_that_fit_are_the_same_under_both_protocols(small, family, row):
    tok = small(family)
    made = [
        family_of(tok).encode_training(row, tok, data_of(protocol=protocol))
        for protocol in ("official", "default")
    ]
    assert made[0] == made[1] and not made[0].cut


@FAMILIES
def test_least_lengths_leave_room_for_one_token(small, family):
    tok = small(family)
    module = family_of(tok)
    row = Row(1, "你好" * 30, "你好" * 30, (("a", "b"),))
    for prefix in ("", "译："):
        least = module.least_lengths(tok, data_of(source_prefix=prefix))
        data = data_of(source_prefix=prefix, max_source_length=least[0], max_target_length=least[1])
        prompt = module.encode_prompt(row, tok, data)
        assert len(prompt.input_ids) == least[0]
        cue = CUES[family] if family != "chatglm" else []
        assert prompt.input_ids[len(prompt.input_ids) - len(cue) :] == cue
        assert any(label != -100 for label in module.encode_training(row, tok, data).labels)
