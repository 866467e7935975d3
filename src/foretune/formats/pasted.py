"""Fragments as people paste them, in Python's spelling: whose names they are, and what they say.

`dim = 4096` may be Meta's ModelArgs, `d_model = 512` the original Transformer, `learning_rate =
1e-4` an argument of a script, `batch.micro = 4` a run file. A class or a call says by its name
whose values it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from ..errors import refuse
from ..params.arch import Family, families, family_of
from ..params.run import parameters
from ..params.setting import Note, Origin, Setting
from ..text import Said, place, sentence_list
from . import peft
from .flags import names, read_mapping
from .model_config import document_of
from .python_text import Fragment, fragments
from .reading import Reading

Owner = Literal["config", "arguments", "run", "adapter", "generation", "nobody"]

TAKEN_FOR: dict[Owner, Said] = {
    "config": Said("the sizes of a model ({family})", "模型的尺寸（{family}）"),
    "arguments": Said("arguments of a training script", "训练脚本的参数"),
    "run": Said("parameters of a run", "训练的参数"),
    "adapter": Said("an adapter of PEFT", "PEFT 适配器"),
    "generation": Said("the settings of generate()", "generate() 的设置"),
    "nobody": Said("something that is read by nothing here", "这里没有代码读取的内容"),
}
FORMS = {
    "lines": Said("lines of `key = value`", "若干行 `键 = 值`"),
    "class": Said(
        "the source of class {name}; its defaults are read", "类 {name} 的源码，读取其中的默认值"
    ),
    "call": Said(
        "a call of {name}, or what printing one gives", "对 {name} 的一次调用，或其打印结果"
    ),
}


def pasted(text: str) -> list[Fragment]:
    """What text holds that is pasted in Python's spelling and known here; none where it is no such
    fragment.
    """
    found = fragments(text)
    known = [one for one in found if owner_of(one) != "nobody"]
    plain = [one for one in found if one.form == "lines"]
    return known or (plain if plain == found else [])


def owner_of(fragment: Fragment) -> Owner:
    """Whose names these are: by the name of the class, else by what most of the names are known
    as.
    """
    if fragment.name in {family.__name__ for family in families()}:
        return "config"
    if fragment.name in peft.CLASSES:
        return "adapter"
    if fragment.name == "GenerationConfig":
        return "generation"
    written = fragment.lines.keys()
    family = _family(fragment)
    score: dict[Owner, int] = {
        "run": len(written & parameters().keys()),
        "arguments": len(written & names()),
        "config": len(written & (family or Family).keys().keys()),
    }
    best = max(score, key=lambda owner: score[owner])
    return best if score[best] else "nobody"


def _family(fragment: Fragment) -> type[Family] | None:
    """The family by whose name they stand, whose keys they are, or which knows most of them."""
    named = [family for family in families() if family.__name__ == fragment.name]
    if named or (found := family_of(fragment.values)) is None:
        written = fragment.lines.keys()
        known = {family: len(written & family.keys().keys()) for family in (named or families())}
        best = max(known, key=lambda family: known[family])
        return best if named or 2 * known[best] > len(written) else None
    return found


def read_pasted(text: str, file: str) -> Reading:
    """The settings, and the model, that pasted fragments describe.

    Raises:
        UserError: where a value cannot be, and where no name of them is known.
    """
    reading = Reading()
    models: list[Fragment] = []
    for fragment in pasted(text):
        owner = owner_of(fragment)
        reading.notes += _about(fragment, owner, file)
        if owner == "nobody":
            raise _unknown(fragment, file)
        if owner == "config":
            models.append(fragment)
        elif owner == "adapter":
            named = {"peft_type": peft.CLASSES[fragment.name]}
            lines = {"peft_type": min(fragment.lines.values()), **fragment.lines}
            reading.add(peft.read_values({**named, **fragment.values}, file, lines))
        elif owner == "generation":
            reading.add(_generation(fragment, file))
        elif owner == "arguments":
            reading.add(read_mapping(dict(_arguments(fragment, file))))
        else:
            reading.settings += _settings(fragment, file)
    if models:
        reading.add(_model(models, file))
    return reading


def _about(fragment: Fragment, owner: Owner, file: str) -> Iterator[Note]:
    """What it was taken for, and what in it was not read."""
    family = _family(fragment)
    taken = _filled(TAKEN_FOR[owner], family=family.__name__ if family else "")
    form = _filled(FORMS[fragment.form], name=fragment.name)
    what = Said(f"taken for {taken}", f"当作{taken.zh}")
    why = Said(f"it is {form}", f"它是{form.zh}")
    yield Note(what, place(file, min(fragment.lines.values())), why, "taken for")
    for name, line in fragment.twice.items():
        what = Said(f"{name} is given twice", f"{name} 写了两次")
        why = Said(
            f"it stands in line {line} too; the last one counts",
            f"第 {line} 行也有；以最后一个为准",
        )
        yield Note(what, place(file, fragment.lines[name]), why)
    for name, line in fragment.unread.items():
        what = Said(f"{name} is not read", f"没有读取 {name}")
        why = Said(
            "its value is an expression that only the running program knows",
            "它的值是表达式，程序运行时才知道",
        )
        yield Note(what, place(file, line), why)


def _filled(form: Said, **parts: object) -> Said:
    return Said(form.format(**parts), form.zh.format(**parts))


def _origin(fragment: Fragment, name: str, file: str) -> Origin:
    return Origin(file, fragment.lines[name], name)


def _arguments(fragment: Fragment, file: str) -> Iterator[tuple[str, tuple[object, Origin]]]:
    for name, value in fragment.values.items():
        yield name.replace("-", "_"), (value, _origin(fragment, name, file))


def _settings(fragment: Fragment, file: str) -> Iterator[Setting]:
    for name, value in fragment.values.items():
        yield Setting(name, value, _origin(fragment, name, file))


def _generation(fragment: Fragment, file: str) -> Reading:
    from .generation_config import of_keys

    return of_keys(fragment.values, file, fragment.lines)


def _model(models: Sequence[Fragment], file: str) -> Reading:
    """The first of the models; how the others differ from it is a note."""
    first = models[0]
    family = _family(first)
    document, notes = document_of(first.values, file, first.lines, family)
    reading = Reading(notes=list(notes), documents=[document])
    for other in models[1:]:
        differs = dict(_differing(first.values, other.values))
        values = [f"{name} = {value!r}" for name, value in differs.items()]
        told = Said(sentence_list(values, most=6), sentence_list(values, most=6, language="zh"))
        name = other.name or "model"
        what = Said(f"a second {name} stands here", f"这里还有一个 {name}")
        why = Said("it says the same", "内容相同")
        if differs:
            why = Said(f"it has {told}; the first one counts", f"其中 {told.zh}；以第一个为准")
        reading.notes.append(Note(what, place(file, min(other.lines.values())), why))
    return reading


def _differing(one: dict[str, Any], other: dict[str, Any]) -> Iterable[tuple[str, object]]:
    return ((name, value) for name, value in other.items() if one.get(name, ...) != value)


def _unknown(fragment: Fragment, file: str) -> Exception:
    return refuse(
        what=f"whose names {sentence_list(fragment.lines, most=4)} are cannot be told",
        where=place(file, min(fragment.lines.values())),
        why="no key of a model, no argument of a script and no parameter is called so",
        fix="paste the lines with the name of their class, or name the file they are from",
    )
