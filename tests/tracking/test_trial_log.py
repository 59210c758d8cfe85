"""The runs of trials on a real store: written whole before they are closed, and written again where something lacks."""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from conftest import Store
from mlflow.exceptions import MlflowException
from mlflow.tracking.client import MlflowClient

import data_preprocessing
import hyperparameters_tuning
from config import DataSettings, TuningSettings

pytestmark = pytest.mark.store
TRIALS = 10  # of which two are measurements of finalists on other cuts
METRIC = "log_loss"


def tune(store: Store, **settings: Any) -> Any:
    given = {"n_trials": TRIALS, "folds": 2, "study_name": "s"} | settings
    return store.run(hyperparameters_tuning.run(TuningSettings(**given)))


def contents(store: Store, tuning: Any) -> dict[str, Any]:
    """What the runs below a tuning run hold, but for the clock's; those of trials that did not count aside."""
    found = {}
    for run in store.children(tuning.info.run_id):
        if run.info.status == "KILLED":
            continue
        assert run.info.run_name not in found
        curves = {
            name: sorted((point.step, point.value) for point in store.client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
            if name != "seconds" and "_cut_" not in name
        }
        notes = {name: value for name, value in run.data.metrics.items() if "_cut_" in name}
        kept = {key: run.data.tags.get(key) for key in ("trial", "state", "stage", "study", "study_id", "error")}
        found[run.info.run_name] = run.info.status, run.data.params, kept, curves, notes
    return found


@pytest.fixture
def tuned(store: Store) -> tuple[Store, Any]:
    data_preprocessing.run(DataSettings(data="iris"))
    return store, tune(store)


def sql(store: Store, *statements: str, run: str) -> None:
    with contextlib.closing(sqlite3.connect(store.folder / "mlflow.db")) as database, database:
        for statement in statements:
            database.execute(statement, (run,))


def in_the_trash(store: Store, run: str) -> None:
    store.client.delete_run(run)


def still_open(store: Store, run: str) -> None:
    store.client.set_tag(run, "state", "RUNNING")
    store.client.update_run(run, status="RUNNING")


def closed_by_another(store: Store, run: str) -> None:
    store.client.set_tag(run, "state", "KILLED")
    store.client.set_tag(run, "error", "its process is gone")
    store.client.set_terminated(run, "KILLED")


def without_a_score(store: Store, run: str) -> None:
    where = f"WHERE run_uuid = ? AND key LIKE 'cv_{METRIC}'"
    sql(store, f"DELETE FROM metrics {where}", f"DELETE FROM latest_metrics {where}", run=run)


def without_an_end(store: Store, run: str) -> None:
    """As a full disk leaves it: half of the curves, and neither score nor state, but closed as if it were whole."""
    keep = "key NOT LIKE '%cut%' AND step != 0"
    sql(
        store,
        f"DELETE FROM metrics WHERE run_uuid = ? AND (step > 5 OR NOT ({keep}))",
        "DELETE FROM latest_metrics WHERE run_uuid = ?",
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) SELECT key, value, timestamp, "
        "step, is_nan, run_uuid FROM metrics WHERE step = 5 AND run_uuid = ?",
        run=run,
    )
    store.client.set_tag(run, "state", "RUNNING")


def with_a_short_curve(store: Store, run: str) -> None:
    sql(
        store,
        f"DELETE FROM metrics WHERE run_uuid = ? AND key = '{METRIC}' AND step > 3",
        f"UPDATE latest_metrics SET step = 3 WHERE run_uuid = ? AND key = '{METRIC}'",
        run=run,
    )


def without_its_notes(store: Store, run: str) -> None:
    where = "WHERE run_uuid = ? AND key LIKE '%_cut_%'"
    sql(store, f"DELETE FROM metrics {where}", f"DELETE FROM latest_metrics {where}", run=run)


def never_opened(store: Store, run: str) -> None:
    sql(store, "UPDATE tags SET value = 'other' WHERE key = 'study_id' AND run_uuid = ?", run=run)


DAMAGES = [
    in_the_trash,
    still_open,
    closed_by_another,
    without_a_score,
    without_an_end,
    with_a_short_curve,
    without_its_notes,
    never_opened,
]


