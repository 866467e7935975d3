"""The reference pages, made from the declarations, in both languages; and the schema by which an
editor checks a run file.

    python -m foretune.explain.reference docs/reference

writes them there. A test holds that the committed pages are fresh.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from ..files import write_whole
from ..formats import official
from ..formats.removed_arguments import REMOVED
from ..formats.spellings import about, tables
from ..formats.writing import DOCUMENTS, FORMS
from ..params.declare import Words, words_of
from ..params.run import parameters, section_of
from ..text import in_language
from .coverage import coverage_table
from .entry import Entry, called, config_entries, models, of_run
from .labels import MADE, STARS, say
from .phrases import facts, is_name
from .reference_checks import formulas, rules_page
from .run_schema import SCHEMA, schema_text

TEXTS = {
    "parameters": Words("Parameters", "参数一览"),
    "about parameters": Words(
        "`foretune explain NAME` shows one of these with its effect, and with a run its value "
        "there and where that came from. ★★★ makes or breaks a run, ★★ is worth knowing.",
        "`foretune explain 名称 --lang zh` 显示其中一项及其影响；再给出训练脚本，就会显示它在那里的"
        "取值和来历。★★★ 决定成败，★★ 值得了解。",
    ),
    "config-keys": Words("Keys of model configs", "模型配置的键"),
    "about config-keys": Words(
        "What each key of a model's config.json (or params.json) does, by family. A default is "
        "what holds where the file does not say it.",
        "各模型族的 config.json（或 params.json）中每个键的作用。默认值是文件没有写时所取的值。",
    ),
    "formats": Words("Names of others", "其他程序的名称"),
    "about formats": Words(
        "What other programs and formats call the parameters of a run.",
        "其他程序和格式对同一参数的叫法。",
    ),
    "unread": Words("Arguments without an effect", "不起作用的参数"),
    "written": Words("Forms that are written", "可以写出的格式"),
    "about written": Words(
        "`foretune convert FILE... --to FORM` prints a run in one of these, reads it again, and "
        "says what did not come back.",
        "`foretune convert 文件... --to 格式` 把一次训练写成其中一种格式，再读一遍，并说明哪些没"
        "能带过去。",
    ),
    "as read": Words("the file that was read, whole", "读到的文件，原样写出"),
    "removed": Words("Names that transformers 5 has no longer", "transformers 5 不再接受的名称"),
    "about removed": Words(
        "They are read all the same, and the report says as what.",
        "照样能读，报告会写明读成了什么。",
    ),
    "no effect": Words("no effect", "不起作用"),
    "inherited": Words(
        "Keys of every config.json, explained once", "每个 config.json 都有的键，只解释一次"
    ),
}
FORMATS = {
    "official": Words(
        "main.py of ChatGLM-6B and ChatGLM2-6B", "ChatGLM-6B 与 ChatGLM2-6B 的 main.py"
    ),
    "baichuan2": Words("fine-tune.py of Baichuan2", "Baichuan2 的 fine-tune.py"),
    "launchers": Words("torchrun, deepspeed, environment", "torchrun、deepspeed 与环境变量"),
    "accelerate": Words("accelerate's configuration and flags", "accelerate 的配置与命令行参数"),
    "deepspeed": Words("ds_config.json of DeepSpeed", "DeepSpeed 的 ds_config.json"),
    "peft": Words("adapter_config.json of PEFT", "PEFT 的 adapter_config.json"),
    "training_arguments": Words(
        "transformers' TrainingArguments", "transformers 的 TrainingArguments"
    ),
}


def text(key: str, language: str) -> str:
    return TEXTS[key].in_language(language)


def parameters_page(language: str) -> Iterator[str]:
    """Every parameter of a run."""
    yield from _opening("parameters", language)
    for section, paths in groupby(parameters(), key=lambda path: path.rpartition(".")[0]):
        members = list(paths)
        yield from ("", f"## {section}", "")
        yield words_of(section_of(members[0])).in_language(language)
        for path in members:
            yield from ("", *_declared(of_run(path), language))


def config_page(language: str) -> Iterator[str]:
    """Every key of every family's file; what a key means in many is said at the first."""
    yield from _opening("config-keys", language)
    told: set[tuple[str, str]] = set()
    for section in models():
        title = in_language(called(section), language)
        yield from ("", f"## {title}", "", words_of(section).in_language(language))
        again: list[str] = []
        for entry in config_entries(section):
            said = (entry.name, entry.words.en)
            if said in told:
                again.append(f"`{entry.name}`")
                continue
            told.add(said)
            yield from ("", *_declared(entry, language))
        if again:
            yield from ("", f"{text('inherited', language)}: {', '.join(again)}")


