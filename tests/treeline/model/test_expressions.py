"""Derived columns: arithmetic as NumPy does it, and nothing but arithmetic."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treeline import UserError
from treeline.data.tables import read_table
from treeline.model.expressions import BUILT_IN_DERIVED, Expression, derived_by_default, parse_derived

A = np.array([1.0, -2.0, 0.0, 4.5, np.nan])
B = np.array([2.0, 0.5, 0.0, -3.0, 1.0])
KINDS = {"a": "number", "mean texture": "number", "flag": "boolean", "town": "category", "a;b": "number"}
ARITHMETIC = st.text(alphabet="ab09.e_`+-*/%<>=!()[],'; \n", max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", A + B),
        ("a - b", A - B),
        ("a * b", A * B),
        ("-a", -A),
        ("+a", A),
        ("a / b", [0.5, -4, np.nan, -1.5, np.nan]),
        ("a // b", [0, -4, np.nan, -2, np.nan]),
        ("a % b", [1, 0, np.nan, -1.5, np.nan]),
        ("b ** 2", [4, 0.25, 0, 9, 1]),
        ("a ** 0.5", [1, np.nan, 0, 4.5**0.5, np.nan]),
        ("2 ** 3 ** 2 + 0 * b", [512] * 5),
        ("(a + 1) * 2", [4, -2, 2, 11, np.nan]),
        ("a + 1 * 2", [3, 0, 2, 6.5, np.nan]),
        ("abs(b)", [2, 0.5, 0, 3, 1]),
        ("sqrt(b)", [2**0.5, 0.5**0.5, 0, np.nan, 1]),
        ("log(a)", [0, np.nan, np.nan, np.log(4.5), np.nan]),
        ("log1p(a)", [np.log(2), np.nan, 0, np.log(5.5), np.nan]),
        ("exp(b)", np.exp(B)),
        ("exp(1000 * b)", [np.nan, np.exp(500), 1, 0, np.nan]),
        ("b < 1", [0, 1, 1, 1, 0]),
        ("b <= 1", [0, 1, 1, 1, 1]),
        ("b > 1", [1, 0, 0, 0, 0]),
        ("b >= 1", [1, 0, 0, 0, 1]),
        ("b == 1", [0, 0, 0, 0, 1]),
        ("b != 1", [1, 1, 1, 1, 0]),
        ("1e-3 * b", 0.001 * B),
        ("  b  ", B),
    ],
)
def test_arithmetic_is_numpy_s(text: str, expected: np.ndarray) -> None:
    result = Expression(text)({"a": A, "b": B})
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(b > 0) + (b > 1)", [2, 1, 0, 0, 1]),
        ("(b > 1) - (b < 1)", [1, -1, -1, -1, 0]),
        ("-(b > 1)", [-1, 0, 0, 0, 0]),
        ("+(b > 1)", [1, 0, 0, 0, 0]),
        ("exp(b > 1)", [np.e, 1, 1, 1, 1]),
        ("(b > 1) * 2.5", [2.5, 0, 0, 0, 0]),
    ],
)
def test_a_comparison_is_the_number_0_or_1(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(Expression(text)({"b": B}), expected, rtol=1e-15)


@pytest.mark.parametrize(
    "text", ["1 / 0", "1 // 0", "2 % 0", "0 ** -1", "10 ** 400", "(-1) ** 0.5", "1e400", "log(-1)", "1" + "0" * 400]
)
def test_a_constant_without_a_finite_value_is_missing_or_refused(text: str) -> None:
    try:
        expression = Expression(f"a + {text}")
    except UserError:
        return
    assert np.isnan(expression({"a": A})).all()


def test_what_is_not_finite_is_missing() -> None:
    values = {"a": np.array([1.0, -1.0, 0.0, 1e308]), "b": np.array([0.0, 0.0, 0.0, 1e-308])}
    assert np.isnan(Expression("a / b")(values)).all()
    assert np.isnan(Expression("a * 10")({"a": np.array([np.inf, -np.inf, 1e308])})).all()


@pytest.mark.parametrize(
    "name",
    [
        "mean texture",
        "a-b",
        "größe",
        "東京",
        "class",
        "x'y\"z",
        "f(x)",
        "100%",
        "a;b",
        "a=b",
        "a\nb",
        "lambda",
        "1",
        "€",
    ],
)
def test_a_name_in_backticks_may_hold_any_characters(name: str) -> None:
    expression = Expression(f"`{name}` * 2 + b - `{name}`")
    assert expression.columns == [name, "b"]
    np.testing.assert_array_equal(expression({name: B, "b": A}), B * 2 + A - B)


def test_two_names_in_backticks_are_not_mixed_up() -> None:
    expression = Expression("`a b` - `c d` / `a b`")
    assert expression.columns == ["a b", "c d"]
    np.testing.assert_array_equal(expression({"a b": np.array([2.0]), "c d": np.array([6.0])}), [-1.0])


@pytest.mark.parametrize("name", ["_column_0", "_column_1", "__0", "_0"])
def test_a_name_in_backticks_does_not_hide_a_plain_one(name: str) -> None:
    expression = Expression(f"`a b` + 10 * {name}")
    assert expression.columns == ["a b", name]
    np.testing.assert_array_equal(expression({"a b": np.array([1.0]), name: np.array([2.0])}), [21.0])


def test_a_column_may_have_the_name_of_a_function() -> None:
    assert Expression("log(log)").columns == ["log"]


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "`a b`.real",
        "a.__class__",
        "__import__('os')",
        "eval(a)",
        "open(a)",
        "sum(a)",
        "np.log(a)",
        "(lambda: a)()",
        "lambda: a",
        "a[0]",
        "a[:]",
        "'text'",
        "b'text'",
        "f'{a}'",
        "None",
        "...",
        "1j",
        "[a]",
        "(a, b)",
        "{a}",
        "{a: b}",
        "[x for x in a]",
        "a if b else a",
        "a and b",
        "not a",
        "a < b < a",
        "a is b",
        "a in b",
        "a @ b",
        "a & b",
        "a << b",
        "~a",
        "(a := 1)",
        "log()",
        "log(a, b)",
        "log(*a)",
        "log(a, out=b)",
        "log(x=a)",
        "await a",
    ],
)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not supported: use columns, numbers"):
        Expression(text)


@pytest.mark.parametrize("text", ["", " ", "a +", "a b", "import os", "a = b", "a; b", "a\nb", "``", "`a", "(a", "\0"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="Cannot read the expression"):
        Expression(text)


@pytest.mark.parametrize("text", ["-" * 5000 + "a", "a+" * 3000 + "a", "(" * 300 + "a" + ")" * 300, "a" + ".a" * 3000])
def test_an_expression_too_deep_to_read_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        Expression(text)


def test_a_long_sum_is_no_problem() -> None:
    np.testing.assert_array_equal(Expression("+".join(["b"] * 300))({"b": B}), B * 300)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text() | ARITHMETIC)
@example("a if")
@example("0if a else b")
def test_any_text_is_an_expression_or_a_user_error(text: str) -> None:
    try:
        Expression(text)
    except UserError:
        return


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ARITHMETIC)
@example("9 ** 9 ** 9")
@example("-(a < b)")
def test_any_expression_has_a_finite_or_missing_value(text: str) -> None:
    try:
        expression = Expression(text)
    except UserError:
        return
    result = expression(dict.fromkeys(expression.columns, B))
    assert result.dtype == np.float64
    assert not np.isinf(result).any()


@pytest.mark.parametrize(
    ("text", "derived"),
    [
        ("", {}),
        (" ; \n ;", {}),
        ("x = a", {"x": "a"}),
        ("x=a*2;", {"x": "a*2"}),
        ("x = a; y = `mean texture` + flag", {"x": "a", "y": "`mean texture` + flag"}),
        ("x = a\ny = flag", {"x": "a", "y": "flag"}),
        ("`ratio <1>` = a", {"ratio <1>": "a"}),
        ("größe = a", {"größe": "a"}),
        ("x = a == flag", {"x": "a == flag"}),
        ("x = `a;b` * 2; y = a", {"x": "`a;b` * 2", "y": "a"}),
    ],
)
def test_definitions_are_split_into_names_and_expressions(text: str, derived: dict[str, str]) -> None:
    assert parse_derived(text, KINDS) == derived


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a + 1", r"Cannot read the derived column 'a \+ 1': write name = expression"),
        ("= a", r"Cannot read the derived column '= a'"),
        ("`` = a", r"Cannot read the derived column"),
        ("x =", r"Cannot read the expression ''"),
        ("x == a", r"Cannot read the expression '= a'"),
        ("a = flag", r"'a' has the name of another column"),
        ("town = a", r"'town' has the name of another column"),
        ("x = a; x = flag", r"'x' has the name of another column"),
        ("x = mean_texture", r"'x' reads 'mean_texture'.*Did you mean 'mean texture'\?"),
        ("x = a; y = x", r"'y' reads 'x', which the table does not have"),
        ("x = a + town", r"'x' reads 'town', which is read as category"),
        ("x = 10**10**10", r"'x' reads no column"),
        ("x = True", r"'x' reads no column"),
        ("x = a.b", r"'a.b' in 'a.b' is not supported"),
    ],
)
def test_a_wrong_definition_is_named(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        parse_derived(text, KINDS)


def test_the_default_table_has_a_derived_column_of_itself() -> None:
    frame = read_table("breast_cancer").frame
    kinds = dict.fromkeys(frame.columns.drop("target"), "number")
    derived = derived_by_default("breast_cancer", kinds)
    assert list(derived) == ["additional_feature"]
    values = Expression(derived["additional_feature"])({name: frame[name].to_numpy() for name in kinds})
    np.testing.assert_array_equal(values, frame["mean symmetry"] / frame["mean texture"])


@pytest.mark.parametrize("dropped", ["mean symmetry", "mean texture"])
def test_a_default_column_goes_with_the_columns_it_reads(dropped: str) -> None:
    kinds = dict.fromkeys({"mean symmetry", "mean texture", "mean area"} - {dropped}, "number")
    assert derived_by_default("breast_cancer", kinds) == {}


def test_another_table_has_no_derived_column_of_itself() -> None:
    read = BUILT_IN_DERIVED["breast_cancer"]["additional_feature"]
    assert derived_by_default("house_prices", dict.fromkeys(Expression(read).columns, "number")) == {}


def test_an_expression_leaves_its_columns_alone() -> None:
    values = {"a": A.copy(), "b": B.copy()}
    same: Callable[[np.ndarray, np.ndarray], None] = np.testing.assert_array_equal
    Expression("a")(values)[:] = 7
    Expression("abs(a) + b")(values)
    same(values["a"], A)
    same(values["b"], B)
