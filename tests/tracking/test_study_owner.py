"""Whose a study is: one process works on it, a dead one's is taken over, and one elsewhere is not made anew."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mlflow
import optuna
import psutil
import pytest
from conftest import REPOSITORY, Store

import data_preprocessing
import hyperparameters_tuning
from config import DataSettings, TuningSettings
from tracking import study_owner
from tracking.owners import GONE_SECONDS, Owner, _started, this_process
from tracking.study_owner import HEARD, OWNER, PLACE, lock_journal, own_study, refuse_elsewhere, study_place
from treeline import StoreError, UserError

ME = this_process()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    monkeypatch.setattr(study_owner, "SETTLE_SECONDS", 0.0)
    return optuna.create_study(storage=f"sqlite:///{tmp_path / 'optuna.db'}", study_name="s")


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def claim(study: optuna.Study, owner: Owner, seconds_ago: float = 0.0) -> None:
    study.set_user_attr(OWNER, {**owner.tags(), HEARD: time.time() - seconds_ago})


def owner_of(study: optuna.Study) -> Owner | None:
    return Owner.of_tags(study.user_attrs.get(OWNER) or {})


def test_a_study_is_its_owners_until_it_ends(study: optuna.Study) -> None:
    with own_study(study, locked=False):
        assert owner_of(study) == ME
    assert owner_of(study) is None
    with pytest.raises(ZeroDivisionError), own_study(study, locked=False):
        raise ZeroDivisionError
    assert owner_of(study) is None


def test_the_study_of_a_living_process_is_refused_and_that_of_a_dead_one_taken_over(
    study: optuna.Study, other: "subprocess.Popen[bytes]"
) -> None:
    owner = Owner(ME.host, other.pid, _started(psutil.Process(other.pid)))
    claim(study, owner, seconds_ago=10 * GONE_SECONDS)  # it is looked at, whatever it said last
    with pytest.raises(
        UserError, match=rf"^The study 's' belongs to process {other.pid} on .*choose another study_name"
    ):
        ExitStack().enter_context(own_study(study, locked=False))
    assert owner_of(study) == owner
    other.kill()
    other.wait()
    with own_study(study, locked=False):
        assert owner_of(study) == ME


def test_a_process_of_another_host_is_gone_when_it_was_silent_for_long(study: optuna.Study) -> None:
    far = Owner("far", 1, 1.0)
    claim(study, far, seconds_ago=GONE_SECONDS - 60)
    with pytest.raises(UserError, match="belongs to process 1 on far"):
        ExitStack().enter_context(own_study(study, locked=False))
    claim(study, far, seconds_ago=GONE_SECONDS + 60)
    with own_study(study, locked=False):
        assert owner_of(study) == ME


def test_of_two_that_claim_at_once_one_is_refused(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    far = Owner("far", 1, 1.0)
    monkeypatch.setattr(study_owner.time, "sleep", lambda seconds: claim(study, far))
    with pytest.raises(UserError, match="belongs to process 1 on far"):
        ExitStack().enter_context(own_study(study, locked=False))
    assert owner_of(study) == far


def test_an_owner_says_that_it_lives_and_notices_that_it_lost_the_study(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_owner, "BEAT_SECONDS", 0.05)
    with own_study(study, locked=False) as still_own:
        first = study.user_attrs[OWNER][HEARD]
        deadline = time.monotonic() + 30
        while study.user_attrs[OWNER][HEARD] == first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert study.user_attrs[OWNER][HEARD] > first
        still_own()
    far = Owner("far", 1, 1.0)
    monkeypatch.setattr(study_owner, "BEAT_SECONDS", 60.0)
    with own_study(study, locked=False) as still_own:
        claim(study, far)
        with pytest.raises(UserError, match="belongs to process 1 on far"):
            still_own()
    assert owner_of(study) == far


def test_garbled_owners_are_none(study: optuna.Study) -> None:
    study.set_user_attr(OWNER, {"owner.host": "x"})
    with own_study(study, locked=False):
        assert owner_of(study) == ME


def test_a_journal_is_one_processs(tmp_path: Path) -> None:
    journal = tmp_path / "s.log"
    with lock_journal(journal):
        with pytest.raises(UserError, match=r"^The study 's' belongs to another process"):
            ExitStack().enter_context(lock_journal(journal))
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
        held = optuna.create_study(storage=storage, study_name="s")
        with own_study(held, locked=True), pytest.raises(UserError, match=f"belongs to process {os.getpid()} on "):
            ExitStack().enter_context(lock_journal(journal))
    with lock_journal(journal):
        pass
    with pytest.raises(StoreError, match="Cannot open the journal"):
        ExitStack().enter_context(lock_journal(tmp_path / "none" / "s.log"))


@pytest.mark.store
@pytest.mark.parametrize("storage", ["", "sqlite:///optuna.db"])
def test_a_second_process_is_refused_and_leaves_the_first_alone(
    store: Store, refused: Callable[..., str], storage: str
) -> None:
    data_run_id = data_preprocessing.run(DataSettings(data="iris"))
    argv = [
        "--data-run-id",
        data_run_id,
        "--n-trials",
        "500",
        "--folds",
        "2",
        "--study-name",
        "s",
        "--storage",
        storage,
    ]
    script = str(REPOSITORY / "hyperparameters_tuning.py")
    first = subprocess.Popen([sys.executable, script, *argv], cwd=store.folder, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while len(store.runs("trial")) < 2 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        sentence = refused(hyperparameters_tuning.main, *argv)
        assert sentence.startswith(f"The study 's' belongs to process {first.pid} on ")
        tuning = store.runs("hyperparameters-tuning")[1]
        trials = {run.data.tags["mlflow.parentRunId"] for run in store.runs("trial")}
        assert (tuning.info.status, trials) == ("RUNNING", {tuning.info.run_id})
        seen = len(store.runs("trial"))
        while len(store.runs("trial")) == seen and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    done = sum(run.info.status == "FINISHED" for run in store.runs("trial"))
    given = {"data_run_id": data_run_id, "folds": 2, "study_name": "s", "storage": storage}
    resumed = store.run(hyperparameters_tuning.run(TuningSettings(n_trials=done, **given)))
    assert resumed.info.status == "FINISHED"
    assert PLACE in resumed.data.tags


# --- a study that lies elsewhere


@pytest.fixture
def server(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that says it is a server's."""
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://server:5000")
    return store


