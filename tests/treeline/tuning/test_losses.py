"""Losses: which are worth a try for a metric and a target, and what neither a loss nor a metric takes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import TARGET, make_problem, make_table

from treeline import UserError
from treeline.tuning.losses import losses_of
from treeline.tuning.objective import make_objective
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points

LOGNORMAL = np.random.default_rng(0).lognormal(sigma=2, size=2000)
SQUARED, ABSOLUTE, TWEEDIE = "reg:squarederror", "reg:absoluteerror", "reg:tweedie"


@pytest.mark.parametrize(
    ("metric", "y", "losses"),
    [
        ("rmse", LOGNORMAL, [SQUARED, TWEEDIE]),
        ("rmse", np.append(LOGNORMAL, 0), [SQUARED, TWEEDIE]),
        ("rmse", -LOGNORMAL, [SQUARED]),
        ("rmse", np.random.default_rng(0).normal(100, 5, size=2000), [SQUARED]),
        ("rmse", np.full(20, 3.0), [SQUARED]),
        ("mae", LOGNORMAL, [ABSOLUTE, SQUARED]),
        ("mape", np.arange(1.0, 9.0), [ABSOLUTE, SQUARED]),
        ("rmsle", np.arange(9.0), [ABSOLUTE, SQUARED]),
    ],
)
def test_the_losses_follow_from_the_metric_and_the_target(metric: str, y: np.ndarray, losses: list[str]) -> None:
    assert losses_of(metric, y) == losses


def skewed() -> pd.DataFrame:
    return make_table("regression", n=2000).assign(**{TARGET: LOGNORMAL})


def objective_of(frame: pd.DataFrame, target: str = "regression", **settings: Any) -> Any:
    return make_objective(make_problem(target), frame, SearchSettings(folds=2, **settings), 1)


def test_a_trial_draws_the_loss_where_there_is_a_choice_and_a_known_point_has_each() -> None:
    objective = objective_of(skewed())
    assert objective.space["objective"].choices == (SQUARED, TWEEDIE)
    points = known_points("regression", objective.space)
    assert [point["objective"] for point in points[:3]] == [SQUARED, SQUARED, TWEEDIE]
    assert points[2] | {"objective": SQUARED} == points[1]
    assert objective.booster_params(points[2])["objective"] == TWEEDIE
    alone = objective_of(make_table("regression", n=90))
    assert "objective" not in alone.space
    assert alone.params["objective"] == SQUARED


def test_a_person_fixes_the_loss_or_chooses_among_some() -> None:
    fixed = objective_of(skewed(), search_space={"objective": TWEEDIE})
    assert (fixed.params["objective"], "objective" in fixed.space) == (TWEEDIE, False)
    some = objective_of(skewed(), search_space={"objective": [ABSOLUTE, TWEEDIE]})
    assert some.space["objective"].choices == (ABSOLUTE, TWEEDIE)


@pytest.mark.parametrize(
    ("target", "settings", "words"),
    [
        ("regression", {"search_space": {"objective": TWEEDIE}}, ["negative target", "-", SQUARED]),
        ("regression", {"search_space": {"objective": "reg:gamma"}}, ["'reg:gamma'", SQUARED]),
        ("regression", {"search_space": {"objective": {"low": 1, "high": 2}}}, ["objective"]),
        ("binary", {"search_space": {"objective": SQUARED}}, ["classes"]),
        ("regression", {"metric": "rmsle"}, ["metric=rmsle", "negative", "use rmse or mae"]),
    ],
)
def test_what_a_target_cannot_have_is_one_sentence(target: str, settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        objective_of(make_table(target, n=90), target, **settings)
    assert [word for word in words if word not in str(raised.value)] == []


def test_a_share_of_zero_is_refused() -> None:
    frame = skewed()
    frame.loc[[3, 5], TARGET] = 0.0
    with pytest.raises(UserError, match=r"metric=mape divides by the target, which is 0 in 2 training rows"):
        objective_of(frame, metric="mape")
