"""Intervals of numbers: the quantile that a new residual exceeds rarely enough, wider where rows are less certain."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.model.conformal import HeldOut, conformal_quantile, fit_width
from treeline.model.estimator import TreelineRegressor
from treeline.model.features import Features

FEATURES = Features({"a": "number", "b": "number"}, {}, {})


def held_out(n: int, grows: bool, seed: int = 0) -> HeldOut:
    """Draw rows whose residuals are normal; of one size, or growing with `a` and with the prediction."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    predictions = 2 * X["a"].to_numpy()
    size = np.exp(X["a"].to_numpy()) if grows else 1.0
    return HeldOut(X, predictions + rng.normal(size=n) * size, predictions)


@pytest.mark.parametrize(("n", "coverage", "place"), [(9, 0.9, 8), (19, 0.9, 17), (99, 0.95, 94), (10, 0.5, 5)])
def test_the_quantile_is_the_one_of_split_conformal_prediction(n: int, coverage: float, place: int) -> None:
    sizes = np.random.default_rng(0).permutation(n).astype(float)
    assert conformal_quantile(sizes, coverage) == place


def test_a_weight_counts_like_as_many_rows() -> None:
    rng = np.random.default_rng(0)
    sizes, weight = rng.random(200), rng.integers(1, 4, 200)
    repeated = conformal_quantile(np.repeat(sizes, weight), 0.8)
    assert conformal_quantile(sizes, 0.8, weight.astype(float)) == pytest.approx(repeated, abs=0.02)
    assert conformal_quantile(sizes, 0.8, np.full(200, 7.0)) == conformal_quantile(sizes, 0.8)


def test_rows_that_count_nothing_are_no_rows() -> None:
    """Neither where they promise a share, nor where there are too few to promise one."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        sizes, weight = rng.random(500), (rng.random(500) < 0.04).astype(float)
        assert conformal_quantile(sizes, 0.85, weight) == conformal_quantile(sizes[weight > 0], 0.85)
    held = replace(held_out(300, grows=False), weight=np.where(np.arange(300) < 8, 1.0, 0.0))
    with pytest.raises(UserError, match="needs 9 rows predicted out of fold, got 300, whose weights leave 8"):
        fit_width(FEATURES, held, 0.9, 1)


@pytest.mark.parametrize("grows", [False, True])
def test_an_interval_holds_the_share_it_was_asked_for(grows: bool) -> None:
    shares = []
    for seed in range(10):
        held, new = held_out(400, grows, seed), held_out(2000, grows, seed + 100)
        width = fit_width(FEATURES, held, 0.8, 1)
        model = TreelineRegressor(FEATURES, {}, 1)
        model.half_width_, model.spread_ = width.half, width.spread
        ends = model._ends(new.X.to_numpy(np.float32), new.predictions)
        shares.append(np.mean((new.y >= ends[:, 0]) & (new.y <= ends[:, 1])))
    assert np.mean(shares) == pytest.approx(0.8, abs=0.02)


def test_rows_get_a_width_of_their_own_only_where_that_is_surely_narrower() -> None:
    assert fit_width(FEATURES, held_out(1500, grows=False), 0.9, 1).spread is None
    assert fit_width(FEATURES, held_out(1500, grows=True), 0.9, 1).spread is not None


def test_a_perfect_model_has_intervals_of_no_width() -> None:
    held = held_out(300, grows=False)
    assert fit_width(FEATURES, replace(held, y=held.predictions), 0.9, 1).half == 0


def test_too_few_rows_for_a_coverage_are_refused() -> None:
    with pytest.raises(UserError, match=r"interval=0\.99 needs 99 rows predicted out of fold, got 50"):
        fit_width(FEATURES, held_out(50, grows=False), 0.99, 1)
