"""Baichuan: conversations to ids and labels, held against a reading of fine-tune.py made here."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretune.data import baichuan
from foretune.data.collate import prompt_collator, training_collator
from foretune.data.encoded import Cut, family_of
from foretune.data.prepare import prepare
from foretune.data.rows import Row
from foretune.data.show import first_example_text
from foretune.errors import UserError
from foretune.tokenizers import load_tokenizer

from .conftest import data_of

N = -100
USER, ASSISTANT, END = 195, 196, 2
ANY = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="session")
def tok(repository, tmp_path_factory) -> Any:
    """The tokenizer with its small vocabulary."""
    folder = tmp_path_factory.mktemp("baichuan")
    vocabulary = repository / "tests" / "golden" / "tokenizers" / "baichuan2" / "tokenizer.model"
    shutil.copy(vocabulary, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "baichuan"}))
    return load_tokenizer(folder)


def messages_of(*texts: str, system: str = "") -> list[dict[str, str]]:
    first = [{"from": "system", "value": system}] if system else []
    return first + [
        {"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)
    ]


def row_of(*texts: str, system: str = "") -> Row:
    *history, (question, answer) = zip(texts[::2], texts[1::2], strict=True)
    return Row(1, question, answer, tuple(history), system)


def talks(**settings: Any) -> Any:
    return data_of(messages_column="conversations", **settings)


# --- official ---


def fine_tune_py(messages: list[dict[str, str]], tok: Any, length: int) -> dict[str, list[int]]:
    """What the script makes of one conversation, as its lines say it."""
    input_ids, labels = [], []
    for message in messages:
        value_ids = tok.encode(message["value"])
        if message["from"] == "human":
            input_ids += [195, *value_ids]
            labels += [tok.eos_token_id] + [-100] * len(value_ids)
        else:
            input_ids += [196, *value_ids]
            labels += [-100, *value_ids]
    input_ids.append(tok.eos_token_id)
    labels.append(tok.eos_token_id)
    input_ids, labels = input_ids[:length], labels[:length]
    input_ids += [tok.pad_token_id] * (length - len(input_ids))
    labels += [-100] * (length - len(labels))
    return {"input_ids": input_ids, "labels": labels}


TEXT = st.text("你好问题答案是的，。aB 1\n０", min_size=1, max_size=25) | st.sampled_from(
    ["<reserved_106>", "x</s>y", "<unk>", " ", "<s>", "\n\n"]
)
ROUNDS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4).map(lambda r: sum(r, ()))


@ANY
@given(texts=ROUNDS, system=st.sampled_from(["", "", "你是助手"]), length=st.integers(4, 120))
def test_any_conversation_becomes_what_fine_tune_py_makes_of_it(tok, texts, system, length):
    data = talks(protocol="official", max_length=length)
    made = baichuan.encode_training(row_of(*texts, system=system), tok, data)
    expected = fine_tune_py(messages_of(*texts, system=system), tok, length)
    batch = training_collator(tok, data)([{"input_ids": made.input_ids, "labels": made.labels}])
    assert {name: batch[name][0].tolist() for name in expected} == expected


def test_the_official_cut_is_counted_from_its_end(tok):
    row = row_of("a", "b", "c", "d")  # 195 a 196 b 195 c 196 d </s>

    def cut(length: int) -> Cut:
        data = talks(protocol="official", max_length=length)
        return baichuan.encode_training(row, tok, data).cut

    whole = 4 + 1 + sum(len(tok.encode(text)) for text in "abcd")
    answer, question = len(tok.encode("d")), len(tok.encode("c"))
    assert cut(whole) == Cut()
    assert cut(whole - 1) == Cut(answer=1)
    assert cut(whole - 1 - answer) == Cut(answer=1 + answer)
    assert cut(whole - 2 - answer) == Cut(prompt=1, answer=1 + answer)
    lost = whole - 3 - answer
    assert cut(lost) == Cut(prompt=2, answer=1 + answer, question=True)
    assert question >= 1


# --- default ---


def ids(tok: Any, text: str) -> list[int]:
    return tok.encode(text, split_special_tokens=True)


def test_every_answer_is_trained_and_its_end_where_the_next_question_begins(tok):
    made = baichuan.encode_training(row_of("a", "你好", "c", "d", system="b"), tok, talks())
    a, hello, c, d, b = (ids(tok, text) for text in ("a", "你好", "c", "d", "b"))
    question = [*b, USER, *a, ASSISTANT]
    assert made.input_ids == [*question, *hello, USER, *c, ASSISTANT, *d, END]
    rest = [END, *[N] * (len(c) + 1), *d, END]
    assert made.labels == [*[N] * len(question), *hello, *rest]


def test_only_the_last_answer_is_trained_where_that_is_asked_for(tok):
    data = talks(trained_answers="last")
    made = baichuan.encode_training(row_of("a", "你好", "c", "d"), tok, data)
    answer = [*ids(tok, "d"), END]
    assert made.labels == [N] * (len(made.labels) - len(answer)) + answer
    columns = baichuan.encode_training(row_of("a", "你好", "c", "d"), tok, data_of())
    assert columns == made


def test_the_end_of_an_empty_earlier_answer_is_not_trained(tok):
    made = baichuan.encode_training(row_of("a", "", "c", "d"), tok, talks())
    second = made.input_ids.index(USER, 1)
    assert made.labels[second] == N
    official = talks(protocol="official")
    assert baichuan.encode_training(row_of("a", "", "c", "d"), tok, official).labels[second] == END


def test_what_a_user_names_is_letters_unless_the_published_reading_is_asked_for(tok):
    row = row_of("a<reserved_107>", "b</s>c")
    plain = baichuan.encode_training(row, tok, talks())
    assert [plain.input_ids.count(i) for i in (USER, ASSISTANT, END)] == [1, 1, 1]
    published = baichuan.encode_training(row, tok, talks(reading="published"))
    assert [published.input_ids.count(i) for i in (USER, ASSISTANT, END)] == [1, 2, 2]


@ANY
@given(texts=ROUNDS, length=st.integers(12, 90), last=st.booleans(), system=TEXT)
def test_the_oldest_rounds_go_first_and_every_kept_round_is_whole(tok, texts, length, last, system):
    row, answers = row_of(*texts, system=system), "last" if last else "every"
    data = talks(max_length=length, trained_answers=answers)
    made = baichuan.encode_training(row, tok, data)
    assert len(made.labels) == len(made.input_ids) <= length
    wide = talks(trained_answers=answers)
    rounds = len(row.history)
    shorter = [Row(1, row.prompt, row.response, row.history[n:], system) for n in range(rounds + 1)]
    fitting = [
        whole
        for whole in (baichuan.encode_training(one, tok, wide) for one in shorter)
        if len(whole.input_ids) <= length
    ]
    if fitting:
        assert (made.input_ids, made.labels) == (fitting[0].input_ids, fitting[0].labels)
        assert not made.cut.question and not made.cut.answer
        assert (made.cut.prompt > 0) == (len(fitting) < rounds + 1)
    else:
        assert made.cut
        assert ASSISTANT in made.input_ids  # the cue to answer stays, and a part of the answer
        assert made.labels[-1] == made.input_ids[-1] != N


def test_a_long_system_message_loses_its_end_before_the_question_does(tok):
    data = talks(max_length=20)
    made = baichuan.encode_training(row_of("a", "b", system="你好" * 40), tok, data)
    tail = [USER, *ids(tok, "a"), ASSISTANT, *ids(tok, "b"), END]
    # The answer may have half of the whole where system and question are that long.
    assert made.input_ids[-len(tail) :] == tail
    assert len(made.input_ids) == 20 and not made.cut.question and not made.cut.answer
    whole = len(ids(tok, "你好" * 40)) + len(tail)
    assert made.cut.prompt == whole - 20


def test_both_limits_hold_where_no_whole_length_is_given(tok):
    data = talks(max_source_length=6, max_target_length=4)
    assert baichuan.constant_length(data) == 11
    made = baichuan.encode_training(row_of("a b c d e f g", "h i j k l m n"), tok, data)
    assert len(made.input_ids) == 11 and made.cut.question
    cue = made.input_ids.index(ASSISTANT)
    assert made.input_ids[cue + 1 :] == ids(tok, "h i j k l m n")[:5]
    assert baichuan.constant_length(talks(max_length=512)) == 512


# --- prompts to generate from ---


def test_a_prompt_is_what_chat_asks_with(tok):
    row = row_of("a", "你好", "c", "d", system="b")
    chat = tok.build_chat_input(
        [
            {"role": "system", "content": "b"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "你好"},
            {"role": "user", "content": "c"},
        ]
    )
    for protocol in ("default", "official"):
        made = baichuan.encode_prompt(row, tok, talks(protocol=protocol))
        assert made.input_ids == chat
        assert made.labels == [*ids(tok, "d"), END]
        assert not made.cut
        short = talks(protocol=protocol, max_source_length=len(chat) - 2)
        made = baichuan.encode_prompt(row, tok, short)
        assert made.input_ids == [*ids(tok, "b"), USER, *ids(tok, "c"), ASSISTANT]
        assert made.cut == Cut(prompt=len(chat) - len(made.input_ids))


def test_a_question_that_is_too_long_keeps_its_start_or_officially_its_end(tok):
    row = row_of("a b c d e f", "x")
    question = ids(tok, "a b c d e f")
    made = baichuan.encode_prompt(row, tok, talks(max_source_length=5))
    assert made.input_ids == [USER, *question[:3], ASSISTANT]
    official = baichuan.encode_prompt(row, tok, talks(max_source_length=5, protocol="official"))
    assert official.input_ids == [*question[-4:], ASSISTANT]
    assert made.cut == official.cut == Cut(prompt=len(question) - 3, question=True)


def test_the_source_prefix_stands_in_front_of_the_first_question_only(tok):
    row, data = row_of("a", "b", "c", "d"), talks(source_prefix="译：")
    shown, c = ids(tok, "译：a"), ids(tok, "c")
    for made in (baichuan.encode_training(row, tok, data), baichuan.encode_prompt(row, tok, data)):
        assert made.input_ids[1 : 1 + len(shown)] == shown
        second = made.input_ids.index(USER, 1)
        assert made.input_ids[second + 1 : second + 1 + len(c)] == c


def test_prompts_are_padded_on_the_left_without_positions(tok):
    data = talks()
    prompts = [baichuan.encode_prompt(row_of(q, "b"), tok, data) for q in ("a", "a b c")]
    examples = [{"input_ids": one.input_ids, "labels": one.labels} for one in prompts]
    assert tok.padding_side == "right"
    batch = prompt_collator(tok, data)(examples)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"][:, -1].tolist() == [ASSISTANT, ASSISTANT]
    assert batch["attention_mask"][0].tolist()[:2] == [0, 0]


# --- files ---


def test_a_file_of_conversations_is_counted_and_shown(tok, write):
    rows = [
        {"id": "1", "conversations": messages_of("你好", "您好", "a", "b</s>")},
        {"id": "2", "conversations": messages_of("a", "")},
        {"id": "3", "conversations": []},
    ]
    file = write("t.json", json.dumps(rows, ensure_ascii=False, indent=1))
    made = prepare(file, talks(max_length=64), tok, split="train", progress=False)
    assert (made.facts.rows, made.facts.empty, made.facts.examples) == (3, 2, 1)
    answers = len(ids(tok, "您好")) + len(ids(tok, "b</s>")) + 2
    assert made.facts.trained_tokens == answers
    assert made.facts.padded_tokens == 64
    assert family_of(tok) is baichuan
    assert first_example_text(made.dataset, tok).splitlines()[1] == (
        "<reserved_106> 你好<reserved_107>⟦您好</s>⟧<reserved_106>a<reserved_107>⟦ b</s></s>⟧"
    )


def test_a_length_without_room_for_text_is_refused(tok, write):
    file = write("t.jsonl", [{"conversations": messages_of("a", "b")}])
    with pytest.raises(UserError) as caught:
        prepare(file, talks(max_length=3), tok, split="train", progress=False)
    assert [p.where for p in caught.value.problems] == ["data.max_length"]
    with pytest.raises(UserError) as caught:
        data = talks(max_length=5, overlong="drop")
        long = write("l.jsonl", [{"conversations": messages_of("a b c d", "e f g")}])
        prepare(long, data, tok, split="train", progress=False)
    (problem,) = caught.value.problems
    assert problem.fix == "raise data.max_length" and "5 tokens for both together" in problem.why