def opened(store: Store, **tags: str) -> Any:
    """Open a run beside one of an earlier study."""
    store.fake_run("hyperparameters-tuning", study="s", **tags)
    mlflow.set_experiment("treeline")
    return mlflow.start_run()


@pytest.mark.store
@pytest.mark.parametrize("place", ["far:/studies/s.log", ""])
def test_a_study_that_lies_elsewhere_is_not_made_anew(server: Store, tmp_path: Path, place: str) -> None:
    with opened(server, **({PLACE: place} if place else {})):
        told = place or "another folder or machine"
        with pytest.raises(UserError, match=rf"^The study 's' lies in {told}, not here .*--storage"):
            refuse_elsewhere("s", tmp_path / "s.log")
        refuse_elsewhere("another", tmp_path / "another.log")
        (tmp_path / "s.log").touch()
        refuse_elsewhere("s", tmp_path / "s.log")


@pytest.mark.store
def test_a_journal_that_was_here_and_was_taken_away_is_made_anew(server: Store, tmp_path: Path) -> None:
    with opened(server, **{PLACE: study_place("", tmp_path / "s.log")}):
        refuse_elsewhere("s", tmp_path / "s.log")


@pytest.mark.store
def test_a_store_of_this_machine_keeps_its_journals_beside_it(store: Store, tmp_path: Path) -> None:
    with opened(store, **{PLACE: "far:/s.log"}):
        refuse_elsewhere("s", tmp_path / "s.log")


@pytest.mark.store
def test_a_clone_that_will_be_gone_keeps_no_study(server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(server), tempfile.TemporaryDirectory() as clone:
        monkeypatch.chdir(clone)
        refuse_elsewhere("new", Path("new.log"))  # a folder of a person's own
        mlflow.set_tag("mlflow.source.name", "https://host/ann/treeline.git")
        with pytest.raises(UserError, match=r"^The study 'new' would lie in .* a clone .*: keep it with --storage"):
            refuse_elsewhere("new", Path("new.log"))
        monkeypatch.chdir("/")


def test_a_place_tells_no_password() -> None:
    assert study_place("postgresql://ann:secret@host/db?x=secret", Path("s.log")) == "postgresql://***@host/db?***"
