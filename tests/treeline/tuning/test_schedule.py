"""Which trial is next: held and lowered learning rates, early and late, and where trials are compared."""

import math
import time
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from treeline import UserError
from treeline.tuning.schedule import (
    SearchSettings,
    ask_next,
    checkpoint,
    enqueue_lower_learning_rate,
    hold_learning_rate,
    is_early,
    is_late,
)
from treeline.tuning.search_space import HELD_LEARNING_RATE
from treeline.tuning.search_space import SPACE as BUILT_IN
from treeline.tuning.study import open_study

SPACE = {"learning_rate": FloatDistribution(0.01, 0.3, log=True), "subsample": FloatDistribution(0.5, 1.0)}
POINTS = [{"learning_rate": 0.3, "subsample": 1.0}, {"learning_rate": 0.05, "subsample": 0.7}]


def begun() -> optuna.Study:
    return open_study(None, "s", False, {}, POINTS)


def test_the_best_is_tried_again_at_half_its_learning_rate() -> None:
    study = begun()
    for _ in range(5):
        enqueue_lower_learning_rate(study, SPACE, 1000, divisor=2)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, trial.params["learning_rate"] + trial.params["subsample"])
    best, tried = POINTS[1], [trial.params for trial in study.trials]
    assert tried[2:4] == [{**best, "learning_rate": rate} for rate in (0.025, 0.0125)]
    assert tried[4]["learning_rate"] != 0.0125 / 2  # which the space does not hold


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_has_been_found_since_the_best_was_tried_at_a_lower_rate_is_tried_at_lower_rates_first(
    direction: str,
) -> None:
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "minimize" else -1

    def tell(subsample: float, value: float) -> None:
        study.enqueue_trial({"learning_rate": 0.08, "subsample": subsample}, skip_if_exists=True)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 100)
        study.tell(trial, sign * value)

    def offered(divisor: int) -> tuple[float, float]:
        enqueue_lower_learning_rate(study, SPACE, 1000, divisor)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 200)
        study.tell(trial, sign * (8 + trial.params["learning_rate"] + trial.params["subsample"]))
        return trial.params["subsample"], trial.params["learning_rate"]

    tell(0.7, 9.0)
    assert offered(divisor=4) == (0.7, 0.02)  # 8.72
    tell(0.6, 8.9)  # behind that, but ahead of what it was at its first rate
    tell(0.8, 9.1)
    assert [offered(divisor=2) for _ in range(3)] == [(0.6, 0.04), (0.6, 0.02), (0.6, 0.01)]


def test_a_slower_trial_that_was_no_better_is_not_tried_again_nor_slower_still() -> None:
    study = begun()
    for _ in range(8):
        enqueue_lower_learning_rate(study, SPACE, 1000, divisor=2)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, abs(trial.params["learning_rate"] - 0.05))
    rates = [trial.params["learning_rate"] for trial in study.trials]
    assert (rates.count(0.025), rates.count(0.0125)) == (1, 0)


@pytest.mark.parametrize(
    ("space", "rounds"),
    [
        (SPACE, 599),
        ({**SPACE, "learning_rate": CategoricalDistribution([0.3, 0.05, 0.025])}, 1000),
        ({"subsample": SPACE["subsample"]}, 1000),
    ],
)
def test_no_slower_trial_where_there_is_no_room(space: dict[str, BaseDistribution], rounds: int) -> None:
    study = optuna.create_study()
    for _ in range(8):
        enqueue_lower_learning_rate(study, space, rounds, divisor=2)
        trial = ask_next(study, space, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, trial.params["subsample"])
    assert not any("fixed_params" in trial.system_attrs for trial in study.trials)


def test_until_the_end_of_a_study_only_the_known_points_learn_at_a_rate_of_their_own() -> None:
    space = SPACE | {"learning_rate": BUILT_IN["learning_rate"]}
    study = begun()
    for _ in range(8):
        study.tell(ask_next(study, space, seed=0, late=False), 1.0)
    drawn = [trial.params for trial in study.trials]
    assert [params["learning_rate"] for params in drawn] == [0.3, 0.05] + 6 * [HELD_LEARNING_RATE]
    assert len({params["subsample"] for params in drawn}) == 8
    assert ask_next(study, space, seed=0, late=True).params["learning_rate"] != HELD_LEARNING_RATE


