"""How a parameter is declared: facts in the call, words in the docstring under the field.

    class Lora(Section):
        \"\"\"Low-rank adapters: train W + B A instead of W.

        低秩适配器：训练 W + B A 而不是 W。
        \"\"\"

        rank: int = param(8, at_least=1, matters=3, source="arXiv:2106.09685 sec. 4.1")
        \"\"\"Rank of the update; trainable parameters grow linearly with it.

        更新矩阵的秩；可训练参数量随它线性增长。
        \"\"\"

A default, a range or a choice stands in the call or the annotation and nowhere else. ``None`` as a
default means that the value is taken from somewhere else when nobody writes it; ``when_unset`` says
from where, as the name of another parameter or as ("all rows", "所有行"). ``instead`` is what
`foretune explain` compares with to show an effect: a value, or the name of a neighbouring field.

A module of declarations postpones no annotations (``from __future__ import annotations``): types
that are text are parsed again, one by one, in every process.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

T = TypeVar("T")


class Section(BaseModel):
    """A group of parameters. Frozen; an unknown name is an error.

    What pydantic needs to validate one is built when it is first asked for: most runs touch few of
    the sections.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), defer_build=True
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What a parameter or a section means, in both languages."""

    en: str
    zh: str

    @property
    def summary(self) -> Words:
        """The first sentence of each."""
        return Words(self.en.split(". ")[0].rstrip("."), self.zh.split("。")[0])

    def in_language(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Facts:
    """What a declaration says of a parameter beside its type, default and range."""

    matters: int = 1
    """3: one of the ten that make or break a run; 2: worth knowing; 1: housekeeping."""
    unit: str | None = None
    source: str | None = None
    when_unset: Words | None = None
    """What holds where nobody writes a value; the name of another parameter in both languages."""
    secret: bool = False
    """Never shown: a token, a password."""
    instead: object = None
    """The value, or the name of the field beside it, that an effect is shown against."""


def param(
    default: T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    matters: int = 1,
    unit: str | None = None,
    source: str | None = None,
    when_unset: str | tuple[str, str] | None = None,
    secret: bool = False,
    instead: object = None,
) -> T:
    """Declares a parameter; typed as its default, so that a type checker sees an ordinary one."""
    unset = (when_unset, when_unset) if isinstance(when_unset, str) else when_unset
    facts = Facts(
        matters=matters,
        unit=unit,
        source=source,
        when_unset=Words(*unset) if unset else None,
        secret=secret,
        instead=instead,
    )
    extra: dict[str, Any] = {"facts": facts}
    declared: Any = Field(
        default, ge=at_least, gt=above, le=at_most, lt=below, json_schema_extra=extra
    )
    return declared


def facts_of(field: FieldInfo) -> Facts:
    """The facts that ``param`` recorded."""
    extra = field.json_schema_extra
    assert isinstance(extra, dict), "every field is declared with param(...)"
    return cast(Facts, extra["facts"])


def source_of(section: type[BaseModel], name: str) -> str | None:
    """Where what is said of ``section.name`` was read: as declared with it, or as the module that
    declares it says of all that it holds ('Source: ...').
    """
    own = facts_of(section.model_fields[name]).source
    if own is not None:
        return own
    owners = (one for one in section.__mro__ if name in vars(one).get("__annotations__", {}))
    return next((found for owner in owners if (found := _source(owner.__module__))), None)


@cache
def _source(module: str) -> str | None:
    told = re.search(r"^Source: (.+?)(?:\.(?= [A-Z])|\.?\n\n|\.?\Z)", _about(module), re.S | re.M)
    return " ".join(told[1].split()) if told else None


def _about(module: str) -> str:
    return (sys.modules[module].__doc__ or "").strip()


def words_of(section: type[BaseModel], name: str | None = None) -> Words:
    """The words under ``section.name``, or those of the section itself; empty where nobody wrote
    any.
    """
    if name is None:
        return _two_paragraphs(inspect.getdoc(section) or "")
    for owner in section.__mro__:
        if owner.__module__.startswith("foretune."):
            found = _docstrings(owner.__module__).get((owner.__name__, name))
            if found is not None:
                return _two_paragraphs(found)
    return Words("", "")


def _two_paragraphs(docstring: str) -> Words:
    english, _, chinese = inspect.cleandoc(docstring).partition("\n\n")
    return Words(" ".join(english.split()), "".join(line.strip() for line in chinese.split("\n")))


@cache
def _docstrings(module: str) -> dict[tuple[str, str], str]:
    """All docstrings under fields of a module, parsed once: {(class, field): text}."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        (owner.name, target.id): text
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
        for target, text in _fields_with_text(owner)
    }


def _fields_with_text(owner: ast.ClassDef) -> Iterator[tuple[ast.Name, str]]:
    for statement, below in zip(owner.body, owner.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield statement.target, below.value.value
