"""The schema by which an editor checks a run file, and the scripts that complete in a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from foretune.cli import OPTIONS, VERBS, main
from foretune.explain.completion import completion
from foretune.explain.run_schema import schema
from foretune.formats.run_file import write_run
from foretune.params.run import Run, parameters

WHOLE = schema()


def at(path: str) -> dict[str, object]:
    place = WHOLE
    for name in path.split("."):
        place = place["properties"][name]
    return place


def test_every_parameter_has_its_type_range_and_words_in_the_schema():
    json.dumps(WHOLE)
    assert len(parameters()) > 160
    for path in parameters():
        assert at(path)["description"]
        assert WHOLE["properties"][path]["$ref"].startswith("#/properties/")
    assert at("batch.micro")["minimum"] == 1 and at("batch.micro")["default"] == 8
    assert "cosine" in at("schedule.name")["enum"]
    assert at("batch")["additionalProperties"] is False


def test_a_run_file_that_foretune_writes_has_only_what_the_schema_has():
    settings = {"batch.micro": 4, "optim.learning_rate": 0.02, "method.lora.targets": ["q_proj"]}
    values = YAML(typ="safe").load(write_run(Run().set(settings)))
    leaves = dict(leaves_of(values))
    assert len(leaves) >= 3
    kinds = {"integer": int, "number": int | float, "boolean": bool, "string": str, "array": list}
    for path, value in leaves.items():
        told = at(path)
        allowed = [one.get("type") for one in told.get("anyOf", [told])]
        assert any(isinstance(value, kinds[kind]) for kind in allowed if kind in kinds), path


def leaves_of(values: dict[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves_of(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_sound_and_knows_every_verb_option_and_parameter(shell: str):
    script = completion(shell, OPTIONS)
    assert set(VERBS) <= set(OPTIONS)
    for words in (VERBS, parameters(), ("--pre_seq_len", "multi_query_group_num", "--device")):
        assert [word for word in words if word not in script] == []
    if program := shutil.which(shell):
        done = subprocess.run(
            [program, "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["foretune", "ex"], ["explain", "export"]),
        (["foretune", "explain", "pre_seq"], ["pre_seq_len"]),
        (["foretune", "explain", "--lang", "z"], ["zh"]),
        (["foretune", "check", "--dev"], ["--device"]),
        (["foretune", "train", "--batch.mi"], ["--batch.micro"]),
    ],
)
def test_bash_completes(words: list[str], found: list[str], tmp_path: Path):
    script = tmp_path / "completion.sh"
    script.write_text(completion("bash", OPTIONS))
    typed = " ".join(f'"{word}"' for word in words)
    ask = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _foretune; "
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", ask], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == found


def test_a_shell_that_is_not_known_is_refused(capsys):
    assert main(["completion", "zsh"]) == 0
    assert "#compdef foretune" in capsys.readouterr().out
    assert main(["completion", "fish"]) == 2
    assert "bash, zsh" in capsys.readouterr().err
