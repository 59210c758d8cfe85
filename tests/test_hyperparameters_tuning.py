"""Stage 2 on a real store, read back: one run a trial, the best of them on the tuning run, the test rows untouched."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import xgboost as xgb
from conftest import Store
from mlflow.entities import Run

import data_preprocessing
import hyperparameters_tuning
from config import DataSettings, TuningSettings
from treeline.model.boosting import booster_params
from treeline.tuning.search_space import SPACE

pytestmark = pytest.mark.store

STAGE = "hyperparameters-tuning"
CURVES = {
    "cancer": {"log_loss", "error", "roc_auc"},
    "mixed": {"log_loss", "error", "roc_auc"},
    "diabetes": {"rmse", "mae"},
}
EVERY_TABLE = pytest.mark.parametrize("chain", CURVES, indirect=True)


def table_of(store: Store) -> str:
    data = store.last("data-preprocessing").data.params["data"]
    return {"breast_cancer": "cancer", "houses.csv": "mixed"}.get(data, data)


def curve(store: Store, run: Run, name: str) -> np.ndarray:
    """A metric's values by step; the steps are the rounds, from 1."""
    points = sorted(store.client.get_metric_history(run.info.run_id, name), key=lambda point: point.step)
    assert [point.step for point in points] == list(range(1, len(points) + 1))
    return np.array([point.value for point in points])


def searched(run: Run) -> dict[str, str]:
    """The parameters of the search that a run logged."""
    return {name: run.data.params[name] for name in SPACE}


def value_of(run: Run, tuning: Run) -> float:
    """The metric in cross-validation that a trial's run, or the tuning run, logged."""
    return run.data.metrics[f"cv_{tuning.data.tags['metric']}"]


def tune(store: Store, data_run_id: str = "", **settings: Any) -> Run:
    """Run the stage on the iris table's data run, or the one named; read its run back."""
    data_run_id = data_run_id or data_preprocessing.run(DataSettings(data="iris"))
    given = {"n_trials": 2, "folds": 2, "data_run_id": data_run_id} | settings
    return store.run(hyperparameters_tuning.run(TuningSettings(**given)))


# --- one run a trial


@EVERY_TABLE
def test_every_trial_is_a_finished_run_under_the_tuning_run(chain: Store) -> None:
    tuning = chain.last(STAGE)
    trials = chain.children(tuning.info.run_id)
    expected = [f"trial-{i:03d}" for i in range(2)]
    assert [trial.info.run_name for trial in trials] == expected
    assert [trial.data.tags["trial"] for trial in trials] == [str(i) for i in range(len(expected))]
    assert {trial.data.tags["state"] for trial in trials} == {"COMPLETE"}
    assert {trial.data.tags["stage"] for trial in trials} == {"trial"}
    assert {trial.info.status for trial in trials} == {"FINISHED"}


@EVERY_TABLE
def test_every_trial_has_its_parameters_and_its_metric(chain: Store) -> None:
    tuning = chain.last(STAGE)
    trials = chain.children(tuning.info.run_id)
    for trial in trials:
        assert set(SPACE) <= set(trial.data.params)
        assert np.isfinite(value_of(trial, tuning))
        assert "score" not in trial.data.metrics
    assert len({tuple(searched(trial).items()) for trial in trials}) == len(trials)


@EVERY_TABLE
def test_every_trial_has_the_curve_of_every_metric_by_round(chain: Store) -> None:
    for trial in chain.children(chain.last(STAGE).info.run_id):
        curves = {name: curve(chain, trial, name) for name in CURVES[table_of(chain)]}
        (rounds,) = {len(values) for values in curves.values()}
        assert rounds >= trial.data.metrics["rounds"] >= 1
        assert all(np.isfinite(values).all() for values in curves.values())


@EVERY_TABLE
def test_a_trials_metric_is_the_lowest_point_of_its_curve_and_rounds_says_where(chain: Store) -> None:
    tuning = chain.last(STAGE)
    for trial in chain.children(tuning.info.run_id):
        values = curve(chain, trial, tuning.data.tags["metric"])
        assert value_of(trial, tuning) == pytest.approx(values.min())
        assert trial.data.metrics["rounds"] == values.argmin() + 1


def test_a_metric_that_should_be_high_is_maximised_under_its_own_sign(store: Store) -> None:
    tuning = tune(store, metric="roc_auc")
    trials = store.children(tuning.info.run_id)
    assert tuning.data.tags["metric"] == "roc_auc"
    assert value_of(tuning, tuning) == max(value_of(trial, tuning) for trial in trials)
    for trial in trials:
        assert value_of(trial, tuning) == pytest.approx(curve(store, trial, "roc_auc").max())


