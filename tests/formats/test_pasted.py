"""Fragments as people paste them: what they are taken for, and what they say."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.model_config import model_file
from foretune.formats.python_text import fragments
from foretune.formats.read import kind_of, read
from foretune.params.arch.llama3 import ModelArgs
from foretune.params.arch.transformer import Transformer
from foretune.params.run import Run

KINDS = {
    "chatglm-6b/train-as-pasted.sh": "shell",
    "chatglm2-6b-finetuned/config-as-pasted.txt": "config",
    "chatglm2-6b-finetuned/log-as-pasted.txt": "log",
    "llama3/hyperparameters-as-pasted.txt": "pasted",
    "llama3/model-args-as-pasted.py": "pasted",
    "transformer/hyperparameters-as-pasted.txt": "pasted",
}


def from_standard_input(text: str, patch: pytest.MonkeyPatch) -> Run:
    patch.setattr(sys, "stdin", io.StringIO(text))
    return read("-")


def pasted(tmp_path: Path, text: str) -> Run:
    (tmp_path / "pasted.txt").write_text(text, "utf-8")
    return read(tmp_path / "pasted.txt")


def test_every_pasted_fragment_is_told_by_its_content(shared: Path):
    files = sorted(shared.glob("inputs/*/*-as-pasted.*"))
    found = {
        f"{file.parent.name}/{file.name}": kind_of(file.read_text("utf-8"), "-") for file in files
    }
    assert found == KINDS


def test_every_pasted_fragment_says_what_it_was_taken_for(
    shared: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = 0
    for name in KINDS:
        file = shared / "inputs" / name
        for run in (read(file), from_standard_input(file.read_text("utf-8"), monkeypatch)):
            assert run.notes[0].what.startswith("taken for "), name
            seen += 1
    assert seen == 12


@pytest.mark.parametrize("name", ["hyperparameters-as-pasted.txt", "model-args-as-pasted.py"])
def test_metas_sizes_are_read_from_lines_and_from_source(shared: Path, name: str):
    found = model_file(read(shared / "inputs/llama3" / name))
    whole = model_file(read(shared / "inputs/llama3/params.json"))
    assert found is not None and whole is not None
    assert isinstance(found.architecture, ModelArgs)
    assert (found.architecture, found.keys) == (whole.architecture, whole.keys)
    lines = (shared / "inputs/llama3" / name).read_text("utf-8").split("\n")
    assert all(key in lines[line - 1] for key, line in found.lines.items())
    assert len(found.lines) == 11


def test_the_papers_sizes_are_read_from_lines_with_comments(shared: Path):
    found = model_file(read(shared / "inputs/transformer/hyperparameters-as-pasted.txt"))
    whole = model_file(read(shared / "inputs/transformer/base.json"))
    assert found is not None and whole is not None
    assert isinstance(found.architecture, Transformer)
    assert found.keys == whole.keys


def test_of_two_printed_models_the_first_counts_and_the_other_is_told(shared: Path):
    run = read(shared / "inputs/llama3/model-args-printed.txt")
    found = model_file(run)
    assert found is not None and found.shape.hidden == 4096
    (note,) = [one for one in run.notes if "second" in one.what]
    assert note.where.endswith("printed.txt:2")
    assert note.why == "it has dim = 512, n_layers = 16; the first one counts"


def test_a_config_from_the_standard_input_is_the_config(
    shared: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (shared / "inputs/chatglm2-6b-finetuned/config-as-pasted.txt").read_text("utf-8")
    found = model_file(from_standard_input(text, monkeypatch))
    whole = model_file(read(shared / "inputs/chatglm2-6b-finetuned/config.json"))
    assert found is not None and whole is not None
    assert (found.architecture, found.file) == (whole.architecture, "standard input")


def test_arguments_of_a_script_are_known_by_their_names(tmp_path: Path):
    run = pasted(
        tmp_path,
        "# 训练参数\nlearning_rate = 1e-4  # 学习率\nbf16 = true\noptim = adamw_torch\n"
        "output_dir = ./out/x\nlora_target = q_proj,v_proj\n",
    )
    assert (run.optim.learning_rate, run.precision.mixed) == (1e-4, "bf16")
    assert (run.optim.name, run.record.output) == ("adamw_torch", "./out/x")
    assert run.method.lora.targets == ("q_proj", "v_proj")
    assert str(run.origin("precision.mixed")).endswith("pasted.txt:3 (bf16)")
    assert run.notes[0].what == "taken for arguments of a training script"


def test_a_call_in_a_program_is_read_with_the_constants_above_it(tmp_path: Path):
    run = pasted(
        tmp_path,
        "LR = 2e-5\n"
        "args = transformers.TrainingArguments(\n"
        "    output_dir='out',\n"
        "    learning_rate=LR,\n"
        "    per_device_train_batch_size=batch,\n"
        "    optim=OptimizerNames.ADAMW_TORCH,\n"
        ")\n",
    )
    assert (run.record.output, run.optim.learning_rate) == ("out", 2e-5)
    (note,) = [one for one in run.notes if "is not read" in one.what]
    assert note.what == "per_device_train_batch_size is not read"
    assert note.where.endswith("pasted.txt:5")


def test_parameters_of_a_run_file_are_known_by_their_paths(tmp_path: Path):
    run = pasted(tmp_path, "batch.micro = 4\nmethod.lora.targets = none\n")
    assert (run.batch.micro, run.method.lora.targets) == (4, None)
    run = pasted(tmp_path, "batch.micro = 4\nmodel.path = 'weights'\n")  # which is TOML, too
    assert (run.batch.micro, run.model.path) == (4, "weights")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a = 1 b = None  # 或者 c = -1 # 通常", {"a": 1, "b": None, "c": -1}),
        ("@dataclass class M: d: int = 64 n: Optional[int] = None", {"d": 64, "n": None}),
        ("a ＝ 1e-5，\nb： int = 2", {"a": 1e-5, "b": 2}),
        ("d_model = 512\nffn = 4 * d_model", {"d_model": 512, "ffn": 2048}),
        ("class M:\n  x: int = field(default=8, metadata={'help': 'h'})\n  y: int", {"x": 8}),
        ("# lr = 3\nlr = 1e-4", {"lr": 1e-4}),
        (
            "Model(a=<Kind.NO: 'no'>, b=torch.float16, c=[1, 2])",
            {"a": "no", "b": "float16", "c": [1, 2]},
        ),
        ("flag = true\nname = ./a/b", {"flag": True, "name": "./a/b"}),
    ],
)
def test_values_are_read_in_whatever_form_they_stand(text: str, values: dict[str, object]):
    (found,) = fragments(text)
    assert found.values == values


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello world",
        "a: 1\nb: 2",
        "PRE_SEQ_LEN=128\nLR=2e-2",
        "LR=2e-2 python3 main.py --lr $LR",
        "x = 1 and then some words\ny = 2",
        "import os\nprint('hello')",
        "if x:\n  y = 1\n}",
    ],
)
def test_other_text_is_no_fragment(text: str):
    assert fragments(text) == []


def test_nothing_of_pasted_source_is_run(tmp_path: Path):
    mark = tmp_path / "mark"
    (found,) = fragments(f"class M:\n  a: int = open({str(mark)!r}, 'w')\n  b: int = 1")
    assert (found.values, found.unread) == ({"b": 1}, {"a": 2})
    assert not mark.exists()


def test_names_that_nobody_knows_are_refused(tmp_path: Path):
    with pytest.raises(UserError) as refused:
        pasted(tmp_path, "colour = 3\ntaste = 4")
    (problem,) = refused.value.problems
    assert problem.what == "whose names colour, taste are cannot be told"


def test_a_printed_config_is_read_with_its_name_in_front(tmp_path: Path):
    run = pasted(
        tmp_path,
        'Model config ChatGLMConfig {\n "model_type": "chatglm",\n "inner_hidden_size": 16384\n}',
    )
    found = model_file(run)
    assert found is not None and type(found.architecture).__name__ == "ChatGLM"
    assert found.lines["inner_hidden_size"] == 3
