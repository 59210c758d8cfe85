"""The objective: folds built once, what trials share, and the same parameters for a trial and for the final fit."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, TARGET, TASKS, make_problem, make_table

from treeline import UserError
from treeline.metrics import curves_of
from treeline.model.estimator import make_estimator
from treeline.tuning import objective as objectives
from treeline.tuning.objective import Objective, choose_metric, gaps_of_folds, make_objective, patience
from treeline.tuning.schedule import SearchSettings, checkpoint
from treeline.tuning.search_space import DEFAULTS, SPACE, known_points

DRAWN = {**DEFAULTS, "reg_alpha": 0.25, "subsample": 0.8, "max_depth": 3}


def made(target: str = "binary", n: int = 120, max_rows: int | None = None, **settings: Any) -> Objective:
    problem, asked = make_problem(target), SearchSettings(**{"folds": 3} | settings)
    return make_objective(problem, make_table(target, n=n), asked, 2, max_rows)


def skewed() -> pd.DataFrame:
    frame = make_table("regression", n=300)
    return frame.assign(**{TARGET: np.exp(3 * frame[TARGET] / frame[TARGET].std()) * 1e6})


@pytest.mark.parametrize("target", TASKS)
def test_an_objective_holds_what_trials_share(target: str) -> None:
    objective = made(target, seed=7)
    metric = "log_loss" if CLASSES[target] else "rmse"
    assert (objective.measure.task, objective.metric, objective.measure.unit) == (TASKS[target], metric, 1.0)
    assert (objective.space, objective.fixed, objective.params["seed"]) == (SPACE, {}, 7)
    assert (objective.cpus, objective.deadline, objective.early_stopping) == (2, float("inf"), True)
    np.testing.assert_array_equal(objective.y, make_problem(target).truth(make_table(target, n=120)))
    assert len(objective.folds) == 3
    assert sum(fold.valid.num_row() for fold in objective.folds) == 120
    assert all(fold.train.num_row() + fold.valid.num_row() == 120 for fold in objective.folds)


@pytest.mark.parametrize(
    ("target", "metric", "maximize"),
    [("binary", "roc_auc", True), ("binary", "error", False), ("regression", "mae", False)],
)
def test_the_direction_is_the_metric_s(target: str, metric: str, maximize: bool) -> None:
    assert made(target, metric=metric).maximize is maximize


def test_what_a_person_fixed_is_neither_drawn_nor_lost() -> None:
    objective = made(search_space={"max_depth": 2, "gamma": 1, "reg_lambda": [1, 2]})
    assert not {"max_depth", "gamma"} & set(objective.space)
    assert objective.fixed == {"max_depth": 2, "gamma": 1.0}
    assert (objective.params["max_depth"], objective.params["gamma"]) == (2, 1.0)
    searched = objective.searched_params({"subsample": 0.5})
    assert searched == {"subsample": 0.5, "max_depth": 2, "gamma": 1.0}


@pytest.mark.parametrize("max_rows", [1, 30, 10_000])
def test_a_rough_measurement_takes_a_few_rows_of_each_fold(max_rows: int) -> None:
    objective, again, whole = made(max_rows=max_rows), made(max_rows=max_rows), made()
    for fold, same, full in zip(objective.folds, again.folds, whole.folds, strict=True):
        assert fold.train.num_row() == min(max_rows, full.train.num_row())
        assert fold.valid.num_row() == min(max_rows, full.valid.num_row())
        np.testing.assert_array_equal(fold.train.get_label(), same.train.get_label())
    assert len(objective.y) == 120


def test_the_few_rows_are_drawn_and_not_the_first_ones() -> None:
    frame = make_table("regression", n=120).assign(**{TARGET: np.arange(120.0)})
    few = make_objective(make_problem("regression"), frame, SearchSettings(folds=2), 1, max_rows=20)
    assert np.ptp(few.folds[0].train.get_label()) > 60


@pytest.mark.parametrize("frame", [make_table("regression", n=120), skewed()], ids=["plain", "skewed and large"])
def test_a_target_is_learned_in_its_unit_and_measured_in_its_own(frame: pd.DataFrame) -> None:
    problem = make_problem("regression")
    objective = make_objective(problem, frame, SearchSettings(folds=3), 1)
    unit = objective.measure.unit
    np.testing.assert_allclose(objective.y * unit, frame[TARGET])
    labels = np.concatenate([fold.valid.get_label() for fold in objective.folds])
    np.testing.assert_allclose(np.sort(labels) * unit, np.sort(frame[TARGET]), rtol=1e-6)
    found = objective.cross_validate(DRAWN, lambda round_, values: None, lambda step, value: False, 3)
    assert found.value == pytest.approx(frame[TARGET].std(), rel=0.9)


@pytest.mark.parametrize("search_space", [{}, {"reg_alpha": 0.5, "gamma": 0.1}], ids=["drawn", "fixed"])
@pytest.mark.parametrize("target", [*TASKS, "skewed"])
def test_a_trial_s_boosters_and_the_final_fit_get_the_same_parameters(
    target: str, search_space: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = skewed() if target == "skewed" else make_table(target, n=120)
    problem = make_problem("regression" if target == "skewed" else target)
    objective = make_objective(problem, frame, SearchSettings(folds=2, search_space=search_space), 1)
    drawn = {name: value for name, value in DRAWN.items() if name in objective.space}
    drawn |= {"objective": "reg:tweedie"} if target == "skewed" else {}
    given: list[dict[str, Any]] = []
    train = objectives.cross_validate
    monkeypatch.setattr(
        objectives, "cross_validate", lambda params, *rest: given.append(dict(params)) or train(params, *rest)
    )
    rounds = objective.cross_validate(drawn, lambda round_, values: None, lambda step, value: False, 3).rounds

    # As the stage and treeline.fit hand them over.
    final = make_estimator(problem, {**objective.params, **drawn}, rounds, 1)
    final.fit(problem.rows(frame), frame[TARGET])
    assert given == [objective.booster_params(drawn)] == [final.booster_params_]
    assert objective.searched_params(drawn) == {name: final.booster_params_[name] for name in [*drawn, *search_space]}
    scaled = final.booster_params_["reg_alpha"] / {**DRAWN, **search_space}["reg_alpha"]
    expected = frame[TARGET].std(ddof=0) / objective.measure.unit if target == "regression" else 1.0
    assert scaled == pytest.approx(expected, rel=1e-6)


def test_every_round_is_recorded_with_its_spread_and_checkpoints_are_asked_about() -> None:
    objective = made()
    drawn = {**DRAWN, "learning_rate": 0.25}
    recorded: list[tuple[int, Mapping[str, float]]] = []
    asked: list[tuple[int, float]] = []

    def should_prune(step: int, value: float) -> bool:
        asked.append((step, value))
        return step == 2

    found = objective.cross_validate(drawn, lambda round_, values: recorded.append((round_, values)), should_prune, 100)
    names = list(curves_of("binary"))
    assert [round_ for round_, _ in recorded] == list(range(1, 9))  # pruned at 0.25 * 8 = 0.5 * 2**2
    assert all(list(values) == [*names, *(f"{name}_std" for name in names)] for _, values in recorded)
    for name in names:
        assert [values[name] for _, values in recorded] == list(found.mean[name])
        assert [values[f"{name}_std"] for _, values in recorded] == list(found.std[name])
    rounds = {step: round_ for round_ in range(1, 9) if (step := checkpoint(0.25, round_)) is not None}
    assert asked == [(step, found.mean["log_loss"][round_ - 1]) for step, round_ in rounds.items()]


def test_training_ends_behind_the_deadline() -> None:
    objective = replace(made(), deadline=time.monotonic())
    found = objective.cross_validate(DRAWN, lambda round_, values: None, lambda step, value: False, 500)
    assert (found.rounds, len(found.mean["log_loss"])) == (1, 1)


def test_without_early_stopping_every_round_is_trained() -> None:
    drawn = {**DRAWN, "learning_rate": 1.0}
    lengths = []
    for early in (True, False):
        objective = replace(made(), early_stopping=early)
        found = objective.cross_validate(drawn, lambda round_, values: None, lambda step, value: False, 150)
        lengths.append(len(found.mean["log_loss"]))
    assert lengths[1] == 150 > lengths[0] >= patience(1.0)


@pytest.mark.parametrize(
    ("learning_rate", "rounds"), [(1.0, 20), (0.3, 20), (0.15, 20), (0.08, 37), (0.03, 100), (0.015, 200), (0.005, 200)]
)
def test_a_slow_learner_has_more_patience(learning_rate: float, rounds: int) -> None:
    assert patience(learning_rate) == rounds


def test_the_seconds_of_a_round_are_measured() -> None:
    start = time.perf_counter()
    seconds = made(target="regression", search_space={"reg_alpha": 1}).round_seconds()
    assert 0 < seconds * objectives.ROUNDS_TIMED <= time.perf_counter() - start


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_metric_is_the_first_of_the_task_unless_one_is_named(task: str) -> None:
    assert choose_metric("auto", task) == next(iter(curves_of(task)))
    for name in curves_of(task):
        assert choose_metric(name, task) == name


@pytest.mark.parametrize(
    ("target", "settings", "complaint"),
    [
        ("binary", {"metric": "rmse"}, r"^metric=rmse does not fit a binary task: use log_loss, error, roc_auc, f1, "),
        (
            "regression",
            {"metric": "roc_auc"},
            r"^metric=roc_auc does not fit a regression task: use rmse, mae, mape, rmsle\.",
        ),
        ("regression", {"folds": 121}, "^folds=121 is more than the 120 training rows: use fewer"),
        ("binary", {"folds": 61}, r"^folds=61 is more than any class has training rows \(60 at most\): use fewer"),
        ("binary", {"search_space": {"depth": 3}}, "^Unknown parameter 'depth' in the search space.*'max_depth'"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_rows_is_named(target: str, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        made(target, **settings)


def test_every_known_point_trains() -> None:
    objective = made()
    for point in known_points("binary", objective.space):
        found = objective.cross_validate(point, lambda round_, values: None, lambda step, value: False, 2)
        assert np.isfinite(found.value)


def test_folds_that_lack_a_class_are_counted_and_the_class_is_named() -> None:
    frame = make_table("binary", n=60).assign(**{TARGET: ["yes"] * 58 + ["no"] * 2})
    objective = make_objective(make_problem("binary"), frame, SearchSettings(folds=3), 1)
    assert gaps_of_folds(objective, ["no", "yes"]).startswith(
        "1 of 3 folds lack a class in the rows that measure them, such as 'no': their ROC AUC does not count."
    )
    assert gaps_of_folds(made("binary"), ["no", "yes"]) == ""
    assert gaps_of_folds(made("regression"), []) == ""


def test_rounds_grow_with_the_rows_that_the_last_fold_in_time_lacked() -> None:
    frame = make_table("regression", n=120).assign(when=np.arange(120.0))
    problem = replace(make_problem("regression"), split="time", split_column="when")
    objective = make_objective(problem, frame, SearchSettings(folds=5), 1)
    assert objective.folds[-1].train.num_row() == 100
    assert objective.final_rounds(50) == 60
    assert made("regression", folds=5).final_rounds(50) == 50
