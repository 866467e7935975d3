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
from ..text import place, sentence_list
from . import peft
from .flags import names, read_mapping
from .model_config import document_of
from .python_text import Fragment, fragments
from .reading import Reading

Owner = Literal["config", "arguments", "run", "adapter", "generation", "nobody"]

TAKEN_FOR: dict[Owner, str] = {
    "config": "the sizes of a model ({family})",
    "arguments": "arguments of a training script",
    "run": "parameters of a run",
    "adapter": "an adapter of PEFT",
    "generation": "the settings of generate()",
    "nobody": "something that is read by nothing here",
}
FORMS = {
    "lines": "lines of `key = value`",
    "class": "the source of class {name}; its defaults are read",
    "call": "a call of {name}, or what printing one gives",
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
    what = TAKEN_FOR[owner].format(family=family.__name__ if family else "")
    form = FORMS[fragment.form].format(name=fragment.name)
    yield Note(f"taken for {what}", place(file, min(fragment.lines.values())), f"it is {form}")
    for name, line in fragment.twice.items():
        why = f"it stands in line {line} too; the last one counts"
        yield Note(f"{name} is given twice", place(file, fragment.lines[name]), why)
    for name, line in fragment.unread.items():
        why = "its value is an expression that only the running program knows"
        yield Note(f"{name} is not read", place(file, line), why)


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
        told = sentence_list((f"{name} = {value!r}" for name, value in differs.items()), most=6)
        what = f"a second {other.name or 'model'} stands here"
        why = f"it has {told}; the first one counts" if differs else "it says the same"
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
