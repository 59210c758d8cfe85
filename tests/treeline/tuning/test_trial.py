"""Trials without a store: drawn, trained, pruned and failed, told to a log in order, and as many as a study runs."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tables_maker import CLASSES, TASKS, make_problem, make_table

from treeline import UserError
from treeline.tuning import objective as objectives
from treeline.tuning import trial as trials
from treeline.tuning.objective import Objective, make_objective
from treeline.tuning.records import CurveLog, NoLog
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import SPACE, known_points
from treeline.tuning.study import counted, open_study
from treeline.tuning.trial import rewrite_trial, run_study, search

PLAN = SearchSettings(n_trials=3, folds=2)


class Calls:
    """A `TrialLog` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        self.told.append(("start", number, dict(params), run_id))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append(("add", step, dict(values)))

    def end(self, state: str, values: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        self.told.append(("end", state, dict(values), dict(tags), status))

    def note(self, number: int, values: Mapping[str, float]) -> None:
        self.told.append(("note", number, dict(values)))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [each[1:] for each in self.told if each[0] == kind]


def begun(settings: SearchSettings = PLAN, target: str = "binary") -> tuple[Objective, optuna.Study]:
    objective = make_objective(make_problem(target), make_table(target, n=90), settings, 2)
    objective = replace(objective, max_rounds=40)
    points = known_points(objective.measure.task, objective.space)
    return objective, open_study(None, "s", objective.maximize, {}, points)


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool], error: BaseException) -> None:
    """Let the trials raise that a function of their order names."""
    train, calls = objectives.cross_validate, iter(range(1000))

    def sometimes(*given: Any) -> Any:
        if fails(next(calls)):
            raise error
        return train(*given)

    monkeypatch.setattr(objectives, "cross_validate", sometimes)


def test_a_trial_is_told_from_its_beginning_to_its_end() -> None:
    (objective, study), log = begun(), Calls()
    run_study(objective, study, log, PLAN)
    assert [number for number, _, _ in log.of("start")] == [0, 1, 2]
    assert [params for _, params, _ in log.of("start")] == [objective.searched_params(t.params) for t in counted(study)]
    rounds = [step for step, _ in log.of("add")]
    lengths = [trial.user_attrs["trained"] for trial in counted(study)]
    assert rounds == [step for length in lengths for step in range(1, length + 1)]
    for (state, values, tags, status), trial in zip(log.of("end"), counted(study), strict=True):
        assert (state, tags, status) == ("COMPLETE", {}, "FINISHED")
        assert list(values) == ["cv_log_loss", "rounds", "seconds"]
        assert (values["cv_log_loss"], values["rounds"]) == (trial.value, trial.user_attrs["rounds"])
        assert values["seconds"] > 0


def test_the_log_changes_nothing() -> None:
    values = []
    for log in (NoLog(), Calls(), CurveLog("error")):
        objective, study = begun()
        run_study(objective, study, log, PLAN)
        values.append(([trial.params for trial in counted(study)], [trial.value for trial in counted(study)]))
    assert values[0] == values[1] == values[2]


def test_a_curve_log_keeps_the_curve_of_its_metric_of_each_trial() -> None:
    (objective, study), log, calls = begun(), CurveLog("error"), Calls()
    run_study(objective, study, log, PLAN)
    run_study(*begun(), calls, PLAN)
    assert list(log.curves) == [0, 1, 2]
    errors = [values["error"] for _, values in calls.of("add")]
    assert [value for curve in log.curves.values() for value in curve] == errors
    assert [len(curve) for curve in log.curves.values()] == [trial.user_attrs["trained"] for trial in counted(study)]


def test_a_pruned_trial_counts_and_is_no_best(monkeypatch: pytest.MonkeyPatch) -> None:
    (objective, study), log = begun(), Calls()
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 1)
    run_study(objective, study, log, PLAN)
    assert [trial.state.name for trial in counted(study)] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert [state for state, *_ in log.of("end")] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert study.best_trial.number != 1
    values = log.of("end")[1][1]
    assert (values["cv_log_loss"], values["rounds"]) == (
        study.trials[1].user_attrs["value"],
        study.trials[1].user_attrs["rounds"],
    )


def test_a_trial_that_raises_is_failed_with_its_error_and_the_study_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda call: call in (0, 2), ValueError("x" * 3000))
    (objective, study), log = begun(), Calls()
    run_study(objective, study, log, PLAN)
    assert [trial.state.name for trial in counted(study)] == ["FAIL", "COMPLETE", "FAIL"]
    state, values, tags, status = log.of("end")[0]
    assert (state, values, status) == ("FAIL", {}, "FAILED")
    assert tags == {"error": f"ValueError: {'x' * 3000}"[:2000]}
    assert len(counted(study)) == 3


def test_three_failures_in_a_row_stop_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda call: call not in (0, 3), ValueError("the grower fell over"))
    objective, study = begun()
    with pytest.raises(UserError, match=r"^3 trials in a row failed, the last with ValueError: the grower fell over"):
        run_study(objective, study, NoLog(), replace(PLAN, n_trials=20))
    assert len(counted(study)) == 7


def test_a_study_whose_only_trial_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda call: True, ValueError("the grower fell over"))
    objective, study = begun()
    with pytest.raises(UserError, match=r"^No trial of 1 can be used, the last: ValueError: the grower fell over"):
        run_study(objective, study, NoLog(), replace(PLAN, n_trials=1))


