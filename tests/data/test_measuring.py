"""The measuring pass: what it says is what preparing says and what the collator makes; a sample
says how sure it is; what was measured once is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from foretune.data import measure as measuring
from foretune.data.collate import training_collator
from foretune.data.encoded import UNTRAINED, family_of
from foretune.data.measure import measure, measure_file
from foretune.data.padding import padded_length
from foretune.data.prepare import prepare
from foretune.data.record import known_facts, place_of
from foretune.errors import UserError
from foretune.params.data import Data
from foretune.params.resolve import resolve
from foretune.params.run import Run
from foretune.tokenizers import load_tokenizer
from foretune.tokenizers.transformer import train_vocabulary
from other_models import MODELS, tokenizer_of
from small_models import CONFIGS, small_model

from .conftest import data_of

POLICIES: dict[str, dict[str, Any]] = {
    "cut": {}, "drop": {"overlong": "drop"}, "official": {"protocol": "official"},
    "official drop": {"protocol": "official", "overlong": "drop"},
    "one limit": {"max_length": 40}, "constant": {"pad_to_max_length": True},
    "constant drop": {"pad_to_max_length": True, "overlong": "drop"},
    "pads are trained": {"pad_to_max_length": True, "ignore_pad_in_loss": False},
    "pads of a batch are trained": {"ignore_pad_in_loss": False},
    "official pads": {"protocol": "official", "ignore_pad_in_loss": False},
    "history": {"history_column": "history"},
    "every answer": {"messages_column": "messages", "max_length": 48},
}  # fmt: skip


def rows(count: int, seed: int = 3) -> list[dict[str, Any]]:
    """Rows in every form at once, some too long, some empty."""
    random = Random(seed)

    def text(most: int) -> str:
        return "".join(
            random.choice("上衣白 abcdefg裙子。") for _ in range(random.randint(1, most))
        )

    made: list[dict[str, Any]] = []
    for at in range(count):
        prompt, response = text(50), text(30) if at % 17 else ""
        said = [("user", prompt), ("assistant", response or "x")]
        said = [("user", text(9)), ("assistant", text(9))] * (at % 3) + said
        made.append({
            "prompt": prompt, "response": response, "history": [[text(9), text(9)]] * (at % 3),
            "messages": [{"role": role, "content": content} for role, content in said],
        })  # fmt: skip
    return made


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tokenizer of every native family, and of one that transformers has."""
    folder = tmp_path_factory.mktemp("tokenizers")
    native = {one: load_tokenizer(str(small_model(folder / one, one))) for one in CONFIGS}
    generic = {one: tokenizer_of(MODELS[one][0]) for one in ("qwen2", "llama", "glm")}
    for tokenizer in generic.values():
        tokenizer.pad_token = tokenizer.eos_token
    lines = [f"上衣 {word} 裙子。" for word in ("abc", "defg", "白色", "cab", "bad")] * 4
    paper = train_vocabulary(lines, folder / "paper" / "sentencepiece.model", 290)
    return native | generic | {"transformer": paper}


def epoch(tokenizer: Any, file: str, data: Data, micro: int) -> tuple[Any, Iterator[Any]]:
    """The facts of preparing, and the batches of one pass over the data."""
    prepared = prepare(file, data, tokenizer, split="train", progress=False)
    loader = torch.utils.data.DataLoader(
        prepared.dataset,  # pyright: ignore[reportArgumentType]
        batch_size=micro,
        shuffle=True,
        collate_fn=training_collator(tokenizer, data),
    )
    return prepared, iter(loader)


def test_tokens_are_those_that_the_collator_makes_of_every_family(write, tokenizers):
    file, asked = write("rows.jsonl", rows(34)), 0
    for family, tokenizer in tokenizers.items():
        for name, policy in POLICIES.items():
            data = data_of(max_source_length=26, max_target_length=18, **policy)
            try:
                prepared, batches = epoch(tokenizer, file, data, micro=4)
            except UserError:  # no such protocol, or way to train every answer, in this family
                continue
            found = measure_file(file, data, tokenizer, split="train", forced=True, progress=False)
            assert found == prepared.facts, (family, name)
            made = list(batches)
            useful = prepared.dataset.input_ids.lengths
            constant = padded_length(family_of(tokenizer), data) is not None
            padded = sum(batch["input_ids"].numel() for batch in made)
            first = 0 if "decoder_input_ids" in made[0] else 1
            trained = sum(int(batch["labels"][:, first:].ne(UNTRAINED).sum()) for batch in made)
            told = (family, name)
            written = prepared.dataset.labels.lengths if first == 0 else 0
            assert found.tokens == int((useful + written).sum()), told
            assert found.examples == sum(len(batch["input_ids"]) for batch in made), told
            hangs_on_batches = not data.ignore_pad_in_loss and not constant
            assert found.trained_tokens == (None if hangs_on_batches else trained), told
            assert dict(found.lengths) == dict(zip(*count(useful), strict=True)), told
            if constant and first:
                assert found.padded_tokens == padded, told
            asked += 1
    assert asked >= 80


def count(lengths: Any) -> tuple[list[int], list[int]]:
    values, counts = torch.as_tensor(lengths).unique(return_counts=True)
    return values.tolist(), counts.tolist()