# --- the tuning run


@EVERY_TABLE
def test_the_tuning_run_has_the_parameters_and_the_metric_of_its_best_trial(chain: Store) -> None:
    tuning = chain.last(STAGE)
    trials = chain.children(tuning.info.run_id)
    best = min(trials, key=lambda trial: value_of(trial, tuning))
    assert searched(tuning) == searched(best)
    assert int(tuning.data.params["rounds"]) == best.data.metrics["rounds"]
    assert value_of(tuning, tuning) == value_of(best, tuning)
    assert tuning.data.metrics["best_trial"] == int(best.data.tags["trial"])
    assert tuning.data.metrics["trials"] == len(trials)


@EVERY_TABLE
def test_the_hand_over_to_training_is_the_best_trials(chain: Store) -> None:
    tuning = chain.last(STAGE)
    best = chain.document(tuning.info.run_id, "best.json")
    y = chain.table(chain.last("data-preprocessing").info.run_id, "train").iloc[:, -1]
    got = booster_params(best["params"], y.to_numpy()) if table_of(chain) == "diabetes" else best["params"]
    assert {name: str(got[name]) for name in SPACE} == {name: tuning.data.params[name] for name in SPACE}
    assert str(best["rounds"]) == tuning.data.params["rounds"]
    assert best["value"] == value_of(tuning, tuning)


@EVERY_TABLE
def test_the_tuning_run_leads_back_to_its_data(chain: Store) -> None:
    tuning, data = chain.last(STAGE), chain.last("data-preprocessing")
    assert tuning.info.run_name == tuning.data.tags["stage"] == STAGE
    assert tuning.data.tags["data_run_id"] == data.info.run_id
    assert tuning.data.tags["data_digest"] == data.data.tags["data_digest"]
    table = chain.inputs(data.info.run_id)[0][0]
    assert chain.inputs(tuning.info.run_id) == [(table, data.data.tags["data_digest"], "tuning")]


def test_system_metrics_stand_on_the_tuning_run(store: Store) -> None:
    """They are sampled every second: a study of two quick trials may be over before the first."""
    metrics = tune(store, n_trials=100_000, timeout=4).data.metrics
    assert "system/cpu_utilization_percentage" in metrics
    assert "system/system_memory_usage_megabytes" in metrics


def test_settings_are_logged_under_their_names_on_the_command_line(cancer: Store) -> None:
    params = cancer.last(STAGE).data.params
    expected = {"n-trials": "2", "folds": "2", "metric": "auto", "timeout": "0.0", "seed": "0"}
    assert {name: params[name] for name in expected} == expected


# --- honest by construction


def test_the_test_rows_are_never_read(store: Store) -> None:
    data_run_id = data_preprocessing.run(DataSettings(data="iris"))
    (store.folder_of(data_run_id) / "test.parquet").unlink()
    tuning = tune(store, data_run_id, n_trials=1)
    assert tuning.info.status == "FINISHED"


def test_the_same_seed_gives_the_same_trials_and_another_seed_other_ones(store: Store) -> None:
    data_run_id = data_preprocessing.run(DataSettings(data="iris"))
    Path("quick.yaml").write_text("learning_rate: {low: 0.2, high: 0.3}", encoding="utf-8")

    def trials(seed: int) -> list[tuple[dict[str, str], float, float]]:
        # The first five are known points; the sixth is drawn; the seventh is the best at half its learning rate.
        tuning = tune(store, data_run_id, n_trials=7, seed=seed, search_space="quick.yaml")
        children = store.children(tuning.info.run_id)
        return [(searched(each), value_of(each, tuning), each.data.metrics["rounds"]) for each in children]

    first, again, other = trials(1), trials(1), trials(2)
    assert first == again
    assert first[5][0] != other[5][0]


def test_a_time_limit_starts_no_trial_after_it(store: Store) -> None:
    tuning = tune(store, n_trials=100_000, timeout=0.1)
    counted = tuning.data.metrics
    assert 1 <= len(store.children(tuning.info.run_id)) == counted["trials"] - counted["trials_repeated"] < 100_000


# --- what bad input gets


