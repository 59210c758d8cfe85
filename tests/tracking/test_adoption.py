"""The run that `mlflow run` opened: named and closed where no stage takes it, left alone where a person named it."""

from collections.abc import Callable

import pytest
from conftest import Store

import batch_inference
import main
import model_registry

pytestmark = pytest.mark.store

IRIS = ["--data", "iris"]


def opened_by_mlflow_run(store: Store, monkeypatch: pytest.MonkeyPatch, **tags: str) -> str:
    """Open a run and name it in the environment, as `mlflow run` does before it starts the entry point."""
    tags = tags or {"mlflow.project.entryPoint": "main"}
    run_id = str(store.client.create_run("0", run_name="capable-shrew-123", tags=tags).info.run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    return run_id


COMMANDS: list[tuple[Callable[..., int], list[str], str]] = [
    (main.main, [*IRIS, "--dry-run"], "FINISHED"),
    (main.main, ["--dta", "iris"], "FAILED"),
    (main.main, ["--data", "no such file.csv", "--target", "y"], "FAILED"),
    (model_registry.main, ["lineage", "--model", "NoModel/1"], "FAILED"),
    (model_registry.main, ["export-model", "--model", "NoModel/1", "--output", "m.zip"], "FAILED"),
]


@pytest.mark.parametrize(("command", "argv", "status"), COMMANDS, ids=[" ".join(each[1][:2]) for each in COMMANDS])
def test_a_run_that_no_stage_takes_is_named_and_closed(
    store: Store, monkeypatch: pytest.MonkeyPatch, command: Callable[..., int], argv: list[str], status: str
) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch)
    assert (command(argv) == 0) == (status == "FINISHED")
    (run,) = store.runs()
    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, "main", status)
    assert (run.data.tags.get("error") is None) == (status == "FINISHED")
    assert "stage" not in run.data.tags


def test_a_refused_secret_is_not_in_the_runs_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch)
    assert main.main([*IRIS, "--storage", "sqlite://me:word@/f.db"]) == 2
    assert "://***@/f.db" in store.run(run_id).data.tags["error"]


def test_a_run_that_a_stage_took_is_the_stages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch)
    assert batch_inference.main([]) == 1
    assert [(run.info.run_id, run.info.status) for run in store.runs()] == [(run_id, "FAILED")]


def test_a_run_that_a_person_names_stays_as_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = opened_by_mlflow_run(store, monkeypatch, mine="yes")
    assert main.main(["--dta", "iris"]) == 2
    assert [(run.info.run_id, run.info.run_name) for run in store.runs()] == [(run_id, "capable-shrew-123")]
    assert store.run(run_id).info.status == "RUNNING"
