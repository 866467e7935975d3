"""YAML with the line of every key."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from ..errors import UserError, refuse
from ..text import place

Keys = tuple[str, ...]

LONGEST, DEEPEST = 100_000, 100
"""No file that is written by hand comes near; reading one beyond would take seconds. Nor does one
stand for more values than LONGEST once its aliases are filled in.
"""


def read_yaml(
    text: str, file: str, version: Literal["1.1", "1.2"] = "1.2"
) -> tuple[Any, list[tuple[Keys, int]]]:
    """What YAML text spells ({} where it spells nothing), and every key of it with its line.

    In 1.1, which PyYAML reads, a bare ``no`` is false; in 1.2 it is text.

    Raises:
        UserError: with the place where it is broken.
    """
    if len(text) > LONGEST or _depth(text) > DEEPEST:
        what = f"it is longer than {LONGEST:,} characters, or nested deeper than {DEEPEST} times"
        raise unreadable("YAML of a run", what, file)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning

    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # who reads the keys finds them, all of them
    if version == "1.1":
        yaml.version = (1, 1)
    untyped = cast(Any, yaml)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)  # 1e-5 in 1.1; an anchor given twice
            node = untyped.compose(text)
            if node is not None and _size(node, {}) > LONGEST:
                raise unreadable("YAML of a run", "its aliases stand for too much", file)
            lines = list(_node_lines(node, set()))
            return untyped.constructor.construct_document(node) if node else {}, lines
    except YAMLError as error:
        marked = cast(Any, error if isinstance(error, MarkedYAMLError) else None)
        line = marked.problem_mark.line + 1 if marked and marked.problem_mark else None
        message = marked.problem if marked and marked.problem else str(error).split("\n")[0]
        raise unreadable("YAML", message, place(file, line)) from None
    except (RecursionError, ValueError, TypeError, AttributeError, KeyError) as error:
        what = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise unreadable("YAML", what, file) from None


def _node_lines(node: Any, seen: set[int], above: Keys = ()) -> Iterator[tuple[Keys, int]]:
    """An alias stands for what was seen already, and may stand for what it is in."""
    if node is not None and node.id == "mapping" and id(node) not in seen:
        seen.add(id(node))
        for key, value in node.value:
            keys = (*above, str(key.value))
            yield keys, key.start_mark.line + 1
            yield from _node_lines(value, seen, keys)


def _size(node: Any, sizes: dict[int, float]) -> float:
    """How many values a node stands for with its aliases filled in; infinite where it stands in
    itself.
    """
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # while it is open
        ones: list[Any] = list(node.value) if node.id != "scalar" else []
        if node.id == "mapping":
            ones = [one for pair in ones for one in pair]
        sizes[id(node)] = 1 + sum(_size(one, sizes) for one in ones)
    return sizes[id(node)]


def _depth(text: str) -> int:
    """How many brackets stand open at once, at most."""
    deepest = depth = 0
    for bracket in re.findall(r"[\[{}\]]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def unreadable(kind: str, message: str, where: str) -> UserError:
    """What a user is told of text that cannot be read as what it is."""
    return refuse(
        what=f"this is no {kind}: {message}",
        where=where,
        why="nothing behind the broken place can be read",
        fix="mend the file there",
    )


def yaml_lines(tree: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Names and values, and sections of such, as lines that YAML 1.1 and 1.2 read alike."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and not indent:
            yield f"{key}:"
            yield from yaml_lines(cast(dict[str, Any], value), "  ")
        else:
            yield f"{indent}{key}: {_scalar(cast(object, value))}"


def _scalar(value: object) -> str:
    """One value as both read it: 'no' in quotes, 1.0e-05 with its point."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value):
        read, _ = read_yaml(value, "", "1.1")
        if read == value:
            return value
    text = json.dumps(value, ensure_ascii=False)
    bare = isinstance(value, float) and re.fullmatch(r"-?\d+e-?\d+", text)
    return text.replace("e", ".0e") if bare else text
