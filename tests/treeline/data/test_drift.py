"""How far rows differ from those of before: found where they do, silent where chance alone speaks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from treeline.data.drift import drift, sample_rows

KINDS = {
    "number": "number",
    "flag": "boolean",
    "town": "category",
    "zip": "high_cardinality",
    "note": "text",
    "day": "datetime",
}


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "flag": rng.random(rows) < 0.3,
            "town": rng.choice(list("abcd"), rows),
            "zip": rng.integers(0, 300, rows).astype(str),
            "note": "some words",
            "day": "2020-01-01",
        }
    )


@pytest.mark.parametrize("rows", [1, 3, 10, 50, 500, 5000])
def test_the_same_distribution_does_not_drift(rows: int) -> None:
    for seed in range(10):
        found = drift(table(5000, seed=100 + seed), table(rows, seed), KINDS)
        assert not found["drifts"].any(), found[found["drifts"]]
        assert set(found["column"]) == {"number", "flag", "town", "zip"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("number", 5.0), ("number", np.nan), ("flag", True), ("town", "e"), ("town", None), ("zip", "new")],
)
def test_what_changed_drifts_and_comes_first(name: str, value: object) -> None:
    found = drift(table(2000, 0), table(500, 1).assign(**{name: value}), KINDS).set_index("column")
    assert found.loc[name, "drifts"]
    assert found["drifts"].sum() == 1


def test_the_distance_is_scipys() -> None:
    reference, current = table(400, 0), table(300, 1).assign(number=lambda frame: frame["number"] + 0.3)
    found = drift(reference, current, {"number": "number"}).iloc[0]
    assert found["distance"] == pytest.approx(
        ks_2samp(reference["number"].dropna(), current["number"].dropna()).statistic
    )
    assert found["missing_reference"] == pytest.approx(reference["number"].isna().mean())
    assert found["missing_current"] == pytest.approx(current["number"].isna().mean())


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
