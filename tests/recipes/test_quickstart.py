"""The recipe behind `make run`: its data, its scripts, its base, and (slow) what it promises."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import foretune

SCORES = ("bleu-4", "rouge-1", "rouge-2", "rouge-l")


@pytest.fixture(scope="module")
def recipe(repository: Path) -> Path:
    return repository / "recipes/quickstart"


@pytest.fixture(scope="module")
def scripts(recipe: Path) -> Iterator[dict[str, ModuleType]]:
    """The recipe's Python files as modules."""
    sys.path.insert(0, str(recipe))
    loaded = {}
    for name in ("make_data", "make_base"):
        spec = importlib.util.spec_from_file_location(name, recipe / f"{name}.py")
        assert spec is not None and spec.loader is not None
        loaded[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded
    sys.path.remove(str(recipe))


@pytest.fixture(scope="module")
def small_base(scripts: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base after two steps."""
    folder = tmp_path_factory.mktemp("quickstart") / "base"
    scripts["make_base"].make_base(folder, steps=2)
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def attributes(content: str) -> list[tuple[str, str]]:
    pairs = [part.split("#") for part in content.split("*")]
    assert all(len(pair) == 2 and all(pair) for pair in pairs), content
    return [(key, value) for key, value in pairs]


# The data


def test_the_files_are_those_that_the_script_writes(
    recipe: Path, scripts: dict[str, ModuleType], tmp_path: Path
):
    scripts["make_data"].write(tmp_path)
    made = sorted(file.name for file in tmp_path.iterdir())
    assert made == ["dev.json", "text.txt", "train.json"]
    for name in made:
        assert (tmp_path / name).read_bytes() == (recipe / name).read_bytes(), name
    assert sum((recipe / name).stat().st_size for name in made) < 1_500_000


def test_rows_have_the_form_of_advertisegen_and_say_every_attribute(recipe: Path):
    seen = {"train": 0, "dev": 0}
    for name in seen:
        for row in rows(recipe / f"{name}.json"):
            assert list(row) == ["content", "summary"]
            (first, _), *told = attributes(row["content"])
            assert first == "类型" and 4 <= len(told) <= 6
            missing = [value for _, value in told if value not in row["summary"]]
            assert not missing, row
            seen[name] += 1
    assert seen == {"train": 2000, "dev": 100}


def test_no_list_of_dev_stands_in_train(recipe: Path):
    train = {frozenset(attributes(row["content"])) for row in rows(recipe / "train.json")}
    dev = [frozenset(attributes(row["content"])) for row in rows(recipe / "dev.json")]
    assert len(train) == 2000 and len(set(dev)) == 100
    assert not train & set(dev)


def test_the_base_never_reads_a_list_with_its_copy(recipe: Path, scripts: dict[str, ModuleType]):
    documents = scripts["make_base"].read_documents(recipe / "text.txt")
    assert len(documents) == 4800
    lists = [document for document in documents if "类型#" in document]
    assert len(lists) == 822
    assert not [document for document in lists if re.search("这[件条]|选用|以.{1,3}示人", document)]
    copies = {row["summary"] for name in ("train", "dev") for row in rows(recipe / f"{name}.json")}
    answers = {document.partition("\n答：")[2] for document in lists}
    assert (len(copies), len(answers)) == (2100, 280) and not copies & answers


# The scripts


def test_the_scripts_read_as_one_run_and_its_evaluation(recipe: Path):
    train, evaluate = (foretune.read(recipe / f"{name}.sh") for name in ("train", "evaluate"))
    assert (train.method.name, train.method.prefix.length) == ("ptuning", 32)
    assert train.launch.train and train.launch.predict
    assert evaluate.launch.predict and not evaluate.launch.train
    assert train.record.output == "output/quickstart/pt-32-2e-2"
    last = f"{train.record.output}/checkpoint-{train.schedule.max_steps}"
    assert evaluate.method.checkpoint == last
    assert train.schedule.max_steps % train.record.save_steps == 0
    for path in ("model.path", "data.test", "data.max_source_length", "data.max_target_length"):
        assert train.origin(path) is not None and evaluate.origin(path) is not None
    assert train.data.test == evaluate.data.test and train.model.path == evaluate.model.path
    assert train.data.max_source_length == evaluate.data.max_source_length
    assert train.data.max_target_length == evaluate.data.max_target_length


def test_run_sh_uses_the_paths_and_lengths_of_train_sh(recipe: Path):
    train, text = foretune.read(recipe / "train.sh"), (recipe / "run.sh").read_text("utf-8")
    assert f"BASE={train.model.path}\n" in text and f"AFTER={train.record.output}\n" in text
    for flag, value in (
        ("max_source_length", train.data.max_source_length),
        ("max_target_length", train.data.max_target_length),
        ("max_predict_samples", train.data.max_predict_rows),
        ("per_device_eval_batch_size", train.batch.eval),
    ):
        assert f"--{flag} {value} " in text, flag


# The base


def test_the_vocabulary_has_the_published_layout(small_base: Path):
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(str(small_base / "tokenizer.model"))
    assert len(pieces) == 2000
    assert [pieces.id_to_piece(i) for i in range(4)] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert pieces.id_to_piece(258) == "<0xFF>" and not pieces.is_byte(259)
    assert not [t for t in ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop") if pieces[t] != 0]
    assert pieces.encode("12", out_type=str)[-2:] == ["1", "2"]
    for unseen in ("龘\t①", "ｘ  ﬁ", "Ａ，１\n"):  # bytes where no piece fits; nothing normalised
        assert pieces.decode(pieces.encode(unseen)) == unseen


def test_values_are_pieces_of_their_own(small_base: Path, scripts: dict[str, ModuleType]):
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(str(small_base / "tokenizer.model"))
    values = [value for table in scripts["make_data"].PHRASES.values() for value in table]
    assert len(values) == 54
    whole = [value for value in values if pieces[value] != pieces.unk_id()]
    assert len(whole) >= 52, sorted(set(values) - set(whole))


def test_the_base_is_laid_out_as_a_published_model(small_base: Path):
    from foretune.models.loading import load_model
    from foretune.tokenizers import load_tokenizer

    names = {file.name for file in small_base.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.model", "tokenizer_config.json"} <= names
    tokenizer, model = load_tokenizer(str(small_base)), load_model(str(small_base))
    assert type(tokenizer).__name__ == "ChatGLM2Tokenizer"
    assert model.config.padded_vocab_size == 2048 >= len(tokenizer) == 2005
    prompt = tokenizer.encode(tokenizer.build_prompt("类型#裙"))
    assert prompt[:2] == [tokenizer.get_command("[gMASK]"), tokenizer.get_command("sop")]
    ids = model.generate(
        **tokenizer("你好", return_tensors="pt"), max_new_tokens=2, do_sample=False
    )
    assert ids.shape[0] == 1


def test_no_row_loses_its_answer_to_truncation(recipe: Path, small_base: Path):
    run = foretune.read(recipe / "train.sh").set(
        {
            "model.path": str(small_base),
            "data.train": str(recipe / "train.json"),
            "data.test": str(recipe / "dev.json"),
        }
    )
    facts = foretune.plan(run, tokens=True).facts
    assert facts.train is not None and facts.test is not None
    assert (facts.train.examples, facts.test.examples) == (2000, 64)
    assert facts.train.damage.rows == 0 == facts.test.damage.rows


def test_a_finished_base_is_used_again(
    scripts: dict[str, ModuleType],
    small_base: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    before = {file.name: file.stat().st_mtime_ns for file in small_base.iterdir()}
    monkeypatch.setattr(sys, "argv", ["make_base.py", str(small_base)])
    scripts["make_base"].main()
    assert "is there already and is used" in capsys.readouterr().out
    assert before == {file.name: file.stat().st_mtime_ns for file in small_base.iterdir()}


# The whole


@pytest.mark.slow
def test_the_quickstart_raises_the_score_clearly(recipe: Path, tmp_path: Path):
    shutil.copytree(recipe, tmp_path / "recipes/quickstart")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "recipes/quickstart/run.sh"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    before, after = (
        json.loads((tmp_path / "output/quickstart" / name / "predict_results.json").read_text())
        for name in ("before", "pt-32-2e-2")
    )
    assert before["predict_samples"] == after["predict_samples"] == 64
    assert before["predict_bleu-4"] < 5 and after["predict_bleu-4"] > 40
    assert (
        len([name for name in SCORES if after[f"predict_{name}"] > before[f"predict_{name}"]]) == 4
    )
    assert (tmp_path / "output/quickstart/pt-32-2e-2/report.html").is_file()
    commands = re.findall(r"^  \.venv/bin/(foretune [^#]+?) *#", ran.stdout, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        again = subprocess.run(
            command.split(), cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True
        )
        assert again.returncode == 0, (command, again.stderr[-2000:])
