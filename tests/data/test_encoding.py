"""Ids and labels worked out by hand, from what the official code does, with small vocabularies."""

from __future__ import annotations

import pytest

from foretune.data import chatglm, chatglm2, chatglm3
from foretune.data.encoded import Cut, family_of
from foretune.data.rows import Row
from foretune.errors import UserError

from .conftest import data_of

N = -100
PROTOCOLS = pytest.mark.parametrize("protocol", ["official", "default"])
WEATHER = (("今天天气", "晴 天，25℃"),)
TOMORROW = "那明天呢？"

# ChatGLM-6B: 你好 is 5 319, a is 92, [gMASK] 1601, <sop> 1604, <eop> 1605, pad 3
G, S, E = 1601, 1604, 1605
# fmt: off
ROUND_0 = [18, 179, 1257, 5, 33, 119, 4, 262, 16, 1916, 1875, 1826, 1302, 1302, 601, 4, 1327, 16]
ANSWER_0 = [1918, 1841, 1868, 5, 1302, 6, 19, 54, 1882, 1864, 106, 4]
ROUND_1 = [86, 179, 1257, 5, 38, 119, 4, 262, 16, 1921, 1818, 1851, 526, 1302, 1917, 1833, 1850,
           1303, 4, 1327, 16]

# ChatGLM2-6B and ChatGLM3-6B: a is 304, [gMASK] 1501, sop 1503, </s> 2, pad 0
HELLO_2 = [1501, 1503, 285, 1151, 1044, 381, 1056, 1041, 1068, 1085, 13, 13, 1172, 1122, 712, 13,
           13, 1408, 1122]
DIALOGUE_2 = [1501, 1503, 285, 1151, 1044, 381, 1056, 1041, 1068, 1085, 13, 13, 1172, 1122, 231,
              190, 141, 232, 167, 172, 232, 167, 172, 1380, 13, 13, 1408, 1122, 233, 156, 183, 1041,
              232, 167, 172, 1074, 1063, 1091, 229, 135, 134, 13, 13, 1084, 1151, 1044, 381, 1056,
              1041, 1063, 1085, 13, 13, 1172, 1122, 236, 133, 166, 1336, 232, 167, 172, 232, 148,
              165, 242, 191, 162, 13, 13, 1408, 1122]
HELLO_3 = [1501, 1503, 1506, 1041, 13, 1041, 712, 1507]
DIALOGUE_3 = [1501, 1503, 1506, 1041, 13, 1041, 231, 190, 141, 232, 167, 172, 232, 167, 172, 1380,
              1507, 1041, 13, 1041, 233, 156, 183, 1041, 232, 167, 172, 1074, 1063, 1091, 229, 135,
              134, 1506, 1041, 13, 1041, 236, 133, 166, 1336, 232, 167, 172, 232, 148, 165, 242,
              191, 162, 1507]
# fmt: on


# ChatGLM-6B


@PROTOCOLS
def test_chatglm_trains_on_sop_the_answer_and_eop(small, protocol):
    made = chatglm.encode_training(
        Row(1, "你好", "a"), small("chatglm"), data_of(protocol=protocol)
    )
    assert made.input_ids == [5, 319, G, S, 92, E]
    assert made.labels == [N, N, N, S, 92, E]
    assert not made.cut


@PROTOCOLS
def test_chatglm_numbers_rounds_from_zero(small, protocol):
    data = data_of(protocol=protocol, history_column="history")
    row = Row(1, TOMORROW, "a", WEATHER)
    made = chatglm.encode_training(row, small("chatglm"), data)
    assert made.input_ids == [*ROUND_0, *ANSWER_0, *ROUND_1, G, S, 92, E]
    prompt = chatglm.encode_prompt(row, small("chatglm"), data)
    assert prompt.input_ids == [*ROUND_0, *ANSWER_0, *ROUND_1, G, S]
    assert prompt.labels == [92, G, S]


def test_chatglm_official_training_numbers_even_a_dialogue_without_rounds(small):
    row, data = Row(1, WEATHER[0][0], "a"), data_of(protocol="official", history_column="history")
    made = chatglm.encode_training(row, small("chatglm"), data)
    assert made.input_ids == [*ROUND_0, G, S, 92, E]
    bare = small("chatglm").encode(row.prompt)
    assert chatglm.encode_prompt(row, small("chatglm"), data).input_ids == bare
    mended = chatglm.encode_training(row, small("chatglm"), data_of(history_column="history"))
    assert mended.input_ids == [*bare, 92, E]


