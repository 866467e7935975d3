"""The documents say what is so: trees, verbs, flags, parameters, run files and links, in both
languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from foretune.check.rule import rules
from foretune.cli import OPTIONS, VERBS
from foretune.explain.reference import PAGES, page
from foretune.explain.run_schema import SCHEMA, schema_text
from foretune.formats import official, training_arguments
from foretune.formats.flags import OWN_FLAG, names
from foretune.formats.launchers import TABLES
from foretune.formats.read import read
from foretune.formats.removed_arguments import REMOVED
from foretune.params.run import parameters
from foretune.plan.formula import every_formula

ROOT = Path(__file__).resolve().parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
PAGES_EN = sorted((ROOT / "docs").glob("*.md"))
PAGES_ZH = sorted((ROOT / "docs" / "zh").glob("*.md"))
HANDBOOK = [path for path in (*READMES, *PAGES_EN, *PAGES_ZH) if path.name != "log.md"]
SECTIONS = {path.partition(".")[0] for path in parameters()}
FILES = (".md", ".py", ".sh", ".json", ".jsonl", ".csv", ".yaml", ".txt", ".html", ".bin",
         ".model", ".safetensors")  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind its fence, and its lines."""

    kind: str
    text: str


def blocks(path: Path) -> list[Block]:
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
    return [Block(kind.strip(), text) for kind, text in found]


