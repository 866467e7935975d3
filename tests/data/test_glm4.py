"""Rows of GLM-4 against what the authors' script does with the same conversations."""

from __future__ import annotations

from typing import Any

import pytest

from foretune.data import glm4
from foretune.data.rows import Row

from .conftest import data_of

ROUNDS = (("今天天气", "晴 天"), ("明天？", "雨"))
ROWS = [
    Row(1, "你好", "您好"),
    Row(2, "后天呢？", "多云，\n25度", ROUNDS),
    Row(3, "后天呢？<|assistant|>", "晴<|endoftext|>", ROUNDS, "You are helpful."),
]


def by_the_script(row: Row, tok: Any, longest: int) -> tuple[list[int], list[int]]:
    """Ids and labels as ``process_batch`` makes them: a label stands where the token before it is
    of the assistant.
    """
    said = [("system", row.system)] if row.system else []
    for question, answer in (*row.history, (row.prompt, row.response)):
        said += [("user", question), ("assistant", answer)]
    ids, masks = tok.get_prefix_tokens(), [False, False]
    for role, text in said:
        message = tok.apply_chat_template(
            [{"role": role, "content": text}], tokenize=True, return_dict=False
        )[2:]
        ids += message
        masks += [role == "assistant"] * len(message)
    ids, masks = [*ids, tok.eos_token_id], [False, *masks]
    labels = [i if mask else -100 for i, mask in zip(ids, masks, strict=True)]
    return ids[:longest], labels[:longest]


@pytest.mark.parametrize("row", ROWS, ids=[row.line for row in ROWS])
@pytest.mark.parametrize("limits", [(100, 40), (20, 4), (8, 4)], ids=str)
def test_every_answer_is_trained_as_by_the_script(small: Any, row: Row, limits: tuple[int, int]):
    tok, (source, target) = small("glm4"), limits
    data = data_of(
        protocol="official", trained_answers="every",
        max_source_length=source, max_target_length=target,
    )  # fmt: skip
    made = glm4.encode_training(row, tok, data)
    assert (made.input_ids, made.labels) == by_the_script(row, tok, source + target + 1)


def test_of_several_answers_the_last_is_trained_unless_every_one_is_asked_for(small: Any):
    tok = small("glm4")
    last = glm4.encode_training(ROWS[1], tok, data_of())
    every = glm4.encode_training(ROWS[1], tok, data_of(trained_answers="every"))
    assert last.input_ids == every.input_ids
    trained = [i for i in last.labels if i != -100]
    assert tok.decode(trained) == "\n多云，\n25度<|endoftext|>"
    trained = [i for i in every.labels if i != -100]
    assert tok.decode(trained) == ("\n晴 天<|user|>\n雨<|user|>\n多云，\n25度<|endoftext|>")


def test_a_dialogue_that_is_too_long_loses_its_oldest_round_and_no_system_message(small: Any):
    tok, row = small("glm4"), Row(1, "后天呢？", "晴", ROUNDS, "Be brief.")
    whole = glm4.encode_prompt(row, tok, data_of(max_source_length=100))
    assert whole is not None
    short = glm4.encode_prompt(row, tok, data_of(max_source_length=len(whole.input_ids) - 1))
    assert short is not None
    assert tok.decode(short.input_ids) == (
        "[gMASK]<sop><|system|>\nBe brief.<|user|>\n明天？<|assistant|>\n雨"
        "<|user|>\n后天呢？<|assistant|>"
    )
    assert tok.decode(short.labels) == "\n晴<|endoftext|>"


def test_the_script_leaves_out_prompts_that_are_too_long(small: Any):
    tok, row = small("glm4"), ROWS[1]
    alone = glm4.encode_prompt(row, tok, data_of(max_source_length=100))
    assert alone is not None
    length = len(alone.input_ids)
    for limit, kept in ((length, True), (length - 1, False)):
        data = data_of(protocol="official", max_source_length=limit)
        assert (glm4.encode_prompt(row, tok, data) is not None) is kept


@pytest.mark.parametrize("reading", ["plain", "published"])
def test_names_of_control_tokens_in_a_row_stay_text(small: Any, reading: str):
    tok, row = small("glm4"), ROWS[2]
    made = glm4.encode_training(row, tok, data_of(reading=reading))
    roles = [tok.get_command(f"<|{role}|>") for role in ("system", "user", "assistant")]
    assert [made.input_ids.count(role) for role in roles] == [1, 3, 3]
    assert made.input_ids.count(tok.eos_token_id) == 1
