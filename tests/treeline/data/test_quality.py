"""Planted faults: each check fires on its own and is silent on clean data."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, KINDS, TARGET, make_problem, make_table

from treeline.data.leaks import inspect_leaks, predictive_power
from treeline.data.quality import (
    Inspection,
    drift_of_sides,
    inspect_drift,
    inspect_rows,
    inspect_split,
    inspect_table,
)
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
        *told_drift(frame.iloc[:half], frame.iloc[half:], kinds),
    ]


def told_drift(train: pd.DataFrame, test: pd.DataFrame, kinds: dict[str, str]) -> list[str]:
    return inspect_drift(drift_of_sides(train, test, kinds, TARGET), TARGET)


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
    warnings = told_drift(train, test, KINDS)
    assert len(warnings) == 1
    assert ("The target drifts" if name == TARGET else f"The column {name!r} drifts") in warnings[0]


# --- all of it, as the stage asks


def inspected(split: str = "stratified", **change: object) -> Inspection:
    problem, frame = replace(make_problem(), split=split), make_table(n=400)  # type: ignore[arg-type]
    return inspect_table(problem, frame.iloc[:300], frame.iloc[300:].assign(**change), seed=0)


def test_a_clean_table_has_no_warning_and_the_power_of_each_column() -> None:
    seen = inspected()
    assert seen.warnings == []
    power = seen.power
    assert list(power) == list(KINDS)
    y = label_codes(make_table(n=400)[TARGET].iloc[:300], CLASSES["binary"])
    alone = predictive_power(make_table(n=400)["width [mm]"].iloc[:300], "number", y, classes=True)
    assert power["width [mm]"] == pytest.approx(alone, abs=0.1)
    assert all(0 <= each < 1 for each in power.values())


def test_what_is_planted_in_either_side_is_found_by_the_whole_inspection() -> None:
    frame, problem = make_table(n=400), make_problem()
    frame["code"] = np.where(frame[TARGET] == "yes", 3.0, 1.0)
    frame.loc[0, "length"] = np.inf
    problem = replace(problem, kinds={**KINDS, "code": "number"})
    train, test = frame.iloc[:300], pd.concat([frame.iloc[300:], frame.iloc[1:4]])
    seen = inspect_table(problem, train, test, seed=0)
    assert seen.power["code"] == 1
    assert [warning[:30] for warning in seen.warnings] == [
        "The column 'length' holds 1 in",
        "The column 'code' alone predic",
        "3 of 103 test rows stand in th",
    ]


@pytest.mark.parametrize(("split", "told"), [("stratified", 0), ("random", 0), ("group", 0), ("time", 1)])
def test_drift_is_looked_for_where_the_split_is_by_time(split: str, told: int) -> None:
    seen = inspected(split, length=100.0)
    assert len(seen.warnings) == told
    assert all("'length' drifts" in warning for warning in seen.warnings)
    assert seen.drift["drifts"].sum() == told


def test_the_sample_that_columns_are_judged_by_follows_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treeline.data.quality.MAX_ROWS_JUDGED", 500)
    train, test = make_table(n=2000), make_table(n=100, seed=5)
    one, same, other = (inspect_table(make_problem(), train, test, seed).power for seed in (0, 0, 1))
    assert one == same != other


def test_a_column_that_is_missing_in_all_later_rows_drifts_by_its_gaps() -> None:
    frame, _ = clean()
    train, test = frame.iloc[:200], frame.iloc[200:].assign(length=np.nan)
    (warning,) = told_drift(train, test, KINDS)
    assert re.match(
        r"The column 'length' drifts from the earlier rows to the later ones: .*missing values went from \S+ to 100%\.",
        warning,
    )


def test_of_many_columns_that_drift_some_are_told_and_the_target_always() -> None:
    rng = np.random.default_rng(0)
    kinds = {f"q{i}": "number" for i in range(15)}
    train, test = (pd.DataFrame({name: rng.normal(5 * now, 1, 200) for name in kinds}) for now in (0, 1))
    train[TARGET], test[TARGET] = rng.choice(["no", "yes"], 200), rng.choice(["no", "yes"], 200, p=[0.1, 0.9])
    told = told_drift(train, test, kinds)
    assert len(told) == 12
    assert told[-2].startswith("The target drifts")
    assert told[-1].startswith("5 more columns drift")
