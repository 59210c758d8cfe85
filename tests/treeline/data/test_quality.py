"""Planted faults: each check fires on its own and is silent on clean data."""

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, KINDS, TARGET, make_table

from treeline.data.quality import inspect_drift, inspect_leaks, inspect_rows, inspect_split, predictive_power
from treeline.data.target import label_codes


def clean(target: str = "binary", n: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    frame = make_table(target, n=n)
    y = label_codes(frame[TARGET], CLASSES[target]) if CLASSES[target] else frame[TARGET].to_numpy()
    return frame, y


def found(frame: pd.DataFrame, kinds: dict[str, str], y: np.ndarray, target: str) -> list[str]:
    classes: list[object] = list(CLASSES[target])
    knowledge = {name: predictive_power(frame[name], kind, y, bool(classes)) for name, kind in kinds.items()}
    half = len(frame) // 2
    return [
        *inspect_rows(frame, kinds, y, classes),
        *inspect_leaks(knowledge, len(frame)),
        *inspect_split(frame.iloc[:half], frame.iloc[half:], kinds, TARGET, classes),
        *inspect_drift(frame.iloc[:half], frame.iloc[half:], kinds, TARGET),
    ]


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_clean_data_is_met_with_silence(target: str) -> None:
    frame, y = clean(target)
    assert found(frame, KINDS, y, target) == []


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_the_target_under_another_name_is_a_leak(target: str) -> None:
    frame, y = clean(target)
    frame["code"] = y * 2.5 + 1
    kinds = {**KINDS, "code": "number"}
    warnings = found(frame, kinds, y, target)
    assert len(warnings) == 1
    assert "'code' alone predicts the target almost perfectly" in warnings[0]


def test_a_category_that_gives_the_target_away_is_a_leak() -> None:
    frame, y = clean()
    frame["status"] = np.where(y == 1, "closed", "open")
    assert predictive_power(frame["status"], "category", y, classes=True) == 1


def test_a_column_of_noise_knows_nothing_and_a_good_one_something() -> None:
    frame, y = clean(n=2000)
    noise = pd.Series(np.random.default_rng(99).normal(size=2000))
    assert predictive_power(noise, "number", y, classes=True) < 0.1
    assert 0.2 < predictive_power(frame["width [mm]"], "number", y, classes=True) < 0.9
    assert predictive_power(pd.Series(["some text"] * 2000), "text", y, classes=True) == 0


def test_rows_on_both_sides_are_counted() -> None:
    frame, _ = clean()
    train, test = frame.iloc[:300], pd.concat([frame.iloc[300:], frame.iloc[:7]])
    warnings = inspect_split(train, test, KINDS, TARGET, list(CLASSES["binary"]))
    assert len(warnings) == 1
    assert warnings[0].startswith("7 of 107 test rows stand in the training rows too")


def test_rows_that_look_alike_because_little_is_known_of_them_are_no_repeats() -> None:
    frame = pd.DataFrame({"town": ["a", "b"] * 50, TARGET: ["no", "yes"] * 50})
    assert inspect_split(frame, frame, {"town": "category"}, TARGET, ["no", "yes"]) == []


def test_a_class_that_the_test_lacks_is_named() -> None:
    frame, _ = clean("multiclass")
    test = frame[frame[TARGET] != "très rouge"].head(50)
    rest = frame.drop(index=test.index)
    warnings = inspect_split(rest, test, KINDS, TARGET, list(CLASSES["multiclass"]))
    assert warnings[0].startswith("The test rows lack 1 of 3 classes, such as 'très rouge'")


def test_rare_classes_are_named() -> None:
    frame, _ = clean()
    y = np.zeros(400, dtype=np.int64)
    y[:4] = 1
    assert inspect_rows(frame, KINDS, y, ["no", "yes"])[0].startswith("Rare classes: 'yes' (4 rows).")


def test_infinite_values_are_counted() -> None:
    frame, y = clean()
    frame.loc[:2, "length"] = np.inf
    assert inspect_rows(frame, KINDS, y, ["no", "yes"]) == [
        "The column 'length' holds 3 infinite values, which are read as missing."
    ]


def test_more_columns_than_rows_are_said() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 60))).rename(columns=str)
    warnings = inspect_rows(frame, dict.fromkeys(frame.columns, "number"), rng.normal(size=40), [])
    assert warnings[0].startswith("60 columns are more than the 40 rows")


def test_a_target_that_hardly_varies_is_said() -> None:
    frame, _ = clean("regression")
    y = 1e9 + np.random.default_rng(0).normal(size=400)
    assert "subtract a constant" in inspect_rows(frame, KINDS, y, [])[0]


@pytest.mark.parametrize(("name", "later"), [("length", 100.0), ("town", "new town"), (TARGET, "yes")])
def test_what_drifts_is_named(name: str, later: object) -> None:
    frame, _ = clean()
    train, test = frame.iloc[:200], frame.iloc[200:].assign(**{name: later})
    warnings = inspect_drift(train, test, KINDS, TARGET)
    assert len(warnings) == 1
    assert ("The target drifts" if name == TARGET else f"The column {name!r} drifts") in warnings[0]