def inline_code(path: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", prose)


def commands(path: Path) -> list[str]:
    """What a reader may type: lines of shell blocks, and inline code; comments taken off."""
    lines = [
        line for block in blocks(path) if block.kind == "sh" for line in block.text.split("\n")
    ]
    lines += [
        line.removeprefix("$ ")
        for block in blocks(path)
        if block.kind == "console"
        for line in block.text.split("\n")
        if line.startswith("$ ")
    ]
    lines += inline_code(path)
    return [line for line in (re.sub(r"\s+#.*", "", line).strip() for line in lines) if line]


# --- the tree of the READMEs


def listed(path: Path) -> dict[str, str]:
    """The files and folders of the tree under src/foretune and beside it, with their comments."""
    tree = path.read_text("utf-8").partition("<!-- tree -->")[2].partition("<!-- /tree -->")[0]
    found: dict[str, str] = {}
    above: list[str] = []
    for line in tree.split("\n"):
        if entry := re.fullmatch(r"( *)(\S+)(?: +(\S.*))?", line):
            blanks, name, comment = entry.groups()
            if name.startswith("```"):
                continue
            above = [*above[: len(blanks) // 2], name]
            found["".join(above)] = comment or ""
    return found


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_tree_of_the_readme_is_the_tree_that_is_there(readme: Path):
    source = ROOT / "src"
    files = {str(path.relative_to(ROOT)) for path in source.rglob("*.py")}
    there = {path.replace("__init__.py", "") for path in files}
    assert len(there) > 90
    tree = listed(readme)
    assert {path for path in tree if path.startswith("src/")} == there
    for folder in ("recipes/", "docs/", "benchmarks/", "tests/"):
        assert folder in tree and (ROOT / folder).is_dir()


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_every_file_of_the_tree_has_a_comment(readme: Path):
    tree = listed(readme)
    assert len(tree) > 90
    assert [path for path, comment in tree.items() if not comment] == []


# --- what the pages say is known


@pytest.mark.parametrize("document", HANDBOOK, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_verb_in_the_documents_is_a_verb(document: Path):
    verbs = [verb for line in commands(document) for verb in re.findall(r"\bforetune (\w+)", line)]
    assert set(verbs) <= VERBS.keys()


@pytest.mark.parametrize("document", HANDBOOK, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_flag_in_the_documents_is_known(document: Path):
    flags = {
        flag
        for line in commands(document)
        for flag in re.findall(r"(?<![\w-])--([A-Za-z][\w.-]*)", line)
    }
    assert {flag for flag in flags if not is_known(flag)} == set()


def is_known(flag: str) -> bool:
    name = flag.replace("-", "_")
    own = {"set", "help", OWN_FLAG.removeprefix("--")}.union(*OPTIONS.values())
    off = training_arguments.negated(name) or official.negated(name)
    launchers = {option for table in TABLES.values() for option in table}
    return flag in parameters() or name in names() | own | launchers or off is not None


@pytest.mark.parametrize("document", HANDBOOK, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_parameter_in_the_documents_is_one(document: Path):
    paths = {path for line in commands(document) for path in dotted(line)}
    sections = {path.rpartition(".")[0] for path in parameters()}
    assert {path for path in paths if path not in parameters() and path not in sections} == set()


def dotted(line: str) -> list[str]:
    """The words of a line that look like the path of a parameter: batch.micro, --set batch.micro=4.

    What is called, like model.chat(...), is Python.
    """
    found = re.findall(r"(?<![\w./-])(?:--)?([a-z]+(?:\.[a-z_0-9]+)+)(?![\w(./])", line)
    return [path for path in found if path.partition(".")[0] in SECTIONS and not is_file(path)]


def is_file(name: str) -> bool:
    return name.endswith(FILES)


def test_the_documents_were_looked_at():
    assert len(HANDBOOK) >= 16
    seen = [line for document in HANDBOOK for line in commands(document)]
    assert sum("foretune " in line for line in seen) > 60
    assert sum("--" in line for line in seen) > 100
    assert sum(len(dotted(line)) for line in seen) > 100


def test_every_run_file_in_the_documents_is_read(tmp_path: Path):
    read_files = 0
    for document in HANDBOOK:
        for number, block in enumerate(blocks(document)):
            if block.kind == "yaml run-file":
                file = tmp_path / f"{document.stem}-{number}.yaml"
                file.write_text(without_config(block.text), encoding="utf-8")
                assert read(file).settings
                read_files += 1
    assert read_files >= 4


def without_config(text: str) -> str:
    """A run file that names a config.json of the reader's own, which is not here."""
    return text.replace("model:\n  config: weights/config.json\n", "")


@pytest.mark.parametrize("document", HANDBOOK, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_in_the_documents_leads_somewhere(document: Path):
    links = re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert local or document.parent != ROOT
    for link in local:
        name, _, anchor = link.partition("#")
        target = document.parent / name
        assert target.is_file(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(document: Path) -> set[str]:
    """The places inside of a page, named as forges name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.M)
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in kept}


# --- both languages


def test_every_page_is_there_in_both_languages():
    english = {path.name for path in PAGES_EN} - {"log.md"}
    assert len(english) >= 7
    assert english == {path.name for path in PAGES_ZH}


@pytest.mark.parametrize("path", PAGES_ZH, ids=lambda path: path.name)
def test_both_languages_have_the_same_commands_and_files(path: Path):
    kinds = ("sh", "toml", "yaml run-file")
    same = [
        [without_comments(block.text) for block in blocks(document) if block.kind in kinds]
        for document in (path.parent.parent / path.name, path)
    ]
    assert same[0] == same[1]


def without_comments(text: str) -> list[str]:
    return [re.sub(r"\s*#.*", "", line) for line in text.split("\n")]


# --- what is generated


REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("file", PAGES)
def test_the_reference_is_fresh(file: str):
    """`python -m foretune.explain.reference docs/reference` makes it so."""
    assert (REFERENCE / file).read_text("utf-8") == page(file)


def test_the_reference_is_whole():
    made = {path.name for path in REFERENCE.iterdir()}
    assert made == {*PAGES, SCHEMA}
    for ending in (".md", ".zh.md"):
        texts = {
            name: (REFERENCE / f"{name}{ending}").read_text("utf-8")
            for name in ("parameters", "config-keys", "formulas", "rules", "removed")
        }
        assert texts["parameters"].count("\n### `") == len(parameters())
        assert texts["config-keys"].count("\n### `") > 150
        assert texts["formulas"].count("\n## `") == len(every_formula())
        assert texts["rules"].count("\n## ") == len(rules())
        assert texts["removed"].count("\n- `") == len(REMOVED)


def test_the_schema_of_the_run_file_is_fresh():
    assert (REFERENCE / SCHEMA).read_text("utf-8") == schema_text()
