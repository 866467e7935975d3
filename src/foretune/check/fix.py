"""Writing the safe changes of findings into the files in which the values stand.

Only the value itself is replaced, byte for byte nothing else. What was written is read again, and
taken back where the run then differs in anything but that value.
"""

from __future__ import annotations

import difflib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from ..errors import Problem
from ..params.declare import Words
from ..params.run import Run
from ..params.setting import Origin
from .finding import Finding, both
from .rule import CONFIG

Reread = Callable[[], tuple[Run, list[Problem]]]
"""Reads the same sources once more: their run, and what is wrong with them."""


NOTHING = Words("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What became of one change."""

    code: str
    path: str
    value: object
    diff: str = ""
    """What was written; empty where nothing was."""
    left: Words = field(default=NOTHING)
    """Why nothing was written."""

    def text(self, language: str) -> str:
        """What was written, or why nothing was."""
        done = both("written", "已修改") if self.diff else both("left as it is", "未修改")
        colon = "：" if language == "zh" else ": "
        about = f"{self.code} {self.path} = {self.value}{colon}{done.in_language(language)}"
        return f"{about}\n{self.diff.rstrip() or f'  {self.left.in_language(language)}'}"


def mend(findings: Sequence[Finding], reread: Reread) -> Iterator[Mended]:
    """Writes what the findings say is safe to change, one after the other."""
    for finding in findings:
        for path, value in (finding.change or {}).items():
            run, problems = reread()
            config = path.startswith(CONFIG)
            origin = finding.origin if config else run.origin(path)
            asked = Mended(code=finding.code, path=path, value=value)
            if not config and run.get(path) == value:
                continue  # an earlier finding's change was the same
            sound = partial(_as_meant, reread, run, problems, path, value)
            yield _write(asked, origin, sound)


def mended_text(findings: Sequence[Finding], reread: Reread, language: str) -> str:
    """Writes the safe changes into their files, and says what was written and what was not."""
    nothing = both("no finding has a change that is safe to write", "没有可以安全写入的修改")
    told = [one.text(language) for one in mend(findings, reread)]
    return "\n\n".join(told or [nothing.in_language(language)])


def _write(asked: Mended, origin: Origin, sound: Callable[[], bool]) -> Mended:
    file = Path(origin.file)
    if not origin.written or not file.is_file():
        return _left(asked, *_not_in_a_file(asked, origin))
    before = file.read_bytes()
    text = before.decode("utf-8")
    after = changed(text, origin, asked.value)
    if after is None:
        return _left(
            asked,
            f"{origin} cannot be changed without changing more than the value",
            f"{origin} 无法只改这个值而不动其他内容",
        )
    _put(file, after.encode("utf-8"))
    whole = _only_key(text, after, asked) if asked.path.startswith(CONFIG) else sound()
    if not whole:
        _put(file, before)
        return _left(
            asked,
            f"{origin}: the file would not read as meant, and is as it was",
            f"{origin}：修改后读出的内容不符合预期，已恢复原样",
        )
    lines = (text.splitlines(keepends=True), after.splitlines(keepends=True))
    diff = difflib.unified_diff(*lines, origin.file, origin.file, n=1)
    shown = "".join(line if line.endswith("\n") else f"{line}\n" for line in diff)
    return Mended(code=asked.code, path=asked.path, value=asked.value, diff=shown)


def _not_in_a_file(asked: Mended, origin: Origin) -> tuple[str, str]:
    setting = f"--set {asked.path}={asked.value}"
    if origin.written:
        return f"{origin} is no file: give {setting}", f"{origin} 不是文件：请加上 {setting}"
    return f"it stands in no file: add {setting}", f"没有任何文件写出它：请加上 {setting}"


def _left(asked: Mended, en: str, zh: str) -> Mended:
    return Mended(code=asked.code, path=asked.path, value=asked.value, left=both(en, zh))


def _put(file: Path, content: bytes) -> None:
    """Writes aside first, so that no half is ever seen; the file keeps its rights."""
    file = file.resolve()
    aside = file.with_name(f".{file.name}.unfinished")
    aside.write_bytes(content)
    shutil.copymode(file, aside)
    aside.replace(file)


def _as_meant(
    reread: Reread, before: Run, problems: Sequence[Problem], path: str, value: object
) -> bool:
    """Whether the sources now say ``value`` at ``path``, and all else as before."""
    run, found = reread()

    def rest(one: Run) -> list[tuple[str, object]]:
        return [(setting.path, setting.value) for setting in one.settings if setting.path != path]

    return run.get(path) == value and rest(run) == rest(before) and len(found) <= len(problems)


def _only_key(before: str, after: str, asked: Mended) -> bool:
    key = asked.path.removeprefix(CONFIG)
    was, is_now = json.loads(before), json.loads(after)
    return {**was, key: asked.value} == is_now


def changed(text: str, origin: Origin, value: object) -> str | None:
    """The text with the value that was written at ``origin`` replaced; None where that cannot be
    done safely.
    """
    if not isinstance(value, bool | int | float | str):
        return None
    suffix = Path(origin.file).suffix.lower()
    if suffix in (".yaml", ".yml"):
        place = _in_yaml(text, origin)
    elif suffix == ".toml":
        place = None
    elif text.lstrip("\ufeff \t\r\n").startswith("{"):
        place = _in_json(text, origin)
    else:
        return _in_shell(text, origin, value)
    if place is None:
        return None
    start, end = place
    return f"{text[:start]}{_as_json(value, text[start:end])}{text[end:]}"


def _as_json(value: object, was: str) -> str:
    """The value as JSON has it, which is YAML too; a whole number stays one."""
    if isinstance(value, float) and value.is_integer() and re.fullmatch(r"-?\d+", was):
        value = int(value)
    return json.dumps(value)


def _start_of_line(text: str, line: int) -> int:
    position = 0
    for _ in range(line - 1):
        position = text.index("\n", position) + 1
    return position


def _names(origin: Origin) -> tuple[str, ...]:
    """The key as it may stand in the file: 'batch.micro' at once, or 'micro' in its section."""
    return tuple(dict.fromkeys((origin.spelling, origin.spelling.rpartition(".")[2])))


def _in_json(text: str, origin: Origin) -> tuple[int, int] | None:
    if origin.line is None:
        return None
    start = _start_of_line(text, origin.line)
    end = (text + "\n").index("\n", start)
    names = "|".join(re.escape(json.dumps(name)) for name in _names(origin))
    found = list(re.finditer(rf"(?:{names})\s*:\s*", text[start:end]))
    if len(found) != 1:
        return None
    at = start + found[0].end()
    _, stop = json.JSONDecoder().raw_decode(text, at)
    return at, stop


def _in_yaml(text: str, origin: Origin) -> tuple[int, int] | None:
    from ruamel.yaml import YAML

    found = [
        (node.start_mark.index, node.end_mark.index)
        for key, node in _yaml_pairs(cast(Any, YAML()).compose(text))
        if key.value in _names(origin) and key.start_mark.line + 1 == origin.line
        if node.id == "scalar" and node.style is None
    ]
    return found[0] if len(found) == 1 else None


def _yaml_pairs(node: Any) -> Iterator[tuple[Any, Any]]:
    if node is not None and node.id == "mapping":
        for key, value in node.value:
            yield key, value
            yield from _yaml_pairs(value)


PLAIN = re.compile(r"[\w.+/-]+")
"""Values that a shell takes as they stand."""


def _in_shell(text: str, origin: Origin, value: object) -> str | None:
    """A flag's value in a script, or behind a flag that stands alone."""
    if origin.line is None:
        return None
    flag, _, written = origin.spelling.partition(" ")
    between = r"[\s\\]+"
    if not written and "=" in flag:
        flag, _, written = flag.partition("=")
        between = "="
    if not written and not isinstance(value, bool):
        return None
    bare = written.strip("\"'")
    new = _as_word(value, bare)
    if not PLAIN.fullmatch(new) or (written and not PLAIN.fullmatch(bare)):
        return None
    pattern = rf"(?<!\S){re.escape(flag)}"
    pattern += rf"{between}(?=\S)(['\"]?){re.escape(bare)}\1(?!\S)" if written else r"(?!\S)"
    start = _start_of_line(text, origin.line)
    end = (text + "\n").index("\n", start)
    found = [one for one in re.compile(pattern).finditer(text, start) if one.start() <= end]
    if len(found) != 1:
        return None
    stop = found[0].end()
    if not written:
        return f"{text[:stop]} {new}{text[stop:]}"
    value_at = stop - len(bare) - len(found[0][1])
    return f"{text[:value_at]}{new}{text[value_at + len(bare) :]}"


def _as_word(value: object, was: str) -> str:
    if isinstance(value, bool):
        return str(value).lower() if was.islower() else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
