"""The estimators: exactly the rounds and parameters asked for, labels as they stood, and what tuning promised."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold
from tables_maker import CLASSES, DERIVED, KINDS, TARGET, TASKS, make_problem, make_table

from treeline.data.problem import Problem
from treeline.data.splits import Split
from treeline.data.target import label_codes, settle_target
from treeline.model.boosting import boost, booster_params, task_params
from treeline.model.cross_validation import Limits, Measure, cross_validate
from treeline.model.estimator import TreelineClassifier, TreelineRegressor, make_estimator
from treeline.model.features import Features
from treeline.model.matrices import Fold, make_folds, quantile_matrix
from treeline.tuning.search_space import DEFAULTS, TUNED_CLASSIFICATION, TUNED_REGRESSION

PARAMS = DEFAULTS | TUNED_CLASSIFICATION | {"seed": 3}
Estimator = TreelineClassifier | TreelineRegressor


def rows_of(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=TARGET)


def estimator(target: str, params: dict[str, Any] = PARAMS, rounds: int = 6, cpus: int = 1) -> Estimator:
    kind = TreelineClassifier if CLASSES[target] else TreelineRegressor
    return kind(Features(KINDS, DERIVED), params, rounds, cpus)


def fitted(target: str, **given: Any) -> Estimator:
    frame = make_table(target)
    return estimator(target, **given).fit(rows_of(frame), frame[TARGET])


@pytest.fixture(scope="module")
def models() -> dict[str, Estimator]:
    return {target: fitted(target) for target in TASKS}


@pytest.mark.parametrize("rounds", [1, 17])
@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_the_booster_has_exactly_the_rounds(target: str, rounds: int) -> None:
    assert fitted(target, rounds=rounds).booster_.num_boosted_rounds() == rounds


@pytest.mark.parametrize(
    ("target", "params", "objective"),
    [
        ("binary", DEFAULTS | TUNED_CLASSIFICATION, "binary:logistic"),
        ("bool", DEFAULTS | {"grow_policy": "lossguide", "max_leaves": 9}, "binary:logistic"),
        ("multiclass", DEFAULTS | {"reg_alpha": 0.25, "max_cat_to_onehot": 7}, "multi:softprob"),
        ("regression", DEFAULTS | TUNED_REGRESSION, "reg:squarederror"),
    ],
)
def test_the_booster_has_exactly_the_parameters(target: str, params: dict[str, Any], objective: str) -> None:
    learner = json.loads(fitted(target, params={**params, "seed": 11}).booster_.save_config())["learner"]
    trees = learner["gradient_booster"]["tree_train_param"]
    for name, value in params.items():
        if isinstance(value, str):
            assert trees[name] == value, name
        else:
            assert float(trees[name]) == pytest.approx(value, rel=1e-6), name
    assert learner["objective"]["name"] == objective
    assert learner["generic_param"]["seed"] == "11"
    assert learner["learner_model_param"]["num_class"] == ("3" if target == "multiclass" else "0")


@pytest.mark.parametrize(("target", "kind"), [("binary", str), ("multiclass", str), ("bool", bool), ("integers", int)])
def test_labels_are_given_back_as_they_stood(models: dict[str, Estimator], target: str, kind: type) -> None:
    frame = make_table(target)
    assert models[target].classes_.tolist() == CLASSES[target]
    labels = models[target].predict(rows_of(frame)).tolist()
    assert {type(label) for label in labels} == {kind}
    assert np.mean(np.array(labels) == frame[TARGET].to_numpy()) > 0.6


@pytest.mark.parametrize(
    ("target", "dtype"),
    [("binary", "string"), ("binary", "category"), ("binary", object), ("bool", object), ("integers", "Int64")],
)
def test_the_dtype_of_the_target_does_not_matter(models: dict[str, Estimator], target: str, dtype: Any) -> None:
    frame = make_table(target)
    other = estimator(target).fit(rows_of(frame), frame[TARGET].astype(dtype))
    assert other.classes_.tolist() == CLASSES[target]
    np.testing.assert_array_equal(other.predict(rows_of(frame)), models[target].predict(rows_of(frame)))


@pytest.mark.parametrize("target", [target for target in TASKS if CLASSES[target]])
def test_probabilities_sum_to_one_and_the_largest_is_the_prediction(models: dict[str, Estimator], target: str) -> None:
    rows = rows_of(make_table(target, seed=1))
    probabilities = models[target].predict_proba(rows)
    assert probabilities.shape == (200, len(CLASSES[target]))
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    expected = [CLASSES[target][place] for place in probabilities.argmax(axis=1)]
    assert models[target].predict(rows).tolist() == expected


def test_the_second_of_two_labels_is_the_positive_one(models: dict[str, Estimator]) -> None:
    frame = make_table("binary")
    positive = models["binary"].predict_proba(rows_of(frame))[:, 1]
    assert positive[(frame[TARGET] == "yes").to_numpy()].mean() > positive[(frame[TARGET] == "no").to_numpy()].mean()


@pytest.mark.parametrize("target", TASKS)
def test_an_answer_has_a_prediction_and_a_probability_of_each_class(models: dict[str, Estimator], target: str) -> None:
    rows = rows_of(make_table(target)).set_axis(range(1000, 1200)).iloc[5:15]
    answer = models[target].answer(rows)
    assert list(answer.columns) == ["prediction", *(f"probability_{label}" for label in CLASSES[target])]
    assert answer.index.tolist() == rows.index.tolist()
    np.testing.assert_array_equal(answer["prediction"], models[target].predict(rows))
    if CLASSES[target]:
        np.testing.assert_array_equal(answer.iloc[:, 1:], models[target].predict_proba(rows))


def test_a_regression_predicts_float64(models: dict[str, Estimator]) -> None:
    frame = make_table("regression")
    predictions = models["regression"].predict(rows_of(frame))
    assert (predictions.dtype, predictions.shape) == (np.float64, (200,))
    assert np.corrcoef(predictions, frame[TARGET])[0, 1] > 0.7


@pytest.mark.parametrize("target", TASKS)
def test_unseen_and_missing_values_get_an_answer(models: dict[str, Estimator], target: str) -> None:
    rows = pd.DataFrame(
        {"length": [None, 1e300], "width [mm]": [np.inf, 0], "count": None, "checked": None, "town": ["new", None]}
    )
    answer = models[target].answer(rows)
    assert len(answer) == 2
    assert answer.notna().all(axis=None)


@pytest.mark.parametrize("target", TASKS)
def test_no_rows_get_no_answers(models: dict[str, Estimator], target: str) -> None:
    answer = models[target].answer(rows_of(make_table(target)).head(0))
    assert answer.shape == (0, 1 + len(CLASSES[target]))


@pytest.mark.parametrize("target", TASKS)
def test_scikit_learn_clones_and_inspects_it(models: dict[str, Estimator], target: str) -> None:
    twin = clone(models[target])
    assert {name: twin.get_params(deep=False)[name] for name in ("params", "rounds", "cpus")} == {
        "params": PARAMS,
        "rounds": 6,
        "cpus": 1,
    }
    assert (is_classifier(twin), is_regressor(twin)) == (bool(CLASSES[target]), not CLASSES[target])
    frame = make_table(target)
    again = twin.fit(rows_of(frame), frame[TARGET]).predict(rows_of(frame))
    np.testing.assert_array_equal(again, models[target].predict(rows_of(frame)))
    assert twin.score(rows_of(frame), frame[TARGET]) > 0.5


@pytest.mark.parametrize("target", TASKS)
def test_an_estimator_that_is_not_fitted_says_so(target: str) -> None:
    rows = rows_of(make_table(target))
    for method in ("predict", "answer", "feature_frame"):
        with pytest.raises(NotFittedError):
            getattr(estimator(target), method)(rows)


def test_fitting_leaves_the_features_given_alone() -> None:
    features = Features(KINDS, DERIVED)
    frame = make_table()
    model = TreelineClassifier(features, PARAMS, 1).fit(rows_of(frame), frame[TARGET])
    assert not hasattr(features, "encoders_")
    assert model.feature_names_in_.tolist() == list(KINDS)
    assert model.n_features_in_ == len(KINDS)


def test_the_feature_frame_is_what_the_booster_reads(models: dict[str, Estimator]) -> None:
    rows = rows_of(make_table("binary")).set_axis(range(7, 207))
    frame = models["binary"].feature_frame(rows)
    assert frame.index.tolist() == rows.index.tolist()
    assert list(frame.columns) == models["binary"].booster_.feature_names
    assert set(frame.dtypes.astype(str)) == {"float64"}
    np.testing.assert_array_equal(frame, models["binary"].features_.transform(rows))
    np.testing.assert_array_equal(
        models["binary"].booster_.inplace_predict(frame.to_numpy()), models["binary"].predict_proba(rows)[:, 1]
    )


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_the_cpus_of_fitting_change_no_bit(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr("treeline.model.estimator.MIN_CELLS_FOR_THREADS", 0)
    one, three = (bytes(fitted(target, cpus=cpus).booster_.save_raw("ubj")) for cpus in (1, 3))
    assert one == three


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_the_final_fit_gives_the_predictions_of_the_trial_s_booster(target: str) -> None:
    frame = make_table(target, n=300)
    train, valid = frame.iloc[::2], frame.iloc[1::2]
    y_train, y_valid = (
        label_codes(side[TARGET], CLASSES[target]) if CLASSES[target] else side[TARGET].to_numpy()
        for side in (train, valid)
    )
    features = Features(KINDS, DERIVED)
    binned = quantile_matrix(features, features.fit_transform(train, y_train), y_train)
    fold = Fold(binned, quantile_matrix(features, features.transform(valid), y_valid, ref=binned))
    params = {**task_params(TASKS[target], len(CLASSES[target])), **PARAMS}
    trial = boost(params, [fold, fold], rounds=20, cpus=2, on_round=lambda round_, values: False)[1]

    final = estimator(target, rounds=20).fit(rows_of(train), train[TARGET])
    told = trial.predict(fold.valid)
    if target == "binary":
        told = np.column_stack([1 - told, told])
    ours = final.predict_proba(rows_of(valid)) if CLASSES[target] else final.predict(rows_of(valid))
    np.testing.assert_array_equal(ours, told)


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_what_was_tuned_is_what_is_trained(target: str) -> None:
    frame = make_table(target, n=240)
    y = label_codes(frame[TARGET], CLASSES[target]) if CLASSES[target] else frame[TARGET].to_numpy()
    task = TASKS[target]
    folds = make_folds(
        Features(KINDS, DERIVED), rows_of(frame), y, Split().folds(frame, y, bool(CLASSES[target]), 3, 0)
    )
    params = {**task_params(task, len(CLASSES[target])), **PARAMS}
    measure = Measure(task, "log_loss" if CLASSES[target] else "rmse")
    promised = cross_validate(params, folds, measure, Limits(100, 10, cpus=2))

    splitter = (StratifiedKFold if CLASSES[target] else KFold)(3, shuffle=True, random_state=0)
    values = []
    for train, valid in splitter.split(frame, y):
        final = estimator(target, rounds=promised.rounds).fit(rows_of(frame.iloc[train]), frame[TARGET].iloc[train])
        truth, rows = frame[TARGET].iloc[valid], rows_of(frame.iloc[valid])
        if CLASSES[target]:
            probabilities = final.predict_proba(rows).astype(np.float64)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            values.append(log_loss(truth, probabilities, labels=CLASSES[target]))
        else:
            values.append(root_mean_squared_error(truth, final.predict(rows)))
    assert np.mean(values) == pytest.approx(promised.value, rel=1e-6)


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_the_contributions_add_up_to_the_margin(target: str) -> None:
    frame = make_table(target, n=200)
    fitted = estimator(target, rounds=20).fit(rows_of(frame), frame[TARGET])
    matrix = xgb.DMatrix(
        fitted.feature_frame(rows_of(frame)), feature_types=fitted.features_.feature_types, enable_categorical=True
    )
    contributions = fitted.booster_.predict(matrix, pred_contribs=True)
    margin = fitted.booster_.predict(matrix, output_margin=True)
    np.testing.assert_allclose(contributions.sum(axis=-1), margin, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TASKS)
def test_the_estimator_of_a_problem_is_that_of_its_task(target: str) -> None:
    made = make_estimator(make_problem(target), {"max_depth": 3}, 5, 2)
    assert isinstance(made, TreelineClassifier if CLASSES[target] else TreelineRegressor)
    assert (made.params, made.rounds, made.cpus) == ({"max_depth": 3}, 5, 2)


def test_the_features_of_a_problem_s_estimator_are_not_fitted() -> None:
    features = make_estimator(make_problem(), {}, 1, 1).features
    assert (features.kinds, features.derived) == (KINDS, DERIVED)
    assert not hasattr(features, "encoders_")


@pytest.mark.parametrize("task", ["auto", "binary", "multiclass"])
def test_two_labels_are_tuned_and_trained_with_one_objective_whatever_the_task_asked_for(task: str) -> None:
    settled = settle_target(make_table("binary"), TARGET, task)
    frame = settled.rows
    problem = Problem(
        "made", "tests", TARGET, settled.task, settled.reason, list(CLASSES["binary"]), KINDS, DERIVED, "0"
    )
    y = problem.truth(frame)
    features = Features(problem.kinds, problem.derived)
    fold = Fold(quantile_matrix(features, features.fit_transform(frame, y), y))
    trial = boost(task_params(problem.task, len(problem.classes)), [fold], 3, 1)[0]
    final = make_estimator(problem, {}, 3, 1).fit(problem.rows(frame), frame[TARGET]).booster_
    assert trial.save_raw("json") == final.save_raw("json")


@pytest.mark.parametrize("target", TASKS)
def test_what_the_booster_got_is_told(target: str) -> None:
    params = {**PARAMS, "reg_alpha": 0.5}
    model, frame = fitted(target, params=params), make_table(target)
    numbers = frame[TARGET].to_numpy() if target == "regression" else np.zeros(1)
    expected = booster_params({**task_params(TASKS[target], len(CLASSES[target])), **params}, numbers)
    assert model.booster_params_ == expected
    trees = json.loads(model.booster_.save_config())["learner"]["gradient_booster"]["tree_train_param"]
    assert float(trees["reg_alpha"]) == pytest.approx(expected["reg_alpha"], rel=1e-6)
    assert (model.booster_params_["reg_alpha"] == 0.5) is (target != "regression")
