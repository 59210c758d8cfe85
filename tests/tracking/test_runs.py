"""The run store, read back: which run a stage opens or adopts, which one it builds on, and how it ends."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlflow
import pytest
from conftest import STAGES, Store

import batch_inference
import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import main
import model_registry
import reproduction
from config import DataSettings, MainSettings
from tracking.runs import Lineage, find_run, stage_run
from treeline import UserError

pytestmark = pytest.mark.store

IRIS = ["--data", "iris"]


def found(stage: str, run_id: str = "") -> str:
    """Look a run up as a stage would."""
    with stage_run("main", MainSettings()):
        return str(find_run(stage, run_id).info.run_id)


def opened_by_mlflow_run(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    name: str = "capable-shrew-123",
    experiment: str = "ours",
    **params: str,
) -> str:
    """Open a run and name it in the environment, as `mlflow run` does before it starts the entry point."""
    experiment_id = store.client.create_experiment("ours")
    run_id = str(store.client.create_run(experiment_id, run_name=name).info.run_id)
    for key, value in params.items():
        store.client.log_param(run_id, key.replace("_", "-"), value)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)
    return run_id


# --- which run a stage builds on


@pytest.mark.parametrize("stage", STAGES[:3])
def test_the_last_finished_run_is_taken(store: Store, stage: str) -> None:
    store.fake_run(stage)
    last = store.fake_run(stage)
    assert found(stage) == last


@pytest.mark.parametrize("status", ["FAILED", "KILLED", "RUNNING"])
def test_a_newer_run_that_did_not_finish_is_never_taken(store: Store, status: str) -> None:
    finished = store.fake_run("data-preprocessing")
    store.fake_run("data-preprocessing", status)
    assert found("data-preprocessing") == finished


def test_a_newer_run_of_another_stage_or_experiment_is_never_taken(store: Store) -> None:
    finished = store.fake_run("data-preprocessing")
    store.fake_run("hyperparameters-tuning")
    store.fake_run("data-preprocessing", experiment="another")
    assert found("data-preprocessing") == finished


def test_a_deleted_run_is_never_taken(store: Store) -> None:
    finished, deleted = store.fake_run("data-preprocessing"), store.fake_run("data-preprocessing")
    store.client.delete_run(deleted)
    assert found("data-preprocessing") == finished


def test_a_run_that_is_named_is_taken_though_another_finished_later(store: Store) -> None:
    first = store.fake_run("data-preprocessing")
    store.fake_run("data-preprocessing")
    assert found("data-preprocessing", first) == first


@pytest.mark.parametrize(
    ("stage", "status", "word"),
    [
        ("data-preprocessing", "FAILED", "FAILED"),
        ("data-preprocessing", "RUNNING", "RUNNING"),
        ("model-training", "FINISHED", "model-training"),
    ],
)
def test_a_run_that_is_named_must_be_a_finished_one_of_its_stage(
    store: Store, stage: str, status: str, word: str
) -> None:
    run_id = store.fake_run(stage, status)
    with pytest.raises(UserError, match=rf"{run_id}.*{word}"):
        found("data-preprocessing", run_id)


def test_a_run_that_is_unknown_is_named(store: Store) -> None:
    with pytest.raises(UserError, match=r"'0123'.*data-preprocessing"):
        found("data-preprocessing", "0123")


@pytest.mark.parametrize("stage", STAGES[:3])
def test_where_there_is_none_the_sentence_names_the_command(store: Store, stage: str) -> None:
    store.fake_run(stage, "FAILED")
    with pytest.raises(UserError, match=f"'treeline'.*mlflow run . -e {stage}"):
        found(stage)


def test_a_failed_data_run_is_passed_over_by_tuning(store: Store, refused: Callable[..., str]) -> None:
    data_run_id = data_preprocessing.run(DataSettings(data="iris"))
    refused(data_preprocessing.main, *IRIS, "--drop", "no such column")
    assert store.last("data-preprocessing").info.status == "FAILED"
    assert hyperparameters_tuning.main(["--n-trials", "1", "--folds", "2"]) == 0
    assert store.last("hyperparameters-tuning").data.tags["data_run_id"] == data_run_id


# --- which run a stage opens


def test_a_stage_opens_its_run_in_the_experiment_treeline(store: Store) -> None:
    assert data_preprocessing.main(IRIS) == 0
    (run,) = store.runs()
    assert store.client.get_experiment(run.info.experiment_id).name == "treeline"
    assert run.info.run_name == "data-preprocessing"
    assert run.info.artifact_uri.startswith(str(store.folder))


def test_a_stage_runs_in_any_thread(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(data_preprocessing.main, IRIS).result() == 0
    assert [run.info.status for run in store.runs()] == ["FINISHED"]


def test_an_experiment_named_in_the_environment_is_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert data_preprocessing.main(IRIS) == 0
    (run,) = store.runs()
    assert store.client.get_experiment(run.info.experiment_id).name == "mine"
    assert store.client.get_experiment_by_name("treeline") is None


def test_the_run_that_mlflow_run_opened_is_adopted_with_its_parameters_as_typed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch, data="iris", test_size="0.10", seed="1e1")
    assert data_preprocessing.main([*IRIS, "--test-size", "0.10", "--seed", "1e1"]) == 0
    (run,) = store.runs()
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert (run.data.params["test-size"], run.data.params["seed"]) == ("0.10", "1e1")
    assert run.data.params["split"] == "stratified"
    assert run.data.tags["stage"] == "data-preprocessing"
    assert store.client.get_experiment_by_name("treeline") is None
    assert "MLFLOW_RUN_ID" not in os.environ


@pytest.mark.parametrize(
    ("given", "kept"), [("capable-shrew-123", "data-preprocessing"), ("my first try", "my first try")]
)
def test_a_generated_name_gives_way_to_the_stages_and_a_users_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    opened_by_mlflow_run(store, monkeypatch, given)
    assert data_preprocessing.main(IRIS) == 0
    assert [run.info.run_name for run in store.runs()] == [kept]


def test_main_adopts_the_parent_and_opens_its_stages_below(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch, data="iris")
    refused(main.main, *IRIS, "--folds", "99")
    children = store.children(run_id)
    assert [child.info.run_name for child in children] == ["data-preprocessing", "hyperparameters-tuning"]
    assert [child.info.status for child in children] == ["FINISHED", "FAILED"]
    assert store.run(run_id).info.status == "FAILED"
    assert {run.info.experiment_id for run in store.runs()} == {store.run(run_id).info.experiment_id}


# --- how a stage ends


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(data_preprocessing, "read_table", fail)


@pytest.mark.parametrize("stage", [data_preprocessing, main])
def test_an_unexpected_error_is_raised_and_leaves_its_runs_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch, stage: Any
) -> None:
    fail_with(monkeypatch, RuntimeError("nobody thought of this"))
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        stage.main(IRIS)
    assert mlflow.active_run() is None
    assert {run.info.status for run in store.runs()} == {"FAILED"}


@pytest.mark.parametrize("stage", [data_preprocessing, main])
def test_an_interrupt_leaves_no_run_open(store: Store, monkeypatch: pytest.MonkeyPatch, stage: Any) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert stage.main(IRIS) == 130
    assert mlflow.active_run() is None
    assert {run.info.status for run in store.runs()} <= {"FAILED", "KILLED"}


def test_a_users_mistake_is_told_on_every_run_it_ends(store: Store, refused: Callable[..., str]) -> None:
    sentence = refused(main.main, *IRIS, "--drop", "no such column")
    assert sorted(run.info.run_name for run in store.runs()) == ["data-preprocessing", "main"]
    for run in store.runs():
        assert (run.info.status, run.data.tags["error"]) == ("FAILED", sentence)
    assert mlflow.active_run() is None


# --- what lies in MLflow's trash


def test_a_deleted_run_that_is_named_says_how_to_restore_it(store: Store) -> None:
    run_id = store.fake_run("data-preprocessing")
    store.client.delete_run(run_id)
    with pytest.raises(UserError, match=f"{run_id} of data-preprocessing .*`mlflow runs restore --run-id {run_id}`"):
        found("data-preprocessing", run_id)
    store.client.restore_run(run_id)
    assert found("data-preprocessing", run_id) == run_id


def test_a_run_of_a_deleted_experiment_says_how_to_restore_that(store: Store) -> None:
    run_id = store.fake_run("data-preprocessing", experiment="old")
    home = store.run(run_id).info.experiment_id
    store.client.delete_experiment(home)
    with pytest.raises(UserError, match=f"`mlflow experiments restore --experiment-id {home}`"):
        found("data-preprocessing", run_id)


@pytest.mark.parametrize("key", ["data", "tuning", "training", "evaluation"])
def test_a_deleted_run_of_a_chain_is_never_used(store: Store, key: str) -> None:
    stages = dict(zip(["data", "tuning", "training", "evaluation"], STAGES, strict=True))
    made = {f"{each}_run_id": store.fake_run(stage) for each, stage in stages.items()}
    assert list(Lineage(**made).runs()) == list(stages)
    store.client.delete_run(made[f"{key}_run_id"])
    with pytest.raises(UserError, match=f"{stages[key]} lies in MLflow's trash"):
        Lineage(**made).runs()


@pytest.mark.parametrize("setting", ["data-run-id", "tuning-run-id", "training-run-id"])
def test_a_setting_that_names_a_deleted_or_an_unknown_run_is_one_sentence(
    store: Store, refused: Callable[..., str], setting: str
) -> None:
    stage = dict(zip(["data-run-id", "tuning-run-id", "training-run-id"], STAGES, strict=False))[setting]
    run_id = store.fake_run(stage)
    store.client.delete_run(run_id)
    assert "lies in MLflow's trash" in refused(main.main, *IRIS, f"--{setting}", run_id)
    assert "No run '0123'" in refused(main.main, *IRIS, f"--{setting}", "0123")


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_what_the_environment_names_must_not_be_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], what: str
) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch)
    if what == "run":
        store.client.delete_run(run_id)
    else:
        store.client.delete_experiment(store.run(run_id).info.experiment_id)
        monkeypatch.delenv("MLFLOW_RUN_ID")
    assert f"`mlflow {what}s restore" in refused(data_preprocessing.main, *IRIS)


@pytest.mark.parametrize("variable", ["MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"])
def test_what_the_environment_names_must_be_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], variable: str
) -> None:
    monkeypatch.setenv(variable, "99999")
    assert f"The environment says {variable}=" in refused(data_preprocessing.main, *IRIS)


def test_a_version_whose_runs_are_deleted_is_not_judged_compared_with_or_made_again(
    cancer_copy: Store, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {stage: cancer_copy.last(stage).info.run_id for stage in STAGES}
    rows = ["--input", "rows.csv", "--output", "scores.csv"]
    cancer_copy.table(runs["data-preprocessing"], "test").head(40).to_csv("rows.csv", index=False)

    cancer_copy.client.delete_run(runs["data-evaluation"])
    assert batch_inference.main(rows) == 0
    assert "the drift of the answers is not measured: The run" in capsys.readouterr().err
    assert "restore" in refused(model_registry.main, "lineage", "--model", "CancerModel@champion")

    cancer_copy.client.delete_run(runs["model-training"])
    assert "No finished run of model-training" in refused(data_evaluation.main)
    assert "restore" in refused(data_evaluation.main, "--model-name", "CancerModel")
    assert "restore" in refused(reproduction.main, "--model", "CancerModel@champion")

    cancer_copy.client.delete_run(runs["data-preprocessing"])
    assert f"--run-id {runs['data-preprocessing']}" in refused(batch_inference.main, *rows)
