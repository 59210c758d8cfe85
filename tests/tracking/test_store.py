"""The store itself: refused in a sentence where it cannot be used, made beside the caller where there is none."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY, Store
from sqlalchemy import make_url

import data_preprocessing

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
