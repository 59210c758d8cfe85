"""Checks: the kind of every column, the task of every target, and each refusal in its own words."""

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, KINDS, TARGET, TASKS, make_table

from treeline import UserError
from treeline.data.target import (
    MAX_INTEGER_CLASSES,
    Target,
    check_present,
    guess_task,
    label_codes,
    settle_target,
)


def values(*items: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(list(items), dtype=dtype)


def settled(y: pd.Series, task: str = "auto") -> Target:
    return settle_target(pd.DataFrame({"x": range(len(y)), "the target": y}), "the target", task)


@pytest.mark.parametrize(
    ("target", "task", "reason"),
    [
        (values("a", "b"), "binary", "2 different values"),
        (values("a", "b", "c"), "multiclass", "3 different labels"),
        (values(*(f"{i}" for i in range(50))), "multiclass", "50 different labels"),
        (values(True, False), "binary", "2 different values"),
        (values(True, False, dtype="boolean"), "binary", "2 different values"),
        (values(0, 1), "binary", "2 different values"),
        (values(0.25, 0.75), "binary", "2 different values"),
        (values(-1, 1, -1), "binary", "2 different values"),
        (values(1, 2, 3), "multiclass", "3 different whole numbers, at most 20"),
        (values(1.0, 2.0, 3.0), "multiclass", "3 different whole numbers"),
        (values(1, 2, 3, dtype="Int64"), "multiclass", "3 different whole numbers"),
        (values(1, 2, 3, dtype="int64[pyarrow]"), "multiclass", "3 different whole numbers"),
        (values(1, 2, 3, dtype="category"), "multiclass", "3 different labels"),
        (values(*range(MAX_INTEGER_CLASSES)), "multiclass", "20 different whole numbers"),
        (values(*range(MAX_INTEGER_CLASSES + 1)), "regression", "a number with 21 different values"),
        (values(1, 2, 3.5), "regression", "a number with 3 different values"),
        (values(*np.linspace(0, 1, 100)), "regression", "a number with 100 different values"),
    ],
    ids=lambda value: f"{value.dtype}-{value.nunique()}" if isinstance(value, pd.Series) else str(value),
)
def test_the_task_is_guessed_with_its_reason(target: pd.Series, task: str, reason: str) -> None:
    guess, why = guess_task(target)
    assert guess == task
    assert reason in why


@pytest.mark.parametrize("target", TASKS)
def test_the_target_of_a_made_table_poses_its_task(target: str) -> None:
    frame = make_table(target)
    found = settle_target(frame, TARGET, "auto")
    assert found.task == TASKS[target]
    assert len(found.rows) == len(frame)
    if CLASSES[target]:
        assert sorted(found.rows[TARGET].unique().tolist()) == CLASSES[target]


@pytest.mark.parametrize(
    ("y", "task", "complaint"),
    [
        (values(None, None), "auto", "Every value of the target 'the target' is missing"),
        (values(np.nan, np.nan), "regression", "Every value of the target 'the target' is missing"),
        (values("a", "a", None), "auto", "'the target' has one value only, 'a'"),
        (values(7.5, 7.5), "regression", r"one value only, .*7\.5"),
        (values("a", "a", "b"), "auto", "The class 'b' of the target 'the target' has one row"),
        (values(1, 1, 2, 2, 3), "auto", "The class .*3.* has one row.*Use task=regression if the target is a number"),
        (values(*(f"{i}:15:00" for i in range(20, 60))), "auto", "has one row.*a duration is predicted as a number"),
        (values(*pd.date_range("2021-01-01", periods=40).astype("str")), "auto", "has one row.*A moment or a duration"),
        (values("a", "b", "a", "b"), "regression", "holds 'a', 'b', not numbers: task=regression needs numbers"),
        (values(1.5, np.inf, 2.5), "regression", "holds an infinite value"),
        (values(*range(30), -np.inf), "auto", "holds an infinite value"),
        (
            values("a", "b", "c", "a", "b", "c"),
            "binary",
            "has 3 different values; task=binary needs two. Use task=mu",
        ),
        (values("a", 1, "a", 1, dtype=object), "auto", "mixes text with other values, such as 'a'"),
        (values(True, "a", True, "a", dtype=object), "multiclass", "mixes text with other values, such as True"),
    ],
)
def test_a_target_that_cannot_be_learned_is_named(y: pd.Series, task: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        settled(y, task)


@pytest.mark.parametrize(
    "y",
    [
        values([1], [2], [1], [2]),
        values({"a": 1}, {}, {"a": 1}, {}),
        values(*pd.to_datetime(["2020", "2021"] * 2)),
        values(*pd.to_timedelta([1, 2, 1, 2])),
        values(1j, 2, 1j, 2),
        values(b"a", b"b", b"a", b"b"),
    ],
    ids=["list", "dict", "datetime", "timedelta", "complex", "bytes"],
)
@pytest.mark.parametrize("task", ["auto", "multiclass", "regression"])
def test_a_target_whose_labels_json_cannot_hold_is_refused(y: pd.Series, task: str) -> None:
    with pytest.raises(UserError, match="the target"):
        settled(y, task)


def test_many_codes_with_zeros_in_front_are_labels() -> None:
    found = settled(values(*(f"{i:03}" for i in range(40)), *(f"{i:03}" for i in range(40))))
    assert found.task == "multiclass"
    assert found.rows["the target"].iloc[7] == "007"


def test_rows_without_a_target_are_left_out_and_the_rest_stays() -> None:
    frame = make_table()
    frame.loc[[3, 7, 199], TARGET] = None
    pd.testing.assert_frame_equal(settle_target(frame, TARGET, "auto").rows, frame.drop(index=[3, 7, 199]))


@pytest.mark.parametrize("target", TASKS)
def test_two_rows_may_have_the_same_index(target: str) -> None:
    frame = make_table(target).set_axis([0, 1] * 100)
    found = settle_target(frame, TARGET, "auto")
    assert found.task == TASKS[target]
    pd.testing.assert_frame_equal(found.rows, frame, check_dtype=False)


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (values(1.0, 2.0, np.nan, 1.0, 2.0), [1, 2]),
        (values(1, 2, None, 1, 2, dtype="Int64"), [1, 2]),
        (values(1, 2, None, 1, 2, dtype="int64[pyarrow]"), [1, 2]),
        (values(1, 2, None, 1, 2, dtype="float32"), [1, 2]),
        (values(1, 2, 1, 2, dtype="int8"), [1, 2]),
        (values(0.5, 1.0, 0.5, 1.0), [0.5, 1.0]),
        (values(*map(decimal.Decimal, ["0.5", "1", "0.5", "1"])), [0.5, 1.0]),
        (values(True, False, True, False), [False, True]),
        (values(True, None, False, True, False, dtype=object), [False, True]),
        (values(True, None, False, True, False, dtype="boolean"), [False, True]),
        (values("b", None, "a", "b", "a", dtype="string"), ["a", "b"]),
        (values("1", "2", "1", "2"), [1, 2]),
        (values("01", "02", "01", "02"), ["01", "02"]),
        (values(*np.array([2**63 + 1, 5, 2**63 + 1, 5], dtype="uint64"), dtype="uint64"), [5, 2**63 + 1]),
        (values(1e300, 0.0, 1e300, 0.0), [0.0, 1e300]),
    ],
    ids=lambda value: f"{value.dtype}" if isinstance(value, pd.Series) else str(value),
)
def test_labels_are_what_they_were_before_a_missing_value_changed_their_type(y: pd.Series, labels: list[Any]) -> None:
    target = settled(y)
    found = sorted(target.rows["the target"].unique().tolist())
    assert target.task == "binary"
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