@PROTOCOLS
def test_chatglm_counts_gmask_in_the_source_and_sop_and_eop_in_the_target(small, protocol):
    tok, row = small("chatglm"), Row(1, "你好", "a你好")  # a你好 is 92 319
    fits = data_of(protocol=protocol, max_source_length=3, max_target_length=4)
    assert not chatglm.encode_training(row, tok, fits).cut
    over = data_of(protocol=protocol, max_source_length=3, max_target_length=3)
    made = chatglm.encode_training(row, tok, over)
    assert made.input_ids == [5, 319, G, S, 92, E]
    assert made.labels == [N, N, N, S, 92, E]
    assert made.cut == Cut(answer=1)
    prompt = chatglm.encode_prompt(row, tok, over)
    assert prompt.input_ids == [5, G, S]
    assert prompt.labels == [92, G, S]
    assert prompt.cut == Cut(prompt=1, answer=1, question=True)


def test_chatglm_official_cut_loses_the_newest_question(small):
    whole = [*ROUND_0, *ANSWER_0, *ROUND_1]
    row = Row(1, TOMORROW, "a", WEATHER)
    for room, question in ((len(whole) - 3, False), (len(whole) - 4, True), (10, True)):
        data = data_of(protocol="official", history_column="history", max_source_length=room + 1)
        made = chatglm.encode_training(row, small("chatglm"), data)
        assert made.input_ids == [*whole[:room], G, S, 92, E]
        assert made.cut == Cut(prompt=len(whole) - room, question=question)


def test_chatglm_default_cut_drops_the_oldest_round_and_keeps_the_question(small):
    whole = [*ROUND_0, *ANSWER_0, *ROUND_1]
    row = Row(1, TOMORROW, "a", (*WEATHER, *WEATHER))
    data = data_of(history_column="history", max_source_length=len(whole) + 1)
    made = chatglm.encode_training(row, small("chatglm"), data)
    assert made.input_ids == [*whole, G, S, 92, E]
    assert made.cut.prompt > 0 and not made.cut.question
    shorter = data_of(history_column="history", max_source_length=len(whole))
    bare = small("chatglm").encode(TOMORROW)
    assert chatglm.encode_training(row, small("chatglm"), shorter).input_ids == [*bare, 92, E]


def test_a_pad_written_in_an_answer_keeps_its_label_by_default(small):
    row = Row(1, "你好", "a<pad>你好")
    official = chatglm.encode_training(row, small("chatglm"), data_of(protocol="official"))
    default = chatglm.encode_training(row, small("chatglm"), data_of(reading="published"))
    assert official.input_ids == default.input_ids
    assert 3 in official.input_ids
    where = official.input_ids.index(3)
    assert (official.labels[where], default.labels[where]) == (N, 3)
    kept = data_of(protocol="official", ignore_pad_in_loss=False)
    assert chatglm.encode_training(row, small("chatglm"), kept).labels == default.labels


@PROTOCOLS
def test_labels_start_at_a_sop_that_stands_in_the_prompt_as_published(small, protocol):
    data, row = data_of(protocol=protocol, reading="published"), Row(1, "a<sop>a", "a")
    made = chatglm.encode_training(row, small("chatglm"), data)
    assert made.labels == [N, S, 92, G, S, 92, E]


# What users write


