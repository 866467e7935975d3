"""Text to the original Transformer's batches: its vocabulary, what is trained, what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from foretune.data.collate import prompt_collator, training_collator
from foretune.data.prepare import prepare
from foretune.data.show import first_example_text
from foretune.errors import UserError
from foretune.models.transformer import shifted_right
from foretune.params.arch.transformer import Transformer
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.tokenizers import load_tokenizer
from foretune.tokenizers.transformer import TransformerTokenizer, train_vocabulary

from .conftest import data_of

LINES = [f"{month} {day}, 2019" for month in ("March", "May") for day in range(1, 29)]
LINES += ["二〇一九年三月五日", "三百四十二", "three hundred and forty-two"] * 4
CONTROL = ["<pad>", "<s>", "</s>", "<unk>"]
ROWS = [
    {"prompt": "March 5", "response": "三月五日"},
    {"prompt": "three hundred and forty-two", "response": "三百"},
]


@pytest.fixture(scope="module")
def tok(tmp_path_factory: pytest.TempPathFactory) -> TransformerTokenizer:
    folder = tmp_path_factory.mktemp("transformer")
    return train_vocabulary(LINES, folder / "sentencepiece.model", 340)


# --- the vocabulary


def test_the_same_lines_give_the_same_vocabulary(tok: TransformerTokenizer, tmp_path: Path):
    again = train_vocabulary(LINES, tmp_path / "a" / "sentencepiece.model", 340)
    assert Path(again.vocab_file).read_bytes() == Path(tok.vocab_file).read_bytes()
    assert len(tok) == tok.vocab_size == 340
    assert tok.convert_ids_to_tokens(range(4)) == CONTROL
    ids = (tok.pad_token_id, tok.bos_token_id, tok.eos_token_id, tok.unk_token_id)
    assert ids == (0, 1, 2, 3)


TEXTS = [
    "March 5, 2019", "二〇一九年三月五日", " two  blanks ", "a\nb\tc", "龘 ﬁ Ａ①", "", "<0x41>",
    "</s> <s><pad> <unk>", "x</s>", "<s>",
]  # fmt: skip


def test_a_text_is_only_text_and_decodes_to_itself(tok: TransformerTokenizer):
    for text in TEXTS:
        ids = tok.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert tok.decode(ids) == text and min(ids, default=4) > 3
        assert tok(text)["input_ids"] == tok.encode(text) == [*ids, 2]
    assert tok.encode("x</s>", split_special_tokens=False)[-2:] == [2, 2]
    digits = tok.convert_ids_to_tokens(tok.encode("2019", add_special_tokens=False))
    assert digits == ["▁", "2", "0", "1", "9"]


def test_it_is_saved_and_found_again(tok: TransformerTokenizer, tmp_path: Path):
    tok.save_pretrained(tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"sentencepiece.model", "tokenizer_config.json"}
    for _ in range(2):  # by its name, and then by its file alone
        again = load_tokenizer(tmp_path)
        assert type(again) is TransformerTokenizer
        assert [again.encode(text) for text in TEXTS] == [tok.encode(text) for text in TEXTS]
        (tmp_path / "tokenizer_config.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("lines", "size", "told"),
    [(LINES, 100, "smaller than"), (LINES, 9999, "too high"), ([], 300, "no text")],
)
def test_a_vocabulary_that_cannot_be_made_is_refused(tmp_path: Path, lines, size, told):
    with pytest.raises(UserError, match=told):
        train_vocabulary(lines, tmp_path / "sentencepiece.model", size)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_vocabulary_file_is_told_which_one_it_lacks(tmp_path: Path):
    (tmp_path / "config.json").write_text(
        '{"d_model": 8, "num_attention_heads": 1, "ffn_hidden_dim": 8}'
    )
    with pytest.raises(UserError, match=r"the vocabulary file sentencepiece\.model is missing"):
        load_tokenizer(tmp_path)


def test_another_familys_vocabulary_is_refused(repository: Path):
    file = repository / "tests/golden/tokenizers/chatglm2/tokenizer.model"
    with pytest.raises(UserError, match="train_vocabulary"):
        TransformerTokenizer(str(file))


# --- rows


def test_the_encoder_reads_the_prompt_and_the_labels_are_the_answer(tok, write):
    file = write("t.json", ROWS)
    for split, forced in (("train", True), ("predict", False)):
        dataset = prepare(
            file, data_of(), tok, split=split, teacher_forced=forced, progress=False
        ).dataset
        assert len(dataset) == 2
        for row, example in zip(ROWS, dataset, strict=True):
            assert example == {
                "input_ids": tok.encode(row["prompt"]), "labels": tok.encode(row["response"])
            }  # fmt: skip


def test_tokens_are_counted_on_both_sides(tok, write):
    file = write("t.json", ROWS)
    source = [len(tok.encode(row["prompt"])) for row in ROWS]
    target = [len(tok.encode(row["response"])) for row in ROWS]
    facts = prepare(file, data_of(), tok, split="train", progress=False).facts
    assert (facts.tokens, facts.trained_tokens) == (sum(source) + sum(target), sum(target))
    assert facts.longest == max(map(sum, zip(source, target, strict=True)))
    limits = {"max_source_length": 40, "max_target_length": 9, "pad_to_max_length": True}
    data = data_of(**limits, ignore_pad_in_loss=False)
    facts = prepare(file, data, tok, split="train", progress=False).facts
    assert (facts.padded_tokens, facts.trained_tokens) == (98, 18)
    facts = prepare(file, data_of(), tok, split="predict", progress=False).facts
    assert (facts.tokens, facts.trained_tokens) == (sum(source), None)


def test_what_is_over_a_limit_is_cut_at_its_end_and_the_end_token_stays(tok, write):
    data = data_of(max_source_length=4, max_target_length=3, source_prefix="March ")
    prepared = prepare(write("t.json", ROWS), data, tok, split="train", progress=False)
    for row, example in zip(ROWS, prepared.dataset, strict=True):
        assert example["input_ids"] == [*tok.encode("March " + row["prompt"])[:3], 2]
        assert example["labels"] == [*tok.encode(row["response"])[:2], 2]
    assert (prepared.facts.damage.prompts_cut, prepared.facts.damage.answers_cut) == (2, 1)
    with pytest.raises(UserError, match="leaves no room for text"):
        prepare(write("t.json", ROWS), data_of(max_target_length=1), tok, split="train")


def test_a_conversation_is_refused(tok, write):
    file = write("t.json", [{**ROWS[0], "history": [["a", "b"]]}])
    with pytest.raises(UserError, match="knows no rounds") as error:
        prepare(file, data_of(history_column="history"), tok, split="train", progress=False)
    assert "line 1" in error.value.problems[0].where


def test_the_first_example_shows_what_is_written(tok, write):
    dataset = prepare(write("t.json", ROWS), data_of(), tok, split="train", progress=False).dataset
    tokens = len(dataset[0]["input_ids"]) + len(dataset[0]["labels"])
    head, text = first_example_text(dataset, tok).splitlines()
    assert f"{tokens} tokens, {len(dataset[0]['labels'])} trained" in head
    assert text == "March 5</s>⟦三月五日</s>⟧"


# --- batches


@pytest.mark.parametrize("constant", [False, True])
def test_a_training_batch_says_what_is_padding_and_what_the_decoder_reads(tok, write, constant):
    data = data_of(max_source_length=40, max_target_length=9, pad_to_max_length=constant)
    dataset = prepare(write("t.json", ROWS), data, tok, split="train", progress=False).dataset
    batch = training_collator(tok, data)([dataset[0], dataset[1]])
    assert set(batch) == {"input_ids", "attention_mask", "labels", "decoder_input_ids"}
    source, target = (
        (40, 9)
        if constant
        else (max(len(one[name]) for one in dataset) for name in ("input_ids", "labels"))
    )
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, source)
    assert batch["labels"].shape == batch["decoder_input_ids"].shape == (2, target)
    assert batch["attention_mask"].equal((batch["input_ids"] != 0).long())
    for row, example in enumerate(dataset):
        length = len(example["labels"])
        assert batch["labels"][row].tolist() == example["labels"] + [-100] * (target - length)
    assert batch["decoder_input_ids"].equal(shifted_right(batch["labels"], 1, 0))


def test_prompts_are_padded_on_the_right_with_a_mask(tok, write):
    dataset = prepare(write("t.json", ROWS), data_of(), tok, split="predict", progress=False)
    rows = list(dataset.dataset)
    batch = prompt_collator(tok, data_of())(rows)
    assert batch["input_ids"][0, : len(rows[0]["input_ids"])].tolist() == rows[0]["input_ids"]
    assert batch["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
    assert batch["input_ids"].dtype == torch.int64


# --- lengths


def test_the_limit_on_writing_counts_the_answer_alone():
    run = Run().set({"data.max_source_length": 100, "data.max_target_length": 20})
    assert resolve(run, Transformer().shape, complete=False).generate.max_length == 21
    assert resolve(run, None, complete=False).generate.max_length == 121
