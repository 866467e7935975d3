"""The hostfile of the deepspeed launcher: machines and how many GPUs of each are used.

Read in DeepSpeed 0.19.8 (launcher/runner.py): lines of `name slots=4`, of which --include,
--exclude, --num_nodes and --num_gpus take a part.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ..errors import Problem, UserError, refuse
from ..params.setting import Note, Origin, Setting
from ..text import Said, place, sentence_list
from .reading import Reading

OWN = "launchers.deepspeed."
ENTRY = re.compile(r"(\S+)\s+slots=(\d{1,9})")
Hosts = Mapping[str, list[int]]
"""Machines in order, and the numbers of the GPUs of each that are used."""


def read_hostfile(text: str, file: str) -> Hosts:
    """The machines of a hostfile with all their slots.

    Raises:
        UserError: for a line that is no entry, a machine that is named twice, and where there is
            none: the launcher refuses such a file.
    """
    hosts: dict[str, list[int]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        entry = ENTRY.match(line.strip())
        if not line.strip() or line.strip().startswith("#"):
            continue
        if entry is None or entry[1] in hosts:
            what = f"{entry[1]} is named twice" if entry else f"{line.strip()[:60]!r} is no machine"
            raise _bad(what, place(file, number))
        hosts[entry[1]] = list(range(min(int(entry[2]), 1024)))
    if not hosts:
        raise _bad("this hostfile names no machine", file)
    return hosts


def _bad(what: str, where: str) -> UserError:
    return refuse(
        what=what,
        where=where,
        why="the deepspeed launcher stops at such a hostfile",
        fix="write one machine a line: worker-0 slots=4",
    )


def filtered(hosts: Hosts, words: str, *, keep: bool) -> Hosts:
    """The machines of 'worker-0@worker-1:0,2', or all but those, in the order of the file.

    Raises:
        ValueError: where it names a machine or a slot that is not there.
    """
    named: dict[str, list[int]] = {}
    for part in words.split("@"):
        name, _, slots = part.partition(":")
        if name not in hosts:
            raise ValueError(f"there is no machine {name!r} in the hostfile")
        numbers = [int(slot) for slot in slots.split(",")] if slots else hosts[name]
        if missing := [slot for slot in numbers if slot not in hosts[name]]:
            raise ValueError(f"{name} has no slot {missing[0]}")
        named.setdefault(name, []).extend(numbers)
    left = {
        name: [slot for slot in slots if (slot in named.get(name, ())) == keep]
        for name, slots in hosts.items()
    }
    return {name: slots for name, slots in left.items() if slots}


def read_hosts(front: Reading, folder: Path) -> Reading:
    """What the words in front of a script say of machines and processes, where they name a hostfile
    or a part of it.

    Args:
        front: what the launcher's options say.
        folder: the script's; the file is looked for there and in the working folder.
    """
    written = {one.path: one for one in front.settings}
    reading = Reading()
    part = [written.get(f"{OWN}{name}") for name in ("include", "exclude")]
    counts = [written[path] for path in ("launch.nodes", "launch.processes") if path in written]
    if any(part) and (counts or all(part)):
        reading.problems.append(_both([one for one in (*part, *counts) if one]))
        return reading
    named = written.get(f"{OWN}hostfile")
    found = _found(str(named.value), folder) if named else None
    if named and found:
        try:
            hosts = read_hostfile(found.read_text("utf-8", errors="replace"), str(found))
        except UserError as error:
            reading.problems += error.problems
            return reading
        reading.add(_counted(hosts, part, {one.path for one in counts}, Origin(str(found))))
    elif any(part):
        reading.add(_without_file([one for one in part if one]))
    elif "launch.visible_devices" in written and not counts:
        visible = written["launch.visible_devices"]  # which the launcher then includes by itself
        if count := len([one for one in str(visible.value).split(",") if one.strip()]):
            reading.settings.append(Setting("launch.processes", count, visible.origin))
    elif named:
        what = Said(f"{named.value} is not there", f"找不到 {named.value}")
        why = Said(
            "without it the launcher goes on with the GPUs of this machine alone",
            "没有它，启动器只使用本机的 GPU",
        )
        reading.notes.append(Note(what, str(named.origin), why, "absent", str(named.value)))
    return reading


def _counted(
    hosts: Hosts, part: Iterable[Setting | None], given: Collection[str], origin: Origin
) -> Reading:
    """Machines, and processes on each of them, but for what is given as a number."""
    reading = Reading()
    for one, keep in zip(part, (True, False), strict=True):
        if one is not None:
            try:
                hosts = filtered(hosts, str(one.value), keep=keep)
            except ValueError as error:
                return Reading(problems=[_no_part(one, str(error))])
    slots = sorted({len(numbers) for numbers in hosts.values()})
    if "launch.nodes" not in given and hosts:
        reading.settings.append(Setting("launch.nodes", len(hosts), origin))
    if "launch.processes" not in given and len(slots) == 1:
        reading.settings.append(Setting("launch.processes", slots[0], origin))
    elif "launch.processes" not in given:
        told = sentence_list(slots)
        what = Said(
            f"the machines have {told} processes each", f"各机器的进程数不同，分别为 {told}"
        )
        why = Said(
            "a number for all of them cannot be told; --set launch.processes=... gives the mean",
            "没有统一的数目；可用 --set launch.processes=... 给出平均值",
        )
        reading.notes.append(Note(what, str(origin), why))
    return reading


def _without_file(part: list[Setting]) -> Reading:
    """What --include says by itself: of this machine, or of machines with all their slots."""
    reading, one = Reading(), part[0]
    named = [word.partition(":") for word in str(one.value).split("@")]
    slots = [numbers.split(",") for _, _, numbers in named if re.fullmatch(r"\d+(,\d+)*", numbers)]
    if one.path == f"{OWN}include" and len(slots) == len(named):
        if len({len(numbers) for numbers in slots}) == 1:
            reading.settings.append(Setting("launch.processes", len(slots[0]), one.origin))
        if len(named) == 1:
            devices = ",".join(slots[0])
            reading.settings.append(Setting("launch.visible_devices", devices, one.origin))
        else:
            reading.settings.append(Setting("launch.nodes", len(named), one.origin))
        return reading
    what = Said("where the processes run is not taken over", "没有读入进程所在的机器和设备")
    why = Said(
        "it names machines or devices of a hostfile; --set launch.nodes=... launch.processes=...",
        "它指的是 hostfile 中的机器或设备；可用 --set launch.nodes=... launch.processes=... 说明",
    )
    reading.notes.append(Note(what, str(one.origin), why))
    return reading


def _found(name: str, folder: Path) -> Path | None:
    try:
        places = (folder / Path(name).expanduser(), Path(name).expanduser())
        return next((place for place in places if place.is_file()), None)
    except (OSError, ValueError, RuntimeError):  # no name of a file
        return None


def _both(settings: list[Setting]) -> Problem:
    told = sentence_list(one.origin.spelling or one.path for one in settings)
    return Problem(
        what=f"{told} are given together",
        where=str(settings[0].origin),
        why="the deepspeed launcher takes either counts, or what to include, or what to exclude, "
        "and refuses two of them",
        fix="keep one of them",
    )


def _no_part(setting: Setting, why: str) -> Problem:
    return Problem(
        what=f"{setting.origin.spelling or setting.path} cannot be used",
        where=str(setting.origin),
        why=why,
        fix="name machines and slots of the hostfile: worker-0@worker-1:0,2",
    )
