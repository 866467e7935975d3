"""Values in Python's own spelling, as people paste them: `key = value` lines, the source of a
dataclass, a call or a printed object, `ModelArgs(dim=4096)`. The source is parsed and never run.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

Form = Literal["lines", "class", "call"]


@dataclass(slots=True)
class Fragment:
    """Named values that stand together."""

    form: Form
    name: str = ""
    """The class or function in front of the values; '' for lines."""
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[str, int] = field(default_factory=dict[str, int])
    twice: dict[str, int] = field(default_factory=dict[str, int])
    """Names that stand there more than once, with the line of an earlier one."""
    unread: dict[str, int] = field(default_factory=dict[str, int])
    """Names whose value only a running program knows, and their lines."""

    def put(self, name: str, value: object, line: int) -> None:
        """Takes a value in; of several the last counts."""
        if name in self.lines:
            self.twice[name] = self.lines[name]
        self.values[name], self.lines[name] = value, line


def fragments(text: str) -> list[Fragment]:
    """The named values in ``text``, in order; none where it is no Python of one of these forms."""
    found = _parsed(PRINTED.sub(r"\1", text))
    if found is None:
        found = _from_lines(text)
    return [] if all(name.isupper() for one in found for name in one.lines) else found


PRINTED = re.compile(r"<\w+(?:\.\w+)+: ('[^'\n]*'|[\w.+-]+)>")
"""How Python prints a member of an enum: <IntervalStrategy.NO: 'no'>."""

LONGEST = 1_000_000
"""Characters that are parsed as Python; nobody pastes more."""


def _parsed(text: str) -> list[Fragment] | None:
    """What stands in text that is Python; None where it is none, or holds no values."""
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        found = [one for one in _collected(tree) if one.values or one.unread]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found or None


def _collected(tree: ast.Module) -> Iterator[Fragment]:
    plain = Fragment("lines")
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield _of_fields(node)
        else:
            calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
            named = [one for one in calls if one.keywords and _is_class(_name(one.func))]
            for call in named:
                yield _of_call(call, plain.values)
            if not named and isinstance(node, ast.Assign | ast.AnnAssign):
                _assign(node, plain)
    if plain.values or plain.unread:
        yield plain


def _is_class(name: str) -> bool:
    """Whether a name is spelled as those of classes are: LoraConfig, ModelArgs."""
    return bool(re.fullmatch(r"[A-Z]\w*[a-z]\w*", name.rpartition(".")[2]))


def _of_fields(node: ast.ClassDef) -> Fragment:
    found = Fragment("class", node.name)
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            _assign(statement, found)
    return found


def _of_call(node: ast.Call, known: Mapping[str, Any]) -> Fragment:
    found = Fragment("call", _name(node.func).rpartition(".")[2])
    for keyword in node.keywords:
        if keyword.arg is not None:
            _put(found, keyword.arg, keyword.value, keyword.value.lineno, known)
    return found


def _assign(node: ast.Assign | ast.AnnAssign, found: Fragment) -> None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if node.value is not None and len(targets) == 1:
        name = _name(targets[0])
        if name:
            _put(found, name, _default_of(node.value), node.lineno)


def _put(
    found: Fragment,
    name: str,
    node: ast.expr | None,
    line: int,
    known: Mapping[str, Any] | None = None,
) -> None:
    """Takes the value of an expression in. Between lines of `key = value` a word is a text; in a
    program it is the name of a variable.
    """
    if node is None:
        return
    known = found.values if known is None else known
    try:
        word = node.id if isinstance(node, ast.Name) else None
        is_variable = word is not None and word not in known and word.lower() not in WORDS
        if is_variable and found.form != "lines":
            raise _UnknownError
        found.put(name, _value(node, known), line)
    except (_UnknownError, ArithmeticError, ValueError, TypeError):
        found.unread[name] = found.lines[name] = line


def _default_of(node: ast.expr) -> ast.expr | None:
    """The default in ``field(default=8, metadata=...)``; the expression itself elsewhere."""
    if isinstance(node, ast.Call) and _name(node.func).rpartition(".")[2] in ("field", "Field"):
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        return given.get("default", node.args[0] if node.args else None)
    return node


def _name(node: ast.AST) -> str:
    """'batch.micro' of the expression that spells it; '' for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _name(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


class _UnknownError(Exception):
    """The value of an expression is not known."""


WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "none": None}


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """The value of an expression of literals, of names that stand above it, and of arithmetic."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, bytes | complex):
        return cast(object, node.value)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(one, known) for one in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key, known): _value(one, known) for key, one in pairs if key is not None}
    if isinstance(node, ast.Name | ast.Attribute):
        name = _name(node)
        if name in known:
            return known[name]
        if not name or (isinstance(node, ast.Attribute) and name.partition(".")[0] == "self"):
            raise _UnknownError
        last = name.rpartition(".")[2]  # torch.float16, SchedulerType.COSINE, adamw_torch
        return WORDS.get(last.lower(), last)
    if isinstance(node, ast.UnaryOp | ast.BinOp):
        return _computed(node, known)
    raise _UnknownError


def _computed(node: ast.UnaryOp | ast.BinOp, known: Mapping[str, Any]) -> float:
    """Arithmetic on numbers: 4 * d_model, 1024 ** 2."""
    if isinstance(node, ast.UnaryOp):
        value = _number(_value(node.operand, known))
        if isinstance(node.op, ast.USub | ast.UAdd):
            return -value if isinstance(node.op, ast.USub) else value
        raise _UnknownError
    left, right = _number(_value(node.left, known)), _number(_value(node.right, known))
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return left // right
        case ast.Pow() if abs(right) <= 64 and abs(left) <= 2**16:
            return cast(float, left**right)
        case _:
            raise _UnknownError


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _UnknownError
    return value


SIGN = r"[ \t\u00a0\u3000]*[=\uff1d][ \t\u00a0\u3000]*"
KIND = r"(?:\s*[:\uff1a]\s*[A-Za-z_][\w.]*(?:\[[^\]\n]*\])?(?:\s*\|\s*\w+)*)?"
ASSIGNMENT = re.compile(rf"(?<!\S)(?P<name>[A-Za-z_][\w.-]*){KIND}{SIGN}(?!=)")
VALUE = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|\[[^\]\n]*\]|\{[^}\n]*\}|\([^)\n]*\)|[^\s#\uff03]+")
COMMENT = re.compile(r"\s*(#|\uff03|//)")
HEADER = re.compile(r"\s*(@[\w.]+(\([^)]*\))?\s*)*(class\s+(?P<name>\w+)[^:\n]*:)?", re.ASCII)


def _from_lines(text: str) -> list[Fragment]:
    """Lines, or one paragraph, of `key = value`, whose values need no quotes; none where anything
    else stands between them.
    """
    header = HEADER.match(text)
    assert header is not None, "every part of it may be absent"
    name = header["name"] or ""
    found = Fragment("class" if name else "lines", name)
    line, counted = 1, 0
    for start, stop, assignment in _pieces(text, header.end()):
        between = text[start : assignment.start()] if assignment else text[start:stop]
        if any(one.strip() and not COMMENT.match(one) for one in between.split("\n")):
            return []
        if assignment is None:
            continue
        line += text.count("\n", counted, assignment.start())
        counted = assignment.start()
        value = _spelled(text[assignment.end() : stop])
        if value is None:
            return []
        found.put(assignment["name"], _of_text(value, found.values), line)
    return [found] if found.values else []


def _pieces(text: str, at: int) -> Iterator[tuple[int, int, re.Match[str] | None]]:
    """Every assignment behind ``at`` with what stands in front of it and where its value ends."""
    assignments = [one for one in ASSIGNMENT.finditer(text, at) if not _in_comment(text, one)]
    start = at
    for index, one in enumerate(assignments):
        rest = assignments[index + 1].start() if index + 1 < len(assignments) else len(text)
        end = text.find("\n", one.end())
        stop = min(rest, len(text) if end < 0 else end)
        yield start, stop, one
        start = stop
    yield start, len(text), None


def _in_comment(text: str, assignment: re.Match[str]) -> bool:
    """Whether nothing but a comment stands in front of it in its line: '# lr = 3'."""
    start = text.rfind("\n", 0, assignment.start()) + 1
    return COMMENT.match(text, start, assignment.start()) is not None


def _spelled(rest: str) -> str | None:
    """The one word, quoted text or bracket that a value is; None where more stands there."""
    found = VALUE.match(rest)
    if found is None:
        return None
    behind = rest[found.end() :]
    if behind.strip(" \t\r\u00a0\u3000,;\uff0c\uff1b\n") and not COMMENT.match(behind):
        return None
    return found[0]


def _of_text(text: str, known: Mapping[str, Any]) -> Any:
    plain = text.rstrip(",;\uff0c\uff1b")
    try:
        return _value(ast.parse(plain, mode="eval").body, known)
    except (SyntaxError, ValueError, RecursionError, MemoryError, _UnknownError, ArithmeticError):
        return WORDS.get(plain.lower(), plain)