@pytest.mark.parametrize(
    ("data", "argv", "words"),
    [
        ("iris", ["--metric", "rmse"], ["metric=rmse", "multiclass", "log_loss, error, roc_auc"]),
        ("diabetes", ["--metric", "log_loss"], ["metric=log_loss", "regression", "rmse, mae"]),
        ("iris", ["--folds", "51"], ["folds=51", "use fewer"]),
        ("diabetes", ["--folds", "400"], ["folds=400", "296 training rows"]),
    ],
)
def test_what_does_not_fit_the_table_is_one_sentence(
    store: Store, refused: Callable[..., str], data: str, argv: list[str], words: list[str]
) -> None:
    data_preprocessing.run(DataSettings(data=data))
    sentence = refused(hyperparameters_tuning.main, *argv)
    assert [word for word in words if word not in sentence] == []
    tuning = store.last(STAGE)
    assert tuning.info.status == "FAILED"
    assert tuning.data.tags["error"] == sentence
    assert store.children(tuning.info.run_id) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--n-trials", "0"], ["--n-trials got 0", "1"]),
        (["--n-trials", "-3"], ["--n-trials got -3", "1"]),
        (["--n-trials", "1.5"], ["--n-trials", "'1.5'"]),
        (["--folds", "1"], ["--folds got 1", "2"]),
        (["--timeout", "-1"], ["--timeout", "'-1'", "0"]),
        (["--metric", "accurcy"], ["--metric", "'accurcy'", "'log_loss'"]),
        (["--trials", "3"], ["--trials", "--n-trials"]),
        (["--search-space", "no.yaml"], ["no.yaml", "search_space"]),
        (["--study-name", "a/b"], ["study_name", "'a/b'"]),
        (["--study-name", "x" * 300], ["study_name", "200 bytes at most"]),
        (["--study-name", "é" * 200], ["study_name", "200 bytes at most"]),
        (["--timeout", "inf"], ["--timeout", "'inf'"]),
        (["--storage", "sqlite:///no/such/folder/s.db"], ["storage", "no folder", "no/such/folder"]),
        (["--storage", "nonsense"], ["storage", "'nonsense'"]),
        (["--storage", "postgresql+psycopg2://localhost:1/none"], ["storage", "localhost"]),
    ],
)
def test_a_setting_out_of_range_is_one_sentence_and_leaves_nothing(
    store: Store, refused: Callable[..., str], argv: list[str], words: list[str]
) -> None:
    sentence = refused(hyperparameters_tuning.main, *argv)
    assert [word for word in words if word not in sentence] == []
    assert store.runs() == []


def test_without_a_data_run_one_sentence_names_the_command(store: Store, refused: Callable[..., str]) -> None:
    sentence = refused(hyperparameters_tuning.main)
    assert "mlflow run . -e data-preprocessing" in sentence
    assert store.last(STAGE).info.status == "FAILED"


def test_where_no_trial_can_train_every_run_ends_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data_preprocessing.run(DataSettings(data="iris"))

    def broken(*args: object) -> None:
        raise xgb.core.XGBoostError("no memory is left")

    monkeypatch.setattr(xgb.Booster, "update", broken)
    with contextlib.suppress(xgb.core.XGBoostError):  # a sentence is as good as the library's own error
        assert hyperparameters_tuning.main(["--folds", "2"]) == 1
    tuning = store.last(STAGE)
    runs = [tuning, *store.children(tuning.info.run_id)]
    assert {run.info.status for run in runs} == {"FAILED"}
    assert mlflow.active_run() is None


# --- what later stages read beside the parameters


@EVERY_TABLE
def test_every_training_row_is_predicted_by_a_booster_that_did_not_see_it(chain: Store) -> None:
    tuning, train = chain.last(STAGE), chain.table(chain.last("data-preprocessing").info.run_id, "train")
    found = chain.table(tuning.info.run_id, "out_of_fold")
    assert found["row"].tolist() == list(range(len(train)))
    value, metric = value_of(tuning, tuning), tuning.data.tags["metric"]
    if metric == "rmse":
        ours = np.sqrt(np.mean((found["prediction"] - train.iloc[:, -1]) ** 2))
    else:
        assert all(name.startswith("probability_") for name in found.columns[1:])
        given = found.iloc[:, 1:].to_numpy()
        np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-5)
        y = train.iloc[:, -1].to_numpy()
        labels = np.sort(np.unique(y))
        ours = -np.mean(np.log(given[np.arange(len(y)), np.searchsorted(labels, y)]))
    assert ours == pytest.approx(value, rel=0.05)  # over all rows at once, where the value is a mean over the folds


def test_the_loss_that_was_chosen_stands_on_the_run(store: Store) -> None:
    tuning = tune(store, data_preprocessing.run(DataSettings(data="diabetes")), metric="mae")
    best = store.document(tuning.info.run_id, "best.json")
    assert tuning.data.params["objective"] == best["params"]["objective"] == "reg:absoluteerror"
    assert best["level"] == 1