def test_whatever_lacks_is_written_again_of_every_trial(tuned: tuple[Store, Any]) -> None:
    store, first = tuned
    before = contents(store, first)
    assert len(before) == TRIALS - 2
    assert sum(bool(notes) for *_, notes in before.values()) == 2
    children = store.children(first.info.run_id)
    finalists = [run for run in children if any("_cut_" in name for name in run.data.metrics)]
    others = [run for run in children if run not in finalists]
    for damage, run in zip(
        [without_its_notes, *(each for each in DAMAGES if each is not without_its_notes)],
        [*finalists, *others],
        strict=True,
    ):
        damage(store, run.info.run_id)
    again = tune(store)
    assert contents(store, again) == before
    assert again.data.metrics["trials"] == first.data.metrics["trials"]
    assert store.document(again.info.run_id, "best.json") == store.document(first.info.run_id, "best.json")
    mended = [run.info.run_id for run in store.children(again.info.run_id)]
    metrics = (set(each.data.metrics) for each in (tune(store), again))
    assert len({frozenset(name for name in each if not name.startswith("system/")) for each in metrics}) == 1
    assert [run.info.run_id for run in store.children(store.last("hyperparameters-tuning").info.run_id)] == mended


def refusing(monkeypatch: pytest.MonkeyPatch, refuses: Callable[[str, dict[str, Any]], bool]) -> None:
    """Let the store refuse batches that a function of the run's name and of what it is given names."""
    write = MlflowClient.log_batch

    def sometimes(self: MlflowClient, run_id: str, *given: Any, **named: Any) -> Any:
        if refuses(self.get_run(run_id).info.run_name, named):
            raise MlflowException("(sqlite3.OperationalError) database or disk is full")
        return write(self, run_id, *given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", sometimes)


def test_no_run_is_finished_that_lacks_a_piece_and_the_study_goes_on_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_preprocessing.run(DataSettings(data="iris"))
    with monkeypatch.context() as patch:
        refusing(patch, lambda name, given: name == "trial-001")
        with pytest.raises(MlflowException, match="disk is full"):
            tune(store)
    for run in store.runs("trial"):
        assert (
            (run.info.status == "FINISHED") == (f"cv_{METRIC}" in run.data.metrics) == (run.data.tags["trial"] == "0")
        )
    assert store.last("hyperparameters-tuning").info.status == "FAILED"
    resumed, whole = tune(store), tune(store, study_name="whole")
    for tuning in (resumed, whole):
        assert tuning.data.metrics["trials"] == TRIALS

    def outcomes(tuning: Any) -> Any:
        return [(params, curves, notes) for _, params, _, curves, notes in contents(store, tuning).values()]

    assert sorted(map(str, outcomes(resumed))) == sorted(map(str, outcomes(whole)))
    assert "RUNNING" not in {run.info.status for run in store.runs()}


def test_a_study_of_before_there_were_ids_keeps_its_runs_and_no_other(tuned: tuple[Store, Any]) -> None:
    store, first = tuned
    before = contents(store, first)
    journal = store.folder / "studies" / "s.log"
    lines = [line for line in journal.read_text().splitlines(keepends=True) if '"user_attr":{"id":' not in line]
    journal.write_text("".join(lines))
    for run in store.runs():
        if "study_id" in run.data.tags:
            store.client.delete_tag(run.info.run_id, "study_id")
    other = store.fake_run("hyperparameters-tuning", study="s", data_digest="another table")
    stranger = store.fake_run("trial", "RUNNING", study="s", trial="0", **{"mlflow.parentRunId": other})
    runs = {run.info.run_id for run in store.children(first.info.run_id)}
    again = tune(store)
    assert {run.info.run_id for run in store.children(again.info.run_id)} == runs
    assert [each[3:] for each in contents(store, again).values()] == [each[3:] for each in before.values()]
    assert store.run(stranger).info.status == "RUNNING"


def test_a_study_of_the_same_name_in_another_storage_keeps_its_runs(tuned: tuple[Store, Any]) -> None:
    store, first = tuned
    data_preprocessing.run(DataSettings(data="wine"))
    tune(store, storage=f"sqlite:///{store.folder / 'optuna.db'}", n_trials=2)
    assert len(contents(store, first)) == TRIALS - 2
    assert mlflow.active_run() is None
