"""What an evaluation finds beyond the headline, held against scikit-learn and plain counting."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from tables_maker import TARGET, make_problem, make_table

from treeline.evaluation.diagnostics import class_table, confusion, gaps_of_classes, worst_rows
from treeline.evaluation.predictions import Predictions, losses, predict
from treeline.model.estimator import make_estimator


def predicted(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_classes_and_confusion_are_scikit_learns() -> None:
    found = predicted()
    table = class_table(found, ["no", "yes"]).set_index("class")
    assert table.loc["yes", "precision"] == pytest.approx(metrics.precision_score(found.y_true, found.y_pred))
    assert table.loc["no", "recall"] == pytest.approx(metrics.recall_score(found.y_true, found.y_pred, pos_label=0))
    assert table["rows"].sum() == 400
    np.testing.assert_array_equal(
        confusion(found, ["no", "yes"]).to_numpy(), metrics.confusion_matrix(found.y_true, found.y_pred)
    )


def test_the_metrics_of_a_class_take_weights_and_its_rows_are_counted() -> None:
    found = replace(predicted(), weight=np.random.default_rng(1).random(400))
    table = class_table(found, ["no", "yes"]).set_index("class")
    expected = metrics.recall_score(found.y_true, found.y_pred, sample_weight=found.weight)
    assert table.loc["yes", "recall"] == pytest.approx(expected)
    assert table["rows"].tolist() == np.bincount(found.y_true).tolist()


def test_the_worst_rows_are_those_with_the_largest_loss() -> None:
    frame, problem = make_table(n=300), make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 5, 1).fit(problem.rows(frame), frame[TARGET])
    found = predict(problem, estimator, frame)
    table = worst_rows(problem, frame, found)
    assert len(table) == 20
    np.testing.assert_allclose(table["loss"], np.sort(losses(found))[::-1][:20])
    first = losses(found).argmax()
    assert table.iloc[0][f"true {TARGET}"] == frame[TARGET].iloc[first]
    assert np.mean(losses(found)) == pytest.approx(found.metrics()["log_loss"])


def test_classes_without_a_metric_are_named() -> None:
    y, said = np.array([0, 0, 2, 2]), np.array([0, 0, 0, 0])
    found = Predictions("multiclass", y, said, np.full((4, 3), 1 / 3))
    absent, never = gaps_of_classes(found, ["a", "b", "c"])
    assert absent.startswith("The evaluated rows lack the class 'b'")
    assert never.startswith("The model takes no row to be of the class 'c'")
    assert gaps_of_classes(predicted(), ["no", "yes"]) == []
    assert gaps_of_classes(Predictions("regression", y * 1.0, y * 1.0, np.empty((4, 0))), []) == []


def test_the_worst_rows_of_a_wide_table_fragment_nothing() -> None:
    y = np.array([0, 1] * 10)
    columns = {f"x{i}": np.where(y == 1, None, "a").astype(object) if i % 2 else y * 1.0 for i in range(300)}
    frame = pd.concat([pd.Series(values, name=name) for name, values in columns.items()], axis=1)
    frame = pd.concat([frame, pd.Series(np.where(y == 1, "yes", "no"), name=TARGET)], axis=1)
    problem = replace(make_problem("binary"), kinds=dict.fromkeys(columns, "category"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = worst_rows(problem, frame, Predictions("binary", y, y, np.column_stack([1 - y, y]) * 0.8 + 0.1))
    assert list(table.columns[:3]) == [f"true {TARGET}", "predicted", "loss"]
    assert table.shape == (20, 303)
