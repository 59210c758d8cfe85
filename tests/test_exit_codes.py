"""The exit codes of every entry point, as docs/use-the-model.md has them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import REPOSITORY, Store

import batch_inference
import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import main
import model_registry
import model_training
import reproduction
import sweep
from treeline import interruption
from utils import COMMAND_LINE, DONE, INTERRUPTED, MISTAKE, REFUSED, STORE

Main = Callable[[Sequence[str]], int]
# Each entry point with words that the command line alone takes, and that lead to nothing in an empty store.
ENTRY_POINTS: list[tuple[Main, list[str]]] = [
    (main.main, ["--target=no such column"]),
    (data_preprocessing.main, ["--target=no such column"]),
    (hyperparameters_tuning.main, []),
    (model_training.main, []),
    (data_evaluation.main, []),
    (batch_inference.main, ["--input=rows.csv", "--output=scores.csv"]),
    (reproduction.main, ["--model=CancerModel/1"]),
    (model_registry.main, ["rollback"]),
    (model_registry.main, ["lineage", "--model=CancerModel/1"]),
    (model_registry.main, ["export-model", "--model=CancerModel/1", "--output=model.zip"]),
    (model_registry.main, ["import-model", "--input=model.zip"]),
    (sweep.main, ["--hydra_options=target=nothing"]),
]


@pytest.mark.store
@pytest.mark.parametrize(("entry", "words"), ENTRY_POINTS)
def test_a_mistake_that_can_be_mended_is_1(
    store: Store, refused: Callable[..., str], entry: Main, words: list[str]
) -> None:
    (store.folder / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    refused(entry, *words, code=MISTAKE)


@pytest.mark.store
@pytest.mark.parametrize(("entry", "words"), ENTRY_POINTS)
def test_a_wrong_command_line_is_2_and_opens_no_run(
    store: Store, refused: Callable[..., str], entry: Main, words: list[str]
) -> None:
    refused(entry, *words, "--no-such-parameter=1", code=COMMAND_LINE)
    assert store.runs() == []


@pytest.mark.parametrize("words", [[], ["roll-back"], ["--model=x"]])
def test_an_entry_point_that_is_none_is_2(refused: Callable[..., str], words: list[str]) -> None:
    assert "rollback, lineage" in refused(model_registry.main, *words, code=COMMAND_LINE)


@pytest.mark.parametrize(("words", "code"), [(["--port=0"], 2), (["--host=nowhere.invalid"], 1), ([], 4)])
def test_a_server_that_cannot_start_says_so_in_its_last_line(tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, str(REPOSITORY / "serve.py"), "--port=1234", *words]
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == code, told.stderr
    assert told.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in told.stderr


@pytest.mark.store
@pytest.mark.parametrize(("entry", "words"), ENTRY_POINTS)
def test_a_server_that_is_not_there_is_4(
    store: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, entry: Main, words: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert "127.0.0.1:1" in refused(entry, *words, code=STORE)


@pytest.mark.store
def test_what_is_done_is_0_and_what_the_gate_refuses_3(cancer_copy: Store, refused: Callable[..., str]) -> None:
    assert model_registry.main(["lineage", "--model=CancerModel/1"]) == DONE
    refused(data_evaluation.main, "--min-score=log_loss=0", code=REFUSED)
    assert data_evaluation.main([]) == DONE  # held: it is the champion


@pytest.mark.store
def test_an_interrupted_command_is_130(cancer_copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_at_once() -> None:
        interruption.wish()
        interruption.stop_if_wished()

    monkeypatch.setattr("tracking.runs.stop_if_wished", stop_at_once)
    assert hyperparameters_tuning.main(["--n-trials=1", "--folds=2"]) == INTERRUPTED
