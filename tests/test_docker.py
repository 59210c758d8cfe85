"""The container: the files that describe it, and one real run of it whose store the host reads."""

import fnmatch
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.project

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "docker-compose.yml"


def call(command: Sequence[str], folder: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess:
    """Run a command in a folder, as a shell that stands in it would."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MLFLOW_") and name != "TREELINE_NETWORK"
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=own | {"PWD": str(folder)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def compose(*arguments: str, folder: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess:
    return call(["docker", "compose", "-f", str(COMPOSE), *arguments], folder, timeout, **environment)


def instructions(name: str) -> list[str]:
    """Give the arguments of every instruction of that name in the Dockerfile, with continued lines joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def copied() -> list[str]:
    """Give every path that the Dockerfile copies out of the repository."""
    lines = [line for line in instructions("COPY") if "--from=" not in line]
    return [path for line in lines for path in [word for word in line.split() if not word.startswith("--")][:-1]]


@pytest.fixture(scope="module")
def needs_compose() -> None:
    if not shutil.which("docker") or call(["docker", "compose", "version"], ROOT).returncode:
        pytest.skip("docker compose is not installed")


@pytest.mark.usefixtures("needs_compose")
def test_the_folder_has_the_same_path_in_the_container_as_on_the_host(tmp_path):
    shown = compose("config", "--format", "json", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    service = json.loads(shown.stdout)["services"]["pipeline"]
    assert service["working_dir"] == str(tmp_path)
    assert [(each["type"], each["source"], each["target"]) for each in service["volumes"]] == [
        ("bind", str(tmp_path), str(tmp_path))
    ]
    assert Path(service["build"]["context"]) == ROOT


@pytest.mark.usefixtures("needs_compose")
def test_without_a_folder_compose_says_what_to_set(tmp_path):
    refused = compose("config", "-q", folder=tmp_path, PWD="")
    assert refused.returncode != 0
    assert "Set PWD to the folder" in refused.stderr


@pytest.mark.usefixtures("needs_compose")
@pytest.mark.parametrize(("given", "mode"), [({}, "host"), ({"TREELINE_NETWORK": "none"}, "none")])
def test_the_network_is_the_hosts_unless_the_caller_says_otherwise(tmp_path, given, mode):
    shown = compose("config", "--format", "json", folder=tmp_path, **given)
    assert json.loads(shown.stdout)["services"]["pipeline"]["network_mode"] == mode


@pytest.mark.usefixtures("needs_compose")
def test_the_callers_store_and_experiment_are_handed_on(tmp_path):
    given = {"MLFLOW_TRACKING_URI": "http://localhost:5000", "MLFLOW_EXPERIMENT_NAME": "mine"}
    shown = compose("config", "--format", "json", folder=tmp_path, **given)
    assert given.items() <= json.loads(shown.stdout)["services"]["pipeline"]["environment"].items()


def test_the_image_is_not_roots():
    assert instructions("USER")[-1] not in {"root", "0"}


def test_everything_the_image_copies_exists_and_passes_the_ignore_file():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]
    for path in copied():
        assert list(ROOT.glob(path)), path
        assert any(path == each or fnmatch.fnmatch(path, each) for each in kept), path


def test_the_images_python_is_the_one_of_conda_yaml():
    wanted = re.search(r"python=(\S+)", (ROOT / "conda.yaml").read_text(encoding="utf-8"))[1]
    assert {re.search(r"python:([\d.]+)", line)[1] for line in instructions("FROM")} == {wanted}


def test_what_the_image_swaps_in_the_requirements_is_there_to_swap():
    names = [re.split("[=;]", line)[0] for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    assert names.count("xgboost") == 1
    assert names.count("uv") == 1


READ_THE_STORE = """
import json, mlflow, pandas as pd
runs = mlflow.search_runs(search_all_experiments=True)
data = runs[runs["tags.stage"] == "data-preprocessing"].iloc[0]
rows = pd.read_parquet(mlflow.artifacts.download_artifacts(run_id=data.run_id, artifact_path="test.parquet"))
scores = mlflow.pyfunc.load_model("models:/CancerModelService@champion").predict(rows.drop(columns="target"))
print(json.dumps({
    "stages": sorted(runs["tags.stage"]), "statuses": sorted(set(runs["status"])), "rows": len(rows),
    "scores": len(scores), "users": runs["tags.mlflow.user"].dropna().unique().tolist(),
    "experiments": [each.name for each in mlflow.search_experiments()],
}))
"""


@pytest.fixture(scope="module")
def image(needs_compose) -> None:
    """Build the image where there is an engine to build it."""
    if call(["docker", "info"], ROOT).returncode:
        pytest.skip("no Docker engine answers")
    built = compose("build", folder=ROOT, timeout=1800)
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture(scope="module")
def owner() -> tuple[int, int]:
    """Say who is to own the folder: somebody without an account where we may choose, else ourselves."""
    return (os.getuid(), os.getgid()) if os.getuid() else (12345, 12346)


def stages_and_statuses(folder: Path) -> dict[str, str]:
    """Read the status of each stage's run from a store that another process may be writing, or has yet to make."""
    query = "select tags.value, runs.status from tags join runs using (run_uuid) where tags.key = 'stage'"
    try:
        with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
            return dict(store.execute(query).fetchall())
    except sqlite3.OperationalError:
        return {}


@pytest.fixture
def folder(tmp_path, owner) -> Path:
    """Make a folder that is closed to everyone but its owner."""
    tmp_path.chmod(0o700)
    os.chown(tmp_path, *owner)
    return tmp_path


@pytest.mark.usefixtures("image")
def test_a_run_leaves_a_store_that_is_the_callers_and_that_the_host_can_read(folder, owner):
    # Set to nothing is as good as not set, for MLflow and for the name of the run's user.
    empty = {"MLFLOW_TRACKING_URI": "", "MLFLOW_EXPERIMENT_NAME": "", "USER": ""}
    ran = compose("run", "--rm", "pipeline", "--n-trials", "2", "--folds", "2", folder=folder, timeout=600, **empty)
    assert ran.returncode == 0, ran.stderr
    assert "CancerModelService version 1 (challenger, champion)" in ran.stdout

    written = list(folder.rglob("*"))
    assert {folder / "mlflow.db", folder / "mlruns"} <= set(written)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in written} == {owner}

    read = call([sys.executable, "-c", READ_THE_STORE], folder, 300)
    assert read.returncode == 0, read.stderr
    store = json.loads(read.stdout.splitlines()[-1])
    stages = ["data-evaluation", "data-preprocessing", "hyperparameters-tuning", "main", "model-training"]
    assert store["stages"] == [*stages, "trial", "trial"]
    assert store["statuses"] == ["FINISHED"]
    assert store["scores"] == store["rows"] > 0
    assert store["users"] == ["treeline"]
    assert "treeline" in store["experiments"]


@pytest.mark.usefixtures("image")
def test_a_users_error_is_one_sentence_and_exit_code_1(folder):
    refused = compose("run", "--rm", "pipeline", "--test-size", "3", folder=folder)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("error: --test-size got '3'")
    assert "Traceback" not in refused.stderr
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("image")
def test_a_user_who_cannot_write_the_folder_is_told_so(folder):
    folder.chmod(0o755)
    mount = ["-v", f"{folder}:{folder}", "-w", str(folder), "--network", "none", "--user", "54321:54321"]
    refused = call(["docker", "run", "--rm", *mount, "treeline-pipeline"], folder)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: The user 54321 cannot write the experiment store to {folder}")


@pytest.mark.usefixtures("image")
def test_a_stopped_container_ends_at_once_and_its_run_is_failed(folder):
    started = compose("run", "-d", "pipeline", "--n-trials", "100000", folder=folder)
    assert started.returncode == 0, started.stderr
    name = started.stdout.split()[-1]
    try:
        for _ in range(240):
            if "hyperparameters-tuning" in stages_and_statuses(folder):
                break
            time.sleep(0.5)
        call(["docker", "stop", "-t", "60", name], folder)
        code = call(["docker", "inspect", "--format", "{{.State.ExitCode}}", name], folder).stdout.strip()
    finally:
        call(["docker", "rm", "--force", name], folder)
    assert code == "130"  # what a shell says of a program that SIGINT ended; 137 would be SIGKILL
    assert stages_and_statuses(folder)["main"] == stages_and_statuses(folder)["hyperparameters-tuning"] == "FAILED"
