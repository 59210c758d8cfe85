"""The store itself: refused in a sentence where it cannot be used, made beside the caller where there is none."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from conftest import REPOSITORY, Store, python
from mlflow.tracking._tracking_service.client import TrackingServiceClient
from sqlalchemy import make_url

import data_preprocessing
from config import DataSettings
from tracking.store import choose_experiment
from utils import command

pytestmark = pytest.mark.store

IRIS = ["--data", "iris"]


def test_a_file_store_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (store.folder / "mlruns").as_uri())
    sentence = refused(data_preprocessing.main, *IRIS)
    assert "file store" in sentence
    assert "mlflow migrate-filestore" in sentence


def test_a_file_store_left_in_the_folder_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (store.folder / "mlflow.db").unlink()
    old = store.folder / "mlruns" / "0" / "meta.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("experiment_id: '0'\nname: Default\n")
    assert "mlflow migrate-filestore" in refused(data_preprocessing.main, *IRIS)


def test_a_deleted_experiment_is_one_sentence(store: Store, refused: Callable[..., str]) -> None:
    store.client.delete_experiment(store.client.create_experiment("treeline"))
    assert "'treeline'" in refused(data_preprocessing.main, *IRIS)


def test_an_experiment_that_another_process_makes_at_the_same_moment_is_chosen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked for and is not there, and when it is made it is."""
    look = TrackingServiceClient.get_experiment_by_name

    def late(client: TrackingServiceClient, name: str) -> None:
        monkeypatch.setattr(TrackingServiceClient, "get_experiment_by_name", look)
        store.client.create_experiment(name)

    monkeypatch.setattr(TrackingServiceClient, "get_experiment_by_name", late)
    choose_experiment()
    with mlflow.start_run() as run:
        assert mlflow.get_experiment(run.info.experiment_id).name == "treeline"


def test_without_a_tracking_uri_the_store_is_made_beside_the_caller(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert data_preprocessing.main(IRIS) == 0
    (run,) = store.runs()
    assert run.info.artifact_uri.startswith(str(store.folder / "mlruns"))


# --- where the store is


def test_a_folder_with_a_blank_in_its_name_holds_its_store_or_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    argv = [sys.executable, str(REPOSITORY / "data_preprocessing.py"), *IRIS]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if make_url("sqlite:///a%20b").database == "a b":
        assert (ran.returncode, sorted(path.name for path in folder.iterdir())) == (0, ["mlflow.db", "mlruns"])
    else:
        assert (ran.returncode, list(folder.iterdir())) == (1, [])
        assert "set MLFLOW_TRACKING_URI=sqlite:///mlflow.db" in ran.stderr
    assert not (tmp_path / "a%20b" / "mlflow.db").exists()


def test_a_store_that_mlflow_would_look_for_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    uri = f"sqlite:///{tmp_path}/a%20b/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    literal = SimpleNamespace(database=uri.removeprefix("sqlite:///"))  # as SQLAlchemy before 2.1 reads it
    monkeypatch.setattr("tracking.store.make_url", lambda uri: literal)
    assert repr(str(tmp_path / "a b")) in refused(data_preprocessing.main, *IRIS)
    assert list(tmp_path.iterdir()) == []


# --- what it cannot do ends in one sentence and exit code 4


@pytest.fixture
def out_of_reach(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a stage's command whose store fails; give all that it says on stderr, which is one sentence."""

    def run(main: Callable[[Sequence[str]], int], *argv: str) -> str:
        capsys.readouterr()
        assert main(argv) == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run


def test_a_file_that_is_no_database_is_one_sentence(store: Store, out_of_reach: Callable[..., str]) -> None:
    (store.folder / "mlflow.db").write_bytes(b"garbage" * 1000)
    assert f"{store.folder / 'mlflow.db'} is no SQLite database" in out_of_reach(data_preprocessing.main, *IRIS)


def test_a_server_that_is_gone_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, out_of_reach: Callable[..., str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    assert "http://127.0.0.1:1 refuses the connection" in out_of_reach(data_preprocessing.main, *IRIS)


def test_a_disk_as_good_as_full_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, out_of_reach: Callable[..., str]
) -> None:
    usage = shutil.disk_usage(store.folder)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert f"Only 3.0 MB are free in {store.folder}" in out_of_reach(data_preprocessing.main, *IRIS)
    assert store.runs() == []


LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import data_preprocessing
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
sys.exit(data_preprocessing.main(["--data", "iris"]))
"""


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_disk_that_fills_up_is_one_sentence(store: Store, share: float) -> None:
    size = int((store.folder / "mlflow.db").stat().st_size * share)  # no file may be written beyond it
    ran = python("-c", LIMITED, str(REPOSITORY), str(size), cwd=store.folder, MLFLOW_TRACKING_URI=store.uri)
    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: ")


def test_a_wait_that_is_no_number_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    for text in ("soon", "-1", "inf", "nan"):
        monkeypatch.setenv("TREELINE_STORE_WAIT", text)
        assert repr(text) in refused(data_preprocessing.main, *IRIS)


def test_what_a_stage_raises_ends_by_what_it_is(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def run(error: Exception) -> int:
        def work(settings: object) -> None:
            raise error

        return command(DataSettings, "stage.py", work, IRIS)

    assert run(OSError(errno.ENOSPC, "No space left on device", "/a/b")) == 4
    assert "/a/b is on a full disk" in capsys.readouterr().err
    with pytest.raises(KeyError):  # a defect keeps its traceback
        run(KeyError("a"))
