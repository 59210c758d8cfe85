"""The containers: the files that describe them, and real runs of each service whose answers the host compares."""

import base64
import fnmatch
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Store

from tracking import models as forms

pytestmark = pytest.mark.project

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted((ROOT / "docker").rglob("Dockerfile"))
COMPOSE = ROOT / "docker" / "docker-compose.yml"
PROJECT = "treeline-test"  # of its own, for the volumes of a real one must outlive the tests
PROFILES = {
    "pipeline": {"pipeline"},
    "ui": {"ui"},
    "serving": {"serving"},
    "mlserver": {"mlserver"},
    "team": {"secrets", "database", "mlflow", "proxy"},
    "team-pipeline": {"secrets", "database", "mlflow", "proxy", "team-pipeline"},
    "team-serving": {"secrets", "database", "mlflow", "proxy", "team-serving"},
}
BUILT = ["pipeline", "ui", "serving", "mlserver", "secrets", "mlflow", "proxy", "team-pipeline", "team-serving"]
JOBS = {"pipeline", "team-pipeline"}
OURS = ("MLFLOW_", "TREELINE_", "COMPOSE_", "POSTGRES_")


def call(command: Sequence[str], folder: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess:
    """Run a command in a folder, as a shell that stands in it would."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
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
    return call(["docker", "compose", "-p", PROJECT, "-f", str(COMPOSE), *arguments], folder, timeout, **environment)


def described(folder: Path, profile: str = "*", **environment: str) -> dict[str, Any]:
    """Give what compose makes of its file."""
    shown = compose("--profile", profile, "config", "--format", "json", folder=folder, **environment)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def instructions(name: str, dockerfile: Path) -> list[str]:
    """Give the arguments of every instruction of that name in a Dockerfile, with continued lines joined."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def copied(dockerfile: Path) -> list[str]:
    """Give every path that a Dockerfile copies out of the repository."""
    lines = [line for line in instructions("COPY", dockerfile) if "--from=" not in line]
    return [path for line in lines for path in [word for word in line.split() if not word.startswith("--")][:-1]]


@pytest.fixture(scope="module")
def needs_compose() -> None:
    if not shutil.which("docker") or call(["docker", "compose", "version"], ROOT).returncode:
        pytest.skip("docker compose is not installed")


# The files


@pytest.mark.usefixtures("needs_compose")
@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_holds_its_services_and_no_other(tmp_path, profile):
    assert set(described(tmp_path, profile)["services"]) == PROFILES[profile]


@pytest.mark.usefixtures("needs_compose")
def test_without_a_profile_nothing_starts(tmp_path):
    assert not described(tmp_path, "")["services"]


@pytest.mark.usefixtures("needs_compose")
@pytest.mark.parametrize("service", ["pipeline", "ui", "serving", "mlserver", "team-pipeline", "team-serving"])
def test_the_folder_has_the_same_path_in_the_container_as_on_the_host(tmp_path, service):
    made = described(tmp_path)["services"][service]
    assert made["working_dir"] == str(tmp_path)
    assert [(each["type"], each["source"], each["target"]) for each in made["volumes"]] == [
        ("bind", str(tmp_path), str(tmp_path))
    ]
    assert Path(made["build"]["context"]) == ROOT


@pytest.mark.usefixtures("needs_compose")
def test_without_a_folder_compose_says_what_to_set(tmp_path):
    refused = compose("config", "-q", folder=tmp_path, PWD="")
    assert refused.returncode != 0
    assert "Set PWD to the folder" in refused.stderr


@pytest.mark.usefixtures("needs_compose")
@pytest.mark.parametrize(("given", "mode"), [({}, "host"), ({"TREELINE_NETWORK": "none"}, "none")])
def test_the_network_is_the_hosts_unless_the_caller_says_otherwise(tmp_path, given, mode):
    assert described(tmp_path, **given)["services"]["pipeline"]["network_mode"] == mode


@pytest.mark.usefixtures("needs_compose")
@pytest.mark.parametrize("service", ["pipeline", "serving", "mlserver"])
def test_the_callers_store_and_experiment_are_handed_on(tmp_path, service):
    given = {"MLFLOW_TRACKING_URI": "http://localhost:5000", "MLFLOW_EXPERIMENT_NAME": "mine"}
    assert given.items() <= described(tmp_path, **given)["services"][service]["environment"].items()


@pytest.mark.usefixtures("needs_compose")
def test_a_teams_run_goes_to_the_teams_server_whatever_the_caller_has_set(tmp_path):
    made = described(tmp_path, MLFLOW_TRACKING_URI="http://elsewhere:5000")["services"]
    assert made["team-pipeline"]["environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert made["team-pipeline"]["depends_on"]["mlflow"]["condition"] == "service_healthy"
    assert made["mlflow"]["depends_on"]["database"]["condition"] == "service_healthy"
    assert any("mlflow:5000" in word for word in made["mlflow"]["command"])  # among the hosts that it answers


@pytest.mark.usefixtures("needs_compose")
def test_ports_are_open_on_this_machine_alone_but_for_the_proxys(tmp_path):
    made = described(tmp_path, TREELINE_PORT="5050")["services"]
    ports = {name: each["ports"] for name, each in made.items() if each.get("ports")}
    assert set(ports) == {"ui", "serving", "mlserver", "proxy"}
    of_a_team = ports.pop("proxy")
    assert [(each["published"], each["target"], "host_ip" in each) for each in of_a_team] == [("5050", 8443, False)]
    for opened in ports.values():
        assert {port["host_ip"] for port in opened} == {"127.0.0.1"}
        assert opened[0]["published"] == "5050"


@pytest.mark.usefixtures("needs_compose")
def test_a_teams_state_lies_in_named_volumes(tmp_path):
    made = described(tmp_path)
    assert set(made["volumes"]) == {"database", "artifacts", "certificates"}
    kept = {
        (name, volume["source"])
        for name in ("database", "mlflow", "proxy")
        for volume in made["services"][name]["volumes"]
        if volume["type"] == "volume"
    }
    assert kept == {("database", "database"), ("mlflow", "artifacts"), ("proxy", "certificates")}


@pytest.mark.usefixtures("needs_compose")
def test_what_runs_on_has_a_healthcheck_and_a_job_has_none(tmp_path):
    checked = {name for name, each in described(tmp_path)["services"].items() if "healthcheck" in each}
    assert checked == {"ui", "serving", "database", "team-serving"} | {"secrets"}  # where that of its image is off
    stages = {each: instructions("HEALTHCHECK", each) for each in DOCKERFILES}
    assert [len(lines) for lines in stages.values()] == [2, 1]  # of the tracking server, the proxy, MLServer
    job = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").split("FROM runtime AS pipeline")[1]
    assert "HEALTHCHECK" not in job


@pytest.mark.usefixtures("needs_compose")
def test_every_image_is_pinned(tmp_path):
    taken = {each["image"] for each in described(tmp_path)["services"].values() if "image" in each}
    bases = {line.split()[0] for each in DOCKERFILES for line in instructions("FROM", each)} - {"runtime"}
    for image in taken | bases:
        assert re.fullmatch(r"[a-z]+:\d[\w.]*(-\w+)?", image), image


def test_the_images_are_not_roots():
    assert {instructions("USER", each)[-1] for each in DOCKERFILES} == {"1000"}


def test_everything_the_images_copy_exists_and_passes_the_ignore_file():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]
    for path in [path for each in DOCKERFILES for path in copied(each)]:
        assert list(ROOT.glob(path)), path
        assert any(path == each or path.startswith(f"{each}/") or fnmatch.fnmatch(path, each) for each in kept), path


def test_the_images_python_is_the_one_of_conda_yaml():
    wanted = re.search(r"python=(\S+)", (ROOT / "conda.yaml").read_text(encoding="utf-8"))[1]
    bases = [line for each in DOCKERFILES for line in instructions("FROM", each) if ":" in line]
    assert {re.search(r"python:([\d.]+)", line)[1] for line in bases} == {wanted}


def required(path: Path) -> dict[str, str]:
    """Give name and version, or nothing, of every package that a requirements file names."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {re.split("[=;]", line)[0]: re.sub("[^=]*(==)?", "", line, count=1) for line in lines}


def test_what_the_images_swap_in_the_requirements_is_there_to_swap():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    names = [re.split("[=;]", line)[0] for line in text.splitlines()]
    assert names.count("xgboost") == 1
    assert names.count("uv") == 1
    assert "xgboost" in required(ROOT / "docker" / "mlserver" / "requirements.txt")


def test_mlservers_environment_holds_what_a_model_needs_at_our_versions():
    runtime, own = required(ROOT / "requirements.txt"), required(ROOT / "docker" / "mlserver" / "requirements.txt")
    assert {name for name, version in own.items() if not version} == set(forms.REQUIRED)
    assert set(forms.REQUIRED) <= set(runtime)  # so the constraints pin each of them
    assert {name for name, version in own.items() if version} == {"mlserver", "mlserver-mlflow"}


def test_a_model_made_without_gpu_code_asks_for_the_xgboost_of_every_platform(monkeypatch: pytest.MonkeyPatch):
    def version(name: str) -> str:
        if name == "xgboost":
            raise PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(forms, "version", version)
    assert forms.requirements()[-1] == "xgboost==1.2.3"  # xgboost-cpu has no build for macOS


def test_every_dockerfile_is_linted():
    planned = subprocess.run(["make", "-n", "docker-lint"], cwd=ROOT, capture_output=True, text=True, check=True)
    line = next(line for line in planned.stdout.splitlines() if line.startswith("hadolint"))
    linted = {path for pattern in line.split()[1:] for path in ROOT.glob(pattern)}
    assert linted == set(DOCKERFILES)


# Real runs


@pytest.fixture(scope="module")
def images(needs_compose: None) -> Iterator[None]:
    """Build the images where there is an engine to build them; take away what the tests started."""
    if call(["docker", "info"], ROOT).returncode:
        pytest.skip("no Docker engine answers")
    built = compose("build", *BUILT, folder=ROOT, timeout=3600)
    assert built.returncode == 0, built.stdout + built.stderr
    yield
    compose("--profile", "*", "down", "--volumes", folder=ROOT)


@pytest.fixture(scope="module")
def owner() -> tuple[int, int]:
    """Say who is to own the folder: somebody without an account where we may choose, else ourselves."""
    return (os.getuid(), os.getgid()) if os.getuid() else (12345, 12346)


def closed_folder(path: Path, owner: tuple[int, int]) -> Path:
    """Close a folder to everyone but its owner."""
    path.chmod(0o700)
    os.chown(path, *owner)
    return path


@pytest.fixture
def folder(tmp_path, owner) -> Path:
    """Make a folder that is closed to everyone but its owner."""
    return closed_folder(tmp_path, owner)


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def ran(images, owner, tmp_path_factory) -> tuple[Path, str]:
    """Run the main job in a container; give the folder that it filled and what it printed."""
    folder = closed_folder(tmp_path_factory.mktemp("ran"), owner)
    # Set to nothing is as good as not set, for MLflow and for the name of the run's user.
    empty = {"MLFLOW_TRACKING_URI": "", "MLFLOW_EXPERIMENT_NAME": "", "USER": ""}
    done = compose("run", "--rm", "pipeline", "--n-trials", "2", "--folds", "2", folder=folder, timeout=600, **empty)
    assert done.returncode == 0, done.stderr
    assert "mismatch" not in done.stderr  # XGBoost's CPU build is what the model asks for
    return folder, done.stdout


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(service: str, folder: Path, port: int, **environment: str) -> Iterator[str]:
    """Start a service, wait until it is healthy, give its address; see that it ends when told to; take it away."""
    environment |= {"TREELINE_PORT": str(port)}
    container = f"{PROJECT}-{service}-1"
    try:
        started = compose("up", "-d", "--wait", service, folder=folder, timeout=300, **environment)
        assert started.returncode == 0, started.stderr + compose("logs", service, folder=folder).stdout
        yield f"http://localhost:{port}"
        compose("stop", service, folder=folder)
        code = call(["docker", "inspect", "--format", "{{.State.ExitCode}}", container], folder).stdout.strip()
        assert code in {"0", "1"}  # 137 is SIGKILL, after ten seconds without an answer
    finally:
        compose("rm", "--force", "--stop", service, folder=folder)


def ask(url: str, body: Any = None) -> tuple[int, str]:
    """Send a request, with JSON where there is a body; give status and text of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


PREDICT = """
import json, sys, mlflow
name = sys.argv[1]
(data,) = mlflow.search_runs(filter_string="tags.stage = 'data-preprocessing'", search_all_experiments=True,
                             output_format="list")
frame = mlflow.artifacts.download_artifacts(run_id=data.info.run_id, artifact_path="test.parquet")
import pandas as pd
model = mlflow.pyfunc.load_model(f"models:/{name}Service@champion")
rows = pd.read_parquet(frame)[model.metadata.get_input_schema().input_names()].head(60)
answers = model.predict(rows)
print(json.dumps({
    "rows": json.loads(rows.to_json(orient="split", index=False, double_precision=15)),
    "answers": json.loads(answers.to_json(orient="records", double_precision=15)),
    "run": data.info.run_id,
}))
"""


def by_pyfunc(folder: Path, name: str = "CancerModel", **environment: str) -> dict[str, Any]:
    """Let the host's Python load the champion and answer test rows: rows, answers, and the run that holds them."""
    done = call([sys.executable, "-c", PREDICT, name], folder, 300, **environment)
    assert done.returncode == 0, done.stderr
    assert "mismatch" not in done.stderr  # MLflow compares what the model was made with and what is here
    return json.loads(done.stdout.splitlines()[-1])


def assert_same(answers: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Hold answers to be equal, probabilities to the last digit of their type."""
    assert len(answers) == len(expected) > 0
    for one, other in zip(answers, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = np.float32(value) == np.float32(other[name]) if isinstance(value, float) else value == other[name]
            assert same, (name, value, other[name])


READ_THE_STORE = """
import json, mlflow, pandas as pd
runs = mlflow.search_runs(search_all_experiments=True)
data = runs[runs["tags.stage"] == "data-preprocessing"].iloc[0]
rows = pd.read_parquet(mlflow.artifacts.download_artifacts(run_id=data.run_id, artifact_path="test.parquet"))
model = mlflow.pyfunc.load_model("models:/CancerModelService@champion")
scores = model.predict(rows.drop(columns="target"))
print(json.dumps({
    "stages": sorted(runs["tags.stage"]), "statuses": sorted(set(runs["status"])), "rows": len(rows),
    "scores": len(scores), "users": runs["tags.mlflow.user"].dropna().unique().tolist(),
    "experiments": [each.name for each in mlflow.search_experiments()],
    "artifacts": sorted({uri.split(":")[0] for uri in runs["artifact_uri"]}),
    "requirements": open(mlflow.pyfunc.get_model_dependencies("models:/CancerModelService@champion")).read(),
}))
"""
STAGES = ["data-evaluation", "data-preprocessing", "hyperparameters-tuning", "main", "model-training", "trial", "trial"]


def read_the_store(folder: Path, **environment: str) -> dict[str, Any]:
    """Let the host's Python read what a run left."""
    read = call([sys.executable, "-c", READ_THE_STORE], folder, 300, **environment)
    assert read.returncode == 0, read.stderr
    return json.loads(read.stdout.splitlines()[-1])


def stages_and_statuses(folder: Path) -> dict[str, str]:
    """Read the status of each stage's run from a store that another process may be writing, or has yet to make."""
    query = "select tags.value, runs.status from tags join runs using (run_uuid) where tags.key = 'stage'"
    try:
        with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
            return dict(store.execute(query).fetchall())
    except sqlite3.OperationalError:
        return {}


@pytest.mark.engine
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("service", BUILT)
def test_an_image_holds_no_compiler_and_is_not_roots(service):
    image = f"{PROJECT}-{service}"
    look = "for tool in gcc g++ cc c++ ld make; do command -v $tool; done; id -u"
    seen = call(["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look], ROOT)
    assert seen.stdout.split() == ["1000"], seen.stderr


def test_a_run_leaves_a_store_that_is_the_callers_and_that_the_host_can_read(ran, owner):
    folder, printed = ran
    assert "CancerModelService version 1 (challenger, champion)" in printed

    assert {folder / "mlflow.db", folder / "mlruns"} <= set(folder.iterdir())
    assert owners(folder) == {owner}

    store = read_the_store(folder)
    assert store["stages"] == STAGES
    assert store["statuses"] == ["FINISHED"]
    assert store["scores"] == store["rows"] > 0
    assert store["users"] == ["treeline"]
    assert "treeline" in store["experiments"]
    assert re.search(r"^xgboost==\d", store["requirements"], re.MULTILINE)


@pytest.mark.engine
@pytest.mark.usefixtures("images")
def test_a_users_error_is_one_sentence_and_exit_code_1(folder):
    refused = compose("run", "--rm", "pipeline", "--test-size", "3", folder=folder)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("error: --test-size got '3'")
    assert "Traceback" not in refused.stderr
    assert not list(folder.iterdir())


@pytest.mark.engine
@pytest.mark.usefixtures("images")
def test_a_user_who_cannot_write_the_folder_is_told_so(folder):
    folder.chmod(0o755)
    mount = ["-v", f"{folder}:{folder}", "-w", str(folder), "--network", "none", "--user", "54321:54321"]
    refused = call(["docker", "run", "--rm", *mount, f"{PROJECT}-pipeline"], folder)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: The user 54321 cannot write the experiment store to {folder}")


@pytest.mark.engine
@pytest.mark.usefixtures("images")
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


def test_the_ui_shows_the_runs_of_the_folder(ran, owner, port):
    folder, _ = ran
    run = by_pyfunc(folder)["run"]
    with running("ui", folder, port) as address:
        status, page = ask(address)
        assert (status, "<title>MLflow</title>" in page) == (200, True)
        _, found = ask(f"{address}/api/2.0/mlflow/experiments/search", {"max_results": 9})
        assert "treeline" in {each["name"] for each in json.loads(found)["experiments"]}
        status, problem = ask(f"{address}/get-artifact?path=problem.json&run_uuid={run}")
        assert (status, json.loads(problem)["target"]) == (200, "target")
    assert owners(folder) == {owner}


def test_serving_answers_rows_as_pyfunc_does_and_refuses_others_readably(ran, port):
    folder, _ = ran
    expected, before = by_pyfunc(folder), sorted(folder.iterdir())
    with running("serving", folder, port) as address:
        status, answer = ask(f"{address}/invocations", {"dataframe_split": expected["rows"]})
        assert status == 200, answer
        assert_same(json.loads(answer)["predictions"], expected["answers"])
        status, answer = ask(f"{address}/invocations", {"dataframe_split": {"columns": ["mean area"], "data": [[1.0]]}})
        assert (status, "mean radius" in answer) == (400, True)
    assert sorted(folder.iterdir()) == before


@pytest.mark.engine
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("service", ["serving", "mlserver"])
def test_a_folder_without_a_store_is_told_in_one_sentence_and_stays_as_it_is(folder, service):
    refused = compose("run", "--rm", service, folder=folder)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"error: No experiment store mlflow.db in {folder}")
    assert "Traceback" not in refused.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"TREELINE_MODEL": "Nobody"}, "error: Nobody has no champion in the store sqlite:///"),
        ({"MLFLOW_TRACKING_URI": "http://localhost:9"}, "error: Cannot take the champion of CancerModel out of"),
    ],
)
def test_a_champion_that_is_not_there_is_told_in_one_sentence(ran, given, sentence):
    refused = compose("run", "--rm", "serving", folder=ran[0], **given)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(sentence)
    assert "Traceback" not in refused.stderr


