"""A run in the form of any format that is read, and what of it that form cannot say.

What is written is read again, so that what did not come back is known, whatever the reason.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import Problem, UserError, refuse
from ..params.arch.llama3 import NAME as META_NAME
from ..params.arch.llama3 import ModelArgs
from ..params.declare import Words
from ..params.document import Document
from ..params.resolve import resolve
from ..params.run import Run, parameters
from ..params.setting import AUTO, Origin
from ..text import Said, nearest, sentence_list
from . import accelerate, baichuan2, command, deepspeed, official, peft
from .json_text import plain
from .model_config import KIND as MODEL
from .model_config import NAME, model_file
from .read import read_sound, read_text
from .run_file import toml_text, values, write_run
from .yaml_text import yaml_lines

Has = Callable[[str], bool]
"""Whether a form is about a parameter at all."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a run can be written in."""

    words: Words
    write: Callable[[Run], str]
    file: str
    """What such a file is called where it is read again; '' where it is words of a command line."""
    has: Has = field(default=lambda path: True)
    bare: str = ""
    """The shortest text of the form: what the program does by itself."""
    implies: tuple[str, ...] = ()
    """What being read as such a file says of a run by itself."""

    def read(self, text: str, folder: Path) -> tuple[Run, list[Problem]]:
        """What comes back of a text of this form, and what is wrong with it."""
        if not self.file:
            return read_sound(flags=shlex.split(text))
        return read_text(text, self.file, folder)


@dataclass(frozen=True, slots=True)
class Lost:
    """A value of the run that did not come back."""

    path: str
    value: object
    origin: Origin
    why: Said

    def in_language(self, language: str) -> str:
        why = self.why.zh if language == "zh" else self.why
        where = self.origin.in_language(language)
        return (
            f"{self.path} = {self.value!r}（{where}）：{why}"
            if language == "zh"
            else f"{self.path} = {self.value!r} ({where}): {why}"
        )


@dataclass(frozen=True, slots=True)
class Written:
    """A run in another form."""

    text: str
    lost: tuple[Lost, ...]
    """What the form cannot say, though it is of its kind."""
    elsewhere: tuple[str, ...]
    """What was set and is none of its business: the rows in a ds_config.json."""


def write(run: Run, name: str, folder: Path = Path()) -> Written:
    """A run in the form of that name.

    Args:
        run: as it was written.
        name: one of ``FORMS``.
        folder: where the files that it names are looked for when it is read again.

    Raises:
        UserError: where there is no such form, or nothing of the run fits into it.
    """
    if name in DOCUMENTS:
        return Written(DOCUMENTS[name](run), (), ())
    if name not in FORMS:
        raise _no_form(name)
    form = FORMS[name]
    text = form.write(run)
    back, problems = form.read(text, folder)
    if problems:
        raise UserError(problems)
    differing = [path for path in _differing(run, back) if not _by_itself(form, path, run, back)]
    lost = [path for path in differing if form.has(path) or back.written(path)]
    elsewhere = [path for path in differing if path not in lost and run.written(path)]
    return Written(text, tuple(_lost(run, back, path, name) for path in lost), tuple(elsewhere))


def _by_itself(form: Form, path: str, run: Run, back: Run) -> bool:
    """Whether a difference is one that the form makes by being what it is."""
    left_open = back.get(path) == AUTO.value and not run.written(path)
    return path in form.implies or left_open


def _differing(run: Run, back: Run) -> Iterator[str]:
    """The parameters that are another in the second run, and are so as well once what follows from
    others is filled in.
    """
    resolved, again = (resolve(one, complete=False) for one in (run, back))
    for path in parameters():
        if run.get(path) != back.get(path) and resolved.get(path) != again.get(path):
            yield path


def _no_form(name: str) -> UserError:
    known = [*FORMS, *DOCUMENTS]
    like = nearest(PurePosixPath(name).name, known)
    return refuse(
        what=f"--to {name} is no form that a run can be written in",
        where="command line",
        why=f"there are {sentence_list(known, most=20)}",
        fix=f"write --to {like}" if like else "take one of them",
    )


OWNERS = {
    "deepspeed.": "ds_config.json",
    "accelerate.": "accelerate.yaml",
    "peft.": "adapter_config.json",
}
"""Where the parameters of other programs are at home."""


