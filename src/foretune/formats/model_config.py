"""A model's config.json, or Meta's params.json: the architecture it declares, and what in it nobody
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ..errors import Problem, UserError, refuse
from ..params.arch import Architecture, Family, families, read_architecture
from ..params.arch.llama3 import NAME as META_NAME
from ..params.arch.llama3 import ModelArgs, with_vocabulary
from ..params.arch.shape import Shape
from ..params.document import Document
from ..params.run import Run
from ..params.setting import Note
from ..text import Said, place, sentence_list
from .documents import field_names, of_known_types, unknown_keys
from .json_text import key_lines, mended, read_json

NAME = "config.json"
NAMES = (NAME, META_NAME)
"""What the file of a model's sizes is called, the first before the others."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of sizes of a family that is known here."""

    file: str
    architecture: Family
    keys: Mapping[str, Any]
    """Everything in the file, as written."""
    lines: Mapping[str, int]
    notes: tuple[Note, ...]

    @property
    def shape(self) -> Shape:
        """The sizes of the model and every parameter it has."""
        return self.architecture.shape

    @property
    def stored_bits(self) -> int:
        """Bits in which it says that the weights are packed; 0 for full ones."""
        packed = self.keys.get("quantization_config")
        if isinstance(packed, dict) and cast(dict[str, Any], packed).get("load_in_4bit"):
            return 4
        bits = self.keys.get("quantization_bit")
        return bits if isinstance(bits, int) else 0


def read_model_config(text: str, file: str) -> tuple[ModelFile | None, tuple[Note, ...]]:
    """Reads a file of sizes; None, with a note, where its family is not known here.

    Raises:
        UserError: where the text is no JSON, and for every value that cannot be.
    """
    plain, notes = mended(text, file)
    keys, lines, twice = _keys(plain, file)
    notes += twice
    architecture, more = _architecture(keys, file, lines)
    notes += more
    found = architecture and ModelFile(file, architecture, keys, lines, tuple(notes))
    return found, tuple(notes)


def _keys(text: str, file: str) -> tuple[dict[str, Any], dict[str, int], list[Note]]:
    """The keys of JSON text, their lines, and a note for each that is given twice."""
    keys = read_json(text, file)
    if not isinstance(keys, dict):
        raise refuse(
            what=f"this is no config.json: it holds a {type(keys).__name__}",
            where=file,
            why="the config of a model is one mapping of keys to values",
            fix="name the config.json that was published with the weights",
        )
    notes: list[Note] = []
    lines: dict[str, int] = {}
    for path, line in key_lines(text):
        if len(path) == 1 and path[0] in lines:
            line_before = lines[path[0]]
            why = Said(
                f"it stands in line {line_before} too; JSON readers take the last",
                f"第 {line_before} 行也有；读取 JSON 的程序以最后一个为准",
            )
            what = Said(f"{path[0]} is given twice", f"{path[0]} 写了两次")
            notes.append(Note(what, place(file, line), why, "twice", str(path[0])))
        lines[path[0]] = line if len(path) == 1 else lines[path[0]]
    return cast(dict[str, Any], keys), lines, notes


def _architecture(
    keys: Mapping[str, Any],
    file: str,
    lines: Mapping[str, int],
    family: type[Family] | None = None,
) -> tuple[Family | None, list[Note]]:
    """What a family makes of these keys, and what of them nobody reads."""
    try:
        architecture, unknown = read_architecture(keys, where=file, family=family)
    except UserError as error:
        raise UserError(_at_its_line(problem, lines, file) for problem in error.problems) from None
    if architecture is None:
        return None, [_unknown_family(keys, file, lines)]
    if isinstance(architecture, ModelArgs):
        architecture = with_vocabulary(architecture, Path(file).parent)
    known = architecture.keys()
    notes = list(unknown_keys(unknown, known, keys, file, lines, why=ANYBODY))
    for remark in architecture.remarks():
        notes.append(Note(remark.what, place(file, lines.get(remark.key)), remark.why))
    return architecture, notes


ANYBODY = Said("anybody may add keys to it", "任何人都可以往里面加键")
MOVED = Said(
    "transformers 5 leaves it out of a model's config; it belongs into generation_config.json",
    "transformers 5 不再把它放在模型配置里；它属于 generation_config.json",
)


