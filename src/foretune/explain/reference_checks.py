"""The reference pages of what is computed: every formula, and every rule of `foretune check`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, cast

from ..check.finding import SEVERITY_WORDS
from ..check.rule import Rule, rules
from ..facts import Seen
from ..params.declare import Words
from ..params.units import unit_in
from ..plan.formula import every_formula
from .entry import CONFIG, of_config, of_run
from .example import example
from .labels import MADE
from .phrases import as_written

TEXTS = {
    "formulas": Words("Formulas", "公式"),
    "about formulas": Words(
        "What the numbers of `foretune plan` and `foretune explain` are made of: each formula is "
        "printed from the function that computes it, with the numbers of a small example.",
        "`foretune plan` 与 `foretune explain` 中各个数字的来历：每个公式都由计算它的函数本身打印出"
        "来，并代入一个小例子的数字。",
    ),
    "in": Words("in", "单位"),
    "rules": Words("Rules of `foretune check`", "`foretune check` 的规则"),
    "about rules": Words(
        "What is wrong, the thread or the code that shows it, and a run that the rule flags.",
        "检查什么、依据哪个讨论或哪段代码，以及一个会被指出的例子。",
    ),
    "head": Words(
        "| code | what is wrong | shown by | example |", "| 代码 | 问题 | 依据 | 会被指出的例子 |"
    ),
    "about": Words("About", "涉及"),
    "also": Words("and", "以及"),
}


def formulas(language: str) -> Iterator[str]:
    """Every formula: what it counts, how it is written, and what it comes to on an example."""
    yield from (f"# {TEXTS['formulas'].in_language(language)}", "")
    yield f"{MADE.in_language(language)} {TEXTS['about formulas'].in_language(language)}"
    worked = dict(_worked(language))
    for name, formula in sorted(every_formula().items()):
        yield from ("", f"## `{name}`", "", formula.words.in_language(language), "")
        unit = unit_in(formula.unit, language)
        yield f"`{ast.unparse(formula.expression)}` ({TEXTS['in'].in_language(language)} {unit})"
        if name in worked:
            yield from ("", f"`{worked[name]}`")


def _worked(language: str) -> Iterator[tuple[str, str]]:
    """Each formula with the numbers of one of the examples."""
    from ..params.arch.llama3 import ModelArgs

    entries = (
        of_config(ModelArgs, "dim"),
        of_run("method.prefix.length"),
        of_run("batch.eval"),
        of_run("batch.micro"),
    )
    for entry in entries:
        for amount in example(entry)[0].amounts.values():
            yield amount.formula.name, amount.text_in(language)


def rules_page(language: str) -> Iterator[str]:
    """A table of all rules: rule, thread, example; then the reasons."""
    yield from (f"# {TEXTS['rules'].in_language(language)}", "")
    yield f"{MADE.in_language(language)} {TEXTS['about rules'].in_language(language)}"
    yield from ("", TEXTS["head"].in_language(language), "|---|---|---|---|")
    for rule in rules():
        named = _said_of_its_example(rule) if language == "zh" else rule.name
        cells = (rule.code, named, _linked(rule.source), _example(rule))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    for rule in rules():
        yield from ("", *_reason(rule, language))


def _reason(rule: Rule, language: str) -> Iterator[str]:
    severity = SEVERITY_WORDS[rule.severity].in_language(language)
    yield f"## {rule.code} {rule.name} ({severity})"
    yield ""
    yield rule.words.in_language(language)
    yield ""
    fields = ", ".join(f"`{field}`" for field in rule.fields)
    yield f"{TEXTS['about'].in_language(language)}: {fields}"


def _linked(source: str) -> str:
    """A source whose addresses can be followed."""
    return re.sub(r"https?://[^\s,;)]+", lambda found: f"[{_short(found[0])}]({found[0]})", source)


def _short(address: str) -> str:
    return re.sub(r"^https?://(www\.)?", "", address)


def _said_of_its_example(rule: Rule) -> str:
    """What is wrong, as it is said of the run in the last column: names of rules are English."""
    return next(iter(rule.check(rule.flags.subject()))).what.zh


def _example(rule: Rule) -> str:
    """The run that the rule flags, with all that it is told; of a model's keys those that the rule
    is about.
    """
    shown = rule.flags
    parts = [*_settings(shown.settings), *_settings(dict(shown.also), "second file: ")]
    of_model = {
        key: value
        for key, value in (shown.model or {}).items()
        if key in ("model_type", "_name_or_path") or f"{CONFIG}{key}" in rule.fields
    }
    parts += _settings({f"{CONFIG}{key}": value for key, value in of_model.items()})
    for document in shown.documents:
        parts += _settings(document.keys, f"{document.file}: ")
    if shown.facts is not None:
        parts += _settings(dict(_measured(shown.facts)))
    parts += [f"`{note.where}`" for note in shown.notes]
    if shown.device is not None:
        parts.append(f"`--device {shown.device}`")
    if shown.gpus != 1:
        parts.append(f"`--gpus {shown.gpus}`")
    return " ".join(parts)


def _settings(settings: Mapping[str, object], file: str = "") -> list[str]:
    return [f"`{file}{path}={as_written(value)}`" for path, value in settings.items()]


def _measured(facts: object, above: str = "") -> Iterator[tuple[str, object]]:
    """What an example says was measured, by name: whatever is not as it is by default."""
    for one in fields(cast(Any, facts)):
        value = getattr(facts, one.name)
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        if value == default or one.name in ("transformers", "file", "lines"):
            continue
        name = f"{above}.{one.name}" if above else one.name
        if isinstance(value, Seen):
            yield name, value.count
        elif is_dataclass(value):
            yield from _measured(value, name)
        elif isinstance(value, tuple):
            for inner in cast(tuple[object, ...], value):
                yield from _measured(inner, name) if is_dataclass(inner) else [(name, inner)]
        else:
            yield name, value
