"""How far rows differ from those of before: found where they do, silent where chance alone speaks."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from treeline.data.drift import drift, sample_rows

KINDS = {
    "number": "number",
    "flag": "boolean",
    "town": "category",
    "zip": "high_cardinality",
    "id": "high_cardinality",
    "sparse": "number",
    "note": "text",
    "day": "datetime",
}
Rng = np.random.Generator


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "flag": rng.random(rows) < 0.3,
            "town": rng.choice(list("abcd"), rows),
            "zip": rng.integers(0, 300, rows).astype(str),
            "id": [f"{seed}-{i}" for i in range(rows)],
            "sparse": np.where(rng.random(rows) < 0.97, np.nan, rng.normal(size=rows)),
            "note": "some words",
            "day": "2020-01-01",
        }
    )


@pytest.mark.parametrize("rows", [1, 3, 10, 50, 500, 5000])
def test_the_same_distribution_does_not_drift(rows: int) -> None:
    for seed in range(10):
        found = drift(table(5000, seed=100 + seed), table(rows, seed), KINDS)
        assert not found["drifts"].any(), found[found["drifts"]]
        assert set(found["column"]) == set(KINDS)
        assert (found["what"] == "").all()


def test_a_table_does_not_drift_from_itself() -> None:
    found = drift(table(500, 0), table(500, 0), KINDS)
    assert not found["drifts"].any()
    assert (found["psi"].dropna() == 0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 5.0),
        ("number", np.nan),
        ("flag", True),
        ("town", "e"),
        ("town", None),
        ("zip", "new"),
        ("note", None),
        ("day", None),
    ],
)
def test_what_changed_drifts_and_comes_first(name: str, value: object) -> None:
    found = drift(table(2000, 0), table(500, 1).assign(**{name: value}), KINDS)
    assert found.loc[0, "column"] == name
    assert found["drifts"].tolist() == [True] + [False] * (len(KINDS) - 1)


def some(rng: Rng, n: int, value: object, column: object) -> pd.Series:
    """Put a value in a fifth of the cells."""
    return pd.Series(column, dtype=object).mask(rng.random(n) < 0.2, value)


CHANGES: dict[str, tuple[str, Callable[[Rng, int, bool], object], str]] = {
    "shift": ("number", lambda rng, n, now: rng.normal(now / 2, 1, n), "its median went from "),
    "spread": ("number", lambda rng, n, now: rng.normal(0, 1 + now, n), "middle half -1."),
    "sentinel": (
        "number",
        lambda rng, n, now: some(rng, n, -999.0 if now else 0.0, rng.normal(size=n)).astype(float),
        "% of its values are new: -999",
    ),
    "level": (
        "category",
        lambda rng, n, now: some(rng, n, "e" if now else "a", rng.choice(list("abcd"), n)),
        "% of its values are new: 'e'",
    ),
    "many levels": (
        "high_cardinality",
        lambda rng, n, now: some(rng, n, "e" if now else "7", rng.integers(0, 300, n).astype(str)),
        "of its values are new: 'e'",
    ),
    "missing": (
        "number",
        lambda rng, n, now: some(rng, n, np.nan if now else 0, rng.normal(size=n)).astype(float),
        "its share of missing values went from 0% to ",
    ),
    "target": (
        "category",
        lambda rng, n, now: np.where(rng.random(n) < 0.05 + 0.15 * now, "yes", "no"),
        "the shares of its levels changed, that of ",
    ),
}


@pytest.mark.parametrize("rows", [1000, 20_000])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_matters_is_told_among_columns_that_did_not(name: str, rows: int) -> None:
    kind, make, what = CHANGES[name]
    rng = np.random.default_rng(0)
    reference, current = table(rows, 0), table(1000, 1)
    reference["it"], current["it"] = make(rng, rows, False), make(rng, 1000, True)
    found = drift(reference, current, KINDS | {"it": kind})
    assert found.loc[found["drifts"], "column"].tolist() == ["it"]
    assert what in found.loc[0, "what"]


def test_a_change_that_matters_to_nobody_is_not_told_however_many_the_rows() -> None:
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=200_000), "y": rng.random(200_000) < 0.10})
    current = pd.DataFrame({"x": rng.normal(0.1, 1, 200_000), "y": rng.random(200_000) < 0.12})
    assert not drift(reference, current, {"x": "number", "y": "boolean"})["drifts"].any()


def test_a_few_values_beyond_the_range_are_new_where_one_repeats() -> None:
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=5000)})
    current = pd.DataFrame({"x": rng.normal(size=1000)})
    current.loc[:29, "x"] = 9999.0
    assert drift(reference, current, {"x": "number"}).loc[0, "what"] == "3.0% of its values are new: 9999"
    current.loc[:29, "x"] = np.linspace(5, 6, 30)  # a tail is none
    assert not drift(reference, current, {"x": "number"}).loc[0, "drifts"]


def test_identifiers_that_never_repeat_are_nothing_new() -> None:
    sides = [pd.DataFrame({"id": [f"{now}{i:04}" for i in range(1000)]}) for now in (1, 2)]
    assert not drift(sides[0], sides[1], {"id": "high_cardinality"})["drifts"].any()
    customers = [pd.DataFrame({"id": [f"{now}{i // 5:04}" for i in range(1000)]}) for now in (1, 2)]
    assert "100% of its values are new" in drift(customers[0], customers[1], {"id": "high_cardinality"}).loc[0, "what"]


def test_the_distance_is_scipys() -> None:
    reference, current = table(400, 0), table(300, 1).assign(number=lambda frame: frame["number"] + 0.3)
    found = drift(reference, current, {"number": "number"}).iloc[0]
    assert found["distance"] == pytest.approx(
        ks_2samp(reference["number"].dropna(), current["number"].dropna()).statistic
    )
    assert found["missing_reference"] == pytest.approx(reference["number"].isna().mean())
    assert found["missing_current"] == pytest.approx(current["number"].isna().mean())


VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -999.0, 1e300])), max_size=40),
    st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), max_size=200),
)


@given(VALUES, VALUES, st.sampled_from(["number", "category", "high_cardinality", "text"]))
def test_any_two_samples_are_compared(before: list[float | None], now: list[float | None], kind: str) -> None:
    sides = [
        pd.DataFrame({"x": pd.array(each, dtype="Float64").to_numpy(float, na_value=np.nan)}) for each in (before, now)
    ]
    if kind != "number":
        sides = [side.astype(object).map(lambda value: None if pd.isna(value) else f"v{value}") for side in sides]
    found = drift(sides[0], sides[1], {"x": kind}).iloc[0]
    assert np.isnan(found["distance"]) or 0 <= found["distance"] <= 1 + 1e-12
    assert np.isnan(found["psi"]) or 0 <= found["psi"] < np.inf
    assert 0 <= found["p_value"] <= 1
    assert bool(found["what"]) == found["drifts"]
    assert not drift(sides[0], sides[0], {"x": kind})["drifts"].any()


def test_no_columns_are_no_drift() -> None:
    found = drift(table(10, 0), table(10, 1), {})
    assert len(found) == 0
    assert {"column", "psi", "drifts", "what"} <= set(found)


def test_a_sample_takes_every_row_with_the_same_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treeline.data.drift.MAX_ROWS_COMPARED", 50)
    counts = np.zeros(200)
    for seed in range(400):
        parts = np.split(np.arange(200), [10, 11, 100])
        drawn = sample_rows((pd.DataFrame({"i": part}) for part in parts), seed)
        assert len(drawn) == drawn["i"].nunique() == 50
        counts[drawn["i"]] += 1
    assert counts.min() > 60  # of 100 expected, standard deviation 8.7
    assert counts.max() < 140


def test_a_small_table_is_its_own_sample() -> None:
    assert sorted(sample_rows([pd.DataFrame({"i": [1, 2]}), pd.DataFrame({"i": [3]})])["i"]) == [1, 2, 3]
