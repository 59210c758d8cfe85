"""The whole core in one call: a frame in, a tuned estimator out, the same for the same seed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, python
from tables_maker import CLASSES, TARGET, TASKS, ZOO_KINDS, ZOO_LEFT_OUT, make_table, make_zoo

import treeline
from treeline import UserError
from treeline.data.splits import Split
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.tuning.objective import Objective
from treeline.tuning.search_space import SPACE

QUICK = {"n_trials": 2, "folds": 2}
Estimator = TreelineClassifier | TreelineRegressor


def fitted(frame: pd.DataFrame, **settings: Any) -> Estimator:
    return treeline.fit(frame, TARGET, **QUICK | settings)


def booster(model: Estimator) -> bytes:
    return bytes(model.booster_.save_raw("ubj"))


@pytest.fixture(scope="module")
def models() -> dict[str, Estimator]:
    return {target: fitted(make_table(target), n_trials=3) for target in TASKS}


@pytest.mark.parametrize("target", TASKS)
def test_a_frame_becomes_an_estimator_of_its_task(models: dict[str, Estimator], target: str) -> None:
    model, frame = models[target], make_table(target)
    assert isinstance(model, TreelineClassifier if CLASSES[target] else TreelineRegressor)
    assert model.problem_.task == TASKS[target]
    labels = model.predict(frame.drop(columns=TARGET))
    if CLASSES[target]:
        assert model.classes_.tolist() == CLASSES[target]
        assert set(labels.tolist()) <= set(CLASSES[target])
    assert model.score(frame.drop(columns=TARGET), frame[TARGET]) > 0.6


@pytest.mark.parametrize("target", TASKS)
def test_what_the_search_did_stays_with_the_estimator(models: dict[str, Estimator], target: str) -> None:
    model = models[target]
    found = model.search_
    assert list(found.trials.columns) == ["trial", "state", "value", "rounds", *SPACE]
    assert len(found.trials) == 3
    complete = found.trials[found.trials["state"] == "COMPLETE"]
    best = complete.loc[complete["value"].idxmin()]
    assert found.metric == ("log_loss" if CLASSES[target] else "rmse")
    assert (found.value, found.rounds) == (best["value"], best["rounds"])
    assert {name: found.params[name] for name in SPACE} == best[list(SPACE)].to_dict()
    assert found.cv_values[found.rounds - 1] == found.value
    assert (model.params, model.rounds) == (found.params, found.rounds)
    assert model.booster_.num_boosted_rounds() == found.rounds


@pytest.mark.parametrize("target", ["binary", "regression"])
def test_the_same_seed_gives_the_same_booster_to_the_bit_and_another_seed_another(target: str) -> None:
    # The sixth trial is the first that a seed draws.
    given = {"n_trials": 6, "search_space": {"learning_rate": {"low": 0.1, "high": 0.3}}}
    one, same, other = (fitted(make_table(target), seed=seed, **given) for seed in (3, 3, 4))
    assert booster(one) == booster(same)
    assert one.search_.trials.equals(same.search_.trials)
    assert booster(one) != booster(other)
    assert not one.search_.trials.equals(other.search_.trials)


@pytest.mark.parametrize(
    "index",
    [[7] * 200, list("ab") * 100, pd.RangeIndex(5, 405, 2), range(199, -1, -1), pd.date_range("2020", periods=200)],
    ids=["repeated", "text", "steps", "backwards", "dates"],
)
def test_the_index_of_a_frame_means_nothing(models: dict[str, Estimator], index: Any) -> None:
    frame = make_table().set_axis(index, axis=0)
    model = fitted(frame, n_trials=3)
    assert booster(model) == booster(models["binary"])
    assert model.answer(frame.drop(columns=TARGET)).index.equals(frame.index)


def test_columns_may_be_named_by_numbers() -> None:
    frame = make_table("regression")[["length", "count", TARGET]]
    named = frame.set_axis(["0", "1", "2"], axis=1)
    model = treeline.fit(frame.set_axis([0, 1, 2], axis=1), "2", **QUICK)
    assert model.feature_names_in_.tolist() == ["0", "1"]
    assert booster(model) == booster(treeline.fit(named, "2", **QUICK))
    assert model.predict(frame.set_axis([0, 1, 2], axis=1)).tolist() == model.predict(named).tolist()


def test_rows_that_are_no_frame_are_a_sentence() -> None:
    frame = make_table("regression")[["length", "count", TARGET]]
    model = treeline.fit(frame, TARGET, **QUICK)
    for rows in (frame.to_numpy(), frame["length"], {"length": [1.0]}):
        with pytest.raises(UserError, match=r"^The rows are a .*: give a pandas DataFrame"):
            model.predict(rows)


def test_a_search_of_which_no_trial_can_be_used_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise ValueError("none of XGBoost")

    monkeypatch.setattr(Objective, "cross_validate", fail)
    frame = make_table("regression")[["length", "count", TARGET]]
    with pytest.raises(UserError, match=r"^No trial of 2 can be used, the last: "):
        treeline.fit(frame, TARGET, n_trials=2, folds=2)


def test_the_frame_that_was_given_is_left_as_it_was() -> None:
    frame = make_zoo().set_axis(range(160, 0, -1))
    frame.loc[[5, 9], TARGET] = None
    before = frame.copy(deep=True)
    fitted(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("target", ["binary", "regression"])
def test_every_kind_of_column_is_settled_and_rows_without_a_target_are_left_out(target: str) -> None:
    frame = make_zoo(target)
    frame[TARGET] = frame[TARGET].mask(frame.index >= 150)
    model = fitted(frame)
    assert model.problem_.kinds == ZOO_KINDS
    assert list(model.problem_.left_out) == ZOO_LEFT_OUT
    assert booster(model) == booster(fitted(frame.head(150)))
    assert len(model.predict(frame)) == 160


def test_settings_of_the_table_and_of_the_search_do_what_they_say() -> None:
    frame = make_zoo().assign(who=np.arange(160) % 8)
    model = fitted(
        frame,
        n_trials=4,
        metric="error",
        search_space={"max_depth": 2, "subsample": [0.7, 0.9]},
        drop="town, review",
        categorical="2",
        derive="ratio = `width [mm]` / length; twice = 2 * count",
        split="group",
        split_column="who",
    )
    assert not {"town", "review", "who"} & set(model.feature_names_in_)
    assert model.problem_.kinds["2"] == "category"
    assert model.problem_.derived == {"ratio": "`width [mm]` / length", "twice": "2 * count"}
    assert list(model.features_.get_feature_names_out()[-2:]) == ["ratio", "twice"]
    assert (model.search_.metric, len(model.search_.trials)) == ("error", 4)
    assert "max_depth" not in model.search_.trials.columns
    assert set(model.search_.trials["subsample"]) <= {0.7, 0.9}
    assert model.booster_params_["max_depth"] == 2


def test_the_folds_keep_groups_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_table().assign(who=np.arange(200) % 8)
    cut, seen = Split.folds, []

    def folds(self: Split, *given: Any) -> Any:
        seen.extend(cut(self, *given))
        return seen

    monkeypatch.setattr(Split, "folds", folds)
    fitted(frame, split="group", split_column="who", folds=4)
    assert len(seen) == 4
    for train, valid in seen:
        assert not set(frame["who"].iloc[train]) & set(frame["who"].iloc[valid])


def test_a_task_may_be_asked_for() -> None:
    frame = make_table("integers")
    assert fitted(frame).problem_.task == "multiclass"
    assert isinstance(fitted(frame, task="regression"), TreelineRegressor)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"n_trails": 3},
            r"^Unknown setting 'n_trails'\. Did you mean 'n_trials'\? The settings are categ",
        ),
        ({"test_size": 0.3}, r"^Unknown setting 'test_size'\."),
        ({"n_trials": 0}, "^n_trials got 0: it must be a whole number from 1"),
        ({"folds": 2.5}, "^folds got 2.5: it must be a whole number from 2"),
        ({"folds": 150}, r"^folds=150 is more than any class has training rows \(100 at most\)"),
        ({"timeout": -1}, "^timeout got -1"),
        ({"seed": -1}, "^seed got -1"),
        ({"metric": "accuracy"}, "^metric got 'accuracy': use auto, log_loss"),
        ({"metric": "rmse"}, "^metric=rmse does not fit a binary task: use log_loss, error, roc_auc"),
        ({"search_space": "space.yaml"}, "^search_space got 'space.yaml': map parameters to values"),
        ({"search_space": {"depth": 3}}, r"^Unknown parameter 'depth' in the search space\. Did you mean 'max_depth'"),
        ({"task": "ranking"}, "^task got 'ranking': use auto, binary, multiclass, regression"),
        ({"task": "regression"}, "holds '(no|yes)', '(no|yes)', not numbers: task=regression needs numbers"),
        ({"drop": ["town"]}, r"^drop got \['town'\]: give text; commas separate columns"),
        ({"drop": "towm"}, "^drop names 'towm'.*Did you mean 'town'"),
        ({"derive": "x = town"}, "^The derived column 'x' reads 'town', which is read as category"),
        ({"split": "group"}, "^split=group needs split_column"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_sentence(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        fitted(make_table(), **settings)
    assert "--" not in str(caught.value)
    assert str(caught.value).endswith((".", "fewer"))


@pytest.mark.parametrize(
    ("frame", "target", "complaint"),
    [
        (make_table(), "outcom", r"^Unknown target 'outcom': the frame has no such column\. Did you mean 'outcome'\?"),
        (make_table(), "", "^Name the column to predict with target"),
        (make_table().to_numpy(), TARGET, "^The table is a ndarray: give a pandas DataFrame"),
        (make_table()[[TARGET]], TARGET, "^the frame has no column beside the target"),
        (make_table().head(0), TARGET, "^the frame has no rows"),
        (make_table().assign(**{TARGET: None}), TARGET, "^Every value of the target 'outcome' is missing"),
        (make_table().assign(**{TARGET: "yes"}), TARGET, "^The target 'outcome' has one value only, 'yes'"),
        (
            make_table("regression").replace({TARGET: {make_table("regression")[TARGET].max(): np.inf}}),
            TARGET,
            "holds an infinite value",
        ),
        (
            make_table().assign(more=1).rename(columns={"more": "town"}),
            TARGET,
            "^the frame names the column 'town' twice",
        ),
    ],
    ids=["mistyped", "empty", "array", "alone", "no rows", "missing", "constant", "infinite", "twin"],
)
def test_a_wrong_frame_is_one_sentence(frame: Any, target: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        treeline.fit(frame, target, **QUICK)


def test_a_target_named_by_a_number_is_found_or_refused_in_a_sentence() -> None:
    frame = make_table("regression")[["length", "count", TARGET]].set_axis([0, 1, 2], axis=1)
    for target in (2, 0):
        model = treeline.fit(frame, target, **QUICK)
        assert model.problem_.target == str(target)
    with pytest.raises(UserError, match=r"^Unknown target '3'"):
        treeline.fit(frame, 3, **QUICK)


def test_fitting_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    fitted(make_zoo())
    assert [str(each.message) for each in recwarn.list] == []


def test_fitting_prints_nothing_where_nobody_has_quietened_anything() -> None:
    code = "from sklearn.datasets import load_iris; import treeline; "
    code += "treeline.fit(load_iris(as_frame=True).frame, 'target', n_trials=2, folds=2)"
    done = python("-c", code, cwd=REPOSITORY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
