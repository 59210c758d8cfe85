"""The influence of a row on a metric is its slope in the weight of that row, whatever the metric."""

from dataclasses import replace

import numpy as np
import pytest

from treeline.evaluation.influence import INFLUENCES, influence
from treeline.evaluation.predictions import Predictions
from treeline.metrics import CLASSIFICATION, REGRESSION


def drawn(n_classes: int, digits: int, n: int = 60) -> Predictions:
    """Draw predictions that are better than chance; few digits give ties."""
    rng = np.random.default_rng(3)
    if not n_classes:
        y = rng.uniform(1, 9, n)
        return Predictions("regression", y, y + rng.normal(size=n), np.empty((n, 0)))
    y = np.arange(n) % n_classes
    odds = np.round(rng.random((n, n_classes)) + 0.5 * np.eye(n_classes)[y], digits) + 0.01
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    task = "binary" if n_classes == 2 else "multiclass"
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities)


def slopes(predictions: Predictions, metric: str) -> np.ndarray:
    """Differentiate the metric itself in the weight of each row."""
    n, step = len(predictions.y_true), 1e-6
    weight = np.ones(n) if predictions.weight is None else predictions.weight
    found = []
    for row in range(n):
        ends = [replace(predictions, weight=weight + sign * step * (np.arange(n) == row)) for sign in (1, -1)]
        found.append((ends[0].metric(metric) - ends[1].metric(metric)) / (2 * step))
    return np.array(found) * weight.sum() * weight / weight.mean()


CASES = [(name, k) for name in CLASSIFICATION for k in (2, 4)] + [(name, 0) for name in REGRESSION]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [16, 1])
@pytest.mark.parametrize(("metric", "n_classes"), CASES)
def test_an_influence_is_the_slope_of_the_metric(metric: str, n_classes: int, digits: int, weighted: bool) -> None:
    predictions = drawn(n_classes, digits)
    if weighted:
        predictions = replace(predictions, weight=np.random.default_rng(1).exponential(size=60) + 0.1)
    found = influence(predictions, metric)
    np.testing.assert_allclose(found, slopes(predictions, metric), rtol=1e-4, atol=1e-5)
    assert found.mean() == pytest.approx(0, abs=1e-12)


def test_every_metric_has_one() -> None:
    assert set(INFLUENCES) == {*CLASSIFICATION, *REGRESSION}
