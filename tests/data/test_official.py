"""Protocol "official" against a second reading of the authors' scripts, written for this test only.

The reading here does what the notes on the scripts say step by step, with the truncation and the
padding of the tokenizers themselves; the code under test does neither.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretune.data.collate import prompt_collator, training_collator
from foretune.data.encoded import family_of
from foretune.data.prepare import prepare
from foretune.data.read import read_rows
from foretune.data.rows import Row

from .conftest import data_of

Batch = dict[str, list[list[int]]]


def train_v1(rows: list[Row], tok: Any, data: Any) -> Batch:
    whole = data.max_source_length + data.max_target_length
    out: Batch = {"input_ids": [], "labels": []}
    for row in rows:
        text = row.prompt
        if data.history_column is not None:
            rounds = [f"[Round {i}]\n问：{q}\n答：{a}\n" for i, (q, a) in enumerate(row.history)]
            text = "".join(rounds) + f"[Round {len(row.history)}]\n问：{row.prompt}\n答："
        a = tok.encode(data.source_prefix + text, add_special_tokens=False)
        b = tok.encode(row.response, add_special_tokens=False)
        if len(a) > data.max_source_length - 1:
            a = a[: data.max_source_length - 1]
        if len(b) > data.max_target_length - 2:
            b = b[: data.max_target_length - 2]
        gmask, sop, eop = tok.convert_tokens_to_ids(["[gMASK]", "<sop>", "<eop>"])
        ids = [*a, gmask, sop, *b, eop]
        first_sop = ids.index(sop)
        labels = [-100] * first_sop + ids[first_sop:]
        ids = ids + [3] * (whole - len(ids))
        labels = labels + [3] * (whole - len(labels))
        if data.ignore_pad_in_loss:
            labels = [-100 if label == 3 else label for label in labels]
        out["input_ids"].append(ids)
        out["labels"].append(labels)
    return out


def train_v2(rows: list[Row], tok: Any, data: Any) -> Batch:
    whole = data.max_source_length + data.max_target_length + 1
    out: Batch = {"input_ids": [], "labels": []}
    for row in rows:
        text = data.source_prefix + tok.build_prompt(row.prompt, row.history)
        a = tok.encode(
            text, add_special_tokens=True, truncation=True, max_length=data.max_source_length
        )
        b = tok.encode(
            row.response,
            add_special_tokens=False,
            truncation=True,
            max_length=data.max_target_length,
        )
        ids = [*a, *b, 2]
        labels = [0] * len(a) + [*b, 2]
        ids, labels = ids + [0] * (whole - len(ids)), labels + [0] * (whole - len(labels))
        if data.ignore_pad_in_loss:
            labels = [label if label else -100 for label in labels]
        out["input_ids"].append(ids)
        out["labels"].append(labels)
    return out


def evaluate(rows: list[Row], tok: Any, data: Any) -> tuple[Any, list[list[int]]]:
    """One block of rows: the padded inputs, and the labels as the script leaves them."""
    texts = [data.source_prefix + tok.build_prompt(row.prompt, row.history) for row in rows]
    inputs = tok(texts, max_length=data.max_source_length, truncation=True, padding=True)
    target = data.max_eval_target_length or data.max_target_length
    labels = tok(text_target=[row.response for row in rows], max_length=target, truncation=True)[
        "input_ids"
    ]
    if data.ignore_pad_in_loss:
        labels = [[-100 if i == tok.pad_token_id else i for i in row] for row in labels]
    return inputs, labels


TRAIN = {"chatglm": train_v1, "chatglm2": train_v2}


def assert_same(rows: list[Row], tok: Any, data: Any) -> None:
    family = family_of(tok)
    examples = [family.encode_training(row, tok, data) for row in rows]
    batch = training_collator(tok, data)([vars_of(example) for example in examples])
    expected = TRAIN[tok.family](rows, tok, data)
    assert batch["input_ids"].tolist() == expected["input_ids"]
    assert batch["labels"].tolist() == expected["labels"]
    inputs, labels = evaluate(rows, tok, data)
    longest = len(inputs["input_ids"][0])
    prompts = [family.encode_prompt(row, tok, data) for row in rows]
    assert [prompt.labels for prompt in prompts if prompt] == labels
    batch = prompt_collator(tok, data)(
        [vars_of(prompt) | {"padded_to": longest} for prompt in prompts]
    )
    assert set(batch) == {"input_ids", "attention_mask", "position_ids", "labels"}
    for name, value in inputs.items():
        assert batch[name].tolist() == [as_list(row) for row in value], name
    assert len(prompts) == len(rows)


def vars_of(encoded: Any) -> dict[str, Any]:
    return {"input_ids": encoded.input_ids, "labels": encoded.labels}


def as_list(row: Any) -> list[Any]:
    return row.tolist() if hasattr(row, "tolist") else row


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize(("source", "target"), [(64, 64), (64, 128), (1024, 128), (3, 3)])
def test_adverts_become_what_main_py_makes_of_them(full, shared, family, source, target, ignore):
    data = data_of(
        prompt_column="content",
        response_column="summary",
        max_source_length=source,
        max_target_length=target,
        ignore_pad_in_loss=ignore,
        protocol="official",
    )
    file = str(shared / "data" / "advertisegen" / "dev-800.json")
    rows = read_rows(file, data, limit=800 if (source, ignore) == (64, True) else 60).rows
    assert len(rows) in (60, 800)
    assert_same(rows, full(family), data)


TEXT = st.text(
    st.sampled_from("你好问题答案是的，。？！1aB \n\t#*[]<>pads") | st.characters(codec="utf-8"),
    min_size=1,
    max_size=30,
) | st.sampled_from(["<pad>", "x<sop>y", "[Round 1]\n\n问：", "答：\n\n", "  ", "\n"])
HISTORY = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)
ROWS = st.lists(st.builds(Row, st.just(1), TEXT, TEXT, HISTORY), min_size=1, max_size=3)


@pytest.mark.parametrize("family", ["chatglm", "chatglm2"])
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    rows=ROWS,
    source=st.integers(3, 80),
    target=st.integers(3, 40),
    history=st.booleans(),
    prefix=st.sampled_from(["", "译：", "a b "]),
    ignore=st.booleans(),
)
def test_any_dialogue_becomes_what_main_py_makes_of_it(
    small, family, rows, source, target, history, prefix, ignore
):
    data = data_of(
        history_column="history" if history else None,
        source_prefix=prefix,
        max_source_length=source,
        max_target_length=target,
        ignore_pad_in_loss=ignore,
        protocol="official",
    )
    if not history:
        rows = [Row(row.line, row.prompt, row.response) for row in rows]
    assert_same(rows, small(family), data)


def test_prompts_are_padded_to_the_longest_of_their_block(small, write):
    rows = [{"prompt": "你好" * (n == 1000) + "a", "response": "b"} for n in range(2500)]
    file, tok = write("t.json", rows), small("chatglm2")
    data = data_of(protocol="official")
    dataset = prepare(file, data, tok, split="evaluate", progress=False).dataset
    short, long = len(dataset[0]["input_ids"]), len(dataset[1000]["input_ids"])
    padded = [dataset[i]["padded_to"] for i in range(2500)]
    assert padded == [short] * 1000 + [long] * 1000 + [short] * 500
    batch = prompt_collator(tok, data)([dataset[1001], dataset[1002]])
    assert batch["input_ids"].shape == (2, long)

    shared_out = prepare(
        file, data_of(protocol="official", workers=3), tok, split="evaluate", progress=False
    ).dataset  # 834 rows, 833 and 833: each process has one block
    padded = [shared_out[i]["padded_to"] for i in range(2500)]
    assert padded == [short] * 834 + [long] * 833 + [short] * 833