def v2_request(rows: dict[str, Any]) -> dict[str, Any]:
    """Spell rows as the V2 protocol does, column by column; whole numbers are sent as such, gaps as null."""
    inputs = []
    for i, name in enumerate(rows["columns"]):
        values = [row[i] for row in rows["data"]]
        there = [each for each in values if each is not None]
        if all(isinstance(each, float) and each.is_integer() for each in there):
            values = [each if each is None else int(each) for each in values]
        kinds = {type(each) for each in values if each is not None}
        datatype = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}[kinds.pop()] if kinds else "FP64"
        inputs.append({"name": name, "shape": [len(values), 1], "datatype": datatype, "data": values})
    return {"inputs": inputs}


def v2_answers(answer: str) -> list[dict[str, Any]]:
    """Read a V2 answer back into one record a row."""
    columns = {each["name"]: each["data"] for each in json.loads(answer)["outputs"]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_mlserver_answers_the_v2_protocol_as_pyfunc_does(ran, port):
    folder, _ = ran
    expected, before = by_pyfunc(folder), sorted(folder.iterdir())
    with running("mlserver", folder, port) as address:
        status, answer = ask(f"{address}/v2/models/CancerModel/infer", v2_request(expected["rows"]))
        assert status == 200, answer
        assert_same(v2_answers(answer), expected["answers"])
        status, answer = ask(f"{address}/invocations", {"dataframe_split": expected["rows"]})
        assert status == 200, answer
        assert_same(json.loads(answer)["predictions"], expected["answers"])
        _, about = ask(f"{address}/v2/models/CancerModel")
        assert [each["name"] for each in json.loads(about)["inputs"]] == expected["rows"]["columns"]
        status, page = ask(f"{address}/v2/docs")
        assert (status, "swagger" in page.lower()) == (200, True)
        assert "/v2/models/{model_name}/infer" in json.loads(ask(f"{address}/v2/docs/dataplane.json")[1])["paths"]
        _, metrics = ask("http://localhost:8082/metrics")
        assert re.search(r'^model_infer_request_success_total\{model="CancerModel".*\} 1\.0$', metrics, re.MULTILINE)
    assert sorted(folder.iterdir()) == before


@pytest.mark.engine
@pytest.mark.usefixtures("images")
def test_mlserver_takes_text_booleans_whole_numbers_and_gaps(run_chain: Callable[[str], Store], port):
    folder = run_chain("mixed").folder
    expected = by_pyfunc(folder, "HousesModel")
    asked = v2_request(expected["rows"])
    assert {each["datatype"] for each in asked["inputs"]} == {"BOOL", "INT64", "FP64", "BYTES"}
    gaps = {each["datatype"] for each in asked["inputs"] if None in each["data"]}
    assert gaps == {"BOOL", "INT64", "BYTES"}
    with running("mlserver", folder, port, TREELINE_MODEL="HousesModel") as address:
        status, answer = ask(f"{address}/v2/models/HousesModel/infer", asked)
        assert status == 200, answer
        assert_same(v2_answers(answer), expected["answers"])
        asked["inputs"][2] |= {"datatype": "BYTES", "data": ["ground floor"] * len(expected["answers"])}
        status, answer = ask(f"{address}/v2/models/HousesModel/infer", asked)
        assert (status, "holds 'ground floor', not " in answer) == (400, True), answer
        del asked["inputs"][0]
        status, answer = ask(f"{address}/v2/models/HousesModel/infer", asked)
        assert (status, "area [m²]" in answer) == (400, True), answer


TEAM_PAGE = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
SECRETS = (
    "POSTGRES_PASSWORD",
    "TREELINE_SECRET_KEY",
    *(f"TREELINE_{each}_PASSWORD" for each in ("ADMIN", "PEOPLE", "JOBS")),
)


def block_of(start: str) -> str:
    """Give the commands of the page's block that begins so."""
    (found,) = re.findall(rf"```bash\n({re.escape(start)}.*?)```", TEAM_PAGE, re.DOTALL)
    return str(found)


class Team:
    """A team's server in a folder of its own, spoken to with the commands of docs/team.md."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.address = folder, port, f"https://localhost:{port}"
        self.certificate = folder / "certificate.pem"
        self.do(block_of("(umask 077").replace("$(hostname -f)", "localhost"))

    def do(self, commands: str, timeout: float = 900, **environment: str) -> subprocess.CompletedProcess:
        """Run commands of the page; `team` means this server."""
        team = f"docker compose -p {PROJECT} -f '{COMPOSE}' --env-file team.env"
        script = f'set -e\nteam() {{ {team} "$@"; }}\n{commands}'
        done = call(["bash", "-c", script], self.folder, timeout, TREELINE_PORT=str(self.port), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def secret(self, name: str) -> str:
        return dict(line.split("=", 1) for line in (self.folder / "team.env").read_text().splitlines())[name]

    def login(self, user: str) -> dict[str, str]:
        """Give the environment of whoever logs in as a user."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": self.secret(f"TREELINE_{user.upper()}_PASSWORD"),
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }

    def ask(self, path: str, user: str = "", password: str = "", body: Any = None) -> tuple[int, str]:
        """Send a request through the proxy; give status and text."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        if user:
            pair = f"{user}:{password or self.secret(f'TREELINE_{user.upper()}_PASSWORD')}"
            request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
        try:
            trusted = ssl.create_default_context(cafile=str(self.certificate))
            with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@pytest.fixture
def team(images, folder, port) -> Iterator[Team]:
    """Skip where PostgreSQL's image can be had from nowhere; start from no state and leave none."""
    image = described(ROOT)["services"]["database"]["image"]
    here = call(["docker", "image", "inspect", image], ROOT).returncode == 0
    if not here and compose("pull", "database", folder=ROOT, timeout=600).returncode:
        pytest.skip(f"the image {image} is not here and cannot be pulled")
    compose("--profile", "*", "down", "--volumes", folder=ROOT)
    yield Team(folder, port)
    compose("--profile", "*", "down", "--volumes", folder=ROOT)