@pytest.mark.parametrize(
    "space",
    [
        SPACE,  # whose rates are not the built-in ones
        {"learning_rate": BUILT_IN["learning_rate"]},
        {"learning_rate": BUILT_IN["learning_rate"], "max_depth": CategoricalDistribution([4, 6])},
    ],
)
def test_rates_that_a_person_gave_or_that_alone_are_searched_are_drawn(space: dict[str, BaseDistribution]) -> None:
    study = optuna.create_study()
    for _ in range(8):
        study.tell(ask_next(study, space, seed=0, late=False), 1.0)
    assert len({trial.params["learning_rate"] for trial in study.trials}) == 8


@pytest.mark.parametrize(
    ("learning_rate", "rounds"),
    [(0.5, [1, 2, 4, 8]), (0.25, [2, 4, 8, 16]), (0.1, [5, 10, 20, 40]), (0.01, [50, 100, 200, 400])],
)
def test_trials_are_compared_at_equal_sums_of_their_learning_rate(learning_rate: float, rounds: list[int]) -> None:
    met = {checkpoint(learning_rate, i): i for i in range(rounds[-1], 0, -1)}
    assert [met[step] for step in range(4)] == rounds
    assert sum(checkpoint(learning_rate, i) is not None for i in range(1, rounds[-1] + 1)) == 4


# --- the end and the beginning of a study


@pytest.mark.parametrize(
    ("done", "n_trials", "timeout", "left", "late"),
    [
        (3, 5, 0, math.inf, False),
        (4, 5, 0, math.inf, True),
        (44, 50, 0, math.inf, False),
        (45, 50, 0, math.inf, True),
        (0, 50, 100, 50, False),
        (0, 50, 100, 30, True),
    ],
)
def test_the_end_of_a_study_is_told_by_trials_or_seconds(
    done: int, n_trials: int, timeout: float, left: float, late: bool
) -> None:
    settings = SearchSettings(n_trials=n_trials, timeout=timeout)
    assert is_late(done, settings, time.monotonic() + left) is late


@pytest.mark.parametrize(
    ("done", "n_trials", "timeout", "early"),
    [(4, 20, 0, False), (5, 20, 0, True), (6, 20, 0, False), (5, 19, 0, False), (5, 20, 3600, False)],
)
def test_only_a_long_study_without_a_time_limit_tries_a_lower_rate_early(
    done: int, n_trials: int, timeout: float, early: bool
) -> None:
    settings = SearchSettings(n_trials=n_trials, timeout=timeout)
    assert is_early(done, settings) is early


# --- the settings of a search


def test_the_settings_have_their_defaults() -> None:
    assert SearchSettings() == SearchSettings(50, 0.0, "auto", 5, {}, 0)


@pytest.mark.parametrize(
    "given",
    [
        {"n_trials": 1},
        {"n_trials": np.int64(3)},
        {"folds": 2},
        {"timeout": 0},
        {"timeout": 0.5},
        {"timeout": np.float64(1)},
        {"seed": 0},
        {"seed": 2**31 - 1},
        *({"metric": name} for name in ("auto", "log_loss", "error", "roc_auc", "rmse", "mae")),
        {"search_space": {"max_depth": 3}},
    ],
    ids=str,
)
def test_legal_settings_are_taken(given: dict[str, Any]) -> None:
    settings = SearchSettings(**given)
    assert {name: getattr(settings, name) for name in given} == given


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("n_trials", [0, -1, 1.5, 2.0, "3", None, True, math.nan, math.inf], "it must be a whole number from 1"),
        ("folds", [1, 0, -5, 2.5, "2", None, True, math.nan], "it must be a whole number from 2"),
        ("seed", [-1, 2**31, 0.5, "0", None, False], "it must be a whole number from 0 to 2147483647"),
        (
            "timeout",
            [-1, -1e-9, math.nan, math.inf, "9", None, True],
            "it must be seconds from 0 to 31622400; 0 sets no limit",
        ),
        ("metric", ["accuracy", "r2", "", "AUC", None, ["rmse"]], "use auto, log_loss, error, roc_auc, f1"),
        ("search_space", ["space.yaml", ["max_depth"], None, 3], "map parameters to values"),
    ],
)
def test_illegal_settings_are_named_with_what_is_legal(name: str, values: list[Any], complaint: str) -> None:
    for value in values:
        with pytest.raises(UserError) as caught:
            SearchSettings(**{name: value})
        assert str(caught.value).startswith(f"{name} got {value!r}: {complaint}")


def test_a_held_space_is_a_copy_in_which_the_built_in_rate_alone_has_changed() -> None:
    before = dict(BUILT_IN)
    held = hold_learning_rate(BUILT_IN)
    assert before == BUILT_IN
    assert list(held) == list(BUILT_IN)
    assert {name for name in held if held[name] != BUILT_IN[name]} == {"learning_rate"}
    assert held["learning_rate"].single()
    assert hold_learning_rate(SPACE) == SPACE
