"""Monotone and interaction constraints: read, refused where they mean nothing, and held by what is trained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import TARGET, ZOO_KINDS, make_problem, make_table, make_zoo

import treeline
from treeline import UserError
from treeline.model.boosting import boost, task_params
from treeline.model.constraints import check_constraints, over_features, read_constraint
from treeline.model.features import Features
from treeline.model.matrices import make_folds
from treeline.tuning.objective import make_objective
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import settle_space

PROBLEM = replace(make_problem(), derived={}, left_out={"row": "it numbers the rows"})
RATIO = {"ratio": "`width [mm]` / length"}


@pytest.mark.parametrize(
    ("name", "entry", "params"),
    [
        ("monotone", {"a": -1, "b": 1, "c": 0}, {"monotone_constraints": {"a": -1, "b": 1}}),
        ("monotone", {2: 1.0}, {"monotone_constraints": {"2": 1}}),
        ("monotone", {"a": 0}, {}),
        ("interaction", [["a", "b"], ["c"]], {"interaction_constraints": [["a", "b"], ["c"]]}),
        ("interaction", [], {}),
    ],
)
def test_an_entry_is_a_parameter_of_xgboost_by_column_names(name: str, entry: Any, params: dict[str, Any]) -> None:
    assert settle_space({name: entry, "max_depth": 3})[1] == params | {"max_depth": 3}


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        ("monotone", ["a"], "map columns to 1"),
        ("monotone", {"a": 2}, r"2 for 'a': use 1"),
        ("monotone", {"a": True}, "True for 'a'"),
        ("monotone", {"a": "rises"}, "'rises' for 'a'"),
        ("interaction", "a, b", "give lists of columns"),
        ("interaction", ["a", "b"], "give lists of columns"),
        ("interaction", [[]], "give lists of columns"),
    ],
)
def test_an_entry_of_another_shape_is_refused(name: str, entry: Any, words: str) -> None:
    with pytest.raises(UserError, match=f"^{name} in space.yaml got .*{words}"):
        read_constraint(name, entry, "space.yaml")


@pytest.mark.parametrize(
    ("entries", "changed", "words"),
    [
        (
            {"monotone": {"lenght": 1}},
            {},
            "'lenght', which is not among the columns of the model. Did you mean 'length'",
        ),
        ({"monotone": {TARGET: 1}}, {}, "'outcome', which is not among the columns"),
        ({"monotone": {"row": 1}}, {}, "'row', which the model does not read: it numbers the rows"),
        ({"monotone": {"town": 1}}, {}, "'town', which is read as category .* without its order"),
        ({"monotone": {"length": 1}}, {"kinds": {"length": "text"}}, "'length', which is read as text"),
        ({"monotone": {"length": 1}}, {"task": "multiclass", "classes": list("abc")}, "'outcome' has 3 classes"),
        ({"monotone": {"length": 1}}, {"derived": RATIO}, "of which the derived column 'ratio' is made"),
        ({"interaction": [["length", "hight"]]}, {}, "interaction names 'hight', which is not among"),
        ({"interaction": [["length"], ["width [mm]"]]}, {"derived": RATIO}, "'ratio' is made of .* keeps apart"),
        ({"interaction": [["ratio", "count"]]}, {"derived": RATIO}, "'ratio' is made of .* keeps apart"),
    ],
)
def test_what_means_nothing_is_refused(entries: dict[str, Any], changed: dict[str, Any], words: str) -> None:
    problem = replace(PROBLEM, **changed)
    with pytest.raises(UserError, match=words):
        check_constraints(settle_space(entries)[1], problem)
    if "kinds" not in changed and "classes" not in changed:  # the folds of the study are not even cut
        with pytest.raises(UserError, match=words):
            make_objective(problem, make_table(n=60), SearchSettings(folds=2, search_space=entries), 1)


@pytest.mark.parametrize(
    ("entries", "derived"),
    [
        ({"monotone": {"length": -1, "checked": 1, "count": 0}}, {}),
        ({"monotone": {"length": -1, "ratio": -1, "width [mm]": 1}}, RATIO),
        ({"interaction": [["length", "town"], ["count"]]}, {}),
        ({"interaction": [["length", "width [mm]", "ratio"], ["count"]]}, RATIO),
        ({"interaction": [["town", "count"]]}, RATIO),  # it says nothing of what the derived column is made of
    ],
)
def test_what_means_something_is_not(entries: dict[str, Any], derived: dict[str, str]) -> None:
    check_constraints(settle_space(entries)[1], replace(PROBLEM, derived=derived))


def test_constraints_over_columns_are_over_all_the_features_they_became() -> None:
    params = {"monotone_constraints": {"a": -1}, "interaction_constraints": [["a", "when"], ["b [mm]"]], "max_depth": 3}
    made = over_features(params, ["a", "when year", "when day", "b _mm_"], ["a", "when", "when", "b [mm]"])
    assert made == {
        "monotone_constraints": {"a": -1},
        "interaction_constraints": [["a", "when year", "when day"], ["b _mm_"]],
    }
    assert over_features({"max_depth": 3}, ["a"], ["a"]) == {}


def test_each_feature_is_of_one_column_whatever_its_encoder_makes_of_it() -> None:
    zoo = make_zoo()
    features = Features(ZOO_KINDS, {"twice": "2 * length"})
    matrix = features.fit_transform(zoo, (zoo[TARGET] == "yes").to_numpy().astype(int))
    assert len(features.columns_out) == len(features.get_feature_names_out()) == matrix.shape[1]
    for column, feature in zip(features.columns_out, features.get_feature_names_out(), strict=True):
        assert feature.startswith(column.replace("[", "_").replace("]", "_"))


def test_only_columns_of_one_list_interact_in_every_fold() -> None:
    zoo = make_zoo()
    y = (zoo[TARGET] == "yes").to_numpy().astype(int)
    halves = np.arange(len(y)) % 2 == 0
    parts = [(np.flatnonzero(halves == side), np.flatnonzero(halves != side)) for side in (True, False)]
    folds = make_folds(Features(ZOO_KINDS), zoo, y, parts)
    groups = [["width [mm]", "review", "when"], ["length", "town"]]
    params = task_params("binary", 2) | {"interaction_constraints": groups, "max_depth": 4, "seed": 0}
    together, alone = [0, 0], 0
    for fold, booster in zip(folds, boost(params, folds, 20, 1), strict=True):
        assert fold.valid is not None
        effects = np.abs(booster.predict(fold.valid, pred_interactions=True)).max(axis=0)[:-1, :-1]
        for i, first in enumerate(fold.columns):
            for j, second in enumerate(fold.columns):
                shared = [{first, second} <= set(group) for group in groups]
                if any(shared) and first != second:
                    together[shared.index(True)] += effects[i, j] > 1e-4
                elif first != second:
                    alone += effects[i, j] > 1e-4
    assert all(together)
    assert alone == 0


@pytest.mark.parametrize(
    ("target", "sign", "metric"),
    [("binary", 1, "auto"), ("binary", -1, "auto"), ("regression", 1, "auto"), ("regression", -1, "mae")],
)
def test_predictions_only_rise_or_fall_along_a_monotone_column(target: str, sign: int, metric: Any) -> None:
    frame = make_table(target)
    model = treeline.fit(
        frame,
        TARGET,
        n_trials=3,
        folds=2,
        metric=metric,
        derive="twice = 2 * count",
        search_space={"monotone": {"width [mm]": sign, "checked": 1}, "interaction": [["width [mm]", "town"]]},
    )
    assert model.search_.params["monotone_constraints"] == {"width [mm]": sign, "checked": 1}
    assert model.booster_params_["monotone_constraints"] == {"width [mm]": sign, "checked": 1}
    grid = np.linspace(-3, 3, 40)
    for i in range(0, 200, 10):
        row = frame.drop(columns=TARGET).iloc[[i]]
        along = pd.concat([row] * len(grid), ignore_index=True).assign(**{"width [mm]": grid})
        answer = model.predict_proba(along)[:, 1] if target == "binary" else model.predict(along)
        assert (sign * np.diff(answer) >= 0).all()


def test_an_absolute_error_which_keeps_no_order_is_refused_and_not_tried() -> None:
    space: dict[str, Any] = {"monotone": {"length": 1}}
    problem, frame = replace(make_problem("regression"), derived={}), make_table("regression", n=60)
    objective = make_objective(problem, frame, SearchSettings(folds=2, metric="mae", search_space=space), 1)
    assert ("objective" in objective.space, objective.params["objective"]) == (False, "reg:squarederror")
    asked = SearchSettings(folds=2, search_space=space | {"objective": "reg:absoluteerror"})
    with pytest.raises(UserError, match="does not hold what is monotone"):
        make_objective(problem, frame, asked, 1)