NAMING = "</s><pad>[MASK]<sop>a<n><eop><|user|>"
"""A text of control tokens' names."""


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "chatglm3"])
def test_control_tokens_that_a_row_names_stay_letters_unless_read_as_published(small, family):
    tok, module = small(family), family_of(small(family))
    row = Row(1, NAMING, NAMING, ((NAMING, NAMING),), NAMING)
    quiet = Row(1, "a", "a", (("a", "a"),), "a")
    controls = {i for i in tok.all_special_ids if i} | {13, *range(1500, 1510)}
    for protocol, reading, plain in (
        ("default", None, True),
        ("official", "plain", True),
        ("official", None, False),
        ("default", "published", False),
    ):
        data = data_of(protocol=protocol, reading=reading, history_column="h")
        for encode in (module.encode_training, module.encode_prompt):
            made, other = encode(row, tok, data), encode(quiet, tok, data)
            for ids, of in ((made.input_ids, other.input_ids), (made.labels, other.labels)):
                found = [i for i in ids if i in controls]
                expected = [i for i in of if i in controls]
                as_text = plain or family != "chatglm"  # only it reads names out of a text
                assert (found == expected) == as_text, (protocol, reading)
        assert NAMING in tok.decode(module.encode_training(row, tok, data).input_ids) or not plain


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
def test_every_answer_is_refused_where_no_end_follows_the_earlier_ones(small, family):
    for data in (data_of(trained_answers="every"), data_of(messages_column="m")):
        with pytest.raises(UserError) as error:
            family_of(small(family)).least_lengths(small(family), data)
        (problem,) = error.value.problems
        assert "'every'" in problem.what and "'last'" in problem.fix
    last = data_of(messages_column="m", trained_answers="last")
    assert family_of(small(family)).least_lengths(small(family), last)


def test_a_system_message_opens_the_prompt_and_stays_when_rounds_go(small):
    for family, between in (("chatglm", "\n"), ("chatglm2", "\n\n")):
        tok, module = small(family), family_of(small(family))
        row = Row(1, TOMORROW, "a", WEATHER * 3, "你好")
        data = data_of(source_prefix="答：")
        whole = module.encode_prompt(row, tok, data)
        prompt = tok.build_prompt(TOMORROW, list(WEATHER * 3))
        assert whole.input_ids == tok.encode(f"答：你好{between}{prompt}")
        short = data_of(source_prefix="答：", max_source_length=len(whole.input_ids) - 1)
        made = module.encode_prompt(row, tok, short)
        prompt = tok.build_prompt(TOMORROW, list(WEATHER * 2))
        assert made.input_ids == tok.encode(f"答：你好{between}{prompt}")
        assert made.cut and not made.cut.question


# ChatGLM2-6B


@PROTOCOLS
def test_chatglm2_trains_on_the_answer_and_eos(small, protocol):
    row, data = Row(1, "你好", "a"), data_of(protocol=protocol)
    made = chatglm2.encode_training(row, small("chatglm2"), data)
    assert made.input_ids == [*HELLO_2, 304, 2]
    assert made.labels == [N] * len(HELLO_2) + [304, 2]
    prompt = chatglm2.encode_prompt(row, small("chatglm2"), data)
    assert (prompt.input_ids, prompt.labels) == (HELLO_2, [1501, 1503, 304])


@PROTOCOLS
def test_chatglm2_numbers_rounds_from_one(small, protocol):
    row = Row(1, TOMORROW, "a", WEATHER)
    made = chatglm2.encode_training(row, small("chatglm2"), data_of(protocol=protocol))
    assert made.input_ids == [*DIALOGUE_2, 304, 2]


@PROTOCOLS
def test_chatglm2_counts_both_marks_in_the_source_and_no_eos_in_the_target(small, protocol):
    tok, row = small("chatglm2"), Row(1, "你好", "aa")
    a, b = tok.encode("aa", add_special_tokens=False)
    fits = data_of(protocol=protocol, max_source_length=len(HELLO_2), max_target_length=2)
    made = chatglm2.encode_training(row, tok, fits)
    assert not made.cut and made.input_ids == [*HELLO_2, a, b, 2]
    over = data_of(protocol=protocol, max_source_length=len(HELLO_2), max_target_length=1)
    made = chatglm2.encode_training(row, tok, over)
    assert made.cut == Cut(answer=1) and made.input_ids == [*HELLO_2, a, 2]
    reference = chatglm2.encode_prompt(row, tok, data_of(max_eval_target_length=3))
    assert reference.labels == [1501, 1503, a] and reference.cut == Cut(answer=1)


def test_chatglm2_official_cut_loses_the_cue_and_default_keeps_it(small):
    tok, row = small("chatglm2"), Row(1, "你好你好", "a")
    whole = tok.encode(tok.build_prompt(row.prompt))
    assert len(whole) == len(HELLO_2) + 1
    data = {"max_source_length": len(HELLO_2)}
    official = chatglm2.encode_training(row, tok, data_of(protocol="official", **data))
    assert official.input_ids == [*whole[:-1], 304, 2]
    assert official.cut == Cut(prompt=1, question=False)  # only the colon is lost
    default = chatglm2.encode_training(row, tok, data_of(**data))
    assert default.input_ids == [*whole[:-5], *whole[-4:], 304, 2]
    assert default.cut == Cut(prompt=1, question=True)


