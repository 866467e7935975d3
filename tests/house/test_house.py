"""The rules of the house that a machine can hold: layers, walls, a light start, no place of
anybody's machine.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

LINES, FUNCTION = 500, 60


def sources(repository: Path) -> list[Path]:
    found = sorted((repository / "src").rglob("*.py"))
    assert len(found) > 40
    return found


def test_no_file_is_longer_than_the_wall(repository):
    everything = [*sources(repository), *(repository / "tests").rglob("*.py")]
    long = [path for path in everything if len(path.read_text("utf-8").splitlines()) > LINES]
    assert long == []


def test_no_function_is_longer_than_the_wall(repository):
    long = [
        f"{path.name}:{node.lineno} {node.name}"
        for path in sources(repository)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION
    ]
    assert long == []


def test_imports_run_downwards(repository):
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_the_light_half_imports_nothing_heavy():
    program = (
        "import sys, foretune, foretune.cli, foretune.formats.read, foretune.explain.command,"
        "foretune.explain.as_text, foretune.plan.forecast\n"
        "foretune.cli.main(['--help'])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'peft', 'accelerate'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_module_has_a_name_that_says_nothing(repository):
    names = {"utils", "util", "misc", "common", "helpers", "constants"}
    assert [path for path in sources(repository) if path.stem in names] == []


def test_no_path_of_a_machine_and_no_registry_is_named(repository):
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    texts = [
        repository / name
        for name in listed
        if name.endswith(
            (".py", ".md", ".toml", ".txt", ".sh", ".yaml", ".json", "Makefile", "run")
        )
    ]
    texts = [path for path in texts if path.is_file() and "test_house" not in path.name]
    assert len(texts) > 60
    bad = re.compile(r"/work/(main|shared)|/root/|/opt/(wheels|pypi)|file:///")
    found = [
        f"{path.name}: {match.group()}"
        for path in texts
        if (match := bad.search(path.read_text("utf-8", errors="replace")))
    ]
    assert found == []