def _lost(run: Run, back: Run, path: str, name: str) -> Lost:
    """Why a value did not come back."""
    becomes, origin = back.get(path), back.origin(path)
    owner = next((file for prefix, file in OWNERS.items() if path.startswith(prefix)), None)
    if owner and owner != name:
        why = Said(f"it belongs into {owner} (--to {owner})", f"它属于 {owner}（--to {owner}）")
    elif name == "llama-factory.yaml" and path.startswith("data."):
        why = Said(
            "LLaMA-Factory names files and columns in its dataset_info.json",
            "LLaMA-Factory 在 dataset_info.json 里写数据文件和列名",
        )
    elif origin.written or back.get(path) == parameters()[path].default:
        why = Said(
            f"{name} cannot say it; as it stands it is {becomes!r}",
            f"{name} 无法表示；照写出的内容它是 {becomes!r}",
        )
    else:
        why = Said(
            f"it becomes {becomes!r}: {origin}", f"变为 {becomes!r}：{origin.in_language('zh')}"
        )
    return Lost(path, run.shown(path), run.origin(path), why)


def _default(name: str) -> Run:
    """What a form says by itself."""
    form = FORMS[name]
    return form.read(form.bare, Path())[0] if form.bare else Run()


def _script(program: str) -> Callable[[Run], str]:
    return lambda run: command.script(run, program, _default(program))


def _arguments(run: Run) -> dict[str, object]:
    return command.arguments(run, official.PROGRAM, Run())


