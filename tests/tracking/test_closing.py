"""Runs that nobody would close: of killed processes, and of machines that fell silent."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import mlflow
import pytest
from conftest import REPOSITORY, Store
from mlflow.exceptions import MlflowException

import main
import model_registry
from config import DataSettings
from tracking import owners
from tracking.closing import HEARTBEAT, close_abandoned_runs, heartbeat
from tracking.owners import GONE_SECONDS, Owner, this_process
from tracking.runs import stage_run

pytestmark = pytest.mark.store

IRIS = ["--data", "iris"]
DEAD = replace(this_process(), started=-1.0)  # this process's number, as another one had it
FAR = replace(this_process(), host="another")


def open_run(store: Store, owner: Owner | None, silent: float = 0, **tags: str) -> str:
    """Make an open run of a stage whose process was last heard of some seconds ago."""
    beat = {HEARTBEAT: str(time.time() - silent)} if silent else {}
    return store.fake_run("model-training", "RUNNING", **tags, **beat, **(owner.tags() if owner else {}))


# --- the runs of processes that are gone


@pytest.mark.parametrize(
    ("owner", "silent", "status"),
    [
        (DEAD, 0, "KILLED"),
        (this_process(), 1e6, "RUNNING"),
        (FAR, GONE_SECONDS - 30, "RUNNING"),
        (FAR, GONE_SECONDS + 30, "KILLED"),
        (None, 1e6, "RUNNING"),
    ],
    ids=["a killed process", "a living one", "another machine's", "a silent machine's", "nobody's"],
)
def test_an_open_run_is_closed_when_its_process_is_gone(
    store: Store, owner: Owner | None, silent: float, status: str
) -> None:
    run_id = open_run(store, owner, silent)
    close_abandoned_runs()
    assert store.run(run_id).info.status == status


def test_a_closed_run_says_why_and_ends_when_its_process_was_last_heard_of(store: Store) -> None:
    run_id = open_run(store, DEAD, silent=3600)
    close_abandoned_runs()
    run = store.run(run_id)
    assert run.data.tags["state"] == "KILLED"
    assert f"process {DEAD.process} on " in run.data.tags["error"]
    assert run.info.end_time / 1000 == pytest.approx(time.time() - 3600, abs=60)


def test_all_runs_of_a_process_are_judged_by_what_was_heard_of_it(store: Store) -> None:
    long_ago = int((time.time() - 2 * GONE_SECONDS) * 1000)
    experiment = store.client.create_experiment("another")
    child = store.client.create_run(experiment, long_ago, FAR.tags()).info.run_id
    parent = open_run(store, FAR, silent=10)
    close_abandoned_runs()
    assert [store.run(each).info.status for each in (child, parent)] == ["RUNNING", "RUNNING"]
    store.client.set_tag(parent, HEARTBEAT, "12")
    close_abandoned_runs()
    assert [store.run(each).info.status for each in (child, parent)] == ["KILLED", "KILLED"]


def test_a_run_that_its_process_closed_meanwhile_keeps_its_status(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = open_run(store, DEAD)

    def gone(self: Owner, silent_seconds: float) -> bool:
        store.client.set_terminated(run_id, "FINISHED")
        return True

    monkeypatch.setattr(Owner, "is_gone", gone)
    close_abandoned_runs()
    assert store.run(run_id).info.status == "FINISHED"


def test_a_run_that_cannot_be_closed_hinders_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = open_run(store, DEAD)

    def forbidden(*args: Any, **named: Any) -> None:
        raise MlflowException("Permission denied")

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", forbidden)
    assert main.main([*IRIS, "--dry-run"]) == 0
    assert store.run(run_id).info.status == "RUNNING"


def test_the_next_command_of_any_kind_closes_them_and_counts_them_once(
    store: Store, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    left = [open_run(store, DEAD, trial="3", study="s") for _ in range(2)]
    refused(model_registry.main, "lineage", "--model", "NoModel/1")
    assert {store.run(each).info.status for each in left} == {"KILLED"}
    assert (store.run(left[0]).data.tags["trial"], store.run(left[0]).data.tags["study"]) == ("3", "s")
    left = [open_run(store, DEAD) for _ in range(2)]
    assert main.main([*IRIS, "--dry-run"]) == 0
    assert capsys.readouterr().err.count("2 runs of processes that are gone") == 1


def test_where_there_is_no_store_none_is_made(store: Store) -> None:
    (store.folder / "mlflow.db").unlink()
    close_abandoned_runs()
    assert not (store.folder / "mlflow.db").exists()


@pytest.mark.project
@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_a_killed_chain_is_closed_by_the_next_command(store: Store, seconds: float) -> None:
    argv = [sys.executable, str(REPOSITORY / "main.py"), *IRIS, "--n-trials", "500", "--folds", "3"]
    with subprocess.Popen(argv, cwd=store.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not store.runs("trial" if seconds else "main") and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(seconds)
        close_abandoned_runs()
        assert "KILLED" not in {run.info.status for run in store.runs()}
        process.send_signal(signal.SIGKILL)
    assert "RUNNING" in {run.info.status for run in store.runs()}
    close_abandoned_runs()
    assert "RUNNING" not in {run.info.status for run in store.runs()}


# --- the heartbeat


def test_a_stage_that_runs_is_heard_of_on_its_outermost_run_and_no_longer_when_it_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.05)
    with stage_run("main", DataSettings()) as outer, stage_run("data-preprocessing", DataSettings()) as inner:
        store.client.set_tag(outer.info.run_id, HEARTBEAT, "0")
        deadline = time.monotonic() + 30
        while store.run(outer.info.run_id).data.tags[HEARTBEAT] == "0" and time.monotonic() < deadline:
            time.sleep(0.05)
    assert abs(float(store.run(outer.info.run_id).data.tags[HEARTBEAT]) - time.time()) < 30
    assert HEARTBEAT not in store.run(inner.info.run_id).data.tags
    for run in (outer, inner):
        assert Owner.of_tags(store.run(run.info.run_id).data.tags) == this_process()
    store.client.set_tag(outer.info.run_id, HEARTBEAT, "0")
    time.sleep(0.3)
    assert store.run(outer.info.run_id).data.tags[HEARTBEAT] == "0"


def test_a_store_that_does_not_answer_ends_no_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def fail(self: Any, run_id: str, *args: Any) -> None:
        tried.append(run_id)
        raise OSError("the disk is full")

    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(mlflow.MlflowClient, "set_tag", fail)
    with heartbeat("0123"):
        deadline = time.monotonic() + 10
        while len(tried) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(tried) > 1  # it went on after the first


def test_commands_that_start_together_close_a_run_once(store: Store) -> None:
    left = [open_run(store, DEAD) for _ in range(5)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: close_abandoned_runs(), range(4)))
    assert {store.run(each).info.status for each in left} == {"KILLED"}
