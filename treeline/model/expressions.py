"""Derived columns: small arithmetic expressions over columns, safe to carry inside a model.

An expression is Python arithmetic over column names; a name with blanks or signs stands between backticks:
`` additional_feature = `mean symmetry` / `mean texture` ``. Nothing but the operators and functions below can be
written, so an expression that travels with a model can run no code of its own.
"""

import ast
import operator
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from treeline import UserError, nearest

if TYPE_CHECKING:  # a model that is served brings no reader of tables, and what that needs is not installed for it
    from treeline.data.problem import Problem

OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
}
BUILT_IN_DERIVED = {"breast_cancer": {"additional_feature": "`mean symmetry` / `mean texture`"}}


class Expression:
    """A parsed expression: which columns it reads, and their values to its value.

    Args:
        text: the right-hand side of a derived column.

    Attributes:
        columns: the names it reads, in order of first use.

    Raises:
        UserError: the text is no expression, or holds anything but columns, numbers, operators and functions.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._names: dict[str, str] = {}
        self._prefix = "_column_"
        while self._prefix in text:
            self._prefix += "_"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # of Python's parser, on text that is refused below
                self._tree = ast.parse(re.sub(r"`([^`]+)`", self._placeholder, text).strip(), mode="eval").body
            used = self._check(self._tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UserError(
                f"Cannot read the expression {text[:200]!r}: write arithmetic, `names with blanks` in backticks."
            ) from None
        self.columns = list(dict.fromkeys(used))

    def __call__(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Evaluate over float64 columns of shape (n_rows,); what has no finite value is NaN."""
        with np.errstate(all="ignore"):
            result = np.asarray(self._value(self._tree, values), dtype=np.float64)
        return np.where(np.isfinite(result), result, np.nan)

    def _placeholder(self, match: re.Match[str]) -> str:
        placeholder = f"{self._prefix}{len(self._names)}"
        self._names[placeholder] = match[1]
        return placeholder

    def _check(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Name(id=name):
                return [self._names.get(name, name)]
            case ast.Constant(value=int() | float() as number) if abs(number) <= sys.float_info.max:
                return []
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return self._check(left) + self._check(right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                return self._check(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                return self._check(left) + self._check(right)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return self._check(argument)
        part = ast.unparse(node)
        raise UserError(
            f"{part!r} in {self.text!r} is not supported: use columns, numbers, + - * / // % ** < > and "
            f"{', '.join(FUNCTIONS)}."
        )

    def _value(self, node: ast.expr, values: Mapping[str, np.ndarray]) -> np.ndarray | np.float64:
        match node:
            case ast.Name(id=name):
                return values[self._names.get(name, name)]
            case ast.Constant(value=int() | float() as number):
                return np.float64(number)  # which divides by zero as columns do
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                result = OPERATORS[type(op)](self._value(left, values), self._value(right, values))
                return np.asarray(result, dtype=np.float64)
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self._value(operand, values))
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return FUNCTIONS[name](self._value(argument, values))
        raise AssertionError(f"unchecked node {ast.dump(node)}")


def parse_derived(text: str, kinds: Mapping[str, str], left_out: Mapping[str, str] | None = None) -> dict[str, str]:
    """Split `name = expression; other = expression` into a mapping, checked against the columns of a table.

    Args:
        text: definitions between semicolons or line breaks; a later one cannot read an earlier one.
        kinds: the kind of each raw column, as in `treeline.data.columns.Columns`.
        left_out: columns that the model does not read, and why.

    Raises:
        UserError: a definition is malformed, names an unknown column, none or one of text, or a name that is taken.
    """
    derived: dict[str, str] = {}
    for definition in filter(None, (part.strip() for part in re.findall(r"(?:`[^`]*`|[^;\n])+", text))):
        name, equals, expression = definition.partition("=")
        name = name.strip().strip("`")
        if not equals or not name:
            raise UserError(f"Cannot read the derived column {definition!r}: write name = expression.")
        if name in kinds or name in derived:
            raise UserError(f"The derived column {name!r} has the name of another column: choose a new name.")
        columns = Expression(expression.strip()).columns
        if not columns:
            raise UserError(f"The derived column {name!r} reads no column: each row would have the same value in it.")
        for column in columns:
            _check_operand(name, column, kinds, left_out or {})
        derived[name] = expression.strip()
    return derived


def _check_operand(name: str, column: str, kinds: Mapping[str, str], left_out: Mapping[str, str]) -> None:
    """Refuse a column that a derived one cannot read: left out, unknown, or not of numbers."""
    if column in left_out:
        raise UserError(
            f"The derived column {name!r} reads {column!r}, which is left out: {left_out[column]}. "
            "Name it with numeric to keep it."
        )
    if column not in kinds:
        raise UserError(
            f"The derived column {name!r} reads {column!r}, which the table does not "
            f"have.{nearest(column, [*kinds, *left_out])}"
        )
    if kinds[column] not in ("number", "boolean"):
        raise UserError(
            f"The derived column {name!r} reads {column!r}, which is read as {kinds[column]}: expressions take numbers."
        )


def add_derived(problem: "Problem", text: str) -> "Problem":
    """Add derived columns to a problem: those that the text defines, or those that a built-in table has of itself.

    Raises:
        UserError: as `parse_derived`.
    """
    derived = parse_derived(text, problem.kinds, problem.left_out)
    if problem.target in derived:
        raise UserError(f"The derived column {problem.target!r} has the name of the target: choose a new name.")
    return replace(problem, derived=derived or derived_by_default(problem.table, problem.kinds))


def derived_by_default(table: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """Give the derived columns that a built-in table has of itself, as far as their columns were not dropped."""
    return {
        name: text
        for name, text in BUILT_IN_DERIVED.get(table, {}).items()
        if set(Expression(text).columns) <= set(kinds)
    }
