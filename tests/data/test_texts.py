"""What is odd in the texts of rows: said with counts and lines, whatever becomes of them."""

from __future__ import annotations

from foretune.data.prepare import prepare
from foretune.data.read import count_rows
from foretune.facts import Seen

from .conftest import data_of

ROWS = [
    {"prompt": "你好", "response": "a"},
    {"prompt": "你好", "response": "b"},
    {"prompt": "你好", "response": "a"},
    {"prompt": "a", "response": " a"},
    {"prompt": "c", "response": "d\n"},
]


def texts_of(file, tok, **settings):
    limits = {"max_source_length": 60, "max_target_length": 60}
    return prepare(
        file, data_of(**limits, **settings), tok, split="train", progress=False
    ).facts.texts


def test_repeated_echoed_and_trailing_texts_are_counted_without_a_tokenizer(write):
    facts = count_rows(write("t.json", ROWS), data_of())
    assert facts.texts.repeated == Seen(1, (3,))
    assert facts.texts.echoed == Seen(1, (4,))
    assert facts.texts.trailing == Seen(1, (5,))
    assert facts.texts.out_of_turn == Seen()


def test_the_same_question_after_other_rounds_is_no_repetition(write):
    rows = [{**ROWS[0], "history": [["x", "y"]]}, {**ROWS[0], "history": []}]
    facts = count_rows(write("t.json", rows), data_of(history_column="history"))
    assert facts.texts.repeated.count == 0


def test_a_turn_out_of_order_is_told_apart_from_other_bad_rows(write):
    user = {"role": "user", "content": "x"}
    answer = {"role": "assistant", "content": "y"}
    talks = [[user, answer], [answer, user], [user, user, answer], [user, {"role": "?"}]]
    file = write("t.json", [{"messages": talk} for talk in talks])
    facts = count_rows(file, data_of(messages_column="messages", bad_rows="skip"))
    assert (facts.bad, facts.texts.out_of_turn) == (3, Seen(2, (2, 3)))


def test_a_control_tokens_name_is_a_token_or_letters_by_the_reading(small, write):
    tok = small("chatglm")
    rows = [*ROWS, {"prompt": "a<eop>", "response": "b"}, {"prompt": "a", "response": "b<eop>"}]
    file = write("t.json", rows)
    plain = texts_of(file, tok)
    assert (plain.commands, plain.spelt_out) == (Seen(), Seen(1, (7,)))
    published = texts_of(file, tok, reading="published")
    assert (published.commands, published.spelt_out) == (Seen(2, (6, 7)), Seen())


def test_a_family_that_always_reads_letters_says_so(small, write):
    file = write("t.json", [{"prompt": "a", "response": "b</s>"}])
    found = texts_of(file, small("chatglm3"), reading="published")
    assert found.commands.count == 0


def test_rows_that_train_nothing_and_answers_without_an_end_are_counted(small, write):
    tok, rows = small("chatglm3"), [ROWS[0], {"prompt": "你好" * 40, "response": "你好" * 40}]
    settings = {"max_source_length": 20, "max_target_length": 20}

    def damage(**more):
        data = data_of(**settings, **more)
        file = write("t.json", rows)
        return prepare(file, data, tok, split="train", progress=False).facts.damage

    official = damage(protocol="official")
    assert (official.untrained, official.ends_lost) == (Seen(1, (2,)), 1)
    default = damage()
    assert (default.untrained, default.ends_lost) == (Seen(), 1)
    assert default.prompt_over > 0
    assert default.answer_over > 0