def _json(values: Mapping[str, object]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _flags(run: Run) -> str:
    words = command.flags(run, official.PROGRAM, Run())
    return " ".join(command.quoted(word) for part in words for word in part) + "\n"


def _factory(run: Run) -> str:
    from .llama_factory import write as factory

    return "\n".join(yaml_lines(factory(run, _default("llama-factory.yaml")))) + "\n"


OF_LAUNCHERS = ("launcher", "processes", "nodes", "visible_devices", "environment")
PROGRAMS = ("deepspeed.", "accelerate.", "launchers.")


def _is_no_launchers(path: str) -> bool:
    """Whether a program's own arguments could say it."""
    in_front = path in {f"launch.{name}" for name in OF_LAUNCHERS}
    return not in_front and not path.startswith(PROGRAMS)


def _is_accelerates(path: str) -> bool:
    own = path.startswith(accelerate.PREFIX) and not path.startswith("accelerate.command.")
    return own or path in ("launch.processes", "launch.nodes")


def _is_pefts(path: str) -> bool:
    shared = {*peft.LORA.values(), *peft.PREFIX.values(), "method.name"}
    return path.startswith("peft.") or path in shared


FORMS: dict[str, Form] = {
    "run.yaml": Form(Words("a run file of foretune", "foretune 的运行文件"), write_run, "run.yaml"),
    "run.json": Form(
        Words("the same in JSON", "同上，JSON"), lambda run: _json(values(run)), "run.json"
    ),
    "run.toml": Form(Words("the same in TOML", "同上，TOML"), toml_text, "run.toml"),
    official.PROGRAM: Form(
        Words(
            "a script that starts main.py of ChatGLM-6B and ChatGLM2-6B",
            "启动 ChatGLM-6B、ChatGLM2-6B 官方 main.py 的脚本",
        ),
        _script(official.PROGRAM),
        "train.sh",
        bare=f"python3 {official.PROGRAM}\n",
    ),
    baichuan2.PROGRAM: Form(
        Words(
            "a script that starts Baichuan2's fine-tune.py",
            "启动 Baichuan2 fine-tune.py 的脚本",
        ),
        _script(baichuan2.PROGRAM),
        "train.sh",
        bare=f"python3 {baichuan2.PROGRAM}\n",
    ),
    "flags": Form(
        Words("the arguments as words of a command line", "写成命令行参数"),
        _flags,
        "",
        _is_no_launchers,
    ),
    "arguments.json": Form(
        Words("the arguments of a program, in JSON", "程序参数，JSON"),
        lambda run: _json(_arguments(run)),
        "arguments.json",
        _is_no_launchers,
    ),
    "arguments.yaml": Form(
        Words("the arguments of a program, in YAML", "程序参数，YAML"),
        lambda run: "\n".join(yaml_lines(_arguments(run))) + "\n",
        "arguments.yaml",
        _is_no_launchers,
    ),
    "ds_config.json": Form(
        Words("DeepSpeed's file", "DeepSpeed 配置"),
        deepspeed.write,
        "ds_config.json",
        lambda path: path.startswith(deepspeed.PREFIX),
        implies=("launch.deepspeed",),
    ),
    "accelerate.yaml": Form(
        Words("accelerate's file", "accelerate 配置"),
        accelerate.write,
        "accelerate.yaml",
        _is_accelerates,
        implies=(
            "launch.launcher",
            "accelerate.command.config_file",
            "accelerate.distributed_type",
            "accelerate.mixed_precision",
        ),
    ),
    "adapter_config.json": Form(
        Words("the adapter of a run, as PEFT has it", "PEFT 的适配器配置"),
        lambda run: _json(peft.write(run)),
        "adapter_config.json",
        _is_pefts,
    ),
    "llama-factory.yaml": Form(
        Words("a file of LLaMA-Factory", "LLaMA-Factory 的配置"),
        _factory,
        "llama-factory.yaml",
        _is_no_launchers,
        bare="stage: sft\ncutoff_len:\n",
    ),
}
"""Every form that a run can be written in, by the name of its file or of its program."""


def _model(run: Run, name: str) -> str:
    """The file of a model's sizes, as it was read."""
    found = model_file(run)
    other = [one for one in run.documents if one.kind == MODEL]
    keys = found.keys if found else other[-1].keys if other else None
    if keys is None:
        raise _nothing(name, "a model's config", "name the model's file as well")
    is_meta = found is not None and isinstance(found.architecture, ModelArgs)
    if is_meta != (name == META_NAME):
        raise refuse(
            what=f"the model's sizes are those of a {META_NAME if is_meta else NAME}",
            where=found.file if found else other[-1].file,
            why="its keys mean nothing under another name",
            fix="`foretune export --layout hf` or `--layout meta` writes a model in another layout",
        )
    return _json(keys)


def _document(kind: str, name: str) -> Callable[[Run], str]:
    """A file beside the run, as it was read."""

    def keys(run: Run) -> str:
        found = _of_kind(run, kind)
        if found is None:
            raise _nothing(name, f"a {kind}", f"name the model's {name} as well")
        return _json(found.keys)

    return keys


def _of_kind(run: Run, kind: str) -> Document | None:
    return next((one for one in reversed(run.documents) if one.kind == kind), None)


def _nothing(name: str, what: str, fix: str) -> UserError:
    return refuse(
        what=f"there is no {name} to write",
        where="command line",
        why=f"nothing that was read says what stands in {what}",
        fix=fix,
    )


ANSWERS = {
    "do_sample": "generate.do_sample",
    "temperature": "generate.temperature",
    "top_p": "generate.top_p",
    "top_k": "generate.top_k",
    "num_beams": "generate.num_beams",
    "max_length": "generate.max_length",
}
"""Key of generation_config.json -> what a run says of it, too."""


def _generation(run: Run) -> str:
    """The file that was read, with what the run says of answers."""
    found = _of_kind(run, "generation config")
    said = {
        key: plain(run.get(path))
        for key, path in ANSWERS.items()
        if run.get(path) != parameters()[path].default
    }
    keys = {**(found.keys if found else {}), **said}
    if not keys:
        raise _nothing(
            "generation_config.json", "a generation config", "name one, or set generate.*"
        )
    return _json(keys)


DOCUMENTS: dict[str, Callable[[Run], str]] = {
    NAME: lambda run: _model(run, NAME),
    META_NAME: lambda run: _model(run, META_NAME),
    "generation_config.json": _generation,
    "tokenizer_config.json": _document("tokenizer config", "tokenizer_config.json"),
}
"""Files beside a run, which are written as they were read: whole, in order, without what a web page
or a log did to them."""


def said(run: Run, written: Written, name: str, language: str = "en") -> Iterator[str]:
    """What a reader has to know of a run in another form: what it does not hold."""
    zh = language == "zh"
    if written.lost:
        yield f"{name} 没有包含：" if zh else f"not in {name}:"
    yield from (f"- {one.in_language(language)}" for one in written.lost)
    if written.elsewhere:
        names = sentence_list(written.elsewhere, most=100, language=language)
        yield f"不属于 {name}：{names}" if zh else f"none of {name}'s business: {names}"
    left = [one for one in run.documents if name not in DOCUMENTS and one.file]
    if left:
        files = sentence_list(dict.fromkeys(one.file for one in left), language=language)
        yield (
            f"另外的文件，保持原样：{files}"
            if zh
            else f"files of their own, left as they are: {files}"
        )
