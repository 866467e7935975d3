"""The reference pages, made from the declarations: every parameter, and every name that others
have for one.

    python -m foretune.explain.reference docs/reference

writes parameters.md and parameters.zh.md there. A test holds that the committed pages are fresh.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ..files import write_whole
from ..formats import official, programs, training_arguments
from ..formats.removed_arguments import REMOVED
from ..formats.spellings import spellings
from ..params.declare import facts_of, words_of
from ..params.run import expected, parameters, section_of
from .parameter import LABELS

PAGES = {"en": "parameters.md", "zh": "parameters.zh.md"}

TEXTS = {
    "en": {
        "title": "Parameters",
        "about": "Made by `python -m foretune.explain.reference docs/reference` from the "
        "declarations; never edited. `foretune explain NAME` shows one of these, and with a run "
        "its value there and where that came from. ★★★ makes or breaks a run, ★★ is worth knowing.",
        "names": "Names of others",
        "about names": "What the official scripts, TrainingArguments and scripts for LoRA call it.",
        "removed": "Names that transformers 5 has no longer",
        "about removed": "They are read all the same, and the report says as what.",
        "no effect": "no effect",
        "never read": "no effect: the authors' main.py declares it and never reads it",
    },
    "zh": {
        "title": "参数一览",
        "about": "由 `python -m foretune.explain.reference docs/reference` 根据参数声明生成，"
        "请勿手工修改。`foretune explain 名称 --lang zh` 显示其中一项；再给出训练脚本，就会显示它在"
        "那里的取值和来历。★★★ 决定成败，★★ 值得了解。",
        "names": "其他程序的名称",
        "about names": "官方脚本、TrainingArguments 以及常见 LoRA 脚本对同一参数的叫法。",
        "removed": "transformers 5 不再接受的名称",
        "about removed": "照样能读，报告会写明读成了什么。",
        "no effect": "不起作用",
        "never read": "不起作用：官方 main.py 声明了它，却从不读取",
    },
}


def page(language: str) -> str:
    """The whole page in one language, as Markdown."""
    text = TEXTS[language]
    lines = [f"# {text['title']}", "", text["about"]]
    for section, paths in groupby(parameters(), key=lambda path: path.rpartition(".")[0]):
        members = list(paths)
        lines += ["", f"## {section}", ""]
        lines.append(words_of(section_of(members[0])).in_language(language))
        for path in members:
            lines += ["", *_parameter(path, language)]
    lines += ["", f"## {text['names']}", "", text["about names"], ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in _names(language)]
    lines += ["", f"## {text['removed']}", "", text["about removed"], ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in _removed(language)]
    return "\n".join(lines) + "\n"


def write(folder: Path) -> list[Path]:
    """Writes the page of every language into ``folder`` and returns their places."""
    return [write_whole(folder / name, page(language)) for language, name in PAGES.items()]


def _parameter(path: str, language: str) -> Iterator[str]:
    """Heading, words, and one line of facts."""
    field, section = parameters()[path], section_of(path)
    facts, name = facts_of(field), path.rpartition(".")[2]
    _, takes, default, unit, _, also, source, unset = LABELS[language]
    stars = " " + "★" * facts.matters if facts.matters > 1 else ""
    yield f"### `{path}`{stars}"
    yield ""
    yield words_of(section, name).in_language(language)
    yield ""
    known = {
        takes: f"`{expected(field)}`",
        default: f"`{field.default!r}`" if field.default is not None else "",
        unset: _as_code(facts.when_unset),
        unit: facts.unit,
        also: ", ".join(f"`{other}`" for other in spellings().get(path, ()) if other != name),
        source: facts.source,
    }
    colon = "：" if language == "zh" else ": "
    yield " · ".join(f"{label}{colon}{value}" for label, value in known.items() if value)


def _as_code(text: str | None) -> str | None:
    return f"`{text}`" if text in parameters() else text


def _names(language: str) -> Iterator[tuple[str, str]]:
    paths = {**programs.PATHS, **training_arguments.KEYS}
    meanings = {name: f"`{path}`" for name, path in paths.items()}
    meanings |= dict.fromkeys(official.UNREAD, TEXTS[language]["never read"])
    yield from sorted(meanings.items())


def _removed(language: str) -> Iterator[tuple[str, str]]:
    for name, removed in sorted(REMOVED.items()):
        example = True if removed.kind == "boolean" else "0.5"  # which parameter, for any value
        read_as = ", ".join(f"`{path}`" for path in removed.read(example))
        meaning = read_as or TEXTS[language]["no effect"]
        yield name, meaning if language == "zh" else f"{meaning}; {removed.why}"


def main() -> None:
    """Writes the pages into the folder that is named on the command line."""
    for written in write(Path(sys.argv[1])):
        print(written)


if __name__ == "__main__":
    main()
