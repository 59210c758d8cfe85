"""The sizes and tests of drift: their definitions, their limits, and that chance is never called smaller than it is."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from treeline.data.shifts import (
    MIN_ROWS_EXPECTED,
    chance_of_new,
    chance_of_shares,
    expected_new,
    pool_cells,
    shift_of_levels,
    shift_of_numbers,
    stability_index,
)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=40))
def test_cells_are_merged_until_enough_rows_are_expected_and_none_is_lost(cells: list[tuple[int, int]]) -> None:
    counts = np.array([*cells, (1, 1)]).T
    bins = pool_cells(counts)
    assert (bins.sum(axis=1) == counts.sum(axis=1)).all()
    if bins.shape[1] > 1:
        expected = counts.sum(axis=1).min() * bins.sum(axis=0) / bins.sum()
        assert (expected >= MIN_ROWS_EXPECTED - 1e-9).all()


def test_the_test_of_levels_is_pearsons() -> None:
    counts = np.array([[50, 30, 20], [20, 40, 60]])
    assert shift_of_levels(counts).chance == pytest.approx(chi2_contingency(counts, correction=False).pvalue)
    assert shift_of_levels(counts).distance == pytest.approx((0.3 + 1 / 30 + 0.3) / 2, abs=0.02)


def test_the_index_is_the_fields_own_less_what_chance_makes() -> None:
    counts = np.array([[40_000, 60_000], [50_000, 50_000]])
    plain = (0.5 - 0.4) * np.log(0.5 / 0.4) + (0.5 - 0.6) * np.log(0.5 / 0.6)
    assert stability_index(counts) == pytest.approx(plain, abs=1e-4)
    rng = np.random.default_rng(0)
    alike = [stability_index(rng.multinomial(300, np.full(30, 1 / 30), 2)) for _ in range(200)]
    assert np.mean(alike) < 0.03  # 0.19 if chance were left in


@pytest.mark.parametrize("most", [0.0, 7.0])
def test_a_value_that_most_rows_hold_is_a_bin_of_its_own(most: float) -> None:
    rng = np.random.default_rng(0)
    reference = np.full(1000, most)
    current = np.where(rng.random(1000) < 0.3, most - rng.random(1000), most)
    assert shift_of_numbers(reference, current).psi > 0.25


def test_nothing_is_said_where_a_side_is_empty() -> None:
    found = shift_of_numbers(np.array([1.0, 2.0]), np.array([]))
    assert np.isnan([found.distance, found.psi]).all()
    assert found.chance == 1
    assert shift_of_levels(np.array([[3, 4], [0, 0]])).chance == 1


def test_the_chance_of_shares_is_symmetric_and_small_where_they_differ() -> None:
    rows = np.array([1000, 200])
    assert chance_of_shares(np.array([100, 20]), rows) > 0.5
    assert chance_of_shares(np.array([0, 40]), rows) < 1e-20


@pytest.mark.parametrize(("n", "m", "levels"), [(300, 300, 200), (1000, 50, 400), (50, 1000, 300), (300, 300, 600)])
def test_new_levels_are_never_called_less_likely_than_they_are(n: int, m: int, levels: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, levels, n + m)
    pooled, rows = np.bincount(drawn)[np.bincount(drawn) > 0], np.array([n, m])
    found = []
    for _ in range(400):
        shuffled = rng.permutation(drawn)
        found.append(int((~np.isin(shuffled[n:], shuffled[:n])).sum()))
    assert expected_new(pooled, rows) == pytest.approx(np.mean(found), rel=0.1, abs=0.5)
    chances = np.array([chance_of_new(each, pooled, rows) for each in found])
    for alpha in (0.5, 0.1, 0.02):
        assert np.mean(chances <= alpha) <= alpha + 0.02


def test_a_level_that_only_current_rows_hold_is_sure() -> None:
    pooled, rows = np.array([500, 500, 200]), np.array([1000, 200])
    assert chance_of_new(200, pooled, rows) < 1e-100
    assert chance_of_new(1000, np.ones(2000), np.array([1000, 1000])) == pytest.approx(1)


@pytest.mark.parametrize("n", [5, 60])
def test_the_nearest_that_samples_can_lie_warns_of_nothing(n: int) -> None:
    """Its chance is 1, which SciPy counts out as a hair more, and warns."""
    values = np.arange(float(n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shift_of_numbers(values, values + 0.5).chance == pytest.approx(1)
