"""A model's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foretune.errors import UserError
from foretune.formats.json_text import key_lines, read_json
from foretune.formats.model_config import model_file, read_model_config
from foretune.formats.read import read


@pytest.mark.parametrize(
    ("model", "family", "heads"),
    [
        ("chatglm-6b", "ChatGLM", 32),
        ("chatglm2-6b", "ChatGLM2", 2),
        ("chatglm2-6b-finetuned", "ChatGLM2", 2),
    ],
)
def test_the_published_configs_are_read(shared: Path, model: str, family: str, heads: int):
    file = shared / "inputs" / model / "config.json"
    found = model_file(read(file))
    assert found is not None
    assert type(found.architecture).__name__ == family
    assert (found.shape.layers, found.shape.kv_heads) == (28, heads)
    assert found.keys == json.loads(file.read_text("utf-8"))
    lines = file.read_text("utf-8").split("\n")
    assert len(found.lines) == len(found.keys) >= 20
    assert all(f'"{key}"' in lines[line - 1] for key, line in found.lines.items())


def test_a_folder_and_a_path_in_a_script_lead_to_the_same_config(shared: Path):
    folder = shared / "inputs/chatglm2-6b"
    by_folder = model_file(read(folder))
    by_script = model_file(read(folder / "train.sh", set={"model.path": str(folder)}))
    by_file = model_file(read(folder / "train.sh", folder / "config.json"))
    assert by_folder is not None
    assert by_folder == by_script == by_file


def test_a_model_of_the_hub_has_no_config_here(shared: Path):
    assert model_file(read(shared / "inputs/chatglm2-6b/train.sh")) is None


def test_a_config_copied_from_a_web_page_is_mended_with_notes(shared: Path):
    folder = shared / "inputs/chatglm2-6b-finetuned"
    run = read(folder / "config-as-pasted.txt")
    pasted, whole = model_file(run), model_file(read(folder / "config.json"))
    assert pasted is not None and whole is not None
    assert (pasted.architecture, pasted.keys) == (whole.architecture, whole.keys)
    assert [note.what for note in run.notes] == [
        "taken for a model's config.json",
        "blanks that JSON does not know are read as blanks",
        "the outer brackets are missing",
    ]


def config(**changed: object) -> str:
    keys = {"model_type": "chatglm", "padded_vocab_size": 65024, "num_layers": 2, **changed}
    return json.dumps(keys, indent=1)


def test_an_unknown_key_is_noted_with_its_line():
    found, notes = read_model_config(config(num_layer=3, mine=1), "config.json")
    assert found is not None
    assert [(note.what, note.where, note.why) for note in notes] == [
        ("num_layer is read by nothing here", "config.json:5", "anybody may add keys to it"),
        ("mine is read by nothing here", "config.json:6", "anybody may add keys to it"),
    ]
    _, (note,) = read_model_config(config(kv_chanels=3), "config.json")
    assert note.why == "did you mean kv_channels?"


def test_a_key_given_twice_is_noted():
    text = config().replace('"num_layers": 2', '"num_layers": 2,\n "num_layers": 3')
    found, (note,) = read_model_config(text, "config.json")
    assert found is not None and found.shape.layers == 3
    assert (note.what, note.where) == ("num_layers is given twice", "config.json:5")


def test_values_that_cannot_be_are_refused_with_their_lines():
    with pytest.raises(UserError) as refused:
        read_model_config(config(num_layers="28", hidden_size=0), "config.json")
    assert [(problem.what, problem.where) for problem in refused.value.problems] == [
        ("hidden_size = 0", "config.json:5"),
        ("num_layers = '28'", "config.json:4"),
    ]


def test_an_unknown_family_is_noted_and_has_no_sizes(tmp_path: Path):
    (tmp_path / "config.json").write_text('{\n "model_type": "gpt2"}', "utf-8")
    run = read(tmp_path)
    assert model_file(run) is None
    (note,) = run.notes
    assert note.what == "model_type 'gpt2' is no family known here"
    assert note.where.endswith("config.json:2")


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ('{"a": 1,\n  }', "x.json:", "take out the comma in front of the bracket"),
        ('{"a":\n  True}', "x.json:2, column 3", "write true"),
        ("{“a”: 1}", "x.json:1, column 2", "write straight quotes"),
        ('{"a": 1\n  // no\n}', "x.json:2, column 3", "take the comment out; JSON has none"),
        ('{"a": 1', "x.json:1, column 8", None),
    ],
)
def test_broken_json_is_refused_with_line_and_column(text: str, place: str, fix: str | None):
    with pytest.raises(UserError) as refused:
        read_json(text, "x.json")
    (problem,) = refused.value.problems
    assert problem.where.startswith(place)
    assert fix is None or problem.fix == fix


def test_the_line_of_every_key_is_found():
    text = '{"a":\n {"b\\"": [1, {"c": "d: {"}],\n\n\t"e" : 1},\n "f": "x"}'
    assert list(key_lines(text)) == [
        (("a",), 1),
        (("a", 'b"'), 2),
        (("a", 'b"', "[]", "c"), 2),
        (("a", "e"), 4),
        (("f",), 5),
    ]


def test_a_config_that_is_named_and_not_there_is_refused(tmp_path: Path):
    run = read(set={"model.path": str(tmp_path)})
    assert model_file(run) is None
    with pytest.raises(UserError) as refused:
        read(set={"model.config": str(tmp_path)})
    assert refused.value.problems[0].where == f"command line (--set model.config={tmp_path})"