LOOK_AROUND = """
import json, mlflow
client, said = mlflow.MlflowClient(), {}
def tried(what, do):
    try:
        do()
        said[what] = True
    except Exception as error:
        assert "403" in str(error), error
        said[what] = False
run = client.search_runs([client.get_experiment_by_name("treeline").experiment_id])[0].info.run_id
tried("read", lambda: client.list_artifacts(run))
tried("write", lambda: client.set_tag(run, "note", "seen"))
tried("artifact", lambda: client.log_text(run, "x", "x.txt"))
tried("promote", lambda: client.set_registered_model_alias("CancerModel", "champion", "1"))
tried("begin", lambda: client.create_experiment(f"begun by {USER}"))
print(json.dumps(said))
"""


@pytest.mark.engine
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    "given", [{}, dict.fromkeys(SECRETS, "treeline"), dict.fromkeys(SECRETS, "0123456789abcdef" * 2)]
)
def test_a_team_without_secrets_starts_nothing(folder, given):
    said = compose("run", "--rm", "secrets", folder=folder, **given)
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("error: The team's server does not start, for POSTGRES_PASSWORD, ")
    started = compose("up", "-d", "--wait", "proxy", folder=folder, timeout=300, **given)
    assert started.returncode != 0
    running = call(["docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}"], ROOT).stdout
    compose("--profile", "*", "down", folder=ROOT)
    assert not running


