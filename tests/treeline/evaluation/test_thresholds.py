"""Thresholds: each observed score, held against scikit-learn; chosen as asked, ties and weights included."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from treeline import UserError
from treeline.evaluation.criteria import parse_costs
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.thresholds import (
    at_threshold,
    check_costs,
    choose_threshold,
    decision_row,
    thinned,
    threshold_table,
)


def predicted(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_there_is_a_threshold_at_each_score_and_one_above_all() -> None:
    found = predicted()
    table = threshold_table(found, {})
    assert table["threshold"].tolist()[:-1] == np.unique(found.y_proba[:, 1]).tolist()
    assert table["recall"].iloc[[0, -1]].tolist() == [1, 0]


@pytest.mark.parametrize("weighted", [False, True])
def test_thresholds_are_scikit_learns_at_each(weighted: bool) -> None:
    found = predicted()
    if weighted:
        found = replace(found, weight=np.random.default_rng(1).random(400))
    for _, row in threshold_table(found, parse_costs("fp=1,fn=5")).iloc[3::40].iterrows():
        said = found.y_proba[:, 1] >= row["threshold"]
        mass = {"sample_weight": found.weight}
        assert row["precision"] == pytest.approx(metrics.precision_score(found.y_true, said, **mass))
        assert row["recall"] == pytest.approx(metrics.recall_score(found.y_true, said, **mass))
        assert row["f1"] == pytest.approx(metrics.f1_score(found.y_true, said, **mass))
        tn, fp, fn, tp = metrics.confusion_matrix(found.y_true, said, **mass).ravel()
        assert row["cost"] == pytest.approx((fp + 5 * fn) / (tn + fp + fn + tp))
        assert decision_row(at_threshold(found, row["threshold"]), parse_costs("fp=1,fn=5")) == pytest.approx(
            row.drop("threshold").to_dict()
        )


def test_the_best_of_all_scores_is_chosen() -> None:
    found = predicted()
    scores = found.y_proba[:, 1]
    best = choose_threshold(found, "f1", {})
    reached = metrics.f1_score(found.y_true, scores >= best)
    assert reached == pytest.approx(max(metrics.f1_score(found.y_true, scores >= each) for each in scores))
    assert (
        choose_threshold(found, "cost", parse_costs("fp=1,fn=5"))
        < 0.5
        < choose_threshold(found, "cost", parse_costs("fp=5,fn=1"))
    )


def test_scores_far_below_a_hundredth_are_told_apart() -> None:
    y = np.array([0] * 90 + [1] * 10)
    p = np.where(y == 1, 0.002, 0.001)
    found = Predictions("binary", y, y * 0, np.column_stack([1 - p, p]))
    assert choose_threshold(found, "f1", {}) == 0.002


def test_where_calling_none_is_cheapest_the_threshold_lies_above_all() -> None:
    found = predicted(skill=0.0)
    found.y_true[found.y_proba[:, 1].argmax()] = 0
    threshold = choose_threshold(found, "cost", parse_costs("fp=1000,fn=1"))
    assert threshold > found.y_proba[:, 1].max()
    assert at_threshold(found, threshold).y_pred.sum() == 0


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_chosen() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])
    found = Predictions("binary", y, y, np.column_stack([1 - p, p]))
    assert choose_threshold(found, "cost", parse_costs("fn=0,tp=0")) == 0.6  # whatever is done costs nothing


def test_a_rule_that_cannot_choose_says_so() -> None:
    y = np.zeros(4, int)
    found = Predictions("binary", y, y, np.full((4, 2), 0.5))
    with pytest.raises(UserError, match="needs costs"):
        choose_threshold(found, "cost", {})
    with pytest.raises(UserError, match="needs positive rows"):
        choose_threshold(found, "f1", {})


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_costs_of_what_is_no_binary_decision_are_refused(task: str) -> None:
    check_costs(parse_costs("fp=1"), "binary")
    check_costs({}, task)
    with pytest.raises(UserError, match=f"costs got fp=1,fn=5 for a {task} task"):
        check_costs(parse_costs("fp=1,fn=5"), task)


def test_a_long_table_is_thinned_to_its_ends_and_what_lies_between() -> None:
    table = threshold_table(predicted(n=3000), {})
    short = thinned(table, 100)
    assert len(short) == 100
    assert short["threshold"].iloc[[0, -1]].tolist() == table["threshold"].iloc[[0, -1]].tolist()
    assert thinned(short, 100) is short


def test_a_threshold_above_all_calls_no_row_positive_in_the_precision_of_a_booster() -> None:
    y, p = np.zeros(20, dtype=int), np.linspace(0.1, 0.9, 20, dtype=np.float32)
    predictions = Predictions("binary", y, (p > 0.5).astype(int), np.column_stack([1 - p, p]))
    chosen = choose_threshold(predictions, "cost", {"tp": 0, "fp": 1, "fn": 0, "tn": 0})
    assert not at_threshold(predictions, chosen).y_pred.any()


def test_positive_rows_that_count_nothing_have_no_best_f1() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.6, 0.8])
    predictions = Predictions("binary", y, y, np.column_stack([1 - p, p]), np.array([1.0, 1.0, 0.0, 0.0]))
    with pytest.raises(UserError, match="needs positive rows"):
        choose_threshold(predictions, "f1", {})
