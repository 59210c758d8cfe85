"""Metrics: each formula is scikit-learn's, each direction and each name of XGBoost's stands once."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from sklearn import metrics as sk

from treeline.metrics import CLASSIFICATION, REGRESSION, curves_of, metrics_of


def classified(
    n_classes: int, seed: int = 0, n: int = 300, digits: int = 16
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw classes, labels and probabilities; few digits give ties."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    odds = rng.random((n, n_classes)) + 0.7 * np.eye(n_classes)[y]
    probabilities = np.maximum((odds / odds.sum(axis=1, keepdims=True)).round(digits), 10.0**-digits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return y, probabilities.argmax(axis=1), probabilities


def weights_of(weighted: bool, n: int) -> np.ndarray | None:
    """Draw how much each row counts, some not at all; None where all count alike."""
    rng = np.random.default_rng(7)
    return np.where(np.arange(n) % 10 == 9, 0.0, rng.exponential(size=n)) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [16, 2, 1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_classification_metrics_are_scikit_learn_s(n_classes: int, dtype: type, digits: int, weighted: bool) -> None:
    y, labels, probabilities = classified(n_classes, digits=digits)
    probabilities, weight = probabilities.astype(dtype), weights_of(weighted, len(y))
    found = {n: metric.compute(y, labels, probabilities, weight) for n, metric in metrics_of("multiclass").items()}
    exact = probabilities.astype(np.float64)
    kept: dict[str, Any] = {"sample_weight": weight}
    if n_classes == 2:
        area, precision = (each(y, exact[:, 1], **kept) for each in (sk.roc_auc_score, sk.average_precision_score))
    else:
        rest = np.eye(n_classes)[y]
        area, precision = (
            each(rest, exact, average="weighted", **kept) for each in (sk.roc_auc_score, sk.average_precision_score)
        )
    assert found == pytest.approx(
        {
            "log_loss": sk.log_loss(y, exact / exact.sum(axis=1, keepdims=True), labels=range(n_classes), **kept),
            "error": sk.zero_one_loss(y, labels, **kept),
            "roc_auc": area,
            "accuracy": sk.accuracy_score(y, labels, **kept),
            "f1": sk.f1_score(y, labels, average="binary" if n_classes == 2 else "macro", **kept),
            "average_precision": precision,
            "balanced_accuracy": sk.balanced_accuracy_score(y, labels, **kept),
        },
        rel=1e-12 if dtype is np.float64 else 1e-5,
    )


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy"])
@pytest.mark.parametrize(("true", "predicted"), [([0, 1], [0, 2]), ([0, 2], [0, 1, 2]), ([1], [1, 2]), ([0], [0])])
def test_classes_that_no_row_has_count_as_scikit_learn_counts_them(
    name: str, true: list[int], predicted: list[int]
) -> None:
    rng = np.random.default_rng(0)
    y, labels = rng.choice(true, 60), rng.choice(predicted, 60)
    theirs = {
        "f1": lambda: sk.f1_score(y, labels, average="macro"),
        "balanced_accuracy": lambda: sk.recall_score(y, labels, labels=np.unique(y), average="macro"),
    }
    assert CLASSIFICATION[name].compute(y, labels, np.full((60, 3), 1 / 3)) == pytest.approx(theirs[name]())


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_loss_of_an_impossible_class_is_finite_and_xgboost_s(n_classes: int) -> None:
    """At margins where a probability in 32 bits is 0 or 1, both sides of every row wrong once."""
    y = np.repeat(np.arange(n_classes), n_classes)
    margins = (200.0 * np.eye(n_classes)[np.tile(np.arange(n_classes), n_classes)]).astype(np.float32)
    name, objective = ("logloss", "binary:logistic") if n_classes == 2 else ("mlogloss", "multi:softprob")
    data = xgb.DMatrix(np.zeros((len(y), 1)), y)
    data.set_base_margin(margins[:, 1] - margins[:, 0] if n_classes == 2 else margins)
    params = {"objective": objective, "eval_metric": name, "eta": 0.0, "base_score": 0.5}
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        params | ({"num_class": n_classes} if n_classes > 2 else {}),
        data,
        1,
        evals=[(data, "d")],
        evals_result=history,
        verbose_eval=False,
    )
    scores = booster.predict(data)
    probabilities = np.column_stack([1 - scores, scores]) if n_classes == 2 else scores
    ours = CLASSIFICATION["log_loss"].compute(y, probabilities.argmax(axis=1), probabilities)
    assert ours > 18
    assert ours == pytest.approx(history["d"][name][-1], rel=1e-6)


def test_log_loss_of_a_class_that_no_row_has_is_scikit_learn_s() -> None:
    y, labels, probabilities = classified(3)
    y, labels, probabilities = y[y < 2], labels[y < 2], probabilities[y < 2]
    ours = CLASSIFICATION["log_loss"].compute(y, labels, probabilities)
    assert ours == pytest.approx(sk.log_loss(y, probabilities, labels=[0, 1, 2]), rel=1e-12)


@pytest.mark.parametrize(("n_classes", "left"), [(2, [0]), (2, [1]), (3, [0, 2]), (3, [1])])
def test_roc_auc_is_nan_where_a_class_is_absent(n_classes: int, left: list[int]) -> None:
    y, labels, probabilities = classified(n_classes)
    rows = np.isin(y, left)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(CLASSIFICATION["roc_auc"].compute(y[rows], labels[rows], probabilities[rows]))


def test_roc_auc_of_probabilities_that_are_all_alike_is_one_half() -> None:
    assert CLASSIFICATION["roc_auc"].compute(np.array([0, 1, 1]), np.zeros(3), np.full((3, 2), 0.5)) == 0.5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decimals", [10, 0])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
        ("mape", sk.mean_absolute_percentage_error),
        ("rmsle", sk.root_mean_squared_log_error),
    ],
)
def test_regression_metrics_are_scikit_learn_s(
    name: str, theirs: Callable[..., float], decimals: int, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    y = rng.uniform(1, 9, 200).round(decimals)
    labels, weight = (y + rng.normal(size=200)).round(decimals), weights_of(weighted, 200)
    expected = theirs(y, np.clip(labels, 0, None) if name == "rmsle" else labels, sample_weight=weight)
    assert REGRESSION[name].compute(y, labels, np.empty((200, 0)), weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "truth"), [("mape", 0.0), ("rmsle", -0.5)])
def test_a_relative_error_does_not_exist_where_a_truth_has_none(name: str, truth: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(REGRESSION[name].compute(np.array([1.0, truth]), np.ones(2), np.empty((2, 0))))


def test_a_prediction_below_0_counts_as_0_on_the_log() -> None:
    y, below = np.array([1.0, 3.0]), np.array([-7.0, 3.0])
    assert REGRESSION["rmsle"].compute(y, below, np.empty((2, 0))) == pytest.approx(np.log(2) / np.sqrt(2))


def test_r2_is_nan_where_the_truth_varies_by_its_rounding_alone() -> None:
    y = np.repeat([0.1 + 0.2, 0.3], 50)
    assert np.isnan(REGRESSION["r2"].compute(y, y, np.empty((100, 0))))
    close = 1e6 + np.arange(100) * 1e-6
    assert REGRESSION["r2"].compute(close, close, np.empty((100, 0))) == 1


def test_r2_is_nan_where_the_truth_does_not_vary() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(REGRESSION["r2"].compute(np.ones(3), np.arange(3.0), np.empty((3, 0))))


@pytest.mark.parametrize(
    ("task", "up", "down"),
    [
        ("binary", {"roc_auc", "accuracy", "f1", "average_precision", "balanced_accuracy"}, {"log_loss", "error"}),
        ("multiclass", {"roc_auc", "accuracy", "f1", "average_precision", "balanced_accuracy"}, {"log_loss", "error"}),
        ("regression", {"r2"}, {"rmse", "mae", "mape", "rmsle"}),
    ],
)
def test_each_metric_has_its_direction(task: str, up: set[str], down: set[str]) -> None:
    known = metrics_of(task)
    assert {name for name, metric in known.items() if metric.greater_is_better} == up
    assert {name for name, metric in known.items() if not metric.greater_is_better} == down


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_perfect_prediction_is_best_in_each_direction(task: str) -> None:
    y, labels, probabilities = classified(3 if task == "multiclass" else 2)
    perfect = np.eye(probabilities.shape[1])[y]
    for metric in metrics_of(task).values():
        best, ours = metric.compute(y, y, perfect), metric.compute(y, labels, probabilities)
        assert best > ours if metric.greater_is_better else best < ours


@pytest.mark.parametrize(
    ("task", "curves"),
    [
        ("binary", {"log_loss": "logloss", "error": "error", "roc_auc": "auc"}),
        ("multiclass", {"log_loss": "mlogloss", "error": "merror", "roc_auc": "auc"}),
        ("regression", {"rmse": "rmse", "mae": "mae"}),
    ],
)
def test_the_curves_of_a_task_are_xgboost_s_with_the_default_first(task: str, curves: dict[str, str]) -> None:
    assert list(curves_of(task).items()) == list(curves.items())


@pytest.mark.parametrize("n_classes", [0, 2, 4])
def test_what_xgboost_computes_under_its_name_is_our_formula(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    task, objective = {
        0: ("regression", "reg:squarederror"),
        2: ("binary", "binary:logistic"),
        4: ("multiclass", "multi:softprob"),
    }[n_classes]
    matrix = rng.normal(size=(300, 3))
    y = (matrix[:, 0] * 2 + rng.normal(size=300)).clip(-2, 1.99)
    y = np.floor(y + 2).astype(int) % n_classes if n_classes else y
    curves = curves_of(task)
    data = xgb.DMatrix(matrix, y)
    params = {"objective": objective, "max_depth": 2, "eval_metric": list(curves.values()), "nthread": 1}
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        params | ({"num_class": n_classes} if n_classes > 2 else {}),
        data,
        5,
        evals=[(data, "d")],
        evals_result=history,
        verbose_eval=False,
    )
    scores = booster.predict(data).astype(np.float64)
    probabilities = np.column_stack([1 - scores, scores]) if n_classes == 2 else scores
    labels = probabilities.argmax(axis=1) if n_classes else scores
    for name, theirs in curves.items():
        ours = metrics_of(task)[name].compute(y, labels, probabilities if n_classes else np.empty((300, 0)))
        assert history["d"][theirs][-1] == pytest.approx(ours, rel=1e-5)
