"""Examples to batches, and that padding changes no loss."""

from __future__ import annotations

import importlib

import pytest
import torch

from foretune.data.collate import prompt_collator, training_collator
from foretune.data.encoded import family_of
from foretune.data.padding import padded_length
from foretune.data.prepare import prepare

from .conftest import data_of

ROWS = [
    {"prompt": "你好", "response": "a"},
    {"prompt": "问题？" * 4, "response": "回答，你好。" * 3},
]


def dataset_of(write, tok, *, split="train", **settings):
    file = write("t.json", ROWS)
    return prepare(file, data_of(**settings), tok, split=split, progress=False).dataset


def test_training_batches_are_padded_on_the_right_to_their_longest(small, write):
    tok = small("chatglm")
    dataset = dataset_of(write, tok)
    batch = training_collator(tok, data_of())([dataset[0], dataset[1]])
    assert set(batch) == {"input_ids", "labels"}
    longest = len(dataset[1]["input_ids"])
    assert batch["input_ids"].shape == batch["labels"].shape == (2, longest)
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
    ids, labels = [5, 319, 1601, 1604, 92, 1605], [-100, -100, -100, 1604, 92, 1605]
    assert batch["input_ids"][0].tolist() == ids + [3] * (longest - 6)
    assert batch["labels"][0].tolist() == labels + [-100] * (longest - 6)


@pytest.mark.parametrize(
    ("family", "official", "asked"),
    [("chatglm", 60, 60), ("chatglm2", 61, 61), ("chatglm3", None, 61)],
)
def test_the_constant_length_is_the_official_one(small, family, official, asked):
    limits = {"max_source_length": 40, "max_target_length": 20}
    module = family_of(small(family))
    assert padded_length(module, data_of(**limits)) is None
    assert padded_length(module, data_of(protocol="official", **limits)) == official
    assert padded_length(module, data_of(pad_to_max_length=True, **limits)) == asked


def test_pads_are_labels_where_they_are_not_ignored(small, write):
    tok, data = small("chatglm2"), data_of(ignore_pad_in_loss=False, pad_to_max_length=True)
    dataset = dataset_of(write, tok, ignore_pad_in_loss=False)
    batch = training_collator(tok, data)([dataset[0]])
    assert batch["labels"][0, len(dataset[0]["labels"]) :].unique().tolist() == [0]


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "chatglm3"])
def test_prompts_are_padded_on_the_left_by_the_tokenizer(small, write, family):
    tok = small(family)
    dataset = dataset_of(write, tok, split="predict")
    batch = prompt_collator(tok, data_of())([dataset[0], dataset[1]])
    assert set(batch) == {"input_ids", "attention_mask", "position_ids", "labels"}
    missing = len(dataset[1]["input_ids"]) - len(dataset[0]["input_ids"])
    assert missing > 0
    assert batch["input_ids"][0].tolist() == (
        [tok.pad_token_id] * missing + dataset[0]["input_ids"]
    )
    shorter = len(dataset[1]["labels"]) - len(dataset[0]["labels"])
    assert batch["labels"][0].tolist() == [-100] * shorter + dataset[0]["labels"]


def test_a_block_length_that_was_taken_away_is_no_silent_change(small, write):
    tok, data = small("chatglm2"), data_of(protocol="official")
    dataset = dataset_of(write, tok, split="predict", protocol="official")
    stripped = {"input_ids": dataset[0]["input_ids"], "labels": dataset[0]["labels"]}
    with pytest.raises(KeyError):
        prompt_collator(tok, data)([stripped])


TINY = {
    "chatglm": {
        "vocab_size": 1944,
        "hidden_size": 32,
        "num_layers": 2,
        "num_attention_heads": 4,
        "inner_hidden_size": 64,
        "bos_token_id": 1604,
        "eos_token_id": 1605,
        "mask_token_id": 1600,
        "gmask_token_id": 1601,
    },
    "chatglm2": {
        "padded_vocab_size": 1536,
        "hidden_size": 32,
        "num_layers": 2,
        "num_attention_heads": 4,
        "kv_channels": 8,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "ffn_hidden_size": 64,
        "add_qkv_bias": True,
    },
}


@pytest.mark.parametrize("family", TINY)
def test_how_far_a_batch_is_padded_changes_no_loss_and_no_gradient(small, write, family):
    tok = small(family)
    dataset = dataset_of(write, tok)
    models = importlib.import_module(f"foretune.models.{family}")
    torch.manual_seed(0)
    config = models.ChatGLMConfig(**TINY[family])
    model = models.ChatGLMForConditionalGeneration(config).float().eval()
    limits = {"max_source_length": 60, "max_target_length": 40}
    found = []
    for settings in ({}, {"pad_to_max_length": True}, {"protocol": "official"}):
        data = data_of(**limits, **settings)
        batch = training_collator(tok, data)([dataset[0], dataset[1]])
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((batch["input_ids"].shape[1], loss.detach(), norm))
    (short, loss, gradient), *padded = found
    for length, other_loss, other_gradient in padded:
        assert length == 100 + (family == "chatglm2") > short
        torch.testing.assert_close(other_loss, loss, rtol=1e-6, atol=0)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-4, atol=1e-7)
