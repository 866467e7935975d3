"""A formula is a planning function: one return expression over named parts, printed from its own
source with the numbers of a run in it.

    @formula("bytes")
    def kv_cache_bytes(shape: Shape, batch: int, length: int, bytes_each: int) -> int:
        \"\"\"Keys and values kept while generating.

        生成时保存的键和值。
        \"\"\"
        return 2 * shape.layers * batch * length * shape.kv_width * bytes_each

``kv_cache_bytes.text(shape, 1, 2048, 2)`` is '2 × layers × batch × length × kv_width × bytes_each =
2 × 28 × 1 × 2,048 × 256 × 2 = 56 MiB'.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from ..params.declare import Words
from ..params.units import unit_in
from ..text import number, size
from .view.quantities import operations

P = ParamSpec("P")
R = TypeVar("R", bound=float, covariant=True)
Unit = Literal[
    "bytes", "parameters", "rows", "batches", "steps", "tokens", "examples", "elements",
    "checkpoints", "times", "passes over the data", "FLOP", "seconds",
    "hours", "kWh", "money",
]  # fmt: skip

Bracket = Literal["none", "sums", "all"]
"""Which operations need brackets where they stand."""

FORMULAS: dict[str, Formula[..., float]] = {}
"""Every formula by its name, as their modules are imported."""

SIGNS: dict[type[ast.operator], str] = {
    ast.Add: " + ",
    ast.Sub: " − ",
    ast.Mult: " × ",
    ast.Div: " / ",
    ast.FloorDiv: " // ",
}


@dataclass(frozen=True)
class Formula(Generic[P, R]):
    """A planning function that can say itself."""

    function: Callable[P, R]
    unit: Unit

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def words(self) -> Words:
        """What it counts."""
        english, _, chinese = inspect.cleandoc(self.function.__doc__ or "").partition("\n\n")
        return Words(" ".join(english.split()), "".join(chinese.split("\n")))

    @cached_property
    def expression(self) -> ast.expr:
        """What the function returns, as it is written."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.function)))
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        last = function.body[-1]
        assert isinstance(last, ast.Return) and last.value is not None, "one return expression"
        return last.value

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names of the parts it is made of."""
        return frozenset(_parts(self.expression))

    def shown(self, value: float, language: str = "en") -> str:
        """A value in its unit."""
        if self.unit == "bytes":
            return size(value)
        if self.unit == "FLOP":
            return operations(value)
        return f"{number(value)} {unit_in(self.unit, language, value)}"

    def text(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The names, the numbers, and what they come to."""
        return f"{self.working(*args, **kwargs)} = {self.shown(self(*args, **kwargs))}"

    def working(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The names, and the numbers in their places."""
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        values = {**self.function.__globals__, **bound.arguments}
        names, numbers = (_written(self.expression, values, told) for told in (False, True))
        return f"{names} = {numbers}"


def formula(unit: Unit) -> Callable[[Callable[P, R]], Formula[P, R]]:
    """Makes a formula of a function with one return expression."""

    def made(function: Callable[P, R]) -> Formula[P, R]:
        found = Formula(function, unit)
        FORMULAS[found.name] = found
        return found

    return made


def every_formula() -> Mapping[str, Formula[..., float]]:
    """Every formula of the package by its name: whatever module of it holds one."""
    package = __name__.rpartition(".")[0]
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("[a-z]*.py")):
        inside = file.relative_to(folder).with_suffix("").parts
        import_module(".".join((package, *inside)))
    return FORMULAS


def _written(
    node: ast.expr, values: Mapping[str, Any], numbers: bool, bracket: Bracket = "none"
) -> str:
    """An expression as a person writes it, in names or in numbers; of two branches the one that
    these values take.
    """
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in SIGNS:
            is_sum = isinstance(operator, ast.Add | ast.Sub)
            divides = isinstance(operator, ast.Div | ast.FloorDiv)
            of_left: Bracket = "none" if is_sum else "sums"
            of_right: Bracket = "all" if divides else of_left
            sign = SIGNS[type(operator)]
            text = _written(left, values, numbers, of_left) + sign
            text += _written(right, values, numbers, of_right)
            return f"({text})" if bracket == "all" or (bracket == "sums" and is_sum) else text
        case ast.Constant(value):
            return number(value) if isinstance(value, int | float) else repr(value)
        case ast.IfExp(test, body, orelse):
            taken = body if _value(test, values) else orelse
            return _written(taken, values, numbers, bracket)
        case ast.Call(ast.Attribute(ast.Name("math"), rounding), [argument]):
            return f"{rounding}({_written(argument, values, numbers)})"
        case ast.Call(ast.Name(("min" | "max" | "int") as which), arguments):
            return f"{which}({', '.join(_written(one, values, numbers) for one in arguments)})"
        case _ if numbers:
            found = _value(node, values)
            return number(found) if isinstance(found, int | float) else str(found)
        case ast.Attribute(_, name) | ast.Name(name) | ast.Call(ast.Name(name)):
            return name
        case _:
            return ast.unparse(node)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """What a part of the function's own source comes to; the source is ours, and no input."""
    return eval(compile(ast.Expression(node), "<formula>", "eval"), dict(values))


def _parts(node: ast.expr) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            yield one.attr
        elif isinstance(one, ast.Name):
            yield one.id
