"""A secret in any setting that takes a URL is found in no file of the store, no row of its database, no output."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import mlflow
import pytest
from conftest import REPOSITORY, Store, houses

import batch_inference
import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import main
import model_registry
import reproduction
import sweep
from config import DataSettings
from tracking.runs import stage_run
from utils import log_to_stderr

pytestmark = pytest.mark.store

SECRET = "kqzw0xjv"
TARGET = ["--target", "kind of house"]
QUICK = ["--n-trials", "1", "--folds", "2"]


class Silent(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a signed `houses.csv` is, which lies in no folder of the store."""
    folder = tmp_path_factory.mktemp("served")
    houses().to_csv(folder / "houses.csv", index=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/houses.csv?sig={SECRET}&se=2030"
        server.shutdown()


def holders(folder: Path) -> list[str]:
    """The files of a folder that hold the secret, packed ones by what is in them."""
    found = []
    for path in filter(Path.is_file, folder.rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed:
                found += [f"{path}/{each}" for each in packed.namelist() if SECRET.encode() in packed.read(each)]
        elif SECRET.encode() in path.read_bytes():
            found.append(str(path))
    return found


def test_a_chain_its_bundle_and_a_batch_hold_no_secret(
    store: Store, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = ["--study-name", "s", "--storage", f"sqlite:///file:study.db?password={SECRET}&uri=true"]
    again = ["--eval-dataset", url, "--promote", "always"]
    assert main.main(["--data", url, *TARGET, *QUICK, *storage, *again]) == 0
    assert (store.folder / "study.db").exists()
    assert model_registry.main(["lineage", "--model", "HousesModel/1"]) == 0
    assert model_registry.main(["export-model", "--model", "HousesModel/1", "--output", "m.zip"]) == 0
    assert batch_inference.main(["--input", url, "--output", "scores.csv"]) == 0
    assert sweep.main(["--hydra_options", f"data='{url}' target='kind of house' n_trials=1 folds=2"]) == 0

    data = store.runs("data-preprocessing")[-1]
    shown = url.partition("?")[0] + "?***"
    assert (data.data.params["data"], store.document(data.info.run_id, "problem.json")["source"]) == (shown, shown)
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err
    assert holders(store.folder) == []

    assert reproduction.main(["--model", "HousesModel/1"]) == 1
    assert f"{shown}: give it whole with --data" in capfd.readouterr().err
    assert reproduction.main(["--model", "HousesModel/1", "--data", url]) == 0
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err
    assert holders(store.folder) == []


WRONG: list[tuple[Callable[..., int], list[str]]] = [
    (data_preprocessing.main, ["--data", f"http://127.0.0.1:9/t.csv?sig={SECRET}", *TARGET]),
    (data_preprocessing.main, ["--data", f"http://me:{SECRET}@127.0.0.1:9/t.csv", *TARGET]),
    (data_preprocessing.main, ["--data", f"ftq://me:{SECRET}@host/t.csv", *TARGET]),
    (data_preprocessing.main, ["--data", f"http://127.0.0.1:9/t.xyz?sig={SECRET}", *TARGET]),
    (main.main, ["--data", f"http://127.0.0.1:9/t.csv?sig={SECRET}", *TARGET, "--dry-run"]),
    (hyperparameters_tuning.main, ["--storage", f"postgresql://me:{SECRET}@127.0.0.1:9/db"]),
    (hyperparameters_tuning.main, ["--storage", f"sqlite://me:{SECRET}@/study.db"]),
    (hyperparameters_tuning.main, ["--storage", f"sqlite:///none/study.db?key={SECRET}"]),
    (hyperparameters_tuning.main, ["--storage", f"postgresql:me:{SECRET}@host"]),
    (hyperparameters_tuning.main, ["--seed", f"https://me:{SECRET}@host"]),
    (data_evaluation.main, ["--eval-dataset", f"http://me:{SECRET}@127.0.0.1:9/t.csv"]),
    (batch_inference.main, ["--input", f"http://127.0.0.1:9/t.csv?sig={SECRET}", "--output", "o.csv"]),
    (batch_inference.main, ["--input", "i.csv", "--output", "o.csv", "--model-uri", f"http://me:{SECRET}@127.0.0.1:9"]),
    (sweep.main, ["--hydra_options", f"data=http://127.0.0.1:9/t.csv?sig={SECRET} n_trials=x"]),
    (sweep.main, ["--hydra_options", f"data='http://me:{SECRET}@127.0.0.1:9/t.csv' target=y"]),
]


@pytest.mark.parametrize(("command", "argv"), WRONG, ids=range(len(WRONG)))
def test_no_complaint_tells_a_secret(
    store: Store, capfd: pytest.CaptureFixture[str], command: Callable[..., int], argv: list[str]
) -> None:
    Path("i.csv").write_text("a\n1\n")
    assert command(argv) != 0
    printed = capfd.readouterr()
    assert printed.err.splitlines()[-1].startswith("error: ")
    assert SECRET not in printed.out + printed.err
    assert holders(store.folder) == []


def test_a_login_of_the_tracking_server_is_told_to_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert data_preprocessing.main(["--data", "iris"]) != 0
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err


@pytest.mark.parametrize(
    "uri", ["http://me:{}@127.0.0.1:9", "postgresql://a/b@c:{}@127.0.0.1:9/db", "odd://h/?word={}"]
)
def test_a_login_of_the_store_is_told_by_no_server(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(SECRET))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = subprocess.run(
        [sys.executable, "serve.py", "--port", "1234"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert told.returncode == (1 if uri.startswith("postgresql") else 4), told.stderr  # 1: its driver is not installed
    assert told.stderr.splitlines()[-1].startswith("error: ")
    assert SECRET not in told.stdout + told.stderr


def test_a_secret_that_mlflow_run_logged_is_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tags = {"mlflow.source.name": f"https://me:{SECRET}@host/p.git", "mlflow.project.entryPoint": "data-preprocessing"}
    run_id = store.client.create_run("0", tags=tags).info.run_id
    store.client.log_param(run_id, "storage", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    log_to_stderr()
    with stage_run("data-preprocessing", DataSettings()):
        pass
    told = capfd.readouterr().err
    assert told.count("`mlflow run` has logged storage as typed") == 1
    assert SECRET not in told
    assert store.run(run_id).data.tags["mlflow.source.name"] == "https://***@host/p.git"
    assert mlflow.active_run() is None