def test_prompts_to_generate_from_are_measured_as_they_are_prepared(write, tokenizers):
    file, data = write("rows.jsonl", rows(30)), data_of(max_source_length=26, max_target_length=18)
    for family, tokenizer in tokenizers.items():
        found = measure_file(file, data, tokenizer, split="predict", forced=False, progress=False)
        assert found == prepare(file, data, tokenizer, split="predict", progress=False).facts, (
            family
        )
    assert len(tokenizers) >= 9


@pytest.mark.parametrize("policy", [{"overlong": "refuse"}, {"overlong": "drop"}])
def test_rows_that_are_too_long_are_refused_in_the_same_words(write, tokenizers, policy):
    file = write("rows.jsonl", [{"prompt": "abc " * 30, "response": "d"}] * 3)
    data = data_of(max_source_length=8, max_target_length=8, **policy)
    with pytest.raises(UserError) as measured:
        measure_file(file, data, tokenizers["chatglm2"], split="train", forced=True)
    with pytest.raises(UserError) as prepared:
        prepare(file, data, tokenizers["chatglm2"], split="train")
    assert measured.value.problems == prepared.value.problems


def test_processes_change_nothing_and_take_the_file_piece_by_piece(write, tokenizers, monkeypatch):
    file = write("rows.jsonl", rows(700))
    monkeypatch.setattr(measuring, "LARGE", 100)
    monkeypatch.setattr(measuring, "CHUNK", 20)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    data, tokenizer = data_of(max_source_length=26, max_target_length=18), tokenizers["chatglm2"]
    alone = measure_file(file, data, tokenizer, split="train", forced=True, progress=False)
    several = data.model_copy(update={"workers": 2})
    assert measure_file(file, several, tokenizer, split="train", forced=True) == alone


def test_a_sample_says_how_sure_it_is_and_is_right_19_times_of_20(write, tokenizers):
    tokenizer, data = tokenizers["chatglm2"], data_of(max_source_length=60, max_target_length=40)
    right = 0
    for seed in range(25):
        file = write("rows.jsonl", rows(300, seed))
        args = {"split": "train", "forced": True, "progress": False}
        whole = measure_file(file, data, tokenizer, **args)
        drawn = measure_file(file, data, tokenizer, sample=60, **args)
        assert (drawn.rows, drawn.empty, drawn.texts) == (whole.rows, whole.empty, whole.texts)
        assert (drawn.sampled, drawn.examples) == (60, whole.examples)
        assert 0.01 < drawn.tokens_within < 0.15 and 0.01 < drawn.trained_within < 0.2
        assert sum(number for _, number in drawn.lengths) == pytest.approx(whole.examples, rel=0.05)
        right += abs(drawn.tokens / whole.tokens - 1) <= drawn.tokens_within
    assert right >= 20
    everything = measure_file(file, data, tokenizer, sample=1000, **args)
    assert everything == whole and everything.sampled is None


def asked_for(folder: Path, family: str, file: str) -> Run:
    """A run that trains on a file with the tokenizer in a folder."""
    base = small_model(folder / family, family)
    values = {
        "launch.train": True, "model.path": str(base), "data.train": file,
        "data.prompt_column": "prompt", "data.response_column": "response",
        "record.output": str(folder / "out"),
    }  # fmt: skip
    return resolve(Run().set(values))


def counted_loads(run: Run) -> tuple[Callable[[], Any], list[int]]:
    loads: list[int] = []

    def load() -> Any:
        loads.append(1)
        return load_tokenizer(str(run.model.tokenizer))

    return load, loads


def test_what_was_measured_once_needs_no_tokenizer_again(write, tmp_path):
    file = write("rows.jsonl", rows(20))
    run = asked_for(tmp_path, "chatglm2", file)
    load, loads = counted_loads(run)
    assert known_facts(run, file, "train") is None
    first = measure(run, load, progress=False)
    assert measure(run, load, progress=False) == first and loads == [1]
    assert known_facts(run, file, "train") == first.train
    other = run.set({"data.workers": 4, "batch.micro": 3})
    assert measure(other, load, progress=False).train == first.train and loads == [1]
    measure(run.set({"data.max_source_length": 90}), load, progress=False)
    assert len(loads) == 2
    assert measure(run, load, progress=False, sample=5).train.sampled == 5 and len(loads) == 3
    Path(file).write_text(Path(file).read_text("utf-8") + json.dumps(rows(1)[0]) + "\n", "utf-8")
    assert measure(run, load, progress=False).train.rows == 21 and len(loads) == 4
    config = tmp_path / "chatglm2" / "tokenizer_config.json"
    config.write_text(config.read_text("utf-8") + " ")
    measure(run, load, progress=False)
    assert len(loads) == 5


def test_a_damaged_record_is_measured_again(write, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write("rows.jsonl", rows(20))
    run = asked_for(tmp_path, "chatglm", file)
    load, loads = counted_loads(run)
    first = measure(run, load, progress=False)
    (record,) = (tmp_path / "cache" / "foretune" / "measured").iterdir()
    assert record == place_of(record.stem) and 300 < record.stat().st_size < 3000
    record.write_text("{")
    assert measure(run, load, progress=False) == first and len(loads) == 2


def test_an_interrupted_pass_leaves_no_record(write, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = asked_for(tmp_path, "chatglm", write("rows.jsonl", rows(20)))

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(run, lambda: load_tokenizer(str(run.model.tokenizer)), progress=False)
    assert not (tmp_path / "cache").exists()
