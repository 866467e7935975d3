"""What stands in front of a training program: python, torchrun, deepspeed, accelerate launch.

Their options are declared: params/launchers (torchrun, deepspeed) and params/accelerate.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

from ..errors import Problem, UserError, refuse
from ..params.declare import facts_of
from ..params.run import parameters
from ..params.setting import Note, Origin, Setting, is_secret
from ..text import Said, nearest, place, sentence_list
from . import accelerate
from .reading import Reading, typed
from .shell import Command, Script, Word

SWITCH, VALUE = False, True
Options = Mapping[str, bool]
"""The options of a program, dashes as underscores, and whether each takes a value."""


def _options(*, switches: str = "", values: str = "") -> Options:
    return {**dict.fromkeys(switches.split(), SWITCH), **dict.fromkeys(values.split(), VALUE)}


PYTHON = _options(switches="u O OO B s S E I P v q d b x i V version h help", values="X W m c")
KEYS = {
    "CUDA_VISIBLE_DEVICES": "launch.visible_devices",
    "nproc_per_node": "launch.processes",
    "nnodes": "launch.nodes",
    "num_gpus": "launch.processes",
    "num_accelerators": "launch.processes",
    "num_nodes": "launch.nodes",
    "deepspeed_config": "launch.deepspeed",
}
"""What of the environment and of torchrun's and deepspeed's options is a parameter of ours, and the
flag of programs that DeepSpeed itself reads; every other option is a parameter of its own name in
``launchers``."""

SHORT = {
    "torchrun": {"m": "module", "r": "redirects", "t": "tee"},
    "deepspeed": {"H": "hostfile", "i": "include", "e": "exclude", "q": "quiet"},
}
REMOVED = dict.fromkeys(
    ("elastic_training", "min_elastic_nodes", "max_elastic_nodes"), "DeepSpeed 0.19.8"
)
"""Options that the deepspeed launcher has no longer -> the first version that refuses them."""

COUNTS = {
    "torchrun": ("nnodes", "nproc_per_node"),
    "deepspeed": ("num_nodes", "num_gpus", "num_accelerators"),
}


def options(launcher: str) -> Options:
    """The options of torchrun or deepspeed, from their declarations."""
    prefix = f"launchers.{launcher}."
    own = {
        path.removeprefix(prefix): SWITCH if field.annotation is bool else VALUE
        for path, field in parameters().items()
        if path.startswith(prefix)
    }
    short = {letter: own[name] for letter, name in SHORT[launcher].items()}
    return {**own, **short, **dict.fromkeys(COUNTS[launcher], VALUE)}


TORCHRUN = options("torchrun")
DEEPSPEED = options("deepspeed")
ACCELERATE: Options = accelerate.options()
TABLES = {"python": PYTHON, "torchrun": TORCHRUN, "deepspeed": DEEPSPEED, "accelerate": ACCELERATE}
MODULES = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate.commands.launch": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
}
IN_FRONT = ("nohup", "exec", "env", "time", "sudo", "command", "setsid")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a launcher: its name with underscores, and its value ('' for a switch)."""

    name: str
    value: Word
    origin: Origin


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that runs a python program, taken apart."""

    launcher: str
    options: tuple[Option, ...]
    program: Word
    words: tuple[Word, ...]
    """What the program is given."""
    command: Command
    environment: Mapping[str, Word]
    file: str


def find_launch(script: Script, known: Collection[str]) -> Launch:
    """The command of a script that starts the run.

    Of several python programs it is the one that is given arguments named in ``known``.

    Raises:
        UserError: where there is none or more than one, and where its launcher has no such option.
    """
    found = [launch for command in script.commands if (launch := peel(command, script.file))]
    named = [launch for launch in found if any(_flag(word) in known for word in launch.words)]
    chosen = named or found
    if len(chosen) != 1:
        raise _not_one(script, chosen)
    (launch,) = chosen
    if launch.command.block:
        raise refuse(
            what=f"the run is started inside {launch.command.block}",
            where=place(script.file, launch.command.line),
            why="whether it runs, and how often, is known only when the script runs",
            fix="put the command into a script of its own, or write it outside",
        )
    return launch


def _not_one(script: Script, found: Sequence[Launch]) -> UserError:
    if found:
        return refuse(
            what=f"{len(found)} commands of this script start a python program",
            where=sentence_list(place(script.file, launch.command.line) for launch in found),
            why="a run is one of them",
            fix="put each into a script of its own",
        )
    return refuse(
        what="no command of this script starts a python program",
        where=script.file,
        why="a run begins with python, torchrun, deepspeed or accelerate launch, and a program",
        fix="name the script that has that command, or give the arguments as flags",
    )


def _flag(word: Word) -> str:
    return word.text.removeprefix("--").partition("=")[0].replace("-", "_")


def peel(command: Command, file: str) -> Launch | None:
    """Takes a command apart; None where it starts no python program."""
    words, environment = list(command.words), dict(command.environment)
    while words and (words[0].vanished or words[0].text in IN_FRONT or "=" in words[0].text):
        word = words.pop(0)
        name, given, value = word.text.partition("=")
        if given:  # env NAME=value python ...
            environment[name] = Word(value, word.raw, word.line, word.running, word.unset)
    if not words:
        return None
    launcher = PurePosixPath(words.pop(0).text).name
    if re.fullmatch(r"python[\d.]*(\.exe)?", launcher):
        launcher = "python"
    elif launcher == "accelerate" and words and words[0].text == "launch":
        words.pop(0)
    elif launcher not in ("torchrun", "deepspeed"):
        return None
    options = _take_options(words, launcher, file)
    module = next((option.value for option in options if option.name == "m"), None)
    if launcher == "python" and module is not None:
        launcher = MODULES.get(module.text, "python")
        if launcher == "python":
            words.insert(0, module)
        else:
            options = _take_options(words, launcher, file)
    if not words or any(option.name == "c" for option in options):
        return None
    program, *arguments = words
    return Launch(launcher, tuple(options), program, tuple(arguments), command, environment, file)


def _take_options(words: list[Word], launcher: str, file: str) -> list[Option]:
    """Takes the options of a launcher off the front of ``words``."""
    known, options = TABLES[launcher], list[Option]()
    while words and (words[0].vanished or words[0].text.startswith("-")):
        word = words.pop(0)
        if word.vanished:
            continue
        written, given, value = word.text.lstrip("-").partition("=")
        name = written.replace("-", "_")
        if name not in known and not word.text.startswith("--") and name[:1] in known:
            name, given, value = name[0], "=", written[1:]  # -Wignore
        name = _known(name, known)
        if name is None:
            raise _no_such_option(word, launcher, known, file)
        spelling = word.raw
        taken = Word(value, word.raw, word.line, word.running, word.unset)
        if known[name] is VALUE and not given:
            taken = words.pop(0) if words else Word("", vanished=True)
            spelling = f"{word.raw} {taken.raw}"
        options.append(Option(name, taken, Origin(file, word.line, spelling)))
        if launcher == "python" and name in "mc":
            break
    return options


def _known(name: str, known: Collection[str]) -> str | None:
    """The option of that name, or the only one that begins so, as argparse has it."""
    longer = [one for one in known if len(name) > 2 and one.startswith(name)]
    return name if name in known else longer[0] if len(longer) == 1 else None


def _no_such_option(word: Word, launcher: str, known: Options, file: str) -> UserError:
    like = nearest(word.text.lstrip("-").partition("=")[0].replace("-", "_"), known)
    return refuse(
        what=f"{launcher} has no option {word.text.partition('=')[0]}",
        where=place(file, word.line),
        why=f"what stands in front of the program is for {launcher}, which would refuse it",
        fix=f"write --{like}" if like else "leave it out, or write it behind the program",
    )


def read_launch(launch: Launch, folder: Path = Path()) -> Reading:
    """The settings that stand in front of the program's own arguments. A hostfile is looked for in
    the script's folder and in the working folder.
    """
    reading = Reading()
    first = launch.command.words[0]
    origin = Origin(launch.file, launch.command.line, f"{first.raw} ... {launch.program.raw}")
    reading.settings.append(Setting("launch.launcher", launch.launcher, origin))
    _read_environment(launch, reading)
    read = {
        "torchrun": _read_torchrun,
        "deepspeed": _read_deepspeed,
        "accelerate": _read_accelerate,
    }
    if launch.launcher in read:
        read[launch.launcher](launch, reading)
    if launch.launcher == "deepspeed":
        from .hostfile import read_hosts

        reading.add(read_hosts(reading, folder))
        _note_processes(launch, reading)
    return reading


NO_COUNT = Said("the number of processes is not in the script", "脚本里没有写进程数")


def _read_environment(launch: Launch, reading: Reading) -> None:
    known: dict[str, tuple[str, Origin]] = {}
    for name, word in launch.environment.items():
        here = Origin(launch.file, word.line, f"{name}=***" if is_secret(name) else word.raw)
        if word.running or word.unset:
            why = Said(
                "its value is known only when the script runs; foretune leaves yours as it is",
                "它的值在脚本运行时才知道；foretune 保留你环境中的值",
            )
            what = Said(f"{name} is not taken over", f"没有采用 {name}")
            reading.notes.append(Note(what, str(here), why))
        elif name == "CUDA_VISIBLE_DEVICES":
            reading.settings.append(Setting(KEYS[name], word.text, here))
        else:
            known[name] = word.text, here
    if known:
        from .environment import read_environment

        values = {name: text for name, (text, _) in known.items()}
        origin = next(iter(known.values()))[1]
        reading.settings.append(Setting("launch.environment", values, origin))
        document, notes = read_environment(known, launch.file)
        reading.documents += [document] if document else []
        reading.notes += notes
    if kept := launch.command.kept_back.get("CUDA_VISIBLE_DEVICES"):
        where = str(Origin(launch.file, kept.line, kept.raw))
        why = Said(
            "it is set for the script alone; to reach the program it needs `export` in front",
            "它只在脚本内有效；要传给程序，前面需要写 `export`",
        )
        what = Said("CUDA_VISIBLE_DEVICES has no effect", "CUDA_VISIBLE_DEVICES 不起作用")
        reading.notes.append(Note(what, where, why))


def _read_count(option: Option, path: str, reading: Reading) -> None:
    """A number of processes or machines."""
    if option.value.running or option.value.unset or option.value.vanished:
        reading.doubts.append((path, _unknown_count(option, path)))
    else:
        reading.settings.append(Setting(path, option.value.text, option.origin, text=True))


def _unknown_count(option: Option, path: str) -> Problem:
    return Problem(
        what=f"the value of {option.name} cannot be known",
        where=str(option.origin),
        why=f"{sentence_list([*option.value.running, *option.value.unset]) or 'it'} is known only "
        "when the script runs",
        fix=f"give it: --set {path}=...",
    )


def _note(reading: Reading, option: Option, what: Said, why: Said) -> None:
    reading.notes.append(Note(what, str(option.origin), why))


def _read_torchrun(launch: Launch, reading: Reading) -> None:
    for option in launch.options:
        if option.name == "nproc_per_node" and option.value.text in ("gpu", "auto", "cpu", "xpu"):
            why = Said(
                "torchrun starts one per device; --set launch.processes=... says how many",
                "torchrun 为每个设备启动一个进程；用 --set launch.processes=... 说明数量",
            )
            _note(reading, option, NO_COUNT, why)
        elif option.name == "nproc_per_node":
            _read_count(option, "launch.processes", reading)
        elif option.name == "nnodes" and ":" in option.value.text:
            most = option.value.text.rpartition(":")[2]
            reading.settings.append(Setting("launch.nodes", most, option.origin, text=True))
            what = Said(f"read as {most} nodes", f"读作 {most} 个节点")
            why = Said("torchrun may start with fewer", "torchrun 可能以更少的节点启动")
            _note(reading, option, what, why)
        elif option.name == "nnodes":
            _read_count(option, "launch.nodes", reading)
        else:
            _read_own(option, "torchrun", reading)


def _read_deepspeed(launch: Launch, reading: Reading) -> None:
    for option in launch.options:
        if option.name in ("num_gpus", "num_accelerators"):
            _read_count(option, "launch.processes", reading)
        elif option.name == "num_nodes":
            _read_count(option, "launch.nodes", reading)
        else:
            _read_own(option, "deepspeed", reading)


def _read_own(option: Option, launcher: str, reading: Reading) -> None:
    """An option that only its launcher has."""
    name, value = SHORT[launcher].get(option.name, option.name), option.value
    path = f"launchers.{launcher}.{name}"
    if value.running or value.unset:
        what = Said(f"{option.name} is not taken over", f"没有读入 {option.name}")
        why = Said("its value is known only when the script runs", "它的值要到脚本运行时才知道")
        if facts_of(parameters()[path]).matters > 1:  # a port may be any
            _note(reading, option, what, why)
        return
    if launcher == "deepspeed" and name in REMOVED:
        what = Said(
            f"--{name} is refused since {REMOVED[name]}", f"{REMOVED[name]} 起拒绝 --{name}"
        )
        why = Said("earlier versions read it", "更早的版本会读取它")
        reading.notes.append(Note(what, str(option.origin), why, "no effect", name))
    switch = TABLES[launcher][option.name] is SWITCH
    text = value.text.lower() if name == "launcher" else value.text
    if switch or text:
        meaning = True if switch else typed(path, text)
        reading.settings.append(Setting(path, meaning, option.origin, text=not switch))


def _note_processes(launch: Launch, reading: Reading) -> None:
    if not any(setting.path == "launch.processes" for setting in reading.settings):
        why = Said(
            f"{launch.launcher} starts one per GPU; --set launch.processes=... says how many",
            f"{launch.launcher} 每个 GPU 启动一个；用 --set launch.processes=... 说明数量",
        )
        where = place(launch.file, launch.command.line)
        reading.notes.append(Note(NO_COUNT, where, why))


SWITCHED_ON_BY = {
    "deepspeed_config": "use_deepspeed",
    "fsdp_config": "use_fsdp",
    "megatron_lm_config": "use_megatron_lm",
    "parallelism_config": "use_parallelism_config",
}
"""The flag of accelerate without which nothing reads those of a section; its file may have the same
by distributed_type."""


def _read_accelerate(launch: Launch, reading: Reading) -> None:
    machines = [one.value.text for one in launch.options if one.name == "num_machines"]
    given = {option.name for option in launch.options}
    for option in launch.options:
        path, value = accelerate.flags()[option.name], option.value
        switch = SWITCHED_ON_BY.get(accelerate.section_of(option.name), "")
        if switch and not given & {switch, "config_file"}:
            what = Said(f"--{option.name} has no effect", f"--{option.name} 不起作用")
            why = Said(
                f"accelerate reads it only with --{switch}, or with a file that says so",
                f"只有写了 --{switch}（或由配置文件指定），accelerate 才会读取它",
            )
            note = Note(what, str(option.origin), why, "turned off", option.name)
            reading.notes.append(note)
        elif ACCELERATE[option.name] is VALUE and (value.running or value.unset or value.vanished):
            reading.doubts.append((path, _unknown_count(option, path)))
        else:
            taken = (option.name, value.text, option.origin, machines[-1] if machines else "1")
            for one in accelerate.read_flag(*taken):
                before = [made.value for made in reading.settings if made.path == one.path]
                if before and path in accelerate.REPEATED:
                    values = (*cast(list[str], before[-1]), *cast(list[str], one.value))
                    one = replace(one, value=values)
                reading.settings.append(one)
    if "config_file" not in given:
        _note_processes(launch, reading)


def lost_lines(script: Script, launch: Launch, known: Collection[str]) -> Iterable[Problem]:
    """Commands made of the run's own flags: the line above them lacks its backslash."""
    for command in script.commands:
        flags = [
            word for word in command.words if word.text.startswith("--") and _flag(word) in known
        ]
        cut_off = command.line > launch.command.line and flags and not peel(command, script.file)
        if cut_off or command.words[0].text.startswith("-"):
            yield Problem(
                what=f"{command.words[0].raw} begins a command of its own",
                where=place(script.file, command.line),
                why=f"the command of line {launch.command.line} ends before it: a backslash at the "
                "end of the line above is missing, or a comment stands in between",
                fix="end every line but the last with a backslash and take comments out",
            )
