"""The page "Use the model": its commands run as they stand, in a copy of the project that holds a champion."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import REPOSITORY, Store, _copy, mlflow_at

pytestmark = pytest.mark.project

PAGE = (REPOSITORY / "docs" / "use-the-model.md").read_text(encoding="utf-8")
UNWANTED = shutil.ignore_patterns(".*", "mlruns", "mlflow.db*", "studies", "tests", "__pycache__", "*.ipynb")


def blocks(section: str) -> list[str]:
    """Give the shell commands of a section, block by block."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"```bash\n(.*?)```", text, re.DOTALL)


def shell(commands: str, folder: Path, timeout: float = 600) -> str:
    """Run commands as a person who stands in a folder would; give what they print."""
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ran.returncode == 0, f"{commands}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


def environment() -> dict[str, str]:
    """Give the environment after `source .venv/bin/activate`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    folder = str(Path(sys.executable).parent)
    return {**clean, "PATH": os.pathsep.join([folder, clean["PATH"]]), "VIRTUAL_ENV": str(Path(folder).parent)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, run_chain: Callable[[str], Store]) -> Path:
    """A copy of the project that holds the store of a small `main`."""
    folder = tmp_path_factory.mktemp("use") / "project"
    shutil.copytree(REPOSITORY, folder, ignore=UNWANTED)
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    _copy(run_chain("cancer").folder, folder)
    return folder


@contextlib.contextmanager
def serving(command: str, port: int, folder: Path) -> Iterator[None]:
    """Run a command that serves on a port for the while."""
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment(), start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None
            time.sleep(0.2)
        else:
            pytest.fail(f"{command} does not answer on port {port}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_every_section_of_the_page_is_run_by_a_test() -> None:
    ran_here = {"A file", "Share it without a server", "Over REST", "Sweeps"}
    ran_elsewhere = {
        "In containers": "test_docker.py",
        "On Spark": "test_spark.py",
        "A first hour": "test_notebook.py",
        "Runs that ended otherwise": "tracking/test_closing.py",
        "Passwords and signatures": "test_secrecy.py",
        "When the store cannot be used": "tracking/test_store.py",
        "Exit codes": "test_exit_codes.py",
    }
    assert set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE)) == ran_here | set(ran_elsewhere)
    for name in ran_elsewhere.values():
        assert (REPOSITORY / "tests" / name).is_file()


def test_a_file_is_scored(project: Path) -> None:
    (commands,) = blocks("A file")
    shell(commands, project)
    scores = pd.read_parquet(project / "scores.parquet")
    assert len(scores) == 569
    assert {"prediction", "probability_benign", "probability_malignant"} <= set(scores.columns)


def test_a_model_is_shared(project: Path, tmp_path: Path) -> None:
    packed, taken, moved = blocks("Share it without a server")
    shell(packed, project)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(REPOSITORY, elsewhere, ignore=UNWANTED)
    shutil.copy(project / "cancer.zip", elsewhere)
    shell(taken, elsewhere)
    assert Store(elsewhere).aliases("CancerModelService") == {"challenger": "1"}
    there = elsewhere.rename(tmp_path / "there")
    shell(moved, there)
    with mlflow_at(Store(there)):
        mlflow.pyfunc.load_model("models:/CancerModelService@challenger")


def test_the_champion_is_served(project: Path) -> None:
    started, *asked = blocks("Over REST")
    with serving(started, 5001, project):
        for commands in asked:
            told = shell(commands, project)
            assert '"prediction"' in told
            assert '"probability_malignant"' in told


def test_a_sweep_compares_combinations(project: Path) -> None:
    (commands, *_) = blocks("Sweeps")
    assert commands.count("n_trials=5,10") == 1
    told = shell(commands.replace("n_trials=5,10", "n_trials=1,2 folds=2"), project, timeout=1200)  # in less time
    assert "in cross-validation" in told
