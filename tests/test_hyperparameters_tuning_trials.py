"""Trials on a real store: pruned, failed, stopped by the clock, killed and gone on with; written in few calls."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import REPOSITORY, Store
from mlflow.tracking.client import MlflowClient

import data_preprocessing
import hyperparameters_tuning
from config import DataSettings, TuningSettings
from treeline.model.matrices import make_folds
from treeline.tuning import objective, schedule
from treeline.tuning import trial as trials
from treeline.tuning.search_space import HELD_LEARNING_RATE

pytestmark = pytest.mark.store
STAGE = "hyperparameters-tuning"


@pytest.fixture
def iris(store: Store) -> Store:
    data_preprocessing.run(DataSettings(data="iris"))
    return store


def tune(store: Store, **settings: Any) -> Any:
    return store.run(hyperparameters_tuning.run(TuningSettings(**{"n_trials": 3, "folds": 2} | settings)))


def test_a_pruned_trial_is_no_failure_and_keeps_its_curve(iris: Store) -> None:
    tuning = tune(iris, n_trials=12)
    pruned = [trial for trial in iris.children(tuning.info.run_id) if trial.data.tags["state"] == "PRUNED"]
    assert pruned
    for trial in pruned:
        assert trial.info.status == "FINISHED"
        assert len(iris.client.get_metric_history(trial.info.run_id, "log_loss")) >= 1
        assert trial.data.metrics["cv_log_loss"] >= tuning.data.metrics["cv_log_loss"]
    assert tuning.data.metrics["trials"] == 12
    assert tuning.data.metrics["trials_pruned"] == len(pruned)


def test_the_last_trial_is_the_best_at_half_its_learning_rate(iris: Store) -> None:
    children = iris.children(tune(iris, n_trials=6).info.run_id)
    before = [trial for trial in children if trial.data.tags["trial"] != "5"]
    best = min(before, key=lambda trial: trial.data.metrics["cv_log_loss"]).data.params
    (last,) = (trial.data.params for trial in children if trial.data.tags["trial"] == "5")
    assert last == {**best, "learning_rate": str(float(best["learning_rate"]) / 2)}


def test_the_best_known_point_is_tried_at_a_quarter_of_its_learning_rate_at_once(
    iris: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MIN_TRIALS_FOR_EARLY", 8)
    children = iris.children(tune(iris, n_trials=8).info.run_id)
    tried = sorted((trial.data for trial in children), key=lambda data: int(data.tags["trial"]))
    best = min(tried[:5], key=lambda data: data.metrics["cv_log_loss"]).params
    assert tried[5].params == {**best, "learning_rate": str(float(best["learning_rate"]) / 4)}
    assert float(tried[6].params["learning_rate"]) == HELD_LEARNING_RATE


def test_folds_are_built_once_a_study(iris: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(objective, "make_folds", lambda *given: built.append(make_folds(*given)) or built[0])
    tune(iris)
    assert len(built) == 1
    assert len(built[0]) == 2


def test_a_short_trial_is_one_write(iris: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    write = MlflowClient.log_batch

    def counted(self: MlflowClient, run_id: str, *given: Any, **named: Any) -> Any:
        writes.append(run_id)
        return write(self, run_id, *given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    tuning = tune(iris, n_trials=2)  # the known points, of some fifty rounds each
    for trial in iris.children(tuning.info.run_id):
        assert writes.count(trial.info.run_id) == 1


def test_a_long_trial_is_written_while_it_trains(iris: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    started = time.monotonic()
    train = objective.cross_validate

    def slow(*given: Any) -> Any:
        *rest, watch = given

        def slowly(round_: int, mean: Any, std: Any) -> bool:
            time.sleep(0.4)
            if round_ == 10:
                run = iris.runs("trial")[0]
                seen.append(len(iris.client.get_metric_history(run.info.run_id, "log_loss")))
            return bool(watch(round_, mean, std)) or round_ == 10

        return train(*rest, slowly)

    monkeypatch.setattr(objective, "cross_validate", slow)
    tune(iris, n_trials=1)
    assert time.monotonic() - started > 4
    assert seen[0] >= 5  # of the nine rounds behind it, those older than two seconds


def test_a_timeout_holds_in_the_first_trial_and_leaves_a_best(iris: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    train, now = objective.cross_validate, [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter)

    def slow(*given: Any) -> Any:
        *rest, watch = given

        def an_eighth_of_a_second(*point: Any) -> bool:
            now[0] += 0.125
            return bool(watch(*point))

        return train(*rest, an_eighth_of_a_second)

    monkeypatch.setattr(objective, "cross_validate", slow)
    for module in (objective, schedule, trials):
        monkeypatch.setattr(module, "time", clock)
    begun = hyperparameters_tuning.Stopwatch(clock=0.0)
    monkeypatch.setattr(hyperparameters_tuning, "Stopwatch", lambda: begun)
    tuning = tune(iris, n_trials=50, timeout=1.5)
    (only,) = iris.children(tuning.info.run_id)
    rounds = iris.client.get_metric_history(only.info.run_id, "log_loss")
    assert len(rounds) == 10  # the last is the first that ends behind 1.2 s: a fifth of the time is for finalists
    assert only.data.tags["state"] == "COMPLETE"
    assert tuning.data.metrics["search_log_loss"] == only.data.metrics["cv_log_loss"]
    assert tuning.data.metrics["cv_log_loss"] == only.data.metrics["cv_log_loss_cut_1"]
    assert tuning.data.metrics["trials"] == 2


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
    """Let the trials raise that a function of their order names."""
    train, calls = objective.cross_validate, iter(range(1000))

    def sometimes(*given: Any) -> Any:
        if fails(next(calls)):
            raise ValueError("the grower fell over")
        return train(*given)

    monkeypatch.setattr(objective, "cross_validate", sometimes)


def test_a_trial_that_raises_is_failed_with_its_error_and_the_study_goes_on(
    iris: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda call: call in (0, 1, 3))
    tuning = tune(iris, n_trials=5)
    children = iris.children(tuning.info.run_id)
    assert [trial.info.status for trial in children] == ["FAILED", "FAILED", "FINISHED", "FAILED", "FINISHED"]
    assert children[0].data.tags["state"] == "FAIL"
    assert "the grower fell over" in children[0].data.tags["error"]
    assert tuning.info.status == "FINISHED"


def test_three_failures_in_a_row_stop_the_study_with_the_reason(
    iris: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    failing(monkeypatch, lambda call: call > 0)
    sentence = refused(hyperparameters_tuning.main, "--n-trials", "9", "--folds", "2")
    assert "3 trials in a row failed" in sentence
    assert "the grower fell over" in sentence
    assert iris.last(STAGE).info.status == "FAILED"
    assert len(iris.runs("trial")) == 4


def test_a_finished_study_is_not_begun_again(iris: Store) -> None:
    first = tune(iris, study_name="s")
    again = tune(iris, study_name="s")
    assert again.data.metrics["cv_log_loss"] == first.data.metrics["cv_log_loss"]
    assert len(iris.runs("trial")) == 3
    assert len(iris.children(again.info.run_id)) == 3


def test_a_larger_total_goes_on_with_the_study(iris: Store) -> None:
    tune(iris, study_name="s", n_trials=2)
    longer = tune(iris, study_name="s", n_trials=5)
    assert [trial.info.run_name for trial in iris.children(longer.info.run_id)] == [f"trial-{i:03d}" for i in range(5)]


COMMAND = [sys.executable, str(REPOSITORY / "hyperparameters_tuning.py"), "--data-run-id"]


def kill_in_trial(store: Store, data_run_id: str, number: int) -> None:
    """Start a study of eight trials in a process of its own and kill it when a trial is running."""
    argv = [*COMMAND, data_run_id, "--n-trials", "8", "--folds", "3", "--study-name", "s"]
    process = subprocess.Popen(argv, cwd=store.folder, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if any(run.info.run_name == f"trial-{number:03d}" for run in store.runs("trial")):
                break
            time.sleep(0.05)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_killed_study_goes_on_to_its_total(store: Store) -> None:
    data_run_id = data_preprocessing.run(DataSettings(data="iris"))
    kill_in_trial(store, data_run_id, 4)  # the last of the known points
    killed = store.last(STAGE)
    assert killed.info.status == "RUNNING"
    resumed = tune(store, data_run_id=data_run_id, n_trials=8, folds=3, study_name="s")
    whole = tune(store, data_run_id=data_run_id, n_trials=8, folds=3, study_name="whole")

    assert store.run(killed.info.run_id).info.status == "KILLED"
    assert resumed.info.status == "FINISHED"
    assert resumed.data.metrics["trials"] == 8
    children = store.children(resumed.info.run_id)
    alive = [trial for trial in children if trial.data.tags["state"] != "KILLED"]
    dead = [trial for trial in children if trial.data.tags["state"] == "KILLED"]
    assert len(alive) == 8
    assert all(trial.info.status == "FINISHED" for trial in alive)
    assert len(dead) <= 1
    assert all(trial.info.status == "KILLED" for trial in dead)
    assert all(store.client.get_metric_history(trial.info.run_id, "log_loss") for trial in alive)

    def outcome(run: Any) -> tuple[Any, ...]:
        return run.data.params, run.data.metrics["cv_log_loss"], run.data.metrics["rounds"], run.data.tags["state"]

    assert [outcome(trial) for trial in alive] == [outcome(t) for t in store.children(whole.info.run_id)]


def test_the_study_is_shown_in_pictures_and_a_table(iris: Store) -> None:
    tuning = tune(iris, n_trials=4)
    pictures = {"optimization_history", "parameter_importances", "parallel_coordinate", "slices"}
    assert {f"{name}.png" for name in pictures} | {"trials.csv", "best.json"} <= set(iris.artifacts(tuning.info.run_id))
    table = (Path(iris.folder_of(tuning.info.run_id)) / "trials.csv").read_text()
    assert len(table.splitlines()) == 5
