"""What the quick verbs import: a page of theirs is there before a reader looks up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from foretune.cli import main

main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
run = sys.modules.get("foretune.params.run")
if run is not None and run.Run.__pydantic_complete__:
    print("a-run-validated-whole", file=sys.stderr)
"""
HEAVY = {"torch", "transformers", "numpy", "peft", "accelerate", "datasets", "ruamel", "jinja2"}
SCRIPTS = {f"foretune.formats.{name}" for name in ("shell", "launchers", "flags", "run_file")}
FORECASTS = {f"foretune.plan.{name}" for name in ("cost", "verdict", "cpu_time")}
STEPS = {f"foretune.plan.{name}" for name in ("step_amounts", "memory.peak", "of_run")}
WHOLE = "a-run-validated-whole"
"""Values are validated one by one; what validates all sections at once takes long to build."""


def imported(*words: object, folder: Path) -> set[str]:
    """Everything that a verb has imported when it has said what it says."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout, done.stderr
    return set(done.stderr.split())


@pytest.fixture
def files(tmp_path: Path, shared: Path) -> Path:
    """A folder with a config.json and a train.sh."""
    for name in ("config.json", "train.sh"):
        text = (shared / "inputs/chatglm2-6b" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_help_imports_no_declaration(files: Path):
    seen = imported("--help", folder=files)
    assert seen & (HEAVY | {"pydantic", "yaml", "foretune.params.run"}) == set()
    assert 0 < len({name for name in seen if name.startswith("foretune")}) < 20


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["explain", "config.json"], SCRIPTS | FORECASTS | STEPS | {"foretune.check.rule"}),
        (["explain", "config.json", "train.sh"], FORECASTS | {"foretune.check.rule"}),
        (["explain", "pre_seq_len"], FORECASTS),
        (["check", "config.json"], SCRIPTS | {"foretune.check.fix"}),
        (["check", "config.json", "train.sh"], {"foretune.check.fix"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_quick_verbs_import_what_they_use(words: list[str], unneeded: set[str], files: Path):
    seen = imported(*words, folder=files)
    assert seen & (HEAVY | {"yaml", WHOLE}) == set()
    assert seen & unneeded == set()
    assert "foretune.params.run" in seen


def test_types_of_declarations_are_not_text_that_every_process_parses(repository: Path):
    folder = repository / "src/foretune/params"
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    declaring = {path: text for path, text in texts.items() if text.count("= param(") > 3}
    assert len(declaring) > 45
    postponing = [path for path, text in declaring.items() if "import annotations" in text]
    assert [path.name for path in postponing] == ["run.py"]  # which returns itself
