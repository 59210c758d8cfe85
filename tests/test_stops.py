"""Real stops of real chains: each ends where nothing is half done, and the study goes on to its exact total."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, Store

pytestmark = pytest.mark.project
TRIALS = 40
CHAIN = ["--data", "iris", "--n-trials", str(TRIALS), "--folds", "3", "--study-name", "s"]


def start(store: Store, *argv: str) -> "subprocess.Popen[str]":
    """Start a chain, and come back once it has opened its run."""
    before = len(store.runs("main"))
    command = [sys.executable, str(REPOSITORY / "main.py"), *argv]
    process = subprocess.Popen(command, cwd=store.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(store.runs("main")) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def stop(process: "subprocess.Popen[str]", number: int) -> tuple[int, str, float]:
    """Send a signal; give the exit code, what was said, and the seconds to the end."""
    begun = time.monotonic()
    process.send_signal(number)
    stderr = process.communicate(timeout=120)[1]
    return process.returncode, stderr, time.monotonic() - begun


def test_chains_that_are_stopped_at_any_moment_leave_nothing_open_and_the_study_goes_on(store: Store) -> None:
    moments, codes = random.Random(0), []
    for i in range(5):
        process = start(store, *CHAIN)
        time.sleep(moments.uniform(0, 8))
        code, stderr, seconds = stop(process, signal.SIGTERM if i % 2 else signal.SIGINT)
        assert code in (130, 0), stderr
        assert "Traceback" not in stderr
        assert seconds < 30
        assert "RUNNING" not in {run.info.status for run in store.runs()}
        if code == 130:
            assert stderr.splitlines()[-1].startswith("interrupted: ")
            assert store.last("main").info.status != "FINISHED"
        codes.append(code)
    assert codes.count(130) >= 3
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "main.py"), *CHAIN],
        cwd=store.folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    tuning = store.last("hyperparameters-tuning")
    children = store.children(tuning.info.run_id)
    finished = [run for run in children if run.info.status == "FINISHED"]
    assert len(finished) + tuning.data.metrics["trials_repeated"] == tuning.data.metrics["trials"] == TRIALS
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    assert len({run.data.tags["trial"] for run in finished}) == len(finished)
    assert len({str(run.data.params) for run in finished}) == len(finished)


def test_a_second_stop_ends_at_once(store: Store) -> None:
    process = start(store, *CHAIN[:-2])
    process.send_signal(signal.SIGSTOP)  # so that both wait for it
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    code, stderr, seconds = stop(process, 0)
    assert code == 130
    assert "Traceback" not in stderr
    assert seconds < 20
    assert Path(store.folder / "mlflow.db").exists()
