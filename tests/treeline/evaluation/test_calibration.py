"""Calibration: ties are never cut, a perfect model is warned of as often as said, and slope and intercept are right."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from treeline.evaluation.calibration import MAX_ROWS_DRAWN, calibration
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling


def of(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Predictions:
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]), weight)


def drawn(n: int, slope: float = 1.0, intercept: float = 0.0, seed: int = 0) -> Predictions:
    """Probabilities of which a recalibration by slope and intercept would be perfect."""
    rng = np.random.default_rng(seed)
    margin = 1.5 * rng.normal(size=n)
    true = rng.random(n) < 1 / (1 + np.exp(-(slope * margin + intercept)))
    return of(1 / (1 + np.exp(-margin)), true.astype(int))


def test_honest_probabilities_are_calibrated_and_bold_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    honest, bold = (calibration(of(q, y)) for q in (p, np.where(p > 0.5, 0.99, 0.01)))
    assert honest.error < 0.02
    assert not honest.is_off
    assert bold.error == pytest.approx(0.24, abs=0.02)
    assert bold.is_off


def test_equal_probabilities_share_a_bin_whatever_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.choice([0.1, 0.3, 0.8], 200), rng.integers(0, 2, 200)
    one, other = calibration(of(p, y)), calibration(of(p[::-1], y[::-1]))
    assert one.table["predicted"].tolist() == pytest.approx([0.1, 0.3, 0.8])
    assert one.table["rows"].tolist() == [int((p == each).sum()) for each in (0.1, 0.3, 0.8)]
    assert one.error == pytest.approx(other.error)
    shares = [np.abs(y[p == each].mean() - each) * np.mean(p == each) for each in (0.1, 0.3, 0.8)]
    assert one.error == pytest.approx(sum(shares))


def test_a_perfect_model_of_100_rows_is_rarely_off_and_a_bold_one_of_1000_always() -> None:
    assert np.mean([calibration(drawn(100, seed=seed)).is_off for seed in range(100)]) <= 0.09
    assert all(calibration(drawn(1000, slope=0.5, seed=seed)).is_off for seed in range(10))


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    found = drawn(2000, slope=0.6, intercept=-0.4)
    p = found.y_proba[:, 1]
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(p / (1 - p))[:, None], found.y_true)
    measured = calibration(found)
    assert (measured.slope, measured.intercept) == pytest.approx((fit.coef_[0, 0], fit.intercept_[0]), abs=1e-4)
    assert measured.slope_low < 0.6 < measured.slope_high < 1


def test_where_there_is_no_slope_it_is_not_a_number_and_not_logged() -> None:
    y = np.array([0] * 20 + [1] * 20)
    for p in (np.where(y == 1, 0.9, 0.2), np.full(40, 0.5), np.linspace(0.1, 0.9, 40)):
        measured = calibration(of(p, y if len(np.unique(p)) < 40 else (p > 0.5).astype(int)))
        assert np.isnan([measured.slope, measured.slope_low, measured.slope_high, measured.intercept]).all()
        assert set(measured.values()) == {"calibration_error", "calibration_error_chance", "calibration_p"}
    assert np.isnan(calibration(of(np.linspace(0.1, 0.9, 40), y * 0)).slope)


def test_a_weight_counts_as_often_as_the_row_stands_there() -> None:
    found = drawn(300)
    weight = np.random.default_rng(1).integers(0, 4, 300)
    weighted = calibration(replace(found, weight=weight.astype(float)))
    repeated = calibration(found.take(np.repeat(np.arange(300), weight)))
    assert weighted.error == pytest.approx(repeated.error)
    assert (weighted.slope, weighted.intercept) == pytest.approx((repeated.slope, repeated.intercept))
    assert weighted.slope_high - weighted.slope_low > repeated.slope_high - repeated.slope_low  # no more is known


def test_many_rows_have_the_chance_that_fewer_would_lead_to_expect() -> None:
    few, many = (calibration(drawn(n)) for n in (MAX_ROWS_DRAWN, 4 * MAX_ROWS_DRAWN))
    assert few.chance / many.chance == pytest.approx(2, rel=0.15)


def test_of_several_classes_it_is_that_of_the_most_probable_one() -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet([1, 1, 1], 4000)
    y = (given.cumsum(axis=1) < rng.random(4000)[:, None]).sum(axis=1)
    found = Predictions("multiclass", y, given.argmax(axis=1), given)
    assert not calibration(found).is_off
    assert calibration(found).table["predicted"].min() > 1 / 3
    bold = given**3 / (given**3).sum(axis=1, keepdims=True)
    assert calibration(replace(found, y_proba=bold)).is_off


def test_where_most_perfect_models_lie_surrounds_what_was_given() -> None:
    table = calibration(drawn(500)).table
    assert ((table["low"] < table["predicted"]) & (table["predicted"] < table["high"])).all()
    assert table[["low", "high"]].to_numpy().min() >= 0


@pytest.mark.parametrize("many", [False, True])
def test_groups_that_differ_by_chance_are_not_off(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of groups whose level is drawn, probabilities that are right on the mean over all groups are perfect ones; judged
    as rows that know nothing of each other nearly half are called off.
    """
    if many:
        monkeypatch.setattr("treeline.evaluation.calibration.MAX_UNITS_SIGNED", 5)
    rng, groups = np.random.default_rng(0), Sampling("groups", np.repeat(np.arange(30), 100))
    off, bold = 0, 0
    for _ in range(60):
        x, level = rng.normal(size=3000), 0.5 * np.repeat(rng.normal(size=30), 100)
        y = (x + level + rng.normal(size=3000) > 0).astype(int)
        p = norm.cdf(x / np.sqrt(1.25))
        off += calibration(of(p, y), groups).is_off
        bold += calibration(of(np.where(p > 0.5, 0.97, 0.03), y), groups).is_off
    assert off <= 6
    assert bold == 60
