"""The search space: the known points lie in it, a YAML file changes it, and nothing illegal gets through."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from tables_maker import DERIVED, KINDS, TARGET, make_table

from treeline import UserError
from treeline.data.target import label_codes
from treeline.model.boosting import boost, task_params
from treeline.model.features import Features
from treeline.model.matrices import Fold, quantile_matrix
from treeline.tuning.search_space import DEFAULTS, PARAMETERS, SPACE, known_points, read_space, settle_space

TASKS = ["binary", "multiclass", "regression"]


def holds(distribution: BaseDistribution, value: Any) -> bool:
    return bool(distribution._contains(distribution.to_internal_repr(value)))


@pytest.fixture
def yaml(tmp_path: Path) -> Any:
    """Write a YAML file and read the space that it makes."""

    def read(text: str) -> tuple[dict[str, BaseDistribution], dict[str, Any]]:
        (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
        path = str(tmp_path / "space.yaml")
        return settle_space(read_space(path), path)

    return read


@pytest.mark.parametrize("task", TASKS)
def test_every_known_point_is_complete_and_lies_in_the_space(task: str) -> None:
    points = known_points(task, SPACE)
    assert len(points) == (4 if task == "regression" else 5)
    for point in points:
        assert list(point) == list(SPACE)
        for name, value in point.items():
            assert holds(SPACE[name], value), name


@pytest.mark.parametrize("task", TASKS)
def test_xgboost_s_defaults_are_tried_so_that_no_study_is_worse_than_no_tuning(task: str) -> None:
    nearly_none = {"reg_alpha": 1e-4}  # for a log scale does not reach 0
    assert known_points(task, SPACE)[0] == DEFAULTS | nearly_none


def test_classification_and_regression_have_known_points_of_their_own() -> None:
    assert known_points("binary", SPACE) == known_points("multiclass", SPACE)
    assert known_points("binary", SPACE) != known_points("regression", SPACE)


def test_what_stands_as_xgboost_s_default_is_xgboost_s_default() -> None:
    config = xgb.train({"tree_method": "hist"}, xgb.DMatrix(np.zeros((4, 1)), np.arange(4)), 1).save_config()
    theirs = json.loads(config)["learner"]["gradient_booster"]["tree_train_param"]
    for name, value in DEFAULTS.items():
        if name != "max_leaves":
            found = theirs[name] if isinstance(value, str) else float(theirs[name])
            assert found == pytest.approx(value), name


def test_the_defaults_train_what_xgboost_trains_without_parameters() -> None:
    frame = make_table("binary", n=3000)
    features = Features(KINDS, DERIVED)
    fold = Fold(quantile_matrix(features, features.fit_transform(frame), label_codes(frame[TARGET], ["no", "yes"])))
    fixed = task_params("binary", 2)
    with_defaults, without = (boost(params, [fold], 10, 1)[0] for params in (fixed | DEFAULTS, fixed))
    np.testing.assert_array_equal(with_defaults.predict(fold.train), without.predict(fold.train))


def test_every_parameter_of_the_space_is_one_that_xgboost_knows() -> None:
    point = {**DEFAULTS, "validate_parameters": True}
    xgb.train({**point, "tree_method": "hist"}, xgb.DMatrix(np.zeros((4, 1)), np.arange(4)), 1)
    assert set(point) - {"validate_parameters"} == set(SPACE)


def test_without_a_file_the_space_is_the_built_in_one() -> None:
    assert read_space("") == {}
    assert settle_space({}) == (SPACE, {})


@pytest.mark.parametrize(
    ("text", "name", "distribution"),
    [
        ("max_depth: {low: 3, high: 8}", "max_depth", IntDistribution(3, 8, log=True)),
        ("max_depth: {low: 3, high: 8, log: false}", "max_depth", IntDistribution(3, 8)),
        ("learning_rate: {low: 0.01, high: 0.1}", "learning_rate", FloatDistribution(0.01, 0.1, log=True)),
        ("subsample: {low: 0.5, high: 1}", "subsample", FloatDistribution(0.5, 1.0)),
        ("reg_lambda: {low: 1e-3, high: 10, log: true}", "reg_lambda", FloatDistribution(1e-3, 10.0, log=True)),
        ("reg_lambda: {low: 0, high: 10}", "reg_lambda", FloatDistribution(0.0, 10.0)),
        ("min_child_weight: {low: 0, high: 10}", "min_child_weight", FloatDistribution(0.0, 10.0)),
        ("gamma: {low: 0, high: 1}", "gamma", FloatDistribution(0.0, 1.0)),
        ("max_depth: [3, 5, 8]", "max_depth", CategoricalDistribution([3, 5, 8])),
        ("max_leaves: [0, 31]", "max_leaves", CategoricalDistribution([0, 31])),
        ("grow_policy: [lossguide, depthwise]", "grow_policy", CategoricalDistribution(["lossguide", "depthwise"])),
    ],
)
def test_a_file_changes_one_parameter_and_leaves_the_rest(
    yaml: Any, text: str, name: str, distribution: BaseDistribution
) -> None:
    space, fixed = yaml(text)
    assert space == {**SPACE, name: distribution}
    assert fixed == {}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("max_depth: 6", "max_depth", 6),
        ("max_depth: 6.0", "max_depth", 6),
        ("learning_rate: 0.05", "learning_rate", 0.05),
        ("learning_rate: 1", "learning_rate", 1.0),
        ("reg_alpha: 0", "reg_alpha", 0.0),
        ("subsample: [0.8]", "subsample", 0.8),
        ("grow_policy: lossguide", "grow_policy", "lossguide"),
        ("scale_pos_weight: 3", "scale_pos_weight", 3.0),
    ],
)
def test_a_single_value_is_fixed_and_no_longer_drawn(yaml: Any, text: str, name: str, value: Any) -> None:
    space, fixed = yaml(text)
    assert fixed == {name: value}
    assert type(fixed[name]) is type(value)
    assert space == {key: each for key, each in SPACE.items() if key != name}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("depth: 3", r"'depth'.*Did you mean 'max_depth'\? Use learning_rate, "),
        ("nthread: 4", "'nthread'"),
        ("7: 4", "7"),
        ("learning_rate: 0", "learning_rate.* got 0: give a number from 1e-09 to 1"),
        ("learning_rate: 1.5", "learning_rate.* got 1.5"),
        ("learning_rate: fast", "learning_rate.* got 'fast'"),
        ("learning_rate: true", "learning_rate.* got True"),
        ("learning_rate: .nan", "learning_rate.* got nan"),
        ("learning_rate:", "learning_rate.* got None"),
        ("max_depth: 2.5", "max_depth.* got 2.5: give a whole number from 1"),
        ("max_depth: 0", "max_depth.* got 0"),
        ("max_depth: .inf", "max_depth.* got inf"),
        ("max_depth: .nan", "max_depth.* got nan"),
        ("reg_lambda: .inf", "reg_lambda.* got inf"),
        ("reg_lambda: -1", "reg_lambda.* got -1"),
        ("max_depth: []", r"max_depth.* got \[\]"),
        ("max_depth: [3, x]", "max_depth.* got 'x'"),
        ("grow_policy: deep", "grow_policy.* got 'deep': use depthwise or lossguide"),
        ("grow_policy: {low: 1, high: 2}", "grow_policy.* got "),
        ("max_depth: {low: 3}", "max_depth.* got .* a range is"),
        ("max_depth: {low: 3, high: 8, step: 2}", "max_depth.* got .* a range is"),
        ("max_depth: {low: 8, high: 3}", "max_depth.* low must be below high"),
        ("max_depth: {low: 0, high: 3}", "max_depth.* got 0"),
        ("max_leaves: {low: 0, high: 3, log: true}", "max_leaves.* above 0 where log is true"),
        ("max_depth: {low: 3, high: 8, log: yes please}", "max_depth.* got "),
        ("reg_lambda: {low: 0, high: .inf}", "reg_lambda.* got inf"),
        ("- max_depth", "must map parameters to values"),
        ("", "must map parameters to values"),
        ("max_depth: {low: 3", "is no YAML"),
        ("max_depth: 3\nmax_depth: 4", "is no YAML in line 1: 'max_depth' stands twice"),
        ("max_depth: &a [*a]", "an alias such as"),
        ("max_depth: " + "[" * 100_000, "nested too deep"),
        ("a: " + "x" * 250_000, "more than 250,000 bytes"),
        ("max_depth: " + "9" * 5_000, "is no YAML"),
        ("max_depth: 2147483648", "a whole number from 1 to 2147483647"),
        ("learning_rate: 1e-300", "got 1e-300"),
        ("learning_rate: １", "got '１'"),
        ("max_depth: !!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_what_is_illegal_is_named(yaml: Any, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=f"(?s){complaint}"):
        yaml(text)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "space.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"space\.yaml"):
        read_space(str(path))


@pytest.mark.parametrize("task", TASKS)
def test_known_points_move_into_a_space_that_a_file_changed(yaml: Any, task: str) -> None:
    space, fixed = yaml(
        "learning_rate: {low: 0.1, high: 0.2}\nmax_depth: [4, 5]\nsubsample: 0.9\ngamma: {low: 0, high: 1}"
    )
    points = known_points(task, space)
    assert points
    for point in points:
        assert not set(point) & set(fixed)
        for name, value in point.items():
            assert holds(space[name], value), name


def test_known_points_that_have_become_one_are_tried_once(yaml: Any) -> None:
    text = "\n".join(f"{name}: {value}" for name, value in DEFAULTS.items() if name != "learning_rate")
    space, _ = yaml(text + "\nlearning_rate: {low: 0.01, high: 0.02}")
    assert known_points("binary", space) == [{"learning_rate": 0.02}]


def test_a_file_s_entries_are_given_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("max_depth: {low: 3, high: 8}\nreg_lambda: 1e-3\n", encoding="utf-8")
    assert read_space(str(tmp_path / "space.yaml")) == {"max_depth": {"low": 3, "high": 8}, "reg_lambda": "1e-3"}


@pytest.mark.parametrize("where", ["the search space", "/some/space.yaml"])
def test_what_is_illegal_is_said_to_stand_where_it_stands(where: str) -> None:
    given = () if where == "the search space" else (where,)
    with pytest.raises(UserError, match=f"^Unknown parameter 'depth' in {where}\\."):
        settle_space({"depth": 3}, *given)
    with pytest.raises(UserError, match=f"^max_depth in {where} got 0:"):
        settle_space({"max_depth": 0}, *given)


def test_settling_leaves_the_built_in_space_and_the_entries_alone() -> None:
    before, entries = dict(SPACE), {"max_depth": [3, 5], "subsample": 0.5}
    settle_space(entries)
    assert before == SPACE
    assert entries == {"max_depth": [3, 5], "subsample": 0.5}


def test_every_parameter_may_be_fixed() -> None:
    words = {"grow_policy": "lossguide", "objective": "reg:tweedie"}
    entries = {name: words.get(name, 1) for name in PARAMETERS}
    space, fixed = settle_space(entries)
    assert space == {}
    assert fixed == entries
