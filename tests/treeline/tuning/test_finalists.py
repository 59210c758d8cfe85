"""Finalists: the best trials of few rows measured on other cuts, within the same total, and chosen by that."""

from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
import xgboost as xgb
from tables_maker import make_problem, make_table

from treeline.metrics import metrics_of
from treeline.tuning.finalists import Finals, choose_winner, plan_finals, told_of_finals
from treeline.tuning.objective import Objective, make_objective
from treeline.tuning.records import NoLog
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points
from treeline.tuning.study import counted, open_study
from treeline.tuning.trial import run_study, search

PLAN = SearchSettings(n_trials=20, folds=2, search_space={"max_depth": 3})


class Notes(NoLog):
    """What was noted of finalists."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def note(self, number: int, values: Any) -> None:
        self.told.append((number, dict(values)))


def begun(target: str = "binary", **settings: Any) -> tuple[Objective, optuna.Study, SearchSettings]:
    plan = replace(PLAN, **settings)
    objective = replace(make_objective(make_problem(target), make_table(target, n=60), plan, 1), max_rounds=15)
    points = known_points(objective.measure.task, objective.space)
    return objective, open_study(None, "s", objective.maximize, {}, points), plan


@pytest.mark.parametrize(
    ("n_trials", "finals"),
    [(9, Finals()), (10, Finals(2, 1)), (20, Finals(2, 2)), (50, Finals(3, 3)), (10**6, Finals(5, 5))],
)
def test_a_fifth_of_the_cross_validations_goes_to_finalists(n_trials: int, finals: Finals) -> None:
    objective, _, plan = begun(n_trials=n_trials)
    assert plan_finals(objective, plan) == finals
    assert finals.total <= n_trials / 5


def test_many_rows_and_rows_in_time_have_no_finalists() -> None:
    assert make_objective(make_problem(), make_table(n=500), PLAN, 1).recut is None
    problem = make_problem()
    in_time = type(problem)(**{**vars(problem), "split": "time", "split_column": "day"})
    objective = make_objective(in_time, make_table(n=60).assign(day=np.arange(60)), PLAN, 1)
    assert plan_finals(objective, PLAN) == Finals()


def test_finalists_take_the_place_of_trials_and_the_winner_has_the_mean_of_the_other_cuts() -> None:
    objective, study, plan = begun()
    log, told = Notes(), []
    run_study(objective, study, log, plan, lambda done: told.append(len(done)))
    assert len(counted(study)) == 16
    assert len(told) == 20
    winner = choose_winner(objective, study)
    values: dict[int, list[float]] = {}
    for number, noted in log.told:
        values.setdefault(number, []).extend(noted.values())
    ranked = sorted(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)), key=lambda trial: trial.values[0])
    assert list(values) == [trial.number for trial in ranked[:2]] == list(winner.finalists)
    assert winner.value == pytest.approx(min(np.mean(each) for each in values.values()))
    assert np.mean(values[winner.trial.number]) == pytest.approx(winner.value)
    assert (winner.search_value, winner.cuts) == (study.best_value, 2)
    assert "2 other cuts" in told_of_finals(objective, study, winner)
    assert list(log.told[0][1]) == ["cv_log_loss_cut_1"]
    assert list(log.told[-1][1]) == ["cv_log_loss_cut_2"]


def test_another_cut_measures_the_rounds_of_the_trial_by_folds_of_another_seed() -> None:
    objective, study, plan = begun(n_trials=10)
    run_study(objective, study, NoLog(), plan)
    winner = choose_winner(objective, study)
    frame, problem = make_table(n=60), make_problem()
    again = make_objective(problem, frame, replace(plan, seed=1), 1)
    y, values = problem.truth(frame), []
    # The cut of seed 1, but the boosters of seed 0.
    params = objective.booster_params(winner.trial.params)
    for fold, (_, held) in zip(again.folds, problem.folds(frame, 2, 1), strict=True):
        given = xgb.train(params, fold.train, winner.trial.user_attrs["rounds"]).predict(fold.valid)
        both = np.column_stack([1 - given, given])
        values.append(metrics_of("binary")["log_loss"].compute(y[held], both.argmax(axis=1), both))
    assert winner.value == pytest.approx(np.mean(values), rel=1e-6)


def test_a_study_killed_among_its_finalists_goes_on_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed, runs = begun(), begun(), []
    run_study(whole[0], whole[1], NoLog(), whole[2])
    measure = Objective.measure_on

    def stopped(*given: Any) -> float:
        runs.append(1)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(Objective, "measure_on", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_study(killed[0], killed[1], NoLog(), killed[2])
    run_study(killed[0], killed[1], NoLog(), killed[2])
    assert len(runs) == 5  # 4 and the one that was stopped
    one, other = (choose_winner(objective, study) for objective, study, _ in (whole, killed))
    assert (one.trial.number, one.value, one.cuts) == (other.trial.number, other.value, other.cuts)


def test_behind_the_deadline_only_the_first_cut_is_measured() -> None:
    objective, study, plan = begun()
    run_study(replace(objective, deadline=0.0), study, NoLog(), plan)
    winner = choose_winner(objective, study)
    assert (len(counted(study)), winner.cuts, list(winner.finalists)) == (1, 1, [0])


def test_without_finalists_the_best_trial_wins() -> None:
    objective, study, plan = begun(n_trials=3)
    run_study(objective, study, NoLog(), plan)
    winner = choose_winner(objective, study)
    assert (winner.trial.number, winner.value, winner.cuts) == (study.best_trial.number, study.best_value, 0)
    assert "a little better than new rows" in told_of_finals(objective, study, winner)


def test_a_search_in_memory_reports_the_honest_value_and_the_same_one_again() -> None:
    frame = make_table("regression", n=60)
    one, same = (search(make_problem("regression"), frame, replace(PLAN, n_trials=10), 1) for _ in range(2))
    assert (one.value, one.params) == (same.value, same.params)
    assert one.value != one.search_value
    assert len(one.trials) == 8