def test_chatglm2_default_cut_drops_the_oldest_round_and_keeps_the_question(small):
    row = Row(1, TOMORROW, "a", (*WEATHER, *WEATHER))
    data = data_of(max_source_length=len(DIALOGUE_2))
    made = chatglm2.encode_training(row, small("chatglm2"), data)
    assert made.input_ids == [*DIALOGUE_2, 304, 2]
    assert made.cut.prompt > 0 and not made.cut.question
    assert chatglm2.encode_prompt(row, small("chatglm2"), data).input_ids == DIALOGUE_2


def test_the_official_chatglm2_prompt_is_trained_to_be_padding_where_pads_are_not_ignored(small):
    row = Row(1, "你好", "a")
    for protocol, label in (("official", 0), ("default", N)):
        data = data_of(protocol=protocol, ignore_pad_in_loss=False)
        made = chatglm2.encode_training(row, small("chatglm2"), data)
        assert made.labels == [label] * len(HELLO_2) + [304, 2]


# ChatGLM3-6B


@PROTOCOLS
def test_chatglm3_trains_on_what_follows_the_role_token(small, protocol):
    row, data = Row(1, "你好", "a"), data_of(protocol=protocol)
    made = chatglm3.encode_training(row, small("chatglm3"), data)
    assert made.input_ids == [*HELLO_3, 1041, 13, 304, 2]
    assert made.labels == [N] * len(HELLO_3) + [1041, 13, 304, 2]
    prompt = chatglm3.encode_prompt(row, small("chatglm3"), data)
    assert prompt is not None
    assert (prompt.input_ids, prompt.labels) == (HELLO_3, [1041, 13, 304, 2])


@PROTOCOLS
def test_chatglm3_history_is_context_without_a_label(small, protocol):
    row = Row(1, TOMORROW, "a", WEATHER)
    made = chatglm3.encode_training(row, small("chatglm3"), data_of(protocol=protocol))
    assert made.input_ids == [*DIALOGUE_3, 1041, 13, 304, 2]
    assert made.labels == [N] * len(DIALOGUE_3) + [1041, 13, 304, 2]


def as_finetune_hf(row, tok, limit):
    """A second reading of ``process_batch`` of finetune_hf.py: the mask is shifted by one."""
    ids, mask = [tok.get_command("[gMASK]"), tok.get_command("sop")], [False, False]
    turns = [("system", row.system)] if row.system else []
    for question, answer in (*row.history, (row.prompt, row.response)):
        turns += [("user", question), ("assistant", answer)]
    for role, content in turns:
        message = tok.build_single_message(role, "", content)
        ids, mask = ids + message, mask + [role == "assistant"] * len(message)
    ids, mask = [*ids, tok.eos_token_id], [False, *mask]
    labels = [i if trained else N for i, trained in zip(ids, mask, strict=True)]
    return ids[:limit], labels[:limit]


@PROTOCOLS
def test_chatglm3_trains_every_answer_and_the_role_token_after_it_when_asked(small, protocol):
    tok, row = small("chatglm3"), Row(1, TOMORROW, "a", WEATHER * 2, "你好")
    data = data_of(protocol=protocol, messages_column="m", max_source_length=200)
    made = chatglm3.encode_training(row, tok, data)
    assert (made.input_ids, made.labels) == as_finetune_hf(row, tok, 1000)
    assert made.labels.count(tok.get_command("<|user|>")) == 2
    assert tok.get_command("<|assistant|>") not in made.labels
    last = data_of(protocol=protocol, messages_column="m", trained_answers="last")
    made = chatglm3.encode_training(row, tok, last)
    assert [i for i in made.labels if i != N] == [1041, 13, 304, 2]


def test_chatglm3_every_answer_is_cut_where_the_official_code_cuts(small):
    tok, row = small("chatglm3"), Row(1, TOMORROW, "a", WEATHER * 2, "你好")
    whole = len(as_finetune_hf(row, tok, 1000)[0])
    for limit in range(8, whole + 1):
        data = data_of(
            protocol="official",
            trained_answers="every",
            max_source_length=limit - 4,
            max_target_length=3,
        )
        made = chatglm3.encode_training(row, tok, data)
        assert (made.input_ids, made.labels) == as_finetune_hf(row, tok, limit)
    assert whole > 80


