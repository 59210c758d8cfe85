"""Sweeps: Hydra's options read and refused, combinations side by side in one store, the best by cross-validation."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from conftest import REPOSITORY, STAGES, Store, python

import sweep
from config import MainSettings
from tracking.registry import register_in_step
from treeline.cpus import cpu_budget

QUICK = "data=iris folds=2"  # a chain of some seconds


def table_of(store: Store, run_id: str) -> pd.DataFrame:
    """The table of results that a sweep logged."""
    return pd.read_csv(store.folder_of(run_id) / "sweep.csv", keep_default_na=False)


def chains_of(store: Store, run_id: str) -> list[Any]:
    return [run for run in store.children(run_id) if run.data.tags["stage"] == "main"]


# --- the best


def row(value: float, metric: str = "log_loss", greater: bool = False, error: str = "") -> dict[str, Any]:
    if error:
        return {"error": error}
    return {"kind": (metric,), "greater_is_better": greater, "metric": metric, "cv_value": value, "error": ""}


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([row(0.3), row(0.1), row(0.2)], [1]),
        ([row(0.3, "roc_auc", True), row(0.1, "roc_auc", True)], [0]),
        ([row(0.3), row(0.9, "roc_auc", True), row(0.1), row(0.8, "roc_auc", True)], [1, 2]),
        ([row(0.1), row(0.1)], [0]),
        ([row(0, error="no such file"), row(0.5)], [1]),
        ([row(0, error="no such file")], []),
    ],
)
def test_the_best_is_the_best_of_its_kind_in_the_metric_s_own_direction(rows: list[Any], best: list[int]) -> None:
    marked = sweep.mark_best(rows)
    assert [i for i, each in enumerate(rows) if each["best"]] == best
    assert sorted(id(each) for each in marked) == sorted(id(rows[i]) for i in best)


# --- in one process


@pytest.mark.store
def test_a_sweep_holds_a_chain_a_combination_and_judges_the_best_by_cross_validation(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"-m {QUICK} n_trials=1,3 test_size=0.2,0.4 min_score='accuracy=0.5'"
    assert sweep.main(["--hydra_options", options]) == 0
    (run,) = store.runs("sweep")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "sweep")
    assert run.data.params == {"hydra_options": options}

    chains = chains_of(store, run.info.run_id)
    assert len(chains) == 4
    given = {(each.data.params["n-trials"], each.data.params["test-size"]) for each in chains}
    assert given == {("1", "0.2"), ("1", "0.4"), ("3", "0.2"), ("3", "0.4")}
    values = {}
    for each in chains:
        stages = {child.data.tags["stage"]: child for child in store.children(each.info.run_id)}
        assert (each.info.status, sorted(stages)) == ("FINISHED", sorted(STAGES))
        assert stages["data-evaluation"].data.tags["decision"] == "hold"
        values[each.info.run_id] = stages["hyperparameters-tuning"].data.metrics["cv_log_loss"]

    table = table_of(store, run.info.run_id)
    assert list(table.columns[:5]) == ["test_size", "n_trials", "metric", "cv_value", "best"]
    assert [*zip(table["n_trials"], table["test_size"], strict=True)] == [(1, 0.2), (1, 0.4), (3, 0.2), (3, 0.4)]
    assert {key: pytest.approx(value) for key, value in zip(table["run_id"], table["cv_value"], strict=True)} == values
    assert set(table["metric"]) == {"log_loss"}
    best = table[table["best"]].iloc[0]
    assert table["best"].sum() == 1
    assert values[best["run_id"]] == run.data.metrics["cv_log_loss"] == min(values.values())
    assert best["run_id"] == next(each for each in table["run_id"] if values[each] == min(values.values()))

    (judged,) = [each for each in store.children(run.info.run_id) if each.data.tags["stage"] == "data-evaluation"]
    assert judged.data.tags["training_run_id"] == best["training_run_id"]
    assert judged.data.params["min-score"] == "accuracy=0.5"
    version = str(best["version"])
    assert store.versions()["IrisModel"] == ["1", "2", "3", "4"]
    for name in store.versions():
        assert store.aliases(name) == {"challenger": version, "champion": version}

    printed = capsys.readouterr().out
    assert printed.count("*") == 1
    assert f"n_trials={best['n_trials']} folds=2" in printed
    assert f"log_loss {best['cv_value']:.5g} in cross-validation" in printed
    assert "it is the champion" in printed
    assert "Registered" not in printed
    assert {path.name for path in store.folder.iterdir()} <= {"mlflow.db", "mlruns", "studies"}


@pytest.mark.store
def test_a_combination_that_fails_is_a_line_of_the_table_and_the_others_go_on(
    store: Store, refused: Callable[..., str]
) -> None:
    sentence = refused(sweep.main, f"--hydra_options=-m {QUICK} n_trials=1 folds=200,2")
    assert sentence.startswith("1 of 2 combinations failed, so none is judged; the first failed with: folds=200")
    run = store.last("sweep")
    assert run.info.status == "FAILED"
    assert run.data.metrics["combinations_failed"] == 1
    table = table_of(store, run.info.run_id)
    assert table["error"].str.startswith("folds=200").tolist() == [True, False]
    assert table["best"].tolist() == [False, True]
    assert sorted(each.info.status for each in chains_of(store, run.info.run_id)) == ["FAILED", "FINISHED"]
    assert store.aliases("IrisModel") == {"challenger": "1"}


@pytest.mark.store
def test_what_no_sentence_foresaw_is_a_line_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(settings: MainSettings) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(sweep.chain, "run", fill_the_disk)
    assert sweep.main(["--hydra_options", "-m seed=1,2"]) == 1
    assert table_of(store, store.last("sweep").info.run_id)["error"].tolist() == ["OSError: no space left"] * 2


@pytest.mark.store
@pytest.mark.parametrize(
    "options",
    ["n_trials=1,0", "typo=1,2", "hydra/launcher=none n_trials=1,2", "hydra/launcher=joblib hydra.launcher.n_jobs=0"],
)
def test_nothing_runs_where_one_combination_cannot(store: Store, refused: Callable[..., str], options: str) -> None:
    refused(sweep.main, "--hydra_options", f"-m {QUICK} {options}")
    (run,) = store.runs()
    assert (run.data.tags["stage"], run.info.status) == ("sweep", "FAILED")


@pytest.mark.store
def test_metrics_that_measure_different_things_are_not_compared(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["--hydra_options", f"-m {QUICK} n_trials=1 metric=log_loss,roc_auc"]) == 0
    table = table_of(store, store.last("sweep").info.run_id)
    assert table["metric"].tolist() == ["log_loss", "roc_auc"]
    assert table["best"].tolist() == [True, True]
    assert "a best one of each kind" in capsys.readouterr().out
    assert "champion" not in store.aliases("IrisModel")
    assert len(store.runs("data-evaluation")) == 2


@pytest.mark.store
def test_a_best_model_that_misses_its_score_is_refused(store: Store, refused: Callable[..., str]) -> None:
    sentence = refused(sweep.main, "--hydra_options", f"-m {QUICK} n_trials=1 min_score='accuracy=1.1'")
    assert "IrisModel version 1 is refused" in sentence
    run = store.last("sweep")
    assert run.info.status == "FAILED"
    assert [each.info.status for each in chains_of(store, run.info.run_id)] == ["FINISHED"]
    assert table_of(store, run.info.run_id)["best"].tolist() == [True]
    assert store.aliases("IrisModel") == {"challenger": "1"}


@pytest.mark.store
def test_never_promotes_nothing_and_judges_once_a_combination(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.main(["--hydra_options", f"{QUICK} n_trials=1 promote=never"]) == 0
    assert "not promoted: promote=never" in capsys.readouterr().out
    assert store.aliases("IrisModel") == {"challenger": "1"}
    assert len(store.runs("data-evaluation")) == 1


# --- side by side


@pytest.mark.project
def test_combinations_side_by_side_share_the_store_the_registry_and_the_processors(store: Store) -> None:
    options = f"-m {QUICK} n_trials=1 seed=range(0,3) hydra/launcher=joblib hydra.launcher.n_jobs=2"
    ran = python(
        str(REPOSITORY / "sweep.py"), "--hydra_options", options, cwd=store.folder, MLFLOW_TRACKING_URI=store.uri
    )
    assert ran.returncode == 0, ran.stderr
    run = store.last("sweep")
    chains = chains_of(store, run.info.run_id)
    assert [each.info.status for each in chains] == ["FINISHED"] * 3
    assert {each.info.experiment_id for each in store.runs()} == {run.info.experiment_id}
    for each in chains:
        stages = {child.data.tags["stage"]: child for child in store.children(each.info.run_id)}
        assert sorted(stages) == sorted(STAGES)
        tuning = stages["hyperparameters-tuning"]
        assert int(tuning.data.params["cpus"]) == max(1, cpu_budget() // 2)
        assert len(store.children(tuning.info.run_id)) == 1
    versions = store.versions()
    assert versions["IrisModel"] == versions["IrisModelBooster"] == versions["IrisModelService"]
    assert len(versions["IrisModel"]) == 3
    table = table_of(store, run.info.run_id)
    assert table["seed"].tolist() == [0, 1, 2]
    best = str(table[table["best"]].iloc[0]["version"])
    for name in versions:
        assert store.aliases(name) == {"challenger": best, "champion": best}
    assert {path.name for path in store.folder.iterdir()} <= {"mlflow.db", "mlruns", "studies"}


@pytest.mark.project
def test_a_sweep_that_is_stopped_leaves_no_run_open(store: Store) -> None:
    options = f"-m {QUICK} n_trials=500 seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=2"
    argv = [sys.executable, str(REPOSITORY / "sweep.py"), "--hydra_options", options]
    process = subprocess.Popen(argv, cwd=store.folder, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None and len(store.runs("trial")) < 2:
            time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 130, stderr
    # loky's own tracker of resources may have the last word
    assert any(line.startswith("interrupted: ") for line in stderr.splitlines())
    assert {each.info.status for each in store.runs()} <= {"FINISHED", "FAILED", "KILLED"}
    assert store.last("sweep").info.status == "FAILED"
    assert store.versions() == {}


@pytest.mark.store
def test_models_that_are_registered_side_by_side_stay_in_step(cancer_copy: Store) -> None:
    sources = [cancer_copy.client.get_model_version(name, "1").source for name in cancer_copy.versions()]
    uris = dict(zip(["New", "NewBooster", "NewService"], sources, strict=True))

    def register(i: int) -> str:
        return register_in_step(uris, dict.fromkeys(uris, ""), {"i": str(i)})

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(register, range(8)))
    assert sorted(made, key=int) == [str(i) for i in range(1, 9)]
    for i, version in enumerate(made):
        tags = [cancer_copy.client.get_model_version(name, version).tags for name in uris]
        assert tags == [{"i": str(i)}] * 3
    assert len({cancer_copy.aliases(name)["challenger"] for name in uris}) == 1
