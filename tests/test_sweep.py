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


# --- in one process


@pytest.mark.store
def test_a_sweep_holds_a_chain_a_combination_and_judges_the_best_by_cross_validation(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"-m {QUICK} n_trials=1,3 seed=4,5 min_score='accuracy=0.5'"
    assert sweep.main(["--hydra_options", options]) == 0
    (run,) = store.runs("sweep")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "sweep")
    assert run.data.params == {"hydra_options": options}

    chains = chains_of(store, run.info.run_id)
    assert len(chains) == 4
    given = {(each.data.params["n-trials"], each.data.params["seed"]) for each in chains}
    assert given == {("1", "4"), ("1", "5"), ("3", "4"), ("3", "5")}
    values = {}
    for each in chains:
        stages = {child.data.tags["stage"]: child for child in store.children(each.info.run_id)}
        assert (each.info.status, sorted(stages)) == ("FINISHED", sorted(STAGES))
        assert stages["data-evaluation"].data.tags["decision"] == "hold"
        values[each.info.run_id] = stages["hyperparameters-tuning"].data.metrics["cv_log_loss"]

    table = table_of(store, run.info.run_id)
    assert list(table.columns[:5]) == ["seed", "n_trials", "metric", "cv_value", "best"]
    assert sorted(zip(table["n_trials"], table["seed"], strict=True)) == [(1, 4), (1, 5), (3, 4), (3, 5)]
    assert {key: pytest.approx(value) for key, value in zip(table["run_id"], table["cv_value"], strict=True)} == values
    assert set(table["metric"]) == {"log_loss"}
    means, spreads = table.groupby("n_trials")["cv_value"].mean(), table.groupby("n_trials")["cv_value"].std()
    best = means.idxmin()
    assert table["best"].tolist() == (table["n_trials"] == best).tolist()
    assert run.data.metrics["cv_log_loss"] == pytest.approx(means[best])
    assert run.data.metrics["cv_log_loss_std"] == pytest.approx(spreads[best])

    (judged,) = [each for each in store.children(run.info.run_id) if each.data.tags["stage"] == "data-evaluation"]
    first = table[table["best"] & (table["seed"] == 4)].iloc[0]
    assert judged.data.tags["training_run_id"] == first["training_run_id"]
    assert judged.data.params["min-score"] == "accuracy=0.5"
    version = str(first["version"])
    assert store.versions()["IrisModel"] == ["1", "2", "3", "4"]
    for name in store.versions():
        assert store.aliases(name)["challenger"] == version

    printed = capsys.readouterr().out
    assert printed.count("*") == 2
    for n_trials in (1, 3):
        told = f"log_loss {means[n_trials]:.5g} ± {spreads[n_trials]:.2g} over 2 seeds in cross-validation"
        assert f"Seeds      data=iris n_trials={n_trials} folds=2 min_score=accuracy=0.5: {told}" in printed
    assert f"Best       data=iris n_trials={best} folds=2" in printed
    assert "the model of seed=4, the first of 2: none is chosen by its seed" in printed
    assert "Registered" not in printed
    assert {path.name for path in store.folder.iterdir()} <= {"mlflow.db", "mlruns", "studies"}


@pytest.mark.store
@pytest.mark.parametrize("varied", ["test_size=0.2,0.4", "folds=2,3"])
def test_other_rows_or_folds_are_not_compared(store: Store, capsys: pytest.CaptureFixture[str], varied: str) -> None:
    assert sweep.main(["--hydra_options", f"-m data=iris n_trials=1 {varied}"]) == 0
    run = store.last("sweep")
    assert table_of(store, run.info.run_id)["best"].tolist() == [False, False]
    assert "Judged     none: the values do not all measure the same" in capsys.readouterr().out
    assert not [each for each in store.children(run.info.run_id) if each.data.tags["stage"] == "data-evaluation"]
    assert "cv_log_loss" not in run.data.metrics


@pytest.mark.store
def test_a_combination_that_fails_is_a_line_of_the_table_and_the_others_go_on(
    store: Store, refused: Callable[..., str]
) -> None:
    sentence = refused(sweep.main, "--hydra_options=-m data=iris n_trials=1 folds=200,2", code=1)
    assert sentence.startswith("1 of 2 combinations failed, so none is judged; the first failed with: folds=200")
    run = store.last("sweep")
    assert run.info.status == "FAILED"
    assert run.data.metrics["combinations_failed"] == 1
    table = table_of(store, run.info.run_id)
    assert table["error"].str.startswith("folds=200").tolist() == [True, False]
    assert table["best"].tolist() == [False, False]
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
    ["hydra/launcher=none n_trials=1,2", "hydra/launcher=joblib hydra.launcher.n_jobs=0"],
)
def test_nothing_runs_where_one_combination_cannot(store: Store, refused: Callable[..., str], options: str) -> None:
    refused(sweep.main, "--hydra_options", f"-m {QUICK} {options}")
    (run,) = store.runs()
    assert (run.data.tags["stage"], run.info.status) == ("sweep", "FAILED")


@pytest.mark.store
@pytest.mark.parametrize("options", ["n_trials=1,0", "typo=1,2", "seed=range(0,1e12)", "data=glob(*)"])
def test_options_that_cannot_be_open_no_run(store: Store, refused: Callable[..., str], options: str) -> None:
    refused(sweep.main, "--hydra_options", options, code=2)
    assert store.runs() == []


@pytest.mark.store
def test_metrics_that_measure_different_things_are_not_compared(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["--hydra_options", f"-m {QUICK} n_trials=1 metric=log_loss,roc_auc"]) == 0
    table = table_of(store, store.last("sweep").info.run_id)
    assert table["metric"].tolist() == ["log_loss", "roc_auc"]
    assert table["best"].tolist() == [False, False]
    assert "do not all measure the same" in capsys.readouterr().out
    assert "champion" not in store.aliases("IrisModel")
    assert len(store.runs("data-evaluation")) == 2


@pytest.mark.store
def test_a_best_model_that_misses_its_score_is_refused(store: Store, refused: Callable[..., str]) -> None:
    sentence = refused(sweep.main, "--hydra_options", f"-m {QUICK} n_trials=1 min_score='log_loss=0'", code=3)
    assert "IrisModel version 1 is refused" in sentence
    run = store.last("sweep")
    assert run.info.status == "FAILED"
    assert [each.info.status for each in chains_of(store, run.info.run_id)] == ["FINISHED"]
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
    first = str(table["version"].iloc[0])
    for name in versions:
        assert store.aliases(name)["challenger"] == first
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