def test_chatglm3_keeps_the_system_message_and_the_labels_of_the_rounds_that_fit(small):
    tok = small("chatglm3")
    row = Row(1, TOMORROW, "a", WEATHER * 3, "你好")
    fewer = Row(1, TOMORROW, "a", WEATHER * 2, "你好")
    ids, labels = as_finetune_hf(fewer, tok, 1000)
    data = data_of(trained_answers="every", max_source_length=len(ids) - 4, max_target_length=3)
    made = chatglm3.encode_training(row, tok, data)
    assert (made.input_ids, made.labels) == (ids, labels)
    assert made.cut.prompt and not made.cut.question
    alone, prompt = Row(1, "你好" * 200, "a", (), "你好"), [1501, 1503, 1505]
    made = chatglm3.encode_prompt(alone, tok, data)
    assert made is not None and made.cut.question
    assert made.input_ids[:3] == prompt and made.input_ids[-1] == 1507


def test_chatglm3_official_cut_takes_the_answer_first_and_may_leave_nothing_to_train(small):
    tok, row = small("chatglm3"), Row(1, "你好", "a")
    limits = {"protocol": "official", "max_target_length": 4}
    made = chatglm3.encode_training(row, tok, data_of(max_source_length=7, **limits))
    assert made.input_ids == [*HELLO_3, 1041, 13, 304, 2] and not made.cut
    made = chatglm3.encode_training(row, tok, data_of(max_source_length=6, **limits))
    assert made.input_ids == [*HELLO_3, 1041, 13, 304] and made.cut == Cut(answer=1)
    made = chatglm3.encode_training(row, tok, data_of(max_source_length=2, **limits))
    assert made.input_ids == HELLO_3[:7] and set(made.labels) == {N}
    assert made.cut == Cut(prompt=1, answer=4)  # only <|assistant|> is lost of the prompt
    made = chatglm3.encode_training(row, tok, data_of(max_source_length=1, **limits))
    assert made.cut == Cut(prompt=2, answer=4, question=True)


def test_chatglm3_default_cut_drops_the_oldest_round_and_keeps_the_answer(small):
    tok, row = small("chatglm3"), Row(1, TOMORROW, "a", (*WEATHER, *WEATHER))
    data = data_of(max_source_length=len(DIALOGUE_3), max_target_length=4)
    made = chatglm3.encode_training(row, tok, data)
    assert made.input_ids == [*DIALOGUE_3, 1041, 13, 304, 2]
    assert made.cut.prompt > 0 and not made.cut.question and not made.cut.answer
    data = data_of(max_source_length=len(HELLO_3) - 1, max_target_length=3)
    made = chatglm3.encode_training(Row(1, "你好a", "a"), tok, data)
    assert made.input_ids[-5:] == [1507, 1041, 13, 304, 2]


def test_the_official_chatglm3_script_leaves_out_prompts_that_are_too_long(small):
    tok, row = small("chatglm3"), Row(1, "你好", "a")
    fits = data_of(protocol="official", max_source_length=len(HELLO_3))
    over = data_of(protocol="official", max_source_length=len(HELLO_3) - 1)
    assert chatglm3.encode_prompt(row, tok, fits) is not None
    assert chatglm3.encode_prompt(row, tok, over) is None
    kept = chatglm3.encode_prompt(row, tok, data_of(max_source_length=len(HELLO_3) - 1))
    assert kept is not None
    assert kept.input_ids == [*HELLO_3[:6], 1507] and kept.cut == Cut(prompt=1, question=True)


@pytest.mark.parametrize(
    ("family", "encode"),
    [("chatglm", chatglm), ("chatglm2", chatglm2), ("chatglm3", chatglm3)],
)
def test_the_source_prefix_stands_in_front_of_all_rounds(small, family, encode):
    tok, row = small(family), Row(1, TOMORROW, "a", WEATHER)
    made = encode.encode_training(row, tok, data_of(source_prefix="译：", history_column="h"))
    ids = made.input_ids
    start = 0 if family == "chatglm" else 2 if family == "chatglm2" else 5
    shown = tok.encode("译：", add_special_tokens=False)
    assert ids[start : start + len(shown)] == shown
    assert sum(ids[i : i + len(shown)] == shown for i in range(len(ids))) == 1