def test_a_regression_target_of_whole_numbers_stays_a_number() -> None:
    found = settled(values(1.0, 2.0, 3.0), "regression")
    assert (found.task, found.rows["the target"].tolist()) == ("regression", [1.0, 2.0, 3.0])
    assert found.reason == "asked for by task=regression"


def test_a_task_asked_for_overrules_the_guess() -> None:
    assert settled(values(*range(30), *range(30)), "multiclass").task == "multiclass"
    assert settled(values(0, 1, 0, 1), "regression").task == "regression"


@pytest.mark.parametrize("task", ["auto", "binary"])
def test_levels_of_a_category_that_no_row_has_are_no_classes(task: str) -> None:
    y = pd.Series(pd.Categorical(["a", "b", "a", "b", None], categories=["a", "b", "gone"]))
    found = settled(y, task)
    assert found.task == "binary"
    assert found.rows["the target"].unique().tolist() == ["a", "b"]


def test_the_columns_of_a_model_may_stand_in_any_order_among_others() -> None:
    frame = make_table()
    check_present(frame[frame.columns[::-1]].assign(more="text"), KINDS, "rows.csv")


def test_missing_columns_are_counted_and_named() -> None:
    with pytest.raises(UserError, match=r"rows\.csv lacks 2 of the model's columns: 'length', 'town'"):
        check_present(make_table().drop(columns=["length", "town"]), KINDS, "rows.csv")


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (pd.Series(["b", "a", "b"]), ["a", "b"], [1, 0, 1]),
        (pd.Series(["b", "a", "new", None]), ["a", "b"], [1, 0, -1, -1]),
        (pd.Series([True, False]), [False, True], [1, 0]),
        (pd.Series([True, False], dtype=object), np.array([False, True]), [1, 0]),
        (pd.Series([5, 3, 4]), [3, 5], [1, 0, -1]),
        (pd.Series([5.0, 3.0]), [3, 5], [1, 0]),
        (pd.Series([5, None], dtype="Int64"), [3, 5], [1, -1]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"], [1, 0]),
        (pd.Series(["b", "a"], dtype="string"), np.array(["a", "b"]), [1, 0]),
        (pd.Series(["1", "3"]), [1, 3], [-1, -1]),
        (pd.Series([], dtype=object), ["a", "b"], []),
    ],
)
def test_a_label_s_code_is_its_place_among_the_classes(y: pd.Series, classes: Any, codes: list[int]) -> None:
    assert label_codes(y, classes).tolist() == codes


@pytest.mark.parametrize(("unit", "told"), [(1e300, "too large"), (1e-300, "too small")])
def test_a_target_whose_square_no_float_holds_is_refused(unit: float, told: str) -> None:
    frame = pd.DataFrame({"x": range(30), "y": np.linspace(1, 2, 30) * unit})
    with pytest.raises(UserError, match=f"The target 'y' reaches 2e.*{told} for its errors to be squared"):
        settle_target(frame, "y", "auto")


@pytest.mark.parametrize(
    ("y", "task", "rows"),
    [
        (values(*(i / 4 for i in range(60)), "n/a", "-", dtype=object), "regression", 60),
        (values(*(i % 2 for i in range(60)), "?", dtype=object), "binary", 60),
        (values(*(i % 3 for i in range(60)), "?", dtype=object), "multiclass", 60),
        (values(*(i % 2 for i in range(60)), "1", dtype=object), "binary", 61),
    ],
    ids=str,
)
def test_marks_among_numbers_mean_in_a_sheet_what_they_mean_in_text(y: pd.Series, task: str, rows: int) -> None:
    text = pd.Series([str(value) for value in y], dtype="str")
    for each in (y, text):
        found = settled(each)
        assert (found.task, len(found.rows)) == (task, rows)
    assert settled(y).rows["the target"].tolist() == settled(text).rows["the target"].tolist()