KIND = Said("model config", "模型配置")
"""What the document of a model is called that is no file of its own, or of no known family."""


def document_of(
    keys: Mapping[str, Any],
    file: str,
    lines: Mapping[str, int],
    family: type[Family] | None = None,
) -> tuple[Document, tuple[Note, ...]]:
    """A model's keys as a document: of their family, or of the one given; the keys that many
    families share where it is not known here.

    Raises:
        UserError: with every value that cannot be.
    """
    architecture, notes = _architecture(keys, file, lines, family)
    if architecture is None:
        from ..params.arch.any_model import AnyModel
        from ..params.generation_config import GenerationDefaults

        known = AnyModel.keys()
        unknown = [key for key in keys if key not in known]
        of_generation = [key for key in unknown if key in field_names(GenerationDefaults)]
        others = [key for key in unknown if key not in of_generation]
        declared, odd = of_known_types(AnyModel, keys, file, lines)
        notes += [
            *odd,
            *unknown_keys(others, known, keys, file, lines, why=ANYBODY),
            *unknown_keys(of_generation, (), keys, file, lines, why=MOVED),
        ]
    else:
        declared = architecture
    return Document(kind=KIND, file=file, declared=declared, keys=keys, lines=lines), tuple(notes)


def read_any_model(text: str, file: str) -> tuple[Document, tuple[Note, ...]]:
    """A config.json of whatever family, as a document."""
    plain, notes = mended(text, file)
    keys, lines, twice = _keys(plain, file)
    document, more = document_of(keys, file, lines)
    return document, (*notes, *twice, *more)


def _at_its_line(problem: Problem, lines: Mapping[str, int], file: str) -> Problem:
    key = problem.what.partition(" = ")[0]
    return replace(problem, where=place(file, lines[key])) if key in lines else problem


def _unknown_family(keys: Mapping[str, Any], file: str, lines: Mapping[str, int]) -> Note:
    family = keys.get("model_type")
    named = (one.__name__ for one in families() if issubclass(one, Architecture))
    known = list(dict.fromkeys(named))
    what = Said("no model_type is given", "没有写 model_type")
    if family:
        what = Said(
            f"model_type {family!r} is no family known here",
            f"model_type {family!r} 不是已知的模型族",
        )
    why = Said(
        f"nothing can be said of the model's sizes; known are {sentence_list(known)}",
        f"无法推算该模型的尺寸；已知的有 {sentence_list(known, language='zh')}",
    )
    return Note(what, place(file, lines.get("model_type")), why)


def file_in(folder: Path) -> Path | None:
    """The file of sizes that a model's folder holds."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def config_path(run: Run) -> Path | None:
    """The file of sizes that a run names; None where it names none, or a model of the hub.

    Raises:
        UserError: where model.config names a folder or a file of this machine that has none.
    """
    try:
        return _config_path(run)
    except (OSError, RuntimeError):  # a name that is too long for a file; a home that is not there
        return None


def _config_path(run: Run) -> Path | None:
    written, folder = run.model.config, Path(run.model.path or "").expanduser()
    if written is not None:
        named = Path(written).expanduser()
        found = file_in(named) or named / NAME if named.is_dir() else named
        if found.is_file():
            return found
        if named.exists() or named.suffix == ".json":
            raise refuse(
                what=f"model.config = {written!r}: there is no {found}",
                where=str(run.origin("model.config")),
                why="the sizes of the model are read from it",
                fix=f"name the model's {NAME}, or the folder that holds it",
            )
    if run.model.path and folder.name in NAMES and folder.is_file():
        return folder
    return file_in(folder) if run.model.path else None


def model_file(run: Run) -> ModelFile | None:
    """The config of the run's model; None where it is not here, or its family is not known."""
    for one in reversed(run.documents):
        if one.kind == KIND and isinstance(one.declared, Family):
            return ModelFile(one.file, one.declared, one.keys, one.lines, ())
    found = config_path(run)
    if found is None:
        return None
    return read_model_config(found.read_text("utf-8-sig"), str(found))[0]