@pytest.mark.engine
def test_a_team_shares_a_server_that_asks_who_calls_and_is_restored_from_its_backup(team, owner, tmp_path_factory):
    start = block_of("team() {").split("\n")
    tiny = " --n-trials 2 --folds 2"
    team.do(start[1])
    team.do("team cp proxy:/srv/certificates/certificate.pem .")
    team.certificate.chmod(0o644)
    assert team.ask("/invocations", "people", body={})[0] == 503  # no champion yet, told
    os.chown(team.folder / "team.env", *owner)
    team.do(start[2].replace("--data iris", "--data breast_cancer" + tiny))
    assert {path.name for path in team.folder.iterdir()} == {"team.env", "certificate.pem", "studies"}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    store = read_the_store(elsewhere, **team.login("people"))
    assert (store["stages"], store["statuses"], store["artifacts"]) == (STAGES, ["FINISHED"], ["mlflow-artifacts"])
    assert store["scores"] == store["rows"] > 0

    for path in ("/", "/invocations", "/api/2.0/mlflow/users/current", "/get-artifact?path=x&run_uuid=y"):
        assert team.ask(path)[0] == 401, path
        assert team.ask(path, "people", "wrong-password-here")[0] == 401, path
    assert "people" in team.ask("/api/2.0/mlflow/users/current", "people")[1]
    rights = {
        user: json.loads(
            call([sys.executable, "-c", f"USER = {user!r}{LOOK_AROUND}"], elsewhere, **team.login(user)).stdout
        )
        for user in ("people", "jobs")
    }
    assert rights["jobs"] == dict.fromkeys(("read", "write", "artifact", "promote", "begin"), True)
    assert rights["people"] == rights["jobs"] | dict.fromkeys(("write", "artifact", "promote"), False)
    account = {"username": "anna", "password": "a-password-of-annas"}
    assert team.ask("/api/2.0/mlflow/users/create", "people", body=account)[0] == 403
    assert team.ask("/api/2.0/mlflow/users/create", "admin", body=account)[0] == 200

    team.do("team up -d --wait team-serving")
    expected = by_pyfunc(elsewhere, **team.login("people"))
    rows = {"dataframe_split": expected["rows"]}

    def assert_served() -> None:
        for user, password in (("people", ""), ("anna", account["password"])):
            status, answer = team.ask("/invocations", user, password, rows)
            assert status == 200, answer
            assert_same(json.loads(answer)["predictions"], expected["answers"])

    assert_served()
    before = read_the_store(elsewhere, **team.login("people"))
    team.do(block_of("mkdir -p backup"))
    team.do("team --profile '*' down --volumes")
    assert not call(["docker", "volume", "ls", "-q", "--filter", f"name={PROJECT}"], ROOT).stdout
    old = team.secret("TREELINE_PEOPLE_PASSWORD")
    secrets = team.folder / "team.env"
    secrets.write_text(secrets.read_text().replace(old, old[::-1]))  # and a password is changed
    team.do(block_of("team up -d --wait database"))
    team.do("team cp proxy:/srv/certificates/certificate.pem .")
    assert team.ask("/", "people", old)[0] == 401
    assert read_the_store(elsewhere, **team.login("people")) == before
    team.do("team up -d --wait team-serving")
    assert_served()