def test_a_person_who_stops_a_trial_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda call: call == 1, KeyboardInterrupt())
    (objective, study), log = begun(), Calls()
    with pytest.raises(KeyboardInterrupt):
        run_study(objective, study, log, PLAN)
    assert log.of("end")[-1] == ("KILLED", {}, {}, "KILLED")
    assert len(counted(study)) == 1
    states = [trial.state for trial in study.trials]
    assert (states.count(TrialState.FAIL), states.count(TrialState.RUNNING)) == (1, 0)
    assert study.trials[1].system_attrs["fixed_params"] == study.trials[-1].system_attrs["fixed_params"]


def test_a_deadline_leaves_a_best_and_begins_no_trial_behind_it() -> None:
    objective, study = begun()
    run_study(replace(objective, deadline=0.0), study, NoLog(), replace(PLAN, n_trials=50))
    assert [trial.state.name for trial in counted(study)] == ["COMPLETE"]


def test_a_study_that_has_its_total_is_left_alone_and_told_of_after_each_trial() -> None:
    (objective, study), seen = begun(), []
    for _ in range(2):
        run_study(objective, study, NoLog(), PLAN, lambda done: seen.append(len(done)))
    assert seen == [1, 2, 3]


def test_a_record_that_a_kill_left_unwritten_is_written_alike() -> None:
    (objective, study), log, again = begun(), Calls(), Calls()
    run_study(objective, study, log, PLAN)
    rewrite_trial(objective, study.trials[2], again, "the-run")
    begin = max(i for i, each in enumerate(log.told) if each[0] == "start")
    assert again.told[0] == (*log.told[begin][:3], "the-run")
    assert again.told[1:-1] == log.told[begin + 1 : -1]
    (state, values, *rest), (as_before, first, *same) = again.of("end")[0], log.of("end")[-1]
    assert (state, rest, {**values, "seconds": 0}) == (as_before, same, {**first, "seconds": 0})


def test_the_record_of_a_failed_trial_is_its_error() -> None:
    objective, log = begun()[0], Calls()
    frozen = optuna.create_study().ask()
    frozen.set_user_attr("error", "ValueError: no")
    found: Any = SimpleNamespace(number=4, params={}, user_attrs=frozen.user_attrs, state=TrialState.FAIL)
    rewrite_trial(objective, found, log, "")
    assert log.told == [("start", 4, {}, ""), ("end", "FAIL", {}, {"error": "ValueError: no"}, "FAILED")]


# --- a search in memory


@pytest.mark.parametrize("target", TASKS)
def test_a_search_tells_its_trials_and_the_best_of_them(target: str) -> None:
    found = search(make_problem(target), make_table(target, n=90), PLAN, 2)
    assert found.metric == ("log_loss" if CLASSES[target] else "rmse")
    assert list(found.trials.columns) == ["trial", "state", "value", "rounds", *SPACE]
    assert found.trials["trial"].tolist() == [0, 1, 2]
    best = found.trials.loc[found.trials[found.trials["state"] == "COMPLETE"]["value"].idxmin()]
    assert found.value == best["value"]
    assert found.rounds == best["rounds"]
    assert {name: found.params[name] for name in SPACE} == best[list(SPACE)].to_dict()
    assert found.params["seed"] == 0
    assert found.cv_values[found.rounds - 1] == found.value == min(found.cv_values)
    assert len(found.cv_values) >= found.rounds


def test_a_metric_that_should_be_high_is_maximised_under_its_own_sign() -> None:
    found = search(make_problem(), make_table(n=90), replace(PLAN, metric="roc_auc"), 2)
    assert (found.metric, found.value) == ("roc_auc", found.trials["value"].max())
    assert found.cv_values[found.rounds - 1] == found.value == max(found.cv_values)


def test_a_search_follows_from_its_seed_whatever_the_cpus() -> None:
    plan = replace(PLAN, n_trials=6, search_space={"learning_rate": {"low": 0.1, "high": 0.3}})
    one, same, other = (
        search(make_problem(), make_table(n=90), replace(plan, seed=seed), cpus)
        for seed, cpus in ((1, 1), (1, 3), (2, 1))
    )
    assert one.trials.equals(same.trials)
    assert one.cv_values == same.cv_values
    assert not one.trials.equals(other.trials)


def test_a_failed_trial_stands_among_the_others_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda call: call == 1, ValueError("no"))
    found = search(make_problem(), make_table(n=90), PLAN, 2)
    assert found.trials["state"].tolist() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert found.trials["value"].isna().tolist() == found.trials["rounds"].isna().tolist() == [False, True, False]
    assert np.isfinite(found.value)


def test_the_seconds_of_a_search_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def later() -> float:
        now[0] += 0.01
        return now[0]

    clock = SimpleNamespace(monotonic=later, perf_counter=later)
    for module in (trials, objectives):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("treeline.tuning.schedule.time", clock)
    found = search(make_problem(), make_table(n=90), SearchSettings(n_trials=10_000, timeout=2.0, folds=2), 1)
    assert 1 <= len(found.trials) < 300
    assert found.trials["state"].iloc[0] == "COMPLETE"


@pytest.fixture
def verbosity() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.usefixtures("verbosity")
@pytest.mark.parametrize("level", [optuna.logging.DEBUG, optuna.logging.INFO, optuna.logging.ERROR])
@pytest.mark.parametrize("fails", [False, True])
def test_a_search_keeps_optuna_quiet_and_leaves_it_as_it_was(
    level: int, fails: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna.logging.set_verbosity(level)
    failing(monkeypatch, lambda call: fails, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) if fails else contextlib.nullcontext():
        search(make_problem(), make_table(n=90), replace(PLAN, n_trials=1), 1)
    assert [record.getMessage() for record in caplog.records] == []
    assert optuna.logging.get_verbosity() == level
