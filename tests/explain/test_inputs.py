"""`explain` and `diff` on the files that people have, and on what belongs together of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise, permutations
from pathlib import Path

import pytest

from foretune.cli import main
from foretune.columns import columns
from foretune.errors import UserError
from foretune.explain.command import explain
from foretune.formats.read import read

CHINESE = re.compile("[\u4e00-\u9fff]")
TOGETHER = [
    ["chatglm-6b/config.json", "chatglm-6b/train.sh"],
    ["chatglm-6b/config.json", "chatglm-6b/evaluate.sh"],
    ["chatglm2-6b/config.json", "chatglm2-6b/train.sh"],
    ["chatglm2-6b-finetuned/config.json", "chatglm2-6b-finetuned/train.log"],
    ["chatglm2-6b-finetuned/config.json", "chatglm2-6b/train.sh"],
    ["baichuan2-13b/config.json", "baichuan2-13b/train.sh", "baichuan2-13b/ds_config.json"],
    ["accelerate/accelerate.yaml", "accelerate/launch.sh"],
    ["chatglm2-6b/config.json", "accelerate/accelerate.yaml", "accelerate/launch.sh"],
]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explain", *words]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def files(shared: Path) -> list[Path]:
    found = sorted(path for path in (shared / "inputs").rglob("*") if path.is_file())
    assert len(found) >= 20
    return found


@pytest.mark.parametrize(("language", "form"), [("en", "text"), ("zh", "html")])
def test_every_file_is_explained(shared: Path, language: str, form: str, capsys):
    for path in files(shared):
        text = shown(capsys, str(path), "--lang", language, "--format", form, "--all")
        assert len(text) > 300, path
        assert (language == "zh") == bool(CHINESE.search(text)), path


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("names", TOGETHER, ids=" ".join)
def test_what_belongs_together_is_explained_as_one(
    shared: Path, names: list[str], language: str, capsys
):
    paths = [str(shared / "inputs" / name) for name in names]
    text = shown(capsys, *paths, "--lang", language)
    assert len(text.splitlines()) > 30
    assert [line for line in text.splitlines() if columns(line) > 250] == []


@pytest.mark.slow
def test_any_two_files_are_compared(shared: Path, capsys):
    compared(permutations(files(shared), 2), capsys, at_least=380)


def test_files_side_by_side_are_compared(shared: Path, capsys):
    compared(pairwise(files(shared)), capsys, at_least=19)


def compared(pairs: Iterable[tuple[Path, Path]], capsys, *, at_least: int) -> None:
    seen = 0
    for one, other in pairs:
        code = main(["diff", str(one), str(other)])
        text = capsys.readouterr()
        assert code in (0, 1), text.err
        assert (code == 0) == ("Nothing differs" in text.out)
        seen += 1
    assert seen >= at_least


def test_a_file_is_equal_to_itself(shared: Path, capsys):
    for path in files(shared):
        assert main(["diff", str(path), str(path)]) == 0
        assert "Nothing differs" in capsys.readouterr().out


def test_explaining_a_file_with_a_mistake_tells_it_and_gives_no_traceback(tmp_path: Path):
    bad = tmp_path / "config.json"
    bad.write_text('{"model_type": "chatglm", "padded_vocab_size": "many"}')
    with pytest.raises(UserError, match="padded_vocab_size = 'many'"):
        explain(read(bad))
