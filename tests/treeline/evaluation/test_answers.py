"""Thresholds and intervals: asked for in checked words, settled on rows out of fold, obeyed by every answer."""

import numpy as np
import pandas as pd
import pytest
from tables_maker import TARGET, make_problem, make_table

import treeline
from treeline import UserError
from treeline.evaluation.answers import AnswerSettings, settle_answers
from treeline.evaluation.predictions import predict
from treeline.model.estimator import TreelineRegressor, make_estimator

SMALL = {"n_trials": 1, "folds": 3}


@pytest.mark.parametrize("threshold", ["f1", "cost", "0.3", 0.3])
def test_a_label_obeys_the_threshold_in_every_answer(threshold: str | float) -> None:
    frame = make_table("binary")
    settings = {**SMALL, "threshold": threshold, "costs": "fp=5,fn=1" if threshold == "cost" else ""}
    model = treeline.fit(frame, TARGET, **settings)
    plain = treeline.fit(frame, TARGET, **SMALL)
    if threshold in ("0.3", 0.3):
        assert model.threshold_ == 0.3
    new = make_table("binary", n=2000, seed=1)
    probabilities = model.predict_proba(new)
    np.testing.assert_array_equal(probabilities, plain.predict_proba(new))
    expected = model.classes_[(probabilities[:, 1] >= model.threshold_).astype(int)]
    assert (expected != plain.predict(new)).any()
    np.testing.assert_array_equal(model.predict(new), expected)
    np.testing.assert_array_equal(model.answer(new)["prediction"], expected)
    judged = predict(model.problem_, model, new)
    np.testing.assert_array_equal(model.classes_[judged.y_pred], expected)


def test_the_threshold_of_a_cost_is_the_cheapest_out_of_fold() -> None:
    frame = make_table("binary")
    dear = {
        cell: treeline.fit(frame, TARGET, **SMALL, threshold="cost", costs=cell) for cell in ("fp=9,fn=1", "fp=1,fn=9")
    }
    assert dear["fp=9,fn=1"].threshold_ > 0.5 > dear["fp=1,fn=9"].threshold_


def test_intervals_stand_beside_the_prediction_and_leave_it_alone() -> None:
    frame = make_table("regression", n=300)
    model, plain = (treeline.fit(frame, TARGET, **SMALL, interval=share) for share in (0.8, 0.0))
    answer = model.answer(frame)
    assert list(answer) == ["prediction", "prediction_low", "prediction_high"]
    np.testing.assert_array_equal(answer["prediction"], plain.answer(frame)["prediction"])
    assert (answer["prediction_low"] < answer["prediction"]).all()
    assert (answer["prediction_high"] > answer["prediction"]).all()
    np.testing.assert_array_equal(model.predict_interval(frame), answer[["prediction_low", "prediction_high"]])
    held = model.search_.out_of_fold
    sizes = np.abs(frame[TARGET].to_numpy()[held.rows] - held.predictions)
    if model.spread_ is None:
        assert np.mean(sizes <= model.half_width_) == pytest.approx(0.8, abs=0.01)
    assert list(plain.answer(frame)) == ["prediction"]
    assert model.answer(frame.head(0)).shape == (0, 3)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"threshold": "costs"}, r"threshold got 'costs'.*Did you mean 'cost'"),
        ({"threshold": "0"}, "above 0 and below 1"),
        ({"threshold": "1"}, "above 0 and below 1"),
        ({"threshold": "nan"}, "above 0 and below 1"),
        ({"threshold": "cost"}, "threshold=cost needs costs"),
        ({"threshold": 1}, "above 0 and below 1[^?]*$"),
        ({"threshold": None}, "threshold got None"),
        ({"threshold": "F1"}, "Did you mean 'f1'"),
        ({"threshold": "cost", "costs": "fp=0,fn=0"}, "threshold=cost needs costs.*all are 0"),
        ({"costs": "fp"}, "costs"),
        ({"costs": {"fp": 1}}, "costs got {'fp': 1}: give text"),
        ({"interval": 1.0}, r"interval got 1\.0"),
        ({"interval": -0.1}, "interval got"),
        ({"interval": "0.9"}, "interval got '0.9'"),
    ],
)
def test_what_cannot_be_asked_is_refused(settings: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        AnswerSettings(**settings)


@pytest.mark.parametrize(
    ("target", "settings", "told"),
    [
        ("regression", {"threshold": "f1"}, "threshold=f1 is for two classes, and this is a regression task"),
        ("multiclass", {"threshold": "0.2"}, "threshold=0.2 is for two classes, and this is a multiclass task"),
        ("binary", {"interval": 0.9}, "interval=0.9 is for numbers, and this is a binary task"),
    ],
)
def test_what_a_task_does_not_have_is_refused_before_the_search(target: str, settings: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        treeline.fit(make_table(target), TARGET, n_trials=10**6, **settings)


def test_a_model_stored_before_there_were_intervals_answers_as_it_did() -> None:
    problem, frame = make_problem("regression"), make_table("regression")
    model = make_estimator(problem, {"seed": 0}, 3, 1).fit(problem.rows(frame), frame[TARGET])
    assert isinstance(model, TreelineRegressor)
    assert not {"coverage_", "half_width_", "spread_"} & set(vars(model))
    assert list(model.answer(frame)) == ["prediction"]


def test_out_of_fold_rows_count_by_their_weights() -> None:
    frame = make_table("regression", n=300)
    rng = np.random.default_rng(0)
    frame = frame.assign(w=np.where(rng.random(len(frame)) < 0.5, 0.01, 1.0))
    problem = treeline.fit(frame, TARGET, **SMALL, sample_weight="w").problem_
    model = make_estimator(problem, {"seed": 0}, 3, 1).fit(problem.rows(frame), frame[TARGET])
    answers = frame[TARGET].to_numpy() + np.where(frame["w"] < 1, 5.0, rng.uniform(0, 1, len(frame)))
    settle_answers(model, problem, frame, answers, AnswerSettings(interval=0.5))
    assert pd.Series(model.half_width_).lt(1).all()