def formats_page(language: str) -> Iterator[str]:
    """Every name that a format has for a parameter."""
    yield from _opening("formats", language)
    yield from ("", *coverage_table(language))
    for module, table in tables().items():
        title = FORMATS.get(module) or about(module)
        yield from ("", f"## {title.in_language(language)}", "")
        yield from (f"- `{name}`: `{path}`" for name, path in sorted(table.items()))
    yield from ("", f"## {text('unread', language)}", "")
    for name in sorted(official.UNREAD):
        yield f"- `{name}`: {in_language(official.why_unread(name), language)}"
    yield from ("", f"## {text('written', language)}", "", text("about written", language), "")
    yield from (f"- `{name}`: {form.words.in_language(language)}" for name, form in FORMS.items())
    yield from (f"- `{name}`: {text('as read', language)}" for name in DOCUMENTS)


def removed_page(language: str) -> Iterator[str]:
    """Every name that transformers had and has no longer."""
    yield from _opening("removed", language)
    yield ""
    for name, removed in sorted(REMOVED.items()):
        example = True if removed.kind == "boolean" else "0.5"  # which parameter, for any value
        read_as = ", ".join(f"`{path}`" for path in removed.read(example))
        meaning = read_as or text("no effect", language)
        mark = "；" if language == "zh" else "; "
        yield f"- `{name}`: {meaning}{mark}{in_language(removed.why, language)}"


def _opening(page: str, language: str) -> Iterator[str]:
    yield from (f"# {text(page, language)}", "")
    yield f"{MADE.in_language(language)} {text(f'about {page}', language)}"


def _declared(entry: Entry, language: str) -> Iterator[str]:
    """Heading, words, and one line of facts."""
    stars = f" {STARS[entry.facts.matters]}" if entry.facts.matters > 1 else ""
    yield f"### `{entry.name}`{stars}"
    yield ""
    yield entry.words.in_language(language)
    yield ""
    colon = "：" if language == "zh" else ": "
    told = [
        f"{say(label, language)}{colon}{_quoted(label, value)}"
        for label, value in facts(entry, language)
    ]
    yield " · ".join(told)


def _quoted(label: str, value: str) -> str:
    if label in ("takes", "default") or is_name(value):
        return f"`{value}`"
    if label == "also":
        return ", ".join(f"`{name}`" for name in value.split(", "))
    return value


MAKERS: dict[str, Callable[[str], Iterator[str]]] = {
    "parameters": parameters_page,
    "config-keys": config_page,
    "formats": formats_page,
    "removed": removed_page,
    "formulas": formulas,
    "rules": rules_page,
}
ENDINGS = {"en": ".md", "zh": ".zh.md"}
PAGES: dict[str, tuple[str, str]] = {
    f"{name}{ending}": (name, language) for name in MAKERS for language, ending in ENDINGS.items()
}
"""Every page by its file name: what it is, and its language."""


def page(file: str) -> str:
    """The whole text of a page."""
    name, language = PAGES[file]
    return "\n".join(MAKERS[name](language)) + "\n"


def write(folder: Path) -> list[Path]:
    """Writes all pages and the schema into ``folder`` and returns their places."""
    made = [write_whole(folder / file, page(file)) for file in PAGES]
    return [*made, write_whole(folder / SCHEMA, schema_text())]


def main() -> None:
    """Writes the pages into the folder that is named on the command line."""
    for written in write(Path(sys.argv[1])):
        print(written)


if __name__ == "__main__":
    main()
