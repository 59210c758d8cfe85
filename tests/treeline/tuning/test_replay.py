"""Trials of an earlier study trained again: as many, as far and ending as they did, whatever pruned or stopped them."""

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tables_maker import make_problem, make_table

from treeline import UserError
from treeline.tuning import objective as objectives
from treeline.tuning.objective import Objective, make_objective
from treeline.tuning.records import NoLog
from treeline.tuning.replay import recorded_trials, replay
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points
from treeline.tuning.study import counted, fail_stale_trials, open_study
from treeline.tuning.trial import run_study

SPACE = {"max_depth": [2, 4], "learning_rate": {"low": 0.05, "high": 0.3}, "max_cat_to_onehot": 7}
PLAN = SearchSettings(n_trials=6, folds=2, search_space=SPACE)


def begun(points: bool) -> tuple[Objective, optuna.Study]:
    objective = replace(make_objective(make_problem("binary"), make_table("binary", n=90), PLAN, 2), max_rounds=40)
    known = known_points("binary", objective.space) if points else []
    return objective, open_study(None, "s", objective.maximize, {}, known)


def rows_of(study: optuna.Study) -> list[dict[str, str]]:
    """What the table of trials holds that a tuning run logs."""
    table = study.trials_dataframe()
    return list(csv.DictReader(io.StringIO(table[table["state"] != "WAITING"].to_csv(index=False))))


def test_trials_that_were_pruned_stopped_failed_or_killed_come_out_as_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, study = begun(points=True)
    train, calls = objectives.cross_validate, iter(range(1000))

    def unsteady(params: object, folds: object, measure: object, limits: object, watch: object) -> object:
        call = next(calls)
        if call == 2:
            raise RuntimeError("out of memory")
        if call == 4:  # the clock stops it
            limits = replace(limits, rounds=7)  # type: ignore[type-var]
        return train(params, folds, measure, limits, watch)  # type: ignore[arg-type]

    monkeypatch.setattr(objectives, "cross_validate", unsteady)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 1)
    run_study(objective, study, NoLog(), replace(PLAN, n_trials=3))
    study.ask(dict(objective.space))  # another process is killed in this one
    fail_stale_trials(study)
    run_study(objective, study, NoLog(), PLAN)
    monkeypatch.undo()

    objective, again = begun(points=False)
    replay(objective, again, NoLog(), recorded_trials(rows_of(study), objective.space))
    made = [each for each in study.get_trials() if each.state.is_finished()]
    assert {each.state for each in made} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert [each.user_attrs.get("trained") for each in made if each.number == 5] == [7]
    assert len(again.trials) == len(made) == len(counted(again)) + 1
    for before, now in zip(made, again.trials, strict=True):
        assert (now.number, now.state) == (before.number, before.state)
        assert now.user_attrs == before.user_attrs
        if before.state != TrialState.FAIL:
            assert [(name, type(value), value) for name, value in sorted(now.params.items())] == [
                (name, type(value), value) for name, value in sorted(before.params.items())
            ]
            assert now.intermediate_values == before.intermediate_values
    assert (again.best_value, again.best_trial.number) == (study.best_value, study.best_trial.number)


def test_numbers_are_read_from_a_table_to_the_last_digit() -> None:
    objective, study = begun(points=False)
    rng = np.random.default_rng(0)
    for rate in rng.uniform(0.05, 0.3, 50):
        params = study.ask(dict(objective.space)).params | {"learning_rate": rate}
        study.add_trial(
            optuna.trial.create_trial(
                value=0.1, params=params, distributions=dict(objective.space), user_attrs={"trained": 3}
            )
        )
    done = [each for each in study.trials if each.state == TrialState.COMPLETE]
    read = recorded_trials(rows_of(study), objective.space)
    assert [each.params for each in read if each.state == TrialState.COMPLETE] == [each.params for each in done]


def test_a_trial_of_another_space_is_refused() -> None:
    objective, study = begun(points=True)
    run_study(objective, study, NoLog(), replace(PLAN, n_trials=1))
    wider = objective.space | {"gamma": optuna.distributions.FloatDistribution(0, 1)}
    with pytest.raises(UserError, match=r"^The recorded trial 0 has no gamma"):
        recorded_trials(rows_of(study), wider)


def test_a_stop_ends_the_record_of_the_trial_that_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, study = begun(points=True)
    run_study(objective, study, NoLog(), SearchSettings(n_trials=1))
    again, ended = begun(points=False)[1], []

    class Log(NoLog):
        def end(self, *given: Any, **named: Any) -> None:
            ended.append((given, named))

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Objective, "cross_validate", stopped)
    with pytest.raises(KeyboardInterrupt):
        replay(objective, again, Log(), recorded_trials(rows_of(study), objective.space))
    assert ended == [(("KILLED", {}, {}), {"status": "KILLED"})]
