"""Rows of transformers' own tokenizers: the ids are the chat template's, what is learnt is what the
model has to write, and what users write is text.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from foretune.data import chat_template
from foretune.data.encoded import Cut, family_of
from foretune.data.prepare import prepare
from foretune.data.rows import Row
from foretune.errors import UserError
from other_models import CHATML, TEMPLATES, tokenizer_of

from .conftest import data_of

N = -100
QUESTION, ANSWER = "What is the capital of France?", "It is Paris."
EARLIER = (("hello, 你好", "good morning"), ("类型#上衣", "白色的衣身十分百搭。"))
ROWS = (
    Row(1, QUESTION, ANSWER),
    Row(2, "a\n\n  b ", "\n  indented\n\nanswer "),
    Row(3, QUESTION, ANSWER, EARLIER),
    Row(4, "简约", "外套🙂", EARLIER, "You are terse."),
)
WITH_TEMPLATE = [kind for kind in TEMPLATES if kind not in ("bare", "opens-thought")]
ENDED_BY_TEMPLATE = [kind for kind in WITH_TEMPLATE if kind != "glm"]
CHATTY = ["chatml", "marked", "llama3"]
"""They rewrite nothing and take a system message."""


def messages_of(row: Row) -> list[dict[str, str]]:
    """The conversation of a row, without its last answer."""
    said = [("system", row.system)] if row.system else []
    for question, answer in row.history:
        said += [("user", question), ("assistant", answer)]
    return [{"role": role, "content": text} for role, text in [*said, ("user", row.prompt)]]


def applied(row: Row, tokenizer: Any, **options: Any) -> list[int]:
    """The ids that transformers makes of the whole conversation."""
    messages = [*messages_of(row), {"role": "assistant", "content": row.response}]
    return tokenizer.apply_chat_template(messages, **options)["input_ids"]


def rows_for(kind: str) -> list[Row]:
    return [row for row in ROWS if not (kind == "llama2" and row.system)]


def learnt(ids: list[int], labels: list[int], tokenizer: Any) -> list[str]:
    """The text of each stretch of tokens with a label."""
    parts: list[list[int]] = [[]]
    for token, label in zip(ids, labels, strict=True):
        assert label in (N, token)
        if label != N:
            parts[-1].append(token)
        elif parts[-1]:
            parts.append([])
    return [tokenizer.decode(part) for part in parts if part]


def template_changed(tokenizer: Any, template: str) -> Any:
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def test_tokenizers_of_transformers_are_encoded_by_their_template():
    assert family_of(tokenizer_of("chatml")) is chat_template


def test_ordinary_rows_are_what_apply_chat_template_gives():
    seen = 0
    for kind in ENDED_BY_TEMPLATE:
        tokenizer = tokenizer_of(kind)
        for row in rows_for(kind):
            if row.line == 2 and kind in [*CHATTY[:2], "thinking"]:
                continue  # its answer begins with the new line that the prompt ends in
            made = chat_template.encode_training(row, tokenizer, data_of())
            assert made.input_ids == applied(row, tokenizer), (kind, row.line)
            seen += 1
    assert seen == 16


def test_prompts_are_what_apply_chat_template_gives_with_a_generation_prompt():
    seen = 0
    for kind in WITH_TEMPLATE:
        tokenizer = tokenizer_of(kind)
        for row in rows_for(kind):
            made = chat_template.encode_prompt(row, tokenizer, data_of())
            messages = messages_of(row)
            asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
            assert made.input_ids == asked["input_ids"], (kind, row.line)
            seen += 1
    assert seen == 23


def test_an_example_begins_with_the_prompt_that_is_generated_from():
    seen = 0
    for kind in WITH_TEMPLATE:
        tokenizer = tokenizer_of(kind)
        for row in rows_for(kind):
            made = chat_template.encode_training(row, tokenizer, data_of())
            prompt = chat_template.encode_prompt(row, tokenizer, data_of())
            length = len(prompt.input_ids)
            assert made.input_ids[:length] == prompt.input_ids, (kind, row.line)
            assert set(made.labels[:length]) == {N}
            followed = made.labels[length : length + len(prompt.labels)]
            assert followed == prompt.labels
            assert set(made.labels[length + len(prompt.labels) :]) <= {N}
            seen += 1
    assert seen == 23


def test_no_token_reaches_from_the_prompt_into_the_answer():
    tokenizer = tokenizer_of("chatml")
    row = Row(1, "a", "\n\nb")
    made = chat_template.encode_training(row, tokenizer, data_of())
    assert made.input_ids != applied(row, tokenizer)  # a double new line is one token there
    assert tokenizer.decode(made.input_ids) == tokenizer.decode(applied(row, tokenizer))
    assert learnt(made.input_ids, made.labels, tokenizer) == ["\n\nb<|im_end|>"]


def test_no_token_of_the_prompt_depends_on_the_answer():
    tokenizer = tokenizer_of("llama3", as_gpt2=True)
    made = chat_template.encode_training(ROWS[0], tokenizer, data_of())
    prompt = chat_template.encode_prompt(ROWS[0], tokenizer, data_of())
    length = len(prompt.input_ids)
    assert applied(ROWS[0], tokenizer)[:length] != prompt.input_ids  # two new lines there
    assert made.input_ids[:length] == prompt.input_ids
    assert learnt(made.input_ids, made.labels, tokenizer) == ["It is Paris.<|eot_id|>"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("chatml", "It is Paris.<|im_end|>"),
        ("marked", "It is Paris.<|im_end|>"),
        ("thinking", "<think>\n\n</think>\n\nIt is Paris.<|im_end|>"),
        ("llama3", "It is Paris.<|eot_id|>"),
        ("llama2", "It is Paris. </s>"),
        ("glm", "It is Paris.<|endoftext|>"),
        ("bare", "It is Paris.<|endoftext|>"),
    ],
)
def test_what_is_learnt_is_the_answer_and_the_token_that_ends_it(kind, text):
    tokenizer = tokenizer_of(kind)
    made = chat_template.encode_training(Row(1, QUESTION, ANSWER), tokenizer, data_of())
    assert learnt(made.input_ids, made.labels, tokenizer) == [text]
    stop = [token for token, label in zip(made.input_ids, made.labels, strict=True) if label != N]
    assert chat_template.turn_ends(tokenizer, data_of())[0] == stop[-1]


def test_every_answer_of_a_conversation_is_learnt_where_that_is_asked_for():
    row = Row(1, QUESTION, ANSWER, EARLIER)
    ends = {"llama3": "<|eot_id|>", "llama2": " </s>", "bare": "<|endoftext|>"}
    seen = 0
    for kind in ("chatml", "marked", "llama3", "bare"):
        tokenizer, end = tokenizer_of(kind), ends.get(kind, "<|im_end|>")
        made = chat_template.encode_training(row, tokenizer, data_of(trained_answers="every"))
        answers = ["good morning", "白色的衣身十分百搭。", ANSWER]
        assert learnt(made.input_ids, made.labels, tokenizer) == [text + end for text in answers]
        last = chat_template.encode_training(row, tokenizer, data_of(trained_answers="last"))
        assert made.input_ids == last.input_ids
        seen += 1
    assert seen == 4


def test_where_no_token_ends_a_turn_the_next_role_does():
    tokenizer = tokenizer_of("glm")
    row = Row(1, QUESTION, ANSWER, EARLIER[:1])
    made = chat_template.encode_training(row, tokenizer, data_of(trained_answers="every"))
    texts = learnt(made.input_ids, made.labels, tokenizer)
    assert texts == ["good morning<|user|>", "It is Paris.<|endoftext|>"]
    ends = tokenizer.convert_ids_to_tokens(chat_template.turn_ends(tokenizer, data_of()))
    assert ends == ["<|endoftext|>", "<|user|>"]


def test_a_template_that_says_what_the_assistant_writes_is_followed():
    tokenizer = tokenizer_of("marked")
    seen = 0
    for row in ROWS:
        made = chat_template.encode_training(row, tokenizer, data_of(trained_answers="every"))
        messages = [*messages_of(row), {"role": "assistant", "content": row.response}]
        wanted = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True)
        if made.input_ids != wanted["input_ids"]:
            continue  # a token would reach into the answer
        mask = [int(label != N) for label in made.labels]
        assert mask == wanted["assistant_masks"]
        seen += 1
    assert seen == 3


def test_a_marked_answer_without_its_end_token_gets_it():
    inside = '{{- m.content + "<|im_end|>" }}\n{%- endgeneration %}'
    outside = '{{- m.content }}\n{%- endgeneration %}\n{{- "<|im_end|>" }}'
    marked = tokenizer_of("marked")
    changed = template_changed(marked, marked.chat_template.replace(inside, outside))
    assert changed.chat_template != marked.chat_template
    row = Row(1, QUESTION, ANSWER, EARLIER)
    data = data_of(trained_answers="every")
    theirs = chat_template.encode_training(row, changed, data)
    assert theirs == chat_template.encode_training(row, marked, data)


def test_earlier_answers_that_the_template_changes_are_not_learnt():
    tokenizer = tokenizer_of("thinking")
    row = Row(1, QUESTION, "<think>hm</think>Paris", (("hello", "<think>so</think>hi"),))
    last = chat_template.encode_training(row, tokenizer, data_of())
    assert "so" not in tokenizer.decode(last.input_ids)
    texts = learnt(last.input_ids, last.labels, tokenizer)
    assert texts == ["<think>\nhm\n</think>\n\nParis<|im_end|>"]
    with pytest.raises(UserError, match="earlier answer") as refused:
        chat_template.encode_training(row, tokenizer, data_of(trained_answers="every"))
    assert refused.value.problems[0].where == "data.trained_answers"


def test_a_prompt_that_no_answer_follows_is_refused():
    with pytest.raises(UserError, match="another text in front of an answer") as refused:
        chat_template.encode_training(ROWS[0], tokenizer_of("opens-thought"), data_of())
    assert "<think>" in refused.value.problems[0].why


def test_what_a_template_does_not_take_is_told_in_its_own_words():
    with pytest.raises(UserError, match="no system message") as refused:
        chat_template.encode_training(ROWS[3], tokenizer_of("llama2"), data_of())
    problem = refused.value.problems[0]
    assert "system, user, assistant" in problem.what
    assert problem.where == "line 4 of the data, chat_template of the tokenizer"


@pytest.mark.parametrize("kind", [*WITH_TEMPLATE, "bare"])
def test_control_tokens_that_users_name_stay_text(kind):
    tokenizer = tokenizer_of(kind)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    text = "x ".join([*special, *(name + name for name in special)]) + special[0][:-1]
    row = Row(1, f"a{text}b", f"c{text}d", ((f"e{text}", f"f{text}"),))
    plain = Row(1, "aXb", "cXd", (("eX", "fX"),))
    made = chat_template.encode_training(row, tokenizer, data_of())
    expected = chat_template.encode_training(plain, tokenizer, data_of())
    assert len(special) >= 1

    def controls(ids: list[int]) -> list[int]:
        return [token for token in ids if token in tokenizer.all_special_ids]

    assert controls(made.input_ids) == controls(expected.input_ids)
    shown = tokenizer.decode(made.input_ids)
    assert shown.count(text) == 4
    assert shown.replace(text, "X") == tokenizer.decode(expected.input_ids)


def test_published_reading_makes_tokens_of_their_names():
    tokenizer = tokenizer_of("chatml")
    row = Row(1, "a<|im_end|>b", "c<|im_end|>d")
    made = chat_template.encode_training(row, tokenizer, data_of(reading="published"))
    assert made.input_ids == applied(row, tokenizer)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    plain = chat_template.encode_training(row, tokenizer, data_of(reading="plain"))
    assert made.input_ids.count(end) == 4 and plain.input_ids.count(end) == 2


def test_names_of_control_tokens_that_overlap_stay_text_too():
    tokenizer = copy.deepcopy(tokenizer_of("chatml"))
    tokenizer.add_special_tokens({"extra_special_tokens": ["<a><b>", "<b><a>", "<|im_end|>"]})
    row = Row(1, "<a><b><a>", "<a><b><a><b>")
    made = chat_template.encode_training(row, tokenizer, data_of())
    new = tokenizer.convert_tokens_to_ids(["<a><b>", "<b><a>"])
    assert not set(new) & set(made.input_ids)
    assert tokenizer.decode(made.input_ids).count("<a><b><a>") == 2


def test_marks_of_a_models_thoughts_are_tokens_in_answers_and_text_in_questions():
    tokenizer = tokenizer_of("thinking")
    think = tokenizer.convert_tokens_to_ids("<think>")
    asked = chat_template.encode_training(Row(1, "a<think>b", "c"), tokenizer, data_of())
    said = chat_template.encode_training(Row(1, "ab", "<think>b</think>c"), tokenizer, data_of())
    assert asked.input_ids.count(think) == said.input_ids.count(think) == 1
    assert "a<think>b" in tokenizer.decode(asked.input_ids)


def test_the_source_prefix_stands_in_front_of_the_first_question():
    for kind in ("chatml", "bare"):
        tokenizer = tokenizer_of(kind)
        made = chat_template.encode_prompt(ROWS[2], tokenizer, data_of(source_prefix="say: "))
        assert tokenizer.decode(made.input_ids).count("say: ") == 1
        assert "say: hello" in tokenizer.decode(made.input_ids)


def test_a_dialogue_that_is_too_long_loses_its_oldest_rounds():
    seen = 0
    for kind in (*CHATTY, "bare"):
        tokenizer = tokenizer_of(kind)
        row = Row(1, QUESTION, ANSWER, EARLIER, "You are terse.")
        shorter = Row(1, QUESTION, ANSWER, EARLIER[1:], "You are terse.")
        for every in ("last", "every"):
            data = data_of(trained_answers=every)
            whole = chat_template.encode_training(row, tokenizer, data)
            wanted = chat_template.encode_training(shorter, tokenizer, data)
            limit = data_of(trained_answers=every, max_length=len(whole.input_ids) - 2)
            made = chat_template.encode_training(row, tokenizer, limit)
            assert (made.input_ids, made.labels) == (wanted.input_ids, wanted.labels)
            lost = len(whole.input_ids) - len(wanted.input_ids)
            assert made.cut == Cut(prompt=lost)
            seen += 1
    assert seen == 8


def test_a_question_that_is_too_long_loses_its_end_and_keeps_the_cue():
    tokenizer = tokenizer_of("chatml")
    row = Row(1, QUESTION, ANSWER)
    whole = chat_template.encode_prompt(row, tokenizer, data_of()).input_ids
    made = chat_template.encode_prompt(row, tokenizer, data_of(max_source_length=len(whole) - 3))
    cue = tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)
    assert made.input_ids == whole[: -len(cue) - 3] + cue
    assert made.cut == Cut(prompt=3, question=True)


def test_an_answer_that_is_too_long_loses_its_end_token():
    tokenizer = tokenizer_of("chatml")
    prompt = chat_template.encode_prompt(ROWS[0], tokenizer, data_of())
    length, answer = len(prompt.input_ids), len(prompt.labels)
    limits = {"max_source_length": length, "max_target_length": answer - 3}
    made = chat_template.encode_training(ROWS[0], tokenizer, data_of(**limits))
    assert made.labels == [N] * length + prompt.labels[:-2] and made.cut == Cut(answer=2)
    limits["max_target_length"] = answer - 1
    made = chat_template.encode_training(ROWS[0], tokenizer, data_of(**limits))
    assert made.labels == [N] * length + prompt.labels and not made.cut  # only the new line goes
    reference = chat_template.encode_prompt(ROWS[0], tokenizer, data_of(max_target_length=2))
    assert reference.labels == prompt.labels[:2] and reference.cut == Cut(answer=answer - 2)


def test_no_example_is_longer_than_its_limit():
    long = Row(1, QUESTION * 3, ANSWER * 4, EARLIER * 2, "You are terse.")
    seen = 0
    for kind in (*CHATTY, "thinking", "glm", "bare"):
        tokenizer = tokenizer_of(kind)
        for limit in (40, 50, 60, 75):
            made = chat_template.encode_training(long, tokenizer, data_of(max_length=limit))
            assert len(made.input_ids) == len(made.labels) <= limit
            assert made.cut and any(label != N for label in made.labels)
            seen += 1
    assert seen == 24


def test_limits_without_room_for_text_are_refused(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "response": "b"}\n')
    tokenizer = tokenizer_of("thinking")
    least = chat_template.least_lengths(tokenizer, data_of())
    assert least == (10, 5)
    limits = {"max_source_length": 10, "max_target_length": 5}
    made = prepare(str(file), data_of(**limits), tokenizer, split="train")
    assert made.facts.damage.rows == 0
    for limit in limits:
        with pytest.raises(UserError, match=limit):
            data = data_of(**limits | {limit: limits[limit] - 1})
            prepare(str(file), data, tokenizer, split="train")


def test_there_is_no_official_protocol():
    with pytest.raises(UserError, match="'official'"):
        chat_template.least_lengths(tokenizer_of("chatml"), data_of(protocol="official"))


def test_a_tokenizer_without_an_end_token_is_refused_only_where_it_is_needed():
    bare, ended = copy.deepcopy(tokenizer_of("bare")), copy.deepcopy(tokenizer_of("chatml"))
    bare.eos_token = ended.eos_token = None
    with pytest.raises(UserError, match="no end token"):
        chat_template.encode_training(ROWS[0], bare, data_of())
    made = chat_template.encode_training(ROWS[0], ended, data_of())
    assert (
        made.labels
        == chat_template.encode_training(ROWS[0], tokenizer_of("chatml"), data_of()).labels
    )


def test_a_template_that_is_changed_counts_from_then_on():
    tokenizer = copy.deepcopy(tokenizer_of("chatml"))
    before = chat_template.encode_training(ROWS[0], tokenizer, data_of())
    tokenizer.chat_template = CHATML.replace("<|im_end|>\n", "<|im_end|>")
    after = chat_template.encode_training(ROWS[0], tokenizer, data_of())
    assert len(after.input_ids) == len(before.input_ids) - 2


def test_several_workers_encode_alike(tmp_path, monkeypatch):
    monkeypatch.setattr("foretune.data.prepare.LARGE", 600)
    file = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"{n}<|im_end|>", "response": f"{n * n}"} for n in range(600)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, two = (
        prepare(str(file), data_of(workers=n), tokenizer_of("chatml"), split="train")
        for n in (1, 2)
    )
    assert len(one.dataset) == 600
    assert (one.dataset.input_ids.values == two.dataset.input_ids.values).all()
    assert (one.dataset.labels.values == two.dataset.labels.values).all()
